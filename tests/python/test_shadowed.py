"""What others make in a schema that is searched before pg_catalog is never run by the deployer."""

from __future__ import annotations

import secrets
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from small_project import Sql, recorded, rows, run, write_project

pytestmark = pytest.mark.database

PATH = "evil, pg_catalog, public"
# Operators, functions and types that a statement may use unawares. They do as those of pg_catalog,
# and note who has called them: with such a call their maker could do whatever that role may.
SHADOWS = """
create table evil.caught (called pg_catalog.text);
create function evil.catch(pg_catalog.text) returns boolean language plpgsql as
  $$ begin insert into evil.caught values ($1); return true; end $$;
do $do$
declare
  o record;
begin
  for o in select oprname, oprleft::regtype as l, oprright::regtype as r, oprresult::regtype as v,
                  row_number() over () as n
             from pg_operator
            where oprnamespace = 'pg_catalog'::regnamespace and oprkind = 'b' and oprcode <> 0
              and oprname in ('=', '<>', '<', '>', '<=', '>=', '||', '+', '-', '~~', '<<', '|')
              and 'cstring'::regtype not in (oprleft, oprright)
  loop
    begin
      execute format(
        'create function evil.f%s(%s, %s) returns %s language plpgsql as $f$'
        ' begin perform evil.catch(%L); return $1 operator(pg_catalog.%s) $2; end $f$',
        o.n, o.l, o.r, o.v, o.oprname, o.oprname);
      execute format('create operator evil.%s (function = evil.f%s, leftarg = %s, rightarg = %s)',
        o.oprname, o.n, o.l, o.r);
    exception when invalid_function_definition then
      null;  -- of a pseudo-type
    end;
  end loop;
end $do$;
create function evil.clock_timestamp() returns timestamptz language plpgsql as
  $$ begin perform evil.catch('clock_timestamp'); return pg_catalog.clock_timestamp(); end $$;
create function evil.current_database() returns name language plpgsql as
  $$ begin perform evil.catch('current_database'); return pg_catalog.current_database(); end $$;
create function evil.unnest(pg_catalog.text[]) returns setof pg_catalog.text language plpgsql as
  $$ begin perform evil.catch('unnest'); return query select * from pg_catalog.unnest($1); end $$;
create domain evil.text as pg_catalog.text check (evil.catch('text'));
create domain evil.int8 as pg_catalog.int8 check (evil.catch('int8'));
create domain evil.timestamptz as pg_catalog.timestamptz check (evil.catch('timestamptz'));
"""
# Fails where a script does not find the path of the database.
LOOK = f"select 1 / pg_catalog.strpos(pg_catalog.current_setting('search_path'), '{PATH}');\n"


def made(name: str, more: str = "", **also: Any) -> Sql:
    """The change that makes a table."""
    return Sql(
        f"begin;\n{LOOK}create table public.{name} (id integer primary key deferrable);\n"
        f"set constraints all deferred;\ncommit;\n{more}",
        revert=f"begin;\n{LOOK}drop table public.{name};\ncommit;\n",
        verify=f"begin;\n{LOOK}table public.{name};\nrollback;\n",
        **also,
    )


@pytest.fixture
def trap(empty_database: str) -> Iterator[str]:
    """A database that searches first where a role of low degree has made all of these."""
    name = sql.Identifier(str(conninfo_to_dict(empty_database)["dbname"]))
    mallory = sql.Identifier(f"mallory_{secrets.token_hex(4)}")
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(sql.SQL("create role {}").format(mallory))
        try:
            conn.execute("create schema evil")
            conn.execute(sql.SQL("grant create, usage on schema evil to {}").format(mallory))
            conn.execute(sql.SQL("set role {}").format(mallory))
            conn.execute(SHADOWS.encode())
            conn.execute("reset role")
            path = sql.SQL(PATH)
            conn.execute(sql.SQL("alter database {} set search_path = {}").format(name, path))
            yield empty_database
        finally:
            conn.execute("reset role")
            conn.execute(sql.SQL("drop owned by {0}; drop role {0}").format(mallory))


def caught(dsn: str) -> list[str]:
    """Returns what was called, and empties the trap."""
    return sorted({row[0] for row in rows(dsn, "delete from evil.caught returning called")})


def test_no_statement_of_ours_runs_the_code_of_another_role(trap: str, tmp_path: Path) -> None:
    with psycopg.connect(trap) as conn:
        conn.execute("select 1 = 1 and 'a'::text <> any (array['b'])")
    assert caught(trap) == ["<>", "=", "text"]  # the trap works

    def told(code: int, *arguments: str) -> str:
        done = run(tmp_path, *arguments, trap)
        assert done.returncode == code, done.stdout + done.stderr
        assert caught(trap) == [], arguments
        return done.stdout + done.stderr

    changes = {
        "a": made("a", tags=("v1",), note="first"),
        "b": made("b", requires=("a",), conflicts=("c",)),
        "c": made("c", tags=("v2",), requires=("a@v1",)),
    }
    write_project(tmp_path, changes)
    told(3, "status", "--check")
    told(0, "deploy", "--dry-run")
    told(0, "deploy", "--mode", "all")
    assert recorded(trap) == ["a", "b", "c"]
    told(0, "revert", "--to", "a", "-y")
    told(0, "deploy")
    for command in ("verify", "status", "check", "log", "deploy"):
        told(0, command)
    # One that stops half way, outside of a transaction: marked, looked at, run again, taken back.
    more = f"{LOOK}create index concurrently d_i on public.d (id);\nselect 1 from public.more;\n"
    apart = made("d", more)
    write_project(tmp_path, changes | {"d": apart})
    assert "cannot run in a transaction" in told(1, "deploy")
    assert "was begun at" in told(1, "deploy")
    told(0, "status")
    with psycopg.connect(trap) as conn:
        conn.execute("drop table public.d; create table public.more ()")
    told(0, "deploy", "--resume")
    told(0, "revert", "--to", "c", "-y")
    # Others are in the way: they are named.
    with psycopg.connect(trap) as conn:
        conn.execute("select pg_catalog.pg_advisory_lock(75474063)")
        assert "another deployment" in told(5, "deploy", "--wait", "0")
        conn.execute("select pg_catalog.pg_advisory_unlock_all(); lock table public.c")
        threading.Timer(3, conn.rollback).start()
        told(0, "revert", "--to", "b", "-y", "--lock-timeout", "100ms")
    told(0, "revert", "--all", "-y")
