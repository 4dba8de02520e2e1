"""The parts of a Markdown page that are written from the catalogue.

A region stands between two comments, each on a line of its own::

    <!-- docs: table app.orders -->
    ...
    <!-- /docs -->

A blank in a name is written %20. What is between them is replaced; everything else belongs to
people. Blocks of code hold no regions.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

from integrations_db.errors import Failure

__all__ = ["Region", "anchor", "find", "replace"]

_BEGIN = re.compile(r"<!-- docs: ([a-z]+(?:-[a-z]+)*)((?: \S+)*) -->")
_END = "<!-- /docs -->"
_HEADING = re.compile(r"(#{1,6})\s+(.*?)\s*#*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})([^`]*)")


@dataclass(frozen=True, slots=True)
class Region:
    """A region.

    Attributes:
        kind: which template renders it.
        names: of what.
        page: the page's file name.
        line: of the page, from 1.
        level: of the heading above it; 0 without one.
        heading: the text of that.
    """

    kind: str
    names: tuple[str, ...]
    page: str
    line: int
    level: int
    heading: str

    @property
    def place(self) -> str:
        """Where it begins, for a message."""
        return f"{self.page}:{self.line}"


def _parts(text: str, page: str) -> Iterator[tuple[str, Region | None]]:
    """Yields the lines that stay, each with its end, and after the one that begins a region it."""
    fence = ""
    level, heading = 0, ""
    inside: Region | None = None
    # Only what ends a line of Markdown.
    for number, line in enumerate(re.findall(r"[^\n]*\n|[^\n]+", text), 1):
        bare = line.rstrip()
        fenced = _FENCE.fullmatch(bare)
        if fence:
            if fenced and fenced[1].startswith(fence) and not fenced[2].strip():
                fence = ""
        elif fenced:
            fence = fenced[1]
        elif bare == _END:
            if inside is None:
                raise Failure(f"{page}:{number}: {_END} ends no region; take it out.")
            inside = None
        elif begun := _BEGIN.fullmatch(bare):
            if inside is not None:
                raise Failure(
                    f"{page}:{number}: a region begins inside the one of line {inside.line}; "
                    f"end that first: {_END}"
                )
            names = tuple(unquote(name) for name in begun[2].split())
            inside = Region(begun[1], names, page, number, level, heading)
            yield line, inside
            continue
        elif bare.startswith("<!-- docs:") or bare.startswith("<!-- /docs"):
            raise Failure(
                f"{page}:{number}: this is no mark of a region; it looks like "
                f"<!-- docs: table app.orders --> and {_END}"
            )
        elif inside is None and (found := _HEADING.fullmatch(bare)):
            level, heading = len(found[1]), found[2]
        if inside is None:
            yield line, None
    if inside is not None:
        raise Failure(f"{inside.place}: the region has no end; put {_END} on a line after it.")


def find(text: str, page: str) -> list[Region]:
    """Returns the regions of a page.

    Args:
        text: of the page.
        page: its file name, for messages.

    Raises:
        Failure: a mark is wrong; the message names its line.
    """
    return [region for _, region in _parts(text, page) if region]


def replace(text: str, page: str, render: Callable[[Region], str]) -> str:
    """Returns a page with its regions rendered anew.

    Args:
        text: of the page.
        page: its file name, for messages.
        render: returns what belongs into a region.

    Raises:
        Failure: a mark is wrong, or a region cannot be rendered.
    """
    made = []
    for line, region in _parts(text, page):
        made.append(line)
        if region:
            made.append(f"\n{render(region)}\n\n")
    return "".join(made)


def anchor(heading: str) -> str:
    """Returns the anchor of a heading, as GitHub and its likes make it."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")
