"""Runs our command and kills it at random moments."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import psycopg
from loaded import Started
from small_project import begin, environment

from .story import Connection, Story, whole

__all__ = [
    "PHASES",
    "SECRET",
    "Storm",
    "alone",
    "ended",
    "kill",
    "refused",
    "sleeps",
    "start",
    "storm",
    "wait_for",
]


def start(folder: Path, arguments: list[str], **env: str) -> subprocess.Popen[str]:
    """Starts a command in a project, in a process group of its own."""
    return subprocess.Popen(  # noqa: S603
        arguments,
        cwd=folder,
        env=environment(**env),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def kill(process: subprocess.Popen[str] | Started, number: signal.Signals, group: bool) -> str:
    """Sends a signal to a process, or to its whole group, and returns its standard error."""
    # It may have come to its end meanwhile.
    with suppress(ProcessLookupError):
        if group:
            os.killpg(process.pid, number)
        else:
            process.send_signal(number)
    return process.communicate(timeout=60)[1]


def wait_for(condition: Callable[[], object], what: str) -> None:
    """Waits until something is so.

    Raises:
        AssertionError: it was not within a minute.
    """
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, f"waited in vain: {what}"
        time.sleep(0.003)


def _others(conn: Connection) -> list[str]:
    """Returns the application names of the other sessions of this database."""
    rows = conn.execute(
        "select application_name from pg_stat_activity where datname = current_database()"
        " and pid <> pg_backend_pid() and backend_type = 'client backend'"
    )
    return [row[0] for row in rows]


def alone(conn: Connection) -> None:
    """Waits until the server has ended all other sessions of this database."""
    wait_for(lambda: not _others(conn), "sessions of killed clients end")


@dataclass(slots=True)
class Storm:
    """What a storm of kills met.

    Attributes:
        kills: number of processes that were killed before they were done.
        phases: how many kills found the session in which phase, and "not connected".
        signals: how many of them were of which kind.
        trace: the last moments, for the message of a failure.
    """

    kills: int = 0
    phases: Counter[str] = field(default_factory=Counter)
    signals: Counter[str] = field(default_factory=Counter)
    trace: list[str] = field(default_factory=list)


PHASES = frozenset({"in script", "in verify", "in registry", "in commit", "not connected"})
"""Where kills find a session; ``between`` is in the rest of the time."""

# The negative ones: the interpreter was about to exit, all work done, and heard no signal any more.
_CODES = {signal.SIGKILL: {-9}, signal.SIGTERM: {1, -15}, signal.SIGINT: {130, -2}}


def storm(story: Story, dsn: str, kills: int, dice: random.Random, pace: float) -> Storm:
    """Deploys and reverts the story by turns, killing the command again and again.

    After each kill the database must be whole. The next run goes on from there, so that every
    deploy and revert is finished in the end, by many processes. Half of the kills are aimed at a
    phase that none has met yet, as long as there is one.

    Args:
        story: the project.
        dsn: conninfo of its database; its registry exists.
        kills: how many processes to kill; more, up to three times as many, until all phases
            were met.
        dice: decides when and how.
        pace: seconds that a change takes.

    Raises:
        Violated: a change and its record do not agree.
        AssertionError: a run that was not killed failed, or an ordered end was disorderly.
    """
    seen = Storm()
    ways = (
        (["deploy", dsn], len(story.plan.changes)),
        (["revert", "--all", "-y", dsn], 0),
    )
    with psycopg.connect(dsn, autocommit=True) as conn:
        count = whole(conn, story)
        way = 0
        while seen.kills < kills or (PHASES - set(seen.phases) and seen.kills < 3 * kills):
            arguments, goal = ways[way]
            if count == goal:
                way = 1 - way
                continue
            count = _one(story, conn, arguments, abs(goal - count) * pace, dice, seen)
    return seen


def _one(
    story: Story,
    conn: Connection,
    arguments: list[str],
    length: float,
    dice: random.Random,
    seen: Storm,
) -> int:
    """Runs the command once, kills it, and returns how many changes are deployed then."""
    number = dice.choices((signal.SIGKILL, signal.SIGTERM, signal.SIGINT), (70, 15, 15))[0]
    group = dice.random() < 0.5
    unmet = sorted(PHASES - set(seen.phases))
    aim = dice.choice(unmet) if unmet and dice.random() < 0.5 else ""
    # Before the first connection there is little to break: few kills go there. All of them are
    # SIGKILL, as Python itself answers the others until our command does.
    if early := aim == "not connected" or (number == signal.SIGKILL and dice.random() < 1 / 8):
        number = signal.SIGKILL
    process = begin(story.folder, *arguments)
    if early:
        time.sleep(dice.uniform(0, 0.02))
    elif aim:
        wait_for(lambda: aim in _others(conn) or process.poll() is not None, aim)
    else:
        wait_for(lambda: _others(conn) or process.poll() is not None, "a connection")
        time.sleep(dice.uniform(0, length))
    others = _others(conn)
    phase = next((name for name in others if name.startswith("in ")), "between")
    said = kill(process, number, group)
    alone(conn)
    if process.returncode:
        assert process.returncode in _CODES[number], f"exit code {process.returncode}: {said}"
        assert "Traceback" not in said, said
        seen.kills += 1
        seen.phases[phase if others else "not connected"] += 1
        seen.signals[number.name] += 1
    seen.trace.append(f"{arguments[0]} {number.name} {phase} {early=} -> {process.returncode}")
    return whole(conn, story)


def sleeps(conn: Connection) -> bool:
    """Tells whether a script sleeps in this database."""
    query = "select from pg_stat_activity where query ~* '^select pg_sleep' and state = 'active'"
    return bool(conn.execute(f"{query} and datname = current_database()").rowcount)


def ended(process: subprocess.Popen[str] | Started) -> subprocess.CompletedProcess[str]:
    """Waits until a started command has ended, and returns what it said."""
    out, err = process.communicate(timeout=120)
    return subprocess.CompletedProcess(process.args, process.wait(), out, err)


def refused(done: subprocess.CompletedProcess[str], code: int, *sentences: str) -> None:
    """Checks how a command failed: its exit code, what it says, and that it says it to people.

    Raises:
        AssertionError: it ended otherwise, lacks a sentence, or shows a traceback or a secret.
    """
    text = done.stdout + done.stderr
    assert done.returncode == code, text
    for sentence in sentences:
        assert sentence in done.stderr, text
    assert "Traceback" not in text, text
    assert SECRET not in text, "a password is shown"


SECRET = "tops3cret-never-shown"  # noqa: S105  # a password that nobody asks for
