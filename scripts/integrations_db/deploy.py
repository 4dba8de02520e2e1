"""Deploys the pending changes of a project.

A change whose scripts one transaction can hold is one transaction: its script, its verify script
(in a savepoint that is rolled back) and its registry rows commit together or not at all. Whatever
ends this process or the server, such a change is either deployed and recorded, or neither. With
``mode`` several of them are one transaction. A script that no transaction can hold runs apart, in a
session of its own and marked beforehand (``apart``).

The deployment lock belongs to the connection: closing it frees the lock.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Literal, NoReturn, TypeVar

import psycopg

from integrations_db import apart, marker, registry, state
from integrations_db.aftermath import look_again
from integrations_db.config import Committer, Target
from integrations_db.database import gone
from integrations_db.errors import Failure, Locked
from integrations_db.plan import (
    Change,
    Dependency,
    find_change,
    is_unknown,
    resolve_dependency,
)
from integrations_db.project import Project
from integrations_db.registry import Connection, Deployed
from integrations_db.retry import PAUSES, retried
from integrations_db.revert import take_back, undo
from integrations_db.script import Execution, Script, ScriptError, shown
from integrations_db.transaction import (
    BUSY,
    NOT_ATOMIC,
    Ending,
    Listener,
    Run,
    ScriptFailed,
    Unreadable,
    atomic,
    clean,
    end_at_once,
    end_change,
    explain_failure,
    limit,
    lost,
    open_change,
    opening,
    own_error,
    psql_variables,
    readable_at_once,
    remedy,
    reported,
    run_script,
    run_verify,
    run_verify_inside,
    settled,
    tell_ended,
    tell_failed,
    tell_finished,
)

__all__ = ["Deployment", "Mode", "deploy", "requirements"]

Found = TypeVar("Found")
Mode = Literal["all", "tag", "change"]
_DEPLOYED = "was deployed and recorded"


@dataclass(frozen=True, slots=True)
class Deployment:
    """What a deployment did.

    Attributes:
        changes: those that were deployed (in a dry run: would be), in order.
        executed: False for a dry run that could only be planned.
        executions: how the scripts of each ran (would run), by change ID.
    """

    changes: tuple[Change, ...]
    executed: bool = True
    executions: Mapping[str, Execution] = field(default_factory=dict)


@dataclass(slots=True)
class _Step:
    """One change to deploy.

    Attributes:
        index: its position in the plan.
        change: it.
        deploy: its script; None: it is only recorded.
        verify: its verify script, if it is to be run.
        script_hash: of the deploy script.
        requires: name and ID of every required change.
        last: whether the run ends with it.
        in_steps: whether what follows the deploy script is not to be tried in one message.
    """

    index: int
    change: Change
    deploy: Script | None
    verify: Script | None
    script_hash: str | None
    requires: Sequence[tuple[str, str]]
    last: bool
    in_steps: bool = False

    @property
    def obstacle(self) -> Script | None:
        """The script that no transaction can hold, if there is one."""
        for script in (self.deploy, self.verify):
            if script and script.execution != "atomic":
                return script
        return None

    @property
    def execution(self) -> Execution:
        """How the change runs."""
        return self.obstacle.execution if self.obstacle else "atomic"

    @property
    def remark(self) -> str:
        """What to say when it is done."""
        if self.deploy is None:
            return "logged only"
        checked = "ok" if self.verify else "ok, not verified"
        if self.execution == "psql":
            return f"{checked} (by psql)"
        return checked if self.execution == "atomic" else f"{checked} (not atomic)"

    def set_apart(self, failed: ScriptFailed) -> None:
        """Notes that no transaction can hold the script that the server refused to run in one."""
        why = f"{failed.place}: {failed.message}"
        if self.verify and failed.path == self.verify.path:
            self.verify = self.verify.apart(why)
        elif self.deploy:
            self.deploy = self.deploy.apart(why)


class _NotAtomic(Exception):
    """The server said that no transaction can hold the script of a step."""

    def __init__(self, step: _Step, failed: ScriptFailed) -> None:
        super().__init__(step.change.name)
        self.step = step
        self.failed = failed


def requirements(
    project: Project, indexes: range, elsewhere: Callable[[Dependency], Found | None]
) -> dict[int, list[tuple[str, str | Found]]]:
    """Resolves what the changes require; refuses missing and conflicting ones.

    As Sqitch does: also a conflict with what this project never has, which is a misspelt name.

    Args:
        project: whose changes.
        indexes: their positions in the plan, all that precede them being deployed.
        elsewhere: returns the ID of a change of another project, if it is deployed.

    Returns:
        For each of them name and ID of every required change.

    Raises:
        Failure: one is missing, or conflicts.
    """
    plan = project.plan

    def found(dependency: Dependency, index: int) -> str | Found | None:
        if dependency.project in (None, plan.project):
            there = resolve_dependency(plan, dependency)
            return plan.changes[there].id if there is not None and there < index else None
        return elsewhere(dependency)

    resolved: dict[int, list[tuple[str, str | Found]]] = {}
    problems: list[str] = []
    for index in indexes:
        change = plan.changes[index]
        where = f"{plan.file}:{change.line}: {change.name}"
        resolved[index] = []
        for dependency in change.requires:
            name = dependency.name_in(plan.project)
            required = found(dependency, index)
            if required is None:
                problems.append(f"{where} requires {name}, which is not deployed")
            else:
                resolved[index].append((name, required))
        for dependency in change.conflicts:
            name = dependency.name_in(plan.project)
            if is_unknown(plan, dependency):
                problems.append(f"{where} conflicts with {name}, which is not in the plan")
            elif found(dependency, index):
                problems.append(f"{where} conflicts with {name}, which is deployed")
    if problems:
        raise Failure("\n".join([*problems, "Nothing was touched."]))
    return resolved


def _requirements(
    conn: Connection, project: Project, indexes: range, known: bool
) -> dict[int, list[tuple[str, str]]]:
    """Resolves what the changes require in a database; ``known``: it has a registry."""

    def elsewhere(dependency: Dependency) -> str | None:
        if not known or dependency.project is None:
            return None
        return registry.change_id_for(
            conn, project.registry, dependency.project, dependency.change, dependency.tag
        )

    return requirements(project, indexes, elsewhere)


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
    inspect: Callable[[Connection], None] | None = None,
) -> Deployment:
    """Deploys the pending changes, in order.

    Args:
        conn: an autocommit connection.
        project: what to deploy.
        target: where the connection leads, for those that are opened beside it.
        who: the committer to record.
        listener: hears the progress.
        to: the last change to deploy; None: the end of the plan.
        mode: what a failure takes back: only the failed ``change``, all since the last ``tag``, or
            ``all`` of this run. One transaction does it where it can hold all the scripts;
            otherwise the revert scripts do.
        variables: of psql, for the scripts.
        verify: whether each change is verified before it is committed.
        dry_run: run everything in one transaction, and roll it back; where a script cannot run so,
            run nothing and say what would be done.
        log_only: record the changes without running their scripts.
        resume: run the script again that was begun outside a transaction and not recorded.
        lock_timeout: seconds that a statement may wait for a lock, whatever the scripts say, before
            its change is rolled back and tried again; None: as they say, else 5.
        wait: seconds to wait for another deployment.
        inspect: in a dry run that was executed: looks at the outcome before it is rolled back.

    Returns:
        What was deployed: nothing when no change is pending.

    Raises:
        ScriptError, Failure: nothing was begun, or a change failed; the message says what is left.
        Changed: the database does not follow the plan.
        Locked: another deployment runs, or others hold what a change needs.
    """
    plan = project.plan
    run = Run(conn, target, project, who, listener, lock_timeout, variables)
    with reported(conn):
        end = find_change(plan, to) + 1 if to is not None else len(plan.changes)
        # Looked at before the lock too: what is plainly wrong need not wait for it.
        state.follow(project, state.read(conn, project, older=True), target)
        registry.lock(conn, wait, listener.say)
        version = registry.version(conn, project.registry)
        deployed = state.read(conn, project, older=True) if version else []
        start = state.follow(project, deployed, target)
        if to is not None and end < start:
            more = start - end
            after = "is one change" if more == 1 else f"are {more} changes"
            raise Failure(
                f'"{plan.changes[end - 1].name}" is deployed, and so {after} after it. '
                "To go back, use revert. Nothing was touched."
            )
        stale = _unfinished(run, deployed, start, end, resume, log_only)
        if changed := state.edited(project, deployed):
            listener.say(
                "warning: the deploy scripts of these deployed changes were edited or removed "
                f"since, which changes nothing in this database: {', '.join(changed)}"
            )
        with _unread():
            steps = _steps(run, range(start, end), verify, log_only, version is not None)
        if not steps and not version:
            return Deployment(())
        done = Deployment(
            tuple(step.change for step in steps),
            executions={step.change.id: step.execution for step in steps},
        )
        if dry_run:
            return _dry_run(run, steps, deployed, version, done, inspect)
        _prepare_alone(run, deployed, version, stale)
        if steps:
            run.recorded_at = registry.recorded_at(conn, project.registry)
            listener.started("deploy", len(steps))
        units = list(_units(steps, mode))
        with _unread():
            _announce(run, units)
        with _kept(run):
            for number, unit in enumerate(units):
                _deploy_unit(run, unit, _following(units[number + 1 :]))
        return Deployment(
            done.changes, executions={step.change.id: step.execution for step in steps}
        )


@contextmanager
def _unread() -> Iterator[None]:
    """Says of a script that cannot be read, or is refused, what is left and what to do."""
    try:
        yield
    except ScriptError as error:
        raise ScriptError(
            f"{error}\nNo script was run. Correct or restore it, then deploy again."
        ) from None


@contextmanager
def _kept(run: Run) -> Iterator[None]:
    """Has the disk what was committed, also where the run ends before its last commit."""
    try:
        yield
    except BaseException:
        if not gone(run.conn):
            with suppress(psycopg.Error):
                run.conn.rollback()
                registry.flush(run.conn)
        raise


def _unfinished(
    run: Run, deployed: Sequence[Deployed], start: int, end: int, resume: bool, log_only: bool
) -> list[str]:
    """Looks for scripts that a former run has begun outside a transaction.

    Returns:
        The IDs of changes whose marks are out of date: another tool has recorded them since.

    Raises:
        Failure: there is one, and what to do with it was not said.
    """
    plan = run.project.plan
    known = {there.id for there in deployed}
    stale: list[str] = []
    for mark in marker.unfinished(run.conn, run.project.registry, plan.project):
        if mark.settled(known):
            stale.append(mark.change_id)
            continue
        pending = [change.id for change in plan.changes[start:end]]
        # Recording must not take the changes before it along; running again deploys them first.
        chosen = resume or (log_only and mark.change_id not in pending[1:])
        # What the plan does not have any more cannot run again, nor be recorded.
        chosen = chosen and mark.change_id in plan.positions
        if mark.running or not chosen or mark.action != "deploy":
            raise Failure(apart.unfinished(run, mark))
        run.marked.add(mark.change_id)
    return stale


def _steps(run: Run, indexes: range, verify: bool, log_only: bool, known: bool) -> list[_Step]:
    """Reads and checks everything that the changes need, before anything runs."""
    project = run.project
    if not indexes:
        return []
    project.unique_scripts()
    requires = _requirements(run.conn, project, indexes, known)
    variables = {
        kind: psql_variables(run.conn, project, kind, run.given) for kind in ("deploy", "verify")
    }
    steps = []
    for index in indexes:
        script = project.script(index, "deploy", variables["deploy"]) if not log_only else None
        if script is None and project.hash(index) is None:
            path = shown(project.path(index, "deploy"))
            raise ScriptError(f"{path}: is missing, so that not even its hash can be recorded")
        checked = script and verify and project.path(index, "verify").exists()
        check = project.script(index, "verify", variables["verify"]) if checked else None
        steps.append(
            _Step(
                index,
                project.plan.changes[index],
                script,
                check,
                project.hash(index),
                requires[index],
                last=index == indexes[-1],
            )
        )
    return steps


def _units(steps: Sequence[_Step], mode: Mode) -> Iterator[list[_Step]]:
    """Yields what is to be deployed as a whole: a failure in it takes all of it back."""
    unit: list[_Step] = []
    for step in steps:
        unit.append(step)
        if mode == "change" or (mode == "tag" and step.change.tags):
            yield unit
            unit = []
    if unit:
        yield unit


def _one_transaction(unit: Sequence[_Step]) -> bool:
    """Tells whether a transaction can hold a unit."""
    if any(step.obstacle for step in unit):
        return False
    # A transaction has one isolation level; a script that wants its own can share it with no other.
    return len(unit) == 1 or all(s.deploy is None or s.deploy.begin == "BEGIN" for s in unit)


def _following(units: Sequence[Sequence[_Step]]) -> _Step | None:
    """Returns the first change of the next unit, if its transaction can be opened ahead.

    Not one that its script begins in words of its own: the server could refuse the whole message.
    """
    if not units or not _one_transaction(units[0]) or _begin(units[0][0]) != "BEGIN":
        return None
    return units[0][0]


def _begin(step: _Step) -> str:
    """Returns how the transaction begins whose first change this is."""
    return step.deploy.begin if step.deploy else "BEGIN"


def _announce(run: Run, units: Sequence[Sequence[_Step]]) -> None:
    """Says before anything runs what no transaction can hold, and what a failure will take back.

    Raises:
        ScriptError: a revert script that may be needed cannot be read.
    """
    for unit in units:
        for step in unit:
            if step.obstacle and step.obstacle.why:
                run.listener.say(f"not in one transaction with its record: {step.obstacle.why}")
        if len(unit) == 1:
            continue
        names = f"{unit[0].change.name} to {unit[-1].change.name}"
        if _one_transaction(unit):
            run.listener.say(
                f"{names}: one transaction; if one of these {len(unit)} changes fails, none stays"
            )
            continue
        for step in unit:
            run.project.script(step.index, "revert")
        run.listener.say(
            f"{names}: change by change; if one fails, the revert scripts take back those of "
            f"these {len(unit)} that this run has deployed"
        )


def _dry_run(
    run: Run,
    steps: Sequence[_Step],
    deployed: Sequence[Deployed],
    version: str | None,
    done: Deployment,
    inspect: Callable[[Connection], None] | None,
) -> Deployment:
    """Runs everything in one transaction that is rolled back, if one can hold it."""
    say = run.listener.say
    planned = Deployment(done.changes, executed=False, executions=done.executions)
    obstacles = [step.obstacle.why for step in steps if step.obstacle]
    if obstacles or not _one_transaction(steps):
        for why in obstacles:
            say(f"cannot run in a transaction: {why}")
        say("so nothing was run: this is only the plan")
        return planned
    at = None
    try:
        with atomic(run.conn, keep=False):
            _prepare(run, deployed, version)
            run.recorded_at = registry.recorded_at(run.conn, run.project.registry)
            run.listener.started("deploy", len(steps))
            for at in steps:
                at.in_steps = True  # no attempt can be taken back without those before it
                _deploy_inside(run, at, begin=None, commit=False)
            if inspect:
                inspect(run.conn)
    except _NotAtomic as error:
        say(f"cannot run in a transaction: {error.failed.place}: {error.failed.message}")
        say("so what ran was rolled back, and the rest was not run: this is only the plan")
        return planned
    except ScriptFailed as failed:
        if at:
            tell_failed(run, at.change)
        if gone(run.conn):
            raise Failure(f"{lost(failed.error)}\nDry run: nothing was kept.") from None
        raise Failure(f"{explain_failure(failed)}\nDry run: nothing was kept.") from None
    return done


def _prepare(run: Run, deployed: Sequence[Deployed], version: str | None) -> None:
    """Makes or upgrades the registry, records the project and tags that were added since."""
    conn, name, plan = run.conn, run.project.registry, run.project.plan
    if version is None:
        run.listener.say(f"creating the registry (schema {name})")
        registry.create(conn, name, run.who)
    elif version != registry.VERSION:
        run.listener.say(
            f"upgrading the registry (schema {name}) from version {version} to {registry.VERSION}"
        )
        registry.upgrade(conn, name, version, run.who)
        if version == "0":
            hashes = [(c.id, run.project.hash(index)) for index, c in enumerate(plan.changes)]
            registry.update_hashes(conn, name, plan.project, hashes)
    registry.register_project(conn, name, plan, run.who)
    if deployed:
        change = plan.changes[len(deployed) - 1]
        new = [tag for tag in change.tags if tag.id not in deployed[-1].tags]
        registry.insert_tags(conn, name, plan, change, new, run.who)


def _prepare_alone(
    run: Run, deployed: Sequence[Deployed], version: str | None, stale: Sequence[str]
) -> None:
    """Prepares the registry in a transaction of its own, and takes marks out of date away.

    Raises:
        Locked: others hold the registry.
    """

    def work() -> None:
        with atomic(run.conn):
            limit(run.conn, run.lock_timeout)
            _prepare(run, deployed, version)
            for change_id in stale:
                marker.clear(run.conn, run.project.registry, run.project.plan.project, change_id)

    try:
        retried(run, work)
    except ScriptFailed as failed:
        raise Locked(
            f"{explain_failure(failed)}\nOther sessions hold the registry (schema "
            f"{run.project.registry}). No change was begun; wait for them, then deploy again."
        ) from None


def _deploy_unit(run: Run, unit: Sequence[_Step], following: _Step | None = None) -> None:
    """Deploys a unit: in one transaction if one can hold it, else change by change.

    Args:
        run: what is done.
        unit: the changes.
        following: the change whose transaction can be opened with the COMMIT of this one.

    Raises:
        Failure: it failed; the message says what is left.
    """
    if _one_transaction(unit):
        try:
            _deploy_together(run, unit, following)
            return
        except _NotAtomic as error:
            run.listener.say(
                f"{explain_failure(error.failed)}\nrolled back; no transaction can hold this "
                "script, so it runs again statement by statement"
            )
            error.step.set_apart(error.failed)
    finished: list[_Step] = []
    for step in unit:
        try:
            if step.obstacle:
                _deploy_apart(run, step)
            elif len(unit) > 1:
                _deploy_unit(run, [step])
            else:
                _deploy_together(run, unit)
        except Failure as failure:
            if not finished:
                raise
            told = undo(run, [done.index for done in finished])
            raise type(failure)(f"{failure}\n{told}") from None
        finished.append(step)


def _deploy_together(run: Run, unit: Sequence[_Step], following: _Step | None = None) -> None:
    """Deploys changes in one transaction; again, when others hold what they need.

    Raises:
        Failure: one failed, and none of them stays.
        _NotAtomic: no transaction can hold one of them; nothing of them stays.
    """
    at, began = unit[0], time.monotonic()

    def work() -> None:
        nonlocal at, began
        with settled(run.conn):
            for step in unit:
                at, began = step, time.monotonic()
                _deploy_inside(
                    run,
                    step,
                    begin=_begin(step) if step is unit[0] else None,
                    commit=step is unit[-1],
                    following=following if step is unit[-1] else None,
                )

    try:
        while True:
            with suppress(Unreadable):  # its change does not try that again
                retried(run, work)
                break
    except BaseException as error:
        _failed(run, at, unit, error)
    # Not before: an attempt that is rolled back brings the marks back.
    run.marked.difference_update(step.change.id for step in unit)
    tell_finished(run, at.change, _DEPLOYED, began, at.remark)


def _deploy_inside(
    run: Run, step: _Step, begin: str | None, commit: bool, following: _Step | None = None
) -> None:
    """Deploys one change in a transaction.

    Args:
        run: what is done.
        step: the change.
        begin: how to open the transaction; None: it is open.
        commit: whether to commit it.
        following: the change whose transaction is to be opened then.
    """
    conn, project, change = run.conn, run.project, step.change
    began = time.monotonic()
    run.listener.change("deploy", change.title)
    # Quoted for the session as it is now: a verify script may change its encoding.
    record = registry.deployment(
        conn,
        project.registry,
        project.plan,
        change,
        step.script_hash,
        step.requires,
        run.who,
        run.recorded_at,
    )
    open_change(run, step.deploy, begin)
    try:
        if step.deploy:
            run_script(conn, step.deploy, run.lock_timeout)
        ending = _ending(run, step, commit, following)
        if not _ended_at_once(run, step, record, ending):
            _end_in_steps(run, step, record, ending)
    except ScriptFailed as failed:
        if isinstance(failed.error, NOT_ATOMIC):
            raise _NotAtomic(step, failed) from None
        raise
    if not commit:  # after it, what cannot be told must not undo a thing
        run.listener.done(change.title, time.monotonic() - began, step.remark)


def _ending(run: Run, step: _Step, commit: bool, following: _Step | None) -> Ending:
    """Returns how the transaction of a change ends, whose deploy script has run."""
    return Ending(
        commit=commit,
        # A commit that does not wait for the disk may be lost when the server crashes at once: the
        # change with its record, and with all after it. The last one of the run waits, and so for
        # all of them; so does the record of a failure, and of a script that runs apart.
        durable=step.last,
        ahead=opening(run, following.deploy, _begin(following)) if following else (),
        recorded=lambda: _recorded(run, step.change),
    )


def _ended_at_once(run: Run, step: _Step, record: str, ending: Ending) -> bool:
    """Does all that follows a deploy script in one message, if one can hold it and it passes."""
    if step.in_steps or step.deploy is None or step.change.id in run.marked:
        return False
    if not readable_at_once(run, step.verify):
        return False
    try:
        return end_at_once(run, step.deploy, step.verify, record, ending)
    except Unreadable:
        step.in_steps = True
        raise


def _end_in_steps(run: Run, step: _Step, record: str, ending: Ending) -> None:
    """Does all that follows a deploy script so that the place of an error is known."""
    undone: tuple[str, ...] = ()
    if step.deploy:
        clean(run, step.deploy, step.verify)
    if step.verify:
        undone = (run_verify_inside(run, step.verify),)
    if step.change.id in run.marked:
        if undone:  # or it would take the clearing back, too
            run.conn.execute("; ".join(undone).encode())
            undone = ()
        marker.clear(run.conn, run.project.registry, run.project.plan.project, step.change.id)
    end_change(run, *undone, record, ending=ending)


def _deploy_apart(run: Run, step: _Step) -> None:
    """Deploys a change whose script, or verify script, no transaction can hold.

    Raises:
        Failure: it failed; the message says what is left and what to do.
    """
    change, script = step.change, step.deploy
    if script is None:
        raise TypeError("a change that is only recorded needs no session of its own")
    began = time.monotonic()
    run.listener.change("deploy", change.title)
    try:
        apart.run_apart(run, change, script, "deploy")
        if step.verify:
            _verify_apart(run, change, step.verify)
        record = registry.deployment(
            run.conn,
            run.project.registry,
            run.project.plan,
            change,
            step.script_hash,
            step.requires,
            run.who,
            run.recorded_at,
        )
        apart.record(run, change, "deploy", record)
    except BaseException as error:
        tell_failed(run, change)
        try:
            if isinstance(error, apart.Stopped):
                apart.stopped(run, change, "deploy", error)
            if isinstance(error, ScriptFailed):
                _not_verified(run, step, error)
            raise
        finally:
            _record_failure(run, change)
    tell_finished(run, change, _DEPLOYED, began, step.remark)


def _verify_apart(run: Run, change: Change, script: Script) -> None:
    """Verifies a change that has taken effect and is not recorded yet.

    Raises:
        ScriptFailed: it does not pass.
        Failure: psql, which it needs, is missing.
    """
    try:
        apart.leave(run, change, "ran to its end, but was not verified")
        run_verify(
            run.conn,
            run.target,
            run.project,
            script,
            run.listener,
            variables=run.given,
            lock_timeout=run.lock_timeout,
        )
    except ScriptFailed:
        raise
    except psycopg.Error as error:
        raise ScriptFailed(shown(script.path), script.path, error) from None
    except BaseException as error:
        told = (
            f"{change.name} took effect and was not verified.\n"
            f"{apart.choices(run.project, change.name, change.id, 'deploy')}"
        )
        if isinstance(error, Failure):
            raise Failure(f"{error}\n{told}") from None
        error.add_note(told)
        raise


def _not_verified(run: Run, step: _Step, failed: ScriptFailed) -> NoReturn:
    """Takes back, by its revert script, a change that is there but does not pass its verify script.

    Raises:
        Failure: always; the message says what is left.
    """
    change = step.change
    text = f"{explain_failure(failed)}\n{change.name} took effect and was not verified, "
    if gone(run.conn):
        raise Failure(
            f"{text}and the connection is lost. What the script did, stays.\n"
            f"{apart.choices(run.project, change.name, change.id, 'deploy')}"
        )
    try:
        take_back(run, step.index)
    except Failure as again:
        raise Failure(
            f"{text}and its revert script failed to take it back: {again}\n"
            f"{apart.choices(run.project, change.name, change.id, 'deploy')}"
        ) from None
    raise Failure(
        f"{text}so its revert script has taken it back. {remedy(failed)}, then deploy again: it "
        "goes on from here."
    )


def _record_failure(run: Run, change: Change) -> None:
    """Records in the history that a change failed to deploy."""
    if not gone(run.conn):
        # It is worth an attempt, but not a second error that hides the first.
        with suppress(psycopg.Error), run.conn.transaction():
            limit(run.conn, run.lock_timeout)
            registry.insert_event(
                run.conn, run.project.registry, "fail", run.project.plan, change, run.who
            )


def _failed(run: Run, step: _Step, unit: Sequence[_Step], error: BaseException) -> NoReturn:
    """Ends a deployment whose transaction failed: records it, says what is left and what to do."""
    if isinstance(error, _NotAtomic):
        raise error
    conn, last = run.conn, unit[-1].change
    cause = error.error if isinstance(error, ScriptFailed) else error
    if gone(conn) and isinstance(cause, psycopg.Error):
        done, told = look_again(
            run.target,
            run.project,
            last,
            "deploy",
            cause,
            first=unit[0].change,
            before=unit[0].index,
        )
        if done:
            tell_ended(run, last, unit[-1].remark)
        else:
            tell_failed(run, step.change)
        raise Failure(told) from None
    if not gone(conn) and not isinstance(cause, psycopg.Error) and _recorded(run, last):
        # Interrupted while the server answered the COMMIT, or the next change waited to begin.
        tell_ended(run, last, unit[-1].remark)
        error.add_note(f"{last.name} {_DEPLOYED}; nothing after it was begun.")
        raise error
    if gone(conn):
        tell_failed(run, step.change)
        raise error
    _record_failure(run, step.change)
    tell_failed(run, step.change)
    if isinstance(error, ScriptFailed):
        raise _failure(error, step, unit) from None
    if isinstance(error, psycopg.Error):
        raise Failure(f"{own_error(error)}\n{_stays(step, unit)}") from None
    raise error


def _recorded(run: Run, change: Change) -> bool:
    """Tells whether the registry has a change."""
    known = registry.deployed_changes(
        run.conn, run.project.registry, run.project.plan.project, hashes=False
    )
    return any(there.id == change.id for there in known)


def _stays(step: _Step, unit: Sequence[_Step]) -> str:
    """Returns what a failed transaction has left behind."""
    before = unit[0].index
    stays = "no change was deployed before it"
    if before:
        stays = f"the {before} before it stay deployed" if before > 1 else "the one before it stays"
    if len(unit) == 1:
        return f"{step.change.name} left nothing behind; {stays}."
    return (
        f"{unit[0].change.name} to {unit[-1].change.name} left nothing behind, being one "
        f"transaction; {stays.replace('before it', 'before them')}."
    )


def _failure(error: ScriptFailed, step: _Step, unit: Sequence[_Step]) -> Failure:
    """Returns the error that ends a deployment, with what it has left and what to do next."""
    text = f"{explain_failure(error)}\n"
    if isinstance(error.error, BUSY):
        text += f"  Tried {len(PAUSES) + 1} times: other sessions hold or change what it needs.\n"
    text += f"{_stays(step, unit)} {remedy(error)}, then deploy again: it goes on from here."
    return Locked(text) if isinstance(error.error, BUSY) else Failure(text)
