"""Who may do what: the table of functions, tried by a login of every role; and everything else.

A call with NULLs tells the two cases apart: a role that may call gets as far as the function's own
answer, a role that may not is stopped by 42501.
"""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

import psycopg
import pytest
from api.world import ROLES, STRANGER, World

SVC, TENANT, ADMIN, AUDITOR = ROLES
EVERYBODY = (*ROLES, STRANGER)

FUNCTIONS = {
    "set_tenant(uuid)": {TENANT, SVC, ADMIN},
    "current_tenant()": {TENANT, SVC, ADMIN},
    "register_definition(text, text, text, text, text, jsonb, jsonb)": {ADMIN},
    "set_definition_status(uuid, integrations.integration_definition_status)": {ADMIN},
    "discard_draft(uuid)": {ADMIN},
    "create_instance(uuid, text, jsonb)": {TENANT, SVC},
    "update_config(uuid, jsonb)": {TENANT, SVC},
    "upgrade_instance(uuid, uuid)": {TENANT, SVC},
    "rename_instance(uuid, text)": {TENANT, SVC},
    "set_instance_status(uuid, integrations.integration_instance_status, text)": {TENANT, SVC},
    "delete_instance(uuid)": {TENANT, SVC},
    "unlock(text, bytea)": {SVC},
    "put_credentials(uuid, text, integer)": {SVC},
    "get_credentials(uuid)": {SVC},
    "open_read_lease(uuid, text)": {SVC},
    "read_with_lease(uuid)": {SVC},
    "revoke_credentials(uuid)": {SVC},
    "record_connection(uuid, boolean, text)": {SVC},
    "create_tenant_key(text, bytea)": {SVC, ADMIN},
    "add_tenant_key(text, bytea, bytea)": {SVC},
    "unlock_key(uuid, bytea)": {SVC},
    "wrapped_keys()": {SVC},
    "reencrypt_batch(integer)": {SVC},
    "claim_refresh(uuid, text, interval)": {SVC},
    "complete_refresh(uuid, text, integer)": {SVC},
    "fail_refresh(uuid, text, interval)": {SVC},
    "list_refresh_due(integer)": {SVC},
    "rewrap_keys(text, bytea, text, bytea, integer)": {ADMIN},
    "retire_key(uuid)": {ADMIN},
    "destroy_key(uuid, text)": {ADMIN},
    "doctor()": {ADMIN},
    "maintain_audit(interval)": {ADMIN},
}
VIEWS = {
    "instance_overview": {TENANT, SVC, AUDITOR},
    "key_overview": {ADMIN},
    "audit_trail": {AUDITOR},
}
TABLES = {
    "integration_definitions": {TENANT, SVC, ADMIN, AUDITOR},
    "integration_instances": {TENANT, SVC, AUDITOR},
}
ANSWERS = {None, "22023", "IN001"}  # None: no error


def sqlstate_of(world: World, role: str, statement: str) -> str | None:
    """Tries a statement in a transaction that is rolled back."""
    client = world.of(role)
    try:
        with client.conn.transaction(force_rollback=True):
            client.run(statement)
    except psycopg.Error as error:
        return error.sqlstate
    return None


def nulls(signature: str) -> str:
    """Turns a signature into a call with a NULL for each argument."""
    name, _, types = signature.rstrip(")").partition("(")
    values = [f"null::{type}" for type in types.split(", ") if type]
    return f"{name}({', '.join(values)})"


@pytest.mark.parametrize("role", EVERYBODY)
@pytest.mark.parametrize("function", FUNCTIONS)
def test_function(world: World, function: str, role: str) -> None:
    sqlstate = sqlstate_of(world, role, f"select integrations.{nulls(function)}")
    if role in FUNCTIONS[function]:
        assert sqlstate in ANSWERS
    else:
        assert sqlstate == "42501"


def test_there_are_no_other_functions(world: World) -> None:
    functions = {
        name.replace("integrations.", "", 1)
        for (name,) in world.superuser.rows(
            "select oid::regprocedure::text from pg_proc"
            " where pronamespace = 'integrations'::regnamespace"
        )
    }
    assert functions == {signature.replace(", ", ",") for signature in FUNCTIONS}


@pytest.mark.parametrize("role", EVERYBODY)
@pytest.mark.parametrize("relation", [*VIEWS, *TABLES])
def test_relation(world: World, relation: str, role: str) -> None:
    column = {"key_overview": "key_id"}.get(relation, "id")
    sqlstate = sqlstate_of(world, role, f"select {column} from integrations.{relation}")
    may = role in (VIEWS | TABLES)[relation]
    assert sqlstate == (None if may else "42501")


def test_there_are_no_other_relations(world: World) -> None:
    relations = world.superuser.rows(
        "select relname::text from pg_class where relnamespace = 'integrations'::regnamespace"
        " and relkind in ('r', 'p', 'v', 'm', 'f', 'S')"
    )
    assert {name for (name,) in relations} == {*VIEWS, *TABLES}


@pytest.mark.parametrize("role", EVERYBODY)
@pytest.mark.parametrize("relation", [*VIEWS, *TABLES])
def test_nobody_writes_by_hand(world: World, relation: str, role: str) -> None:
    client, table = world.client(role), f"integrations.{relation}"
    column = {"key_overview": "key_id", "audit_trail": "id"}.get(relation, "created_at")
    for statement in (
        f"insert into {table} default values",
        f"update {table} set {column} = {column}",
        f"delete from {table}",
        f"truncate {table}",
        f"lock table {table} in access exclusive mode",
        f"select {column} from {table} for update",
        f"create trigger t before insert on {table} execute function"
        " suppress_redundant_updates_trigger()",
        f"alter table {table} disable trigger all",
        f"alter table {table} disable row level security",
        f"comment on table {table} is 'mine'",
        f"drop view {table}" if relation in VIEWS else f"drop table {table}",
    ):
        # A view of two tables has no rows to write, whoever asks.
        unwritable = ["55000", "42809"] if relation in VIEWS else []
        with world.refused("42501", *unwritable), client.conn.transaction():
            client.run(statement)


@pytest.mark.parametrize("role", EVERYBODY)
def test_the_private_schema_is_out_of_reach(world: World, role: str) -> None:
    names = world.superuser.rows(
        "select format('select %s(%s)', p.oid::regproc,"
        "   (select string_agg('null::' || format_type(t, null), ', ' order by o)"
        "      from unnest(p.proargtypes) with ordinality as a (t, o)))"
        "  from pg_proc as p where pronamespace = 'integrations_private'::regnamespace"
        "   and p.prorettype <> 'trigger'::regtype"
        " union all"
        " select format('select from %s', oid::regclass) from pg_class"
        "  where relnamespace = 'integrations_private'::regnamespace and relkind in ('r', 'p', 'v')"
        " union all select 'create table integrations_private.mine ()'"
        " union all select 'create table integrations.mine ()'"
        " union all select 'create function pgcrypto.mine() returns int language sql return 1'"
    )
    assert len(names) > 30
    for (statement,) in names:
        assert sqlstate_of(world, role, statement) == "42501", statement


def test_a_stranger_has_no_privilege_at_all(world: World) -> None:
    stranger = world.client(STRANGER)
    reachable = stranger.rows(
        "select p.oid::regprocedure from pg_proc as p"
        " where pronamespace::regnamespace::text like 'integrations%'"
        "   and has_function_privilege(p.oid, 'execute')"
        " union all"
        " select c.oid::regclass::text::regprocedure from pg_class as c"
        " where relnamespace::regnamespace::text like 'integrations%'"
        "   and (has_table_privilege(c.oid, 'select, insert, update, delete, truncate')"
        "        or has_any_column_privilege(c.oid, 'select, insert, update, references'))"
        "   and relkind in ('r', 'p', 'v')"
    )
    assert reachable == []


@pytest.mark.parametrize("role", EVERYBODY)
def test_nobody_becomes_another_role(world: World, role: str) -> None:
    for other in ("integrations_owner", "integrations_keymaster", *ROLES):
        allowed = other == role
        sqlstate = sqlstate_of(world, role, f"set local role {other}")
        assert sqlstate == (None if allowed else "42501")


def test_only_the_service_reads_the_column_credentials(world: World) -> None:
    grantees = world.superuser.rows(
        "select distinct a.grantee::regrole::text from pg_attribute as t,"
        " lateral aclexplode(t.attacl) as a"
        " where t.attrelid = 'integrations.integration_instances'::regclass"
        "   and t.attname = 'credentials'"
    )
    assert grantees == [("svc_integration",)]
    whole = world.superuser.rows(
        "select a.grantee::regrole::text from pg_class as c, lateral aclexplode(c.relacl) as a"
        " where c.oid = 'integrations.integration_instances'::regclass"
        "   and a.grantee <> c.relowner"
    )
    assert whole == []


@pytest.mark.parametrize("role", [SVC, TENANT])
@pytest.mark.parametrize(
    "change",
    [
        "update {0} set credentials = null",
        "update {0} set credentials = credentials, credentials_version = 0 where id = '{2}'",
        "update {0} set status = 'active'",
        "update {0} set tenant_id = '{3}' where tenant_id = '{1}'",
        "delete from {0} where id = '{2}'",
        "insert into {0} (tenant_id, integration_id, name) values ('{1}', '{4}', 'mine')",
        "insert into {0} (tenant_id, integration_id, name) values ('{3}', '{4}', 'theirs')",
        "insert into {0} (tenant_id, integration_id, name) values ('{1}', '{4}', 'n')"
        " on conflict (tenant_id, name) do update set name = excluded.credentials::text",
        "merge into {0} as i using (values (1)) as v on true when matched then delete",
        "with gone as (delete from {0} returning id) select * from gone",
        "copy {0} (tenant_id, name) from stdin",
        "truncate {0}",
        "create rule r as on select to {0} do instead nothing",
        "create policy mine on {0} for all to public using (true)",
        "alter table {0} owner to current_user",
        "grant all on {0} to public",
    ],
)
def test_rows_change_through_functions_only(world: World, role: str, change: str) -> None:
    """Also those of one's own tenant, and to another tenant nothing moves."""
    tenant_id, instance_id = world.new_stored()
    other = world.new_tenant()
    client = world.client(role)
    command = change.format(
        "integrations.integration_instances", tenant_id, instance_id, other, world.definition
    )
    with world.refused("42501"), client.within(tenant_id):
        client.conn.execute(command.encode())


@pytest.mark.parametrize("role", EVERYBODY)
def test_nothing_is_emptied(world: World, role: str) -> None:
    """Neither row-level security nor a trigger for rows would stop TRUNCATE."""
    client = world.client(role)
    tables = world.superuser.rows(
        "select oid::regclass::text from pg_class where relkind in ('r', 'p')"
        " and relnamespace::regnamespace::text in ('integrations', 'integrations_private')"
    )
    assert len(tables) > 5
    for (table,) in tables:
        with world.refused("42501"):
            client.run(f"truncate {table} cascade")
