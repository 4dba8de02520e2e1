"""Reads deploy, revert and verify scripts and tells whether one transaction can hold them.

A script is recorded together with its registry rows only if all of it runs in the transaction that
also writes those rows. So the script's own outer ``BEGIN`` and ``COMMIT`` (``ROLLBACK`` in a verify
script) are left out, and everything that cannot be run that way is refused before anything runs.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from integrations_db.errors import Failure
from integrations_db.lexer import Statement, split, tokens

__all__ = ["Kind", "Script", "ScriptError", "read_script", "shown", "words"]

Kind = Literal["deploy", "revert", "verify"]

_BEGIN = {("BEGIN",), ("START", "TRANSACTION")}
_COMMIT = {("COMMIT",), ("END",)}
_ROLLBACK = {("ROLLBACK",), ("ABORT",)}


class ScriptError(Failure):
    """A script that cannot be run as one transaction; the message names file and line."""


@dataclass(frozen=True, slots=True)
class Script:
    """A script that one transaction can hold.

    Attributes:
        path: the file, for messages.
        source: its text.
        statements: what to run, without its outer BEGIN and COMMIT or ROLLBACK.
    """

    path: Path
    source: str
    statements: tuple[Statement, ...]

    def place(self, offset: int) -> tuple[int, int]:
        """Returns the 1-based line and column of a 0-based character offset."""
        line_start = self.source.rfind("\n", 0, offset) + 1
        return self.source.count("\n", 0, offset) + 1, offset - line_start + 1


def shown(path: Path) -> str:
    """Returns a path as a person at this prompt would write it."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
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


def _control(head: tuple[str, ...]) -> str | None:
    """Returns begin, commit or rollback if these words end or start a transaction."""
    if head[:1] in _BEGIN or head[:2] in _BEGIN:
        return "begin"
    if head[:1] in _COMMIT and head[1:2] != ("PREPARED",):
        return "commit"
    if head[:1] in _ROLLBACK and not {"TO", "PREPARED"} & set(head):
        return "rollback"
    return None


def _obstacle(statement: Statement) -> str | None:
    """Returns why a statement can not be part of our transaction, or None."""
    if statement.text.startswith("\\"):
        return "is a psql meta-command, which only psql can run"
    head = words(statement.text, 12)
    first, second = head[:1], head[1:2]
    rest = set(head[1:])
    if first == ("COPY",) and {"STDIN", "STDOUT"} & set(words(statement.text, 5000)):
        return "copies from or to the client, which only psql can run (use INSERT)"
    never = (
        first == ("VACUUM",)
        or (first in (("CREATE",), ("DROP",)) and second in (("DATABASE",), ("TABLESPACE",)))
        or (first in (("CREATE",), ("DROP",)) and "INDEX" in head[:3] and "CONCURRENTLY" in rest)
        or (first in (("CREATE",), ("DROP",)) and second == ("SUBSCRIPTION",))
        or (first == ("REINDEX",) and rest & {"CONCURRENTLY", "DATABASE", "SYSTEM", "SCHEMA"})
        or (first == ("ALTER",) and second == ("SYSTEM",))
        or (first == ("ALTER",) and {"DETACH", "CONCURRENTLY"} <= rest)
        or (first == ("ALTER",) and second == ("DATABASE",) and "TABLESPACE" in rest)
        or (first == ("CLUSTER",) and len(head) == 1)
        or (first == ("DISCARD",) and second == ("ALL",))
    )
    if never:
        return "cannot run inside a transaction, so it could not be undone with its record"
    if first == ("PREPARE",) and second == ("TRANSACTION",):
        return "prepares a transaction for somebody else to commit"
    if first in (("COMMIT",), ("ROLLBACK",)) and second == ("PREPARED",):
        return "ends another transaction"
    if first == ("SET",) and second == ("TRANSACTION",):
        return "sets properties of the transaction, which here also holds the registry rows"
    return None


def _frame(path: Path, statements: list[Statement], kind: Kind) -> tuple[Statement, ...]:
    """Checks that a script is at most one transaction; returns it without BEGIN and COMMIT."""
    controls = [
        (index, control, statement)
        for index, statement in enumerate(statements)
        if (control := _control(words(statement.text, 4)))
    ]

    def refuse(statement: Statement, why: str) -> ScriptError:
        return ScriptError(f"{shown(path)}:{statement.line}: {why}")

    if not controls:
        return tuple(statements)
    ends = ("commit", "rollback") if kind == "verify" else ("commit",)
    (first, opening, begin), closing = controls[0], controls[1:]
    if opening != "begin":
        if kind == "verify" and first == len(statements) - 1 and opening == "rollback":
            return tuple(statements[:-1])
        raise refuse(begin, f"{opening.upper()} without a BEGIN before it")
    if set(words(begin.text, 9)) - {"BEGIN", "START", "WORK", "TRANSACTION", "READ", "WRITE"}:
        raise refuse(
            begin, "BEGIN with an isolation level or mode: the transaction also holds the registry"
        )
    for statement in statements[:first]:
        if words(statement.text, 1) not in (("SET",), ("RESET",)):
            raise refuse(
                statement, "stands before BEGIN: put it into the transaction, or it stays alone"
            )
    if not closing:
        if kind == "verify":
            return (*statements[:first], *statements[first + 1 :])
        raise refuse(
            begin, "BEGIN without COMMIT: the script would do nothing and yet count as done"
        )
    last, control, end = closing[0]
    if control == "begin":
        raise refuse(end, "BEGIN inside a transaction")
    if control not in ends:
        raise refuse(end, f"{control.upper()}: the script would do nothing and yet count as done")
    if "CHAIN" in words(end.text, 4) and "NO" not in words(end.text, 4):
        raise refuse(end, "AND CHAIN opens a second transaction")
    if last != len(statements) - 1:
        raise refuse(
            statements[last + 1],
            f"stands after {control.upper()}: one change must be one transaction; split it",
        )
    return (*statements[:first], *statements[first + 1 : last])


def read_script(path: Path, kind: Kind) -> Script:
    """Reads a script and makes sure that one transaction can hold it.

    Raises:
        ScriptError: the file is missing, not UTF-8, or holds something that psql alone can run or
            that no transaction can undo.
    """
    try:
        source = path.read_bytes().decode("utf-8-sig")
    except OSError as error:
        raise ScriptError(f"{shown(path)}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise ScriptError(f"{shown(path)}: is not UTF-8 (byte {error.start})") from None
    if "\0" in source:
        raise ScriptError(f"{shown(path)}: holds a NUL character")
    statements = split(source)
    for statement in statements:
        if why := _obstacle(statement):
            text = " ".join(statement.text.split())
            text = text if len(text) <= 40 else text[:37] + "..."
            raise ScriptError(f"{shown(path)}:{statement.line}: `{text}` {why}")
    return Script(path, source, _frame(path, statements, kind))
