"""The list of what is due: all that is, nothing else, and at little cost."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable, Iterator
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from .keys import QUARANTINED
from .refreshes import (
    DUE,
    NOW,
    PAGE,
    claim,
    complete,
    due_of,
    fail,
    shift,
    store,
)
from .world import World


@pytest.mark.parametrize("max_rows", [None, 0, -1])
def test_bad_lists(world: World, max_rows: int | None) -> None:
    with world.refused("22023"):
        world.svc.list_refresh_due(max_rows)


@pytest.mark.parametrize("failed", [set(), {3}, set(range(6))], ids=["none", "one", "all"])
def test_the_earliest_come_first_and_not_more_than_asked_for(
    world: World, failed: set[int]
) -> None:
    """A retry takes its place among the others, and the whole is cut, not each half."""
    tenants = [world.new_tenant() for _ in range(3)]
    # Earlier than whatever other tests have left, the earliest last.
    instances = [
        world.new_instance(tenants[n % 3], f'{{"expires_at": "1999-01-{31 - n:02}T00:00:00Z"}}')
        for n in range(6)
    ]
    for n in failed:
        fail(world, tenants[n % 3], claim(world, tenants[n % 3], instances[n]), retry_after=NOW)
    for setting in ("on", "off"):  # the order is not that of an index, by luck
        world.svc.run(f"set enable_indexscan = {setting}")
        world.svc.run(f"set enable_bitmapscan = {setting}")
        for max_rows in range(1, 6):
            listed = [instance_id for _, instance_id, _ in world.svc.list_refresh_due(max_rows)]
            assert listed == instances[: 5 - max_rows : -1]
    for n, instance_id in enumerate(instances):
        with world.svc.within(tenants[n % 3]):
            world.svc.delete_instance(instance_id)


@pytest.mark.parametrize("status", ["deprecated", "retired"])
def test_the_definition_makes_no_difference(world: World, status: str) -> None:
    """Instances of a retired connector go on working."""
    definition = world.admin.register_definition(f"Old {uuid4()}", "oauth2")
    world.admin.set_definition_status(definition, "published")
    tenant_id = world.new_tenant()
    with world.unlocked(tenant_id):
        instance_id = world.svc.create_instance(definition, "old")
        world.svc.put_credentials(instance_id, DUE)
    world.admin.set_definition_status(definition, status)
    assert due_of(world, tenant_id) == [instance_id]
    assert complete(world, tenant_id, claim(world, tenant_id, instance_id), 1) == 2


@pytest.mark.parametrize("listed", [True, False])
def test_what_failed_before_its_time_is_listed_when_it_expires(world: World, listed: bool) -> None:
    """As after a refusal: no retry before the credentials are due."""
    expiry = time.time() + (240 if listed else 3600)
    tenant_id, instance_id = world.new_stored(json.dumps({"expires_at": expiry}))
    fail(world, tenant_id, claim(world, tenant_id, instance_id))
    shift(world, instance_id, timedelta(minutes=5))
    assert due_of(world, tenant_id) == [instance_id] * listed


STATES = ["active", "pending", "error", "disabled", "revoked", "quarantined"]
LEASES = [
    *("none", "live", "expired", "backing off", "due again", "given up"),
    *("refreshed", "refreshed long ago"),
]


@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    rows=st.lists(
        st.tuples(
            st.sampled_from(STATES),
            st.sampled_from([-3600, 0, 290, 900, None]),
            st.sampled_from(LEASES),
        ),
        min_size=1,
        max_size=6,
    )
)
def test_what_is_listed(world: World, rows: list[tuple[str, int | None, str]]) -> None:
    """Every combination of status, expiry and lease, against the sentence that says what is due."""
    tenant_id = world.new_tenant()
    expected = set()
    for status, expires_in, lease in rows:
        instance_id = world.new_instance(tenant_id)
        if status != "pending":
            expiry = {} if expires_in is None else {"expires_at": time.time() + expires_in}
            store(world, tenant_id, instance_id, json.dumps(expiry))
        if lease in ("live", "expired"):
            claim(world, tenant_id, instance_id)
        elif lease.startswith("refreshed"):
            if status != "pending":
                token = claim(world, tenant_id, instance_id)
                complete(world, tenant_id, token, 1, json.dumps(expiry))
        elif lease != "none":
            for _ in range(10 if lease == "given up" else 1):
                fail(world, tenant_id, claim(world, tenant_id, instance_id))
        if lease in ("expired", "due again", "refreshed long ago"):
            shift(world, instance_id, timedelta(minutes=5))
        with world.svc.within(tenant_id):
            if status == "quarantined":
                world.superuser.run(
                    "update integrations.integration_instances"
                    " set status = 'error', status_reason = %s where id = %s",
                    QUARANTINED,
                    instance_id,
                )
                world.superuser.run(
                    "update integrations_private.refresh_leases set retry_at = null"
                    " where instance_id = %s",
                    instance_id,
                )
            elif status == "active" and world.instance(instance_id).status == "error":
                world.svc.set_instance_status(instance_id, "active")
            elif status not in ("pending", "active", world.instance(instance_id).status):
                world.svc.set_instance_status(instance_id, status)
        if (
            expires_in is not None
            and expires_in <= 300
            and lease not in ("live", "backing off")
            and (status == "active" or (status == "error" and lease == "due again"))
        ):
            expected.add(instance_id)
    assert set(due_of(world, tenant_id)) == expected


def test_tokens_that_come_back_expired_keep_nobody_waiting(world: World) -> None:
    """A tenant's token endpoint says so each time; the list holds no more than its instances."""
    theirs, victim = world.new_tenant(), world.new_tenant()
    expired = '{"expires_at": "1999-01-01T00:00:00Z"}'
    instances = {world.new_instance(theirs, expired) for _ in range(3)}
    waiting = world.new_instance(victim, '{"expires_at": "1999-01-02T00:00:00Z"}')
    assert {listed for _, listed, _ in world.svc.list_refresh_due(3)} == instances
    for instance_id in instances:
        complete(world, theirs, claim(world, theirs, instance_id), 1, expired)
    assert world.svc.list_refresh_due(1)[0][1] == waiting
    assert instances <= set(due_of(world, theirs)), "they are due all the same"
    for instance_id in instances:
        shift(world, instance_id, timedelta(minutes=1))
    assert {listed for _, listed, _ in world.svc.list_refresh_due(3)} == instances
    for tenant_id, instance_id in [(victim, waiting), *((theirs, i) for i in instances)]:
        with world.svc.within(tenant_id):
            world.svc.delete_instance(instance_id)


@pytest.fixture
def plan_of(world: World) -> Iterator[Callable[[int], str]]:
    """Gives the plan of what list_refresh_due runs inside."""
    plans: list[str] = []
    conn = world.superuser.conn
    world.superuser.run("load 'auto_explain'")

    def hear(diag: psycopg.errors.Diagnostic) -> None:
        plans.append(str(diag.message_primary))

    conn.add_notice_handler(hear)

    def plan(max_rows: int) -> str:
        for setting, value in {
            "auto_explain.log_min_duration": "0",
            "auto_explain.log_nested_statements": "on",
            "auto_explain.log_analyze": "on",
            "client_min_messages": "log",
        }.items():
            world.superuser.rows("select set_config(%s, %s, true)", setting, value)
        plans.clear()
        world.superuser.rows("select * from integrations.list_refresh_due(%s)", max_rows)
        return "\n".join(plans)

    yield plan
    conn.remove_notice_handler(hear)


def test_the_list_reads_as_much_as_it_returns(world: World, plan_of: Callable[[int], str]) -> None:
    """Among many: not the rows that are not due yet, nor those that failed for good."""
    _, instance_id = world.new_stored('{"expires_in": 120}')
    # Copies of one row, in bulk: only what the list reads has to be as the functions make it.
    copies = """
        insert into integrations.integration_instances
               (tenant_id, integration_id, name, status, credentials, credentials_version,
                credentials_expire_at)
        select i.tenant_id, i.integration_id, %s || n, %s, i.credentials, i.credentials_version,
               clock_timestamp() + %s * n * interval '1 second'
          from integrations.integration_instances as i, generate_series(1, %s) as n
         where i.id = %s"""
    with world.superuser.conn.transaction(force_rollback=True):
        world.superuser.run(copies, "later ", "active", 3600, 20_000, instance_id)
        world.superuser.run(copies, "dead ", "error", -3600, 20_000, instance_id)
        world.superuser.run(copies, "due ", "active", -1, 300, instance_id)
        world.superuser.run(copies, "leased ", "active", -100, 50, instance_id)
        world.superuser.run(copies, "again ", "error", -1, 50, instance_id)
        # Here, so that the checks of the foreign key below know how many there are: with older
        # statistics they read all rows of the tenant, for each lease.
        world.superuser.run("analyze integrations.integration_instances")
        leases = """
            insert into integrations_private.refresh_leases
                   (tenant_id, instance_id, holder, credentials_version, claimed_at, failures,
                    lease, leased_until, retry_at)
            select i.tenant_id, i.id, 'w', 1, now(), 10,
                   case when %s then gen_random_uuid() end, case when %s then now() + '1 hour' end,
                   case when %s then now() - interval '1 minute' end
              from integrations.integration_instances as i where i.name like %s"""
        world.superuser.run(leases, False, False, False, "dead %")
        world.superuser.run(leases, True, True, False, "leased %")
        world.superuser.run(leases, False, False, True, "again %")
        world.superuser.run("analyze integrations_private.refresh_leases")
        for max_rows in (1, 100, 1000):
            for _ in range(7):  # a generic plan, too
                plan = plan_of(max_rows)
            assert "integration_instances_credentials_expire_at_idx" in plan, plan
            assert "refresh_leases_retry_at_idx" in plan, plan
            assert "Seq Scan on integration_instances" not in plan, plan
            read = [
                int(rows) * int(loops)
                for rows, loops in re.findall(r"actual [^)]*rows=(\d+)[.\d]* loops=(\d+)", plan)
            ]
            # Leased ones, and again due ones; their index entries may be there twice.
            assert read and max(read) <= max_rows + 200, plan


def test_the_query_of_the_documents_shows_what_waits(world: World) -> None:
    tenant_id, instance_id = world.new_stored(DUE)
    fail(world, tenant_id, claim(world, tenant_id, instance_id))
    [query] = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)
    assert instance_id in {row[1] for row in world.superuser.rows(query)}
