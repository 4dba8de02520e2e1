"""What the commands print: the JSON of each, whose keys ``docs/deployer.md`` lists, and texts."""

from __future__ import annotations

from collections.abc import Iterator
from difflib import unified_diff
from typing import TYPE_CHECKING

from integrations_db.script import Kind, ScriptError, shown

if TYPE_CHECKING:
    from datetime import datetime

    from integrations_db.catalogue import Difference
    from integrations_db.check import Finding
    from integrations_db.drift import Drift
    from integrations_db.history import Event
    from integrations_db.marker import Unfinished
    from integrations_db.plan import Change, Tag
    from integrations_db.project import Project
    from integrations_db.status import Status
    from integrations_db.verify import Verification

__all__ = [
    "change_json",
    "counted",
    "drift_annotation",
    "drift_json",
    "drift_text",
    "event_json",
    "event_text",
    "finding_json",
    "plan_json",
    "plan_text",
    "status_json",
    "status_text",
    "tag_json",
    "unfinished_text",
    "verification_json",
]

_KINDS: tuple[Kind, ...] = ("deploy", "revert", "verify")

Json = dict[str, object]


def counted(count: int, noun: str = "change") -> str:
    """Returns a number of things in words: ``1 change``, ``2 changes``."""
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _time(at: datetime) -> str:
    """Returns a time as a person reads it, in the time zone of the session."""
    return f"{at:%Y-%m-%d %H:%M:%S %Z}"


def change_json(change: Change) -> Json:
    """Returns a change of the plan."""
    return {
        "change": change.name,
        "id": change.id,
        "requires": [str(dependency) for dependency in change.requires],
        "conflicts": [dependency.key for dependency in change.conflicts],
        "tags": [tag_json(tag) for tag in change.tags],
        "planned_at": change.planned_at.isoformat(),
        "planner": f"{change.planner_name} <{change.planner_email}>",
        "note": change.note,
    }


def tag_json(tag: Tag) -> Json:
    """Returns a tag of the plan."""
    return {"tag": f"@{tag.name}", "id": tag.id}


def _script_json(project: Project, index: int, kind: Kind) -> Json | None:
    """Returns a script and how it runs; None when there is none."""
    path = project.path(index, kind)
    if not path.is_file():
        return None
    try:
        script = project.script(index, kind, project.variables(kind, {}))
    except ScriptError as error:
        return {"path": shown(path), "execution": "unreadable", "why": str(error)}
    return {"path": shown(path), "execution": script.execution, "why": script.why}


def plan_json(project: Project) -> Json:
    """Returns the whole plan, with the scripts of each change."""
    return {
        "project": project.plan.project,
        "uri": project.plan.uri,
        "changes": [
            {
                **change_json(change),
                "script_hash": project.hash(index),
                "scripts": {kind: _script_json(project, index, kind) for kind in _KINDS},
            }
            for index, change in enumerate(project.plan.changes)
        ],
    }


def plan_text(project: Project) -> Iterator[str]:
    """Yields a line for each change, and one for each of its scripts that is not atomic."""
    for index, change in enumerate(project.plan.changes):
        yield change.title + (f"  # {change.note}" if change.note else "")
        for kind in _KINDS:
            script = _script_json(project, index, kind)
            if script and script["execution"] != "atomic":
                yield f"    {kind}: {script['execution']}: {script['why']}"


def _unfinished_json(it: Unfinished) -> Json:
    return {
        "change": it.change,
        "id": it.change_id,
        "action": it.action,
        "script": it.script,
        "started_at": it.started_at.isoformat(),
        "started_by": it.started_by,
        "running": it.running,
        "outcome": it.outcome,
    }


def unfinished_text(it: Unfinished) -> str:
    """Returns how a script that was begun stands, and what may be done."""
    if it.running:
        return "it still runs"
    known = f"it {it.outcome}" if it.outcome else "its end is not known"
    return f"{known}; see {it.action} --resume and --log-only"


def status_json(project: Project, database: str, state: Status) -> Json:
    """Returns how far a database is."""
    latest = state.latest
    return {
        "project": project.plan.project,
        "database": database,
        "registry": project.registry,
        "planned": len(project.plan.changes),
        "deployed": state.deployed,
        "latest": latest
        and {
            "change": latest.name,
            "id": latest.id,
            "committed_at": latest.committed_at.isoformat(),
            "committer": latest.committer,
        },
        "tags": list(state.tags),
        "pending": [
            {**change_json(it.change), "execution": it.execution, "why": it.why}
            for it in state.pending
        ],
        "changed_scripts": list(state.changed),
        "unfinished": [_unfinished_json(it) for it in state.unfinished],
        "stray": state.stray,
    }


def status_text(project: Project, database: str, state: Status) -> Iterator[str]:
    """Yields the lines of ``status``."""
    yield f"Project:  {project.plan.project}"
    yield f"Database: {database}"
    yield f"Deployed: {state.deployed} of {len(project.plan.changes)}"
    if latest := state.latest:
        yield f"Latest:   {latest.name}, {_time(latest.committed_at)}, by {latest.committer}"
    if state.tags:
        yield f"Tag:      {state.tags[-1]}"
    yield "Pending:  " + (str(len(state.pending)) if state.pending else "none")
    for it in state.pending:
        yield f"  {it.change.title}" + ("" if it.why is None else f" ({it.execution}: {it.why})")
    if state.changed:
        yield "Edited or removed since their deployment (which changed nothing in the database):"
        yield from (f"  {name}" for name in state.changed)
    for begun in state.unfinished:
        yield (
            f"Unfinished: the {begun.action} of {begun.change}, begun {_time(begun.started_at)} "
            f"by {begun.started_by}: {unfinished_text(begun)}"
        )
    if state.stray:
        yield f"The database does not follow the plan: {state.stray}."


def verification_json(project: Project, database: str, result: Verification) -> Json:
    """Returns what was verified."""
    return {
        "project": project.plan.project,
        "database": database,
        "deployed": result.deployed,
        "verified": result.verified,
        "unchecked": list(result.unchecked),
        "reworked": result.reworked,
        "findings": [
            {"change": it.change, "id": it.change_id, "kind": it.kind, "message": it.message}
            for it in result.findings
        ],
        "pending": [change_json(change) for change in result.pending],
    }


def event_json(event: Event) -> Json:
    """Returns an event of the history."""
    return {
        "event": event.event,
        "project": event.project,
        "change": event.change,
        "id": event.change_id,
        "note": event.note,
        "requires": list(event.requires),
        "conflicts": list(event.conflicts),
        "tags": list(event.tags),
        "committed_at": event.committed_at.isoformat(),
        "committer": event.committer,
        "planned_at": event.planned_at.isoformat(),
        "planner": event.planner,
    }


def event_text(event: Event) -> Iterator[str]:
    """Yields the lines of an event."""
    title = " ".join([f"{event.project}:{event.change}", *event.tags])
    yield f"{_time(event.committed_at)}  {event.event:6}  {title}  by {event.committer}"
    yield from (f"    {line}" for line in event.note.splitlines())


def finding_json(finding: Finding) -> Json:
    """Returns a finding of ``check``."""
    return {
        "level": finding.level,
        "file": shown(finding.path) if finding.path else None,
        "line": finding.line,
        "message": finding.message,
    }


def drift_json(project: Project, database: str, result: Drift) -> Json:
    """Returns how a database differs from what its plan builds."""
    return {
        "project": project.plan.project,
        "database": database,
        "deployed": result.deployed,
        "pending": result.pending,
        "changed_scripts": list(result.edited),
        "built_on": result.built_on,
        "differences": [
            {
                "kind": it.kind,
                "name": it.name,
                "change": it.change,
                "property": it.property,
                "expected": it.expected,
                "found": it.found,
            }
            for it in result.differences
        ],
        "ignored": result.ignored,
        "partitions": list(result.partitions),
    }


_HOW = {"missing": "is missing", "added": "is not of the plan"}


def _drifted(it: Difference) -> str:
    """Returns a difference in a line."""
    if it.property is None:
        return f"{it.kind} {it.name} {_HOW[it.change]}"
    return f"{it.kind} {it.name}: {it.property}"


def drift_text(result: Drift) -> Iterator[str]:
    """Yields the lines of ``drift``."""
    for it in result.differences:
        yield _drifted(it)
        if it.property is None:
            continue
        expected, found = (it.expected or "").splitlines(), (it.found or "").splitlines()
        if len(expected) < 2 and len(found) < 2:
            yield f"    expected: {it.expected or 'none'}"
            yield f"    found:    {it.found or 'none'}"
            continue
        lines = unified_diff(expected, found, "expected", "found", n=1, lineterm="")
        yield from (f"    {line}" for line in lines)


def drift_annotation(it: Difference) -> str:
    """Returns a difference as a workflow command of GitHub Actions."""
    text = _drifted(it)
    if it.property is not None:
        text += f": expected {it.expected or 'none'}; found {it.found or 'none'}"
    for char, escape in (("%", "%25"), ("\r", "%0D"), ("\n", "%0A")):
        text = text.replace(char, escape)
    return f"::error title=Drift::{text}"
