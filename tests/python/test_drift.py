"""``drift``: every kind of difference is found and named, and a clean database has none."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from small_project import Sql, rows, run, run_json, table, write_project

from integrations_db import catalogue
from integrations_db.catalogue import Catalogue, compare
from integrations_db.config import Target
from integrations_db.database import connect
from integrations_db.output import drift_annotation
from integrations_db.testing import databases
from integrations_db.testing.databases import new_name
from integrations_db.testing.servers import Server

pytestmark = pytest.mark.database

# Statements are easier to read in one line.
# ruff: noqa: E501

ROOT = Path(__file__).parents[2]

# One object of every kind that a drift can touch.
BASE = """
create schema app;
comment on schema app is 'The application.';
create type app.state as enum ('new', 'done');
create type app.pair as (a int, b text);
create type app.span as range (subtype = int4);
create domain app.positive as int constraint positive_check check (value > 0);
create sequence app.numbers start 5;
create table app.parent (id int primary key, note text default 'x' not null, state app.state,
  total int generated always as (id * 2) stored, amount numeric(10, 2), label text collate "C",
  big text, constraint amount_check check (amount > 0));
comment on table app.parent is 'A parent.';
comment on column app.parent.note is 'A note.';
comment on constraint amount_check on app.parent is 'Positive.';
create index parent_note on app.parent (note);
create statistics app.parent_statistics on note, label from app.parent;
create table app.child (id int generated always as identity primary key,
  parent_id int references app.parent (id) on delete cascade, unique (parent_id, id));
alter table app.child enable row level security;
alter table app.child force row level security;
create policy own on app.child for select to public using (parent_id = 1);
create function app.one(a int default 1) returns int language plpgsql stable security definer
  set search_path = pg_catalog as $$ begin return a; end $$;
comment on function app.one(int) is 'One.';
create function app.touch() returns trigger language plpgsql as $$ begin return new; end $$;
create procedure app.work() language sql begin atomic select 1; end;
create aggregate app.sum_of(int) (sfunc = int4pl, stype = int, initcond = '0');
create trigger touch before insert on app.parent for each row execute function app.touch();
create rule quiet as on delete to app.child do instead nothing;
create view app.list with (security_barrier) as select id, note from app.parent;
create materialized view app.sums as select count(*) as n from app.parent;
create operator app.=== (leftarg = int, rightarg = int, function = int4eq);
create collation app.german (provider = libc, locale = 'C');
create text search configuration app.words (copy = simple);
create table app.log (at date not null, what text not null) partition by range (at);
create index log_at on app.log (at);
create table app.log_2026_01 partition of app.log for values from ('2026-01-01') to ('2026-02-01');
create table app.log_default partition of app.log default;
create publication news for table app.parent;
create foreign data wrapper nowhere;
create server there foreign data wrapper nowhere options (host 'a');
create foreign table app.far (id int) server there options (name 'far');
create function app.watch() returns event_trigger language plpgsql as $$ begin end $$;
create event trigger watch on ddl_command_end when tag in ('CREATE CAST') execute function app.watch();
alter default privileges in schema app grant usage on sequences to public;
grant select (id) on app.parent to public;
"""

# What is done to the database; the kind and a part of the name of what it must be called; its
# change or the property that differs.
SEEDS = [
    ("create schema other", "schema", "other", "added"),
    ("alter schema app rename to app2", "schema", "app", "missing"),
    ("comment on schema app is 'Another.'", "schema", "app", "comment"),
    ("grant usage on schema app to public", "schema", "app", "privileges of PUBLIC"),
    ("create table app.extra ()", "table", "app.extra", "added"),
    ("create table public.extra ()", "table", "public.extra", "added"),
    ("drop table app.child", "table", "app.child", "missing"),
    ("comment on table app.parent is null", "table", "app.parent", "comment"),
    ("grant select on app.parent to public", "table", "app.parent", "privileges of PUBLIC"),
    (
        "revoke insert on app.parent from current_user",
        "table",
        "app.parent",
        "privileges of (who deploys)",
    ),
    ("alter table app.parent owner to {role}", "table", "app.parent", "owner"),
    (
        "alter table app.child no force row level security",
        "table",
        "app.child",
        "row-level security",
    ),
    (
        "alter table app.child disable row level security",
        "table",
        "app.child",
        "row-level security",
    ),
    ("alter table app.child set unlogged", "table", "app.child", "persistence"),
    ("alter table app.parent set (fillfactor = 50)", "table", "app.parent", "options"),
    ("alter table app.parent replica identity full", "table", "app.parent", "replica identity"),
    ("create table app.heir () inherits (app.parent)", "table", "app.heir", "added"),
    ("alter table app.parent add extra int", "column", "app.parent.extra", "added"),
    ("alter table app.parent drop label", "column", "app.parent.label", "missing"),
    ("alter table app.parent alter label type varchar(9)", "column", "app.parent.label", "type"),
    ("alter table app.parent alter note drop not null", "column", "app.parent.note", "not null"),
    ("alter table app.parent alter note set default 'y'", "column", "app.parent.note", "default"),
    ("alter table app.parent alter note drop default", "column", "app.parent.note", "default"),
    (
        "alter table app.child alter id set generated by default",
        "column",
        "app.child.id",
        "identity",
    ),
    (
        "alter table app.parent alter big set storage external",
        "column",
        "app.parent.big",
        "storage",
    ),
    (
        "alter table app.parent alter big set statistics 7",
        "column",
        "app.parent.big",
        "statistics target",
    ),
    (
        'alter table app.parent alter label type text collate "POSIX"',
        "column",
        "app.parent.label",
        "collation",
    ),
    (
        "alter table app.parent alter total drop expression",
        "column",
        "app.parent.total",
        "generated",
    ),
    ("comment on column app.parent.note is 'Hm.'", "column", "app.parent.note", "comment"),
    (
        "grant update (note) on app.parent to public",
        "column",
        "app.parent.note",
        "privileges of PUBLIC",
    ),
    (
        "revoke select (id) on app.parent from public",
        "column",
        "app.parent.id",
        "privileges of PUBLIC",
    ),
    (
        "alter table app.parent drop constraint amount_check",
        "constraint",
        "amount_check on app.parent",
        "missing",
    ),
    (
        "alter table app.parent add constraint more check (id > 0)",
        "constraint",
        "more on app.parent",
        "added",
    ),
    (
        "alter table app.parent add constraint later check (id > 0) not valid",
        "constraint",
        "later",
        "added",
    ),
    (
        "alter table app.child drop constraint child_parent_id_fkey, add constraint child_parent_id_fkey"
        " foreign key (parent_id) references app.parent (id) not valid",
        "constraint",
        "child_parent_id_fkey",
        "definition",
    ),
    (
        "alter table app.child alter constraint child_parent_id_fkey deferrable",
        "constraint",
        "child_parent_id_fkey",
        "definition",
    ),
    (
        "comment on constraint amount_check on app.parent is 'No.'",
        "constraint",
        "amount_check",
        "comment",
    ),
    (
        "alter domain app.positive drop constraint positive_check",
        "constraint",
        "positive_check on app.positive",
        "missing",
    ),
    ("drop index app.parent_note", "index", "app.parent_note", "missing"),
    ("create index more on app.parent (state)", "index", "app.more", "added"),
    (
        "drop index app.parent_note; create index parent_note on app.parent (note desc)",
        "index",
        "app.parent_note",
        "definition",
    ),
    (
        "update pg_index set indisvalid = false where indexrelid = 'app.parent_note'::regclass",
        "index",
        "app.parent_note",
        "state",
    ),
    ("alter table app.parent cluster on parent_note", "index", "app.parent_note", "state"),
    ("drop policy own on app.child", "policy", "own on app.child", "missing"),
    ("create policy more on app.child", "policy", "more on app.child", "added"),
    ("alter policy own on app.child using (true)", "policy", "own on app.child", "using"),
    ("alter policy own on app.child to {role}", "policy", "own on app.child", "roles"),
    (
        "drop policy own on app.child; create policy own on app.child as restrictive for select using (parent_id = 1)",
        "policy",
        "own on app.child",
        "kind",
    ),
    (
        "create or replace function app.one(a int default 1) returns int language plpgsql stable security definer"
        " set search_path = pg_catalog as $$ begin return a + 1; end $$",
        "function",
        "app.one(a integer)",
        "body",
    ),
    ("alter function app.one(int) security invoker", "function", "app.one", "security"),
    ("alter function app.one(int) reset search_path", "function", "app.one", "settings"),
    ("alter function app.one(int) volatile", "function", "app.one", "volatility"),
    ("alter function app.one(int) leakproof", "function", "app.one", "leakproof"),
    ("alter function app.one(int) strict", "function", "app.one", "called on null"),
    ("alter function app.one(int) parallel safe", "function", "app.one", "parallel"),
    ("alter function app.one(int) owner to {role}", "function", "app.one", "owner"),
    (
        "revoke execute on function app.one(int) from public",
        "function",
        "app.one",
        "privileges of PUBLIC",
    ),
    ("comment on function app.one(int) is null", "function", "app.one", "comment"),
    (
        "create or replace function app.one(a int default 2) returns int language plpgsql stable security definer"
        " set search_path = pg_catalog as $$ begin return a; end $$",
        "function",
        "app.one",
        "arguments",
    ),
    (
        "create function app.two() returns int language sql as 'select 2'",
        "function",
        "app.two()",
        "added",
    ),
    ("drop procedure app.work()", "procedure", "app.work()", "missing"),
    ("drop aggregate app.sum_of(int)", "aggregate", "app.sum_of", "missing"),
    ("drop trigger touch on app.parent", "trigger", "touch on app.parent", "missing"),
    ("alter table app.parent disable trigger touch", "trigger", "touch on app.parent", "enabled"),
    ("drop rule quiet on app.child", "rule", "quiet on app.child", "missing"),
    (
        "create or replace view app.list with (security_barrier) as select id, upper(note) as note from app.parent",
        "view",
        "app.list",
        "definition",
    ),
    ("alter view app.list reset (security_barrier)", "view", "app.list", "options"),
    ("drop materialized view app.sums", "materialized view", "app.sums", "missing"),
    ("alter sequence app.numbers increment 7", "sequence", "app.numbers", "range"),
    ("alter sequence app.numbers owned by app.parent.id", "sequence", "app.numbers", "owned by"),
    ("alter type app.state add value 'lost'", "type", "app.state", "labels"),
    ("alter type app.pair add attribute c int", "column", "app.pair.c", "added"),
    ("drop type app.span", "type", "app.span", "missing"),
    ("alter domain app.positive set not null", "domain", "app.positive", "not null"),
    ("alter domain app.positive set default 1", "domain", "app.positive", "default"),
    (
        "alter statistics app.parent_statistics set statistics 9",
        "statistics",
        "app.parent_statistics",
        "statistics target",
    ),
    ("drop operator app.=== (int, int)", "operator", "app.===", "missing"),
    ("drop collation app.german", "collation", "app.german", "missing"),
    (
        "alter text search configuration app.words drop mapping for word",
        "text search configuration",
        "app.words",
        "definition",
    ),
    ("alter publication news set (publish = 'insert')", "publication", "news", "publishes"),
    ("alter publication news add table app.child", "publication", "news", "tables"),
    ("alter server there options (set host 'b')", "server", "there", "definition"),
    ("alter server there options (add secret 'hunter2')", "server", "there", "definition"),
    (
        "do $$ begin execute format("
        "'alter database %I set app.secret = hunter2', current_database()); end $$",
        "database",
        "(this one)",
        "setting app.secret",
    ),
    (
        "alter foreign table app.far options (set name 'near')",
        "foreign table",
        "app.far",
        "foreign options",
    ),
    (
        "create user mapping for public server there options (password 'hunter2')",
        "user mapping",
        "for PUBLIC on there",
        "added",
    ),
    ("alter event trigger watch disable", "event trigger", "watch", "definition"),
    ("create cast (app.pair as int) with inout", "cast", "(app.pair as integer)", "added"),
    (
        "alter default privileges in schema app revoke usage on sequences from public",
        "default privileges",
        "in schema app",
        "missing",
    ),
    ("create extension pgcrypto", "extension", "pgcrypto", "added"),
    (
        "do $$ begin execute format('alter database %I set work_mem = ''7MB''', current_database()); end $$",
        "database",
        "(this one)",
        "setting work_mem",
    ),
    (
        "do $$ begin execute format('revoke temporary on database %I from public', current_database()); end $$",
        "database",
        "(this one)",
        "privileges of PUBLIC",
    ),
    # Partitions: those that come and go are none of it, what is wrong with one is.
    ("drop table app.log_default", "table", "app.log_default", "missing"),
    (
        "alter table app.log_2026_01 enable row level security",
        "table",
        "app.log_2026_01",
        "row-level security",
    ),
    (
        "create table app.log_2026_02 partition of app.log for values from ('2026-02-01') to ('2026-03-01');"
        " grant select on app.log_2026_02 to {role}",
        "table",
        "app.log_2026_02",
        "privileges of {role}",
    ),
    (
        "create table app.log_2026_02 partition of app.log for values from ('2026-02-01') to ('2026-03-01');"
        " create index on app.log_2026_02 (what)",
        "index",
        "app.log_2026_02_what_idx",
        "added",
    ),
]


@pytest.fixture(scope="module")
def role(server: Server) -> Iterator[str]:
    """A role of the server, which nothing here knows."""
    name = new_name("role")
    with psycopg.connect(server.dsn, autocommit=True) as conn:
        conn.execute(f"create role {name}".encode())
        yield name
        conn.execute(f"drop role {name}".encode())


@pytest.fixture(scope="module")
def base(server: Server) -> Iterator[str]:
    """A database with one of everything."""
    with databases.clone(server.dsn, "template0") as dsn:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(BASE.encode())
        yield dsn


def look(conn: psycopg.Connection[Any]) -> Catalogue:
    return catalogue.read(conn, ("sqitch", "integrations_db"), conn.info.server_version)


@pytest.mark.parametrize(
    ("seed", "kind", "name", "what"), SEEDS, ids=[seed[0][:60] for seed in SEEDS]
)
def test_a_difference_is_named(
    base: str, role: str, seed: str, kind: str, name: str, what: str
) -> None:
    with closing(connect(Target(base), print)) as conn:
        expected = look(conn)
        conn.execute("begin")
        conn.execute("reset search_path")
        conn.execute(seed.replace("{role}", role).encode())
        conn.execute("set search_path = pg_catalog, pg_temp")
        found = look(conn)
        conn.execute("rollback")
    assert compare(expected, expected).differences == ()
    compared = compare(expected, found)
    assert [
        it
        for it in compared.differences
        if it.kind == kind
        and name in it.name
        and what.replace("{role}", role) in (it.change, it.property)
    ], compared.differences
    # The other way round it is found as well.
    back = compare(found, expected)
    assert back.differences or back.partitions
    assert "hunter2" not in str(compared)


def test_there_are_forty_kinds() -> None:
    assert len({(kind, what) for _, kind, _, what in SEEDS}) >= 40


@pytest.mark.parametrize(
    "comes_or_goes",
    [
        "create table app.log_2026_02 partition of app.log for values from ('2026-02-01') to ('2026-03-01')",
        "drop table app.log_2026_01",
        "alter table app.log detach partition app.log_default;"
        " alter table app.log_default rename to log_2025_12;"
        " alter table app.log attach partition app.log_2025_12 for values from ('2025-12-01') to ('2026-01-01');"
        " create table app.log_default partition of app.log default",
    ],
)
def test_partitions_come_and_go(base: str, comes_or_goes: str) -> None:
    """Also one that was made in another way, so that its indexes have other names."""
    with closing(connect(Target(base), print)) as conn:
        expected = look(conn)
        conn.execute("begin")
        conn.execute(comes_or_goes.encode())
        compared = compare(expected, look(conn))
        conn.execute("rollback")
    assert compared.differences == ()
    assert len(compared.partitions) == 1


def test_parts_of_what_is_missing_are_not_told_one_by_one(base: str) -> None:
    with closing(connect(Target(base), print)) as conn:
        expected = look(conn)
        conn.execute("begin; drop table app.child")
        compared = compare(expected, look(conn))
        conn.execute("rollback")
    assert [(it.kind, it.name) for it in compared.differences] == [("table", "app.child")]


# --- the command --------------------------------------------------------------------------------


@pytest.fixture
def project(empty_database: str, tmp_path: Path) -> str:
    """A deployed project of two changes; a third is pending."""
    write_project(tmp_path, {"a": table("a"), "b": Sql("create view b as table a;\n")})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    write_project(
        tmp_path, {"a": table("a"), "b": Sql("create view b as table a;\n"), "c": table("c")}
    )
    return empty_database


def do(dsn: str, statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statements.encode())


def scratches(dsn: str) -> list[tuple[Any, ...]]:
    return rows(
        dsn,
        "select datname from pg_database"
        " where starts_with(datname, current_database() || '_drift_')",
    )


@pytest.mark.parametrize("where", ["auto", "here", "own"])
def test_a_clean_database(project: str, tmp_path: Path, where: str) -> None:
    done = run(tmp_path, "drift", "--scratch", where, project)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Compared 2 changes" in done.stdout
    assert "1 change pending" in done.stdout
    assert "no drift" in done.stdout
    assert ("an own server" in done.stdout) == (where == "own")
    assert scratches(project) == []


def test_differences_are_exit_code_4(project: str, tmp_path: Path) -> None:
    do(project, "create table extra (); alter table a alter id set default 7")
    done = run(tmp_path, "drift", project)
    assert done.returncode == 4
    assert "table public.extra is not of the plan" in done.stdout
    assert "column public.a.id: default\n    expected: none\n    found:    7" in done.stdout
    assert "2 differences" in done.stdout
    assert "::error" not in done.stdout
    done = run(tmp_path, "drift", project, "--json")
    assert done.returncode == 4
    told = json.loads(done.stdout)
    assert [(it["kind"], it["name"], it["change"]) for it in told["differences"]] == [
        ("column", "public.a.id", "changed"),
        ("table", "public.extra", "added"),
    ]
    assert (told["deployed"], told["pending"], told["built_on"]) == (2, 1, "this server")
    done = run(tmp_path, "drift", project, GITHUB_ACTIONS="true")
    assert "::error title=Drift::table public.extra is not of the plan" in done.stdout
    done = run(
        tmp_path, "drift", project, "--ignore", "table public.ex*", "--ignore", "column *.a.id"
    )
    assert done.returncode == 0
    assert "2 differences ignored" in done.stdout


def test_an_annotation_is_one_line() -> None:
    it = catalogue.Difference("function", "f()", "changed", "body", "a\n100%", "b\r\n")
    assert drift_annotation(it) == (
        "::error title=Drift::function f(): body: expected a%0A100%25; found b%0D%0A"
    )


def test_a_body_is_shown_as_lines_that_differ(empty_database: str, tmp_path: Path) -> None:
    body = "begin\n  -- one\n  return {};\n  -- two\nend"
    make = "create or replace function f() returns int language plpgsql as $$ {} $$;\n"
    write_project(tmp_path, {"f": Sql(make.format(body.format(1)))})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    do(empty_database, make.format(body.format(2)))
    done = run(tmp_path, "drift", empty_database)
    assert done.returncode == 4
    assert "function public.f(): body" in done.stdout
    assert "\n    -  return 1;\n    +  return 2;\n" in done.stdout


def test_nothing_of_the_scratch_is_kept(project: str, tmp_path: Path, role: str) -> None:
    """Roles are of the whole server: what the plan says of them must not happen again."""
    grant = Sql(f"begin;\ngrant pg_monitor to {role};\ncommit;\n")
    changes = {"a": table("a"), "b": Sql("create view b as table a;\n"), "c": grant}
    write_project(tmp_path, changes)
    assert run(tmp_path, "deploy", project).returncode == 0
    do(project, f"revoke pg_monitor from {role}; grant select on a to {role}")
    told = run(tmp_path, "drift", project, "--json")
    found = json.loads(told.stdout)["differences"]
    assert ("table", "public.a") in {(it["kind"], it["name"]) for it in found}
    members = f"select from pg_auth_members where member = '{role}'::regrole"
    assert rows(project, members) == []
    assert scratches(project) == []


def test_what_no_transaction_can_hold_is_built_elsewhere(
    empty_database: str, tmp_path: Path
) -> None:
    index = Sql("create index concurrently a_id on a (id);\n", "drop index a_id;\n")
    write_project(tmp_path, {"a": table("a"), "i": index})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    done = run(tmp_path, "drift", empty_database)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "no transaction can hold it" in done.stderr
    assert "an own server" in done.stdout
    done = run(tmp_path, "drift", empty_database, "--scratch", "here")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "built on this server" in done.stdout
    assert scratches(empty_database) == []


def test_a_role_that_may_not_create_databases(project: str, tmp_path: Path, role: str) -> None:
    """It may look; what belongs to another than the one who looks differs in its owner."""
    do(project, f"grant usage on schema sqitch to {role}")
    do(project, f"grant select on all tables in schema sqitch to {role}")
    do(project, f"alter role {role} login")
    try:
        as_role = make_conninfo(project, user=role)
        done = run(tmp_path, "drift", as_role)
        if "password" in done.stderr:
            pytest.skip("this server asks for a password")
        assert "its role may not create databases here" in done.stderr
        assert "an own server" in done.stdout
        done = run(tmp_path, "drift", as_role, "--scratch", "here")
        assert done.returncode == 1
        assert "permission denied to create database" in done.stderr
        assert "--scratch own" in done.stderr
    finally:
        do(project, f"alter role {role} nologin")


def test_a_plan_that_cannot_be_built(project: str, tmp_path: Path) -> None:
    """Its script says something else now than when it was deployed."""
    changes = {"a": table("a"), "b": Sql("create view b as table nowhere;\n")}
    write_project(tmp_path, changes)
    done = run(tmp_path, "drift", project)
    assert done.returncode == 1
    assert "could not be built in an empty database" in done.stderr
    assert "deploy/b.sql:" in done.stderr
    assert "the database itself was not touched" in done.stderr
    assert scratches(project) == []


def test_an_edited_script_is_told(project: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a"), "b": Sql("create view b as select id from a;\n")})
    done = run(tmp_path, "drift", project)
    assert "the deploy script of b was edited since" in done.stdout
    assert done.returncode == 0, "it says the same in other words"


def test_what_cannot_be_compared(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    done = run(tmp_path, "drift", empty_database)
    assert done.returncode == 1
    assert "nothing to compare" in done.stderr
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    write_project(tmp_path, {"z": table("z")})
    assert run(tmp_path, "drift", empty_database).returncode == 4


def test_this_package_has_none(cluster: Server, tmp_path: Path) -> None:
    with databases.clone(cluster.dsn, "template0") as dsn:
        assert run(ROOT, "deploy", dsn).returncode == 0
        assert run_json(ROOT, "drift", dsn)["differences"] == []
        do(dsn, "select integrations.maintain_audit(interval '1 year')")
        do(
            dsn,
            "create table integrations_private.audit_log_2001_01 partition of"
            " integrations_private.audit_log for values from ('2001-01-01') to ('2001-02-01');"
            " alter table integrations_private.audit_log_2001_01 owner to integrations_owner",
        )
        told = json.loads(run(ROOT, "drift", dsn, "--json").stdout)
        assert "integrations_private.audit_log_2001_01" in told["partitions"]
        # That one was made by hand, and lacks what maintain_audit sees to; its own are as they should.
        by_hand = "integrations_private.audit_log_2001_01"
        assert {(it["kind"], it["name"], it["property"]) for it in told["differences"]} == {
            ("table", by_hand, "row-level security"),
            ("trigger", f"_110_no_truncate on {by_hand}", None),
        }
