"""Scripts that fail, or are not there: what stays, what goes, and what is said."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from small_project import Sql, events, recorded, run, table, tables, write_project

from integrations_db.testing import databases
from integrations_db.testing.servers import Server

from .kills import SECRET, refused
from .story import Story, tell, whole

pytestmark = pytest.mark.database

A, C = table("a"), table("c")
FAILS = {
    "own transaction": "begin;\ncreate table b ();\nselect nosuch;\ncommit;",
    "statements": "create table b ();\n\nselect nosuch;",
    "do block": "create table b ();\ndo $$ begin\n  perform nosuch;\nend $$;",
    "syntax": "create table b ();\ncreate tabel x ();",
    "at the commit": "begin;\ncreate table b (i int primary key deferrable initially deferred);\n"
    "insert into b values (1), (1);\ncommit;",
    "role left behind": "begin;\ncreate table b ();\nset role pg_monitor;\n"
    "set search_path = nowhere;\ncreate table nowhere.x ();\ncommit;",
}


def by_hand(dsn: str, statement: str) -> None:
    """Does something in a database."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(statement.encode())


@pytest.mark.parametrize("mode", ["change", "tag", "all"])
@pytest.mark.parametrize("shape", FAILS)
def test_a_failing_deploy_script(
    empty_database: str, tmp_path: Path, shape: str, mode: str
) -> None:
    """By mode: the changes before it stay, or those up to the last tag, or none of this run."""
    changes = {"z": table("z"), "t": table("t", tags=("v1",)), "a": A}
    write_project(tmp_path, {**changes, "b": Sql(FAILS[shape]), "c": C})
    assert run(tmp_path, "deploy", "--to", "z", empty_database).returncode == 0
    done = run(tmp_path, "deploy", "--mode", mode, make_conninfo(empty_database, password=SECRET))
    refused(done, 1, "deploy/b.sql", "deploy again")
    left = {"change": ["z", "t", "a"], "tag": ["z", "t"], "all": ["z"]}[mode]
    assert (recorded(empty_database), tables(empty_database)) == (left, set(left))
    assert ("fail", "b") in events(empty_database)
    write_project(tmp_path, {**changes, "b": table("b"), "c": C})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    assert recorded(empty_database) == ["z", "t", "a", "b", "c"]


@pytest.mark.parametrize("mode", ["change", "tag", "all"])
def test_a_failing_script_that_is_not_atomic(
    empty_database: str, tmp_path: Path, mode: str
) -> None:
    """What took effect is told, and no revert script of a change that is marked runs."""
    half = "begin;\ncreate table b ();\ncommit;\nselect nosuch;\n"
    changes = {"z": table("z"), "t": table("t", tags=("v1",)), "a": A}
    write_project(tmp_path, {**changes, "b": Sql(half, "drop table b;"), "c": C})
    assert run(tmp_path, "deploy", "--to", "z", empty_database).returncode == 0
    done = run(tmp_path, "deploy", "--mode", mode, make_conninfo(empty_database, password=SECRET))
    refused(done, 1, "deploy/b.sql:5", "up to line 4", "--resume", "--log-only")
    left = {"change": ["z", "t", "a"], "tag": ["z", "t"], "all": ["z"]}[mode]
    assert (recorded(empty_database), tables(empty_database)) == (left, {*left, "b"})
    # Made whole by hand, it is run again; the changes that were taken back go first.
    by_hand(empty_database, "drop table b")
    (tmp_path / "deploy/b.sql").write_text("begin;\ncreate table b ();\ncommit;\nselect 1;\n")
    done = run(tmp_path, "deploy", "--resume", empty_database)
    assert done.returncode == 0, done.stderr
    assert recorded(empty_database) == ["z", "t", "a", "b", "c"]


@pytest.mark.parametrize("own", [True, False], ids=["own transaction", "statements"])
def test_a_failing_verify_script(empty_database: str, tmp_path: Path, own: bool) -> None:
    """Nobody ever sees the change, and its revert script is not needed."""
    body = "create table b ();\n"
    deploy = f"begin;\n{body}commit;" if own else body
    write_project(tmp_path, {"a": A, "b": Sql(deploy, "syntax error", "select 1 / 0;"), "c": C})
    done = run(tmp_path, "deploy", make_conninfo(empty_database, password=SECRET))
    refused(done, 1, "verify/b.sql:2", "22012", "b left nothing behind", "deploy again")
    assert (recorded(empty_database), tables(empty_database)) == (["a"], {"a"})
    assert events(empty_database) == [("deploy", "a"), ("fail", "b")]


@pytest.mark.parametrize("reverts", [True, False], ids=["revert works", "revert fails"])
def test_a_failing_verify_of_what_is_not_atomic(
    empty_database: str, tmp_path: Path, reverts: bool
) -> None:
    """The revert script takes the change back; if it cannot, that is said and marked."""
    index = Sql(
        "create index concurrently i on a (id);",
        "drop index i;" if reverts else "drop index nosuch;",
        "select 1 / 0;",
    )
    write_project(tmp_path, {"a": A, "b": index, "c": C})
    done = run(tmp_path, "deploy", make_conninfo(empty_database, password=SECRET))
    refused(done, 1, "verify/b.sql:2", "22012")
    there = "select from pg_class where relname = 'i'"
    with psycopg.connect(empty_database) as conn:
        assert conn.execute(there).rowcount == (0 if reverts else 1)
    assert recorded(empty_database) == ["a"]
    again = run(tmp_path, "deploy", "--no-verify", empty_database)
    if reverts:
        assert again.returncode == 0, again.stderr
    else:
        assert "revert/b.sql:2" in done.stderr
        refused(again, 1, "deploy/b.sql (deploy of b) was begun", "--resume", "--log-only")


@pytest.mark.parametrize("shape", FAILS)
def test_a_failing_revert_script(empty_database: str, tmp_path: Path, shape: str) -> None:
    """The change stays, whole, and so does everything before it."""
    bad = table("b", revert=FAILS[shape].replace("create table b", "create table x"))
    write_project(tmp_path, {"a": A, "b": bad, "c": C})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    done = run(tmp_path, "revert", "--all", "-y", make_conninfo(empty_database, password=SECRET))
    refused(done, 1, "revert/b.sql", "b is still deployed, whole", "revert again")
    assert (recorded(empty_database), tables(empty_database)) == (["a", "b"], {"a", "b"})
    assert events(empty_database)[-1] == ("revert", "c")
    write_project(tmp_path, {"a": A, "b": table("b"), "c": C})
    assert run(tmp_path, "revert", "--all", "-y", empty_database).returncode == 0
    assert (recorded(empty_database), tables(empty_database)) == ([], set())


@pytest.fixture
def three(server: Server, tmp_path: Path) -> Story:
    """A project of three changes."""
    with databases.clone(server.dsn, "template0") as dsn:
        return tell(tmp_path, dsn, {"a": A, "b": table("b"), "c": C})


@pytest.mark.parametrize("arguments", [["deploy"], ["deploy", "--mode", "all"]])
def test_a_missing_deploy_script(three: Story, empty_database: str, arguments: list[str]) -> None:
    """It is missed before anything runs."""
    (three.folder / "deploy/b.sql").unlink()
    refused(run(three.folder, *arguments, empty_database), 1, "deploy/b.sql")
    assert (recorded(empty_database), tables(empty_database)) == ([], set())


def test_a_missing_revert_script(three: Story, empty_database: str) -> None:
    (three.folder / "revert/b.sql").unlink()
    assert run(three.folder, "deploy", empty_database).returncode == 0
    refused(run(three.folder, "revert", "--all", "-y", empty_database), 1, "revert/b.sql")
    with psycopg.connect(empty_database, autocommit=True) as conn:
        assert whole(conn, three) == 3


@pytest.mark.parametrize("name", ["sqitch.plan", "sqitch.conf"])
def test_a_missing_project_file(three: Story, empty_database: str, name: str) -> None:
    (three.folder / name).unlink()
    done = run(three.folder, "--chdir", ".", "deploy", empty_database)
    if name == "sqitch.plan":
        assert done.returncode in (1, 2), done.stderr
        assert "sqitch.plan" in done.stderr
        assert "Traceback" not in done.stderr
        assert tables(empty_database) == set()
    else:
        assert done.returncode == 0, done.stderr


def test_a_script_that_cannot_be_read(three: Story, empty_database: str) -> None:
    (three.folder / "deploy/b.sql").write_bytes(b"select '\xe4';")
    refused(run(three.folder, "deploy", empty_database), 1, "deploy/b.sql")
    with psycopg.connect(empty_database, autocommit=True) as conn:
        assert whole(conn, three) <= 1


def test_a_begin_without_commit(three: Story, empty_database: str) -> None:
    """Stock Sqitch records such a change as deployed, and nothing of it is there."""
    (three.folder / "deploy/b.sql").write_text("begin;\ncreate table b ();\n")
    refused(run(three.folder, "deploy", empty_database), 1, "deploy/b.sql:1", "COMMIT")
    assert (recorded(empty_database), tables(empty_database)) == ([], set())
