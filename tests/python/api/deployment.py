"""Running the project's scripts one by one, and looking at what they leave in a database.

They are run as they stand, over one connection, without psql or our own deployer.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg

from integrations_db.plan import read_plan

from .client import Client

__all__ = ["CHANGES", "ROOT", "catalogue", "deploy", "revert", "run_script", "smoke", "verify"]

ROOT = Path(__file__).parents[3]
CHANGES = tuple(change.name for change in read_plan(ROOT / "sqitch.plan").changes)

Connection = psycopg.Connection[Any]


def run_script(conn: Connection, kind: str, change: str) -> None:
    """Runs a script; after an error its transaction is rolled back.

    Args:
        conn: a connection in autocommit mode: scripts have their own BEGIN.
        kind: ``deploy``, ``verify`` or ``revert``.
        change: its name in the plan.

    Raises:
        psycopg.Error: a statement failed.
    """
    try:
        conn.execute((ROOT / kind / f"{change}.sql").read_bytes())
    except psycopg.Error:
        conn.execute("rollback")
        raise


def deploy(conn: Connection, *, verified: bool = True) -> None:
    """Deploys every change."""
    for change in CHANGES:
        run_script(conn, "deploy", change)
        if verified:
            run_script(conn, "verify", change)


def verify(conn: Connection) -> None:
    """Verifies every change."""
    for change in CHANGES:
        run_script(conn, "verify", change)


def revert(conn: Connection) -> list[str]:
    """Reverts every change, and gives what notices said."""
    notices: list[str] = []

    def hear(diag: psycopg.errors.Diagnostic) -> None:
        if diag.severity_nonlocalized == "NOTICE":
            notices.append(str(diag.message_primary))

    conn.add_notice_handler(hear)
    for change in reversed(CHANGES):
        run_script(conn, "revert", change)
    conn.remove_notice_handler(hear)
    return notices


_CATALOGUE = """
select 'schema', nspname::text, nspowner::regrole::text, nspacl::text from pg_namespace
 where nspname !~ '^pg_(toast_)?temp_'
union all
select 'relation ' || relkind::text, oid::regclass::text, relowner::regrole::text, relacl::text
  from pg_class where relnamespace not in ('pg_toast'::regnamespace)
union all
select 'columns', attrelid::regclass::text, count(*)::text,
       string_agg(attacl::text, ' ' order by attnum)
  from pg_attribute where attnum > 0 and not attisdropped
   and attrelid not in (select oid from pg_class where relnamespace = 'pg_toast'::regnamespace)
 group by attrelid
union all
select 'function', oid::regprocedure::text, proowner::regrole::text, proacl::text from pg_proc
union all
select 'type', oid::regtype::text, typowner::regrole::text, typacl::text from pg_type
union all
select 'extension', extname::text, extnamespace::regnamespace::text, extowner::regrole::text
  from pg_extension
union all
select 'default privileges', defaclobjtype::text, defaclrole::regrole::text, defaclacl::text
  from pg_default_acl
union all
select 'comments on', classoid::regclass::text, count(*)::text, null from pg_description
 group by classoid
union all
select 'trigger', tgname::text, tgrelid::regclass::text, tgenabled::text from pg_trigger
 where not tgisinternal
union all
select 'policy', polname::text, polrelid::regclass::text, null from pg_policy
union all
select 'constraint', conname::text, conrelid::regclass::text, null from pg_constraint
union all
select 'setting', setdatabase::text, setrole::text, setconfig::text from pg_db_role_setting
union all
select 'event trigger', evtname::text, null, null from pg_event_trigger
union all
select 'role', rolname::text, rolsuper::text, rolcanlogin::text from pg_roles
union all
select 'member of', roleid::regrole::text, member::regrole::text, admin_option::text
  from pg_auth_members
"""


def catalogue(conn: Connection) -> set[tuple[Any, ...]]:
    """Gives all objects of a database, with owners and privileges, and the roles of its cluster."""
    return set(conn.execute(_CATALOGUE.encode()).fetchall())


def smoke(admin: Client, svc: Client) -> None:
    """Plays the shortest story that needs every part: tables, policies, grants, cryptography."""
    definition = admin.register_definition("Xero", "oauth2", "1.0.0")
    admin.set_definition_status(definition, "published")
    tenant_id = svc.value("select gen_random_uuid()")
    with svc.within(tenant_id):
        svc.create_tenant_key("kek", bytes(range(32)))
        svc.unlock("kek", bytes(range(32)))
        instance_id = svc.create_instance(definition, "Books")
        svc.put_credentials(instance_id, '{"token": "t"}')
        assert svc.get_credentials(instance_id) == {"token": "t"}
    assert admin.rows("select * from integrations.maintain_audit()")
    failed = admin.rows("select check_name from integrations.doctor() where status = 'fail'")
    # These are as tests have made the database, or their container the server.
    assert set(failed) <= {("public_create",), ("tls",)}
