"""Reads and writes ``sqitch.plan``, and computes Sqitch's change and tag IDs.

Grammar and byte strings are those of Sqitch 1.3 to 1.6 (``App::Sqitch::Plan``, ``Plan::Change``,
``Plan::Tag``), so that a database deployed by one tool is understood by the other: what Sqitch
refuses is refused here, Perl's notions of blank, word and truth included. These are refused though
one of its versions accepts them:

- a bare SHA-1 as a dependency: Sqitch recurses until memory is exhausted;
- brackets in names: banned since 1.5.0, which reads ``a[b]`` as change a that requires b;
- a NUL character: no database takes it;
- the year 0, and 23:59:60 on the days that had a leap second: neither Python nor PostgreSQL has
  such a time.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cached_property
from hashlib import sha1
from itertools import pairwise
from pathlib import Path
from typing import NoReturn, cast
from urllib.parse import quote, unquote_to_bytes

from integrations_db.errors import Failure, Usage

__all__ = [
    "Change",
    "Dependency",
    "Plan",
    "PlanError",
    "Tag",
    "canonical_uri",
    "find_change",
    "format_entry",
    "format_plan",
    "is_name",
    "is_unknown",
    "lines_of",
    "note_of",
    "parse_dependency",
    "parse_plan",
    "perhaps_meant",
    "plan_text",
    "read_plan",
    "resolve_dependency",
    "rework_tags",
    "rewritten",
    "script_hash",
]

_PUNCT = re.escape("-!\"#$%&'()*+,./:;<=>?@[]^`{|}~")  # [:punct:] without underscore, backslash
_NAME = rf"(?![{_PUNCT}])(?:(?![~/=%^]\d+(?:\Z|[ \t]))[^ \t:@#\\\[\]])+(?<![{_PUNCT}])\b"
_NAME_RE = re.compile(_NAME)
_PRAGMA = re.compile(
    rf"[ \t]*%[ \t]*(?P<name>[^{_PUNCT}](?:[^ \t=]*?[^{_PUNCT} \t])?)"
    r"(?:[ \t]*=[ \t]*(?P<value>.+))?",
    re.DOTALL,
)
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9]{2}:[0-9]{2}:[0-9]{2}Z")
_LINE = re.compile(
    rf"""[ \t]*(?:@|[ \t]*[+-][ \t]*)?
    (?P<name>{_NAME})[ \t]*
    (?:\[(?P<deps>[^\]]+)\][ \t]*)?
    (?:(?P<at>{_TIME.pattern})[ \t]*)?
    (?:(?P<planner>[^<]+)[ \t]+<(?P<email>[^>]+)>)?""",
    re.VERBOSE,
)
_DEPENDENCY = re.compile(
    rf"(?P<conflict>!?)(?:(?P<project>{_NAME}):)?"
    rf"(?:(?P<id>[0-9a-f]{{40}})|(?P<change>{_NAME})(?:@(?P<tag>{_NAME}))?|@(?P<only>{_NAME}))"
)
_ID = re.compile(r"[0-9a-f]{40}")
_COMMENT = re.compile(r"[ \t]*(?:\#[ \t]*(?P<note>.+))?", re.DOTALL)
_NOTE = re.compile(r"[ \t]*\#[ \t]*(?P<note>.*)", re.DOTALL)
_SYMBOLIC = re.compile(rf"(?<![{_PUNCT}])(?P<sign>[~^])(?:(?P<twice>(?P=sign))|(?P<n>\d+))?\Z")
_SPACE = " \t\n\v\f\r\x85\xa0\u1680\u2028\u2029\u202f\u205f\u3000" + "".join(
    map(chr, range(0x2000, 0x200B))
)  # Perl's \s; Python's also has the separators U+001C to U+001F
# NUL, and the noncharacters of Unicode, which Perl does not read.
_FORBIDDEN = re.compile(
    "[\\0\ufdd0-\ufdef"
    + "\ud800-\udfff"  # halves of characters
    + "".join(chr(n << 16 | 0xFFFE) + chr(n << 16 | 0xFFFF) for n in range(17))
    + "]"
)
_TO_ESCAPE = r"[\\\n\r]"
_UNESCAPE = {"\\\\": "\\", "\\n": "\n", "\\r": "\r"}
_ESCAPE = {value: key for key, value in _UNESCAPE.items()}


class _Shadow(dict[int, str]):
    """Maps characters outside ASCII to one of their kind, where Perl and Python differ on kinds.

    A line translated with it is matched instead of the line, and the spans found are the line's:
    Perl's blanks become a space, its word characters an \u00e9, digits stay, the rest is \u20ac.
    """

    def __missing__(self, code: int) -> str:
        char = chr(code)
        kind = unicodedata.category(char)
        # Other_Alphabetic without a category of its own: the circled and squared Latin letters.
        letter = 0x24B6 <= code <= 0x24E9 or 0x1F130 <= code <= 0x1F189
        if code < 128 or kind == "Nd":
            found = char
        elif kind == "Zs":
            found = " "
        elif letter or kind[0] in "LM" or kind in ("Nl", "Pc") or code in (0x200C, 0x200D):
            found = "\u00e9"
        else:
            found = "\u20ac"
        self[code] = found
        return found


_SHADOW = _Shadow()


def _shadow(text: str) -> str:
    """Returns what to match instead of ``text``: of the same length."""
    return text if text.isascii() else text.translate(_SHADOW)


class PlanError(Failure):
    """The plan cannot be read; the message names file and line.

    Attributes:
        file: the plan.
        line: its 1-based line, if it is about one.
        why: the message without them.
    """

    def __init__(self, file: str, line: int | None, why: str) -> None:
        super().__init__(f"{file}:{f'{line}:' if line else ''} {why}")
        self.file = file
        self.line = line
        self.why = why


@dataclass(frozen=True, slots=True)
class Dependency:
    """A required or conflicting change: ``change``, ``change@tag`` or ``@tag`` of a project.

    For a change of another project, ``change`` may be its ID.
    """

    change: str | None
    tag: str | None = None
    project: str | None = None
    conflict: bool = False

    @property
    def id(self) -> str | None:
        """The ID of the change, when it is known by that and not by a name."""
        by_id = self.tag is None and self.change and _ID.fullmatch(self.change)
        return self.change if by_id else None

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


@dataclass(frozen=True)
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

    @cached_property
    def positions(self) -> Mapping[str, Sequence[int]]:
        """Where everything that names a change leads, in order: several positions when reworked.

        The keys are names, ``@tag``, IDs of changes and tags, and HEAD and ROOT with and without @.
        """
        found: dict[str, list[int]] = {}
        for index, change in enumerate(self.changes):
            found.setdefault(change.name, []).append(index)
            found[change.id] = [index]
            for tag in change.tags:
                found[f"@{tag.name}"] = found[tag.id] = [index]
        if self.changes:
            found["HEAD"] = found["@HEAD"] = [len(self.changes) - 1]
            found["ROOT"] = found["@ROOT"] = [0]
        return found

    @cached_property
    def rework_tags(self) -> tuple[tuple[str, ...], ...]:
        """Of each change, the tags that may name its scripts; see :func:`rework_tags`."""
        found: list[tuple[str, ...]] = [()] * len(self.changes)
        for name in {change.name for change in self.changes}:
            instances = self.positions[name]
            for index, again in pairwise(instances):
                here = [self.changes[i].tags for i in range(again - 1, index - 1, -1)]
                found[index] = tuple(tag.name for each in here for tag in each)
        return tuple(found)


# The schemes whose URIs name a server, for Perl's URI: their default ports.
_PORTS = {"ftp": 21, "http": 80, "https": 443, "sftp": 22, "ssh": 22}
_RESERVED = ";/?:@&=+$,-_.!~*'()%"  # what Perl's URI leaves as it is, besides letters and digits
_SCHEME = re.compile(r"(?P<scheme>[A-Za-z][A-Za-z0-9.+-]*):", re.ASCII)
_AUTHORITY = re.compile(
    r"//(?:(?P<user>[^/?]*)@)?(?P<host>[^/?@]*?)(?::(?P<port>[0-9]*))?(?=[/?]|\Z)"
)


def canonical_uri(uri: str) -> str:
    """Returns a URI as Perl's ``URI->canonical`` writes it, which Sqitch puts into its IDs.

    For any text, and the rules of servers for http, https, ftp, sftp and ssh.
    """
    uri = re.sub(r"\A<(?:URL:)?(.*)>\Z", r"\1", uri, flags=re.DOTALL)
    uri = re.sub(r'\A"(.*)"\Z', r"\1", uri, flags=re.DOTALL).strip(_SPACE)
    found = _SCHEME.match(uri)
    scheme = found["scheme"].lower() if found else ""
    rest = uri[found.end() :] if found else uri
    place = _AUTHORITY.match(rest)
    head, tail = (rest[: place.end()], rest[place.end() :]) if place else ("", rest)
    if place and scheme in _PORTS:
        user, host, port = place["user"], place["host"], place["port"]
        if not host.isascii():
            host = host.encode("idna").decode()
        host = _escaped(host, _RESERVED + "[]")
        plain = unquote_to_bytes(host).decode("latin-1")
        if re.search("[A-Z]", plain):
            host = quote(plain.lower(), safe=_RESERVED.replace("@", "") + "[]")
        if port in ("", str(_PORTS[scheme])):
            port = None
        head = f"//{_escaped(user) + '@' if user is not None else ''}{host}"
        head += f":{port}" if port is not None else ""
        if scheme in ("http", "https") and not tail:
            tail = "/"
    else:
        head = _escaped(head, _RESERVED + "[]")
    return (f"{scheme}:" if found else "") + head + _escaped(tail)


def _escaped(text: str, kept: str = _RESERVED) -> str:
    """Returns a part of a URI with escapes in their canonical form, and no others missing."""
    text = quote(text, safe=kept)

    def escape(match: re.Match[str]) -> str:
        char = chr(int(match.group()[1:], 16))
        return char if re.fullmatch(r"[A-Za-z0-9\-_.!~*'()]", char) else match.group().upper()

    return re.sub(r"%[0-9A-Fa-f]{2}", escape, text)


def _date(at: datetime) -> str:
    """Returns a time (UTC) as plans and IDs write it."""
    return at.isoformat()[:19] + "Z"


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
            f"date {_date(change.planned_at)}",
        ]
        for word, sign, deps in (
            ("requires", "+", change.requires),
            ("conflicts", "-", change.conflicts),
        ):
            names = [dep.name_in(plan.project) for dep in deps]
            if names not in ([], ["0"]):  # Perl's truth
                lines += [word, *(f"  {sign} {name}" for name in names)]
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
                        f"date {_date(tag.planned_at)}",
                    ],
                    tag.note,
                ),
            )
            for tag in change.tags
        )
        changes.append(replace(change, id=change_id, tags=tags))
    return replace(plan, changes=tuple(changes))


def note_of(text: str) -> str:
    """Returns a note as it was meant: its escapes read, nothing blank around it."""
    return re.sub(r"\\[\\nr]", lambda found: _UNESCAPE[found.group()], text.strip(_SPACE))


class _Parser:
    """Reads the lines of one plan; holds what has been seen so far."""

    def __init__(self, text: str, file: str) -> None:
        self.file = file
        *lines, last = text.split("\n")
        # A CR belongs to the end of a line only if a LF follows, and a last 0 is nothing to Perl.
        lines = [*(line.removesuffix("\r") for line in lines), "" if last == "0" else last]
        self.lines = enumerate(lines, start=1)
        self.number = 0
        self.pragmas: dict[str, str] = {}
        self.changes: list[Change] = []
        # The lines of tags ("@name") and of the changes before the last tag, each name's last one;
        # then those of the changes after it.
        self.before: dict[str, int] = {}
        self.since: dict[str, int] = {}

    def fail(self, why: str) -> NoReturn:
        """Raises an error that names the line being read."""
        raise PlanError(self.file, self.number, why)

    def content(self) -> Iterator[tuple[str, str] | None]:
        """Yields (line without its note, note) of every line; None for a blank, "#" a comment."""
        for number, line in self.lines:
            self.number = number
            shadow = _shadow(line)
            if found := _COMMENT.fullmatch(shadow):
                note = note_of(line[found.start("note") :]) if found["note"] else ""
                # Sqitch takes a comment without words, or of "0", for a blank line.
                yield ("#", note) if note not in ("", "0") else None
            elif found := _NOTE.search(shadow):
                if found.start() == 0:
                    self.fail('nothing follows the "#": write a comment, or leave the line blank')
                yield line[: found.start()], note_of(line[found.start("note") :])
            else:
                yield line[: len(shadow.rstrip(" \t"))], ""

    def plan(self) -> Plan:
        """Reads everything; the changes have no IDs yet."""
        content = self.content()
        for found in content:
            if found is None:
                break
            if found[0] != "#":
                self.pragma(found[0])
        if self.pragmas.get("project", "0") == "0":
            raise PlanError(
                self.file,
                None,
                "the %project pragma is missing (the first lines are %name=value, then comes one "
                "blank line)",
            )
        for found in content:
            if found is not None and found[0] != "#":
                self.entry(*found)
        known = ("syntax-version", "project", "uri")
        uri = self.pragmas.get("uri")
        return Plan(
            project=self.pragmas["project"],
            uri=uri if uri != "0" else None,
            changes=tuple(self.changes),
            pragmas=tuple((k, v) for k, v in self.pragmas.items() if k not in known),
            file=self.file,
        )

    def pragma(self, line: str) -> None:
        """Takes a line of the head: ``%name=value``."""
        found = _PRAGMA.fullmatch(_shadow(line))
        if not found:
            self.fail("not a pragma (%name=value); a blank line must precede the first change")
        name = line[slice(*found.span("name"))]
        value = line[slice(*found.span("value"))] if found["value"] else None
        if name == "project" and not (value and _NAME_RE.fullmatch(_shadow(value))):
            self.fail(f'"{value or ""}" cannot be the name of a project')
        self.pragmas[name] = value or "1"

    def entry(self, line: str, note: str) -> None:
        """Takes the line of a change or tag."""
        found = _LINE.fullmatch(_shadow(line))
        # A truth of Perl's: "0" counts as none.
        name, deps, planner, email = (
            line[slice(*found.span(part))] if found and found[part] not in (None, "0") else None
            for part in ("name", "deps", "planner", "email")
        )
        if not found or not name or (not found["at"] and _TIME.search(line)):
            self.fail(
                "expected: NAME [DEPENDENCIES] YYYY-MM-DDTHH:MM:SSZ PLANNER <EMAIL> # NOTE "
                "(names hold no blank, @ : # \\ [ ], do not begin or end with punctuation, nor end "
                "with digits after one of ~ / = % ^)"
            )
        if not found["at"]:
            self.fail(f"{name}: the timestamp YYYY-MM-DDTHH:MM:SSZ is missing")
        if not planner:
            self.fail(f"{name}: the planner's name and <email> are missing")
        if name in ("ROOT", "HEAD"):
            self.fail(f'"{name}" is a reserved name')
        if _ID.match(name):
            self.fail(f'"{name}" could be confused with an ID')
        try:
            parts = map(int, re.split("[-T:]", found["at"][:-1]))
            year, month, day, hour, minute, second = parts
            planned_at = datetime(year, month, day, hour, minute, second, tzinfo=UTC)
        except ValueError:
            self.fail(f"{found['at']} is no date")
        by = (name, planned_at, planner, email or "0", note)
        if _shadow(line).lstrip(" \t").startswith("@"):
            self.tag(Tag(*by, line=self.number), deps)
        else:
            self.change(Change(*by, line=self.number), deps)

    def tag(self, tag: Tag, dependencies: str | None) -> None:
        """Adds a tag to the last change."""
        key = f"@{tag.name}"
        if "/" in tag.name:
            self.fail(f'tag "{key}": tags hold no slash')
        if not self.changes:
            self.fail(f'tag "{key}" has no change before it')
        if key in self.before:
            self.fail(f'tag "{key}" was declared on line {self.before[key]}')
        if dependencies:
            self.fail(f'tag "{key}": tags have no dependencies')
        self.before |= self.since | {key: self.number}
        self.since = {}
        last = self.changes[-1]
        self.changes[-1] = replace(last, tags=(*last.tags, tag))

    def change(self, change: Change, dependencies: str | None) -> None:
        """Adds a change, with what its brackets say."""
        if change.name in self.since:
            self.fail(
                f'change "{change.name}" was declared on line {self.since[change.name]}; '
                "a change can be reworked only after a tag"
            )
        if dependencies:
            found = self.dependencies(dependencies)
            change = replace(
                change,
                requires=tuple(d for d in found if not d.conflict),
                conflicts=tuple(d for d in found if d.conflict),
            )
        for dependency in change.requires:
            self.check(change, dependency)
        self.since[change.name] = self.number
        self.changes.append(change)

    def dependencies(self, text: str) -> list[Dependency]:
        """Reads what brackets hold; a blank before the first one is wrong, after the last not."""
        shadow = _shadow(text)
        spans = [m.span() for m in re.finditer(r"[^ \t]+", shadow)]
        if spans and spans[0][0] > 0:
            self.fail("a blank between [ and the first dependency")
        listed = [text[start:end] for start, end in spans]
        for index, each in enumerate(listed):
            if each in listed[:index]:
                self.fail(f'the dependency "{each}" is given twice')
        return [self.dependency(each) for each in listed]

    def dependency(self, text: str) -> Dependency:
        """Reads one dependency of those in brackets."""
        dependency = parse_dependency(text)
        if not dependency:
            self.fail(f'"{text}" is not a dependency')
        if dependency.id and dependency.project in (None, self.pragmas["project"]):
            self.fail(f'"{text}": name the change; Sqitch cannot resolve bare IDs')
        return dependency

    def check(self, change: Change, dependency: Dependency) -> None:
        """Demands that a required change of this project stands earlier in the plan.

        As in Sqitch, ``change@tag`` counts only while no rework of the change is tagged as well.
        """
        if dependency.project not in (None, self.pragmas["project"]):
            return
        key = dependency.key
        if dependency.change and dependency.tag:
            there = self.before.get(dependency.change)
            known = there is not None and there < self.before.get(f"@{dependency.tag}", 0)
        else:
            known = key in self.before or key in self.since
        if not known:
            self.fail(
                f'change "{change.name}" requires "{key}", which is not in the plan before it'
            )


def parse_plan(text: str, file: str = "sqitch.plan") -> Plan:
    """Parses the text of a plan.

    Args:
        text: the plan.
        file: its name in messages.

    Raises:
        PlanError: with file and line, when Sqitch would not understand it either.
    """
    if found := _FORBIDDEN.search(text):
        line, code = text.count("\n", 0, found.start()) + 1, ord(found.group())
        raise PlanError(file, line, f"the character U+{code:04X} has no place in a plan")
    return _identified(_Parser(text, file).plan())


def parse_dependency(text: str) -> Dependency | None:
    """Returns the dependency that ``[!][project:]change[@tag]`` or the like means, None if none."""
    found = _DEPENDENCY.fullmatch(_shadow(text))
    if not found:
        return None
    conflict, project, change_id, change, tag, only = (
        text[slice(*found.span(part))] or None
        for part in ("conflict", "project", "id", "change", "tag", "only")
    )
    return Dependency(
        change=change_id or change, tag=tag or only, project=project, conflict=bool(conflict)
    )


def is_name(text: str, *, tag: bool = False) -> bool:
    """Tells whether a change, or a tag, can have this name."""
    found = _NAME_RE.fullmatch(_shadow(text))
    allowed = text not in ("ROOT", "HEAD", "0") and not _ID.match(text) and "\n" not in text
    return bool(found) and allowed and not (tag and "/" in text)


def read_plan(path: Path) -> Plan:
    """Reads a plan file, which must be UTF-8.

    Raises:
        PlanError: when it is missing, not readable, or not a plan.
    """
    return parse_plan(plan_text(path), str(path))


def plan_text(path: Path) -> str:
    """Returns the text of a plan file.

    Raises:
        PlanError: when it is missing, not readable, or not UTF-8.
    """
    try:
        data = path.read_bytes()
    except OSError as error:
        raise PlanError(str(path), None, f"cannot be read: {error.strerror}") from None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        why = f"is not UTF-8 (byte {error.start} of the file)"
        raise PlanError(str(path), line, why) from None
    return text


def _escaped_note(note: str) -> str:
    """Returns what stands for a note at the end of a line."""
    return f"# {re.sub(_TO_ESCAPE, lambda found: _ESCAPE[found.group()], note)}" if note else ""


def format_entry(by: Change | Tag) -> str:
    """Returns the line of a change or tag, as Sqitch writes it."""
    name, listed = f"@{by.name}", ""
    if isinstance(by, Change):
        name, deps = by.name, [*by.requires, *by.conflicts]
        listed = f" [{' '.join(map(str, deps))}]" if deps else ""
    # A note of 0 counts as none where Sqitch chooses the blank before it, and is written.
    blank = " " if by.note not in ("", "0") else ""
    return (
        f"{name}{listed} {_date(by.planned_at)} {by.planner_name} <{by.planner_email}>"
        f"{blank}{_escaped_note(by.note)}"
    )


def lines_of(text: str) -> list[str]:
    """Returns the lines of a plan, as many as there are for Perl, without their ends."""
    *lines, last = text.split("\n")
    lines = [line.removesuffix("\r") for line in lines]
    return [*lines, last] if last not in ("", "0") else lines


def rewritten(text: str, project: str) -> list[str]:
    """Returns the lines of a plan as Sqitch writes them whenever it adds one.

    Comments and most blanks stay; what is said of a change stands in Sqitch's order, notes are
    trimmed, and the first pragma is ``%syntax-version=1.0.0``.

    Args:
        text: a plan that ``parse_plan`` reads.
        project: its name there.
    """
    head, versioned = True, False
    found: list[str] = []
    for line in lines_of(text):
        shadow = _shadow(line)
        if comment := _COMMENT.fullmatch(shadow):
            note = note_of(line[comment.start("note") :]) if comment["note"] else ""
            found.append(line[: len(shadow) - len(shadow.lstrip(" \t"))] + _escaped_note(note))
            head = head and note not in ("", "0")
            continue
        inline = _NOTE.search(shadow)
        cut = inline.start() if inline else len(shadow.rstrip(" \t"))
        blank = line[cut : line.index("#", cut)] if inline else line[cut:]
        note = line[inline.start("note") :] if inline else ""
        if not head:
            found.append(_entry_again(line[:cut], project) + blank + _escaped_note(note_of(note)))
            continue
        content = line[:cut]
        pragma = _PRAGMA.fullmatch(shadow[:cut])
        if pragma and pragma["name"] == "syntax-version":
            versioned = True
            content = content[: pragma.start("value")] if pragma["value"] else content
            content += "1.0.0"
        found.append(content.rstrip(_SPACE) + blank + _escaped_note(note))
    return found if versioned else ["%syntax-version=1.0.0", *found]


def _entry_again(line: str, project: str) -> str:
    """Returns the line of a change or tag, without its note, as Sqitch writes it again."""
    found = cast("re.Match[str]", _LINE.fullmatch(_shadow(line)))  # parse_plan has read it
    deps, at, planner, email = (
        line[slice(*found.span(part))] for part in ("deps", "at", "planner", "email")
    )
    start, end = found.span("name")
    blank = " "
    if not line[:start].endswith("@"):
        after = found.start("deps") - 1 if found["deps"] else found.start("at")
        blank = line[end:after] or " "
    listed = ""
    if found["deps"]:
        each = [deps[slice(*it.span())] for it in re.finditer(r"[^ \t]+", _shadow(deps))]
        # The project's own name is left out.
        each = [re.sub(rf"\A(!?){re.escape(project)}:", r"\1", text) for text in each]
        listed = f"[{' '.join(sorted(each, key=lambda text: text.startswith('!')))}] "
    return f"{line[:end]}{blank}{listed}{at} {planner} <{email}>"


def format_plan(plan: Plan) -> str:
    """Returns the plan as text, in Sqitch's own layout; comments of a read plan are not kept."""
    pragmas = [("syntax-version", "1.0.0"), ("project", plan.project)]
    if plan.uri is not None:
        pragmas.append(("uri", plan.uri))
    lines = [f"%{name}={value}" for name, value in [*pragmas, *plan.pragmas]] + [""]
    for change in plan.changes:
        lines.append(format_entry(change))
        lines += map(format_entry, change.tags)
        if change.tags:
            lines.append("")
    return "\n".join(lines).rstrip("\n") + "\n"


def rework_tags(plan: Plan, index: int) -> tuple[str, ...]:
    """Returns the tags that may name the script of a change that is reworked later.

    Empty for a change that is not: its scripts are ``NAME.sql``. Otherwise the scripts are
    ``NAME@TAG.sql``, TAG being the first of the result whose deploy script exists, else the first.
    """
    return plan.rework_tags[index]


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
    if not plan.changes:
        raise Failure(f"the plan {plan.file} has no changes")
    name, at, tag = base.partition("@")
    found = plan.positions.get(name if name else base, ())
    if name and at:
        limit = plan.positions.get(f"@{tag}", [-1])[0]
        found = [position for position in found if position <= limit][-1:]
    if not found:
        perhaps = perhaps_meant(plan, name or base)
        raise Failure(f'there is no change "{key}" in the plan {plan.file}{perhaps}')
    if len(found) > 1:
        names = [f"{name}@{tag}" for index in found[:-1] for tag in plan.rework_tags[index][:1]]
        choices = ", ".join([*names, f"{name}@HEAD"])
        raise Failure(f'"{key}" is ambiguous: name one of {choices}')
    return found[0]


def perhaps_meant(plan: Plan, key: str) -> str:
    """Returns the end of a message: which changes and tags may be meant by a key with a typo."""
    if key in plan.positions:  # with a tag that is not behind it
        return ""
    from difflib import get_close_matches  # what only this needs

    names = {change.name for change in plan.changes}
    names |= {f"@{tag.name}" for change in plan.changes for tag in change.tags}
    below = sorted(name for name in names if name.endswith(f"/{key}"))
    near = (below or get_close_matches(key, sorted(names), cutoff=0.8))[:3]
    choices = " or ".join(f'"{name}"' for name in near)
    return f"; did you mean {choices}?" if near else ""


def resolve_dependency(plan: Plan, dependency: Dependency) -> int | None:
    """Returns the position of a dependency of this project as Sqitch resolves it, or None.

    A bare name is its first instance; ``name@tag`` the last one at or before the tag.
    """
    if dependency.tag is None:
        return next(iter(plan.positions.get(dependency.key, ())), None)
    try:
        return find_change(plan, dependency.key)
    except Failure:
        return None


def is_unknown(plan: Plan, dependency: Dependency) -> bool:
    """Tells whether a dependency names something of this project that its plan does not have.

    Sqitch refuses such a requirement when it reads the plan, such a conflict when it deploys.
    """
    if dependency.project not in (None, plan.project):
        return False
    return resolve_dependency(plan, dependency) is None
