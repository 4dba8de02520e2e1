"""Generated projects: plan, scripts and configuration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from hypothesis import strategies as st

from .shapes import SHAPES, VARIABLES, Shape

__all__ = ["OTHER", "Generated", "projects", "write"]

_START = datetime(2020, 2, 29, 23, 59, 58, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Generated:
    """A project as its files.

    Attributes:
        files: their texts by path.
        options: for the command line, of every command that runs scripts.
        changes: the names of its changes in order; reworked ones stand there twice.
        stops: for each change, the reference that names exactly it.
        shapes: the shape of each change.
    """

    files: Mapping[str, str]
    options: tuple[str, ...]
    changes: tuple[str, ...]
    stops: tuple[str, ...]
    shapes: tuple[str, ...]


_NAMES = st.sampled_from(
    ["c$N", "kind/c$N", "deep/er/c$N", "\u00fcn\u00ef_$N", "c-$N.x", "C$N", "\u8868$N"]
)
_NOTES = st.text(
    st.characters(codec="utf-8", exclude_categories=("Cc", "Cs", "Zl", "Zp")), max_size=30
).map(lambda text: " ".join(text.split()))
_NOTE = st.one_of(
    st.sampled_from(
        ["Add it", "", "0", "Fixes #1 [x] @y", "one\\ntwo", "a \\\\ b", "\u201cquoted\u201d"]
    ),
    _NOTES.map(lambda text: text.replace("\\", "\\\\")),
)
_BY = st.sampled_from(
    ["Ada <ada@example.com>", "Zo\u00eb O\u2019Vera <zoe@example.com>", "two  blanks  <x y@z>"]
)


class _Lines:
    """The lines of a plan as they are drawn: each has its own time, planner and note."""

    def __init__(self, draw: st.DrawFn) -> None:
        self.draw = draw
        self.lines: list[str] = []

    def add(self, entry: str) -> None:
        at = _START + timedelta(minutes=len(self.lines))
        note = self.draw(_NOTE)
        end = f" # {note}" if note else ""
        self.lines.append(f"{entry} {at:%Y-%m-%dT%H:%M:%SZ} {self.draw(_BY)}{end}")


@st.composite
def projects(draw: st.DrawFn) -> Generated:
    """Projects in which every shape occurs, in any order, with tags, reworks and dependencies."""
    plan = _Lines(draw)
    files: dict[str, str] = {}
    changes: list[str] = []
    stops: list[str] = []
    tags: list[str] = []
    known: list[str] = []  # what a change may require
    shapes = draw(st.permutations(list(SHAPES)))
    names = [draw(_NAMES).replace("$N", str(number)) for number in range(len(shapes))]
    for number, (name, label) in enumerate(zip(names, shapes, strict=True)):
        some = draw(st.lists(st.sampled_from(known), unique=True, max_size=3)) if known else []
        # Sqitch refuses a conflict with a change of this project that is not in the plan at all.
        later = f"!{draw(st.sampled_from(names[number + 1 :] or ['other:more@no']))}"
        some += draw(st.sampled_from([[], [], [later], ["!other:nosuch", later]]))
        some += draw(st.sampled_from([[], [], ["other:base"], ["other:more", "other:@o1"]]))
        plan.add(f"{name} [{' '.join(some)}]" if some else name)
        files |= _scripts(SHAPES[label], name, number)
        changes.append(name)
        stops.append(name)
        known.append(name)
        if draw(st.integers(0, 4)) == 0:
            tag = f"@v{len(tags)}"
            plan.add(tag)
            tags.append(tag)
            known += [tag, f"{name}{tag}"]
    plan.add("@released")
    for number, label in enumerate(shapes):
        if SHAPES[label].reworked is None:
            continue
        name = changes[number]
        plan.add(f"{name} [{name}@released]")
        changes.append(name)
        for kind in ("deploy", "revert", "verify"):
            files[f"{kind}/{name}@released.sql"] = files[f"{kind}/{name}.sql"]
        files[f"revert/{name}.sql"] = files[f"deploy/{name}.sql"] + "\n-- the former one\n"
        files[f"deploy/{name}.sql"] = str(SHAPES[label].reworked).replace("$N", str(number))
        stops[number] = f"{name}@released"
        stops.append(f"{name}@HEAD")
    uri = draw(st.sampled_from(["", "%uri=https://Example.com/p\n"]))
    files["sqitch.plan"] = f"%syntax-version=1.0.0\n%project=main\n{uri}\n" + "\n".join(
        [*plan.lines, ""]
    )
    places = {
        name: draw(st.sampled_from(["core", "deploy", "engine", "given"])) for name in VARIABLES
    }
    files["sqitch.conf"] = _configuration(places)
    options = [
        word
        for name, place in places.items()
        if place == "given"
        for word in ("--set", f"{name}={VARIABLES[name]}")
    ]
    return Generated(files, tuple(options), tuple(changes), tuple(stops), tuple(shapes))


def _scripts(shape: Shape, name: str, number: int) -> dict[str, str]:
    scripts = {"deploy": shape.deploy, "revert": shape.revert, "verify": shape.verify}
    root = "../" * (name.count("/") + 1)
    return {
        f"{kind}/{name}.sql": text.replace("$N", str(number)).replace("$ROOT", root)
        for kind, text in scripts.items()
        if text is not None
    } | dict(shape.files)


def _configuration(places: Mapping[str, str]) -> str:
    """Returns a sqitch.conf in which the variables stand in their places, each for all kinds."""
    sections = {
        "core": ['core "variables"'],
        "deploy": ['deploy "variables"', 'revert "variables"', 'verify "variables"'],
        "engine": ['engine "pg.variables"'],
    }
    lines = ["[core]", "\tengine = pg"]
    for place, titles in sections.items():
        here = [f'\t{name} = "{VARIABLES[name]}"' for name in places if places[name] == place]
        for title in titles if here else ():
            lines += [f"[{title}]", *here]
    return "\n".join([*lines, ""])


def write(folder: Path, files: Mapping[str, str]) -> Path:
    """Writes a project's files, bytes as they are."""
    for path, text in files.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_bytes(text.encode())
    return folder


OTHER = {
    "sqitch.plan": "%project=other\n\nbase 2020-01-01T00:00:00Z Ada <ada@example.com>\n"
    "more [base] 2020-01-02T00:00:00Z Ada <ada@example.com>\n"
    "@o1 2020-01-03T00:00:00Z Ada <ada@example.com>\n",
    "sqitch.conf": "[core]\n\tengine = pg\n",
    "deploy/base.sql": "create table other_base (i int);",
    "revert/base.sql": "drop table other_base;",
    "deploy/more.sql": "create table other_more (i int);",
    "revert/more.sql": "drop table other_more;",
}
"""Another project in the same registry, which the generated ones may require."""
