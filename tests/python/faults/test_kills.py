"""Kill -9, SIGTERM and Ctrl-C at random moments: each change and its record are there, or neither.

``FAULT_SEED`` repeats a storm's choices (not the machine's timing).
"""

from __future__ import annotations

import os
import random
import secrets
import signal
import time
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from small_project import Sql, command, run, sqitch, sqitch_command, table

from integrations_db.testing import databases
from integrations_db.testing.servers import Server
from size import size

from .dumps import dump
from .kills import PHASES, alone, kill, sleeps, start, storm, wait_for
from .story import Story, Violated, hook_registry, tell, thirty, unhook_registry, whole

pytestmark = pytest.mark.database

STORMS, KILLS = size(1, 4), size(12, 52)  # the kills in each storm


@pytest.fixture(scope="module")
def story(server: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Story]:
    """The project, told once."""
    with databases.clone(server.dsn, "template0") as dsn:
        yield tell(tmp_path_factory.mktemp("story"), dsn, thirty())


@pytest.mark.long
@pytest.mark.parametrize("number", range(STORMS))
def test_storm(story: Story, server: Server, empty_database: str, number: int) -> None:
    seed = os.environ.get("FAULT_SEED") or secrets.token_hex(4)
    # Undisturbed, for comparison; the time it takes is the pace of the storm.
    done = run(story.folder, "deploy", "--to", story.plan.changes[0].name, empty_database)
    assert done.returncode == 0, done.stderr
    with databases.clone(server.dsn, "template0") as calm:
        assert run(story.folder, "deploy", "--to", "schema", calm).returncode == 0
        for dsn in (calm, empty_database):
            with psycopg.connect(dsn, autocommit=True) as conn:
                hook_registry(conn)
        began = time.monotonic()
        done = run(story.folder, "deploy", calm)
        assert done.returncode == 0, done.stderr
        pace = (time.monotonic() - began) / len(story.plan.changes)
        with psycopg.connect(calm, autocommit=True) as conn:
            assert whole(conn, story) == len(story.plan.changes)
            unhook_registry(conn)
        expected = dump(calm)
    try:
        seen = storm(story, empty_database, KILLS, random.Random(f"{seed} {number}"), pace)  # noqa: S311
    except AssertionError as error:
        error.add_note(f"FAULT_SEED={seed} repeats this storm ({number})")
        raise
    done = run(story.folder, "deploy", empty_database)
    assert done.returncode == 0, done.stderr
    with psycopg.connect(empty_database, autocommit=True) as conn:
        assert whole(conn, story) == len(story.plan.changes)
        unhook_registry(conn)
    assert dump(empty_database) == expected
    assert seen.kills >= KILLS
    assert PHASES <= set(seen.phases), f"kills missed a phase: {seen.phases}"


FIRST = table("first")
SCRIPTS = {
    "own transaction": "begin;\ncreate table x ();\nselect pg_sleep(0.5);\ncommit;\n",
    "statements": "create table x ();\nselect pg_sleep(0.5);\ncreate table y ();\n",
}
REVERTS = {
    "own transaction": "begin;\nselect pg_sleep(0.5);\ndrop table x;\ncommit;\n",
    "statements": "drop table y;\nselect pg_sleep(0.5);\ndrop table x;\n",
}


# The first half has each of any two together.
WAYS = [
    ("own transaction", True, "deploy"),
    ("own transaction", False, "revert"),
    ("statements", True, "revert"),
    ("statements", False, "deploy"),
    ("own transaction", True, "revert"),
    ("own transaction", False, "deploy"),
    ("statements", True, "deploy"),
    ("statements", False, "revert"),
]


@pytest.mark.parametrize(("shape", "group", "action"), WAYS[: size(4, 8)])
def test_kill_in_a_script(
    server: Server, empty_database: str, tmp_path: Path, shape: str, group: bool, action: str
) -> None:
    told = _slow_story(server, tmp_path, shape)
    if action == "revert":
        assert run(tmp_path, "deploy", empty_database).returncode == 0
    arguments = ["deploy"] if action == "deploy" else ["revert", "--all", "-y"]
    with psycopg.connect(empty_database, autocommit=True) as conn:
        process = start(tmp_path, command(*arguments, empty_database))
        wait_for(lambda: sleeps(conn), "the script sleeps")
        kill(process, signal.SIGKILL, group)
        alone(conn)
        assert whole(conn, told) == (1 if action == "deploy" else 2)
        done = run(tmp_path, *arguments, empty_database)
        assert done.returncode == 0, done.stderr
        assert whole(conn, told) == (2 if action == "deploy" else 0)


@pytest.mark.parametrize(
    ("shape", "group"),
    [("own transaction", False), ("statements", True), ("statements", False)][: size(1, 3)],
)
def test_the_same_kill_breaks_what_sqitch_does(
    server: Server, empty_database: str, tmp_path: Path, shape: str, group: bool
) -> None:
    """The control: our tests would see it."""
    told = _slow_story(server, tmp_path, shape)
    argv, env = sqitch_command(empty_database, "deploy", "--verify", "{target}")
    with psycopg.connect(empty_database, autocommit=True) as conn:
        process = start(tmp_path, argv, **env)
        wait_for(lambda: sleeps(conn), "the script sleeps")
        kill(process, signal.SIGKILL, group)
        alone(conn)
        with pytest.raises(Violated, match=r"1 changes are recorded; surplus: .*'x'"):
            whole(conn, told)
    assert "already exists" in sqitch(tmp_path, empty_database, "deploy", "{target}").stderr


def _slow_story(server: Server, folder: Path, shape: str) -> Story:
    """A project of two changes; the scripts of the second sleep."""
    slow = Sql(SCRIPTS[shape], REVERTS[shape], "begin;\nselect from x;\nrollback;\n")
    with databases.clone(server.dsn, "template0") as dsn:
        return tell(folder, dsn, {"first": FIRST, "slow": slow})
