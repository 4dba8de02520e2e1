"""Finds what is wrong with a project before anybody deploys it, and what was edited since.

``check_project`` reads files only; ``check_target`` compares them with a database. Neither runs a
script. Names of files are Sqitch's: a reworked change has ``NAME@TAG.sql``.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

from integrations_db.plan import Change, Plan, is_unknown, resolve_dependency
from integrations_db.project import Project
from integrations_db.script import Kind, ScriptError, shown

if TYPE_CHECKING:
    from integrations_db.registry import Connection

__all__ = [
    "Finding",
    "Level",
    "annotation",
    "check_project",
    "check_target",
    "located",
    "workflow_commands",
]

Level = Literal["error", "changed", "warning", "note"]

_KINDS: tuple[Kind, ...] = get_args(Kind)
_PLACE = re.compile(r"(?P<file>[^\n]+?):(?P<line>\d+)(?::\d+)?: (?P<why>.*)", re.DOTALL)
_NEXT_PLACE = re.compile(r"\n(?=\S[^\n]*?:\d+(?::\d+)?: )")
# Sqitch's templates write both: `-- Deploy PROJECT:CHANGE to pg`. One of them must be there, or a
# sentence such as `-- Deploy everything` would be taken for a name.
_TITLE = re.compile(
    r"--[ \t]*(?P<kind>Deploy|Revert|Verify)[ \t]+(?:(?P<project>[^\s:]+):)?(?P<change>\S+)"
    r"(?P<engine>[ \t]+(?:to|from|on)[ \t]+\w+)?[ \t]*"
)
_LISTED = re.compile(r"--[ \t]*(?P<word>requires|conflicts)[ \t]*:(?P<names>.*)", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that is not as it should be.

    Attributes:
        level: ``error``: a deployment or reversion would fail or do nothing; ``changed``: the
            database was built from something else; ``warning``: probably not meant; ``note``: worth
            knowing.
        message: what, in a sentence; without the place.
        path: the file, if it is about one.
        line: its 1-based line, or None.
    """

    level: Level
    message: str
    path: Path | None = None
    line: int | None = None

    def __str__(self) -> str:
        place = f"{shown(self.path)}:{f'{self.line}:' if self.line else ''} " if self.path else ""
        return f"{place}{self.level}: {self.message}"


def located(level: Level, text: str) -> Finding:
    """Returns a finding from a message that begins with ``file:line:``, or from any other."""
    found = _PLACE.fullmatch(text)
    if not found:
        return Finding(level, text)
    return Finding(level, found["why"], Path.cwd() / found["file"], int(found["line"]))


def annotation(finding: Finding) -> str:
    """Returns a finding as a workflow command of GitHub, which shows it beside the line."""
    word = {"error": "error", "changed": "error", "warning": "warning", "note": "notice"}
    parts = []
    if finding.path:
        path, base = finding.path.resolve(), os.environ.get("GITHUB_WORKSPACE") or Path.cwd()
        if path.is_relative_to(base):
            path = path.relative_to(base)
        parts.append(f"file={_escaped(str(path), ':,')}")
    if finding.line:
        parts.append(f"line={finding.line}")
    return f"::{word[finding.level]} {','.join(parts)}::{_escaped(finding.message)}"


def workflow_commands(message: str) -> Iterator[str]:
    """Yields a failure's message as workflow commands of GitHub, one for each file it names.

    Args:
        message: what was not done and why; a line that is about a file begins with ``file:line:``.
    """
    for part in _NEXT_PLACE.split(message):
        finding = located("error", part)
        there = finding.path is not None and finding.path.is_file()
        yield annotation(finding if there else Finding("error", part))


def _escaped(text: str, more: str = "") -> str:
    """Returns a text in which the given characters, ``%`` and line ends are percent-encoded."""
    return re.sub(f"[%\r\n{more}]", lambda found: f"%{ord(found.group()):02X}", text)


def check_project(project: Project) -> list[Finding]:
    """Checks the files of a project: scripts missing, unused, refused, at odds with the plan.

    Returns:
        The findings, in the order of the plan.
    """
    findings = [
        finding
        for index in range(len(project.plan.changes))
        for finding in _check_change(project, index)
    ]
    return [*findings, *_identical(project), *_unused(project)]


def _check_change(project: Project, index: int) -> Iterator[Finding]:
    """Checks one change and its scripts."""
    plan = project.plan
    change = plan.changes[index]
    for dependency in change.conflicts:
        if is_unknown(plan, dependency):
            why = f'"{change.name}" conflicts with "{dependency.key}", which is not in the plan'
            yield _planned(plan, change, why)
            continue
        if dependency.project not in (None, plan.project):
            continue
        found = resolve_dependency(plan, dependency)
        if found is not None and found < index:
            yield _planned(
                plan,
                change,
                f'"{change.name}" conflicts with "{dependency.key}", which line '
                f"{plan.changes[found].line} deploys before it: it can never be deployed",
            )
    for kind in _KINDS:
        path = project.path(index, kind)
        if not path.is_file():
            why = f'"{change.name}" has no {kind} script: {shown(path)} does not exist'
            yield _planned(plan, change, why, "warning" if kind == "verify" else "error")
            continue
        try:
            script = project.script(index, kind, project.variables(kind, {}))
        except ScriptError as error:
            yield located("error", str(error))
            continue
        if script.why is not None:
            noted = located("note", script.why)
            yield replace(noted, message=f"{script.execution}: {noted.message}")
        yield from _check_header(project, change, kind, path, script.source)


def _planned(plan: Plan, change: Change, message: str, level: Level = "error") -> Finding:
    """Returns a finding about the line of the plan that has a change."""
    return Finding(level, message, Path(plan.file), change.line)


def _check_header(
    project: Project, change: Change, kind: Kind, path: Path, source: str
) -> Iterator[Finding]:
    """Compares the comment at the head of a script with the plan; one that is absent is fine."""
    plan = project.plan
    listed: dict[str, list[tuple[int, str]]] = {"requires": [], "conflicts": []}
    for number, line in enumerate(source.splitlines(), start=1):
        if line.strip() and not line.startswith("--"):
            break
        title = _TITLE.fullmatch(line)
        if title and (title["project"] or title["engine"]):
            named = f"{title['project'] or plan.project}:{title['change'].partition('@')[0]}"
            meant = f"{plan.project}:{change.name}"
            if named != meant or title["kind"].lower() != kind:
                why = f"the header says {title['kind']} {named}, but this is the {kind} script of "
                yield Finding("warning", why + meant, path, number)
        elif found := _LISTED.fullmatch(line):
            names = re.split(r"[\s,\[\]]+", found["names"])
            listed[found["word"].lower()] += [(number, name) for name in names if name]
    for word, planned in (("requires", change.requires), ("conflicts", change.conflicts)):
        keys = {_qualified(plan, str(it)): it.name_in(plan.project) for it in planned}
        said = {_qualified(plan, name): number for number, name in listed[word]}
        for key in said.keys() - keys.keys():
            why = f"the header says {word}: {key}; the plan does not"
            yield Finding("warning", why, path, said[key])
        if said:  # a header may leave it all to the plan
            for key in keys.keys() - said.keys():
                why = f"the plan says {word}: {keys[key]}; the header does not"
                yield Finding("warning", why, path, max(said.values()))


def _qualified(plan: Plan, name: str) -> str:
    """Returns the name of a dependency with its project, which both sides may leave out."""
    bare = name.removeprefix("!")
    return bare if ":" in bare else f"{plan.project}:{bare}"


def _identical(project: Project) -> Iterator[Finding]:
    """Finds deploy scripts with the same bytes: the registry records each only once."""
    first: dict[str, int] = {}
    for index, change in enumerate(project.plan.changes):
        digest = project.hash(index)
        if digest is None:
            continue
        same = first.setdefault(digest, index)
        path, other = project.path(index, "deploy"), project.path(same, "deploy")
        if path != other:
            why = (
                f'the deploy script of "{change.name}" is byte for byte the same as '
                f"{shown(other)}, and the registry records each only once: add a comment to this"
            )
            yield Finding("error", why, path, 1)


def _unused(project: Project) -> Iterator[Finding]:
    """Finds scripts that belong to no change."""
    used: set[Path] = set()
    folders: set[tuple[Path, str]] = set()
    for index, change in enumerate(project.plan.changes):
        for kind in _KINDS:
            path = project.path(index, kind)
            used.add(path)
            folders.add((path.parents[change.name.count("/")], path.suffix))
    there = {
        path
        for folder, suffix in folders
        for path in folder.rglob(f"*{suffix}")
        if path.is_file() and not path.name.startswith(".")
    }
    for path in sorted(there - used):
        yield Finding("warning", "no change of the plan has this script", path, 1)


def check_target(conn: Connection, project: Project) -> list[Finding]:
    """Compares a project with what a database was built from; reads only.

    Returns:
        Findings about deployed scripts that were edited, a plan that is not followed, what pending
        changes need of other projects, and scripts that were begun and not finished.

    Raises:
        Failure: the registry cannot be read.
    """
    from integrations_db import marker, state
    from integrations_db.edited import difference
    from integrations_db.output import unfinished_text
    from integrations_db.transaction import reported

    plan = project.plan
    index_of = {change.id: index for index, change in enumerate(plan.changes)}
    findings: list[Finding] = []
    with reported(conn):
        deployed = state.read(conn, project, older=True)
        if why := state.stray(plan, deployed):
            findings.append(Finding("changed", why, Path(plan.file)))
        for there in deployed:
            index = index_of.get(there.id)
            if index is None or there.script_hash in (None, project.hash(index)):
                continue
            path = project.path(index, "deploy")
            if not path.is_file():
                continue  # check_project says so
            findings.append(
                Finding(
                    "changed",
                    f'this script of "{there.name}" is not the one that was deployed on '
                    f"{there.committed_at:%Y-%m-%d}{difference(project.root, path, there)}",
                    path,
                    1,
                )
            )
        known = {there.id for there in deployed}
        pending = [change for change in plan.changes if change.id not in known]
        findings += _others(conn, project, pending)
        findings += [
            Finding(
                "error",
                f'the {it.action} of "{it.change}" was begun on {it.started_at:%Y-%m-%d %H:%M %Z} '
                f"by {it.started_by}: {unfinished_text(it)}",
            )
            for it in marker.unfinished(conn, project.registry, plan.project)
            if not it.settled(known)
        ]
    return findings


def _others(conn: Connection, project: Project, pending: Sequence[Change]) -> Iterator[Finding]:
    """Checks what pending changes say about the changes of other projects."""
    from integrations_db import registry

    plan = project.plan
    known = registry.version(conn, project.registry) is not None
    for change in pending:
        for dependency in (*change.requires, *change.conflicts):
            if dependency.project in (None, plan.project):
                continue
            there = known and registry.change_id_for(
                conn, project.registry, dependency.project, dependency.change, dependency.tag
            )
            name = dependency.name_in(plan.project)
            if dependency.conflict and there:
                why = f'"{change.name}" conflicts with {name}, which is deployed'
            elif not dependency.conflict and not there:
                why = f'"{change.name}" requires {name}, which is not deployed'
            else:
                continue
            yield _planned(plan, change, why)
