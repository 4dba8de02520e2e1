"""The entity diagram as shapes with places and sizes, for the template that writes SVG."""

from __future__ import annotations

import unicodedata
from collections.abc import Hashable
from dataclasses import dataclass
from itertools import pairwise

from integrations_db.docs.diagram import cardinality, keys_of
from integrations_db.docs.layout import Box, Line, place
from integrations_db.docs.model import Constraint, Model, Relation
from integrations_db.docs.words import one_line, short_type

__all__ = ["Drawing", "drawings"]

_ROW = 22
_HEAD = 42
_BADGE = 30  # what the keys of a column take, on its left
_CHARACTER = 7.3  # the width of one in the monospaced font of 12 pixels, and a little
_TOGETHER = 40  # so many tables are drawn in one diagram; of more, each schema has its own
_MARGIN = 12
_LOOP = 56  # how far a reference to the same table bulges


@dataclass(frozen=True, slots=True)
class Row:
    """A column in the box of a table; y is where its text stands."""

    y: int
    name: str
    type: str
    keys: str
    required: bool


@dataclass(frozen=True, slots=True)
class Entity:
    """The box of a table."""

    table: Relation
    x: int
    y: int
    width: int
    height: int
    rows: tuple[Row, ...]
    head: int = _HEAD


@dataclass(frozen=True, slots=True)
class Reference:
    """The line of a foreign key: its way, and the feet at both ends, as paths of SVG."""

    key: Constraint
    table: Relation
    referenced: Relation
    cardinality: tuple[str, str]
    path: str
    feet: str
    circles: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Drawing:
    """A diagram."""

    name: str
    width: int
    height: int
    entities: tuple[Entity, ...]
    references: tuple[Reference, ...]


def drawings(model: Model) -> list[Drawing]:
    """Returns the diagrams of a database: one, or where it is large one of each schema."""
    if not model.tables:
        return []
    if len(model.tables) <= _TOGETHER:
        return [_drawn(model, model.name)]
    parts = [(model.only([it.name]), it.name) for it in model.schemas]
    return [_drawn(part, name) for part, name in parts if part.tables]


def _wide(text: str) -> int:
    """Returns how many columns of a monospaced font a text takes."""
    return sum(2 if unicodedata.east_asian_width(it) in "WF" else 1 for it in text)


def _cut(text: str, most: int) -> str:
    text = one_line(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _rows(table: Relation, ident: str) -> tuple[Row, ...]:
    return tuple(
        Row(
            _HEAD + number * _ROW + 16,
            _cut(column.name, 40),
            _cut(short_type(column.type, ident), 32),
            " ".join(keys_of(table, column)[:1]),
            column.required,
        )
        for number, column in enumerate(table.columns)
    )


def _box(table: Relation, rows: tuple[Row, ...]) -> Box:
    widths = [_wide(row.name) + _wide(row.type) + 3 for row in rows]
    head = (_wide(table.name) + 1) * 1.08
    body = max(widths, default=0) * _CHARACTER + _BADGE
    width = max(body, head * _CHARACTER, 160) + 16
    return Box(int(width), _HEAD + len(rows) * _ROW + 8)


def _row_of(table: Relation, names: tuple[str, ...]) -> int:
    """Returns the height, in its box, of the column at which a line ends."""
    # Of several columns the one that says most: not what every key begins with.
    telling = [name for name in names if name not in table.primary_key] or list(names)
    at = next((n for n, it in enumerate(table.columns) if it.name == telling[-1]), 0)
    return _HEAD + at * _ROW + _ROW // 2


def _drawn(model: Model, name: str) -> Drawing:
    idents = {it.name: it.ident for it in model.schemas}
    rows = {it.key: _rows(it, idents[it.schema]) for it in model.tables}
    boxes: dict[Hashable, Box] = {it.key: _box(it, rows[it.key]) for it in model.tables}
    references = list(model.references())
    lines = [
        Line(
            table.key,
            _row_of(table, key.columns),
            referenced.key,
            _row_of(referenced, key.referenced_columns),
        )
        for table, key, referenced in references
    ]
    placed = place(boxes, lines)
    entities = tuple(
        Entity(
            table,
            placed.at[table.key][0] + _MARGIN,
            placed.at[table.key][1] + _MARGIN,
            boxes[table.key].width,
            boxes[table.key].height,
            rows[table.key],
        )
        for table in model.tables
    )
    loops = any(table is referenced for table, _, referenced in references)
    return Drawing(
        name,
        placed.width + 2 * _MARGIN + (_LOOP if loops else 0),
        placed.height + 2 * _MARGIN,
        entities,
        tuple(
            _reference(table, key, referenced, [(x + _MARGIN, y + _MARGIN) for x, y in points])
            for (table, key, referenced), points in zip(references, placed.paths, strict=True)
        ),
    )


def _reference(
    table: Relation, key: Constraint, referenced: Relation, points: list[tuple[int, int]]
) -> Reference:
    loop = table is referenced
    start, end = points[0], points[-1]
    # Which way the line leaves its table, and what it refers to.
    leaves = 1 if loop or end[0] > start[0] else -1
    arrives = 1 if loop else -leaves
    path = f"M{start[0]} {start[1]}"
    for (x1, y1), (x2, y2) in pairwise(points):
        if loop:
            path += f"C{x1 + _LOOP} {y1} {x2 + _LOOP} {y2} {x2} {y2}"
        elif y1 == y2:
            path += f"L{x2} {y2}"
        else:
            half = (x2 - x1) // 2
            path += f"C{x1 + half} {y1} {x2 - half} {y2} {x2} {y2}"
    counts = cardinality(table, key)
    feet, circles = [], []
    for (x, y), way, count in ((start, leaves, counts[1]), (end, arrives, counts[0])):
        if count == "0..*":
            feet.append(f"M{x} {y - 6}L{x + 12 * way} {y}L{x} {y + 6}")
        else:
            feet.append(f"M{x + 7 * way} {y - 6}V{y + 6}")
        if count == "1":
            feet.append(f"M{x + 12 * way} {y - 6}V{y + 6}")
        else:
            circles.append((x + 16 * way, y))
    return Reference(key, table, referenced, counts, path, "".join(feet), tuple(circles))
