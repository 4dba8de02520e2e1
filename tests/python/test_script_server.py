"""What cannot run inside a transaction: the server is the judge of our classification."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg import errors

from integrations_db.script import read_script

pytestmark = pytest.mark.database

# Each is refused or accepted as a kind of command, before anything it names is looked for; where
# that is not so, it names what is there.
OUTSIDE = """
vacuum
VACUUM (ANALYZE) t
create database d
drop database if exists d
create tablespace s location '/nowhere'
drop tablespace s
alter database postgres set tablespace pg_default
alter system set work_mem = '5MB'
create index concurrently on t (a)
create unique index concurrently if not exists i on t (a)
drop index concurrently if exists i
drop index concurrently "I"
reindex table concurrently t
reindex (verbose, concurrently) table t
reindex (concurrently true) index i
reindex (tablespace pg_default) schema public
reindex database concurrently postgres
reindex system postgres
cluster
cluster verbose
/* a */ cluster -- b
create subscription s connection 'x' publication p
create subscription s connection 'x' publication p with (enabled = false)
commit prepared 'x'
rollback prepared 'x'
discard all
alter table parted detach partition part concurrently
"""
INSIDE = """
analyze t
drop index if exists i
drop index "concurrently"
create index "concurrently" on t (a)
create index on t (a)
reindex (concurrently false) table t
reindex (verbose) index t_pkey
reindex table "schema"
reindex index "database"
cluster t
cluster "T"
cluster verbose t using t_pkey
cluster (verbose) t using t_pkey
create subscription s connection 'dbname=x' publication p with (connect = false)
create subscription s connection 'dbname=x' publication p with (connect='off', slot_name = none)
discard temp
discard plans
alter table parted detach partition part
alter database postgres set default_tablespace = ''
alter type mood add value 'sad'
checkpoint
lock table t
prepare x as select 1
comment on table t is 'VACUUM'
do $$ begin perform 1; /* commit; */ end $$
do $$ begin raise notice 'commit;'; end $$
select 1 as commit
"""
# In a DO block they end the block's own transaction, which is not its own inside of ours.
ENDS = """
do $$ begin commit; end $$
do $body$ begin if true then rollback; end if; end $body$
do 'begin perform 1; Commit And Chain; end'
do language plpgsql $$ begin for i in 1..2 loop commit and no chain; end loop; end $$
"""


def lines(text: str) -> list[str]:
    return text.strip().splitlines()


def inside(conninfo: str, statement: str) -> str | None:
    """Runs a statement in a transaction; returns the SQLSTATE of its error."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        conn.execute(
            "create table t (a integer primary key);"
            'create table "T" (a integer primary key);'
            'create table "schema" (a integer constraint "database" primary key);'
            "create table parted (a integer) partition by list (a);"
            "create table part partition of parted for values in (1);"
            "create type mood as enum ('glad');"
            'create index "concurrently" on part (a);'
        )
        conn.execute("begin")
        try:
            conn.execute(statement.encode())
        except psycopg.Error as error:
            return error.sqlstate
        finally:
            conn.rollback()
        return None


@pytest.mark.parametrize("statement", lines(OUTSIDE))
def test_outside(empty_database: str, tmp_path: Path, statement: str) -> None:
    (tmp_path / "x.sql").write_text(statement)
    assert read_script(tmp_path / "x.sql", "deploy").execution == "not atomic"
    assert inside(empty_database, statement) == errors.ActiveSqlTransaction.sqlstate


@pytest.mark.parametrize("statement", lines(INSIDE))
def test_inside(empty_database: str, tmp_path: Path, statement: str) -> None:
    (tmp_path / "x.sql").write_text(statement)
    script = read_script(tmp_path / "x.sql", "deploy")
    assert (script.execution, script.why) == ("atomic", None)
    assert inside(empty_database, statement) not in (
        errors.ActiveSqlTransaction.sqlstate,
        errors.InvalidTransactionTermination.sqlstate,
    )


@pytest.mark.parametrize("statement", lines(ENDS))
def test_ends_the_transaction(empty_database: str, tmp_path: Path, statement: str) -> None:
    (tmp_path / "x.sql").write_text(statement)
    assert read_script(tmp_path / "x.sql", "deploy").execution == "not atomic"
    assert inside(empty_database, statement) == errors.InvalidTransactionTermination.sqlstate


def test_the_server_places_an_error_where_the_file_has_it(
    empty_database: str, tmp_path: Path
) -> None:
    path = tmp_path / "x.sql"
    path.write_text("begin;\n-- é\nselect :'v', :w,\n  'é', nosuch;\ncommit;", encoding="utf-8")
    script = read_script(path, "deploy", {"v": "\\é\n\n", "w": "/*\n*/ 1"})
    (statement,) = script.body
    with psycopg.connect(empty_database) as conn, pytest.raises(psycopg.Error) as raised:
        conn.execute(statement.text.encode())
    position = int(raised.value.diag.statement_position or 0) - 1
    assert script.place(statement, position) == (4, 8)
