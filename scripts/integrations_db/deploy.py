"""Deploys the pending changes of a project.

A change is one transaction: its script, its verify script (in a savepoint that is rolled back) and
its registry rows commit together or not at all. Whatever ends this process or the server, a change
is either deployed and recorded, or neither.

The deployment lock belongs to the connection: closing it frees the lock.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal

import psycopg

from integrations_db import registry, state
from integrations_db.config import Committer, Target
from integrations_db.database import fresh, gone
from integrations_db.errors import Failure, Locked
from integrations_db.plan import Change, Dependency, find_change, resolve_dependency
from integrations_db.project import Project
from integrations_db.registry import Connection, Deployed
from integrations_db.script import Script
from integrations_db.transaction import (
    BUSY,
    Listener,
    Run,
    ScriptFailed,
    atomic,
    clean,
    explain_failure,
    limit,
    lost,
    remedy,
    reported,
    retried,
    run_script,
    run_verify,
)

__all__ = ["Deployment", "Mode", "deploy"]

Mode = Literal["all", "tag", "change"]


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a deployment did.

    Attributes:
        changes: those that were deployed (in a dry run: would be), in order.
        executed: False for a dry run that could only be planned.
        executions: how each ran, by change ID.
    """

    changes: tuple[Change, ...]
    executed: bool = True
    executions: Mapping[str, str] = field(default_factory=dict)


def _dependency_id(
    conn: Connection, project: Project, dependency: Dependency, limit: int, known: bool
) -> str | None:
    """Returns the ID of a change that is deployed, or precedes ``limit`` in the plan."""
    plan = project.plan
    if dependency.project in (None, plan.project):
        index = resolve_dependency(plan, dependency)
        return plan.changes[index].id if index is not None and index < limit else None
    if not known or dependency.project is None:
        return None
    return registry.change_id_for(
        conn, project.registry, dependency.project, dependency.change, dependency.tag
    )


def _requirements(
    conn: Connection, project: Project, indexes: range, known: bool
) -> dict[int, list[tuple[str, str]]]:
    """Resolves what the changes require; refuses missing and conflicting ones."""
    resolved: dict[int, list[tuple[str, str]]] = {}
    problems: list[str] = []
    for index in indexes:
        change = project.plan.changes[index]
        where = f"{project.plan.file}:{change.line}: {change.name}"
        resolved[index] = []
        for dependency in change.requires:
            name = dependency.name_in(project.plan.project)
            found = _dependency_id(conn, project, dependency, index, known)
            if found is None:
                problems.append(f"{where} requires {name}, which is not deployed")
            else:
                resolved[index].append((name, found))
        for dependency in change.conflicts:
            if _dependency_id(conn, project, dependency, index, known):
                name = dependency.name_in(project.plan.project)
                problems.append(f"{where} conflicts with {name}, which is deployed")
    if problems:
        raise Failure("\n".join([*problems, "Nothing was touched."]))
    return resolved


def deploy(
    conn: Connection,
    project: Project,
    target: Target,
    who: Committer,
    listener: Listener,
    *,
    to: str | None = None,
    mode: Mode = "change",
    variables: Mapping[str, str] = MappingProxyType({}),
    verify: bool = True,
    dry_run: bool = False,
    log_only: bool = False,
    resume: bool = False,
    lock_timeout: float | None = None,
    wait: float = 60.0,
) -> Deployment:
    """Deploys the pending changes, in order.

    Args:
        conn: an autocommit connection.
        project: what to deploy.
        who: the committer to record.
        listener: hears the progress.
        to: the last change to deploy; None: the end of the plan.
        verify: whether each change is verified before it is committed.
        dry_run: run everything in one transaction, and roll it back.
        log_only: record the changes without running their scripts.
        lock_timeout: seconds that a statement may wait for a lock, whatever the scripts say, before
            its change is rolled back and tried again; None: as they say, else 5.
        wait: seconds to wait for another deployment.

    Returns:
        The changes that were deployed (in a dry run: would be), none when nothing is pending.

    Raises:
        ScriptError, Failure: nothing was begun, or a change failed and left nothing behind.
        Changed: the database does not follow the plan.
        Locked: another deployment runs.
    """
    plan = project.plan
    run = Run(conn, target, project, who, listener, lock_timeout)
    with reported(conn):
        end = find_change(plan, to) + 1 if to is not None else len(plan.changes)
        # Looked at before the lock too: what is plainly wrong need not wait for it.
        state.follow(project, state.read(conn, project))
        registry.lock(conn, wait, listener.say)
        deployed = state.read(conn, project)
        start = state.follow(project, deployed)
        if to is not None and end < start:
            more = start - end
            after = "is one change" if more == 1 else f"are {more} changes"
            raise Failure(
                f'"{plan.changes[end - 1].name}" is deployed, and so {after} after it. '
                "To go back, use revert. Nothing was touched."
            )
        indexes = range(start, end)
        if changed := state.edited(project, deployed):
            listener.say(
                "warning: the deploy scripts of these deployed changes were edited since, "
                f"which changes nothing in this database: {', '.join(changed)}"
            )
        scripts = {} if log_only else {i: _scripts(project, i, verify) for i in indexes}
        if indexes:
            project.unique_scripts()
        known = registry.exists(conn, project.registry)
        requires = _requirements(conn, project, indexes, known)
        if not known and not indexes:
            return Deployment(())
        # A dry run is one transaction; else the registry and each change are one.
        with atomic(conn, keep=False) if dry_run else nullcontext():
            with nullcontext() if dry_run else atomic(conn):
                _prepare(run, deployed, known)
            if indexes:
                listener.started("deploy", len(indexes))
            for done, index in enumerate(indexes):
                with _failing(run, index, done, dry_run):
                    _deploy_change(run, index, scripts.get(index), requires[index], dry_run)
        return Deployment(tuple(plan.changes[index] for index in indexes))


def _scripts(project: Project, index: int, verify: bool) -> tuple[Script, Script | None]:
    """Reads the deploy script of a change, and the verify script if it is wanted and there."""
    checked = verify and project.path(index, "verify").exists()
    return project.script(index, "deploy"), project.script(index, "verify") if checked else None


def _prepare(run: Run, deployed: Sequence[Deployed], known: bool) -> None:
    """Makes the registry, records the project and tags that were added since."""
    conn, registry_name, plan = run.conn, run.project.registry, run.project.plan
    if not known:
        run.listener.say(f"creating the registry (schema {registry_name})")
        # `create schema if not exists` tells what is no news to anybody.
        conn.execute("SET LOCAL client_min_messages = warning")
        registry.create(conn, registry_name, run.who)
        conn.execute("RESET client_min_messages")
    registry.register_project(conn, registry_name, plan, run.who)
    if deployed:
        change = plan.changes[len(deployed) - 1]
        new = [tag for tag in change.tags if tag.id not in deployed[-1].tags]
        registry.insert_tags(conn, registry_name, plan, change, new, run.who)


def _deploy_change(
    run: Run,
    index: int,
    scripts: tuple[Script, Script | None] | None,
    requires: Sequence[tuple[str, str]],
    dry_run: bool,
) -> None:
    """Deploys one change; in a dry run, in the transaction that is open."""
    conn, project = run.conn, run.project
    change = project.plan.changes[index]
    began = time.monotonic()
    run.listener.change("deploy", change.title)

    def work() -> None:
        limit(conn, run.lock_timeout)
        registry.lock_changes(conn, project.registry)
        if scripts:
            run_script(conn, scripts[0], run.lock_timeout)
            clean(conn, scripts[0], run.lock_timeout)
            if scripts[1]:
                run_verify(conn, scripts[1], run.lock_timeout)
            registry.keep_lock(conn)
        registry.insert_change(
            conn, project.registry, project.plan, change, project.hash(index), requires, run.who
        )

    if dry_run:
        work()
        fresh(conn)
    else:
        retried(run, work)
    if scripts is None:
        remark = "logged only"
    else:
        remark = "ok" if scripts[1] else "ok, not verified"
    run.listener.done(change.title, time.monotonic() - began, remark)


@contextmanager
def _failing(run: Run, index: int, done: int, dry_run: bool) -> Iterator[None]:
    """Records that a change failed to deploy, and says so in words."""
    conn, project = run.conn, run.project
    change = project.plan.changes[index]
    try:
        yield
    except BaseException as error:
        run.listener.failed(change.title)
        if not dry_run and not gone(conn):
            # The history is worth an attempt, but not a second error that hides the first.
            with suppress(psycopg.Error):
                registry.insert_event(conn, project.registry, "fail", project.plan, change, run.who)
        if not isinstance(error, ScriptFailed):
            raise
        if gone(conn):
            raise Failure(lost(error.error)) from None
        if dry_run:
            raise Failure(f"{explain_failure(error)}\nDry run: nothing was kept.") from None
        raise _failure(error, change, index, done) from None


def _failure(error: ScriptFailed, change: Change, index: int, done: int) -> Failure:
    """Returns the error that ends a deployment, with what it has left and what to do next."""
    stays = "no change was deployed before it"
    if index:
        stays = f"the {index} before it stay deployed" if index > 1 else "the one before it stays"
        stays += f" ({done} of them from this run)" if done else ""
    text = (
        f"{explain_failure(error)}\n"
        f"{change.name} left nothing behind; {stays}. "
        f"{remedy(error)}, then deploy again: it goes on from here."
    )
    return Locked(text) if isinstance(error.error, BUSY) else Failure(text)
