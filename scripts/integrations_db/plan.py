"""Reads and writes ``sqitch.plan``, and computes Sqitch's change and tag IDs.

Grammar and byte strings are those of Sqitch 1.3 to 1.6 (``App::Sqitch::Plan``, ``Plan::Change``,
``Plan::Tag``), so that a database deployed by one tool is understood by the other. Two things that
Sqitch accepts are refused, because they break it: a bare SHA-1 as a dependency (it recurses until
memory is exhausted), and brackets in names (banned since 1.5.0).
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from hashlib import sha1
from pathlib import Path
from typing import NoReturn
from urllib.parse import quote, unquote_to_bytes, urlsplit, urlunsplit

from integrations_db.errors import Failure, Usage

__all__ = [
    "Change",
    "Dependency",
    "Plan",
    "PlanError",
    "Tag",
    "find_change",
    "format_plan",
    "parse_plan",
    "read_plan",
    "resolve_dependency",
    "rework_tags",
    "script_hash",
]

_PUNCT = re.escape("-!\"#$%&'()*+,./:;<=>?@[\\]^`{|}~")  # [:punct:] without the underscore
_NAME = rf"(?![{_PUNCT}])(?:(?![~/=%^]\d+(?:$|[ \t]))[^ \t\n\r:@#\\\[\]])+(?<![{_PUNCT}])\b"
_NAME_RE = re.compile(_NAME)
_PRAGMA = re.compile(
    rf"[ \t]*%[ \t]*(?P<name>[^{_PUNCT}](?:[^ \t=]*?[^{_PUNCT} \t])?)"
    r"(?:[ \t]*=[ \t]*(?P<value>.+))?"
)
_LINE = re.compile(
    rf"""[ \t]*(?:@|[ \t]*[+-][ \t]*)?
    (?P<name>{_NAME})[ \t]*
    (?:\[(?P<deps>[^\]]+)\][ \t]*)?
    (?:(?P<at>\d{{4}}-\d\d-\d\dT\d\d:\d\d:\d\dZ)[ \t]*)?
    (?:(?P<planner>[^<]+)[ \t]+<(?P<email>[^>]+)>)?""",
    re.VERBOSE,
)
_DEPENDENCY = re.compile(
    rf"(?P<conflict>!?)(?:(?P<project>{_NAME}):)?"
    rf"(?:(?P<id>[0-9a-f]{{40}})|(?P<change>{_NAME})(?:@(?P<tag>{_NAME}))?|@(?P<only>{_NAME}))"
)
_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
_NOTE = re.compile(r"[ \t]*#[ \t]*(?P<note>.*)$")
_SYMBOLIC = re.compile(rf"(?<![{_PUNCT}])(?P<sign>[~^])(?:(?P<twice>(?P=sign))|(?P<n>\d+))?\Z")
_UNESCAPE = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
_ESCAPE = {value: key for key, value in _UNESCAPE.items()}
_TIME = "%Y-%m-%dT%H:%M:%SZ"


class PlanError(Failure):
    """The plan cannot be read; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Dependency:
    """A required or conflicting change: ``change``, ``change@tag`` or ``@tag`` of a project."""

    change: str | None
    tag: str | None = None
    project: str | None = None
    conflict: bool = False

    @property
    def key(self) -> str:
        """The reference without project: ``change``, ``change@tag`` or ``@tag``."""
        return (self.change or "") + (f"@{self.tag}" if self.tag else "")

    def name_in(self, project: str) -> str:
        """How Sqitch writes it in IDs and registry rows of ``project``."""
        outside = self.project is not None and self.project != project
        return (f"{self.project}:" if outside else "") + self.key

    def __str__(self) -> str:
        prefix = f"{self.project}:" if self.project else ""
        return f"{'!' if self.conflict else ''}{prefix}{self.key}"


@dataclass(frozen=True, slots=True)
class Tag:
    """A named point of the plan, on the change before it. ``name`` is without the ``@``."""

    name: str
    planned_at: datetime
    planner_name: str
    planner_email: str
    note: str = ""
    id: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)


@dataclass(frozen=True, slots=True)
class Change:
    """One change of the plan, with the tags that follow it."""

    name: str
    planned_at: datetime
    planner_name: str
    planner_email: str
    note: str = ""
    requires: tuple[Dependency, ...] = ()
    conflicts: tuple[Dependency, ...] = ()
    tags: tuple[Tag, ...] = ()
    id: str = field(default="", compare=False)
    line: int = field(default=0, compare=False)

    @property
    def title(self) -> str:
        """The name followed by its tags, as shown to people: ``users @v1``."""
        return " ".join([self.name, *(f"@{tag.name}" for tag in self.tags)])


@dataclass(frozen=True, slots=True)
class Plan:
    """A project: its changes in the order of their deployment.

    Attributes:
        project: name of the project.
        uri: as the plan says it (IDs use its canonical form), or None.
        changes: every change, with its tags.
        pragmas: the other pragmas (``%name=value``), kept as they are.
        file: where it was read, for messages.
    """

    project: str
    changes: tuple[Change, ...] = ()
    uri: str | None = None
    pragmas: tuple[tuple[str, str], ...] = ()
    file: str = field(default="sqitch.plan", compare=False)


def canonical_uri(uri: str) -> str:
    """Returns a URI as Perl's ``URI->canonical`` writes it, which Sqitch puts into its IDs."""
    if not re.match(r"[A-Za-z][A-Za-z0-9+.-]*:", uri):
        return uri
    # Unreserved escapes are decoded, others upper-cased, everything outside ASCII is escaped.
    uri = quote(uri, safe="%!#$&'()*+,/:;=?@[]~")
    unreserved = re.compile(rb"[A-Za-z0-9._~!*'()-]")

    def escape(match: re.Match[str]) -> str:
        byte = unquote_to_bytes(match.group())
        return byte.decode() if unreserved.fullmatch(byte) else match.group().upper()

    parts = urlsplit(re.sub(r"%[0-9A-Fa-f]{2}", escape, uri))
    host, path = parts.netloc, parts.path
    if host:
        user, at, place = host.rpartition("@")
        place = unquote_to_bytes(place).decode().lower()
        if not place.isascii():
            place = place.encode("idna").decode()
        default = {"http": ":80", "https": ":443", "ftp": ":21"}.get(parts.scheme)
        if default and place.endswith(default):
            place = place.removesuffix(default)
        host = user + at + place.removesuffix(":")
        if not path and parts.scheme in ("http", "https"):
            path = "/"
    return urlunsplit((parts.scheme, host, path, parts.query, parts.fragment))


def script_hash(path: Path) -> str | None:
    """Returns the SHA-1 (hex) of a deploy script's bytes, or None when the file is missing."""
    return sha1(path.read_bytes(), usedforsecurity=False).hexdigest() if path.is_file() else None


def _identifier(kind: str, lines: list[str], note: str) -> str:
    """Returns Sqitch's ID of the given lines; lengths count bytes, and a note of "0" is none."""
    if note and note != "0":  # Perl's truth
        lines = [*lines, "", note]
    info = "\n".join(lines).encode()
    return sha1(f"{kind} {len(info)}\0".encode() + info, usedforsecurity=False).hexdigest()


def _identified(plan: Plan) -> Plan:
    """Returns the plan with the IDs of all its changes and tags."""
    head = [f"project {plan.project}"]
    if plan.uri is not None:
        head.append(f"uri {canonical_uri(plan.uri)}")
    changes: list[Change] = []
    for change in plan.changes:
        lines = [*head, f"change {change.name}"]
        if changes:
            lines.append(f"parent {changes[-1].id}")
        lines += [
            f"planner {change.planner_name} <{change.planner_email}>",
            f"date {change.planned_at:{_TIME}}",
        ]
        for word, sign, deps in (
            ("requires", "+", change.requires),
            ("conflicts", "-", change.conflicts),
        ):
            if deps:
                lines += [word, *(f"  {sign} {dep.name_in(plan.project)}" for dep in deps)]
        change_id = _identifier("change", lines, change.note)
        tags = tuple(
            replace(
                tag,
                id=_identifier(
                    "tag",
                    [
                        *head,
                        f"tag @{tag.name}",
                        f"change {change_id}",
                        f"planner {tag.planner_name} <{tag.planner_email}>",
                        f"date {tag.planned_at:{_TIME}}",
                    ],
                    tag.note,
                ),
            )
            for tag in change.tags
        )
        changes.append(replace(change, id=change_id, tags=tags))
    return replace(plan, changes=tuple(changes))


def _note(text: str) -> str:
    """Returns a note as it was meant: its escapes read."""
    return re.sub(r"\\[\\nr]", lambda found: _UNESCAPE[found.group()], text.strip())


class _Parser:
    """Reads the lines of one plan; holds what has been seen so far."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        self.lines = enumerate((line.removesuffix("\r") for line in text.split("\n")), start=1)
        self.number = 0
        self.pragmas: dict[str, str] = {}
        self.changes: list[Change] = []
        self.tag_lines: dict[str, int] = {}
        self.change_lines: dict[str, list[int]] = {}  # every line that declares the name

    def fail(self, why: str) -> NoReturn:
        """Raises an error that names the line being read."""
        raise PlanError(f"{self.file}:{self.number}: {why}")

    def content(self) -> Iterator[tuple[str, str]]:
        """Yields (line without its note, note) of every line; comments come as ('#', '')."""
        for number, line in self.lines:
            self.number = number
            found = _NOTE.search(line)
            bare = line[: found.start()] if found else line.rstrip(" \t")
            if not bare and found:
                yield "#", ""
            else:
                yield bare, _note(found["note"]) if found else ""

    def plan(self) -> Plan:
        """Reads everything; the changes have no IDs yet."""
        content = self.content()
        for line, _ in content:
            if not line:
                break
            if line != "#":
                self.pragma(line)
        if "project" not in self.pragmas:
            raise PlanError(f"{self.file}: the %project pragma is missing")
        for line, note in content:
            if line and line != "#":
                self.entry(line, note)
        known = ("syntax-version", "project", "uri")
        return Plan(
            project=self.pragmas["project"],
            uri=self.pragmas.get("uri"),
            changes=tuple(self.changes),
            pragmas=tuple((k, v) for k, v in self.pragmas.items() if k not in known),
            file=self.file,
        )

    def pragma(self, line: str) -> None:
        """Takes a line of the head: ``%name=value``."""
        found = _PRAGMA.fullmatch(line)
        if not found:
            self.fail("not a pragma (%name=value); a blank line must precede the first change")
        name, value = found["name"], found["value"] or "1"
        if name == "project" and not _NAME_RE.fullmatch(value):
            self.fail(f'"{value}" cannot be the name of a project')
        self.pragmas[name] = value

    def entry(self, line: str, note: str) -> None:
        """Takes the line of a change or tag."""
        found = _LINE.fullmatch(line)
        if not found or (not found["at"] and _TIMESTAMP.search(line)):
            self.fail(
                "expected: NAME [DEPENDENCIES] YYYY-MM-DDTHH:MM:SSZ PLANNER <EMAIL> # NOTE "
                "(names hold no blank, @ : # \\ [ ], and do not begin or end with punctuation)"
            )
        name = found["name"]
        if not found["at"]:
            self.fail(f"{name}: the timestamp YYYY-MM-DDTHH:MM:SSZ is missing")
        if not found["planner"]:
            self.fail(f"{name}: the planner's name and <email> are missing")
        if name in ("ROOT", "HEAD"):
            self.fail(f'"{name}" is a reserved name')
        if re.match(r"[0-9a-f]{40}", name):
            self.fail(f'"{name}" could be confused with an ID')
        try:
            planned_at = datetime.strptime(found["at"], _TIME).replace(tzinfo=UTC)
        except ValueError:
            self.fail(f"{found['at']} is no date")
        by = (name, planned_at, found["planner"], found["email"], note)
        if line.lstrip(" \t").startswith("@"):
            self.tag(Tag(*by, line=self.number), found["deps"])
        else:
            self.change(Change(*by, line=self.number), found["deps"])

    def tag(self, tag: Tag, dependencies: str | None) -> None:
        """Adds a tag to the last change."""
        if "/" in tag.name:
            self.fail(f'tag "@{tag.name}": tags hold no slash')
        if not self.changes:
            self.fail(f'tag "@{tag.name}" has no change before it')
        if tag.name in self.tag_lines:
            self.fail(f'tag "@{tag.name}" was declared on line {self.tag_lines[tag.name]}')
        if dependencies:
            self.fail(f'tag "@{tag.name}": tags have no dependencies')
        self.tag_lines[tag.name] = self.number
        last = self.changes[-1]
        self.changes[-1] = replace(last, tags=(*last.tags, tag))

    def change(self, change: Change, dependencies: str | None) -> None:
        """Adds a change, with what its brackets say."""
        before = self.change_lines.setdefault(change.name, [])
        if before and before[-1] > max(self.tag_lines.values(), default=0):
            self.fail(
                f'change "{change.name}" was declared on line {before[-1]}; '
                "a change can be reworked only after a tag"
            )
        if dependencies:
            found = [self.dependency(text) for text in dependencies.split()]
            for index, dependency in enumerate(found):
                if dependency in found[:index]:
                    self.fail(f'the dependency "{dependency}" is given twice')
            change = replace(
                change,
                requires=tuple(d for d in found if not d.conflict),
                conflicts=tuple(d for d in found if d.conflict),
            )
        for dependency in change.requires:
            self.check(change, dependency)
        before.append(self.number)
        self.changes.append(change)

    def dependency(self, text: str) -> Dependency:
        """Reads one dependency of those in brackets."""
        found = _DEPENDENCY.fullmatch(text)
        if not found:
            self.fail(f'"{text}" is not a dependency')
        if found["id"]:
            self.fail(f'"{text}": name the required change; Sqitch cannot resolve bare IDs')
        return Dependency(
            change=found["change"],
            tag=found["tag"] or found["only"],
            project=found["project"],
            conflict=bool(found["conflict"]),
        )

    def check(self, change: Change, dependency: Dependency) -> None:
        """Demands that a required change of this project stands earlier in the plan."""
        if dependency.project not in (None, self.pragmas["project"]):
            return
        tag_line = self.tag_lines.get(dependency.tag) if dependency.tag else None
        known = dependency.tag is None or tag_line is not None
        if known and dependency.change:
            lines = self.change_lines.get(dependency.change, [])
            known = any(tag_line is None or line < tag_line for line in lines)
        if not known:
            self.fail(
                f'change "{change.name}" requires "{dependency.key}", '
                "which is not in the plan before it"
            )


def parse_plan(text: str, file: str = "sqitch.plan") -> Plan:
    """Parses the text of a plan.

    Args:
        text: the plan.
        file: its name in messages.

    Raises:
        PlanError: with file and line, when Sqitch would not understand it either.
    """
    return _identified(_Parser(text, file).plan())


def read_plan(path: Path) -> Plan:
    """Reads a plan file, which must be UTF-8.

    Raises:
        PlanError: when it is missing, not readable, or not a plan.
    """
    try:
        return parse_plan(path.read_bytes().decode(), str(path))
    except OSError as error:
        raise PlanError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise PlanError(f"{path}: is not UTF-8 (byte {error.start})") from None


def _entry(name: str, deps: Sequence[Dependency], by: Change | Tag) -> str:
    """Returns the line of a change or tag."""
    listed = f" [{' '.join(map(str, deps))}]" if deps else ""
    note = re.sub(r"[\\\n\r]", lambda found: _ESCAPE[found.group()], by.note)
    return f"{name}{listed} {by.planned_at:{_TIME}} {by.planner_name} <{by.planner_email}>" + (
        f" # {note}" if note else ""
    )


def format_plan(plan: Plan) -> str:
    """Returns the plan as text, in Sqitch's own layout; comments of a read plan are not kept."""
    pragmas = [("syntax-version", "1.0.0"), ("project", plan.project)]
    if plan.uri is not None:
        pragmas.append(("uri", plan.uri))
    lines = [f"%{name}={value}" for name, value in [*pragmas, *plan.pragmas]] + [""]
    for change in plan.changes:
        lines.append(_entry(change.name, [*change.requires, *change.conflicts], change))
        for tag in change.tags:
            lines.append(_entry(f"@{tag.name}", (), tag))
        if change.tags:
            lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def rework_tags(plan: Plan, index: int) -> tuple[str, ...]:
    """Returns the tags that may name the script of a change that is reworked later.

    Empty for a change that is not: its scripts are ``NAME.sql``. Otherwise the scripts are
    ``NAME@TAG.sql``, TAG being the first of the result whose deploy script exists, else the first.
    """
    name = plan.changes[index].name
    after = range(index + 1, len(plan.changes))
    again = next((i for i in after if plan.changes[i].name == name), None)
    if again is None:
        return ()
    return tuple(tag.name for i in range(again - 1, index - 1, -1) for tag in plan.changes[i].tags)


def find_change(plan: Plan, key: str) -> int:
    """Returns the position of the change that ``key`` names.

    Args:
        plan: the plan.
        key: ``name``, ``name@tag``, ``@tag``, ``HEAD``, ``ROOT`` or an ID of a change or tag, each
            followed by ``^``, ``^^``, ``^N`` (earlier) or ``~``, ``~~``, ``~N`` (later).

    Raises:
        Usage: the key, or its tag, is empty.
        Failure: nothing or more than one change has that name.
    """
    offset = 0
    base = key
    if found := _SYMBOLIC.search(key):
        offset = int(found["n"] or (2 if found["twice"] else 1))
        offset *= -1 if found["sign"] == "^" else 1
        base = key[: found.start()]
    index = _find(plan, base, key) + offset
    if not 0 <= index < len(plan.changes):
        raise Failure(f'"{key}" lies outside the plan {plan.file}')
    return index


def _find(plan: Plan, base: str, key: str) -> int:
    """Returns the position of ``base``, which is ``key`` without its ``^`` or ``~``."""
    if not base.strip() or base.endswith("@"):
        raise Usage(f'"{key}" names no change: expected a name, @tag, name@tag or ID')
    name, at, tag = base.rpartition("@")
    if not at:
        name, tag = base, ""
    if not plan.changes:
        raise Failure(f"the plan {plan.file} has no changes")
    last = len(plan.changes) - 1
    if tag == "ROOT" or base == "ROOT":
        limit: int | None = 0
    elif not tag or tag == "HEAD" or base == "HEAD":
        limit = last
    else:
        limit = next(
            (i for i, c in enumerate(plan.changes) if tag in [t.name for t in c.tags]), None
        )
    if limit is not None and (not name or base in ("HEAD", "ROOT")):
        return limit
    if limit is not None:
        matches = [
            i
            for i, change in enumerate(plan.changes[: limit + 1])
            if name in (change.name, change.id) or name in [t.id for t in change.tags]
        ]
        if matches and (tag or len(matches) == 1):
            return matches[-1]
        if matches:
            names = ", ".join(f"{name}@{t}" for i in matches[:-1] for t in rework_tags(plan, i)[:1])
            raise Failure(f'"{key}" is ambiguous: name one of {names}, {name}@HEAD')
    raise Failure(f'there is no change "{key}" in the plan {plan.file}')


def resolve_dependency(plan: Plan, dependency: Dependency) -> int | None:
    """Returns the position of a dependency of this project as Sqitch resolves it, or None.

    A bare name is its first instance; ``name@tag`` the last one at or before the tag.
    """
    if dependency.tag is None:
        return next((i for i, c in enumerate(plan.changes) if c.name == dependency.change), None)
    try:
        return find_change(plan, dependency.key)
    except Failure:
        return None
