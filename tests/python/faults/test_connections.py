"""A connection that is lost at any moment: nothing is half done, and a sentence says what is."""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from loaded import Started
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from small_project import (
    Sql,
    begin,
    environment,
    recorded,
    run,
    table,
    tables,
    write_project,
)

from integrations_db.cli import main
from integrations_db.testing import databases
from integrations_db.testing.servers import Server
from size import size

from .kills import SECRET, alone, ended, refused, sleeps, wait_for
from .proxy import When, through
from .story import Story, tell, whole

pytestmark = pytest.mark.database

SMALL = {
    "a": table("a", tags=("v1",)),
    "b": table("b", requires=("a",), conflicts=("other:c",), tags=("v2",)),
}


@pytest.fixture(scope="module")
def small(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A project of two changes."""
    with databases.clone(server.dsn, "template0") as dsn:
        yield tell(tmp_path_factory.mktemp("small"), dsn, SMALL)


@pytest.fixture(scope="module")
def deployed(small: Story, server: Server) -> Iterator[str]:
    """The name of a database with the project, to be copied."""
    with databases.clone(server.dsn, "template0") as dsn:
        assert run(small.folder, "deploy", dsn).returncode == 0
        yield str(conninfo_to_dict(dsn)["dbname"])


Command = Callable[..., tuple[int, str]]


@pytest.fixture
def inside(
    small: Story, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Runs the command in this process, which is faster; gives exit code and all that it said."""
    for name in [name for name in os.environ if name.startswith(("PG", "SQITCH_"))]:
        monkeypatch.delenv(name)
    for name, value in environment().items():
        monkeypatch.setenv(name, value)

    def call(*arguments: str) -> tuple[int, str]:
        capsys.readouterr()
        before = signal.getsignal(signal.SIGTERM)
        try:
            main(["--chdir", str(small.folder), *arguments])
        except SystemExit as end:
            return int(end.code or 0), "".join(capsys.readouterr())
        finally:
            signal.signal(signal.SIGTERM, before)

    return call


def truthful(said: str, deployed: set[str]) -> bool:
    """Tells whether a message says that the connection was lost, what is left, and what to do."""
    claims = {
        r"(\w+) is deployed and recorded": True,
        r"(\w+) is untouched and still deployed": True,
        r"(\w+) is untouched, it left nothing behind": False,
        r"(\w+) is reverted, and that is recorded": False,
    }
    return (
        "connection to the server was lost" in said
        and re.search(r"(?i)(deploy|revert|same command) again", said) is not None
        and all(
            (name in deployed) == there
            for claim, there in claims.items()
            for name in re.findall(claim, said)
        )
        and all(
            (name in deployed) == (sign == "-")
            for sign, name in re.findall(r"(?m)^ *([+-]) (\w+).* FAILED$", said)
        )
        and (re.search(r": [ab] is ", said) is not None or "no change is half done" in said)
    )


@pytest.mark.long
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("action", ["deploy", "revert"])
def test_a_connection_cut_at_each_request(
    small: Story, server: Server, deployed: str, inside: Command, action: str, when: When
) -> None:
    """Before the server has seen it, and after it was done and before the answer was heard.

    The last of the second kind are commits whose outcome the client cannot know.
    """
    arguments = ["deploy"] if action == "deploy" else ["revert", "--all", "-y"]
    goal = len(small.plan.changes) if action == "deploy" else 0
    model = "template0" if action == "deploy" else deployed
    with databases.clone(server.dsn, model) as dsn, through(dsn) as proxy:
        assert inside(*arguments, proxy.dsn)[0] == 0
        last = len(proxy.requests)
    # Those around the end are the ones that differ; of the others a quick run takes some.
    step, end = size(7, 1), max(1, last - size(6, 9))
    moments = [*range(random.randint(1, step), end, step), *range(end, last + 9)]  # noqa: S311
    counts = set()
    wrong = []
    for number in moments:
        with databases.clone(server.dsn, model) as dsn, through(dsn) as proxy:
            proxy.moment = (number, when)
            code, said = inside(*arguments, make_conninfo(proxy.dsn, password=SECRET))
            if len(proxy.requests) < number:
                assert code == 0, said
                break
            with psycopg.connect(dsn, autocommit=True) as conn:
                alone(conn)
                count = whole(conn, small)
                # The last request may be one after which nothing can fail any more.
                right = (
                    truthful(said, set(recorded(dsn))) if code == 1 else (code, count) == (0, goal)
                )
                if not right or "Traceback" in said or SECRET in said:
                    wrong.append((code, count, proxy.requests[number - 1], said))
                counts.add(count)
                code, said = inside(*arguments, proxy.dsn)
                assert code == 0, (proxy.requests[number - 1], said)
                assert whole(conn, small) == goal
    assert not wrong
    # Cut before the server hears of it, the last change is never done.
    assert counts == {0, 1, 2} - ({goal} if when == "before" else set())
    assert number > 8, "the command was not watched"


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("action", ["deploy", "revert"])
def test_kill_around_a_commit(small: Story, server: Server, action: str, when: When) -> None:
    """The process dies before the server hears of the last commit, or once it is done."""
    arguments = ["deploy"] if action == "deploy" else ["revert", "--all", "-y"]
    commit = 0
    for killed in (False, True):
        with databases.clone(server.dsn, "template0") as dsn, through(dsn) as proxy:
            if action == "revert":
                assert run(small.folder, "deploy", dsn).returncode == 0
            if not killed:
                assert run(small.folder, *arguments, proxy.dsn).returncode == 0
                commit = max(
                    number
                    for number, text in enumerate(proxy.requests, 1)
                    if re.search(r"\bCOMMIT\W*$", text)
                )
                continue
            proxy.moment = (commit, when)
            process = begin(small.folder, *arguments, proxy.dsn)
            proxy.act = process.kill
            process.communicate(timeout=60)
            assert process.returncode == -signal.SIGKILL
            with psycopg.connect(dsn, autocommit=True) as conn:
                alone(conn)
                done = {"deploy": {"before": 1, "after": 2}, "revert": {"before": 1, "after": 0}}
                assert whole(conn, small) == done[action][when]
                again = run(small.folder, *arguments, dsn)
                assert again.returncode == 0, again.stderr
                assert whole(conn, small) == (2 if action == "deploy" else 0)


@pytest.fixture
def slow(server: Server, tmp_path: Path) -> Story:
    """A project whose second change takes a while."""
    script = "begin;\ncreate table slow ();\nselect pg_sleep(1.5);\ncommit;\n"
    changes = {"a": table("a"), "slow": Sql(script, "drop table slow;"), "c": table("c")}
    with databases.clone(server.dsn, "template0") as dsn:
        return tell(tmp_path, dsn, changes)


def test_a_session_ended_by_a_dba(slow: Story, empty_database: str) -> None:
    with psycopg.connect(empty_database, autocommit=True) as conn:
        process = begin(slow.folder, "deploy", make_conninfo(empty_database, password=SECRET))
        wait_for(lambda: sleeps(conn), "the script sleeps")
        conn.execute(
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and pid <> pg_backend_pid()"
        )
        refused(
            ended(process), 1, "connection to the server was lost", "57P01", "slow is untouched"
        )
        alone(conn)
        assert whole(conn, slow) == 1
        assert run(slow.folder, "deploy", empty_database).returncode == 0
        assert whole(conn, slow) == 3


@pytest.fixture
def impatient(empty_database: str) -> str:
    """A database that ends idle sessions after half a second, in a transaction or not."""
    with psycopg.connect(empty_database, autocommit=True) as conn:
        for name in ("idle_in_transaction_session_timeout", "idle_session_timeout"):
            conn.execute(
                sql.SQL("alter database {} set {} = '500ms'").format(
                    sql.Identifier(conn.info.dbname), sql.Identifier(name)
                )
            )
    return empty_database


def test_impatient_servers_are_no_trouble(slow: Story, impatient: str) -> None:
    done = run(slow.folder, "deploy", impatient)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(impatient, autocommit=True) as conn:
        assert whole(conn, slow) == 3


@pytest.mark.long
def test_waiting_on_an_impatient_server(slow: Story, impatient: str) -> None:
    """Who waits for the deployment lock is idle most of the time."""
    with psycopg.connect(impatient, autocommit=True) as holder:
        holder.execute("set idle_session_timeout = 0")
        holder.execute("select pg_advisory_lock(75474063)")
        process = begin(slow.folder, "deploy", impatient)
        wait_for(lambda: "waiting" in _line(process), "it says that it waits")
        time.sleep(2.5)  # long enough for several of its pauses
        holder.execute("select pg_advisory_unlock_all()")
        done = ended(process)
        assert done.returncode == 0, done.stderr
        assert whole(holder, slow) == 3


def _line(process: Started) -> str:
    """Returns the next line of standard error."""
    return process.stderr.readline()


@pytest.mark.long
def test_waiting_for_a_table_on_an_impatient_server(impatient: str, tmp_path: Path) -> None:
    """Between two attempts the session is idle, too."""
    write_project(tmp_path, {"a": table("a")})
    assert run(tmp_path, "deploy", impatient).returncode == 0
    write_project(tmp_path, {"a": table("a"), "b": Sql("alter table a add x int;")})
    with psycopg.connect(impatient, options="-c idle_in_transaction_session_timeout=0") as holder:
        holder.execute("lock table a")
        process = begin(tmp_path, "deploy", "--lock-timeout", "50ms", impatient)
        wait_for(lambda: "trying again" in _line(process), "something is in its way")
        time.sleep(2.5)  # long enough for a pause of more than half a second
    done = ended(process)
    assert done.returncode == 0, done.stderr
    assert recorded(impatient) == ["a", "b"]


def test_a_server_that_crashes(cluster: Server, tmp_path: Path) -> None:
    """Another session is killed in mid-script, so that the server restarts and recovers."""
    crash = "begin;\ncreate table x ();\ncopy (select 1) to program 'kill -9 $PPID';\ncommit;\n"
    write_project(tmp_path, {"a": table("a"), "crash": Sql(crash)})
    with databases.clone(cluster.dsn, "template0") as dsn:
        # Test servers are allowed to forget their last commits; this one is not.
        durable = make_conninfo(dsn, password=SECRET, options="-c synchronous_commit=on")
        done = run(tmp_path, "deploy", durable)
        refused(done, 1, "connection to the server was lost", "nothing is half done", "run status")
        wait_for(lambda: _answers(dsn), "the server recovers")
        # Only the last commit of a run waits for the disk; there was none.
        assert (recorded(dsn), tables(dsn)) in ((["a"], {"a"}), ([], set()))
        write_project(tmp_path, {"a": table("a"), "crash": table("crash")})
        assert run(tmp_path, "deploy", dsn).returncode == 0
        assert (recorded(dsn), tables(dsn)) == (["a", "crash"], {"a", "crash"})


def _answers(dsn: str) -> bool:
    try:
        psycopg.connect(dsn).close()
    except psycopg.OperationalError:
        return False
    return True
