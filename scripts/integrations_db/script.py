"""Reads deploy, revert and verify scripts, and tells how each can be run, before anything runs.

``atomic``: one transaction can hold the script together with the registry rows that record it. The
script's own BEGIN and COMMIT are left out then, because that transaction begins before the script
and ends after it. ``not atomic``: it must run statement by statement, as psql would run it, because
it holds a command that PostgreSQL refuses inside a transaction, or more than one transaction.
``psql``: only the psql program can run it.

A deploy or revert script that would do nothing and yet count as done is refused.
"""

from __future__ import annotations

import codecs
import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from pathlib import Path
from typing import Literal

from integrations_db.errors import Failure
from integrations_db.lexer import Reference, Scan, Statement, parts, scan, tokens

__all__ = [
    "OF_PSQL",
    "VERIFY_SAVEPOINT",
    "Execution",
    "Kind",
    "Script",
    "ScriptError",
    "read_script",
    "shown",
    "words",
]

Kind = Literal["deploy", "revert", "verify"]
Execution = Literal["atomic", "not atomic", "psql"]

VERIFY_SAVEPOINT = "integrations_db_verify"

# What psql sets while it runs, or what it alone knows; see "Variables" on its reference page.
OF_PSQL = re.compile(
    "ROW_COUNT|SQLSTATE|ERROR|LAST_ERROR_(?:MESSAGE|SQLSTATE)|SHELL_(?:ERROR|EXIT_CODE)"
    "|VERSION(?:_NAME|_NUM)?|PIPELINE_(?:SYNC|COMMAND|RESULT)_COUNT"
)
# Meta-commands that do not change which statements run.
_STRAIGHT = re.compile(
    r"\\(?:set|unset|echo|qecho|warn|pset|timing|encoding|conninfo|x|t|a|d\S*|\.)(?:\s|\Z)"
)
_CREATES_SLOT = re.compile(r"\b(?:create_slot|connect)\s*=\s*'?(?:false|off|no|0)\b", re.IGNORECASE)
_REFRESHES_NOT = re.compile(r"\brefresh\s*=\s*'?(?:false|off|no|0)\b", re.IGNORECASE)
_SLOT_OPTIONS = re.compile(r"\b(?:failover|two_phase)\b", re.IGNORECASE)
_ENDS_WITH_TRANSACTION = re.compile(r"\bon\s+commit\s+(?:drop|delete)\b", re.IGNORECASE)
_DBLINK = re.compile(r"\bdblink\w*\s*\(", re.IGNORECASE)
_READ_ONLY = re.compile(r"\bread\s+only\b", re.IGNORECASE)
_OPENING = re.compile(
    r"(?:begin(?:\s+(?:work|transaction))?|start\s+transaction|set\s+transaction)\b",
    re.IGNORECASE,
)
_ENDING = re.compile("commit|rollback", re.IGNORECASE)
_WHAT = {
    "string": "string",
    "quoted": "quoted name",
    "dollar": "dollar-quoted string",
    "comment": "comment",
}
_STRINGS = re.compile("standard_conforming_strings", re.IGNORECASE)
_STRINGS_ON = re.compile(
    r"set\s+(?:session\s+|local\s+)?\"?standard_conforming_strings\"?\s*(?:=|to)\s*"
    r"'?(?:on|true|yes|1|default)'?\s*\Z",
    re.IGNORECASE,
)


class ScriptError(Failure):
    """A script that cannot be read, or that would do nothing; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script and how it can be run.

    Attributes:
        path: the file.
        kind: what it is for.
        source: its text; empty when it is not UTF-8.
        execution: how it has to be run.
        why: for what reason it is not atomic, with file and line; None when it is.
        begin: what opens the transaction: ``BEGIN``, with the modes of the script's own one.
        own_transaction: whether it has a BEGIN; psql commits each statement where there is none.
        statements: all that psql would send, in order; none when only psql can run it.
        body: when it is atomic, what to run inside of our transaction. For a verify script that is
            one with the savepoint ``VERIFY_SAVEPOINT``, to which the script's ROLLBACKs go back.
        unset: what it has in the place of variables that are not set; psql leaves it as it is
            written, which may be right (``a[1:n]``) but mostly is the cause of a syntax error.
    """

    path: Path
    kind: Kind
    source: str
    execution: Execution
    why: str | None = None
    begin: str = "BEGIN"
    own_transaction: bool = False
    statements: tuple[Statement, ...] = ()
    body: tuple[Statement, ...] = ()
    unset: tuple[Reference, ...] = ()

    def place(self, statement: Statement, position: int) -> tuple[int, int]:
        """Returns the 1-based line and column in the file of a statement's character.

        Args:
            statement: one of ``statements`` or ``body``.
            position: 0-based offset in its text; in the value of a variable: the variable's place.
        """
        offset = statement.source_offset(position)
        line_start = self.source.rfind("\n", 0, offset) + 1
        return self.source.count("\n", 0, offset) + 1, offset - line_start + 1

    def apart(self, why: str) -> Script:
        """Returns an atomic script as one to be run statement by statement.

        For what only the server can tell, such as a procedure that commits.

        Args:
            why: the reason, a short sentence that names file and line.
        """
        return replace(self, execution="not atomic", why=why, begin="BEGIN", body=())


def shown(path: Path) -> str:
    """Returns a path as a person at this prompt would write it; a link keeps its own name."""
    try:
        return str(Path(os.path.abspath(path)).relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def words(text: str, limit: int) -> tuple[str, ...]:
    """Returns the first ``limit`` unquoted words of a statement, in upper case.

    Anything else in between (a name in quotes, a parenthesis) is left out.
    """
    found: list[str] = []
    for token in tokens(text):
        if token.kind == "word":
            found.append(text[token.start : token.end].upper())
            if len(found) == limit:
                break
    return tuple(found)


def _control(head: Sequence[str]) -> str | None:
    """Returns begin, commit or rollback if these words start or end a transaction."""
    first, rest = head[:1], head[1:]
    if first == ("BEGIN",) or head[:2] == ("START", "TRANSACTION"):
        return "begin"
    if first in (("COMMIT",), ("END",)) and rest[:1] != ("PREPARED",):
        return "commit"
    if head[:2] == ("PREPARE", "TRANSACTION"):
        return "prepare"
    if first in (("ROLLBACK",), ("ABORT",)) and not {"TO", "PREPARED"} & set(rest[:2]):
        return "rollback"
    return None


# Commands that never run inside a transaction, by their first words.
_NEVER = (
    "VACUUM",
    "CREATE DATABASE",
    "DROP DATABASE",
    "CREATE TABLESPACE",
    "DROP TABLESPACE",
    "DROP SUBSCRIPTION",
    "ALTER SYSTEM",
    "COMMIT PREPARED",
    "ROLLBACK PREPARED",
    "DISCARD ALL",
)
_CLUSTER_ALL = re.compile(r"cluster\s*(?:verbose|\([^)]*\))?\s*", re.IGNORECASE)
_NOT_CONCURRENTLY = re.compile(
    r"reindex\s*\([^)]*\bconcurrently\s+(?:false|off|0)\b", re.IGNORECASE
)


def _outside(text: str, head: Sequence[str]) -> str | None:
    """Returns the command's name if it cannot run inside a transaction.

    These are the callers of PreventInTransactionBlock in PostgreSQL 15 to 18, as far as the text
    tells; the server tells of the others (SQLSTATE 25001), as of a partitioned table's REINDEX.
    """
    first, rest = head[0], head[1:]
    two = " ".join(head[:2])
    for name in _NEVER:
        if name in (first, two):
            return name
    if first in ("CREATE", "DROP") and "INDEX" in head[1:3] and "CONCURRENTLY" in head[2:4]:
        return f"{first} INDEX CONCURRENTLY"
    if first == "REINDEX":
        if "CONCURRENTLY" in rest and not _NOT_CONCURRENTLY.match(text):
            return "REINDEX CONCURRENTLY"
        kinds = ("TABLE", "INDEX", "SCHEMA", "DATABASE", "SYSTEM")
        kind = next((word for word in rest if word in kinds), None)
        return f"REINDEX {kind}" if kind in kinds[2:] else None
    if two == "ALTER TABLE" and {"DETACH", "PARTITION", "CONCURRENTLY"} <= set(rest):
        return "ALTER TABLE ... DETACH PARTITION CONCURRENTLY"
    if two == "ALTER DATABASE" and ("SET", "TABLESPACE") in pairwise(rest):
        return "ALTER DATABASE ... SET TABLESPACE"
    if first == "CLUSTER" and _CLUSTER_ALL.fullmatch(text):
        return "CLUSTER without a table"
    if two == "CREATE SUBSCRIPTION" and not _CREATES_SLOT.search(text):
        return two
    if two == "ALTER SUBSCRIPTION" and (
        "REFRESH" in head
        or ("PUBLICATION" in head and not _REFRESHES_NOT.search(text))
        or ("SET" in head and _SLOT_OPTIONS.search(text))
    ):
        return "ALTER SUBSCRIPTION that changes the publisher"
    return None


def _commits_inside(text: str) -> bool:
    """Tells whether the body of a DO statement ends transactions itself."""
    if not _ENDING.search(text):
        return False
    for body in tokens(text):
        if body.kind in ("dollar", "string"):
            source = text[body.start : body.end]
            mark = source.index("$", 1) + 1 if body.kind == "dollar" else source.index("'") + 1
            source = source[mark : -mark if body.kind == "dollar" else -1]
            inside = [
                source[token.start : token.end].upper()
                for token in tokens(source)
                if token.kind not in ("space", "comment")
            ]
            # The word is no column's name when a semicolon or AND CHAIN follows.
            return any(
                word in ("COMMIT", "ROLLBACK") and after in (";", "AND")
                for word, after in pairwise(inside)
            )
    return False


@dataclass(frozen=True, slots=True)
class _Step:
    """A statement with its first words and what it does to transactions.

    Attributes:
        joined: whether ``\\;`` makes it a part of a request, which is a transaction to itself.
    """

    statement: Statement
    head: tuple[str, ...]
    control: str | None
    joined: bool

    @property
    def modes(self) -> str:
        """What a BEGIN or SET TRANSACTION says of the transaction."""
        found = _OPENING.match(self.statement.text)
        return self.statement.text[found.end() :].strip() if found else ""

    @property
    def chains(self) -> bool:
        """Whether a COMMIT or ROLLBACK begins the next transaction at once."""
        return "CHAIN" in self.head and "NO" not in self.head


def _steps(scanned: Scan, source: str) -> list[_Step]:
    """Returns the single statements of a script, also of joined ones."""
    found = []
    for request in scanned.statements:
        statements = parts(request, source)
        for statement in statements:
            head = words(statement.text, 12) or ("",)
            found.append(_Step(statement, head, _control(head), len(statements) > 1))
    return found


@dataclass(slots=True)
class _Frame:
    """What was found out about a script's transactions.

    Attributes:
        body: what runs inside of our transaction, if it can.
        begin: the statement that opens it.
        own: whether the script has a BEGIN.
        why: the first reason for which one transaction cannot hold it, with the step.
        refusal: why it must not run at all, with the step.
    """

    body: list[Statement]
    begin: str = "BEGIN"
    own: bool = False
    why: tuple[_Step, str] | None = None
    refusal: tuple[_Step, str] | None = None

    def note(self, step: _Step, why: str) -> None:
        """Keeps the first reason."""
        self.why = self.why or (step, why)


def _is_set(step: _Step) -> bool:
    return step.head[0] in ("SET", "RESET")


def _lasts_for_a_transaction(step: _Step) -> bool:
    return (
        step.head[0] == "SET"
        and step.head[1:2] in (("LOCAL",), ("CONSTRAINTS",))
        and not step.joined
    )


def _frame(steps: Sequence[_Step]) -> _Frame:
    """Follows the transactions of a deploy or revert script."""
    frame = _Frame([], own=any(step.control == "begin" for step in steps))
    opened: _Step | None = None  # the statement that opened the transaction
    closed: _Step | None = None  # the one that closed the last
    undone: _Step | None = None  # the same, if it was a ROLLBACK
    fresh = False  # nothing was done in it yet
    for step in steps:
        statement, head, control = step.statement, step.head, step.control
        if control == "begin":
            if opened is None:
                if closed:
                    frame.note(step, "begins a second transaction")
                opened, fresh = step, True
                frame.begin = f"BEGIN {step.modes}".strip()
            elif step.modes:
                frame.note(step, "changes the modes of a transaction")
            if _READ_ONLY.search(step.modes):
                frame.note(step, "is read only, and the registry rows must be written")
        elif control:
            if opened is None:
                frame.note(step, f"{control.upper()} without a BEGIN before it")
            elif control == "prepare":
                frame.note(step, "PREPARE TRANSACTION leaves the transaction to others")
            elif step.chains:
                frame.note(step, "AND CHAIN begins a second transaction")
            elif control == "rollback":
                frame.note(step, "ROLLBACK undoes a part of the script")
            undone = step if opened and control == "rollback" else None
            closed, opened, fresh = step, step if step.chains else None, True
        elif head[:2] == ("SET", "TRANSACTION"):
            # Without a transaction it has no effect but a warning.
            if opened and fresh and opened.control == "begin" and head[2:3] != ("SNAPSHOT",):
                frame.begin = f"{frame.begin} {step.modes}"
                if _READ_ONLY.search(step.modes):
                    frame.note(step, "is read only, and the registry rows must be written")
            elif opened:
                frame.note(step, "changes the modes of a transaction")
        elif _lasts_for_a_transaction(step) and not opened:
            continue  # likewise
        else:
            fresh = False
            frame.body.append(statement)
            if name := _outside(statement.text, head):
                frame.note(step, f"{name} cannot run inside a transaction")
            elif head[0] == "DO" and _commits_inside(statement.text):
                frame.note(step, "the DO block ends transactions itself")
            elif opened is None and _changes_begin(head):
                frame.note(step, "changes how the next transactions begin")
            elif opened is None and not frame.own and (why := _wants_none(statement.text, head)):
                frame.note(step, why)
            elif opened is None and frame.own and not _is_set(step):
                frame.note(step, "stands outside of the script's transaction")
    if opened and not (opened.chains and fresh):
        what = "AND CHAIN" if opened.chains else "BEGIN"
        frame.refusal = opened, f"{what} without COMMIT"
    elif undone and all(_is_set(step) for step in steps[steps.index(undone) + 1 :]):
        frame.refusal = undone, "ROLLBACK at the end"
    return frame


def _wants_none(text: str, head: Sequence[str]) -> str | None:
    """Returns why a statement without a transaction of its script would differ inside of ours."""
    if head[0] in ("LOCK", "SAVEPOINT", "RELEASE") or head[:2] == ("ROLLBACK", "TO"):
        return f"{head[0]} outside of a transaction, which PostgreSQL refuses"
    if head[0] == "DECLARE" and ("WITH", "HOLD") not in pairwise(head):
        return "DECLARE outside of a transaction, which PostgreSQL refuses"
    if {"TEMP", "TEMPORARY"} & set(head[1:3]) and _ENDS_WITH_TRANSACTION.search(text):
        return "ON COMMIT outside of a transaction, at the end of the statement itself"
    if head[0] != "CREATE" and _DBLINK.search(text):
        return "dblink, which sees only what is committed"
    return None


def _changes_begin(head: Sequence[str]) -> bool:
    """Tells whether a statement sets what a later BEGIN goes by."""
    return head[0] == "SET" and (
        "CHARACTERISTICS" in head[1:3]
        or any(word.startswith("DEFAULT_TRANSACTION_") for word in head[1:3])
    )


def _verify_frame(steps: Sequence[_Step]) -> _Frame:
    """Makes one transaction of a verify script, whatever it begins and ends: all is undone."""
    opened = False
    begins = [step for step in steps if step.control == "begin"]
    frame = _Frame([], own=bool(begins))
    if len(begins) == 1:
        frame.begin = f"BEGIN {begins[0].modes}".strip()
    for step in steps:
        statement, head, control = step.statement, step.head, step.control
        if control == "prepare":
            frame.note(step, "PREPARE TRANSACTION leaves the transaction to others")
        elif control:
            if control == "rollback" and step is not steps[-1] and opened:
                text = f"ROLLBACK TO SAVEPOINT {VERIFY_SAVEPOINT}"
                pieces = ((0, statement.offset, False),)
                frame.body.append(Statement(text, statement.offset, statement.line, pieces))
            opened = control == "begin" or step.chains
        elif head[:2] == ("SET", "TRANSACTION"):
            continue  # it could not hold for a part of ours
        elif _lasts_for_a_transaction(step) and not opened:
            continue  # as psql has it, without effect
        else:
            frame.body.append(statement)
            if name := _outside(statement.text, head):
                frame.note(step, f"{name} cannot run inside a transaction")
            elif head[0] == "DO" and _commits_inside(statement.text):
                frame.note(step, "the DO block ends transactions itself")
            elif not frame.own and (why := _wants_none(statement.text, head)):
                frame.note(step, why)
    return frame


def _changes_strings(step: _Step) -> bool:
    """Tells whether a statement changes where the strings after it end."""
    return (
        bool(_STRINGS.search(step.statement.text))
        and step.head[0] not in ("CREATE", "ALTER", "COMMENT")
        and not _STRINGS_ON.match(step.statement.text)
    )


def _only_psql(scanned: Scan, steps: Sequence[_Step]) -> tuple[int, str] | None:
    """Returns where in the source and why only psql can run a script, or None."""
    found: list[tuple[int, str]] = []
    for step in steps:
        statement, text = step.statement, step.statement.text
        if text.startswith("\\"):
            found.append((statement.offset, f"psql's {text.split()[0]}"))
        elif step.head[0] == "COPY" and {"STDIN", "STDOUT"} & set(words(text, 5000)):
            found.append((statement.offset, "COPY from or to the client"))
        elif _changes_strings(step):
            found.append((statement.offset, "standard_conforming_strings changes how it is read"))
    for reference in scanned.references:
        if OF_PSQL.fullmatch(reference.name):
            found.append((reference.offset, f":{reference.name} is known to psql alone"))
    return min(found, default=None)


def read_script(path: Path, kind: Kind, variables: Mapping[str, str] | None = None) -> Script:
    """Reads a script and tells how it can be run.

    Args:
        path: the file.
        kind: what it is for.
        variables: the values of psql's variables; one that is not set stays as it is written.

    Raises:
        ScriptError: it cannot be read, ends within a string or a comment, or would do nothing and
            yet count as done: its transaction has no COMMIT, or ends with ROLLBACK.
    """
    try:
        raw = path.read_bytes()
    except OSError as error:
        raise ScriptError(f"{shown(path)}: cannot be read: {error.strerror}") from None
    if b"\0" in raw:
        line = raw.count(b"\n", 0, raw.index(b"\0")) + 1
        why = "holds a NUL character, which no statement can"
        if raw.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
            why = "is UTF-16; save it as UTF-8"
        raise ScriptError(f"{shown(path)}:{line}: {why}")
    try:
        source = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        why = f"{shown(path)}:{line}: is not UTF-8, so psql sends it, as PGCLIENTENCODING says"
        return Script(path, kind, "", "psql", why)

    def where(offset: int) -> str:
        return f"{shown(path)}:{source.count(chr(10), 0, offset) + 1}"

    scanned = scan(source, variables)
    steps = _steps(scanned, source)
    frame = _verify_frame(steps) if kind == "verify" else _frame(steps)
    alone = _only_psql(scanned, steps)
    if scanned.unclosed and not alone:
        what, offset = scanned.unclosed
        raise ScriptError(f"{where(offset)}: this {_WHAT[what]} is not closed before the file ends")
    metas = [step.statement.text for step in steps if step.statement.text.startswith("\\")]
    # Where strings are read otherwise, what ends them, and so the transaction, is not known.
    strings = any(map(_changes_strings, steps))
    if frame.refusal and not strings and all(_STRAIGHT.match(meta) for meta in metas):
        step, why = frame.refusal
        raise ScriptError(
            f"{where(step.statement.offset)}: {why}: the script would do nothing and yet count as "
            "done. End its transaction with COMMIT."
        )
    if alone:
        return Script(path, kind, source, "psql", f"{where(alone[0])}: {alone[1]}")
    whole = Script(
        path,
        kind,
        source,
        "atomic",
        own_transaction=frame.own,
        statements=scanned.statements,
        unset=tuple(r for r in scanned.references if r.name not in (variables or {})),
    )
    if frame.why:
        step, why = frame.why
        return whole.apart(f"{where(step.statement.offset)}: {why}")
    return replace(whole, begin=frame.begin, body=tuple(frame.body))
