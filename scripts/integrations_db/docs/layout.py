"""Where the boxes and lines of an entity diagram go: layers from left to right.

A table stands to the right of those that it refers to. Where a line passes a layer, a place is kept
free for it. Within layers, order follows the neighbours (barycentres, a few sweeps), and each box
comes as near to its neighbours as the order lets it (isotonic regression). All numbers are whole,
so the same tables give the same drawing everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

__all__ = ["Box", "Line", "Placed", "place"]

GAP_X = 64
GAP_Y = 36
LANE = 14  # the height of a place for a line
_SWEEPS = 12


@dataclass(frozen=True, slots=True)
class Box:
    """What is to be placed: its size in pixels."""

    width: int
    height: int


@dataclass(frozen=True, slots=True)
class Line:
    """A line from a box to another one, that shall stand to its left; heights are within each."""

    start: Hashable
    start_y: int
    end: Hashable
    end_y: int


@dataclass(slots=True)
class Placed:
    """A drawing.

    Attributes:
        at: left and top of each box.
        paths: for each line its points, where a line turns at each; ``start`` comes first.
        width: of the whole.
        height: of the whole.
    """

    at: dict[Hashable, tuple[int, int]] = field(default_factory=dict)
    paths: list[list[tuple[int, int]]] = field(default_factory=list)
    width: int = 0
    height: int = 0


def place(boxes: Mapping[Hashable, Box], lines: Sequence[Line], width: int = 1200) -> Placed:
    """Places boxes.

    Args:
        boxes: by key; their order decides where nothing else does.
        lines: between them.
        width: what boxes without a line are wrapped at.
    """
    between = [it for it in lines if it.start != it.end]
    tied = [key for key in boxes if any(key in (it.start, it.end) for it in between)]
    layers = _layers(tied, between)
    placed = Placed()
    columns: list[list[Hashable]] = [[] for _ in range(max(layers.values(), default=-1) + 1)]
    for key in tied:
        columns[layers[key]].append(key)
    # Chains: what each line passes, from left to right.
    chains: dict[int, list[Hashable]] = {}
    for number, line in enumerate(lines):
        if line.start == line.end:
            continue
        left, right = sorted((line.start, line.end), key=lambda key: layers[key])
        passed: list[Hashable] = [
            ("lane", number, layer) for layer in range(layers[left] + 1, layers[right])
        ]
        for lane in passed:
            columns[lane[2]].append(lane)  # type: ignore[index]
        chains[number] = [left, *passed, right]
    links = [
        (a, b, _height(lines[number], a), _height(lines[number], b))
        for number, chain in chains.items()
        for a, b in pairwise(chain)
    ]
    _order(columns, links)
    tops = _tops(columns, links, boxes)
    wides = [
        max((boxes[key].width for key in column if key in boxes), default=0) for column in columns
    ]
    x = 0
    for column, wide in zip(columns, wides, strict=True):
        for key in column:
            placed.at[key] = (x, tops[key])
        x += wide + GAP_X
    placed.width = max(0, x - GAP_X)
    placed.height = max((tops[key] + boxes[key].height for key in tied), default=0)
    _wrap(placed, boxes, {it.start for it in lines if it.start == it.end}, width)
    for number, line in enumerate(lines):
        placed.paths.append(_path(placed, boxes, line, chains.get(number), wides))
    for key in [key for key in placed.at if key not in boxes]:
        del placed.at[key]
    return placed


def _height(line: Line, key: Hashable) -> int:
    """Returns where a line leaves a box, or a lane."""
    return line.start_y if key == line.start else line.end_y if key == line.end else LANE // 2


def _layers(keys: Sequence[Hashable], lines: Sequence[Line]) -> dict[Hashable, int]:
    """Returns the layer of each box; lines that would close a circle are turned around."""
    left: dict[Hashable, list[Hashable]] = {key: [] for key in keys}
    state: dict[Hashable, int] = {}
    goes: dict[Hashable, list[Hashable]] = {key: [] for key in keys}
    for line in lines:
        goes[line.start].append(line.end)
    for root in keys:
        if root in state:
            continue
        state[root] = 1
        stack = [(root, iter(goes[root]))]
        while stack:
            key, rest = stack[-1]
            for other in rest:
                if state.get(other) == 1:
                    left[other].append(key)  # a circle
                    continue
                left[key].append(other)
                if other not in state:
                    state[other] = 1
                    stack.append((other, iter(goes[other])))
                    break
            else:
                state[key] = 2
                stack.pop()
    layers: dict[Hashable, int] = {}
    order = _sorted(keys, left)
    for key in order:
        layers[key] = max((layers[it] + 1 for it in left[key]), default=0)
    # What refers to nothing comes as near as it can to what refers to it.
    right: dict[Hashable, list[Hashable]] = {key: [] for key in keys}
    for key in keys:
        for it in left[key]:
            right[it].append(key)
    for key in reversed(order):
        if right[key] and not left[key]:
            layers[key] = min(layers[it] for it in right[key]) - 1
    return layers


def _sorted(
    keys: Sequence[Hashable], before: Mapping[Hashable, Sequence[Hashable]]
) -> list[Hashable]:
    """Returns the keys, each after those that come before it."""
    done: dict[Hashable, None] = {}
    for root in keys:
        stack = [root]
        while stack:
            key = stack[-1]
            waiting = [it for it in before[key] if it not in done]
            if key in done or not waiting:
                done.setdefault(key)
                stack.pop()
            else:
                stack += waiting
    return list(done)


_Link = tuple[Hashable, Hashable, int, int]


def _order(columns: list[list[Hashable]], links: Sequence[_Link]) -> None:
    """Brings each column into an order in which few lines cross."""
    near: dict[Hashable, list[tuple[Hashable, int]]] = {}
    for a, b, at_a, at_b in links:
        near.setdefault(a, []).append((b, at_b))
        near.setdefault(b, []).append((a, at_a))
    for sweep in range(_SWEEPS):
        rank = {key: place for column in columns for place, key in enumerate(column)}
        there = range(len(columns)) if sweep % 2 == 0 else range(len(columns) - 1, -1, -1)
        for index in there:
            beside = set(columns[index - 1] if index and sweep % 2 == 0 else ())
            if sweep % 2 and index + 1 < len(columns):
                beside = set(columns[index + 1])

            middle = {}
            for key in columns[index]:
                # In thousandths, to stay with whole numbers; where on a box counts a little.
                found = [rank[it] * 1000 + at for it, at in near.get(key, ()) if it in beside]
                middle[key] = (sum(found) // len(found) if found else rank[key] * 1000, rank[key])
            columns[index].sort(key=middle.__getitem__)
            rank |= {key: place for place, key in enumerate(columns[index])}


def _tops(
    columns: Sequence[Sequence[Hashable]],
    links: Sequence[_Link],
    boxes: Mapping[Hashable, Box],
) -> dict[Hashable, int]:
    """Returns the top of everything, so that lines are as straight as the order lets them be."""
    tops: dict[Hashable, int] = {}
    heights: dict[Hashable, int] = {}
    for column in columns:
        y = 0
        for key in column:
            heights[key] = boxes[key].height if key in boxes else LANE
            tops[key] = y
            y += heights[key] + GAP_Y
    near: dict[Hashable, list[tuple[Hashable, int, int]]] = {}
    for a, b, at_a, at_b in links:
        near.setdefault(a, []).append((b, at_a, at_b))
        near.setdefault(b, []).append((a, at_b, at_a))
    for sweep in range(_SWEEPS):
        for column in columns if sweep % 2 == 0 else reversed(columns):
            wished = []
            for key in column:
                found = [tops[it] + there - here for it, here, there in near.get(key, ())]
                wished.append(sum(found) // len(found) if found else tops[key])
            offsets, y = [], 0
            for key in column:
                offsets.append(y)
                y += heights[key] + (GAP_Y if key in boxes else GAP_Y // 2)
            for key, top in zip(column, _nearest(wished, offsets), strict=True):
                tops[key] = top
    least = min(tops.values(), default=0)
    return {key: top - least for key, top in tops.items()}


def _nearest(wished: Sequence[int], offsets: Sequence[int]) -> list[int]:
    """Returns the places nearest to those wished that keep the distances of the offsets."""
    blocks: list[tuple[int, int]] = []  # sum and number of what moves together
    for wish, offset in zip(wished, offsets, strict=True):
        total, count = wish - offset, 1
        while blocks and blocks[-1][0] * count > total * blocks[-1][1]:
            before = blocks.pop()
            total, count = total + before[0], count + before[1]
        blocks.append((total, count))
    found = [total // count for total, count in blocks for _ in range(count)]
    return [place + offset for place, offset in zip(found, offsets, strict=True)]


def _wrap(
    placed: Placed, boxes: Mapping[Hashable, Box], loops: Collection[Hashable], width: int
) -> None:
    """Puts what has no line to others below, in rows, with room for lines to itself."""
    width = max(width, placed.width)
    x, y, high = 0, placed.height + (GAP_Y if placed.height else 0), 0
    for key, box in boxes.items():
        if key in placed.at:
            continue
        if x and x + box.width > width:
            x, y, high = 0, y + high + GAP_Y, 0
        placed.at[key] = (x, y)
        placed.width = max(placed.width, x + box.width)
        placed.height = max(placed.height, y + box.height)
        gap = GAP_X if key in loops else GAP_X // 2
        x, high = x + box.width + gap, max(high, box.height)


def _path(
    placed: Placed,
    boxes: Mapping[Hashable, Box],
    line: Line,
    chain: Sequence[Hashable] | None,
    wides: Sequence[int],
) -> list[tuple[int, int]]:
    """Returns the points of a line, from its start to its end."""
    if chain is None:  # to itself: out and in again on the right
        x, y = placed.at[line.start]
        right = x + boxes[line.start].width
        return [(right, y + line.start_y), (right, y + line.end_y)]
    points = []
    for key in chain:
        x, y = placed.at[key]
        height = y + _height(line, key)
        if key not in boxes:
            layer = key[2]  # type: ignore[index]
            points += [(x, height), (x + wides[layer], height)]
        elif key == chain[0]:
            points.append((x + boxes[key].width, height))
        else:
            points.append((x, height))
    return points if chain[0] == line.start else points[::-1]
