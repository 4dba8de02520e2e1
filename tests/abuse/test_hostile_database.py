"""A database in which somebody may create objects in schema public, as all had before 15.

Function names in scripts are qualified, operators cannot be, readably: an operator in public whose
arguments fit better than those of pg_catalog would win, and run as whoever deploys or reverts, or
as the owner of what was deployed. So every script pins the search path of its transaction.
"""

from __future__ import annotations

import psycopg
import pytest
from api.client import Client
from api.cluster import ORDINARY, Cluster
from api.deployment import Connection, deploy, revert, verify

# Exact matches of what the scripts write with these types: those of pg_catalog need casts.
_TRAPS = [
    ("~", "varchar", "text"),
    ("~", "varchar", "varchar"),
    ("~", "name", "text"),
    ("<>", "oid", "regrole"),
    ("=", "oid", "regrole"),
    ("=", "oid", "regclass"),
    ("=", "oid", "regproc"),
    ("=", "name", "varchar"),
    ("||", "text", "name"),
    ("||", "name", "text"),
    ("||", "text", "uuid"),
    ("||", "regclass", "text"),
    ("->>", "jsonb", "varchar"),
    ("=", "char", "text"),
]


def set_traps(conn: Connection) -> None:
    """Makes operators and functions that give their maker what the one who falls in may do."""
    conn.execute("create table public.caught (who text, what text)")
    conn.execute("grant insert on public.caught to public")
    for number, (operator, left, right) in enumerate(_TRAPS):
        result = "text" if operator in ("||", "->>") else "boolean"
        value = "'x'::text" if result == "text" else "true"
        conn.execute(
            f"""
            create function public.trap_{number}("{left}", {right}) returns {result}
            language plpgsql as $$
            begin
              insert into public.caught values (current_user, '{left} {operator} {right}');
              return {value};
            end $$;
            create operator public.{operator} (
              leftarg = "{left}", rightarg = {right}, function = public.trap_{number});
            """.encode()  # noqa: S608  (every name stands above)
        )
    for name in ("hmac(bytea, bytea, text)", "nullif_(text)", "current_tenant()", "format(text)"):
        conn.execute(
            f"create function public.{name} returns text language sql as $$ select 'x' $$".encode()
        )


@pytest.mark.parametrize("powers", [ORDINARY, "superuser"])
def test_operators_of_others_catch_nobody(bare: Cluster, powers: str) -> None:
    conninfo, conn = bare.deployer(powers)
    evil = bare.connect(bare.member("pg_monitor", conninfo))
    bare.superuser(conninfo).execute("grant create on schema public to public")
    set_traps(evil)

    deploy(conn)
    verify(conn)
    bare.works(conninfo)
    admin = Client(bare.connect(bare.member("integrations_admin", conninfo)))
    with pytest.raises(psycopg.Error) as refused:
        admin.conn.execute(
            "select integrations.register_definition("
            "name => 'Salesforce', type => 'not valid at all', version => 'nonsense')"
        )
    assert refused.value.sqlstate == "22023"
    revert(conn)
    assert evil.execute("select distinct who, what from public.caught").fetchall() == []


_FOREIGN = """
select distinct pg_describe_object(d.classid, d.objid, d.objsubid),
       pg_describe_object(d.refclassid, d.refobjid, d.refobjsubid)
  from pg_depend as d
       cross join lateral pg_identify_object(d.classid, d.objid, d.objsubid) as o
       cross join lateral pg_identify_object(d.refclassid, d.refobjid, d.refobjsubid) as r
 where o.schema in ('integrations', 'integrations_private')
   and r.schema not in ('integrations', 'integrations_private', 'pg_catalog', 'pgcrypto')
"""


def test_nothing_of_the_package_uses_objects_of_others(shared_database: str) -> None:
    with psycopg.connect(shared_database) as conn:
        assert conn.execute(_FOREIGN).fetchall() == []


def test_a_schema_pgcrypto_of_somebody_else_is_refused(bare: Cluster) -> None:
    """Its owner could drop it one day, and all that uses what is in it."""
    conninfo, conn = bare.deployer("superuser")
    bare.superuser(conninfo).execute("create role somebody")
    conn.execute("create schema pgcrypto authorization somebody")
    conn.execute("grant usage on schema pgcrypto to public")
    with pytest.raises(psycopg.Error) as refused:
        deploy(conn)
    assert refused.value.sqlstate == "55000"
    assert conn.execute("select from pg_extension where extname = 'pgcrypto'").fetchall() == []


def test_an_empty_schema_pgcrypto_of_the_deployer_is_used(bare: Cluster) -> None:
    conninfo, conn = bare.deployer(ORDINARY)
    conn.execute("create schema pgcrypto")
    conn.execute("grant usage on schema pgcrypto to public")
    deploy(conn)
    bare.works(conninfo)
    revert(conn)
    assert conn.execute("select from pg_namespace where nspname = 'pgcrypto'").fetchall() != []
    assert conn.execute("select from pg_extension where extname = 'pgcrypto'").fetchall() == []


def test_a_deployer_who_does_not_inherit_is_told_so(bare: Cluster) -> None:
    """Since 16 the membership itself says that it inherits."""
    conninfo, conn = bare.deployer(f"{ORDINARY} noinherit")
    if bare.server.version >= 160000:
        deploy(conn)
        bare.works(conninfo)
        return
    with pytest.raises(psycopg.Error) as refused:
        deploy(conn)
    assert refused.value.sqlstate == "42501"
    assert " inherit;" in str(refused.value.diag.message_hint)
