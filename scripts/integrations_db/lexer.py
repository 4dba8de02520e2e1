"""Splits a psql script into statements, exactly where psql would.

The rules are those of psql's own scanner (PostgreSQL, ``src/fe_utils/psqlscan.l``): a semicolon
ends a statement unless it stands in a string, a quoted identifier, a comment, a dollar-quoted body,
parentheses, or the ``BEGIN ATOMIC ... END`` body of a function. Strings are read with
``standard_conforming_strings`` on, PostgreSQL's default since 9.1; as in psql, which reads line by
line, a literal that continues an E'' string on the next line is an ordinary one.

Only boundaries are found here; what a statement means is not judged.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

__all__ = ["Statement", "Token", "split", "tokens"]


@dataclass(frozen=True, slots=True)
class Statement:
    """One statement of a script, or one psql meta-command (its text begins with a backslash).

    Attributes:
        text: from the first token to the last; comments inside are kept, the final ``;`` is not.
        offset: 0-based character offset of ``text[0]`` in the source.
        line: 1-based line of ``text[0]``.
    """

    text: str
    offset: int
    line: int


@dataclass(frozen=True, slots=True)
class Token:
    """A lexical unit of a script.

    Attributes:
        kind: space, comment, string, quoted, dollar, word, number, meta or other (one character).
        start: offset of its first character.
        end: offset after its last character.
    """

    kind: str
    start: int
    end: int


# psql takes every byte above 0x7f as a letter.
_LETTER = "A-Za-z_\u0080-\U0010ffff"
_TOKEN = re.compile(
    rf"""
      (?P<space>[ \t\n\r\f\v]+)
    | (?P<comment>--[^\n\r]*)
    | (?P<block>/\*)
    | (?P<estring>[eE]'(?:[^'\\]|\\.|'')*'?)
    | (?P<string>(?:[uU]&|[bBxXnN])?'[^']*(?:''[^']*)*'?)
    | (?P<quoted>(?:[uU]&)?"[^"]*(?:""[^"]*)*"?)
    | (?P<dollar>\$(?:[{_LETTER}][{_LETTER}0-9]*)?\$)
    | (?P<word>[{_LETTER}][{_LETTER}0-9$]*)
    | (?P<number>[0-9]+)
    | (?P<meta>\\[^\n]*)
    | (?P<other>.)
    """,
    re.VERBOSE | re.DOTALL,
)
_BLOCK_EDGE = re.compile(r"/\*|\*/")


def _end_of_block(source: str, position: int) -> int:
    """Returns where the nested block comment whose ``/*`` ends at ``position`` ends."""
    depth = 1
    for edge in _BLOCK_EDGE.finditer(source, position):
        depth += 1 if edge.group() == "/*" else -1
        if depth == 0:
            return edge.end()
    return len(source)


def tokens(source: str) -> Iterator[Token]:
    """Yields every token of ``source``, blanks and comments included; they cover it without gaps.

    A string, comment or body that is not closed reaches to the end of the source.
    """
    position = 0
    while match := _TOKEN.match(source, position):
        kind, end = match.lastgroup or "other", match.end()
        if kind == "block":
            kind, end = "comment", _end_of_block(source, end)
        elif kind == "estring":
            kind = "string"
        elif kind == "dollar":
            close = source.find(match.group(), end)
            end = len(source) if close < 0 else close + len(match.group())
        yield Token(kind, position, end)
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

    def word(self, word: str) -> None:
        """Takes the next unquoted word that stands outside parentheses or inside."""
        if len(self._words) < 4:
            self._words += (word,)
        if not any(self._words[: len(head)] == head for head in self._HEADS):
            return
        if word == "begin" or (word == "case" and self.depth):
            self.depth += 1
        elif word == "end" and self.depth:
            self.depth -= 1


def split(source: str) -> list[Statement]:
    """Splits a script into its statements and meta-commands, in order.

    A backslash outside quotes is a meta-command up to the end of its line, also in the middle of a
    statement (``select 1 \\gset``), where the text before it becomes a statement. Empty statements
    (``;;``) are left out, as psql does not send them.
    """
    found: list[Statement] = []
    start = end = -1  # of the statement being read; -1: none yet
    line, counted = 1, 0
    parentheses, body = 0, _Body()

    def close() -> None:
        nonlocal start, parentheses, body, line, counted
        if start >= 0:
            line += source.count("\n", counted, start)
            counted = start
            found.append(Statement(source[start:end], start, line))
        start, parentheses, body = -1, 0, _Body()

    for token in tokens(source):
        if token.kind in ("space", "comment"):
            continue
        char = source[token.start]
        if token.kind == "other" and char == ";" and not parentheses and not body.depth:
            close()
            continue
        if token.kind == "meta":
            close()
            start, end = token.start, token.end
            while source[end - 1].isspace():
                end -= 1
            close()
            continue
        if start < 0:
            start = token.start
        end = token.end
        if token.kind == "word" and not parentheses:
            body.word(source[token.start : token.end].lower())
        elif token.kind == "other" and char == "(":
            parentheses += 1
        elif token.kind == "other" and char == ")" and parentheses:
            parentheses -= 1
    close()
    return found
