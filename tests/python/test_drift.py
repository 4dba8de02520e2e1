"""``drift``: every kind of difference is found and named, and a clean database has none."""

from __future__ import annotations

import json
import re
import secrets
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from loaded import Started
from psycopg import sql
from psycopg.conninfo import make_conninfo
from small_project import (
    Sql,
    begin,
    rows,
    run,
    run_json,
    table,
    write_project,
)

from integrations_db import catalogue
from integrations_db.catalogue import Catalogue, compare
from integrations_db.config import Target
from integrations_db.database import connect
from integrations_db.output import drift_annotation
from integrations_db.testing import databases
from integrations_db.testing.databases import new_name
from integrations_db.testing.servers import Server, without_password

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
create index parent_upper on app.parent (upper(note));
create type app.fraction as range (subtype = float8, subtype_diff = float8mi);
create domain app.word as text collate "C";
create type app.shell;
create access method heap2 type table handler heap_tableam_handler;
create operator family app.family using btree;
create operator class app.class for type int using btree family app.family as operator 1 <, function 1 btint4cmp(int, int);
create conversion app.latin for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8;
create text search parser app.parser (start = prsd_start, gettoken = prsd_nexttoken, end = prsd_end, lextypes = prsd_lextype);
create text search template app.template (lexize = dsimple_lexize);
create language other handler plpgsql_call_handler;
create extension hstore schema app;
create table app.by_kind (id int, kind int, primary key (id, kind)) partition by list (kind);
create table app.by_kind_1 partition of app.by_kind for values in (1);
create table app.of_kind (id int, kind int, constraint of_kind_fkey foreign key (id, kind) references app.by_kind);
create function app.many() returns setof int language sql as 'select 1';
create role {role}_owner;
create role {role}_group;
grant {role}_group to {role}_owner;
create table app.owned ();
alter table app.owned owner to {role}_owner;
grant usage on schema app to {role}_owner;
create table app.lent ();
grant select on app.lent to {role}_owner with grant option;
grant select on app.lent to {role}_group;
create table app.grown (more int) inherits (app.parent);
create domain app.answer as int constraint answer_not_null not null;
create table app.few (a int, b int);
create publication few for table app.few (a, b);
create table app.by_year (year int, kind text, status text) partition by range (year);
create index by_year_status on app.by_year (status);
create table app.y26 partition of app.by_year for values from (2026) to (2027) partition by list (kind);
create table app.y26_a partition of app.y26 for values in ('a');
create index y26_a_kind on app.y26_a (kind);
create table app.y26_rest partition of app.y26 default;
create table app.by_region (id int, status text default 'us' not null) partition by list (status);
create table app.us partition of app.by_region for values in ('us');
create index us_status on app.us (status);
create trigger us_touch before insert on app.us for each row execute function app.touch();
"""

NEXT_YEAR = """
create table app.y27 partition of app.by_year for values from (2027) to (2028) partition by list (kind);
create table app.y27_a partition of app.y27 for values in ('a');
create index y27_a_kind on app.y27_a (kind)"""

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
    ("comment on type app.pair is 'Two.'", "composite type", "app.pair", "comment"),
    (
        "grant usage on type app.pair to {role}",
        "composite type",
        "app.pair",
        "privileges of {role}",
    ),
    ("alter type app.pair owner to {role}", "composite type", "app.pair", "owner"),
    (
        "drop type app.fraction; create type app.fraction as range (subtype = float8)",
        "type",
        "app.fraction",
        "subtype",
    ),
    (
        'drop domain app.word; create domain app.word as text collate "POSIX"',
        "domain",
        "app.word",
        "collation",
    ),
    ("drop type app.shell", "type", "app.shell", "missing"),
    ("create type app.shell_2", "type", "app.shell_2", "added"),
    (
        "alter index app.parent_upper alter column 1 set statistics 9",
        "index",
        "app.parent_upper",
        "statistics targets",
    ),
    (
        "alter table app.parent set (toast.autovacuum_enabled = off)",
        "table",
        "app.parent",
        "options",
    ),
    (
        "alter table app.child disable trigger all",
        "constraint",
        "child_parent_id_fkey on app.child",
        "triggers",
    ),
    (
        "alter table app.parent disable trigger all",
        "constraint",
        "child_parent_id_fkey on app.child",
        "triggers",
    ),
    (
        "alter table app.by_kind_1 disable trigger all",
        "constraint",
        "of_kind_fkey on app.of_kind for app.by_kind_1",
        "triggers",
    ),
    (
        "alter table app.by_kind detach partition app.by_kind_1",
        "table",
        "app.by_kind_1",
        "partition of",
    ),
    (
        "alter table app.by_kind detach partition app.by_kind_1;"
        " alter table app.by_kind attach partition app.by_kind_1 for values in (7)",
        "table",
        "app.by_kind_1",
        "partition bound",
    ),
    (
        "update pg_inherits set inhdetachpending = true where inhrelid = 'app.by_kind_1'::regclass",
        "table",
        "app.by_kind_1",
        "partition of",
    ),
    (
        "alter function app.many() support generate_series_int4_support",
        "function",
        "app.many",
        "support",
    ),
    ("alter function app.many() rows 7", "function", "app.many", "cost and rows"),
    ("alter function app.many() set app.secret = 'hunter2'", "function", "app.many", "settings"),
    (
        "create or replace aggregate app.sum_of(int) (sfunc = int4pl, stype = int, initcond = '0', sortop = <)",
        "aggregate",
        "app.sum_of",
        "aggregate",
    ),
    ("drop access method heap2", "access method", "heap2", "missing"),
    (
        "drop operator family app.family using btree cascade",
        "operator family",
        "app.family",
        "missing",
    ),
    (
        "alter operator family app.family using btree add function 1 (int8, int8) btint8cmp(int8, int8)",
        "operator family",
        "app.family",
        "members",
    ),
    (
        "drop operator class app.class using btree; create operator family app.family_2 using btree;"
        " create operator class app.class for type int using btree family app.family_2 as operator 1 <,"
        " function 1 btint4cmp(int, int)",
        "operator class",
        "app.class",
        "definition",
    ),
    ("alter conversion app.latin owner to {role}", "conversion", "app.latin", "owner"),
    (
        "create default conversion app.latin_2 for 'LATIN1' to 'UTF8' from iso8859_1_to_utf8",
        "conversion",
        "app.latin_2",
        "added",
    ),
    ("drop text search parser app.parser", "text search parser", "app.parser", "missing"),
    ("drop text search template app.template", "text search template", "app.template", "missing"),
    (
        "drop text search configuration app.words; create text search configuration app.words (parser = app.parser)",
        "text search configuration",
        "app.words",
        "parser",
    ),
    ("drop language other", "language", "other", "missing"),
    (
        "create subscription s connection 'dbname=nowhere password=hunter2' publication p"
        " with (connect = false, slot_name = none)",
        "subscription",
        "s",
        "added",
    ),
    ("alter role {role}_owner createdb", "role", "{role}_owner", "attributes"),
    ("alter role {role}_owner connection limit 2", "role", "{role}_owner", "attributes"),
    ("alter role {role}_owner valid until '2030-01-01'", "role", "{role}_owner", "attributes"),
    ("alter role {role}_owner set work_mem = '5MB'", "role", "{role}_owner", "settings"),
    ("grant {role}_group to {role}_owner with admin option", "role", "{role}_owner", "member of"),
    ("revoke {role}_group from {role}_owner", "role", "{role}_owner", "member of"),
    (
        "revoke select on app.lent from {role}_group; set local role {role}_owner;"
        " grant select on app.lent to {role}_group; reset role",
        "table",
        "app.lent",
        "privileges of {role}_group",
    ),
    (
        "alter table app.grown no inherit app.parent; alter table app.grown inherit app.parent",
        "column",
        "app.grown.note",
        "inherited",
    ),
    (
        "alter table app.grown no inherit app.parent; alter table app.grown inherit app.parent",
        "constraint",
        "amount_check on app.grown",
        "inherited",
    ),
    (
        "alter function app.many() depends on extension hstore",
        "function",
        "app.many",
        "depends on extension",
    ),
    (
        "alter index app.parent_note depends on extension hstore",
        "index",
        "app.parent_note",
        "depends on extension",
    ),
    ("comment on extension hstore is 'Ours.'", "extension", "hstore", "comment"),
    (
        "comment on index app.log_2026_01_at_idx is 'Days.'",
        "index",
        "the part of app.log_at on app.log_2026_01",
        "comment",
    ),
    # What the system and extensions brought.
    (
        "grant execute on function pg_catalog.pg_read_file(text) to public",
        "system function",
        "pg_catalog.pg_read_file",
        "change of privileges of PUBLIC",
    ),
    (
        "grant select (rolpassword) on pg_catalog.pg_authid to {role}",
        "system table column",
        "pg_authid.rolpassword",
        "change of privileges of {role}",
    ),
    (
        "revoke select on pg_catalog.pg_roles from public",
        "system view",
        "pg_catalog.pg_roles",
        "change of privileges of PUBLIC",
    ),
    (
        "grant create on schema pg_catalog to public",
        "system schema",
        "pg_catalog",
        "change of privileges of PUBLIC",
    ),
    (
        "alter function pg_catalog.lower(text) owner to {role}",
        "system function",
        "pg_catalog.lower",
        "owner",
    ),
    (
        "create function pg_catalog.lower(int) returns int language sql as 'select 1'",
        "function",
        "pg_catalog.lower(integer)",
        "added",
    ),
    (
        "revoke usage on language plpgsql from public",
        "extension language",
        "plpgsql",
        "change of privileges of PUBLIC",
    ),
    (
        "revoke execute on function app.hstore(text, text) from public",
        "extension function",
        "app.hstore",
        "change of privileges of PUBLIC",
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


Base = tuple[psycopg.Connection[Any], Catalogue]


@pytest.fixture(scope="module")
def base(server: Server, role: str) -> Iterator[Base]:
    """A connection to a database with one of everything, and what its catalogue says."""
    with databases.clone(server.dsn, "template0") as dsn:
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(BASE.replace("{role}", role).encode())
        with closing(connect(Target(dsn), lambda _: None)) as own:
            expected = look(own)
            assert compare(expected, look(own)).differences == ()
            yield own, expected
        with psycopg.connect(dsn, autocommit=True) as conn:
            conn.execute(
                f"drop owned by {role}_owner, {role}_group; drop role {role}_owner, {role}_group".encode()
            )


@contextmanager
def changed(base: Base, statements: str) -> Iterator[Catalogue]:
    """Gives the catalogue of the database as some statements make it, for a while."""
    conn = base[0]
    with conn.transaction(force_rollback=True):
        conn.execute("reset search_path")
        conn.execute(statements.encode())
        conn.execute("set search_path = pg_catalog, pg_temp")
        yield look(conn)


def look(conn: psycopg.Connection[Any]) -> Catalogue:
    return catalogue.read(conn, ("sqitch", "integrations_db"), conn.info.server_version)


@pytest.mark.parametrize(
    ("seed", "kind", "name", "what"), SEEDS, ids=[seed[0][:60] for seed in SEEDS]
)
def test_a_difference_is_named(
    base: Base, role: str, seed: str, kind: str, name: str, what: str
) -> None:
    expected = base[1]
    with changed(base, seed.replace("{role}", role)) as found:
        compared = compare(expected, found)
    assert [
        it
        for it in compared.differences
        if it.kind == kind
        and name.replace("{role}", role) in it.name
        and what.replace("{role}", role) in (it.change, it.property)
    ], compared.differences
    # The other way round it is found as well.
    back = compare(found, expected)
    assert back.differences or back.partitions
    # Nor a digest, by which one who guesses it would know.
    assert not re.search("hunter2|[0-9a-f]{32}", str(compared))


def test_there_are_forty_kinds() -> None:
    assert len({(kind, what) for _, kind, _, what in SEEDS}) >= 40


@pytest.mark.parametrize(
    "comes_or_goes",
    [
        "create table app.log_2026_02 partition of app.log for values from ('2026-02-01') to ('2026-03-01')",
        "drop table app.log_2026_01",
        "create table app.eu partition of app.by_region for values in ('eu');"
        " create index eu_status on app.eu (status);"
        " create trigger eu_touch before insert on app.eu for each row execute function app.touch()",
        "create table app.\"EU-1\" partition of app.by_region for values in ('eu');"
        ' create index "EU-1_status" on app."EU-1" (status);'
        ' create trigger "EU-1_touch" before insert on app."EU-1" for each row execute function app.touch()',
        "alter table app.log detach partition app.log_default;"
        " alter table app.log_default rename to log_2025_12;"
        " alter table app.log attach partition app.log_2025_12 for values from ('2025-12-01') to ('2026-01-01');"
        " create table app.log_default partition of app.log default",
    ],
)
def test_partitions_come_and_go(base: Base, comes_or_goes: str) -> None:
    """Also one that was made in another way, so that its indexes have other names."""
    with changed(base, comes_or_goes) as found:
        compared = compare(base[1], found)
    assert compared.differences == ()
    assert len(compared.partitions) == 1


def test_partitions_of_partitions_come_and_go_with_them(base: Base) -> None:
    with changed(base, NEXT_YEAR) as found:
        assert compare(base[1], found) == catalogue.Comparison((), ("app.y27", "app.y27_a"))
    with changed(base, "drop table app.y26") as found:
        assert compare(base[1], found) == catalogue.Comparison(
            (), ("app.y26", "app.y26_a", "app.y26_rest")
        )
    with changed(base, "drop table app.y26_rest") as found:
        (it,) = compare(base[1], found).differences
    assert (it.name, it.change) == ("app.y26_rest", "missing")


def test_a_partition_of_a_new_partition_is_like_others(base: Base) -> None:
    wrong = "drop index app.y27_a_kind; grant select on app.y27_a to public"
    with changed(base, f"{NEXT_YEAR}; {wrong}") as found:
        differences = compare(base[1], found).differences
    assert [(it.kind, it.name, it.property or it.change) for it in differences] == [
        ("index", "app.y27_a_kind", "missing"),
        ("table", "app.y27_a", "privileges of PUBLIC"),
    ]


@pytest.mark.parametrize(
    ("comes_or_goes", "change"),
    [
        (
            "create table app.log_2026_02 partition of app.log for values from ('2026-02-01') to ('2026-03-01')",
            ("app.log_2026_02", "added"),
        ),
        ("drop table app.log_2026_01", ("app.log_2026_01", "missing")),
    ],
)
def test_where_no_service_is_at_work_partitions_stay(
    base: Base, comes_or_goes: str, change: tuple[str, str]
) -> None:
    with changed(base, comes_or_goes) as found:
        compared = compare(base[1], found, exact=True)
    assert [(it.name, it.change) for it in compared.differences] == [change]
    assert compared.partitions == ()


def test_parts_of_what_is_missing_are_not_told_one_by_one(base: Base) -> None:
    with changed(base, "drop table app.child") as found:
        compared = compare(base[1], found)
    assert [(it.kind, it.name) for it in compared.differences] == [("table", "app.child")]


def test_a_detached_partition_is_told_once(base: Base) -> None:
    with changed(base, "alter table app.by_kind detach partition app.by_kind_1") as found:
        compared = compare(base[1], found)
    assert {(it.kind, it.name) for it in compared.differences} == {("table", "app.by_kind_1")}
    assert compared.partitions == ()


def test_a_role_that_may_do_nothing_here_any_more_is_not_called_missing(
    base: Base, role: str
) -> None:
    with changed(base, f"alter table app.owned owner to {role}") as found:
        compared = compare(base[1], found)
    assert {it.kind for it in compared.differences} == {"table"}


@pytest.mark.parametrize(
    "normal",
    [
        "insert into app.parent (id) values (1)",
        "analyze app.parent",
        "refresh materialized view app.sums with no data",
        "select nextval('app.numbers')",
        "create temporary table scratch (id int)",
        "select lo_create(4711)",
        "do $$ begin execute format('comment on database %I is ''Ours.''', current_database()); end $$",
        "do $$ begin execute format('alter database %I connection limit 9', current_database()); end $$",
        "do $$ begin execute format('alter database %I owner to {role}', current_database()); end $$",
        # As after a revert and a deployment: its columns are counted on.
        "alter publication few drop table app.few; alter table app.few drop b;"
        " alter table app.few add b int; alter publication few add table app.few (a, b)",
        "grant {role}_owner to {role}",  # the plan does not say who may become a role
    ],
)
def test_what_is_none_of_the_plan_is_no_difference(base: Base, role: str, normal: str) -> None:
    with changed(base, normal.replace("{role}", role)) as found:
        assert compare(base[1], found).differences == ()


def test_not_null_constraints_have_names_and_comments(base: Base) -> None:
    """From PostgreSQL 18 on."""
    name = "parent_note_not_null on app.parent"
    if ("constraint", name) not in base[1]:
        assert base[0].info.server_version < 180000
        return
    with changed(base, "comment on constraint parent_note_not_null on app.parent is 'N'") as found:
        assert [(it.name, it.property) for it in compare(base[1], found).differences] == [
            (name, "comment")
        ]
    with changed(
        base, "comment on constraint answer_not_null on domain app.answer is 'N'"
    ) as found:
        assert [(it.name, it.property) for it in compare(base[1], found).differences] == [
            ("answer_not_null on app.answer", "comment")
        ]


SUBSCRIPTION = (
    "create subscription s connection 'dbname=nowhere' publication p"
    " with (connect = false, slot_name = none)"
)
OPTIONS = {
    "binary = true": 15,
    "disable_on_error = true": 15,
    "origin = none": 16,
    "password_required = false": 16,
    "run_as_owner = true": 16,
}


@pytest.mark.parametrize("option", OPTIONS)
def test_options_of_a_subscription(base: Base, option: str) -> None:
    if base[0].info.server_version // 10000 < OPTIONS[option]:
        return
    with (
        changed(base, SUBSCRIPTION) as before,
        changed(base, f"alter subscription s set ({option})") as after,
    ):
        (it,) = compare(before, after).differences
    assert (it.kind, it.name, it.property) == ("subscription", "s", "options")


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


@pytest.mark.parametrize("where", ["auto", "here"])
def test_nothing_of_the_scratch_is_kept(
    project: str, tmp_path: Path, role: str, where: str
) -> None:
    """Roles are of the whole server: what the plan says of them must not happen again."""
    grant = Sql(f"begin;\ngrant pg_monitor to {role};\ncommit;\n")
    changes = {"a": table("a"), "b": Sql("create view b as table a;\n"), "c": grant}
    write_project(tmp_path, changes)
    assert run(tmp_path, "deploy", project).returncode == 0
    do(project, f"revoke pg_monitor from {role}; grant select on a to {role}")
    told = run(tmp_path, "drift", "--scratch", where, project, "--json")
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


@pytest.fixture
def two(lent_database: str, tmp_path: Path) -> tuple[str, str]:
    """An ordinary login that may create databases and roles, and the owner of its database."""
    password = secrets.token_urlsafe(24)
    do(
        lent_database,
        f"create role deployer login createdb createrole password '{password}';"
        " grant create on schema public to deployer;"
        " do $$ begin execute format('grant create on database %I to deployer',"
        " current_database()); end $$",
    )
    deployer = make_conninfo(lent_database, user="deployer", password=password)
    return without_password(deployer, tmp_path), lent_database


def test_who_deploys_need_not_own_the_database(two: tuple[str, str], tmp_path: Path) -> None:
    """And the role that its plan creates is there already; its attributes are compared."""
    deployer, owner = two
    create = "begin;\ncreate role app;\ngrant select on a to app;\ncommit;\n"
    write_project(tmp_path, {"a": table("a"), "r": Sql(create)})
    assert run(tmp_path, "deploy", deployer).returncode == 0
    do(owner, "revoke create on schema public from deployer; alter role app bypassrls")
    done = run(tmp_path, "drift", deployer)
    assert "because here it fails: what the plan says" in done.stderr
    assert 'role "app" already exists' in done.stderr
    assert "role app: attributes\n    expected: none\n    found:    bypassrls\n" in done.stdout
    assert "an own server" in done.stdout
    assert "1 difference" in done.stdout
    done = run(tmp_path, "drift", "--scratch", "here", deployer)
    assert done.returncode == 1
    assert 'role "app" already exists' in done.stderr


def test_another_than_who_deployed_is_told(two: tuple[str, str], tmp_path: Path) -> None:
    """Why all of it differs, and that it can do the same in the other's name."""
    deployer, owner = two
    write_project(tmp_path, {"a": table("a")})
    assert run(tmp_path, "deploy", deployer).returncode == 0
    do(owner, "revoke create on schema public from deployer")
    done = run(tmp_path, "drift", owner)
    assert done.returncode == 4
    assert (
        "table public.a: owner\n    expected: (who deploys)\n    found:    deployer" in done.stdout
    )
    assert "deployer deployed here, and this is postgres; connect as deployer" in done.stderr
    done = run(tmp_path, "drift", owner, PGOPTIONS="-c role=deployer")
    assert (done.returncode, done.stderr) == (0, "")


def test_roles_of_a_server_that_is_shared(empty_database: str, tmp_path: Path, role: str) -> None:
    grant = Sql(f"begin;\ngrant select on a to {role};\ncommit;\n")
    write_project(tmp_path, {"a": table("a"), "g": grant})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    done = run(tmp_path, "drift", empty_database)
    assert done.returncode == 0
    assert "shows only with --scratch own" in done.stderr


def test_a_name_is_no_workflow_command(project: str, tmp_path: Path) -> None:
    do(project, 'create table "x\n::error ::y" ()')
    done = run(tmp_path, "drift", project, GITHUB_ACTIONS="true")
    lines = done.stdout.splitlines()
    assert '\\x3a:error ::y" is not of the plan' in lines
    (told,) = [line for line in lines if line.startswith("::")]
    assert told == '::error title=Drift::table public."x%0A::error ::y" is not of the plan'


def test_brackets_of_what_is_ignored_are_brackets(project: str, tmp_path: Path) -> None:
    do(project, "create function f(int[], text[]) returns int language sql as 'select 1'")
    name = "function public.f(integer[], text[])"
    assert run(tmp_path, "drift", project).stdout.count(f"{name} is not of the plan") == 1
    assert run(tmp_path, "drift", project, "--ignore", name).returncode == 0


def test_partitions_are_named(project: str, tmp_path: Path) -> None:
    parent = Sql("create table p (a int) partition by list (a);\n")
    changes = {"a": table("a"), "b": Sql("create view b as table a;\n"), "p": parent}
    write_project(tmp_path, changes)
    assert run(tmp_path, "deploy", project).returncode == 0
    do(project, "create table p1 partition of p for values in (1)")
    done = run(tmp_path, "drift", project)
    # Nothing of the plan to compare it with.
    assert done.returncode == 0
    assert "1 partition of one of the two only (public.p1)" in done.stdout


def test_a_name_of_any_length(lent_cluster: Server, tmp_path: Path) -> None:
    name = "ä\"' " + "ö" * 28  # 61 bytes
    with psycopg.connect(lent_cluster.dsn, autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    dsn = make_conninfo(lent_cluster.dsn, dbname=name)
    write_project(tmp_path, {"a": table("a")})
    assert run(tmp_path, "deploy", dsn).returncode == 0
    done = run(tmp_path, "drift", dsn)
    assert (done.returncode, done.stderr) == (0, "")
    assert rows(dsn, "select datname from pg_database where datname ~ '_drift_'") == []


# --- an end that nobody foresaw ------------------------------------------------------------------


def begun(folder: Path, dsn: str, where: str) -> Started:
    """Starts a comparison."""
    return begin(folder, "drift", "--scratch", where, dsn)


def wait_for(condition: Callable[[], object]) -> None:
    """Waits until something holds, a minute at most."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def slow(empty_database: str, tmp_path: Path) -> str:
    """A deployed project whose script takes long when it runs again."""
    write_project(tmp_path, {"a": Sql("begin;\ncreate table a ();\ncommit;\n")})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    later = Sql("begin;\ncreate table a ();\nselect pg_sleep(60);\ncommit;\n")
    write_project(tmp_path, {"a": later})
    return empty_database


def sleeping(dsn: str) -> list[tuple[Any, ...]]:
    return rows(
        dsn,
        "select from pg_stat_activity where query ~ 'sleep' and wait_event = 'PgSleep'"
        " and starts_with(datname, current_database() || '_drift_')",
    )


@pytest.mark.parametrize(("end", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 1)])
def test_an_interrupt_leaves_nothing(
    slow: str, tmp_path: Path, end: signal.Signals, code: int
) -> None:
    with begun(tmp_path, slow, "auto") as process:
        wait_for(lambda: sleeping(slow))
        process.send_signal(end)
        told = process.communicate()[1]
    assert process.returncode == code
    assert "The database was only read." in told
    assert scratches(slow) == []


def test_the_scratch_of_a_killed_comparison_is_told(slow: str, tmp_path: Path) -> None:
    with begun(tmp_path, slow, "auto") as process, begun(tmp_path, slow, "auto") as other:
        wait_for(lambda: len(sleeping(slow)) == 2)
        process.kill()
        process.wait()
        # Its server notices that when it looks for the client.
        wait_for(lambda: len(sleeping(slow)) == 1)
        write_project(tmp_path, {"a": Sql("begin;\ncreate table a ();\ncommit;\n")})
        wait_for(lambda: "was killed and left" in run(tmp_path, "drift", slow).stderr)
        done = run(tmp_path, "drift", slow)
        # Not that of the one which is at work.
        (left,) = re.findall(r"DROP DATABASE .*;", done.stderr)
        do(slow, left)
        other.send_signal(signal.SIGINT)
        other.communicate()
    assert scratches(slow) == []


def test_a_killed_comparison_leaves_no_server(slow: str, tmp_path: Path) -> None:
    with begun(tmp_path, slow, "own") as process:

        def scratch_server() -> Path | None:
            listed = subprocess.run(  # noqa: S603
                ["ps", "-ww", "-o", "args=", "--ppid", str(process.pid)],  # noqa: S607
                capture_output=True,
                text=True,
                check=False,
            )
            named = re.search(r"/\S+/idb-\w+", listed.stdout)
            return Path(named[0]) if named else None

        wait_for(scratch_server)
        folder = scratch_server()
        assert folder
        wait_for((folder / "data" / "postmaster.pid").exists)
        process.kill()
        process.communicate()
    wait_for(lambda: not folder.exists())


def test_a_role_that_may_not_create_databases(
    project: str, tmp_path: Path, role: str, login: Callable[[str, str], str]
) -> None:
    """It may look; what belongs to another than the one who looks differs in its owner."""
    do(project, f"grant usage on schema sqitch to {role}")
    do(project, f"grant select on all tables in schema sqitch to {role}")
    reader = login(role, project)
    done = run(tmp_path, "drift", reader)
    assert "its role may not create databases here" in done.stderr
    assert "an own server" in done.stdout
    done = run(tmp_path, "drift", "--scratch", "here", reader)
    assert done.returncode == 1
    assert "permission denied to create database" in done.stderr
    assert "--scratch own" in done.stderr


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


def test_this_package_has_none(lent_database: str) -> None:
    dsn = lent_database
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
