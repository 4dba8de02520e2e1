"""Reverts deployed changes, the latest first."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from types import MappingProxyType

from integrations_db import registry, state
from integrations_db.config import Committer, Target
from integrations_db.database import gone
from integrations_db.errors import Failure, Locked
from integrations_db.plan import Change, Plan, find_change
from integrations_db.project import Project
from integrations_db.registry import Connection
from integrations_db.script import Script
from integrations_db.transaction import (
    BUSY,
    Listener,
    Run,
    ScriptFailed,
    clean,
    explain_failure,
    limit,
    lost,
    remedy,
    reported,
    retried,
    run_script,
)

__all__ = ["revert"]


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
    resume: bool = False,
    lock_timeout: float | None = None,
    wait: float = 60.0,
) -> list[Change]:
    """Reverts deployed changes, the latest first, each in one transaction with its registry rows.

    Args:
        conn: an autocommit connection.
        project: whose changes.
        who: the committer to record.
        listener: hears the progress.
        confirm: asked, before anything is locked, whether these changes shall go.
        to: the last change to keep; None: keep none.
        lock_timeout: as for ``deploy``.
        wait: seconds to wait for another deployment.

    Returns:
        The changes that were reverted.

    Raises:
        Failure, Changed, Locked: as ``deploy``.
    """
    plan = project.plan
    run = Run(conn, target, project, who, listener, lock_timeout)
    with reported(conn):
        deployed = state.read(conn, project)
        count = state.follow(project, deployed)
        keep = 0
        if to is not None:
            keep = _deployed_index(plan, to, count) + 1
        indexes = range(count - 1, keep - 1, -1)
        changes = [plan.changes[index] for index in indexes]
        if not changes:
            return []
        scripts = {index: project.script(index, "revert") for index in indexes}
        blocked = registry.requiring(conn, project.registry, [c.id for c in changes])
        if blocked:
            lines = [f"{required} is required by {name}" for required, name in blocked]
            raise Failure("\n".join([*lines, "Nothing was touched; revert those first."]))
        if not confirm(changes):
            raise Failure("Nothing was reverted.")
        registry.lock(conn, wait, listener.say)
        if [there.id for there in state.read(conn, project)] != [there.id for there in deployed]:
            raise Failure("another deployment went on meanwhile. Nothing was touched; look again.")
        listener.started("revert", len(changes))
        for index in indexes:
            _revert_change(run, index, scripts[index])
        return changes


def _deployed_index(plan: Plan, key: str, count: int) -> int:
    """Returns the position of the change that ``key`` names among the first ``count``."""
    there = replace(plan, changes=plan.changes[:count])
    try:
        return find_change(there, key)
    except Failure:
        find_change(plan, key)
        raise Failure(f'"{key}" is in the plan but not deployed. Nothing was touched.') from None


def _revert_change(run: Run, index: int, script: Script) -> None:
    """Reverts one change; if that fails, says what is left and what to do."""
    conn, project = run.conn, run.project
    change = project.plan.changes[index]
    began = time.monotonic()
    run.listener.change("revert", change.title)

    def work() -> None:
        limit(conn, run.lock_timeout)
        registry.lock_changes(conn, project.registry)
        run_script(conn, script, run.lock_timeout)
        clean(conn, script, run.lock_timeout)
        registry.keep_lock(conn)
        registry.delete_change(conn, project.registry, project.plan, change, run.who)

    try:
        retried(run, work)
    except BaseException as error:
        run.listener.failed(change.title)
        if not isinstance(error, ScriptFailed):
            raise
        if gone(conn):
            raise Failure(lost(error.error)) from None
        kind = Locked if isinstance(error.error, BUSY) else Failure
        raise kind(
            f"{explain_failure(error)}\n{change.name} is still deployed, whole, and so is "
            f"all before it. {remedy(error)}, then revert again."
        ) from None
    run.listener.done(change.title, time.monotonic() - began)
