"""Runs scripts in transactions: what every command that runs one has in common.

A change takes few messages to the server: one for each statement of its script, and one for all
that follows: the end of what the script set, the verify script, the record, the commit, the opening
of the next transaction. The functions report through ``Listener``; they know nothing of terminals.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import MappingProxyType
from typing import Protocol

import psycopg
from psycopg import errors, generators
from psycopg.pq import ExecStatus, TransactionStatus

from integrations_db import psql, registry
from integrations_db.config import Committer, Target
from integrations_db.database import (
    OWN_PATH,
    calm,
    connect,
    explain,
    for_script,
    fresh,
    freshen,
    gone,
    heed,
    place,
)
from integrations_db.errors import Failure, Locked
from integrations_db.lexer import Statement, scan
from integrations_db.plan import Change
from integrations_db.project import Project
from integrations_db.registry import Connection
from integrations_db.script import VERIFY_SAVEPOINT, Kind, Script, shown, words
from integrations_db.terminal import Unwritable

__all__ = [
    "BUSY",
    "DEFERRED",
    "NOT_ATOMIC",
    "WRITES",
    "Ending",
    "Listener",
    "Run",
    "ScriptFailed",
    "Unreadable",
    "atomic",
    "clean",
    "end_at_once",
    "end_change",
    "explain_failure",
    "limit",
    "lost",
    "open_change",
    "opening",
    "own_error",
    "psql_variables",
    "readable_at_once",
    "remedy",
    "reported",
    "run_by_psql",
    "run_script",
    "run_verify",
    "run_verify_inside",
    "set_up",
    "settled",
    "tell_ended",
    "tell_failed",
    "tell_finished",
]

# Others hold or change what a script needs: worth another attempt.
BUSY = (errors.LockNotAvailable, errors.DeadlockDetected, errors.SerializationFailure)
# What the server says only when it comes to the statement: no transaction can hold this script.
NOT_ATOMIC = (
    errors.ActiveSqlTransaction,
    errors.InvalidTransactionTermination,
    errors.UnsafeNewEnumValueUsage,
)
_ANY_DEFERRED = "select exists (select from pg_catalog.pg_constraint where condeferred)"
DEFERRED = (
    "select pg_catalog.string_agg(distinct pg_catalog.format('%I.%I', n.nspname, c.conname), ', ')"
    "  from pg_catalog.pg_constraint as c"
    # The search path may be the script's by now.
    "  join pg_catalog.pg_namespace as n on n.oid operator(pg_catalog.=) c.connamespace"
    " where c.condeferred and pg_catalog.has_schema_privilege(n.oid, 'USAGE')"
    # One that cannot be deferred may bear the same name, and would be refused.
    "   and not exists (select from pg_catalog.pg_constraint as o where not o.condeferrable"
    "                    and o.conname operator(pg_catalog.=) c.conname"
    "                    and o.connamespace operator(pg_catalog.=) c.connamespace)"
)
_UNDO_VERIFY = (
    f"ROLLBACK TO SAVEPOINT {VERIFY_SAVEPOINT}; RELEASE SAVEPOINT {VERIFY_SAVEPOINT};"
    f" DEALLOCATE ALL; {OWN_PATH}"
)
_SCRIPT_DONE = "integrations_db_script_done"  # a savepoint: to try again what follows a script
# Settings by which the server reads the rest of a message, but only when they precede it.
_CHANGES_READING = re.compile(
    r"client_encoding|standard_conforming_strings|backslash_quote|\bnames\b", re.IGNORECASE
)
# What may come out otherwise when a constraint that could wait is checked at once.
WRITES = re.compile(r"\b(?:insert|update|delete|merge|copy|do|call|execute)\b", re.IGNORECASE)
_BETWEEN = "\n; "  # on a line of its own: a statement of a script may end with a comment
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


class Unreadable(Exception):
    """The server could not read a message that a script is part of."""


@dataclass(slots=True)
class Run:
    """What every step of a deployment or reversion needs.

    Attributes:
        conn: an autocommit connection, which holds the deployment lock.
        target: where it leads.
        project: whose changes.
        who: the committer to record.
        listener: hears the progress.
        lock_timeout: seconds that a statement may wait for a lock; None: as the scripts say.
        given: psql variables of the command line.
        marked: IDs of the changes that are marked as begun outside a transaction.
        recorded_at: when the latest change was recorded, as ``registry.recorded_at`` has it.
    """

    conn: Connection
    target: Target
    project: Project
    who: Committer
    listener: Listener
    lock_timeout: float | None
    given: Mapping[str, str]
    marked: set[str] = field(default_factory=set)
    recorded_at: int | None = None


@dataclass(frozen=True, slots=True)
class Ending:
    """How the transaction of a change ends.

    Attributes:
        commit: whether it is committed.
        durable: whether to wait until the disk has it. When another commit of this run follows that
            does, all before it is on the disk, too: there is one log.
        ahead: what opens the next transaction, to go with the message.
        recorded: tells, after an error, whether it was only the next one that could not be opened.
    """

    commit: bool = True
    durable: bool = True
    ahead: Sequence[str] = ()
    recorded: Callable[[], bool] = lambda: False


_DURABLE = Ending()


class ScriptFailed(Exception):
    """A script failed: carries what there is to say.

    Attributes:
        place: file, line and column, as exact as is known.
        path: the script; None when it was the registry that could not be written.
        error: the server's error, if there is one to read.
        message: what to say of it.
        busy: whether others held or changed what it needed.
        blockers: who held what it needed, in words.
    """

    def __init__(
        self,
        place: str,
        path: Path | None,
        error: psycopg.Error | None,
        message: str | None = None,
        sqlstate: str | None = None,
    ) -> None:
        super().__init__(place)
        self.place = place
        self.path = path
        self.error = error
        self.message = message if error is None else explain(error)
        sqlstate = sqlstate if error is None else error.sqlstate
        self.busy = sqlstate in {kind.sqlstate for kind in BUSY}
        self.blockers: tuple[str, ...] = ()


def _limit(lock_timeout: float | None) -> str:
    """Returns the statement that limits the lock waits of this transaction; 0: for ever."""
    seconds = _LOCK_TIMEOUT if lock_timeout is None else lock_timeout
    return f"SET LOCAL lock_timeout = {_milliseconds(seconds)}"


def _milliseconds(seconds: float) -> int:
    """Returns a time as PostgreSQL counts it; what is not nothing does not become so (for ever)."""
    return max(1, round(seconds * 1000)) if seconds else 0


def limit(conn: Connection, lock_timeout: float | None) -> None:
    """Limits how long the statements of this transaction wait for locks; 0: for ever."""
    conn.execute(_limit(lock_timeout).encode())


def _sets_lock_timeout(statement: Statement) -> bool:
    """Tells whether a statement sets lock_timeout, for the transaction or the session."""
    head = words(statement.text, 3)
    return head[:2] == ("SET", "LOCK_TIMEOUT") or head in (
        ("SET", "LOCAL", "LOCK_TIMEOUT"),
        ("SET", "SESSION", "LOCK_TIMEOUT"),
    )


def _sent(script: Script, lock_timeout: float | None) -> list[Statement]:
    """Returns the statements of a script's body but for those that must not be sent."""
    if lock_timeout is None:
        return list(script.body)
    return [statement for statement in script.body if not _sets_lock_timeout(statement)]


def run_script(conn: Connection, script: Script, lock_timeout: float | None) -> None:
    """Runs the body of an atomic script in the current transaction, whose lock timeout is set.

    A lock timeout that was asked for is stronger than the script's own.

    Raises:
        ScriptFailed: a statement failed.
    """
    for statement in _sent(script, lock_timeout):
        try:
            conn.execute(statement.text.encode())
        except psycopg.Error as error:
            raise ScriptFailed(place(script, statement, error), script.path, error) from None
    heed(conn, script.source)


def _execute(conn: Connection, commands: list[str], declared: bool) -> bool:
    """Sends commands in one message.

    Args:
        conn: where.
        commands: them.
        declared: whether constraints are to be deferred again as they are declared. The end of a
            script has checked them all, which holds until the transaction ends; SQL knows no way
            back but names.

    Returns:
        Whether some were deferred.
    """
    if not declared:
        conn.execute("; ".join(commands).encode())
        return False
    cursor = conn.execute("; ".join([*commands, _ANY_DEFERRED]).encode())
    cursor.set_result(-1)
    if cursor.fetchone() == (True,):
        found = conn.execute(DEFERRED.encode()).fetchone()
        if found and found[0]:
            conn.execute(f"SET CONSTRAINTS {found[0]} DEFERRED".encode())
            return True
    return False


def opening(run: Run, script: Script | None, begin: str | None = "BEGIN") -> list[str]:
    """Returns what opens the transaction of a change; Sqitch locks the registry likewise.

    Args:
        run: what is done.
        script: what will run in it, if anything.
        begin: how to open it; None: it is open.
    """
    commands = [begin] if begin else []
    commands += [_limit(run.lock_timeout), registry.lock_changes(run.project.registry)]
    if script and not script.own_transaction:
        # psql would commit each of its statements, and so check deferred constraints at once.
        commands.append("SET CONSTRAINTS ALL IMMEDIATE")
    if script:
        commands.append(for_script(run.conn))
    return commands


def open_change(run: Run, script: Script | None, begin: str | None = "BEGIN") -> None:
    """Opens the transaction of a change, unless ``end_change`` of the one before it has done so.

    Args:
        run: what is done.
        script: what will run in it, if anything.
        begin: how to open it; None: in the transaction that is open.

    Raises:
        ScriptFailed: others hold the registry, or the script's own BEGIN cannot be read.
    """
    if begin and run.conn.info.transaction_status == TransactionStatus.INTRANS:
        return
    declared = script is not None and script.own_transaction and begin is None
    try:
        _execute(run.conn, opening(run, script, begin), declared)
    except BUSY as error:
        raise ScriptFailed(f"the registry ({run.project.registry}.changes)", None, error) from None
    except errors.SyntaxError as error:
        if script is None:
            raise
        raise ScriptFailed(shown(script.path), script.path, error) from None


def _cleaning(run: Run, script: Script, verify: Script | None) -> list[str]:
    """Returns what ends that which a script leaves to its session, as ``clean`` says.

    Raises:
        ScriptFailed: the script has ended its transaction.
    """
    if run.conn.info.transaction_status != TransactionStatus.INTRANS:
        message = "the script ended the transaction that it ran in, so it could not be recorded"
        raise ScriptFailed(shown(script.path), script.path, None, message)
    commands = ["SET CONSTRAINTS ALL IMMEDIATE", freshen(run.conn)]
    if "advisory" in script.source.lower():
        # Those of its session would have ended with it; the deployment lock is ours.
        commands.append(registry.release_others())
    commands.append(_limit(run.lock_timeout))
    if verify:
        # The path first: a ROLLBACK in the midst of the verify script must not take it back.
        commands += [for_script(run.conn), f"SAVEPOINT {VERIFY_SAVEPOINT}"]
    return commands


def clean(run: Run, script: Script, verify: Script | None = None) -> None:
    """Ends what a script leaves to its session: deferred constraints, role, settings, temp tables.

    Args:
        run: what is done.
        script: it.
        verify: the verify script that follows, whose doings will be taken back.

    Raises:
        ScriptFailed: a deferred constraint does not hold.
    """
    commands = _cleaning(run, script, verify)
    try:
        if _execute(run.conn, commands, declared=verify is not None and verify.own_transaction):
            # Nor must it take this back.
            again = f"RELEASE SAVEPOINT {VERIFY_SAVEPOINT}; SAVEPOINT {VERIFY_SAVEPOINT}"
            run.conn.execute(again.encode())
    except psycopg.Error as error:
        raise ScriptFailed(shown(script.path), script.path, error) from None


def run_verify_inside(run: Run, script: Script) -> str:
    """Runs a verify script behind the savepoint of ``clean``.

    Returns:
        What takes back whatever it did, to be sent before the change is recorded.
    """
    run_script(run.conn, script, run.lock_timeout)
    if run.conn.info.encoding != "utf-8":
        # A message is read in the encoding that is in force before its first statement.
        run.conn.execute("SET client_encoding = 'UTF8'")
    return _UNDO_VERIFY


def end_change(run: Run, *commands: str, ending: Ending = _DURABLE) -> None:
    """Records a change in its transaction, in one message, and commits.

    Args:
        run: what is done.
        commands: what precedes the record, and it.
        ending: how the transaction ends.

    Raises:
        Locked: the deployment lock is lost.
        psycopg.Error: the record was refused, or the connection lost.
    """
    if stopped := _record(run, commands, ending):
        _only_next(run, stopped[0], ending)


def _only_next(run: Run, error: psycopg.Error, ending: Ending) -> None:
    """Rolls back after an error, and finds that only the next transaction could not be opened.

    Raises:
        Locked: the deployment lock is lost.
        psycopg.Error: it is this change that is not recorded.
    """
    if gone(run.conn):
        raise error
    run.conn.rollback()
    if registry.LOCK_LOST in (error.diag.message_primary or ""):
        raise Locked(
            "the script released the deployment lock (pg_advisory_unlock_all?), and another "
            f"deployment has it now ({registry.holder(run.conn)}). This change was rolled back; "
            "take the release out of the script, then run the same command again."
        )
    if not ending.ahead or not ending.recorded():
        raise error
    run.recorded_at = registry.recorded_at(run.conn, run.project.registry)


def _record(run: Run, commands: Sequence[str], ending: Ending) -> tuple[psycopg.Error, int] | None:
    """Sends the message of ``end_change``.

    Returns:
        If a statement failed: its error, and how many before it passed.

    Raises:
        psycopg.Error: the connection is lost.
    """
    sent = [*commands[:-1], registry.keep_lock(), *commands[-1:]]
    if ending.commit:
        if not ending.durable:
            sent.append("SET LOCAL synchronous_commit = off")
        sent.append("COMMIT")
    # A cursor would not tell how far the server came.
    run.conn.pgconn.send_query(_BETWEEN.join([*sent, *ending.ahead]).encode())
    results = run.conn.wait(generators.execute(run.conn.pgconn))
    for number, result in enumerate(results):
        if result.status not in (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK):
            # The rows that a rule adds to a statement come with no status of their own.
            passed = sum(1 for before in results[:number] if before.command_status)
            return errors.error_from_result(result), passed
    for result in reversed(results):
        if result.nfields and result.fname(0) == registry.RECORDED_AT.encode():
            run.recorded_at = int(result.get_value(0, 0) or 0)
            break
    return None


def readable_at_once(run: Run, verify: Script | None) -> bool:
    """Tells whether a verify script means the same as a part of a larger message of ours.

    The server reads a whole message by the settings that are in force before it.
    """
    return (
        run.conn.info.encoding == "utf-8"
        and run.conn.pgconn.parameter_status(b"standard_conforming_strings") == b"on"
        and not (verify and _CHANGES_READING.search(verify.source))
        and not (verify and verify.own_transaction and _lets_wait(run, verify))
    )


def _lets_wait(run: Run, verify: Script) -> bool:
    """Tells whether a verify script may do what a deferred constraint waits for."""
    if not WRITES.search(verify.source):
        return False
    return run.conn.execute(_ANY_DEFERRED.encode()).fetchone() == (True,)


def end_at_once(
    run: Run, script: Script, verify: Script | None, record: str, ending: Ending
) -> bool:
    """Does in one message what ``clean``, ``run_verify_inside`` and ``end_change`` do in three.

    It lets no constraint wait that the end of the script has checked, as ``clean`` does. Where that
    may be why the verify script failed, its failure does not count.

    Args:
        run: what is done.
        script: the script that has run in the open transaction.
        verify: its verify script, for which ``readable_at_once`` holds.
        record: the statements that record the change.
        ending: how the transaction ends.

    Returns:
        False: its failure does not count, and the transaction is as the script left it: do it step
        by step.

    Raises:
        Unreadable: the message was not even begun; the transaction was rolled back.
        ScriptFailed: the script has ended its transaction, or what it left cannot be cleaned; or a
            statement of the verify script failed.
        Locked, psycopg.Error: as ``end_change`` does.
    """
    cleaning = [f"SAVEPOINT {_SCRIPT_DONE}", *_cleaning(run, script, verify)]
    statements = _sent(verify, run.lock_timeout) if verify else []
    commands = [*cleaning, *(statement.text for statement in statements)]
    if not ending.commit:
        # Or the changes of one transaction would nest, each in the one before it.
        ending = replace(ending, ahead=(f"RELEASE SAVEPOINT {_SCRIPT_DONE}",))
    stopped = _record(run, [*commands, *([_UNDO_VERIFY] if verify else []), record], ending)
    if stopped is None:
        return True
    error, passed = stopped
    if gone(run.conn):
        raise error
    if not passed and not isinstance(error, errors.QueryCanceled):
        run.conn.rollback()
        raise Unreadable
    number = passed - len(scan(_BETWEEN.join(cleaning)).statements)
    if number < 0:
        raise ScriptFailed(shown(script.path), script.path, error)
    if verify is None or number >= len(statements):
        _only_next(run, error, ending)
        return True
    before = len(_BETWEEN.join([*commands[: len(cleaning) + number], ""]))
    failed = ScriptFailed(place(verify, statements[number], error, before), verify.path, error)
    # Who has waited for a lock, or was cancelled, does not want to see it run again.
    if verify.own_transaction and not failed.busy and not isinstance(error, errors.QueryCanceled):
        run.conn.execute(
            f"ROLLBACK TO SAVEPOINT {_SCRIPT_DONE}; RELEASE SAVEPOINT {_SCRIPT_DONE}".encode()
        )
        if run.conn.execute(_ANY_DEFERRED.encode()).fetchone() == (True,):
            return False
    raise failed


@contextmanager
def atomic(conn: Connection, keep: bool = True, begin: str = "BEGIN") -> Iterator[None]:
    """One transaction; rolled back on any exception, an interrupt included, and if not ``keep``."""
    conn.execute(begin.encode())
    with settled(conn):
        yield
        conn.execute("COMMIT" if keep else "ROLLBACK")
    fresh(conn)


@contextmanager
def settled(conn: Connection) -> Iterator[None]:
    """Rolls back whatever transaction is open after an exception, an interrupt included."""
    try:
        yield
    except BaseException:
        calm(conn)
        if not gone(conn):
            conn.rollback()
            fresh(conn)
        raise


def psql_variables(
    conn: Connection, project: Project, kind: Kind, given: Mapping[str, str]
) -> dict[str, str]:
    """Returns what psql would put into a script of this connection: its own variables and ours."""
    return psql.all_variables(conn, project.variables(kind, given), registry=project.registry)


def run_by_psql(
    target: Target,
    project: Project,
    script: Script,
    listener: Listener,
    given: Mapping[str, str],
    lock_timeout: float | None,
    application_name: str = "integrations-db",
) -> None:
    """Has the psql program run a script; its lock waits are limited only if that was asked for.

    Raises:
        ScriptFailed: it failed.
        Failure: there is no such program.
    """
    try:
        psql.run(
            script,
            target,
            client=project.client,
            registry=project.registry,
            variables=project.variables(script.kind, given),
            cwd=project.root,
            application_name=application_name,
            lock_timeout=_session_limit(lock_timeout),
            output=listener.say,
        )
    except psql.PsqlFailed as error:
        raise ScriptFailed(error.place, script.path, None, error.message, error.sqlstate) from None


def run_verify(
    conn: Connection,
    target: Target,
    project: Project,
    script: Script,
    listener: Listener,
    *,
    variables: Mapping[str, str] = MappingProxyType({}),
    lock_timeout: float | None = None,
) -> None:
    """Runs a verify script by itself, and takes back what it did if a transaction can hold it.

    Args:
        conn: an autocommit connection, outside a transaction.
        target: where it leads.
        project: whose script.
        script: the verify script.
        listener: hears what the server says.
        variables: of psql, given with ``--set``.
        lock_timeout: as for ``deploy``.

    Raises:
        ScriptFailed: it failed.
        Failure: it could not be run.
    """
    if script.execution == "psql":
        run_by_psql(target, project, script, listener, variables, lock_timeout)
        return
    if script.execution == "atomic":
        try:
            with atomic(conn, keep=False, begin=script.begin):
                commands = [_limit(lock_timeout), for_script(conn)]
                if not script.own_transaction:
                    commands.append("SET CONSTRAINTS ALL IMMEDIATE")
                commands.append(f"SAVEPOINT {VERIFY_SAVEPOINT}")
                conn.execute("; ".join(commands).encode())
                run_script(conn, script, lock_timeout)
            return
        except ScriptFailed as failed:
            if not isinstance(failed.error, NOT_ATOMIC):
                raise
        except psycopg.Error as error:
            raise ScriptFailed(shown(script.path), script.path, error) from None
    with closing(connect(target, listener.say)) as own:
        set_up(own, lock_timeout)
        for statement in script.statements:
            try:
                own.execute(statement.text.encode())
            except psycopg.Error as error:
                raise ScriptFailed(place(script, statement, error), script.path, error) from None


def _session_limit(lock_timeout: float | None) -> str | None:
    """Returns the statement that limits the lock waits of a session, if that was asked for.

    Not by default: a concurrent index build that gives up leaves an invalid index.
    """
    return None if lock_timeout is None else f"SET lock_timeout = {_milliseconds(lock_timeout)}"


def set_up(own: Connection, lock_timeout: float | None) -> None:
    """Readies a session for a script that no transaction can hold."""
    own.execute(for_script(own).encode())
    if limited := _session_limit(lock_timeout):
        own.execute(limited.encode())


def lost(error: psycopg.Error | None) -> str:
    """Returns what to say of a lost connection."""
    return (
        f"the connection to the server was lost{f': {explain(error)}' if error else ''}\n"
        "The server rolls back what was not committed; no change is half done. "
        "Run status to see where it stands, then run the same command again."
    )


def explain_failure(failed: ScriptFailed) -> str:
    """Returns where and why a script failed, and what is to be known of such an error."""
    text = f"{failed.place}: {failed.message}"
    if failed.error is not None and (more := _meaning(failed.error)):
        text += f"\n  {more}"
    return "\n".join([text, *(f"  In its way: {blocker}" for blocker in failed.blockers)])


def _meaning(error: psycopg.Error) -> str | None:
    """Returns what an error of the server tells a deployer beyond its own words."""
    if isinstance(error, errors.InsufficientPrivilege):
        return "The role that deploys lacks this privilege."
    if isinstance(error, errors.ReadOnlySqlTransaction):
        return (
            "This server is read-only, perhaps a standby: deploy to the primary. Or "
            "default_transaction_read_only is on for this role or database."
        )
    if isinstance(error, errors.DiskFull):
        return "The server's disk is full; what was not committed takes up no room for long."
    return None


def remedy(failed: ScriptFailed) -> str:
    """Returns what to do before the next attempt."""
    if isinstance(failed.error, errors.InsufficientPrivilege):
        return "Get the privilege"
    if isinstance(failed.error, errors.ReadOnlySqlTransaction):
        return "Choose another server"
    if isinstance(failed.error, errors.DiskFull):
        return "Make room"
    if isinstance(failed.error, BUSY):
        return "Wait for the other sessions"
    return f"Correct {shown(failed.path)}" if failed.path else "Look into it"


def tell_finished(run: Run, change: Change, outcome: str, began: float, remark: str) -> None:
    """Tells that a change is finished, after its COMMIT; what cannot be told changes nothing.

    Args:
        run: what is done.
        change: it.
        outcome: what is true of it now.
        began: when it was begun, by ``time.monotonic``.
        remark: what to say of it.
    """
    try:
        run.listener.done(change.title, time.monotonic() - began, remark)
    except BaseException as error:
        error.add_note(f"{change.name} {outcome}; nothing after it was begun.")
        raise


def tell_ended(run: Run, change: Change, remark: str) -> None:
    """Tells that a change is finished after all; what cannot be told must not hide the error."""
    with suppress(OSError, Unwritable):
        run.listener.done(change.title, 0, remark)


def tell_failed(run: Run, change: Change) -> None:
    """Tells that a change has failed; what cannot be told must not hide why."""
    with suppress(OSError, Unwritable):
        run.listener.failed(change.title)


@contextmanager
def reported(conn: Connection) -> Iterator[None]:
    """Turns errors of our own statements into sentences; those of scripts have theirs already."""
    try:
        yield
    except psycopg.Error as error:
        kind = Locked if isinstance(error, BUSY) else Failure
        raise kind(lost(error) if gone(conn) else own_error(error)) from None


def own_error(error: psycopg.Error) -> str:
    """Returns what to say of an error that no script has made."""
    text = explain(error)
    if isinstance(error, errors.InsufficientPrivilege):
        return (
            f"{text}\nThis role lacks a privilege that the registry of deployments needs. "
            "Connect as the role that deployed first, or as the owner of the database."
        )
    more = _meaning(error) or "The change that was being worked on was rolled back."
    return f"{text}\n{more}"
