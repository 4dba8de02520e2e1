"""What cannot run inside a transaction: the server is the judge of our classification."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st
from psql_oracle import run_scripts
from psycopg import errors

from integrations_db.database import place
from integrations_db.script import ScriptError, read_script
from integrations_db.testing.servers import Server

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


def test_a_body_is_placed_where_the_file_has_it(empty_database: str, tmp_path: Path) -> None:
    path = tmp_path / "x.sql"
    path.write_text("select 1;\ndo :v\n$$ begin\n perform 1;\n perform nosuch;\nend $$;")
    script = read_script(path, "deploy", {"v": "language\n\n plpgsql"})
    with psycopg.connect(empty_database) as conn, pytest.raises(psycopg.Error) as raised:
        conn.execute(script.body[1].text.encode())
    assert place(script, script.body[1], raised.value).endswith("x.sql:5")


# {n} becomes a new number.
STATEMENTS = st.sampled_from(
    [
        *["insert into t values ({n})"] * 6,
        *["begin", "commit", "BEGIN", "end"] * 2,
        "start transaction isolation level serializable",
        "rollback",
        "abort",
        "commit and chain",
        "rollback and chain",
        "commit and no chain",
        "set local work_mem = '8MB'",
        "set work_mem = '8MB'",
        "set constraints all immediate",
        "do $$ begin insert into t values ({n}); end $$",
        "do $$ begin insert into t values ({n}); commit; end $$",
        "copy t from stdin;\n{n}\n\\.\nselect 1",
        "\\echo x\nselect 1",
    ]
)
ENDS_OF_STATEMENTS = st.sampled_from([";", ";", ";", ";\n", "\\;", " ; -- begin;\n"])


@st.composite
def scripts(draw: st.DrawFn) -> str:
    made = draw(st.lists(st.tuples(STATEMENTS, ENDS_OF_STATEMENTS), max_size=8))
    if draw(st.booleans()):
        made = [("begin", ";"), *made, ("commit", ";")]
    return "".join(text.replace("{n}", str(n)) + end for n, (text, end) in enumerate(made))


@settings(max_examples=10, deadline=None, phases=(Phase.explicit, Phase.reuse, Phase.generate))
@example(
    made=[
        "begin;insert into t values (1);rollback and chain;insert into t values (2);commit;",
        "begin;insert into t values (1);rollback;insert into t values (2);",
        "begin;insert into t values (1);commit and chain;insert into t values (2);abort;select 1",
        "begin;insert into t values (1)\\; rollback\\; begin; insert into t values (2);end",
    ]
)
@given(made=st.lists(scripts(), min_size=20, max_size=40))
def test_either_way_of_running_does_what_psql_does(
    server: Server, tmp_path_factory: pytest.TempPathFactory, made: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("scripts")
    theirs = run_scripts(server.dsn, folder, made)
    with psycopg.connect(server.dsn, autocommit=True, prepare_threshold=None) as conn:
        conn.execute("create temp table t (a integer)")
        for number, (source, (rows, failed)) in enumerate(zip(made, theirs, strict=True)):
            try:
                script = read_script(folder / f"{number}.sql", "deploy")
            except ScriptError:
                continue
            if failed or script.execution == "psql":
                continue
            conn.execute("truncate t")
            if script.execution == "atomic":
                conn.execute(script.begin.encode())
                for statement in script.body:
                    conn.execute(statement.text.encode())
                conn.execute("commit")
                assert numbers(conn) == rows, source
                conn.execute("truncate t")
            for statement in script.statements:
                conn.execute(statement.text.encode())
            conn.execute("rollback")
            assert numbers(conn) == rows, source


def numbers(conn: psycopg.Connection[tuple[int, ...]]) -> list[int]:
    return [row[0] for row in conn.execute("select a from t order by a")]
