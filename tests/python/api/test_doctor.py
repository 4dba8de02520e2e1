"""Every hazard that doctor() names is noticed, and a clean deployment has none.

What is broken is broken in a transaction that is rolled back, roles and settings of the cluster
included; so the others' logins, which come and go meanwhile, are seen, too.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from integrations_db.testing.servers import Server

from .client import Client
from .deployment import deploy
from .world import World, connect

Report = dict[str, tuple[str, str]]


def examine(client: Client) -> Report:
    """Gives status and detail of each check."""
    rows = client.rows("select check_name, status, detail from integrations.doctor()")
    report = {name: (status, detail) for name, status, detail in rows}
    assert len(report) == len(rows), "a check is told twice"
    assert {status for status, _ in report.values()} <= {"ok", "warn", "fail"}
    assert all(detail.endswith(".") for _, detail in report.values())
    return report


def user(conninfo: str) -> str:
    return str(conninfo_to_dict(conninfo)["user"])


def after(world: World, *statements: str) -> Report:
    """Gives what an administrator is told after these, which are taken back."""
    names = {
        "db": conninfo_to_dict(world.dsn)["dbname"],
        "svc": user(world.logins["svc_integration"]),
        "admin": user(world.logins["integrations_admin"]),
        "tenant": user(world.logins["integrations_tenant"]),
        "stranger": user(world.logins["stranger"]),
    }
    with world.superuser.conn.transaction(force_rollback=True):
        for statement in statements:
            world.superuser.run(statement.format(**names))
        world.superuser.run("set local role integrations_admin")
        return examine(world.superuser)


SETTINGS: list[tuple[str, str, list[str]]] = [
    ("log_statement", "fail", ["set local log_statement = 'all'"]),
    ("log_statement", "fail", ["alter database {db} set log_statement = 'ALL'"]),
    ("log_statement", "fail", ["alter role {svc} set log_statement = 'mod'"]),
    ("log_statement", "fail", ["alter role all set log_statement = 'all'"]),
    ("log_statement", "fail", ["alter role {admin} in database {db} set log_statement = 'all'"]),
    ("log_min_duration_statement", "fail", ["set local log_min_duration_statement = 0"]),
    (
        "log_min_duration_statement",
        "fail",
        ["alter role {svc} set log_min_duration_statement = '250ms'"],
    ),
    ("log_min_duration_sample", "fail", ["alter role {svc} set log_min_duration_sample = '1s'"]),
    (
        "log_transaction_sample_rate",
        "fail",
        ["alter role {svc} set log_transaction_sample_rate = 0.01"],
    ),
    (
        "log_parameter_max_length_on_error",
        "fail",
        ["alter role {svc} set log_parameter_max_length_on_error = -1"],
    ),
    (
        "log_parameter_max_length_on_error",
        "fail",
        ["set local log_parameter_max_length_on_error = '1kB'"],
    ),
    ("debug_print", "fail", ["alter role {svc} set debug_print_plan = on"]),
    ("debug_print", "fail", ["alter database {db} set debug_print_parse = on"]),
    ("debug_print", "fail", ["alter role {admin} set debug_print_rewritten = on"]),
    (
        "auto_explain.log_verbose",
        "warn",
        [
            "alter role {svc} set auto_explain.log_min_duration = '1s'",
            "alter role {svc} set auto_explain.log_verbose = on",
        ],
    ),
    (
        "auto_explain.log_verbose",
        "warn",
        [
            "set local auto_explain.log_min_duration = 0",
            "alter role {svc} set auto_explain.log_nested_statements = on",
        ],
    ),
    ("pgaudit.log_parameter", "fail", ["alter role {svc} set pgaudit.log_parameter = on"]),
    ("synchronous_commit", "warn", ["alter role {svc} set synchronous_commit = off"]),
]


@pytest.mark.parametrize(("check", "status", "statements"), SETTINGS)
def test_a_setting_that_prints_secrets(
    world: World, check: str, status: str, statements: list[str]
) -> None:
    found, detail = after(world, *statements)[check]
    assert found == status, detail
    assert (
        "this session" in detail
        or user(world.logins["svc_integration"]) in detail
        or (user(world.logins["integrations_admin"]) in detail)
    )


@pytest.mark.parametrize("where", ["set local", "alter role {svc} set", "alter database {db} set"])
def test_parameters_of_auto_explain(world: World, where: str) -> None:
    report = after(world, f"{where} auto_explain.log_min_duration = 0")
    new = world.superuser.conn.info.server_version >= 160000
    assert report["auto_explain.log_parameter_max_length"][0] == ("fail" if new else "ok")
    report = after(
        world,
        f"{where} auto_explain.log_min_duration = 0",
        f"{where} auto_explain.log_parameter_max_length = 0",
    )
    assert report["auto_explain.log_parameter_max_length"][0] == "ok"


def test_parameters_of_auto_explain_when_it_is_loaded(world: World) -> None:
    client = world.log_in(world.dsn)
    client.run("load 'auto_explain'")
    client.run("set auto_explain.log_min_duration = 0")
    new = client.conn.info.server_version >= 160000
    check = "auto_explain.log_parameter_max_length"
    assert examine(client)[check][0] == ("fail" if new else "ok")
    client.run("set auto_explain.log_min_duration = -1")
    assert examine(client)[check][0] == "ok"


@pytest.mark.parametrize(
    "statements",
    [
        # Statements may be logged where parameters are not.
        ["alter role {svc} set log_statement = 'all'",
         "alter role {svc} set log_parameter_max_length = 0"],
        ["alter database {db} set log_statement = 'all'",
         "alter database {db} set log_parameter_max_length = '0kB'",
         "set local log_parameter_max_length = 0"],
        # A role's setting counts more than the database's, and one for both counts most.
        ["alter database {db} set log_statement = 'all'",
         "alter role {svc} set log_statement = 'none'",
         "alter role svc_integration set log_statement = 'none'",
         "alter role {admin} set log_statement = 'ddl'"],
        ["alter role {svc} set log_statement = 'all'",
         "alter role {svc} in database {db} set log_statement = 'none'"],
        # Nor does it fall over what is no value.
        ["alter role {svc} set auto_explain.log_verbose = 'nonsense'",
         "alter role {svc} set auto_explain.log_min_duration = 'nonsense'"],
        # Whoever passes no secret may log what he likes.
        ["alter role {tenant} set log_statement = 'all'"],
        ["alter role {stranger} set log_statement = 'all'"],
    ],
)  # fmt: skip
def test_a_setting_that_prints_none(world: World, statements: list[str]) -> None:
    status, detail = after(world, *statements)["log_statement"]
    found = set(detail.partition(" Found: ")[2].removesuffix(".").split(", ")) - {""}
    # Other tests have logins on this server, with settings of their own.
    assert not found & {"this session", *map(user, world.logins.values())}
    assert status == ("fail" if found else "ok")


@pytest.mark.parametrize(
    ("check", "statements"),
    [
        ("log_min_duration_statement",
         ["alter role {stranger} set log_min_duration_statement = 0",
          "alter role {stranger} set log_parameter_max_length = 0"]),
        ("log_min_duration_sample",
         ["alter role {stranger} set log_min_duration_sample = 0",
          "alter role {stranger} set log_statement_sample_rate = 0"]),
        ("auto_explain.log_verbose", ["alter role {stranger} set auto_explain.log_verbose = on"]),
        # Every superuser is a member of everything, and has a check of his own.
        ("log_statement",
         ["alter role {stranger} superuser", "alter role {stranger} set log_statement = 'all'"]),
        # What another database has is not for this one.
        ("log_statement", ["alter role {stranger} in database postgres set log_statement = 'all'"]),
    ],
)  # fmt: skip
def test_what_prints_none_by_itself(world: World, check: str, statements: list[str]) -> None:
    _, detail = after(world, "grant svc_integration to {stranger}", *statements)[check]
    assert user(world.logins["stranger"]) not in detail


BROKEN: list[tuple[str, str, str, list[str]]] = [
    ("package_roles", "fail", "integrations_tenant", ["alter role integrations_tenant createdb"]),
    *[
        ("package_roles", "fail", "svc_integration", [f"alter role svc_integration {power}"])
        for power in ("superuser", "bypassrls", "createrole", "replication")
    ],
    ("bypass_row_security", "fail", "{svc}", ["alter role {svc} bypassrls"]),
    ("bypass_row_security", "fail", "{tenant}", ["alter role {tenant} superuser"]),
    *[
        ("bypass_row_security", "fail", "{stranger}",
         [f"grant {role} to {{stranger}}", "alter role {stranger} bypassrls"])
        for role in ("integrations_admin", "integrations_auditor")
    ],
    *[
        ("bypass_row_security", "fail", "{svc}",
         [f"create role between_them {power}", "create role nearer in role between_them",
          "grant nearer to {svc}"])
        for power in ("superuser", "bypassrls")
    ],
    ("owner_members", "warn", "{stranger}", ["grant integrations_owner to {stranger}"]),
    ("owner_members", "warn", "{stranger}", ["grant integrations_keymaster to {stranger}"]),
    (
        "owner_members",
        "warn",
        "{stranger}",
        ["create role between_them", "grant integrations_owner to between_them",
         "grant between_them to {stranger}"],
    ),
    ("service_and_auditor", "fail", "{svc}", ["grant integrations_auditor to {svc}"]),
    ("service_and_auditor", "fail", "svc_integration",
     ["grant integrations_auditor to svc_integration"]),
    ("bypass_row_security", "fail", "svc_integration",
     ["create role between_them bypassrls", "grant between_them to svc_integration"]),
    ("role_admins", "warn", "{svc}", ["grant svc_integration to {svc} with admin option"]),
    (
        "role_admins",
        "warn",
        "{stranger}",
        ["create role between_them", "grant svc_integration to between_them with admin option",
         "grant between_them to {stranger}"],
    ),
    (
        "role_admins",
        "warn",
        "{stranger}",
        ["create role between_them in role integrations_owner",
         "grant between_them to {stranger} with admin option"],
    ),
    *[
        ("predefined_roles", "warn", f"{{stranger}} in {role}", [f"grant {role} to {{stranger}}"])
        for role in ("pg_write_all_data", "pg_read_server_files", "pg_write_server_files",
                     "pg_execute_server_program")
    ],
    ("public_create", "fail", "database {db}", ["grant create on database {db} to public"]),
    ("public_create", "fail", "schema public", ["grant create on schema public to public"]),
    ("logical_backup", "warn", "{stranger}", ["grant pg_read_all_data to {stranger}"]),
    ("logical_backup", "warn", "{stranger}", ["grant integrations_owner to {stranger}"]),
    (
        "definer_functions",
        "fail",
        "integrations.get_credentials(uuid)",
        ["alter function integrations.get_credentials(uuid) reset row_security"],
    ),
    (
        "definer_functions",
        "fail",
        "integrations.unlock(text,bytea)",
        ["alter function integrations.unlock(text, bytea) owner to {stranger}"],
    ),
    (
        "search_path",
        "fail",
        "integrations_private.parse_credentials(text)",
        ["alter function integrations_private.parse_credentials(text) reset search_path"],
    ),
    (
        "public_functions",
        "fail",
        "integrations.unlock(text,bytea)",
        ["grant execute on function integrations.unlock(text, bytea) to public"],
    ),
    *[
        ("public_functions", "fail", f"{function} to {grantee}",
         [f"grant execute on function {function} to {grantee}"])
        for function, grantee in [
            ("integrations.get_credentials(uuid)", "integrations_tenant"),
            ("integrations.get_credentials(uuid)", "integrations_admin"),
            ("integrations.current_tenant()", "integrations_auditor"),
            ("integrations.retire_key(uuid)", "svc_integration"),
            ("integrations.current_tenant()", "{stranger}"),
            ("integrations_private.drop_audit_partition(regclass)", "integrations_admin"),
            ("integrations_private.list_keys()", "svc_integration"),
        ]
    ],
    (
        "public_functions",
        "fail",
        "integrations_private.quarantine_reason() to {stranger}",
        ["alter function integrations_private.quarantine_reason() owner to {stranger}"],
    ),
    (
        "table_privileges",
        "fail",
        "integrations_private.read_leases to {stranger}",
        ["alter table integrations_private.read_leases owner to {stranger}"],
    ),
    (
        "credentials_readers",
        "fail",
        "{stranger}",
        ["alter table integrations.integration_instances owner to {stranger}"],
    ),
    (
        "pgcrypto_schema",
        "fail",
        "integrations_private by {stranger}",
        ["alter schema integrations_private owner to {stranger}"],
    ),
    (
        "row_security",
        "fail",
        "integrations_private.tenant_keys",
        ["alter table integrations_private.tenant_keys no force row level security"],
    ),
    (
        "row_security",
        "fail",
        "integrations_private.audit_log_default",
        ["alter table integrations_private.audit_log_default disable row level security"],
    ),
    (
        "row_security",
        "fail",
        "integrations.instance_overview",
        ["alter view integrations.instance_overview set (security_invoker = false)"],
    ),
    (
        "row_security",
        "fail",
        "integrations.copies",
        ["create materialized view integrations.copies as"
         " select * from integrations.integration_instances"],
    ),
    (
        "policies",
        "fail",
        "integrations.integration_instances.others",
        ["create policy others on integrations.integration_instances using (true)"],
    ),
    (
        "policies",
        "fail",
        "integrations_private.tenant_keys.tenant_all",
        ["alter policy tenant_all on integrations_private.tenant_keys using (true)"],
    ),
    (
        "policies",
        "fail",
        "integrations_private.read_leases.tenant_all",
        ["alter policy tenant_all on integrations_private.read_leases with check (true)"],
    ),
    (
        "policies",
        "fail",
        "integrations.integration_instances.tenant_all",
        ["alter policy tenant_all on integrations.integration_instances to public"],
    ),
    (
        "policies",
        "fail",
        "integrations.integration_instances.auditor_select",
        ["alter policy auditor_select on integrations.integration_instances"
         " to integrations_auditor, integrations_tenant"],
    ),
    (
        "policies",
        "fail",
        "integrations.integration_instances.keymaster_select",
        ["alter policy keymaster_select on integrations.integration_instances to {svc}"],
    ),
    (
        "table_privileges",
        "fail",
        "integrations_private.audit_log to svc_integration",
        ["grant insert on integrations_private.audit_log to svc_integration"],
    ),
    (
        "table_privileges",
        "fail",
        "integrations.integration_instances to PUBLIC",
        ["grant update (status) on integrations.integration_instances to public"],
    ),
    (
        "table_privileges",
        "fail",
        "integrations_private.tenant_keys to integrations_auditor",
        ["grant select on integrations_private.tenant_keys to integrations_auditor"],
    ),
    (
        "foreign_code",
        "warn",
        "integrations_private.audit_log.forget",
        ["create rule forget as on insert to integrations_private.audit_log do instead nothing"],
    ),
    (
        "foreign_code",
        "warn",
        "integrations.integration_instances.copy_rows",
        ["create trigger copy_rows before update on integrations.integration_instances for each row"
         " execute function suppress_redundant_updates_trigger()"],
    ),
    (
        "statistics",
        "warn",
        "integrations.integration_instances.credentials",
        ["alter table integrations.integration_instances alter credentials set statistics 100"],
    ),
    (
        "statistics",
        "warn",
        "integrations_private.tenant_keys.wrapped",
        ["alter table integrations_private.tenant_keys alter wrapped set statistics -1"],
    ),
    (
        "append_only",
        "fail",
        "integrations_private.audit_log_default",
        ["alter table integrations_private.audit_log_default disable trigger _110_no_truncate"],
    ),
    (
        "append_only",
        "fail",
        "integrations_private.audit_log",
        ["alter table integrations_private.audit_log enable trigger _100_append_only"],
    ),
    (
        "triggers",
        "fail",
        "integrations.integration_definitions._100_immutable",
        ["alter table integrations.integration_definitions disable trigger _100_immutable"],
    ),
    (
        "credentials_readers",
        "fail",
        "integrations_tenant",
        ["grant select (credentials) on integrations.integration_instances to integrations_tenant"],
    ),
    (
        "credentials_readers",
        "fail",
        "PUBLIC",
        ["grant select on integrations.integration_instances to public"],
    ),
    ("pgcrypto_schema", "fail", "PUBLIC", ["grant create on schema pgcrypto to public"]),
    *[
        ("pgcrypto_schema", "fail", f"{schema} by svc_integration",
         [f"grant create on schema {schema} to svc_integration"])
        for schema in ("integrations", "integrations_private")
    ],
    (
        "default_privileges",
        "fail",
        "integrations_owner",
        ["alter default privileges for role integrations_owner grant select on tables to public"],
    ),
    (
        "keys_never_rotated",
        "warn",
        "active data keys",
        ["update integrations_private.tenant_keys set created_at = now() - interval '366 days'"],
    ),
    (
        "keks_never_rotated",
        "warn",
        "kek-2026",
        [
            "update integrations_private.key_encryption_keys"
            " set created_at = now() - interval '366 days'"
        ],
    ),
    (
        "quarantine",
        "warn",
        " instances",
        [
            "update integrations_private.tenant_keys set state = 'decrypt_only'"
            " where state = 'active'",
            "update integrations.integration_instances set status = 'error'"
            " where credentials is not null",
        ],
    ),
    (
        "tenant_setting",
        "fail",
        "database {db}",
        ["alter database {db} set integrations.tenant_id = 'a'"],
    ),
    (
        "tenant_setting",
        "fail",
        "{svc}",
        ["alter role {svc} set integrations.keyring = 'a'"],
    ),
]  # fmt: skip


@pytest.mark.parametrize(("check", "status", "found", "statements"), BROKEN)
def test_what_somebody_has_broken(
    world: World, check: str, status: str, found: str, statements: list[str]
) -> None:
    world.new_stored()
    found = found.format(
        db=conninfo_to_dict(world.dsn)["dbname"],
        svc=user(world.logins["svc_integration"]),
        tenant=user(world.logins["integrations_tenant"]),
        stranger=user(world.logins["stranger"]),
    )
    before = after(world)[check][1]  # other tests may have left something to find
    told, detail = after(world, *statements)[check]
    assert detail != before
    assert told == status, detail
    assert found in detail.partition("Found:")[2]


def test_the_way_to_write_literals_does_not_matter(
    world: World, login: Callable[[str, str], str]
) -> None:
    """Zero has a unit here, which a pattern leaves out."""
    conninfo = login("svc_integration", world.dsn)
    role = user(conninfo)
    world.superuser.run(f"alter role {role} set log_statement = 'all'")
    world.superuser.run(f"alter role {role} set log_parameter_max_length = '0kB'")
    admin = world.client("integrations_admin")
    admin.run("set standard_conforming_strings = off")
    assert role not in examine(admin)["log_statement"][1]


def test_the_way_to_quote_names_does_not_matter(world: World) -> None:
    superuser = world.superuser
    with superuser.conn.transaction(force_rollback=True):
        # One snapshot: meanwhile other tests make logins that doctor() rightly names.
        superuser.run("set transaction isolation level repeatable read")
        superuser.run("set local role integrations_admin")
        plain = examine(superuser)
        superuser.run("set local quote_all_identifiers = on")
        assert examine(superuser) == plain


def test_a_superuser_is_told_of_once(world: World) -> None:
    """He needs no membership; that he has one is what is told."""
    report = after(
        world,
        "alter role {stranger} superuser createrole",
        "grant svc_integration to {stranger} with admin option",
        "grant pg_read_all_data, pg_write_all_data to {stranger}",
    )
    stranger = user(world.logins["stranger"])
    told = {name for name, (_, detail) in report.items() if stranger in detail}
    assert told == {"bypass_row_security"}


def test_a_login_that_can_dump_is_no_hazard(world: World) -> None:
    grants = ("alter role {stranger} bypassrls", "grant pg_read_all_data to {stranger}")
    stranger = user(world.logins["stranger"])
    assert stranger in after(world, grants[1])["logical_backup"][1]
    report = after(world, *grants)
    assert not [name for name, (_, detail) in report.items() if stranger in detail]


def test_a_setting_of_the_one_who_asks(world: World, login: Callable[[str, str], str]) -> None:
    """It is his: the sessions of others do not begin with it."""
    conninfo = login("integrations_admin", world.dsn)
    world.superuser.run(f"alter role {user(conninfo)} set log_statement = 'all'")
    status, detail = examine(world.log_in(conninfo))["log_statement"]
    assert status == "fail"
    assert {"this session", user(conninfo)} <= set(re.split(r", |: |[.]", detail))
    assert user(world.logins["svc_integration"]) not in detail


def test_a_reader_of_tables_is_no_hazard(world: World) -> None:
    """As a login with BYPASSRLS that dumps; policies hide the rows from all others."""
    schemas = "integrations, integrations_private"
    statement = f"grant select on all tables in schema {schemas} to {{stranger}}"
    report = after(world, statement)
    assert report["table_privileges"][0] == "ok", report["table_privileges"]
    assert report["credentials_readers"][0] == "fail"


def test_a_kek_of_a_kms_is_turned_there(world: World) -> None:
    with world.svc.within(uuid4()):
        world.svc.add_tenant_key("kek in a kms", bytes(range(32)), b"wrapped")
    age = (
        "update integrations_private.key_encryption_keys"
        " set created_at = now() - interval '366 days' where kek_id = 'kek in a kms'"
    )
    assert "kek in a kms" not in after(world, age)["keks_never_rotated"][1]


def test_a_prepared_transaction_that_nobody_ends(world: World) -> None:
    """Doctor asks about an hour; so it is asked here what it would say after no time at all."""
    if world.superuser.value("show max_prepared_transactions") == "0":
        pytest.skip("the server allows no prepared transactions (max_prepared_transactions = 0)")
    query = "select status, detail from integrations_private.examine_data(%s)"
    query += " where check_name = 'prepared_transactions'"
    [name] = [f"forgotten {uuid4()}"]
    world.tenant.run("begin")
    world.tenant.run("select 1")
    world.tenant.run(f"prepare transaction '{name}'")
    try:
        [(status, detail)] = world.superuser.rows(query, timedelta(0))
        assert status == "warn"
        assert "Found: 1, the oldest of 2" in detail
        assert examine(world.admin)["prepared_transactions"][0] == "ok", "not for an hour"
    finally:
        world.tenant.run(f"rollback prepared '{name}'")
    assert world.superuser.rows(query, timedelta(0))[0][0] == "ok"


@pytest.mark.parametrize(
    "statements",
    [["alter role {stranger} createrole"],
     ["create role between_them createrole", "grant between_them to {stranger}"]],
)  # fmt: skip
def test_createrole_is_a_way_in_before_16(world: World, statements: list[str]) -> None:
    status, detail = after(world, *statements)["createrole"]
    old = world.superuser.conn.info.server_version < 160000
    assert (user(world.logins["stranger"]) in detail) == old
    assert status == "warn" or not old


def test_the_maker_of_a_role_is_no_member_of_it_since_16(world: World) -> None:
    if world.superuser.conn.info.server_version < 160000:
        grant = "grant {} to {{stranger}}"
    else:
        grant = "grant {} to {{stranger}} with admin true, inherit false, set false"
    statements = [grant.format(role) for role in ("svc_integration", "integrations_auditor")]
    stranger = user(world.logins["stranger"])
    report = after(world, *statements, "alter role {stranger} set log_statement = 'all'")
    old = world.superuser.conn.info.server_version < 160000
    assert (stranger in report["service_and_auditor"][1]) == old
    assert (stranger in report["log_statement"][1]) == old
    assert (stranger in report["role_admins"][1]) != old


def test_temporary_tables_of_everybody(world: World) -> None:
    assert after(world)["public_temp"][0] == "warn"
    assert after(world, "revoke temporary on database {db} from public")["public_temp"][0] == "ok"


def test_months_without_a_partition(world: World) -> None:
    world.new_stored()
    report = after(world)
    assert report["audit_partitions"][0] == "warn"
    assert report["audit_default_partition"][0] == "warn"
    report = after(world, "select count(*) from integrations.maintain_audit()")
    assert report["audit_partitions"][0] == "ok"
    assert report["audit_default_partition"][0] == "ok"


def test_a_tenant_that_outlives_its_transaction(world: World) -> None:
    admin = world.admin
    with admin.conn.transaction():
        admin.set_tenant(world.new_tenant())
        admin.run("select pg_sleep(0.001)")
        assert examine(admin)["tenant_setting"][0] == "ok"
    assert examine(admin)["tenant_setting"][0] == "ok"
    for name, found in (("tenant_id", "this session"), ("keyring", "this session, keys")):
        admin.run(f"set integrations.{name} = '6b1d3a52-7a86-4f0e-9d0c-2f5f7f1b8a11'")
        status, detail = examine(admin)["tenant_setting"]
        assert status == "fail" and found in detail
        admin.run(f"reset integrations.{name}")


@pytest.mark.parametrize(
    ("ssl", "addresses", "privileged", "status"),
    [
        (False, "*", False, "fail"),
        (False, "localhost, 10.0.0.1", False, "fail"),
        (False, "0.0.0.0,::1", True, "fail"),
        (True, "*", False, "warn"),
        (False, "", False, "ok"),
        (False, "localhost, 127.0.0.1,::1", False, "ok"),
        (True, "localhost", False, "ok"),
    ],
)
def test_tls(world: World, ssl: bool, addresses: str, privileged: bool, status: str) -> None:
    """What only the start of a server can set is passed to the function that doctor calls."""
    query = "select status, detail from integrations_private.examine_connections(%s, %s)"
    with world.superuser.conn.transaction(force_rollback=True):
        world.superuser.run("set local role integrations_keymaster")
        [(found, detail)] = world.superuser.rows(query, ssl, addresses)
    assert found == status
    assert ("cannot be seen by this role" in detail) == (status == "warn")


def test_tls_as_far_as_it_may_look(world: World) -> None:
    query = "select status, detail from integrations_private.examine_connections(true, '*')"
    plain = world.superuser.value(
        "select count(*) from pg_hba_file_rules where type = 'host' and auth_method <> 'reject'"
        " and address not in ('127.0.0.1', '::1', 'localhost', 'samehost')"
        " and database <> '{replication}'"
    )
    with world.superuser.conn.transaction(force_rollback=True):
        world.superuser.run("grant select on pg_hba_file_rules to integrations_keymaster")
        world.superuser.run(
            "grant execute on function pg_hba_file_rules() to integrations_keymaster"
        )
        world.superuser.run("set local role integrations_keymaster")
        [(status, detail)] = world.superuser.rows(query)
    assert status == ("warn" if plain else "ok")
    assert "cannot be seen" not in detail


HBA = {
    "local all all trust": False,
    "host all all 127.0.0.1/32 trust": False,
    "host all all 127.0.0.0/8 trust": False,
    "host all all ::1/128 trust": False,
    "host all all localhost trust": False,
    "host all all samehost trust": False,
    "hostssl all all 0.0.0.0/0 scram-sha-256": False,
    "host all all 0.0.0.0/0 reject": False,
    "host replication all 10.0.0.0/8 scram-sha-256": False,  # neither keys nor credentials
    "host all,replication all 10.0.0.0/8 scram-sha-256": True,
    "host all all 10.0.0.0/8 scram-sha-256": True,
    "host all all all scram-sha-256": True,
    "hostnossl all all 10.0.0.0/8 scram-sha-256": True,
    "hostnogssenc all all 10.0.0.0/8 scram-sha-256": True,
}


def test_lines_of_pg_hba(cluster: Server) -> None:
    """The server shows what the file says now, and does not go by it before a reload."""
    with connect(cluster.dsn) as conn:
        deploy(conn, verified=False)
        dba = Client(conn)
        conn.execute(
            psycopg.sql.SQL("copy (select unnest({}::text[])) to {}").format(
                list(HBA), dba.value("show hba_file")
            )
        )
        [(status, detail)] = dba.rows(
            "select status, detail from integrations_private.examine_connections(true, '*')"
        )
    assert status == "warn"
    named = [f"line {n}" for n, bad in enumerate(HBA.values(), 1) if bad]
    assert detail.partition("Found: ")[2] == ", ".join(named) + "."


def test_a_clean_deployment(lent_database: str) -> None:
    with connect(lent_database) as conn:
        deploy(conn, verified=False)
        dba = Client(conn)
        [(name,)] = dba.rows("select current_database()")
        conn.execute(
            psycopg.sql.SQL("revoke temporary on database {} from public").format(
                psycopg.sql.Identifier(name)
            )
        )
        dba.run("create role connector_service login in role svc_integration")
        dba.run("create role operator login in role integrations_admin")
        dba.run("create role web_application login in role integrations_tenant")
        for role in ("connector_service", "operator", "svc_integration"):
            dba.run(f"alter role {role} set synchronous_commit = on")
        dba.run("set synchronous_commit = on")
        dba.run("set role operator")
        dba.run("select * from integrations.maintain_audit()")
        report = examine(dba)
        # A container's server listens everywhere, and knows no TLS.
        open_to_all = dba.value("select current_setting('listen_addresses')") == "*"
    not_ok = {name: told for name, told in report.items() if told[0] != "ok"}
    if open_to_all:
        assert not_ok.pop("tls")[0] == "fail"
    assert not_ok == {}
    assert len(report) >= 41


def test_it_changes_nothing(world: World) -> None:
    with world.admin.conn.transaction():
        world.admin.run("set transaction read only")
        assert examine(world.admin)


def test_nobody_else_may_ask(world: World, login: Callable[[str, str], str]) -> None:
    for client in (world.svc, world.tenant, world.auditor):
        with world.refused("42501"):
            examine(client)
