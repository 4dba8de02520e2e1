"""The deploy engine: deploys, reverts and verifies changes on one connection.

A change is one transaction: its script, its verify script (in a savepoint that is rolled back) and
its registry rows commit together or not at all. Whatever ends this process or the server, a change
is either deployed and recorded, or neither.

The functions take an open connection (``database.connect``) and report through ``Listener``; they
know nothing of terminals. The deployment lock belongs to the connection: closing it frees the lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from typing import Protocol

import psycopg
from psycopg import sql

from integrations_db import registry
from integrations_db.config import Committer
from integrations_db.database import explain, fresh, gone, place
from integrations_db.errors import Changed, Failure, Locked
from integrations_db.lexer import Statement
from integrations_db.plan import Change, Dependency, Plan, find_change, resolve_dependency
from integrations_db.project import Project
from integrations_db.registry import Connection, Deployed
from integrations_db.script import Kind, Script, ScriptError, shown, words

__all__ = ["Listener", "Status", "Verification", "deploy", "revert", "status", "verify"]

_ATTEMPTS = 3
_LOCK_TIMEOUT = 5.0  # seconds, for scripts that say nothing of it
_BUSY = (psycopg.errors.LockNotAvailable, psycopg.errors.DeadlockDetected)


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
class Status:
    """A project's state in a database.

    Attributes:
        deployed: number of deployed changes, from the start of the plan.
        pending: the changes to come.
        latest: the last deployed change.
        changed: names of deployed changes whose deploy script is no longer what was deployed.
        stray: why the database does not follow the plan, or None.
    """

    deployed: int
    pending: tuple[Change, ...]
    latest: Deployed | None = None
    changed: tuple[str, ...] = ()
    stray: str | None = None


@dataclass(frozen=True, slots=True)
class Verification:
    """What the verify scripts said.

    Attributes:
        verified: number of changes whose script ran without an error.
        unchecked: number of changes that have no verify script.
        problems: one message for each script that failed.
    """

    verified: int
    unchecked: int
    problems: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Run:
    """What every step of a deployment or reversion needs.

    Attributes:
        conn: an autocommit connection, which holds the deployment lock.
        project: whose changes.
        who: the committer to record.
        listener: hears the progress.
        lock_timeout: seconds that a statement may wait for a lock; None: as the scripts say.
    """

    conn: Connection
    project: Project
    who: Committer
    listener: Listener
    lock_timeout: float | None


def _read(conn: Connection, project: Project) -> list[Deployed]:
    """Returns the deployed changes; none when there is no registry."""
    if not registry.exists(conn, project.registry):
        return []
    return registry.deployed_changes(conn, project.registry, project.plan.project)


def _stray(plan: Plan, deployed: Sequence[Deployed]) -> str | None:
    """Returns why the deployed changes are not the beginning of the plan, or None."""
    for index, there in enumerate(deployed):
        planned = plan.changes[index] if index < len(plan.changes) else None
        if planned is not None and planned.id == there.id:
            continue
        head = f'the database has "{there.name}" (ID {there.id}) as change {index + 1}, '
        if planned is None:
            return head + f"and {plan.file} ends before it: the plan here is older, or was cut"
        here = f'{plan.file}:{planned.line} has "{planned.name}" there'
        if planned.name == there.name:
            return head + (
                f"and {here} with another ID: this line of the plan, or one before it, was edited "
                "after the deployment (names, notes, dates, dependencies and order all count)"
            )
        return head + f"but {here}: lines of the plan were added, removed or moved"
    return None


def _follow(project: Project, deployed: Sequence[Deployed]) -> int:
    """Returns how many changes are deployed; refuses a database that left the plan."""
    if why := _stray(project.plan, deployed):
        raise Changed(
            f"{why}.\nNothing was touched. Use the plan this database was deployed with "
            "(check the branch), or restore the edited lines."
        )
    return len(deployed)


def status(conn: Connection, project: Project) -> Status:
    """Reads how far a database is; takes no lock and changes nothing.

    Raises:
        Failure: the registry cannot be read.
    """
    with _reported(conn):
        deployed = _read(conn, project)
    latest = deployed[-1] if deployed else None
    stray = _stray(project.plan, deployed)
    if stray:
        known = {there.id for there in deployed}
        pending = tuple(c for c in project.plan.changes if c.id not in known)
        return Status(len(deployed), pending, latest, stray=stray)
    return Status(
        deployed=len(deployed),
        pending=project.plan.changes[len(deployed) :],
        latest=latest,
        changed=_changed(project, deployed),
    )


def _changed(project: Project, deployed: Sequence[Deployed]) -> tuple[str, ...]:
    """Returns the names of deployed changes whose deploy script was edited since."""
    return tuple(
        there.name
        for index, there in enumerate(deployed)
        if there.script_hash is not None and project.hash(index) != there.script_hash
    )


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


def _limit(conn: Connection, lock_timeout: float | None) -> None:
    """Limits how long the statements of this transaction wait for locks; 0: for ever."""
    seconds = _LOCK_TIMEOUT if lock_timeout is None else lock_timeout
    time_span = f"{max(1, round(seconds * 1000))}ms" if seconds else "0"
    conn.execute(sql.SQL("SET LOCAL lock_timeout = {}").format(sql.Literal(time_span)))


class _ScriptFailed(Exception):
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


def _run(conn: Connection, script: Script, lock_timeout: float | None) -> None:
    """Runs the statements of a script in the current transaction, whose lock timeout is set.

    A lock timeout that was asked for is stronger than the script's own.
    """
    for statement in script.body:
        if lock_timeout is not None and _sets_lock_timeout(statement):
            continue
        try:
            conn.execute(statement.text.encode())
        except psycopg.Error as error:
            raise _ScriptFailed(script, place(script, statement, error), error) from None


def _clean(conn: Connection, script: Script, lock_timeout: float | None) -> None:
    """Ends what a script set for its transaction: deferred constraints, role, settings."""
    try:
        conn.execute("SET CONSTRAINTS ALL IMMEDIATE")
    except psycopg.Error as error:
        raise _ScriptFailed(script, shown(script.path), error) from None
    conn.execute("RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL")
    _limit(conn, lock_timeout)


def _run_verify(conn: Connection, script: Script, lock_timeout: float | None) -> None:
    """Runs a verify script and takes back whatever it did."""
    conn.execute("SAVEPOINT integrations_db_verify")
    _run(conn, script, lock_timeout)
    conn.execute(
        "ROLLBACK TO SAVEPOINT integrations_db_verify; RELEASE SAVEPOINT integrations_db_verify"
    )
    _limit(conn, lock_timeout)


@contextmanager
def _atomic(conn: Connection, keep: bool = True) -> Iterator[None]:
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


def _lost(error: psycopg.Error) -> str:
    """Returns what to say of a lost connection."""
    return (
        f"the connection to the server was lost: {explain(error)}\n"
        "The server rolls back what was not committed; no change is half done. "
        "Run status to see where it stands, then run the same command again."
    )


def _explain(failed: _ScriptFailed) -> str:
    """Returns where and why a script failed."""
    text = f"{failed.place}: {explain(failed.error)}"
    if isinstance(failed.error, psycopg.errors.InsufficientPrivilege):
        text += "\n  The role that deploys lacks this privilege."
    elif isinstance(failed.error, psycopg.errors.ReadOnlySqlTransaction):
        text += "\n  This server is read-only, perhaps a standby: deploy to the primary."
    elif isinstance(failed.error, _BUSY):
        text += f"\n  Tried {_ATTEMPTS} times: other sessions hold what this change needs."
    return text


def deploy(
    conn: Connection,
    project: Project,
    who: Committer,
    listener: Listener,
    *,
    to: str | None = None,
    verify: bool = True,
    dry_run: bool = False,
    log_only: bool = False,
    lock_timeout: float | None = None,
    wait: float = 60.0,
) -> list[Change]:
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
    run = _Run(conn, project, who, listener, lock_timeout)
    with _reported(conn):
        end = find_change(plan, to) + 1 if to is not None else len(plan.changes)
        # Looked at before the lock too: what is plainly wrong need not wait for it.
        _follow(project, _read(conn, project))
        registry.lock(conn, wait, listener.say)
        deployed = _read(conn, project)
        start = _follow(project, deployed)
        if to is not None and end < start:
            more = start - end
            after = "is one change" if more == 1 else f"are {more} changes"
            raise Failure(
                f'"{plan.changes[end - 1].name}" is deployed, and so {after} after it. '
                "To go back, use revert. Nothing was touched."
            )
        indexes = range(start, end)
        if changed := _changed(project, deployed):
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
            return []
        # A dry run is one transaction; else the registry and each change are one.
        with _atomic(conn, keep=False) if dry_run else nullcontext():
            with nullcontext() if dry_run else _atomic(conn):
                _prepare(run, deployed, known)
            if indexes:
                listener.started("deploy", len(indexes))
            for done, index in enumerate(indexes):
                with _failing(run, index, done, dry_run):
                    _deploy_change(run, index, scripts.get(index), requires[index], dry_run)
        return [plan.changes[index] for index in indexes]


def _script(project: Project, index: int, kind: Kind) -> Script:
    """Reads a script that one transaction can hold."""
    script = project.script(index, kind)
    if script.execution != "atomic":
        raise ScriptError(f"{script.why}\nIt cannot run in one transaction. Nothing was touched.")
    return script


def _scripts(project: Project, index: int, verify: bool) -> tuple[Script, Script | None]:
    """Reads the deploy script of a change, and the verify script if it is wanted and there."""
    checked = verify and project.path(index, "verify").exists()
    return _script(project, index, "deploy"), _script(project, index, "verify") if checked else None


@contextmanager
def _reported(conn: Connection) -> Iterator[None]:
    """Turns errors of our own statements into sentences; those of scripts have theirs already."""
    try:
        yield
    except psycopg.Error as error:
        raise Failure(_lost(error) if gone(conn) else _own_error(error)) from None


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


def _prepare(run: _Run, deployed: Sequence[Deployed], known: bool) -> None:
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
    run: _Run,
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
        _limit(conn, run.lock_timeout)
        registry.lock_changes(conn, project.registry)
        if scripts:
            _run(conn, scripts[0], run.lock_timeout)
            _clean(conn, scripts[0], run.lock_timeout)
            if scripts[1]:
                _run_verify(conn, scripts[1], run.lock_timeout)
            registry.keep_lock(conn)
        registry.insert_change(
            conn, project.registry, project.plan, change, project.hash(index), requires, run.who
        )

    if dry_run:
        work()
        fresh(conn)
    else:
        _retried(run, work)
    if scripts is None:
        remark = "logged only"
    else:
        remark = "ok" if scripts[1] else "ok, not verified"
    run.listener.done(change.title, time.monotonic() - began, remark)


@contextmanager
def _failing(run: _Run, index: int, done: int, dry_run: bool) -> Iterator[None]:
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
        if not isinstance(error, _ScriptFailed):
            raise
        if gone(conn):
            raise Failure(_lost(error.error)) from None
        if dry_run:
            raise Failure(f"{_explain(error)}\nDry run: nothing was kept.") from None
        raise _failure(error, change, index, done) from None


def _remedy(failed: _ScriptFailed) -> str:
    """Returns what to do before the next attempt."""
    if isinstance(failed.error, psycopg.errors.InsufficientPrivilege):
        return "Get the privilege"
    if isinstance(failed.error, psycopg.errors.ReadOnlySqlTransaction):
        return "Choose another server"
    if isinstance(failed.error, _BUSY):
        return "Wait for the other sessions"
    return f"Correct {shown(failed.script.path)}"


def _failure(error: _ScriptFailed, change: Change, index: int, done: int) -> Failure:
    """Returns the error that ends a deployment, with what it has left and what to do next."""
    stays = "no change was deployed before it"
    if index:
        stays = f"the {index} before it stay deployed" if index > 1 else "the one before it stays"
        stays += f" ({done} of them from this run)" if done else ""
    text = (
        f"{_explain(error)}\n"
        f"{change.name} left nothing behind; {stays}. "
        f"{_remedy(error)}, then deploy again: it goes on from here."
    )
    return Locked(text) if isinstance(error.error, _BUSY) else Failure(text)


def _retried(run: _Run, work: Callable[[], None]) -> None:
    """Runs a transaction; again, when others held what it needs (lock timeout, deadlock)."""
    for attempt in range(1, _ATTEMPTS + 1):
        try:
            with _atomic(run.conn):
                work()
            return
        except (_ScriptFailed, psycopg.Error) as error:
            cause = error.error if isinstance(error, _ScriptFailed) else error
            if not isinstance(cause, _BUSY) or attempt == _ATTEMPTS:
                raise
            run.listener.say(f"{cause.diag.message_primary}; rolled back, trying again")
            time.sleep(attempt)


def revert(
    conn: Connection,
    project: Project,
    who: Committer,
    listener: Listener,
    confirm: Callable[[list[Change]], bool],
    *,
    to: str | None,
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
    run = _Run(conn, project, who, listener, lock_timeout)
    with _reported(conn):
        deployed = _read(conn, project)
        count = _follow(project, deployed)
        keep = 0
        if to is not None:
            keep = _deployed_index(plan, to, count) + 1
        indexes = range(count - 1, keep - 1, -1)
        changes = [plan.changes[index] for index in indexes]
        if not changes:
            return []
        scripts = {index: _script(project, index, "revert") for index in indexes}
        blocked = registry.requiring(conn, project.registry, [c.id for c in changes])
        if blocked:
            lines = [f"{required} is required by {name}" for required, name in blocked]
            raise Failure("\n".join([*lines, "Nothing was touched; revert those first."]))
        if not confirm(changes):
            raise Failure("Nothing was reverted.")
        registry.lock(conn, wait, listener.say)
        if [there.id for there in _read(conn, project)] != [there.id for there in deployed]:
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


def _revert_change(run: _Run, index: int, script: Script) -> None:
    """Reverts one change; if that fails, says what is left and what to do."""
    conn, project = run.conn, run.project
    change = project.plan.changes[index]
    began = time.monotonic()
    run.listener.change("revert", change.title)

    def work() -> None:
        _limit(conn, run.lock_timeout)
        registry.lock_changes(conn, project.registry)
        _run(conn, script, run.lock_timeout)
        _clean(conn, script, run.lock_timeout)
        registry.keep_lock(conn)
        registry.delete_change(conn, project.registry, project.plan, change, run.who)

    try:
        _retried(run, work)
    except BaseException as error:
        run.listener.failed(change.title)
        if not isinstance(error, _ScriptFailed):
            raise
        if gone(conn):
            raise Failure(_lost(error.error)) from None
        kind = Locked if isinstance(error.error, _BUSY) else Failure
        raise kind(
            f"{_explain(error)}\n{change.name} is still deployed, whole, and so is all before it. "
            f"{_remedy(error)}, then revert again."
        ) from None
    run.listener.done(change.title, time.monotonic() - began)


def verify(
    conn: Connection, project: Project, listener: Listener, *, lock_timeout: float | None = None
) -> Verification:
    """Runs the verify scripts of all deployed changes, each in a transaction that is rolled back.

    Args:
        conn: an autocommit connection.
        project: whose changes.
        listener: hears the progress.
        lock_timeout: as for ``deploy``.

    Raises:
        Changed: the database does not follow the plan.
        Failure: a script cannot be run.
    """
    with _reported(conn):
        deployed = _follow(project, _read(conn, project))
        last = {change.name: index for index, change in enumerate(project.plan.changes)}
        # A reworked change is verified by its last version, if that one is deployed.
        indexes = [
            index for index in range(deployed) if index == last[project.plan.changes[index].name]
        ]
        scripts = {
            index: _script(project, index, "verify")
            for index in indexes
            if project.path(index, "verify").exists()
        }
        listener.started("verify", len(indexes))
        problems: list[str] = []
        for index in indexes:
            change = project.plan.changes[index]
            began = time.monotonic()
            listener.change("verify", change.title)
            if index not in scripts:
                listener.done(change.title, 0, "has no verify script")
                continue
            try:
                with _atomic(conn, keep=False):
                    _limit(conn, lock_timeout)
                    _run(conn, scripts[index], lock_timeout)
            except _ScriptFailed as failed:
                if gone(conn):
                    raise Failure(_lost(failed.error)) from None
                listener.failed(change.title)
                problems.append(_explain(failed))
            else:
                listener.done(change.title, time.monotonic() - began)
        return Verification(
            len(scripts) - len(problems), len(indexes) - len(scripts), tuple(problems)
        )
