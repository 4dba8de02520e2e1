"""Whatever two tenants do, in whatever order, each sees exactly what it did itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from uuid import UUID

import psycopg
from api.world import World
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

ACTIONS = ["create", "rename", "config", "put", "get", "status", "revoke", "delete", "rotate"]
STEPS = st.lists(
    st.tuples(
        st.integers(0, 1),  # who acts
        st.integers(0, 1),  # on whose instance
        st.integers(0, 3),  # on which of them
        st.sampled_from(ACTIONS),
        st.text("abc", min_size=1, max_size=3),
    ),
    min_size=5,
    max_size=25,
)


@dataclass
class Account:
    """What a tenant should see: the secret of each of its instances, None without one."""

    tenant_id: UUID
    made: list[UUID] = field(default_factory=list)
    secrets: dict[UUID, str | None] = field(default_factory=dict)


def act(world: World, account: Account, instance_id: UUID, action: str, text: str) -> None:
    """Does one thing as the service of a tenant and keeps account of it."""
    svc = world.svc
    calls: dict[str, Callable[[], object]] = {
        "rename": lambda: svc.rename_instance(instance_id, text),
        "config": lambda: svc.update_config(instance_id, {"k": text}),
        "put": lambda: svc.put_credentials(instance_id, f'{{"k": "{text}"}}'),
        "get": lambda: svc.get_credentials(instance_id),
        "status": lambda: svc.set_instance_status(instance_id, "disabled"),
        "revoke": lambda: svc.revoke_credentials(instance_id),
        "delete": lambda: svc.delete_instance(instance_id),
        "rotate": lambda: svc.create_tenant_key(world.kek_id, world.kek),
    }
    with world.unlocked(account.tenant_id):
        answer = calls[action]()
    if action != "rotate":
        assert instance_id in account.secrets, "it acted on another tenant's instance"
    if action == "get":
        assert answer == {"k": account.secrets[instance_id]}
    elif action == "put":
        account.secrets[instance_id] = text
    elif action == "revoke":
        account.secrets[instance_id] = None
    elif action == "delete":
        del account.secrets[instance_id]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(steps=STEPS)
def test_tenants_see_only_what_is_theirs(
    world: World, steps: list[tuple[int, int, int, str, str]]
) -> None:
    accounts = [Account(world.new_tenant()), Account(world.new_tenant())]
    for actor, owner, index, action, text in steps:
        account, made = accounts[actor], accounts[owner].made
        try:
            if action == "create" or not made:
                with world.tenant.within(account.tenant_id):
                    instance_id = world.tenant.create_instance(world.definition, text)
                account.made.append(instance_id)
                account.secrets[instance_id] = None
            else:
                act(world, account, made[index % len(made)], action, text)
        except psycopg.Error as error:
            assert error.sqlstate in {"23505", "IN104", "IN201", "IN202", "IN301"}, error
    for account in accounts:
        for client in (world.tenant, world.svc):
            with client.within(account.tenant_id):
                seen = client.rows("select id from integrations.instance_overview")
            assert {id for (id,) in seen} == account.secrets.keys()
        of_others = world.superuser.value(
            "select count(*) from integrations_private.audit_log"
            " where tenant_id = %s and instance_id is not null and instance_id <> all (%s)",
            account.tenant_id,
            account.made,
        )
        assert of_others == 0, "the audit log tells of another tenant's instance"
