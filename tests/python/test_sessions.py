"""Each script finds the session that Sqitch would open for it: with what is stored by then."""

from __future__ import annotations

import secrets
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from small_project import Sql, rows, run, sqitch, table, tables, write_project
from test_registry import another_database, content

from integrations_db.transaction import settled

pytestmark = pytest.mark.database

MARKS = (
    "select format('%s.%s', n.nspname, c.relname), obj_description(c.oid) from pg_class as c"
    " join pg_namespace as n on n.oid = c.relnamespace"
    " where c.relkind = 'r' and c.relname in ('before', 'after') order by 1"
)
STORE = (
    'alter database :"DBNAME" set search_path = app, public;\n'
    "alter database :\"DBNAME\" set app.mark = 'of the database';\n"
)
FORGET = 'alter database :"DBNAME" reset all;\n'
SESSION = (
    "do $$ begin execute format('comment on table {0} is %L', current_setting('app.mark')); end $$"
)


def marked(name: str) -> Sql:
    """The change that makes a table where the search path leads, and says which session made it."""
    return Sql(
        f"begin;\ncreate table {name} (id int);\n{SESSION.format(name)};\ncommit;\n",
        revert=f"begin;\ndrop table {name};\ncommit;\n",
        verify=f"table {name};\n",
    )


def changes(store: Sequence[str] = (STORE, FORGET)) -> dict[str, Sql]:
    """A project that stores settings between two changes."""
    return {
        "before": table("before"),
        "schema": Sql("create schema app;\n", revert="drop schema app;\n"),
        "store": Sql(store[0], revert=store[1]),
        "after": marked("after"),
    }


@pytest.mark.parametrize(
    "how",
    [
        pytest.param((STORE, FORGET), id="in the transaction"),
        pytest.param((f"vacuum pg_class;\n{STORE}", f"vacuum pg_class;\n{FORGET}"), id="apart"),
        pytest.param((f"\\set x 1\n{STORE}", f"\\set x 1\n{FORGET}"), id="by psql"),
    ],
)
def test_stored_settings_hold_for_the_next_change(
    empty_database: str, tmp_path: Path, how: tuple[str, str]
) -> None:
    write_project(tmp_path, changes(how))
    with another_database(empty_database, f"session_{secrets.token_hex(4)}") as theirs:
        assert run(tmp_path, "deploy", empty_database).returncode == 0
        assert sqitch(tmp_path, theirs, "deploy", "--verify", "{target}").returncode == 0
        made = rows(empty_database, MARKS)
        assert made == [("app.after", "of the database"), ("public.before", None)]
        assert rows(theirs, MARKS) == made
        done = run(tmp_path, "revert", "--all", "-y", theirs)
        assert done.returncode == 0, done.stderr
        assert sqitch(tmp_path, empty_database, "revert", "-y", "{target}").returncode == 0
        assert rows(theirs, MARKS) == rows(empty_database, MARKS) == []


def test_stored_settings_hold_within_one_transaction(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, changes())
    done = run(tmp_path, "deploy", "--mode", "all", empty_database)
    assert done.returncode == 0, done.stderr
    assert rows(empty_database, MARKS)[0] == ("app.after", "of the database")


def test_a_setting_that_is_stored_no_more_is_gone(empty_database: str, tmp_path: Path) -> None:
    # Only the path that is in force without the stored one leads to the table of the first change.
    only = 'alter database :"DBNAME" set search_path = app;\n'
    project = changes((only, FORGET))
    project["after"] = table("after")
    write_project(tmp_path, project)
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    done = run(tmp_path, "revert", "--all", "-y", empty_database)
    assert done.returncode == 0, done.stderr
    assert rows(empty_database, MARKS) == []


def test_what_target_asks_for_is_stronger(empty_database: str, tmp_path: Path) -> None:
    project = changes()
    project["after"] = table("after")
    write_project(tmp_path, project)
    dsn = make_conninfo(empty_database, options="-c search_path=public")
    assert run(tmp_path, "deploy", dsn).returncode == 0
    assert rows(empty_database, MARKS) == [("public.after", None), ("public.before", None)]


def test_the_settings_of_a_role_are_stronger_than_those_of_the_database(
    empty_database: str, tmp_path: Path
) -> None:
    role = STORE.replace('database :"DBNAME"', 'role :"USER" in database :"DBNAME"')
    both = STORE.replace("app, public", "public") + role.replace("of the database", "of the role")
    write_project(tmp_path, changes((both, FORGET)))
    done = run(tmp_path, "deploy", empty_database)
    assert done.returncode == 0, done.stderr
    assert rows(empty_database, MARKS)[0] == ("app.after", "of the role")


def test_a_role_that_is_no_superuser_keeps_what_only_one_could_set(
    empty_database: str, tmp_path: Path, login: Callable[[str, str], str]
) -> None:
    as_member = login("pg_monitor", empty_database)
    name, database = (conninfo_to_dict(as_member)[key] for key in ("user", "dbname"))
    with psycopg.connect(empty_database, autocommit=True) as conn:
        for statement in (
            f"alter role {name} set log_min_duration_statement = 60000",
            f"grant create on database {database} to {name}",
            f"grant create on schema public to {name}",
        ):
            conn.execute(statement.encode())
    project = changes(("alter role current_user set search_path = app, public;\n", ""))
    project["after"] = table("after")
    write_project(tmp_path, project)
    done = run(tmp_path, "deploy", as_member)
    assert done.returncode == 0, done.stderr
    assert rows(empty_database, MARKS)[0] == ("app.after", None)


@pytest.mark.parametrize(
    "script",
    [
        pytest.param("create table x ();\nlock table x;\n", id="lock"),
        pytest.param(
            "create temp table t on commit drop as select 1;\ncreate table x as table t;\n",
            id="temporary",
        ),
    ],
)
def test_what_psql_would_refuse_outside_of_a_transaction_is_refused(
    empty_database: str, tmp_path: Path, script: str
) -> None:
    write_project(tmp_path, {"a": table("a"), "x": Sql(script, revert="drop table x;\n")})
    with another_database(empty_database, f"session_{secrets.token_hex(4)}") as theirs:
        assert run(tmp_path, "deploy", empty_database).returncode == 1
        stock = sqitch(tmp_path, theirs, "deploy", "--verify", "--mode", "change", "{target}")
        assert stock.returncode != 0
        assert content(empty_database) == content(theirs)
        assert tables(empty_database) == tables(theirs)


DEFERRED = (
    "create table p (id integer primary key, n integer unique deferrable);\n"
    "create table c (id integer references p deferrable initially deferred);\n"
    "insert into p values (1, 1);\n"
)
CHILD_FIRST = "begin;\ninsert into c values ({0});\ninsert into p values ({0}, {0});\n{1};\n"
TWICE = (
    "do $$ begin insert into p values (9, 1); raise 'not checked at once';\n"
    "exception when unique_violation then null; end $$;\n"
)


@pytest.mark.parametrize("mode", ["change", "all"])
def test_constraints_are_deferred_as_they_are_declared(
    empty_database: str, tmp_path: Path, mode: str
) -> None:
    # Those of one script are checked at its end, and yet the next may defer them again.
    verify = CHILD_FIRST.format(7, f"{TWICE}rollback")
    write_project(
        tmp_path,
        {
            "tables": Sql(f"begin;\n{DEFERRED}commit;\n", "drop table c, p;\n", verify),
            "rows": Sql(CHILD_FIRST.format(2, f"{TWICE}commit"), verify=verify),
            "more": Sql(CHILD_FIRST.format(3, "commit"), verify="table p;\n"),
        },
    )
    done = run(tmp_path, "deploy", "--mode", mode, empty_database)
    assert done.returncode == 0, done.stderr
    assert rows(empty_database, "select id from c order by 1") == [(2,), (3,)]
    assert run(tmp_path, "verify", empty_database).returncode == 0


@pytest.mark.parametrize("lost", [0, 1], ids=["the cancellation comes", "the first one is lost"])
def test_an_interrupt_before_the_answer_leaves_the_session_usable(
    empty_database: str, lost: int
) -> None:
    """psycopg cancels what it waits for; a signal may come after sending, before waiting.

    A server that has not begun the statement by then takes no notice of the cancellation.
    """

    class Connection(psycopg.Connection[tuple[Any, ...]]):
        cancelled = 0

        def cancel_safe(self, *, timeout: float = 30.0) -> None:
            self.cancelled += 1
            if self.cancelled > lost:
                super().cancel_safe(timeout=timeout)

    with Connection.connect(empty_database, autocommit=True, prepare_threshold=None) as conn:
        conn.execute("begin; create table t ()")
        with pytest.raises(KeyboardInterrupt), settled(conn):
            conn.pgconn.send_query(b"select pg_sleep(20)")
            raise KeyboardInterrupt
        assert conn.cancelled > lost  # or it has waited for the statement's end
        assert conn.execute("select to_regclass('t')").fetchone() == (None,)
