"""Every read of credentials leaves a trace, and a trace stays.

The attacker reads credentials, as he may, and wants nobody to know; or he wants somebody else to
be blamed. He rolls back, silences his session, assumes another role, goes after the log itself.
Against him stand an audit log that refuses to change, for every role, and a line in the server's
log that no rollback takes away.
"""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest
from api.server_log import Log
from api.world import World
from psycopg.conninfo import conninfo_to_dict

TABLES = ["integrations_private.audit_log", "integrations_private.audit_log_default"]


def line_of(world: World, tenant_id: UUID, instance_id: UUID) -> str:
    """Gives the line that a read leaves in the server's log."""
    user = conninfo_to_dict(world.logins["svc_integration"])["user"]
    return (
        f"LOG:  integrations: credentials_read tenant={tenant_id} instance={instance_id}"
        f" version=1 session_user={user}"
    )


def test_a_read_leaves_an_entry_and_a_line(world: World, log: Log) -> None:
    tenant_id, instance_id = world.new_stored()
    world.svc.run("set application_name = 'sync worker 7'")
    world.read(tenant_id, instance_id)
    user = conninfo_to_dict(world.logins["svc_integration"])["user"]
    [entry] = world.auditor.rows(
        "select instance_id, actor, session_actor, application, detail, "
        " at > now() - interval '1 minute'"
        " from integrations.audit_trail where tenant_id = %s and event = 'credentials_read'",
        tenant_id,
    )
    key = str(world.instance(instance_id).credentials_key_id)
    assert entry == (instance_id, user, user, "sync worker 7", {"version": 1, "key": key}, True)
    assert log.text().count(line_of(world, tenant_id, instance_id)) == 1


def test_the_actor_is_the_role_that_was_assumed(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    user = conninfo_to_dict(world.logins["svc_integration"])["user"]
    world.svc.run("set role svc_integration")
    world.read(tenant_id, instance_id)
    actors = world.superuser.rows(
        "select actor, session_actor from integrations_private.audit_log"
        " where tenant_id = %s and event = 'credentials_read'",
        tenant_id,
    )
    assert actors == [("svc_integration", user)]


def test_a_read_that_is_rolled_back_still_leaves_the_line(world: World, log: Log) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.svc.conn.transaction(force_rollback=True):
        world.svc.set_tenant(tenant_id)
        world.svc.unlock(world.kek_id, world.kek)
        assert world.svc.get_credentials(instance_id) == {"api_key": "k"}
    assert "credentials_read" not in world.events(tenant_id)
    assert line_of(world, tenant_id, instance_id) in log.text()


@pytest.mark.parametrize("quieter", ["log_min_messages = panic", "log_min_error_statement = panic"])
def test_a_reader_cannot_silence_the_log(world: World, quieter: str) -> None:
    with world.refused("42501"):
        world.svc.run(f"set {quieter}")


def test_a_read_only_transaction_gets_nothing(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    world.read(tenant_id, instance_id)  # so that it need not be stamped
    svc, answers = world.svc, []
    with world.refused("25006"), svc.conn.transaction():
        svc.run("set transaction read only")
        svc.set_tenant(tenant_id)
        svc.unlock(world.kek_id, world.kek)
        answers.append(svc.get_credentials(instance_id))
    assert answers == []


def test_a_refused_read_leaves_no_entry(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.refused("IN302"), world.svc.within(tenant_id):
        world.svc.get_credentials(instance_id)
    assert "credentials_read" not in world.events(tenant_id)


def test_entries_outlive_what_they_tell_of(world: World) -> None:
    tenant_id, instance_id = world.new_stored()
    with world.svc.within(tenant_id):
        world.svc.delete_instance(instance_id)
    assert world.events(tenant_id)[-1] == "instance_deleted"


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("replication_role", ["origin", "replica"])
@pytest.mark.parametrize(
    "change",
    [
        "update {} set actor = 'somebody else' where tenant_id = '{tenant}'",
        "update {} set tenant_id = gen_random_uuid() where tenant_id = '{tenant}'",
        "update {} set at = at - interval '1 year' where tenant_id = '{tenant}'",
        "delete from {} where tenant_id = '{tenant}'",
        "delete from {}",
        "truncate {}",
        "truncate {} cascade",
        "truncate integrations.integration_instances, integrations_private.refresh_leases, {}",
        "merge into {} as a using (values (1)) as v on a.tenant_id = '{tenant}'"
        " when matched then delete",
    ],
)
def test_not_even_a_superuser_changes_the_log(
    world: World, table: str, replication_role: str, change: str
) -> None:
    tenant_id, _ = world.new_stored()
    with world.refused("42501"), world.superuser.conn.transaction():
        world.superuser.run(f"set local session_replication_role = {replication_role}")
        world.superuser.run(change.format(table, tenant=tenant_id))


@pytest.mark.parametrize("role", ["integrations_owner", "integrations_keymaster"])
def test_nor_do_its_owners(world: World, login: Callable[[str, str], str], role: str) -> None:
    tenant_id, _ = world.new_stored()
    owner = world.log_in(login(role, world.dsn))
    set_tenant = "select set_config('integrations.tenant_id', %s, true)"
    for table in TABLES:
        for change in (
            f"delete from {table}",
            f"update {table} set actor = ''",
            f"truncate {table}",
        ):
            try:
                with owner.conn.transaction():
                    owner.run(set_tenant, str(tenant_id))
                    assert owner.run(change) <= 0, "a row was changed"
            except psycopg.Error as error:
                assert error.sqlstate == "42501", error
    assert "credentials_stored" in world.events(tenant_id)


def test_the_service_cannot_forge_entries(world: World) -> None:
    with world.refused("42501"):
        world.svc.run(
            "insert into integrations_private.audit_log (tenant_id, event, actor, session_actor)"
            " values (%s, 'forged', 'x', 'x')",
            uuid4(),
        )


def test_an_auditor_sees_every_tenant_and_no_credentials(world: World) -> None:
    tenants = dict([world.new_stored(), world.new_stored()])
    seen = world.auditor.rows(
        "select tenant_id, id from integrations.instance_overview where tenant_id = any (%s)",
        [*tenants],
    )
    assert dict(seen) == tenants
    events = world.auditor.rows(
        "select distinct tenant_id from integrations.audit_trail where tenant_id = any (%s)",
        [*tenants],
    )
    assert {tenant_id for (tenant_id,) in events} == tenants.keys()
