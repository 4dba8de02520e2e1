"""A session may be set up in any way that its user is allowed to: the answers stay the same."""

from __future__ import annotations

from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest
from api.world import World
from psycopg.types.json import Jsonb

AT = datetime(2031, 5, 17, 10, 30, tzinfo=UTC)
STORED = '{"token": "é\\\\n\'\\"", "expires_at": "2031-05-17T10:30:00Z", "n": 1.50}'
READ = {"token": "é\\n'\"", "expires_at": "2031-05-17T10:30:00Z", "n": 1.5}

SETTINGS = {
    "other dates": ["datestyle = 'SQL, DMY'", "timezone = 'America/St_Johns'"],
    "other intervals": ["intervalstyle = sql_standard"],
    "other bytes": ["bytea_output = escape", "xmlbinary = hex"],
    "old literals": ["standard_conforming_strings = off", "escape_string_warning = off"],
    "old NULLs": ["transform_null_equals = on", "array_nulls = off"],
    "no row security": ["row_security = off"],
    "generic plans": ["plan_cache_mode = force_generic_plan", "enable_indexscan = off"],
    "compiled": ["jit = on", "jit_above_cost = 0", "jit_inline_above_cost = 0"],
    "serializable": ["default_transaction_isolation = serializable"],
    "strict PL/pgSQL": ["plpgsql.print_strict_params = on", "plpgsql.extra_warnings = 'all'"],
    "quoted": ["quote_all_identifiers = on", "extra_float_digits = -15"],
    "parallel": ["parallel_setup_cost = 0", "min_parallel_table_scan_size = 0"],
}


def live(world: World) -> None:
    """The life of an instance, with what must come of it."""
    svc, tenant_id = world.svc, uuid4()
    with svc.within(tenant_id):
        svc.create_tenant_key(world.kek_id, world.kek)
        assert svc.unlock(world.kek_id, world.kek) == 1
        instance_id = svc.create_instance(world.definition, "Sales", {"a": [1, None]})
        assert svc.put_credentials(instance_id, STORED) == 1
        assert svc.get_credentials(instance_id) == READ
        svc.fail_refresh(svc.claim_refresh(instance_id), "refused")
        assert svc.complete_refresh(svc.claim_refresh(instance_id), STORED, 1) == 2
        svc.rows("select tenant_id, instance_id from integrations.list_refresh_due(1)")
        svc.create_tenant_key(world.kek_id, world.kek)
        assert svc.unlock(world.kek_id, world.kek) == 2
        assert svc.get_credentials(instance_id) == READ
    row = world.instance(instance_id)
    assert (row.status, row.config, row.credentials_expire_at) == ("active", {"a": [1, None]}, AT)
    assert world.read(tenant_id, instance_id) == READ, "an ordinary session reads the same"
    with world.refused("IN305"), world.unlocked(tenant_id):
        svc.put_credentials(instance_id, "[]")
    with world.refused("IN201"), world.unlocked(tenant_id):
        svc.get_credentials(uuid4())
    with svc.within(tenant_id):
        svc.revoke_credentials(instance_id)


@pytest.mark.parametrize("settings", SETTINGS)
def test_settings(world: World, settings: str) -> None:
    for setting in SETTINGS[settings]:
        world.svc.run(f"set {setting}")
    live(world)


def test_literals_of_a_session_are_not_those_of_functions(world: World) -> None:
    """A function is compiled by the first session that calls it, under its settings."""
    clients = [world.client("integrations_admin"), world.client("integrations_tenant")]
    admin, tenant = clients
    for client in clients:
        client.run("set standard_conforming_strings = off")
        client.run("set escape_string_warning = off")
        client.run("set backslash_quote = off")
    schema = Jsonb({"properties": {"host": {"pattern": r"^\w+\.example\x2ecom$"}}})
    definition = admin.register_definition(f"Old {uuid4()}", config_schema=schema)
    admin.set_definition_status(definition, "published")
    tenant_id = uuid4()
    with tenant.within(tenant_id):
        tenant.create_instance(definition, "dots", {"host": "a_1.example.com"})
    with world.refused("IN203"), tenant.within(tenant_id):
        tenant.create_instance(definition, "no dots", {"host": "a-1xexample.com"})


# What the model's functions call; a temporary schema and a public one hold impostors of them.
IMPOSTORS = """
create function {0}.hmac(bytea, bytea, text) returns bytea language sql return ''::bytea;
create function {0}.encode(bytea, text) returns text language sql return 'stolen';
create function {0}.format(text, variadic text[]) returns text language sql return 'stolen';
create function {0}.current_setting(text, boolean) returns text language sql return 'stolen';
create function {0}.set_config(text, text, boolean) returns text language sql return 'stolen';
create function {0}.current_tenant() returns uuid language sql return gen_random_uuid();
create function {0}.clock_timestamp() returns timestamptz language sql return now();
create function {0}.same(uuid, uuid) returns boolean language sql return true;
create function {0}.same(bytea, bytea) returns boolean language sql return true;
create operator {0}.= (leftarg = uuid, rightarg = uuid, function = {0}.same);
create operator {0}.= (leftarg = bytea, rightarg = bytea, function = {0}.same);
create operator {0}.<> (leftarg = bytea, rightarg = bytea, function = {0}.same);
create domain {0}.uuid as pg_catalog.text;
create table {0}.integration_instances (tenant_id pg_catalog.uuid, id pg_catalog.uuid);
create table {0}.tenant_keys (tenant_id pg_catalog.uuid, id pg_catalog.uuid);
create table {0}.audit_log (tenant_id pg_catalog.uuid);
"""


def test_impostors_in_the_temporary_schema(world: World) -> None:
    world.svc.run("create temp table makes_the_schema ()")
    world.svc.conn.execute(IMPOSTORS.format("pg_temp").encode())
    world.svc.run("set search_path = pg_temp, pg_catalog, integrations, integrations_private")
    live(world)


def test_impostors_in_a_schema_of_somebody_else(world: World) -> None:
    schema = f"evil_{uuid4().hex}"
    world.superuser.run(f"create schema {schema}")
    try:
        world.superuser.conn.execute(IMPOSTORS.format(schema).encode())
        world.superuser.run(f"grant usage on schema {schema} to public")
        world.superuser.run(f"grant all on all tables in schema {schema} to public")
        world.svc.run(f"set search_path = {schema}, pg_catalog, integrations")
        live(world)
    finally:
        world.superuser.run(f"drop schema {schema} cascade")


def test_parallel_workers_know_the_tenant(world: World) -> None:
    """The setting that holds the tenant reaches them, and so no other tenant's rows do."""
    (tenant_id, mine), _ = world.new_stored(), world.new_stored()
    forced = {True: "debug_parallel_query", False: "force_parallel_mode"}
    version = world.tenant.conn.info.server_version
    world.tenant.run(f"set {forced[version >= 160000]} = on")
    query = "select id from integrations.integration_instances"
    with world.tenant.within(tenant_id):
        plan = str(world.tenant.rows(f"explain {query}"))
        found: list[tuple[UUID]] = world.tenant.rows(query)
    assert "Gather" in plan
    assert found == [(mine,)]
