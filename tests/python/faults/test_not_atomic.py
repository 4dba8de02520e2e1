"""Scripts that no transaction can hold: a kill leaves a mark, and the next run says what to do."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from small_project import (
    Sql,
    begin,
    events,
    recorded,
    rows,
    run,
    sqitch,
    table,
    tables,
    write_project,
)

from .dumps import dump
from .kills import SECRET, alone, ended, kill, refused, sleeps, wait_for
from .story import Connection

pytestmark = pytest.mark.database

META = Sql(
    deploy="\\set name b\ncreate table :name (id int);\nselect pg_sleep(1);\n"
    "insert into :name values (1);\n",
    revert="\\set name b\nselect pg_sleep(1);\ndrop table :name;\n",
    verify="select id from b;\n",
)
INDEX = Sql(
    deploy="create index concurrently a_id on a (id);\n",
    revert="drop index concurrently a_id;\n",
    verify="select 1 / count(*) from pg_index where indexrelid = 'a_id'::regclass and indisvalid;",
)


def marked(dsn: str) -> list[str]:
    """Returns the changes whose scripts are marked as begun."""
    if rows(dsn, "select to_regclass('integrations_db.unfinished_scripts')") == [(None,)]:
        return []
    query = "select change from integrations_db.unfinished_scripts"
    return [row[0] for row in rows(dsn, query)]


@pytest.mark.parametrize("group", [True, False], ids=["group", "process"])
def test_kill_while_psql_runs_a_script(empty_database: str, tmp_path: Path, group: bool) -> None:
    write_project(tmp_path, {"a": table("a"), "b": META, "c": table("c")})
    target = make_conninfo(empty_database, password=SECRET)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        process = begin(tmp_path, "deploy", target)
        wait_for(lambda: sleeps(conn), "psql runs the script")
        kill(process, signal.SIGKILL, group)
        early = run(tmp_path, "deploy", target)
        alone(conn)
    assert (recorded(empty_database), marked(empty_database)) == (["a"], ["b"])
    # While its session is at work nobody may touch it; afterwards somebody must choose.
    refused(early, 1, "deploy/b.sql", "outside a transaction")
    assert "--resume" in early.stderr or "still at work" in early.stderr
    refused(
        run(tmp_path, "deploy", target),
        1,
        "deploy/b.sql (deploy of b) was begun",
        "Ada Lovelace",
        "deploy --resume",
        "deploy --log-only",
    )
    assert "b" in run(tmp_path, "status", target).stdout
    # Resumed, it meets what it has made before.
    refused(run(tmp_path, "deploy", "--resume", target), 1, "already exists", "deploy/b.sql")
    assert (recorded(empty_database), marked(empty_database)) == (["a"], ["b"])
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("drop table b")
    done = run(tmp_path, "deploy", "--resume", target)
    assert done.returncode == 0, done.stderr
    assert (recorded(empty_database), marked(empty_database)) == (["a", "b", "c"], [])
    assert rows(empty_database, "select id from b") == [(1,)]


def test_kill_while_psql_reverts(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a"), "b": META})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    with psycopg.connect(empty_database, autocommit=True) as conn:
        process = begin(tmp_path, "revert", "--all", "-y", empty_database)
        wait_for(lambda: sleeps(conn), "psql runs the script")
        kill(process, signal.SIGKILL, group=True)
        alone(conn)
    assert (recorded(empty_database), marked(empty_database)) == (["a", "b"], ["b"])
    refused(
        run(tmp_path, "revert", "--all", "-y", empty_database),
        1,
        "revert/b.sql (revert of b) was begun",
        "revert --resume",
        "revert --log-only",
    )
    refused(run(tmp_path, "deploy", empty_database), 1, "revert/b.sql")
    done = run(tmp_path, "revert", "--all", "-y", "--resume", empty_database)
    assert done.returncode == 0, done.stderr
    assert (recorded(empty_database), tables(empty_database)) == ([], set())
    assert marked(empty_database) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_while_psql_runs_a_script(
    empty_database: str, tmp_path: Path, number: signal.Signals
) -> None:
    """psql goes with us, and what it has done is told."""
    write_project(tmp_path, {"a": table("a"), "b": META})
    target = make_conninfo(empty_database, password=SECRET)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        process = begin(tmp_path, "deploy", target)
        wait_for(lambda: sleeps(conn), "psql runs the script")
        process.send_signal(number)
        done = ended(process)
        alone(conn)
    refused(done, {signal.SIGINT: 130, signal.SIGTERM: 1}[number], "b", "--resume", "--log-only")
    assert (recorded(empty_database), marked(empty_database)) == (["a"], ["b"])
    assert rows(empty_database, "select id from b") == []


def test_kill_during_an_index_build(empty_database: str, tmp_path: Path) -> None:
    """The server gives up; the invalid index is named, and the choices work."""
    write_project(tmp_path, {"a": table("a"), "b": INDEX, "c": table("c")})
    assert run(tmp_path, "deploy", "--to", "a", empty_database).returncode == 0
    target = make_conninfo(empty_database, password=SECRET)
    with psycopg.connect(empty_database) as holder:
        holder.execute("insert into a values (1)")  # the build waits for this transaction
        process = begin(tmp_path, "deploy", target)
        with psycopg.connect(empty_database, autocommit=True) as conn:
            wait_for(lambda: builds(conn), "the index is being built")
            kill(process, signal.SIGKILL, group=True)
            wait_for(lambda: not built(conn), "the server ends the session of a killed client")
            left = run(tmp_path, "deploy", target)
    refused(left, 1, "deploy/b.sql (deploy of b) was begun", "--resume", "--log-only")
    assert (recorded(empty_database), marked(empty_database)) == (["a"], ["b"])
    assert "a_id" in left.stderr, "the invalid index is not named"
    assert "DROP INDEX" in left.stderr.upper()
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("drop index a_id")
    done = run(tmp_path, "deploy", "--resume", target)
    assert done.returncode == 0, done.stderr
    assert (recorded(empty_database), marked(empty_database)) == (["a", "b", "c"], [])


def builds(conn: Connection) -> bool:
    """Tells whether an index is being built in this database, and waits for others."""
    return ("active", "Lock") in built(conn)


def built(conn: Connection) -> list[tuple[Any, ...]]:
    """Returns the sessions of this database that build or have built an index."""
    query = (
        "select state, wait_event_type from pg_stat_activity"
        " where query ~* '^create index' and datname = current_database()"
    )
    return conn.execute(query).fetchall()


def test_an_index_built_by_hand_is_recorded(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a"), "b": INDEX, "c": table("c")})
    assert run(tmp_path, "deploy", "--to", "a", empty_database).returncode == 0
    with psycopg.connect(empty_database) as holder:
        holder.execute("insert into a values (1)")
        process = begin(tmp_path, "deploy", empty_database)
        with psycopg.connect(empty_database, autocommit=True) as conn:
            wait_for(lambda: builds(conn), "the index is being built")
            kill(process, signal.SIGKILL, group=True)
            wait_for(lambda: not built(conn), "the server ends the session of a killed client")
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("drop index a_id")
        conn.execute("create index a_id on a (id)")
    done = run(tmp_path, "deploy", "--log-only", "--to", "b", empty_database)
    assert done.returncode == 0, done.stderr
    assert (recorded(empty_database), marked(empty_database)) == (["a", "b"], [])
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    assert run(tmp_path, "verify", empty_database).returncode == 0
    assert sqitch(tmp_path, empty_database, "verify", "{target}").returncode == 0


def test_an_index_that_cannot_be_built(empty_database: str, tmp_path: Path) -> None:
    twice = Sql("create unique index concurrently twice on b (i);", "drop index twice;")
    data = Sql(
        "create table b (i int);\ninsert into b values (1), (1);", "drop table b;", "table b;"
    )
    write_project(tmp_path, {"b": data, "twice": twice})
    done = run(tmp_path, "deploy", make_conninfo(empty_database, password=SECRET))
    refused(done, 1, "deploy/twice.sql:2", "23505", "--resume", "--log-only", "invalid")
    assert "twice" in done.stderr
    assert "DROP INDEX" in done.stderr.upper()
    assert (recorded(empty_database), marked(empty_database)) == (["b"], ["twice"])
    assert events(empty_database)[-1] == ("fail", "twice")


def test_slow_scripts_on_an_impatient_server(empty_database: str, tmp_path: Path) -> None:
    """The session that records is idle while another one runs the script."""
    slow = Sql("select pg_sleep(1.2);\ncreate index concurrently a_id on a (id);\n", INDEX.revert)
    write_project(tmp_path, {"a": table("a"), "b": slow, "c": META})
    with psycopg.connect(empty_database, autocommit=True) as conn:
        for name in ("idle_in_transaction_session_timeout", "idle_session_timeout"):
            conn.execute(
                sql.SQL("alter database {} set {} = '500ms'").format(
                    sql.Identifier(conn.info.dbname), sql.Identifier(name)
                )
            )
    done = run(tmp_path, "deploy", empty_database)
    assert done.returncode == 0, done.stderr
    assert recorded(empty_database) == ["a", "b", "c"]
    done = run(tmp_path, "revert", "--all", "-y", empty_database)
    assert done.returncode == 0, done.stderr
    assert (recorded(empty_database), tables(empty_database)) == ([], set())


def test_no_second_connection(empty_database: str, tmp_path: Path) -> None:
    """The role may have one session only: the script is not begun, nothing is marked."""
    write_project(tmp_path, {"a": table("a"), "b": INDEX})
    name = f"{conninfo_to_dict(empty_database)['dbname']}_one"
    role = sql.Identifier(name)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(sql.SQL("create role {} login connection limit 1").format(role))
        conn.execute(
            sql.SQL("alter database {} owner to {}").format(sql.Identifier(conn.info.dbname), role)
        )
        conn.execute(sql.SQL("grant create on schema public to {}").format(role))
        try:
            done = run(tmp_path, "deploy", make_conninfo(empty_database, user=name))
            refused(done, 1, "too many connections for role", "b")
            assert (recorded(empty_database), marked(empty_database)) == (["a"], [])
            conn.execute(sql.SQL("alter role {} connection limit -1").format(role))
            again = run(tmp_path, "deploy", make_conninfo(empty_database, user=name))
            assert again.returncode == 0, again.stderr
        finally:
            conn.execute(sql.SQL("drop owned by {} cascade").format(role))
            conn.execute(
                sql.SQL("alter database {} owner to postgres").format(
                    sql.Identifier(conn.info.dbname)
                )
            )
            conn.execute(sql.SQL("drop role {}").format(role))


def test_nothing_of_the_mark_stays(empty_database: str, tmp_path: Path) -> None:
    """After scripts of every kind the database is what stock Sqitch makes of it."""
    write_project(tmp_path, {"a": table("a"), "b": META, "c": INDEX, "d": table("d")})
    done = run(tmp_path, "deploy", empty_database)
    assert done.returncode == 0, done.stderr
    assert "integrations_db" not in dump(empty_database)


def test_a_waiter_does_not_block_an_index_build(empty_database: str, tmp_path: Path) -> None:
    """A second deployer waits for the lock while the first one builds concurrently."""
    write_project(tmp_path, {"a": table("a"), "b": INDEX})
    assert run(tmp_path, "deploy", "--to", "a", empty_database).returncode == 0
    with psycopg.connect(empty_database, autocommit=True) as conn:
        with psycopg.connect(empty_database) as holder:
            holder.execute("insert into a values (1)")
            first = begin(tmp_path, "deploy", empty_database)
            wait_for(lambda: builds(conn), "the index is being built")
            second = begin(tmp_path, "deploy", empty_database)
            assert run(tmp_path, "status", empty_database).returncode == 0
            assert second.stderr is not None
            assert "another deployment is running" in second.stderr.readline()
        for process in (first, second):
            done = ended(process)
            assert done.returncode == 0, done.stderr
    assert recorded(empty_database) == ["a", "b"]
