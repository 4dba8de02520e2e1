"""Adds changes and tags to the text of a plan, as Sqitch's add, rework and tag do; writes no file.

Every function takes the text of a plan and returns another one, which is byte for byte what Sqitch
writes at the same time for the same planner. What it refuses is refused, and also what it would
write and could not read again.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta

from integrations_db.config import Committer
from integrations_db.errors import Failure, Usage
from integrations_db.plan import (
    Change,
    Dependency,
    Plan,
    PlanError,
    Tag,
    find_change,
    format_entry,
    is_name,
    lines_of,
    parse_dependency,
    parse_plan,
    perhaps_meant,
    rewritten,
)

__all__ = ["Draft", "add", "rework", "tag"]

_RULES = (
    "names hold no blank, @ : # \\ [ ], do not begin or end with punctuation, nor end with digits "
    "after one of ~ / = % ^"
)


@dataclass(frozen=True, slots=True)
class Draft:
    """A plan with one line more.

    Attributes:
        text: of the new plan.
        plan: the same, read.
        entry: what was added, at its place in ``plan``.
    """

    text: str
    plan: Plan
    entry: Change | Tag


def add(
    text: str,
    file: str,
    name: str,
    who: Committer,
    note: str,
    requires: Sequence[str] = (),
    conflicts: Sequence[str] = (),
    at: datetime | None = None,
) -> Draft:
    """Adds a change at the end.

    Args:
        text: the plan.
        file: its name in messages.
        name: of the change.
        who: plans it.
        note: may have several lines.
        requires: ``[project:]change[@tag]`` or ``@tag``, each.
        conflicts: likewise.
        at: when; now, by default.

    Raises:
        Usage: the name, or a dependency, cannot be one.
        Failure: the change is there already, or requires one that is not.
        PlanError: the plan cannot be read.
    """
    plan = parse_plan(text, file)
    _check_name(name)
    if name in plan.positions:
        line = plan.changes[plan.positions[name][-1]].line
        raise Failure(
            f'{file}:{line}: change "{name}" is in the plan already; '
            f"to change what it does, rework it: integrations-db rework {name}"
        )
    by = (at or _now(plan), who.name, who.email, note)
    needed = _dependencies(plan, requires)
    change = Change(name, *by, needed, _dependencies(plan, conflicts, True))
    _check_requirements(plan, change)
    lines = rewritten(text, plan.project)
    # Else the first change, too, would count as a pragma; Sqitch writes such a plan.
    pragmas_only = not plan.changes and lines[-1:] and lines[-1].lstrip().startswith("%")
    if pragmas_only or (plan.changes and plan.changes[-1].tags):
        lines.append("")
    return _drafted([*lines, format_entry(change)], file, change)


def rework(
    text: str,
    file: str,
    name: str,
    who: Committer,
    note: str,
    requires: Sequence[str] = (),
    conflicts: Sequence[str] = (),
    at: datetime | None = None,
) -> tuple[Draft, str]:
    """Adds a change again, which requires its former self as of the last tag.

    Args:
        text, file, who, note, requires, conflicts, at: as for ``add``.
        name: of a change that a tag follows.

    Returns:
        The new plan, and the name of the tag, which the former scripts get into their names.

    Raises:
        Usage: a dependency cannot be one.
        Failure: there is no such change, no tag after it, or it requires one that is not there.
        PlanError: the plan cannot be read.
    """
    plan = parse_plan(text, file)
    if not is_name(name) or name not in plan.positions:
        perhaps = perhaps_meant(plan, name) or f": integrations-db add {name}"
        raise Failure(f'{file}: there is no change "{name}" to rework{perhaps}')
    index = plan.positions[name][-1]
    tagged = [number for number, change in enumerate(plan.changes) if change.tags]
    if not tagged or tagged[-1] < index:
        raise Failure(
            f'{file}:{plan.changes[index].line}: change "{name}" has no tag after it, so nothing '
            "tells its former scripts from the new ones. If it is not released, edit its scripts; "
            "else tag the plan first: integrations-db tag TAG -n NOTE"
        )
    last = plan.changes[tagged[-1]].tags[0].name
    by = (at or _now(plan), who.name, who.email, note)
    needed = (Dependency(name, last), *_dependencies(plan, requires))
    change = Change(name, *by, needed, _dependencies(plan, conflicts, True))
    _check_requirements(plan, change)
    return _drafted([*rewritten(text, plan.project), format_entry(change)], file, change), last


def tag(
    text: str,
    file: str,
    name: str,
    who: Committer,
    note: str,
    change: str | None = None,
    at: datetime | None = None,
) -> Draft:
    """Adds a tag to a change.

    Args:
        text, file, who, note, at: as for ``add``.
        name: of the tag, with or without its ``@``.
        change: what ``find_change`` finds; by default the last one.

    Raises:
        Usage: the name cannot be one.
        Failure: the tag is there already, there is no change, or not this one.
        PlanError: the plan cannot be read.
    """
    plan = parse_plan(text, file)
    name = name.removeprefix("@")
    if not is_name(name, tag=True):
        raise Usage(f'"{name}" cannot be the name of a tag: {_RULES}; tags hold no slash either')
    if f"@{name}" in plan.positions:
        line = next(it.line for each in plan.changes for it in each.tags if it.name == name)
        raise Failure(f'{file}:{line}: tag "@{name}" is in the plan already')
    if not plan.changes:
        raise Failure(f"{file}: the plan has no change that a tag could follow")
    tagged = plan.changes[find_change(plan, change) if change else -1]
    entry = Tag(name, at or _now(plan), who.name, who.email, note)
    lines = rewritten(text, plan.project)
    # Where Sqitch puts it: so many lines below the change, whatever these are.
    place = tagged.line + len(tagged.tags) + len(lines) - len(lines_of(text))
    lines.insert(place, format_entry(entry))
    return _drafted(lines, file, entry)


def _check_name(name: str) -> None:
    """Demands that a change may have this name, and that its scripts stay in their folders."""
    if not is_name(name):
        raise Usage(f'"{name}" cannot be the name of a change: {_RULES}')
    if any(part in ("", ".", "..") for part in name.split("/")):
        raise Usage(
            f'"{name}" cannot be the name of a change: its scripts would not be in a folder'
        )


def _dependencies(
    plan: Plan, given: Sequence[str], conflict: bool = False
) -> tuple[Dependency, ...]:
    """Reads dependencies; what is given twice counts once."""
    found = []
    for text in dict.fromkeys(given):
        dependency = parse_dependency(f"!{text}" if conflict else text)
        if dependency is None or (dependency.conflict and not conflict):
            raise Usage(
                f'"{text}" is not a dependency: expected CHANGE, CHANGE@TAG, @TAG or PROJECT:CHANGE'
            )
        if dependency.project == plan.project:
            dependency = replace(dependency, project=None)
        found.append(dependency)
    return tuple(dict.fromkeys(found))


def _check_requirements(plan: Plan, change: Change) -> None:
    """Demands that required changes of this project are in the plan."""
    unknown = [
        dependency.key
        for dependency in change.requires
        if dependency.project in (None, plan.project) and not _known(plan, dependency)
    ]
    if unknown:
        names = ", ".join(f'"{key}"' for key in unknown)
        perhaps = perhaps_meant(plan, unknown[0]) if len(unknown) == 1 else ""
        raise Failure(
            f'"{change.name}" cannot require {names}: not in the plan {plan.file}{perhaps}'
        )


def _known(plan: Plan, dependency: Dependency) -> bool:
    """Tells whether a plan has what a dependency names."""
    if not dependency.change or not dependency.tag:
        return dependency.key in plan.positions
    tagged = plan.positions.get(f"@{dependency.tag}", [-1])[0]
    return any(index <= tagged for index in plan.positions.get(dependency.change, ()))


def _now(plan: Plan) -> datetime:
    """Returns the time, later than that of the last line, which may be of this very second."""
    now = datetime.now(UTC).replace(microsecond=0)
    times = [change.planned_at for change in plan.changes[-1:]]
    times += [tag.planned_at for change in plan.changes[-1:] for tag in change.tags]
    last = max(times, default=now - timedelta(1))
    return last + timedelta(seconds=1) if now <= last < now + timedelta(minutes=1) else now


def _drafted(lines: Sequence[str], file: str, meant: Change | Tag) -> Draft:
    """Reads the new plan back, so that no line goes into it that says something else."""
    text = "\n".join(lines) + "\n"
    try:
        plan = parse_plan(text, file)
    except PlanError as error:
        why = error.why
    else:
        entries = [it for change in plan.changes for it in (change, *change.tags)]
        for entry in reversed(entries):
            if type(entry) is type(meant) and _said(entry) == _said(meant):
                return Draft(text, plan, entry)
        why = "it would say something else"
    raise Failure(
        f"{file}: the new line could not be read again, nothing was written: {why}: "
        f"{format_entry(meant)}"
    )


def _said(entry: Change | Tag) -> tuple[object, ...]:
    """Returns what the line of an entry says."""
    by = (entry.name, entry.planned_at, entry.planner_name, entry.planner_email, entry.note)
    return (*by, entry.requires, entry.conflicts) if isinstance(entry, Change) else by
