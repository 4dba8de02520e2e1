"""Runs scripts in transactions: what every command that runs one has in common.

The functions report through ``Listener``; they know nothing of terminals.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Protocol

import psycopg
from psycopg import sql

from integrations_db.config import Committer, Target
from integrations_db.database import explain, fresh, gone, place
from integrations_db.errors import Failure
from integrations_db.lexer import Statement
from integrations_db.project import Project
from integrations_db.registry import Connection
from integrations_db.script import Script, shown, words

__all__ = [
    "ATTEMPTS",
    "BUSY",
    "Listener",
    "Run",
    "ScriptFailed",
    "atomic",
    "clean",
    "explain_failure",
    "limit",
    "lost",
    "remedy",
    "reported",
    "retried",
    "run_script",
    "run_verify",
]

ATTEMPTS = 3
BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)
_LOCK_TIMEOUT = 5.0  # seconds, for scripts that say nothing of it


class Listener(Protocol):
    """Hears what happens, to show it."""

    def started(self, action: str, count: int) -> None:
        """``count`` changes will be deployed, reverted or verified."""

    def change(self, action: str, title: str) -> None:
        """A change is begun."""

    def done(self, title: str, seconds: float, remark: str = "ok") -> None:
        """The change that was begun is finished."""

    def failed(self, title: str) -> None:
        """The change that was begun has failed; an error tells why."""

    def say(self, text: str) -> None:
        """Anything else worth knowing."""


@dataclass(frozen=True, slots=True)
class Run:
    """What every step of a deployment or reversion needs.

    Attributes:
        conn: an autocommit connection, which holds the deployment lock.
        target: where it leads.
        project: whose changes.
        who: the committer to record.
        listener: hears the progress.
        lock_timeout: seconds that a statement may wait for a lock; None: as the scripts say.
    """

    conn: Connection
    target: Target
    project: Project
    who: Committer
    listener: Listener
    lock_timeout: float | None


def limit(conn: Connection, lock_timeout: float | None) -> None:
    """Limits how long the statements of this transaction wait for locks; 0: for ever."""
    seconds = _LOCK_TIMEOUT if lock_timeout is None else lock_timeout
    time_span = f"{max(1, round(seconds * 1000))}ms" if seconds else "0"
    conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(time_span)))


class ScriptFailed(Exception):
    """A statement of a script failed: carries what there is to say."""

    def __init__(self, script: Script, place: str, error: psycopg.Error) -> None:
        super().__init__(place)
        self.script = script
        self.place = place
        self.error = error


def _sets_lock_timeout(statement: Statement) -> bool:
    """Tells whether a statement sets lock_timeout, for the transaction or the session."""
    head = words(statement.text, 3)
    return head[:2] == ("SET", "LOCK_TIMEOUT") or head in (
        ("SET", "LOCAL", "LOCK_TIMEOUT"),
        ("SET", "SESSION", "LOCK_TIMEOUT"),
    )


def run_script(conn: Connection, script: Script, lock_timeout: float | None) -> None:
    """Runs the statements of a script in the current transaction, whose lock timeout is set.

    A lock timeout that was asked for is stronger than the script's own.
    """
    for statement in script.body:
        if lock_timeout is not None and _sets_lock_timeout(statement):
            continue
        try:
            conn.execute(statement.text.encode())
        except psycopg.Error as error:
            raise ScriptFailed(script, place(script, statement, error), error) from None


def clean(conn: Connection, script: Script, lock_timeout: float | None) -> None:
    """Ends what a script set for its transaction: deferred constraints, role, settings."""
    try:
        conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as error:
        raise ScriptFailed(script, shown(script.path), error) from None
    conn.execute("RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL")
    limit(conn, lock_timeout)


def run_verify(conn: Connection, script: Script, lock_timeout: float | None) -> None:
    """Runs a verify script and takes back whatever it did."""
    conn.execute("SAVEPOINT integrations_db_verify")
    run_script(conn, script, lock_timeout)
    conn.execute(
        "ROLLBACK TO SAVEPOINT integrations_db_verify; RELEASE SAVEPOINT integrations_db_verify"
    )
    limit(conn, lock_timeout)


@contextmanager
def atomic(conn: Connection, keep: bool = True) -> Iterator[None]:
    """One transaction; rolled back on any exception, an interrupt included, and if not ``keep``."""
    conn.execute("BEGIN")
    try:
        yield
        conn.execute("COMMIT" if keep else "ROLLBACK")
    except BaseException:
        if not gone(conn):
            conn.rollback()
            fresh(conn)
        raise
    fresh(conn)


def lost(error: psycopg.Error) -> str:
    """Returns what to say of a lost connection."""
    return (
        f"the connection to the server was lost: {explain(error)}\n"
        "The server rolls back what was not committed; no change is half done. "
        "Run status to see where it stands, then run the same command again."
    )


def explain_failure(failed: ScriptFailed) -> str:
    """Returns where and why a script failed."""
    text = f"{failed.place}: {explain(failed.error)}"
    if isinstance(failed.error, psycopg.errors.InsufficientPrivilege):
        text += "\n  The role that deploys lacks this privilege."
    elif isinstance(failed.error, psycopg.errors.ReadOnlySqlTransaction):
        text += "\n  This server is read-only, perhaps a standby: deploy to the primary."
    elif isinstance(failed.error, BUSY):
        text += f"\n  Tried {ATTEMPTS} times: other sessions hold what this change needs."
    return text


@contextmanager
def reported(conn: Connection) -> Iterator[None]:
    """Turns errors of our own statements into sentences; those of scripts have theirs already."""
    try:
        yield
    except psycopg.Error as error:
        raise Failure(lost(error) if gone(conn) else _own_error(error)) from None


def _own_error(error: psycopg.Error) -> str:
    """Returns what to say of an error that no script has made."""
    text = explain(error)
    if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
        return f"{text}\nThis server is read-only, perhaps a standby: deploy to the primary."
    if isinstance(error, psycopg.errors.InsufficientPrivilege):
        return (
            f"{text}\nThis role lacks a privilege that the registry of deployments needs. "
            "Connect as the role that deployed first, or as the owner of the database."
        )
    return f"{text}\nThe change that was being worked on was rolled back."


def remedy(failed: ScriptFailed) -> str:
    """Returns what to do before the next attempt."""
    if isinstance(failed.error, psycopg.errors.InsufficientPrivilege):
        return "Get the privilege"
    if isinstance(failed.error, psycopg.errors.ReadOnlySqlTransaction):
        return "Choose another server"
    if isinstance(failed.error, BUSY):
        return "Wait for the other sessions"
    return f"Correct {shown(failed.script.path)}"


def retried(run: Run, work: Callable[[], None]) -> None:
    """Runs a transaction; again, when others held what it needs (lock timeout, deadlock)."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            with atomic(run.conn):
                work()
            return
        except (ScriptFailed, psycopg.Error) as error:
            cause = error.error if isinstance(error, ScriptFailed) else error
            if not isinstance(cause, BUSY) or attempt == ATTEMPTS:
                raise
            run.listener.say(f"{cause.diag.message_primary}; rolled back, trying again")
            time.sleep(attempt)
