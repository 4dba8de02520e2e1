"""One tenant's data is not there for another, whatever is asked and however it is asked."""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID, uuid4

import psycopg
import pytest
from api.client import Client
from api.world import World
from psycopg.conninfo import conninfo_to_dict

TABLE = "integrations.integration_instances"

# Ways to the column credentials for a role that may not read it.
PEEKS = [
    "select credentials from {}",
    "select * from {}",
    "select i from {} as i",
    "select i.*::text from {} as i",
    "select row_to_json(i) from {} as i",
    "select to_jsonb(i) -> 'credentials' from {} as i",
    "select id from {} where credentials is not null",
    "select id from {} where credentials ->> 'ct' like 'a%%'",
    "select id from {} order by credentials",
    "select count(*) from {} group by credentials",
    "select max(credentials::text) from {}",
    "select a.id from {0} as a join {0} as b using (credentials)",
    "select id from {0} natural join {0} as b",
    "select (select credentials from {0} as b where b.id = a.id) from {0} as a",
    "select ctid from {}",
    "copy {} to stdout",
    "copy {} (credentials) to stdout",
    "copy (select credentials from {}) to stdout",
    "create temp table t as select credentials from {}",
    "create temp view v as select credentials from {}; select * from v",
    "insert into {} (tenant_id, name) values (integrations.current_tenant(), 'n') returning *",
    "update {} set name = credentials::text",
    "update {} set name = 'n' returning credentials",
    "delete from {} where credentials is not null",
    "do $$ declare r record; begin select i.* into r from {} as i; end $$",
    "declare c cursor for select credentials from {}",
    "prepare p as select credentials from {}; execute p",
    "explain analyze select credentials from {}",
]


@pytest.mark.parametrize("role", ["integrations_tenant", "integrations_auditor"])
@pytest.mark.parametrize("peek", PEEKS)
def test_credentials_are_not_even_seen_sealed(world: World, role: str, peek: str) -> None:
    tenant_id, _ = world.new_stored()
    client = world.client(role)
    with world.refused("42501"), client.conn.transaction():
        client.run("select set_config('integrations.tenant_id', %s, true)", str(tenant_id))
        client.conn.execute(peek.format(TABLE).replace("%%", "%").encode())


def test_the_service_sees_envelopes_of_its_tenant_only(world: World) -> None:
    tenant_id, instance_id = world.new_stored('{"api_key": "SENTINEL"}')
    world.new_stored()
    with world.svc.within(tenant_id):
        [(found, envelope)] = world.svc.rows(f"select id, credentials from {TABLE}")
    assert found == instance_id
    assert "SENTINEL" not in str(envelope)


@pytest.mark.parametrize("role", ["integrations_tenant", "svc_integration"])
def test_another_tenants_rows_are_not_there(world: World, role: str) -> None:
    client = world.client(role)
    (tenant_id, mine), (_, foreign) = world.new_stored(), world.new_stored()
    with client.within(tenant_id):
        for relation in (TABLE, "integrations.instance_overview"):
            assert client.rows(f"select id from {relation}") == [(mine,)]
            assert client.rows(f"select id from {relation} where id = %s", foreign) == []


@pytest.mark.parametrize("role", ["integrations_tenant", "svc_integration"])
def test_without_a_tenant_there_is_nothing(world: World, role: str) -> None:
    client = world.client(role)
    tenant_id, instance_id = world.new_stored()
    assert client.rows(f"select id from {TABLE}") == []
    with world.refused("IN001") as caught:
        client.delete_instance(instance_id)
    assert "BEGIN" in str(caught.value.diag.message_hint)
    with client.within(tenant_id):
        pass
    assert client.current_tenant() is None, "a tenant ends with its transaction"
    assert client.value("select current_setting('integrations.tenant_id')") == ""
    assert client.rows(f"select id from {TABLE}") == []
    client.set_tenant(tenant_id)  # a transaction of its own
    assert client.current_tenant() is None
    with world.refused("IN001"):
        client.create_instance(world.definition, "n")


def test_every_function_needs_a_tenant(world: World) -> None:
    svc = world.svc
    _, instance_id = world.new_stored()
    for attempt in (
        lambda: svc.create_instance(world.definition, "n"),
        lambda: svc.update_config(instance_id, {}),
        lambda: svc.upgrade_instance(instance_id, world.definition),
        lambda: svc.rename_instance(instance_id, "n"),
        lambda: svc.set_instance_status(instance_id, "disabled"),
        lambda: svc.delete_instance(instance_id),
        lambda: svc.unlock(world.kek_id, world.kek),
        lambda: svc.put_credentials(instance_id, "{}"),
        lambda: svc.get_credentials(instance_id),
        lambda: svc.open_read_lease(instance_id, "why"),
        lambda: svc.read_with_lease(instance_id),
        lambda: svc.revoke_credentials(instance_id),
        lambda: svc.record_connection(instance_id, True),
        lambda: svc.create_tenant_key(world.kek_id, world.kek),
        lambda: world.admin.create_tenant_key(world.kek_id, world.kek),
    ):
        with world.refused("IN001"):
            attempt()


@pytest.mark.parametrize("garbage", ["garbage", "*", "00000000", "' or true", "\\"])
def test_a_tenant_that_is_none_opens_nothing(world: World, garbage: str) -> None:
    world.new_stored()
    call = "select integrations.get_credentials(gen_random_uuid())"
    for query in (f"select id from {TABLE}", call):
        with world.refused("22P02"), world.svc.conn.transaction():
            world.svc.run("select set_config('integrations.tenant_id', %s, true)", garbage)
            world.svc.rows(query)


def test_row_security_cannot_be_switched_off(world: World) -> None:
    (tenant_id, mine), _ = world.new_stored(), world.new_stored()
    for client in (world.tenant, world.svc):
        client.run("set row_security = off")
        with world.refused("42501"), client.within(tenant_id):
            client.rows(f"select id from {TABLE}")
    assert world.read(tenant_id, mine) == {"api_key": "k"}


def test_prepared_statements_follow_the_tenant(world: World) -> None:
    tenants = dict([world.new_stored(), world.new_stored()])
    for mode in ("force_generic_plan", "force_custom_plan"):
        for client in (world.tenant, world.svc):
            client.run(f"set plan_cache_mode = {mode}")
            client.run(f"prepare {mode} as select id from {TABLE}")
            for tenant_id, instance_id in [*tenants.items()] * 4:
                with client.within(tenant_id):
                    assert client.rows(f"execute {mode}") == [(instance_id,)]
            assert client.rows(f"execute {mode}") == []
            # Two tenants in one transaction: neither plan nor cursor holds on to the first.
            with client.conn.transaction():
                for tenant_id, instance_id in [*tenants.items()] * 2:
                    client.set_tenant(tenant_id)
                    assert client.rows(f"execute {mode}") == [(instance_id,)]


def test_a_prepared_statement_follows_the_role(
    world: World, login: Callable[[str, str], str]
) -> None:
    tenant_id, _ = world.new_stored()
    conninfo = login("svc_integration", world.dsn)
    user = conninfo_to_dict(conninfo)["user"]
    world.superuser.run(f'grant integrations_tenant to "{user}"')
    client = world.log_in(conninfo)
    client.run(f"prepare sealed as select credentials from {TABLE}")
    with client.within(tenant_id):
        assert len(client.rows("execute sealed")) == 1
        client.run("set role integrations_tenant")
    with world.refused("42501"), client.within(tenant_id):
        client.rows("execute sealed")


def test_functions_with_cached_plans_follow_the_tenant(world: World) -> None:
    tenants = [world.new_stored(f'{{"k": "{number}"}}') for number in range(2)]
    world.svc.run("set plan_cache_mode = force_generic_plan")
    for _ in range(8):
        for number, (tenant_id, instance_id) in enumerate(tenants):
            assert world.read(tenant_id, instance_id) == {"k": str(number)}


def test_leaky_functions_meet_own_rows_only(world: World) -> None:
    (tenant_id, mine), (_, foreign) = world.new_stored(), world.new_stored()
    tenant = world.tenant
    tenant.run(
        "create function pg_temp.leak(uuid) returns boolean language plpgsql cost 0.0000001 as"
        " $$ begin raise notice '%', $1; return true; end $$"
    )
    notices: list[str] = []
    tenant.conn.add_notice_handler(lambda notice: notices.append(str(notice.message_primary)))
    with tenant.within(tenant_id):
        for relation in (TABLE, "integrations.instance_overview"):
            tenant.rows(f"select name from {relation} where pg_temp.leak(id)")
            tenant.rows(
                f"select 1 from {relation} where id = %s"
                " and 1 / (case when pg_temp.leak(id) then 0 else 1 end) = 1",
                foreign,
            )
    assert set(notices) == {str(mine)}


def test_the_same_name_in_two_tenants(world: World) -> None:
    name, tenants = f"Sales {uuid4()}", [world.new_tenant(), world.new_tenant()]
    for tenant_id in tenants:
        with world.tenant.within(tenant_id):
            world.tenant.create_instance(world.definition, name)
    with world.refused("23505") as caught, world.tenant.within(tenants[0]):
        world.tenant.create_instance(world.definition, name)
    assert str(tenants[1]) not in repr(vars(caught.value.diag)) + str(caught.value)


FIELDS = [name for name in dir(psycopg.errors.Diagnostic) if not name.startswith("_")]


@pytest.mark.parametrize(
    "call",
    [
        lambda client, id: client.update_config(id, {}),
        lambda client, id: client.upgrade_instance(id, uuid4()),
        lambda client, id: client.rename_instance(id, "n"),
        lambda client, id: client.set_instance_status(id, "disabled"),
        lambda client, id: client.set_instance_status(id, "pending"),
        lambda client, id: client.delete_instance(id),
        lambda client, id: client.put_credentials(id, "{}"),
        lambda client, id: client.put_credentials(id, "{}", 7),
        lambda client, id: client.get_credentials(id),
        lambda client, id: client.open_read_lease(id, "why"),
        lambda client, id: client.revoke_credentials(id),
        lambda client, id: client.record_connection(id, True),
        lambda client, id: client.record_connection(id, False),
    ],
)
def test_a_foreign_id_answers_as_one_that_never_was(
    world: World, call: Callable[[Client, UUID], object]
) -> None:
    tenant_id = world.new_tenant()
    _, foreign = world.new_stored()
    answers = []
    for instance_id in (foreign, uuid4()):
        with world.refused("IN201") as caught, world.unlocked(tenant_id):
            call(world.svc, instance_id)
        fields = {name: getattr(caught.value.diag, name) for name in FIELDS}
        answers.append(str(fields).replace(str(instance_id), "<id>"))
    assert answers[0] == answers[1]


def test_foreign_keys_are_no_oracle(world: World) -> None:
    (tenant_id, mine), (_, foreign) = world.new_stored(), world.new_stored()
    foreign_key = world.instance(foreign).credentials_key_id
    for key in (foreign_key, uuid4()):
        with world.refused("23503"):
            world.superuser.run(
                f"update {TABLE}"
                " set credentials = credentials || jsonb_build_object('key', %s::text)"
                " where tenant_id = %s and id = %s",
                str(key),
                tenant_id,
                mine,
            )


def test_no_row_without_a_tenant(world: World) -> None:
    with world.refused("23502"):
        world.superuser.run(
            f"insert into {TABLE} (integration_id, name) values (%s, 'n')",
            world.definition,
        )


@pytest.mark.parametrize("role", ["integrations_owner", "integrations_keymaster"])
def test_even_the_owners_are_held_by_row_level_security(
    world: World, login: Callable[[str, str], str], role: str
) -> None:
    (tenant_id, mine), _ = world.new_stored(), world.new_stored()
    owner = world.log_in(login(role, world.dsn))
    if role == "integrations_keymaster":
        for column in ("credentials", "name", "config"):
            with world.refused("42501"):
                owner.rows(f"select {column} from {TABLE}")
        return
    assert owner.rows(f"select id from {TABLE}") == []
    with owner.within(tenant_id):
        assert owner.rows(f"select id from {TABLE}") == [(mine,)]
        assert owner.value("select count(*) from integrations_private.tenant_keys") == 1
        assert owner.run(f"update {TABLE} set name = name") == 1
    with world.refused("42501"), owner.within(tenant_id):
        owner.run(f"update {TABLE} set tenant_id = %s", uuid4())
