"""Several deployers at once, ours and stock Sqitch: one works, the others wait and find it done."""

from __future__ import annotations

import signal
import subprocess
from pathlib import Path

import psycopg
import pytest
from loaded import Started
from small_project import Sql, begin, recorded, run, sqitch_command, table, write_project

from integrations_db.testing import databases
from integrations_db.testing.servers import Server

from .kills import SECRET, alone, ended, refused, sleeps, start, wait_for
from .story import Story, tell, whole

pytestmark = pytest.mark.database


@pytest.fixture
def slow(server: Server, tmp_path: Path) -> Story:
    """A project whose second change takes a second."""
    script = "begin;\ncreate table slow ();\nselect pg_sleep(1);\ncommit;\n"
    changes = {"a": table("a"), "slow": Sql(script, "drop table slow;"), "c": table("c")}
    with databases.clone(server.dsn, "template0") as dsn:
        return tell(tmp_path, dsn, changes)


def by(tool: str, story: Story, dsn: str, *arguments: str) -> subprocess.Popen[str] | Started:
    """Starts ``ours`` or ``stock`` on a database."""
    if tool == "ours":
        return begin(story.folder, *arguments, dsn)
    argv, env = sqitch_command(dsn, *arguments, "{target}")
    return start(story.folder, argv, **env)


def test_five_at_once_on_a_new_database(slow: Story, empty_database: str) -> None:
    """Even the registry is made by one of them only."""
    processes = [by("ours", slow, empty_database, "deploy") for _ in range(5)]
    done = [ended(process) for process in processes]
    assert [one.returncode for one in done] == [0] * 5, [one.stderr for one in done]
    assert sum("Deployed 3 changes" in one.stdout for one in done) == 1
    assert sum("Nothing to deploy" in one.stdout for one in done) == 4
    with psycopg.connect(empty_database, autocommit=True) as conn:
        assert whole(conn, slow) == 3


@pytest.mark.parametrize(("first", "second"), [("ours", "stock"), ("stock", "ours")])
def test_ours_and_sqitch_at_once(slow: Story, empty_database: str, first: str, second: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as conn:
        one = by(first, slow, empty_database, "deploy")
        wait_for(lambda: sleeps(conn), "the script sleeps")
        two = by(second, slow, empty_database, "deploy")
        done = [ended(one), ended(two)]
        assert [each.returncode for each in done] == [0, 0], [each.stderr for each in done]
        assert "Nothing to deploy" in done[1].stdout + done[1].stderr
        assert whole(conn, slow) == 3


@pytest.mark.parametrize(("first", "second"), [("ours", "stock"), ("stock", "ours")])
def test_a_deploy_and_a_revert_at_once(
    slow: Story, empty_database: str, first: str, second: str
) -> None:
    """The revert finds other changes than it was asked about, or waits until all is deployed."""
    assert run(slow.folder, "deploy", "--to", "a", empty_database).returncode == 0
    back = {"ours": ["revert", "--all", "-y"], "stock": ["revert", "-y"]}[second]
    with psycopg.connect(empty_database, autocommit=True) as conn:
        one = by(first, slow, empty_database, "deploy")
        wait_for(lambda: sleeps(conn), "the script sleeps")
        two = by(second, slow, empty_database, *back)
        first_done, second_done = ended(one), ended(two)
        assert first_done.returncode == 0, first_done.stderr
        alone(conn)
        left = whole(conn, slow)
        if second == "ours":
            refused(second_done, 1, "another deployment went on meanwhile. Nothing was touched")
            assert left == 3
        else:
            assert (second_done.returncode, left) == (0, 0)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_a_signal_while_it_waits_for_another(
    slow: Story, empty_database: str, number: signal.Signals
) -> None:
    with psycopg.connect(empty_database, autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(75474063)")
        process = by("ours", slow, f"{empty_database} password={SECRET}", "deploy")
        assert process.stderr is not None
        assert "another deployment is running" in process.stderr.readline()
        process.send_signal(number)
        done = ended(process)
        if number == signal.SIGKILL:
            assert done.returncode == -signal.SIGKILL
        else:
            said = {signal.SIGTERM: (1, "terminated"), signal.SIGINT: (130, "interrupted")}[number]
            refused(done, *said)
        alone(holder)
        assert whole(holder, slow) == 0
        holder.execute("select pg_advisory_unlock_all()")
        assert run(slow.folder, "deploy", empty_database).returncode == 0
        assert whole(holder, slow) == 3


def test_who_waits_in_vain_is_told_who_works(slow: Story, empty_database: str) -> None:
    with psycopg.connect(
        empty_database, autocommit=True, application_name="the night job"
    ) as holder:
        holder.execute("select pg_advisory_lock(75474063)")
        done = run(slow.folder, "deploy", "--wait", "1s", f"{empty_database} password={SECRET}")
        refused(done, 5, "another deployment", "the night job", "Nothing was touched", "--wait")
        assert whole(holder, slow) == 0


@pytest.mark.parametrize("tool", ["ours", "stock"])
def test_the_lock_of_a_killed_deployer_is_free(slow: Story, empty_database: str, tool: str) -> None:
    """Whoever comes next gets it once the server has ended the orphan's transaction."""
    with psycopg.connect(empty_database, autocommit=True) as conn:
        process = by("ours", slow, empty_database, "deploy")
        wait_for(lambda: sleeps(conn), "the script sleeps")
        process.kill()
        process.communicate()
        done = ended(by(tool, slow, empty_database, "deploy"))
        assert done.returncode == 0, done.stderr
        assert whole(conn, slow) == 3


def test_another_project_in_the_same_database(
    slow: Story, empty_database: str, tmp_path_factory: pytest.TempPathFactory
) -> None:
    """Two projects share a registry and its lock; the second loses nothing of the first."""
    other = write_project(
        tmp_path_factory.mktemp("other"), {"x": table("x"), "y": table("y")}, project="other"
    )
    one = by("ours", slow, empty_database, "deploy")
    two = begin(other, "deploy", empty_database)
    for process in (one, two):
        done = ended(process)
        assert done.returncode == 0, done.stderr
    assert set(recorded(empty_database)) == {"a", "slow", "c", "x", "y"}
