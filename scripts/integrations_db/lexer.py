"""Splits a script into the statements that psql would send, each character with its place.

The rules are those of psql's own scanner (PostgreSQL, ``src/fe_utils/psqlscan.l``, versions 15 to
18): a semicolon ends a statement unless it stands in a string, a quoted identifier, a comment, a
dollar-quoted body, parentheses, or the ``BEGIN ATOMIC ... END`` body of a function; ``\\;`` is a
semicolon that does not end it, ``\\:`` a colon that names no variable. Variables are replaced where
psql replaces them, and nowhere else. Strings are read with ``standard_conforming_strings`` on; as
in psql, which reads line by line, a literal that continues an E'' string on the next line is an
ordinary one. The rows after ``COPY ... FROM STDIN`` are passed over.

Only boundaries are found here; what a statement means is not judged.
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

__all__ = ["Reference", "Scan", "Statement", "Token", "parts", "scan", "split", "tokens"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a script, or one psql meta-command (its text begins with a backslash).

    Attributes:
        text: what is sent, from the first token to the last; comments inside are kept, the final
            ``;`` is not.
        offset: 0-based offset in the source, in characters, of where ``text[0]`` comes from.
        line: 1-based line of that.
        pieces: where the text is not the source's: for each piece its start in ``text``, the offset
            in the source where it comes from, and whether it was copied from there (else all of it
            stands for what begins at that offset, a variable for instance).
    """

    text: str
    offset: int
    line: int
    pieces: tuple[tuple[int, int, bool], ...] = ()

    def source_offset(self, position: int) -> int:
        """Returns where in the source a character of ``text`` comes from; both count from 0."""
        if not self.pieces:
            return self.offset + position
        found = max(bisect_right(self.pieces, position, key=lambda piece: piece[0]) - 1, 0)
        start, offset, copied = self.pieces[found]
        return offset + position - start if copied else offset


@dataclass(frozen=True, slots=True)
class Reference:
    """The use of a variable, set or not: its name, and the offset of its place in the source."""

    name: str
    offset: int


@dataclass(frozen=True, slots=True)
class Scan:
    """All there is to know of a script's text.

    Attributes:
        statements: what psql would send or do, in order.
        references: the variables that are named where psql replaces them.
        unclosed: what is not closed at the end (``string``, ``comment``, ...) and its offset.
    """

    statements: tuple[Statement, ...]
    references: tuple[Reference, ...]
    unclosed: tuple[str, int] | None


@dataclass(frozen=True, slots=True)
class Token:
    """A lexical unit of a script.

    Attributes:
        kind: space, comment, string, quoted, dollar, word, number, variable, meta, joint (``\\;``),
            colon (``\\:``) or other (punctuation; ``;`` and parentheses one by one).
        start: offset of its first character.
        end: offset after its last character.
    """

    kind: str
    start: int
    end: int


# psql takes every byte above 0x7f as a letter. The classes say what is none of theirs, because all
# of that is ASCII: Python compiles such a class many times faster.
_LETTER = r"[^\x00-@\[-^`{-\x7f]"
_ALNUM = r"[^\x00-/:-@\[-^`{-\x7f]"
_WORD = rf"{_LETTER}[^\x00-\#%-/:-@\[-^`{{-\x7f]*"  # may hold a $
_NAME = f"{_ALNUM}+"  # of a variable
_TOKEN = re.compile(
    rf"""
      (?P<space>[ \t\n\r\f\v]+)
    | (?P<estring>[eE]')
    | (?P<string>(?:[uU]&|[bBxXnN])?')
    | (?P<quoted>(?:[uU]&)?")
    | (?P<unicode>[uU]&)
    | (?P<word>{_WORD})
    | (?P<number>(?:[0-9]+(?:\.(?!\.)[0-9]*)?|\.[0-9]+)
        (?:[eE][-+][0-9]+(?:{_WORD})?|[eE][-+]|{_WORD})?)
    | (?P<comment>--[^\n\r]*)
    | (?P<block>/\*)
    | (?P<dollar>\$(?:{_LETTER}{_ALNUM}*)?\$)
    | (?P<parameter>\$[0-9]+(?:{_WORD})?)
    | (?P<joint>\\;)
    | (?P<colon>\\:)
    | (?P<meta>\\[^\n]*)
    | (?P<cast>::|:=)
    | (?P<variable>:(?:{_NAME}|'{_NAME}'|"{_NAME}"|\{{\?{_NAME}\}}))
    | (?P<other>[,.=<>*+\[\]%^|&!@\#?~`{{}}]+|.)
    """,
    re.VERBOSE | re.DOTALL,
)
_KINDS = {
    "estring": "string",
    "block": "comment",
    "unicode": "other",
    "parameter": "other",
    "cast": "other",
}
_OPENERS = frozenset(("estring", "string", "quoted", "dollar", "block"))
_BLANK = frozenset(("space", "comment"))
# These always match, so that nothing is tried twice. Not possessive: Python 3.11.2, which Debian 12
# has, takes such quantifiers in a group wrong.
_IN_STRING = re.compile(r"(?:[^']+|'')*")
_IN_QUOTED = re.compile(r'(?:[^"]+|"")*')
# An E'' string goes on after blanks that hold a newline. psql cuts its input into lines at \n, so
# in a script only \r is one; in a variable's value both are. What is between the parts of a string
# can be read in one way only, or a search in vain would take forever.
_IN_ESCAPES = {
    newline: re.compile(
        rf"""(?:[^'\\]+|\\.|''|'(?:[ \t\f]|--[^\n\r]*(?=[\n\r]|\Z))*[{newline}]
            (?:[ \t\f{newline}]|--[^\n\r]*[{newline}])*')*\\?""",
        re.VERBOSE | re.DOTALL,
    )
    for newline in (r"\r", r"\n\r")
}
_BLOCK_EDGE = re.compile(r"/\*|\*/")
_COPY_IN = re.compile(r"copy\b.*\bfrom\s+(?:stdin|stdout)\b", re.IGNORECASE | re.DOTALL)
_END_OF_ROWS = re.compile(r"^\\\.\r?(?:\n|\Z)", re.MULTILINE)


@dataclass(slots=True)
class _Open:
    """A string, quoted name, dollar body or comment that was opened.

    Attributes:
        kind: of its token.
        opener: its first characters; a dollar body ends with the same.
        offset: of the opener in the source.
        depth: of nested comments.
    """

    kind: str
    opener: str
    offset: int
    depth: int = 1

    def end(self, text: str, position: int, newline: str) -> int:
        """Returns where it ends, looking from ``position`` on; -1: not in this text."""
        if self.kind == "block":
            for edge in _BLOCK_EDGE.finditer(text, position):
                self.depth += 1 if edge.group() == "/*" else -1
                if self.depth == 0:
                    return edge.end()
            return -1
        if self.kind == "dollar":
            close = text.find(self.opener, position)
            return -1 if close < 0 else close + len(self.opener)
        inside = {
            "string": _IN_STRING,
            "quoted": _IN_QUOTED,
            "estring": _IN_ESCAPES[newline],
        }[self.kind]
        found = inside.match(text, position)
        close = found.end() if found else position
        return -1 if close == len(text) else close + 1


def tokens(source: str) -> Iterator[Token]:
    """Yields every token of ``source``, blanks and comments included; they cover it without gaps.

    A string, comment or body that is not closed reaches to the end of the source. Variables are
    left as they are.
    """
    position = 0
    while match := _TOKEN.match(source, position):
        kind, end = match.lastgroup or "other", match.end()
        if kind in _OPENERS:
            end = _Open(kind, match.group(), position).end(source, end, r"\r")
            end = len(source) if end < 0 else end
        yield Token(_KINDS.get(kind, kind), position, end)
        position = end


class _Body:
    """Follows ``CREATE [OR REPLACE] FUNCTION|PROCEDURE`` into its ``BEGIN ATOMIC ... END`` body.

    psql's heuristic: in such a statement BEGIN opens, CASE opens when already inside, END closes.
    """

    _HEADS = (
        ("create", "function"),
        ("create", "procedure"),
        ("create", "or", "replace", "function"),
        ("create", "or", "replace", "procedure"),
    )

    def __init__(self) -> None:
        self.depth = 0
        self._words: tuple[str, ...] = ()

    def word(self, word: str, parentheses: int) -> None:
        """Takes the next unquoted word, and in how many parentheses it stands."""
        if len(self._words) < 4:
            self._words += (word.lower(),)
        elif self._words[0] != "create":
            return
        if parentheses or not any(self._words[: len(head)] == head for head in self._HEADS):
            return
        word = word.lower()
        if word == "begin" or (word == "case" and self.depth):
            self.depth += 1
        elif word == "end" and self.depth:
            self.depth -= 1

    def restart(self) -> None:
        """Forgets the words, as psql does after ``\\;``, but not how deep it is."""
        self._words = ()


class _Text:
    """Puts together the text of one statement after the other."""

    def __init__(self, source: str) -> None:
        self.source = source
        self.found: list[Statement] = []
        self.line, self.counted = 1, 0
        self._clear()

    def _clear(self) -> None:
        self.offset = -1  # of the statement being read; -1: none yet
        self.copied = self.end = -1  # what is copied from the source at its end
        self.texts: list[str] = []
        self.pieces: list[tuple[int, int, bool]] = []
        self.length = self.kept = 0  # kept: without blanks at the end

    def copy(self, start: int, end: int) -> None:
        """Adds a token of the source."""
        if self.copied < 0:
            self.copied = start
            if self.offset < 0:
                self.offset = start
        self.end = end

    def blank(self, start: int) -> None:
        """Adds a blank or comment of the source, which counts only if more follows."""
        if self.copied < 0 <= self.offset:
            self.copied = self.end = start

    def put(self, text: str, offset: int, blank: bool = False) -> None:
        """Adds text that stands for what is at ``offset`` in the source."""
        if self.offset < 0:
            if blank:
                return
            self.offset = offset
        self._flush(offset)
        self._add(text, offset, False)
        if not blank:
            self.kept = self.length

    def _flush(self, end: int) -> None:
        if self.copied >= 0:
            if self.end > self.copied:
                self.kept = self.length + self.end - self.copied
            if end > self.copied:
                self._add(self.source[self.copied : end], self.copied, True)
            self.copied = -1

    def _add(self, text: str, offset: int, copied: bool) -> None:
        self.texts.append(text)
        self.pieces.append((self.length, offset, copied))
        self.length += len(text)

    def close(self) -> str | None:
        """Ends the statement, if one was begun, and returns its text."""
        if self.offset < 0:
            return None
        if self.texts:
            self._flush(self.end)
            text = "".join(self.texts)[: self.kept]
        else:
            text = self.source[self.offset : self.end]
        self.line += self.source.count("\n", self.counted, self.offset)
        self.counted = self.offset
        self.found.append(Statement(text, self.offset, self.line, tuple(self.pieces)))
        self._clear()
        return text


def _quoted(text: str, mark: str) -> str:
    """Returns a variable's value as ``:'name'`` or ``:"name"`` writes it."""
    if mark == '"':
        return '"' + text.replace('"', '""') + '"'
    literal = "'" + text.replace("'", "''") + "'"
    # The blank keeps the E apart from a word before it (libpq's PQescapeLiteral).
    return " E" + literal.replace("\\", "\\\\") if "\\" in text else literal


def _after_rows(source: str, line: int, copies: int) -> int:
    """Returns where the script goes on after the rows that begin at ``line``."""
    for _ in range(copies):
        found = _END_OF_ROWS.search(source, line)
        line = found.end() if found else len(source)
    return line


def scan(source: str, variables: Mapping[str, str] | None = None) -> Scan:
    """Splits a script into its statements and meta-commands, in order.

    A backslash outside quotes is a meta-command up to the end of its line, also in the middle of a
    statement (``select 1 \\gset``), where the text before it becomes a statement. Empty statements
    (``;;``) are left out, as psql does not send them.

    Args:
        source: the script.
        variables: the values of psql's variables; one that is not set stays as it is written.
    """
    values = variables or {}
    text, position, name, anchor = source, 0, "", -1  # anchor: the place of the variable read
    outer: list[tuple[str, int, str, int]] = []
    references: list[Reference] = []
    built, body, parentheses, copies = _Text(source), _Body(), 0, 0
    opened: _Open | None = None
    while True:
        if position >= len(text):
            if not outer:
                break
            text, position, name, anchor = outer.pop()
            continue
        start, newline = position, r"\r" if anchor < 0 else r"\n\r"
        offset = start if anchor < 0 else anchor
        if opened is None:
            match = _TOKEN.match(text, start)
            assert match is not None  # noqa: S101  # the last alternative takes anything
            kind, position = match.lastgroup or "other", match.end()
            if kind in _OPENERS:
                opened = _Open(kind, match.group(), offset)
        if opened is not None:
            kind, end = opened.kind, opened.end(text, position, newline)
            position = len(text) if end < 0 else end
            if end >= 0:
                opened = None
            if kind == "block":
                kind = "comment"

        if kind == "variable":
            called = text[start:position].strip(":'\"{?}")
            references.append(Reference(called, offset))
            mark = text[start + 1]
            if mark == "{":
                built.put("TRUE" if called in values else "FALSE", offset)
                continue
            value = values.get(called)
            if value is not None and mark in "'\"":
                built.put(_quoted(value, mark), offset)
                continue
            if value is not None and called not in (name, *(above[2] for above in outer)):
                # A value may be empty, and is read like the script around it.
                built.put("", offset, blank=True)
                outer.append((text, position, name, anchor))
                text, position, name, anchor = value, 0, called, offset
                continue
        elif kind in _BLANK:
            if anchor >= 0:
                built.put(text[start:position], anchor, blank=True)
                continue
            built.blank(start)
            if copies and "\n" in (blank := text[start:position]) and kind == "space":
                position = _after_rows(source, start + blank.index("\n") + 1, copies)
                copies = 0
                built.close()
            continue
        elif kind == "joint":
            built.put(";", offset)
            body.restart()
            continue
        elif kind == "colon":
            built.put(":", offset)
            continue
        elif kind == "meta":
            built.close()
            command = text[start:position].rstrip()
            if anchor < 0:
                built.copy(start, start + len(command))
            else:
                built.put(command, anchor)
            built.close()
            parentheses, body = 0, _Body()
            continue
        elif kind == "word":
            body.word(text[start:position], parentheses)
        elif kind == "other":
            char = text[start]
            if char == ";" and not parentheses and not body.depth:
                sent = built.close()
                copies += sent is not None and _COPY_IN.match(sent) is not None
                body = _Body()
                continue
            if char == "(":
                parentheses += 1
            elif char == ")" and parentheses:
                parentheses -= 1
        if anchor < 0:
            built.copy(start, position)
        else:
            built.put(text[start:position], anchor)
    built.close()
    unclosed = (_KINDS.get(opened.kind, opened.kind), opened.offset) if opened else None
    return Scan(tuple(built.found), tuple(references), unclosed)


def split(source: str, variables: Mapping[str, str] | None = None) -> list[Statement]:
    """Returns the statements and meta-commands of a script; see ``scan``."""
    return list(scan(source, variables).statements)


def parts(statement: Statement, source: str) -> list[Statement]:
    """Returns the statements that ``\\;`` has joined into one request; mostly that one.

    Args:
        statement: a statement of ``source``.
        source: the script.
    """
    if not statement.pieces or ";" not in statement.text:
        return [statement]
    found = []
    for part in split(statement.text):
        end = part.offset + len(part.text)
        offset = statement.source_offset(part.offset)
        inside = [piece for piece in statement.pieces if part.offset < piece[0] < end]
        _, _, copied = max(piece for piece in statement.pieces if piece[0] <= part.offset)
        pieces = [(start - part.offset, place, kind) for start, place, kind in inside]
        line = source.count("\n", 0, offset) + 1
        found.append(Statement(part.text, offset, line, ((0, offset, copied), *pieces)))
    return found
