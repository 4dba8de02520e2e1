"""The PL/pgSQL bodies of a project's deploy scripts: which file and line each comes from.

Only functions are meant: a ``do`` block has no name by which PostgreSQL would know it later.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

from ..lexer import split

__all__ = ["Written", "find", "written"]

_NAME = r'(?:"(?:[^"]|"")+"|[\w$]+)'
_CREATES = re.compile(
    r"create\s+(?:or\s+replace\s+)?(?:function|procedure)\s+"
    rf"({_NAME}(?:\s*\.\s*{_NAME})?)\s*\(",
    re.IGNORECASE,
)
_LANGUAGE = re.compile(r"\blanguage\s+['\"]?plpgsql\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Written:
    """A function in PL/pgSQL as a script creates it.

    Attributes:
        name: its name as the catalogue has it, without arguments; with a schema where the script
            names that.
        path: the script.
        line: 1-based line of the script on which the text begins.
        text: the statement.
    """

    name: str
    path: Path
    line: int
    text: str

    def line_of(self, body: str, line: int) -> int:
        """Says on which line of the script a line of the body stands.

        Args:
            body: the function's source as the catalogue has it (``prosrc``), a part of the text.
            line: as PL/pgSQL counts, where 1 is the rest of the line that opens the body.
        """
        return self.line + self.text.count("\n", 0, self.text.index(body)) + line - 1


def written(scripts: Iterable[Path]) -> list[Written]:
    """Gives the functions in PL/pgSQL that scripts create.

    Raises:
        OSError: a script cannot be read.
        UnicodeDecodeError: it is not UTF-8.
    """
    return [
        Written(_as_stored(found[1]), path, statement.line, statement.text)
        for path in scripts
        for statement in split(path.read_text(encoding="utf-8"))
        if (found := _CREATES.match(statement.text)) and _LANGUAGE.search(statement.text)
    ]


def _as_stored(name: str) -> str:
    parts = re.findall(_NAME, name)
    return ".".join(
        part[1:-1].replace('""', '"') if part.startswith('"') else part.lower() for part in parts
    )


def find(functions: Sequence[Written], name: str, body: str) -> Written | None:
    """Gives the function of this name, schema included, that has exactly this body; or nothing."""
    return next(
        (one for one in functions if f".{name}".endswith(f".{one.name}") and body in one.text),
        None,
    )
