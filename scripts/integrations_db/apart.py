"""Runs scripts that no transaction can hold, in a session of their own, marked beforehand.

The connection of the deployment keeps its lock meanwhile, idle and outside a transaction: an index
that is built concurrently waits for every open transaction, ours included.
"""

from __future__ import annotations

import re
import secrets
from contextlib import closing, suppress
from dataclasses import dataclass
from typing import NoReturn

import psycopg
from psycopg import errors
from psycopg.pq import TransactionStatus

from integrations_db import marker
from integrations_db.aftermath import look_again
from integrations_db.database import connect, explain, fresh, gone, heed, place
from integrations_db.errors import Failure, Locked
from integrations_db.lexer import Statement, split
from integrations_db.marker import Action, Unfinished
from integrations_db.plan import Change, Plan, script_hash
from integrations_db.project import Project
from integrations_db.registry import Connection
from integrations_db.retry import retried
from integrations_db.script import Script, shown, words
from integrations_db.transaction import (
    BUSY,
    Run,
    ScriptFailed,
    end_change,
    explain_failure,
    limit,
    open_change,
    own_error,
    run_by_psql,
    set_up,
    settled,
)

__all__ = [
    "Stopped",
    "choices",
    "clear",
    "leave",
    "record",
    "run_apart",
    "run_marked",
    "stopped",
    "unfinished",
]

# What changes no more than the session, which ends with the script.
_SESSION = frozenset({"SET", "RESET", "SHOW", "BEGIN", "START", "ROLLBACK", "ABORT", "DISCARD"})
# Meta-commands that do nothing to the database, or all of it at once.
_QUIET = re.compile(
    r"\\(?:set|unset|echo|qecho|warn|pset|timing|encoding|if|elif|else|endif|copy|x|t|a|\.)(?:\s|\Z)"
)


class Stopped(Exception):
    """A script that ran apart did not reach its end.

    Attributes:
        failed: what failed.
        left: what it has left behind, in a sentence.
        clean: whether that is nothing.
    """

    def __init__(self, failed: ScriptFailed, left: str, clean: bool) -> None:
        super().__init__(left)
        self.failed = failed
        self.left = left
        self.clean = clean


@dataclass(slots=True)
class _Progress:
    """How far a script came.

    Attributes:
        line: the last line of the last statement that took effect for good.
        unknown: whether nothing is known of the statements, because psql ran them.
        doubt: the line of a statement that may have taken effect in part, or wholly.
        again: whether it was begun before, and may have left something then.
    """

    line: int | None = None
    doubt: int | None = None
    unknown: bool = False
    again: bool = False

    @property
    def nothing(self) -> bool:
        """Whether nothing of the script took effect, ever."""
        return (self.line, self.doubt) == (None, None) and not self.unknown and not self.again

    def left(self, script: Script) -> str:
        """Returns what took effect, in a sentence."""
        name = shown(script.path)
        parts = []
        if self.line is not None:
            parts.append(f"what stands in {name} up to line {self.line} took effect and stays")
        if self.doubt is not None:
            parts.append(f"the statement in line {self.doubt} may have taken effect, even in part")
        if self.unknown:
            parts.append(f"psql does not tell how much of {name} took effect")
        if self.again and not parts:
            return "nothing of it took effect this time, but what it did when it was begun before"
        return "; ".join(parts) if parts else "nothing of it took effect"


def run_apart(run: Run, change: Change, script: Script, action: Action) -> None:
    """Marks a script as begun and runs it; the mark stays for the transaction that records it.

    Raises:
        Stopped: it failed. Where nothing took effect the mark is gone again.
        Failure: it could not be begun.
    """
    application = f"integrations-db script {secrets.token_hex(4)}"
    registry_name, project = run.project.registry, run.project.plan.project
    try:
        with run.conn.transaction():
            limit(run.conn, run.lock_timeout)
            marker.begin(
                run.conn,
                registry_name,
                project,
                change,
                action,
                shown(script.path),
                script_hash(script.path),
                application,
                run.who,
            )
    except BUSY as error:
        raise Locked(
            f"{shown(script.path)} cannot be marked as begun: {explain(error)}\n"
            f"{change.name} was not begun: other sessions hold what this needs. Wait for them, "
            f"then {action} again."
        ) from None
    except psycopg.Error as error:
        if gone(run.conn):
            raise
        raise Failure(
            f"{shown(script.path)} cannot run in a transaction, so it must be marked as begun in "
            f"{marker.TABLE} first, and that is refused: {explain(error)}\n{change.name} was not "
            f"begun.{_event_triggers(run.conn)}"
        ) from None
    heed(run.conn, script.source)
    progress = _Progress(again=change.id in run.marked)
    run.marked.add(change.id)
    try:
        if script.execution == "psql":
            _by_psql(run, script, application, progress)
        else:
            with closing(connect(run.target, run.listener.say, application)) as own:
                set_up(own, run.lock_timeout)
                _execute(own, script, progress)
    except ScriptFailed as failed:
        clean = _settle(run, change, script, progress, failed)
        raise Stopped(failed, progress.left(script), clean) from None
    except BaseException as error:
        clean = _settle(run, change, script, progress, None)
        if isinstance(error, Failure):
            raise
        error.add_note(
            f"{change.name} cannot run in a transaction: {progress.left(script)}."
            + ("" if clean else f"\n{choices(run.project, change.name, change.id, action)}")
        )
        raise


def _event_triggers(conn: Connection) -> str:
    """Returns a sentence about what may refuse that marks are made, if there is such a thing."""
    row = conn.execute(
        "select pg_catalog.string_agg(evtname, ', ' order by evtname)"
        "  from pg_catalog.pg_event_trigger where evtenabled <> 'D'"
    ).fetchone()
    if not row or not row[0]:
        return ""
    return (
        f" Is it this event trigger: {row[0]}? It must let the schema integrations_db and its "
        "table be made, and dropped."
    )


def run_marked(run: Run, script: Script) -> None:
    """Runs a script in a session of its own, for a change that is marked already.

    Raises:
        ScriptFailed: it failed.
    """
    if script.execution == "psql":
        run_by_psql(run.target, run.project, script, run.listener, run.given, run.lock_timeout)
        return
    with closing(connect(run.target, run.listener.say)) as own:
        set_up(own, run.lock_timeout)
        _execute(own, script, _Progress())


def record(run: Run, change: Change, action: Action, statement: str) -> None:
    """Records a change whose script ran apart, and takes its mark away, in one transaction.

    Raises:
        Failure: it is not recorded, and stays marked.
    """

    def work() -> None:
        fresh(run.conn)  # what the script has stored for later sessions
        with settled(run.conn):
            open_change(run, None)
            marker.clear(run.conn, run.project.registry, run.project.plan.project, change.id)
            end_change(run, statement)
            run.marked.discard(change.id)

    what = choices(run.project, change.name, change.id, action)
    ran = f"The script of {change.name} ran to its end, but that is not recorded"
    try:
        retried(run, work)
    except (ScriptFailed, psycopg.Error) as error:
        cause = error.error if isinstance(error, ScriptFailed) else error
        if gone(run.conn) and cause is not None:
            left = f"{ran}.\n{what}"
            raise Failure(
                look_again(run.target, run.project, change, action, cause, left)[1]
            ) from None
        why = explain_failure(error) if isinstance(error, ScriptFailed) else own_error(error)
        raise Failure(f"{why}\n{ran}.\n{what}") from None
    except Locked as error:
        raise Locked(f"{error}\n{ran}.\n{what}") from None
    except BaseException as error:
        error.add_note(f"{ran}.\n{what}")
        raise


def _settle(
    run: Run, change: Change, script: Script, progress: _Progress, failed: ScriptFailed | None
) -> bool:
    """Takes the mark away if nothing took effect, else writes down what did; tells which.

    If the connection is gone, or anything else fails, the mark just stays.
    """
    with suppress(psycopg.Error):
        if progress.nothing:
            clear(run, change)
            return True
        how = f"failed at {failed.place}" if failed else "was interrupted"
        leave(run, change, f"{how}: {progress.left(script)}")
    return False


def clear(run: Run, change: Change) -> None:
    """Takes the mark of a change away, in a transaction of its own."""
    with run.conn.transaction():
        limit(run.conn, run.lock_timeout)
        marker.clear(run.conn, run.project.registry, run.project.plan.project, change.id)
    run.marked.discard(change.id)


def leave(run: Run, change: Change, outcome: str) -> None:
    """Writes beside the mark of a change what is known of it, unless others hold the mark."""
    with suppress(errors.LockNotAvailable), run.conn.transaction():
        limit(run.conn, run.lock_timeout)
        marker.note(run.conn, run.project.registry, run.project.plan.project, change, outcome)


def _by_psql(run: Run, script: Script, application: str, progress: _Progress) -> None:
    """Has psql run a script; what took effect is judged by where it failed."""
    try:
        run_by_psql(
            run.target,
            run.project,
            script,
            run.listener,
            run.given,
            run.lock_timeout,
            application,
        )
    except Failure:
        raise  # psql did not even start
    except BaseException as error:
        if not isinstance(error, ScriptFailed) or not _before_any_effect(script, error.place):
            progress.unknown = True
        raise


def _before_any_effect(script: Script, failed_at: str) -> bool:
    """Tells whether psql certainly stopped before anything took effect for good."""
    name = re.escape(shown(script.path))
    found = re.fullmatch(rf"{name}:(\d+)(?::\d+)?", failed_at)
    if not found:
        return False  # in an included file, or nowhere
    # Whatever its encoding, what is looked for is ASCII.
    text = script.path.read_bytes().decode("latin-1")
    begun = [statement for statement in split(text) if statement.line <= int(found[1])]
    inside = False
    for statement in begun:
        head = words(statement.text, 2)
        last = statement is begun[-1]
        if statement.text.startswith("\\"):
            if not _QUIET.match(statement.text):
                return False
        elif head[:1] in (("BEGIN",), ("START",)):
            inside = True
        elif head[:1] in (("COMMIT",), ("END",), ("PREPARE",)):
            return last  # a COMMIT that failed has rolled back
        elif head[:1] in (("ROLLBACK",), ("ABORT",)) and head[1:2] != ("TO",):
            inside = False
        elif not inside and head[:1] and head[0] not in _SESSION:
            return last and not _commits(statement, head)
    return True


def _execute(own: Connection, script: Script, progress: _Progress) -> None:
    """Runs the statements of a script as psql sends them, and follows what takes effect."""
    for statement in script.statements:
        outside = own.info.transaction_status == TransactionStatus.IDLE
        head = words(statement.text, 2)
        try:
            own.execute(statement.text.encode())
        except BaseException as error:
            ends = head[:1] in (("COMMIT",), ("END",), ("PREPARE",))
            if (outside and _doubtful(statement, head, error, own)) or (
                ends and not isinstance(error, psycopg.Error)
            ):
                progress.doubt = statement.line
            elif gone(own) and (outside or ends):
                progress.doubt = statement.line
            if isinstance(error, psycopg.Error):
                where = place(script, statement, error)
                raise ScriptFailed(where, script.path, error) from None
            raise
        if own.info.transaction_status == TransactionStatus.IDLE and head[:1] != ():
            if head[0] not in _SESSION:
                progress.line = statement.line + statement.text.count("\n")


def _doubtful(
    statement: Statement, head: tuple[str, ...], error: BaseException, own: Connection
) -> bool:
    """Tells whether a statement that failed outside a transaction may have left something."""
    if head and head[0] in _SESSION:
        return False
    if not isinstance(error, psycopg.Error):
        return True  # interrupted: it may have been done by then
    if isinstance(error, errors.ActiveSqlTransaction | errors.FeatureNotSupported):
        return False
    if head and head[0] in ("CALL", "DO"):
        return True
    # The server refuses what is wrong in itself (class 42) before it begins.
    return _commits(statement, head) and not (error.sqlstate or "").startswith("42")


def _commits(statement: Statement, head: tuple[str, ...]) -> bool:
    """Tells whether a statement may commit on its way; any other is all or nothing."""
    return bool(head) and (
        head[0] in ("CALL", "DO", "VACUUM", "REINDEX", "CLUSTER")
        or head[1:2] in (("DATABASE",), ("TABLESPACE",), ("SUBSCRIPTION",), ("SYSTEM",))
        or "CONCURRENTLY" in words(statement.text, 1000)
    )


def stopped(run: Run, change: Change, action: Action, error: Stopped) -> NoReturn:
    """Ends a command whose script failed outside a transaction: what is left, what to do next."""
    text = f"{explain_failure(error.failed)}\n{change.name} cannot run in a transaction: "
    text += error.left
    if error.clean:
        state = "is not deployed" if action == "deploy" else "is still deployed, whole"
        text += f"; {change.name} {state}. "
        path = shown(error.failed.path) if error.failed.path else "the script"
        text += f"Correct {path}, then {action} again."
    else:
        text += f".\n{choices(run.project, change.name, change.id, action)}"
    raise Failure(text + invalid_indexes(run.conn))


def choices(project: Project, name: str, change_id: str, action: Action) -> str:
    """Returns what a person may do about a script that was begun and is not recorded.

    Args:
        project: whose script.
        name: of the change, as it was called then.
        change_id: of the change; the plan may not have it any more.
        action: what the script is for.
    """
    plan = project.plan
    forget = marker.forgetting(project.registry, plan.project, change_id)
    found = plan.positions.get(change_id)
    if not found:
        return (
            f"{name} (ID {change_id}) is not recorded, and not in {plan.file} any more: it was "
            "renamed, edited or taken out since. Look at what its script did; undo that by hand, "
            f"and say that nothing of it is left:\n  {forget}\n"
            "or put the plan back as it was then, and run the same command again."
        )
    if action == "deploy":
        return (
            f"{name} is not recorded as deployed. Look at what its script did; then either\n"
            "  deploy --resume: runs it again (undo by hand what would be in its way), or\n"
            f"  deploy --log-only --to {_key(plan, found[0])}: records it as deployed without "
            "running it (finish by hand what it left undone), or\n"
            f"  {forget}\n  forgets it (undo by hand all that it did)."
        )
    keep = f"--to {_key(plan, found[0] - 1)}" if found[0] else "--all"
    return (
        f"{name} is still recorded as deployed. Look at what its revert script did; then either\n"
        f"  revert --resume {keep}: runs it again, or\n"
        f"  revert --log-only {keep}: records it as reverted without running it (finish by hand "
        "what it left undone), or\n"
        f"  {forget}\n  forgets it (bring back by hand all that it took away)."
    )


def _key(plan: Plan, index: int) -> str:
    """Returns what names a change for ``--to``: reworked ones share their names."""
    change = plan.changes[index]
    return change.name if len(plan.positions[change.name]) == 1 else change.id


def unfinished(run: Run, mark: Unfinished) -> str:
    """Returns what to say of a script that a former run has begun."""
    head = (
        f"{mark.script} ({mark.action} of {mark.change}) was begun at "
        f"{mark.started_at:%Y-%m-%d %H:%M:%S %Z} by {mark.started_by}, outside a transaction, and "
    )
    if mark.running:
        return (
            f"{head}its session is still at work. Nothing was touched. Wait for it, or end it; "
            "then run the same command again."
        )
    outcome = f"it {mark.outcome}" if mark.outcome else "how far it came is not known"
    what = choices(run.project, mark.change, mark.change_id, mark.action)
    return (
        f"{head}its end was not recorded: {outcome}. Nothing was touched now.\n"
        f"{what}{invalid_indexes(run.conn)}"
    )


def invalid_indexes(conn: Connection) -> str:
    """Returns a sentence for each index that a failed concurrent build has left, if any."""
    if gone(conn):
        return ""
    try:
        rows = conn.execute(
            "select pg_catalog.format('%I.%I', n.nspname, c.relname) from pg_catalog.pg_index as i"
            "  join pg_catalog.pg_class as c on c.oid = i.indexrelid and c.relkind = 'i'"
            "  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace"
            " where not i.indisvalid order by 1"
        ).fetchall()
    except psycopg.Error:
        return ""
    return "".join(
        f"\nThe index {name} is invalid (a failed concurrent build leaves it so): "
        f"DROP INDEX CONCURRENTLY {name}; before the script runs again."
        for (name,) in rows
    )
