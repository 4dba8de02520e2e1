"""Reverts deployed changes, the latest first."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import NoReturn

import psycopg

from integrations_db import apart, marker, registry, state
from integrations_db.aftermath import look_again
from integrations_db.config import Committer, Target
from integrations_db.database import gone
from integrations_db.errors import Failure, Locked
from integrations_db.plan import Change, Plan, find_change
from integrations_db.project import Project
from integrations_db.registry import Connection, Deployed
from integrations_db.retry import PAUSES, retried
from integrations_db.script import Script, ScriptError, shown
from integrations_db.transaction import (
    BUSY,
    NOT_ATOMIC,
    Listener,
    Run,
    ScriptFailed,
    clean,
    end_change,
    explain_failure,
    limit,
    open_change,
    own_error,
    psql_variables,
    remedy,
    reported,
    run_script,
    settled,
    tell_ended,
    tell_failed,
    tell_finished,
)

__all__ = ["revert", "take_back", "undo"]


def revert(
    conn: Connection,
    project: Project,
    target: Target,
    who: Committer,
    listener: Listener,
    confirm: Callable[[list[Change]], bool],
    *,
    to: str | None,
    variables: Mapping[str, str] = MappingProxyType({}),
    log_only: bool = False,
    resume: bool = False,
    lock_timeout: float | None = None,
    wait: float = 60.0,
) -> list[Change]:
    """Reverts deployed changes, the latest first, each in one transaction with its registry rows.

    Args:
        conn: an autocommit connection.
        project: whose changes.
        target: where the connection leads, for those that are opened beside it.
        who: the committer to record.
        listener: hears the progress.
        confirm: asked, before anything is locked, whether these changes shall go.
        to: the last change to keep; None: keep none.
        variables: of psql, for the scripts.
        log_only: record the changes as reverted without running their scripts.
        resume: run the script again that was begun outside a transaction and not recorded.
        lock_timeout: as for ``deploy``.
        wait: seconds to wait for another deployment.

    Returns:
        The changes that were reverted.

    Raises:
        Failure, Changed, Locked: as ``deploy``.
    """
    plan = project.plan
    run = Run(conn, target, project, who, listener, lock_timeout, variables)
    with reported(conn):
        deployed = state.read(conn, project)
        count = state.follow(project, deployed, target)
        keep = 0
        if to is not None:
            keep = _deployed_index(plan, to, count) + 1
        indexes = range(count - 1, keep - 1, -1)
        changes = [plan.changes[index] for index in indexes]
        _unfinished(run, deployed, changes, resume or log_only)
        if not changes:
            return []
        try:
            scripts = _scripts(run, indexes, log_only)
        except ScriptError as error:
            raise ScriptError(
                f"{error}\nNothing was touched. Correct or restore it, then revert again."
            ) from None
        _required(run, changes)
        for script in scripts.values():
            if script and script.why:
                listener.say(f"not in one transaction with its record: {script.why}")
        if not confirm(changes):
            raise Failure("Nothing was reverted.")
        registry.lock(conn, wait, listener.say)
        if [there.id for there in state.read(conn, project)] != [there.id for there in deployed]:
            raise Failure("another deployment went on meanwhile. Nothing was touched; look again.")
        _required(run, changes)
        for change_id in _unfinished(run, deployed, changes, resume or log_only):
            with conn.transaction():
                limit(conn, lock_timeout)
                marker.clear(conn, project.registry, plan.project, change_id)
        listener.started("revert", len(changes))
        for index in indexes:
            _revert_change(run, index, scripts[index])
        return changes


def _scripts(run: Run, indexes: Sequence[int], log_only: bool) -> dict[int, Script | None]:
    """Reads the revert scripts; None for changes that are only recorded.

    Raises:
        ScriptError: one is missing or cannot be run.
    """
    project = run.project
    if log_only:
        for index in indexes:
            if not project.path(index, "revert").exists():
                raise ScriptError(f"{shown(project.path(index, 'revert'))}: is missing")
        return dict.fromkeys(indexes)
    variables = psql_variables(run.conn, project, "revert", run.given)
    return {index: project.script(index, "revert", variables) for index in indexes}


def _required(run: Run, changes: Sequence[Change]) -> None:
    """Refuses to revert what a change that stays requires.

    Raises:
        Failure: there is such a change, here or in another project.
    """
    ids = [change.id for change in changes]
    if blocked := registry.requiring(run.conn, run.project.registry, ids):
        lines = [f"{required} is required by {name}" for required, name in blocked]
        raise Failure("\n".join([*lines, "Nothing was touched; revert those first."]))


def _unfinished(
    run: Run, deployed: Sequence[Deployed], changes: Sequence[Change], chosen: bool
) -> list[str]:
    """Looks for scripts that a former run has begun; as that of ``deploy``."""
    known = {there.id for there in deployed}
    stale: list[str] = []
    for mark in marker.unfinished(run.conn, run.project.registry, run.project.plan.project):
        if mark.settled(known):
            stale.append(mark.change_id)
            continue
        following = changes[0].id if changes else None
        if mark.running or not chosen or mark.action != "revert" or mark.change_id != following:
            raise Failure(apart.unfinished(run, mark))
        run.marked.add(mark.change_id)
    return stale


def _deployed_index(plan: Plan, key: str, count: int) -> int:
    """Returns the position of the change that ``key`` names among the first ``count``."""
    there = replace(plan, changes=plan.changes[:count])
    try:
        return find_change(there, key)
    except Failure:
        find_change(plan, key)
        raise Failure(f'"{key}" is in the plan but not deployed. Nothing was touched.') from None


def _revert_change(run: Run, index: int, script: Script | None) -> None:
    """Reverts one change; if that fails, says what is left and what to do.

    Raises:
        Failure: it failed.
    """
    change = run.project.plan.changes[index]
    began = time.monotonic()
    run.listener.change("revert", change.title)
    remark = "ok" if script else "logged only"
    try:
        if script and script.execution == "atomic":
            try:
                _revert_together(run, change, script)
            except ScriptFailed as failed:
                if not isinstance(failed.error, NOT_ATOMIC):
                    raise
                run.listener.say(
                    f"{explain_failure(failed)}\nrolled back; no transaction can hold this script, "
                    "so it runs again statement by statement"
                )
                script = script.apart(f"{failed.place}: {failed.message}")
        elif script is None:
            _revert_together(run, change, None)
        if script and script.execution != "atomic":
            remark = "ok (by psql)" if script.execution == "psql" else "ok (not atomic)"
            apart.run_apart(run, change, script, "revert")
            apart.record(run, change, "revert", _record(run, change))
    except BaseException as error:
        _failed(run, change, error, remark)
    tell_finished(run, change, "was reverted, and that is recorded", began, remark)


def _record(run: Run, change: Change) -> str:
    """Returns the statement that records a change as reverted."""
    return registry.reversion(run.conn, run.project.registry, run.project.plan, change, run.who)


def _revert_together(run: Run, change: Change, script: Script | None) -> None:
    """Reverts a change in one transaction with its record; again, when others hold what it needs.

    Raises:
        ScriptFailed: it failed, and left nothing behind.
    """

    def work() -> None:
        with settled(run.conn):
            open_change(run, script, script.begin if script else "BEGIN")
            if script:
                run_script(run.conn, script, run.lock_timeout)
                clean(run, script)
            if change.id in run.marked:
                marker.clear(run.conn, run.project.registry, run.project.plan.project, change.id)
            end_change(run, _record(run, change))
            run.marked.discard(change.id)

    retried(run, work)


def _failed(run: Run, change: Change, error: BaseException, remark: str) -> NoReturn:
    """Ends a reversion that failed: says what is left and what to do."""
    cause = error.error if isinstance(error, ScriptFailed) else error
    if isinstance(cause, psycopg.Error) and gone(run.conn):
        done, told = look_again(run.target, run.project, change, "revert", cause)
        if done:  # only the answer to its COMMIT was lost
            tell_ended(run, change, remark)
        else:
            tell_failed(run, change)
        raise Failure(told) from None
    tell_failed(run, change)
    if isinstance(error, apart.Stopped):
        apart.stopped(run, change, "revert", error)
    stays = f"{change.name} is still deployed, whole, and so is all before it."
    if isinstance(error, ScriptFailed):
        text = f"{explain_failure(error)}\n"
        busy = isinstance(error.error, BUSY)
        if busy:
            text += (
                f"  Tried {len(PAUSES) + 1} times: other sessions hold or change what it needs.\n"
            )
        text += f"{stays} {remedy(error)}, then revert again."
        raise (Locked if busy else Failure)(text) from None
    if isinstance(error, psycopg.Error):
        raise Failure(f"{own_error(error)}\n{stays}") from None
    raise error


def take_back(run: Run, index: int) -> None:
    """Runs the revert script of a change that took effect, is marked, and is not recorded.

    Raises:
        Failure: it failed, or there is none.
    """
    project = run.project
    change = project.plan.changes[index]
    variables = psql_variables(run.conn, project, "revert", run.given)
    script = project.script(index, "revert", variables)

    def work() -> None:
        with settled(run.conn):
            open_change(run, script, script.begin)
            run_script(run.conn, script, run.lock_timeout)
            clean(run, script)
            marker.clear(run.conn, project.registry, project.plan.project, change.id)
            run.conn.execute("COMMIT")

    try:
        if script.execution == "atomic":
            retried(run, work)
        else:
            apart.run_marked(run, script)
            apart.clear(run, change)
        run.marked.discard(change.id)
    except ScriptFailed as failed:
        raise Failure(explain_failure(failed)) from None


def undo(run: Run, indexes: Sequence[int]) -> str:
    """Reverts, after a failure, changes that this run has deployed; the last of them first.

    Returns:
        What came of it, in a sentence.
    """
    names = [run.project.plan.changes[index].name for index in indexes]
    if gone(run.conn):
        return f"These of this run stay deployed: {', '.join(names)}."
    variables = psql_variables(run.conn, run.project, "revert", run.given)
    for done, index in enumerate(reversed(indexes)):
        try:
            _revert_change(run, index, run.project.script(index, "revert", variables))
        except Failure as failure:
            left = ", ".join(names[: len(names) - done])
            return f"Then their revert scripts: {failure}\nThese of this run stay deployed: {left}."
    return f"Reverted what this run had deployed before it in the same unit: {', '.join(names)}."
