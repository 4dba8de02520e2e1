"""A connection that is lost at any moment: nothing is half done, and a sentence says what is."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo
from small_project import Sql, command, environment, rows, run, table

from integrations_db.cli import main
from integrations_db.testing import databases
from integrations_db.testing.servers import Server

from .kills import alone, kill, start, wait_for
from .proxy import When, through
from .story import Story, tell, whole

pytestmark = pytest.mark.database

SMALL = {
    "a": table("a", tags=("v1",)),
    "b": table("b", requires=("a",), conflicts=("nosuch",), tags=("v2",)),
}


@pytest.fixture(scope="module")
def small(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """A project of two changes."""
    with databases.clone(server.dsn, "template0") as dsn:
        yield tell(tmp_path_factory.mktemp("small"), dsn, SMALL)


Command = Callable[..., tuple[int, str]]


@pytest.fixture
def inside(
    small: Story, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> Command:
    """Runs the command in this process, which is faster; gives exit code and standard error."""
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
            return int(end.code or 0), capsys.readouterr().err
        finally:
            signal.signal(signal.SIGTERM, before)

    return call


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("action", ["deploy", "revert"])
def test_a_connection_cut_at_each_request(
    small: Story, server: Server, inside: Command, action: str, when: When
) -> None:
    """Before the server has seen it, and after it was done and before the answer was heard.

    The last of the second kind are commits whose outcome the client cannot know.
    """
    arguments = ["deploy"] if action == "deploy" else ["revert", "--all", "-y"]
    goal = len(small.plan.changes) if action == "deploy" else 0
    counts = set()
    wrong = []
    number = 0
    while True:
        number += 1
        with databases.clone(server.dsn, "template0") as dsn, through(dsn) as proxy:
            if action == "revert":
                assert inside("deploy", dsn)[0] == 0
            proxy.moment = (number, when)
            code, said = inside(*arguments, proxy.dsn)
            if len(proxy.requests) < number:
                assert code == 0, said
                break
            # After the last change nothing can fail that matters.
            if code and not (
                code == 1
                and "connection to the server was lost" in said
                and "run the same command again" in said
                and "Traceback" not in said
            ):
                wrong.append((code, proxy.requests[number - 1], said))
            with psycopg.connect(dsn, autocommit=True) as conn:
                alone(conn)
                count = whole(conn, small)
                assert count == goal if code == 0 else True, said
                counts.add(count)
                code, said = inside(*arguments, proxy.dsn)
                assert code == 0, (proxy.requests[number - 1], said)
                assert whole(conn, small) == goal
    assert not wrong
    assert counts == {0, 1, 2}
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
                    if text.upper().startswith("COMMIT")
                )
                continue
            proxy.moment = (commit, when)
            process = start(small.folder, command(*arguments, proxy.dsn))
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
