"""Reports how much of a project's functions in PL/pgSQL ran while its tests ran.

``pytest --plpgsql-coverage=FOLDER`` writes profiles into the folder, one file for each process;
``python -m integrations_db.testing.coverage FOLDER`` adds them up. Functions are counted that the
deploy scripts create by name, in PL/pgSQL, as they are written there now; not ``do`` blocks, and
not functions in SQL, of which only those that were never called are named.

Statements are those of plpgsql_check: all but NULL, blocks among them. Branches are the parts of
IF, CASE, loops, and blocks with EXCEPTION, and the way around an IF that has no ELSE; a part in
which there is nothing but NULL is not known to the profiler, nor counted here.
"""

from __future__ import annotations

import html
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from xml.etree import ElementTree

import click

from .bodies import Written, find, written
from .profiles import Profiles, Statement, read

__all__ = ["Covered", "branches", "cobertura", "covered", "main", "page", "text"]


@dataclass(frozen=True, slots=True)
class Covered:
    """A function, and what ran of it.

    Attributes:
        signature: its name, with schema and arguments.
        script: where it is created.
        lines: for each line of the script with statements, how often each of them ran.
        ways: for each line of the script with branches, how often each of them was taken.
    """

    signature: str
    script: Written
    lines: dict[int, list[int]]
    ways: dict[int, list[int]]

    @property
    def statements(self) -> list[int]:
        """How often each statement ran."""
        return [runs for line in self.lines.values() for runs in line]

    @property
    def branches(self) -> list[int]:
        """How often each branch was taken."""
        return [runs for line in self.ways.values() for runs in line]

    @property
    def missed(self) -> list[int]:
        """The lines of the script with a statement that never ran."""
        return sorted(line for line, runs in self.lines.items() if 0 in runs)


def branches(statements: Sequence[Statement]) -> Iterator[tuple[Statement, int]]:
    """Gives each branch, as the statement that chooses it and how often it was taken."""
    parts: dict[int, dict[str, int]] = {}
    for statement in statements:
        if statement.parent is not None and statement.place == 1:
            parts.setdefault(statement.parent, {})[statement.part or ""] = statement.runs
    for statement in statements:
        taken = parts.get(statement.number, {})
        if list(taken) == ["body"]:
            continue  # a block without EXCEPTION has one way only
        for runs in taken.values():
            yield statement, runs
        if statement.kind == "IF" and "else body" not in taken:
            yield statement, max(0, statement.runs - sum(taken.values()))


def covered(profiles: Profiles, scripts: Sequence[Written]) -> list[Covered]:
    """Gives what ran of the functions that scripts create, in the order of the scripts.

    Raises:
        LookupError: a function was in no database that was read; the message names it.
    """
    found: dict[Written, Covered] = {}
    for function, statements in profiles.functions.items():
        script = find(scripts, function.name, function.body)
        if script is None:
            continue
        one = found.setdefault(script, Covered(function.signature, script, {}, {}))
        for statement in statements:
            line = script.line_of(function.body, statement.line)
            one.lines.setdefault(line, []).append(statement.runs)
        for statement, runs in branches(statements):
            line = script.line_of(function.body, statement.line)
            one.ways.setdefault(line, []).append(runs)
    names = {one.name for one in found}
    missing = sorted({one.name for one in scripts} - names)
    if missing:
        raise LookupError(
            "no database of the tests had these functions as the scripts create them now: "
            + ", ".join(missing)
        )
    return [found[one] for one in scripts if one in found]


def _share(runs: Sequence[int]) -> float:
    """Gives the part that ran, from 0 to 1; of nothing, all did."""
    return sum(map(bool, runs)) / len(runs) if runs else 1.0


def _percent(runs: Sequence[int]) -> str:
    # Rounded down, so that only all of it is 100.0.
    return f"{int(_share(runs) * 1000) / 10:.1f} %"


def text(found: Sequence[Covered]) -> str:
    """Writes a line for each function, with the lines that were not reached, and the total."""
    rows = [
        (
            one.signature.partition("(")[0],
            _percent(one.statements),
            _percent(one.branches),
            " ".join(f"{one.script.path}:{line}" for line in one.missed),
        )
        for one in found
    ]
    statements, ways = _totals(found)
    rows.append(("all functions", _percent(statements), _percent(ways), ""))
    head = ("function in PL/pgSQL", "statements", "branches", "not reached")
    width = max(len(row[0]) for row in [head, *rows])
    return "\n".join(
        f"{name:<{width}}  {first:>10}  {second:>8}  {where}".rstrip()
        for name, first, second, where in [head, *rows]
    )


def _totals(found: Sequence[Covered]) -> tuple[list[int], list[int]]:
    return [r for one in found for r in one.statements], [r for one in found for r in one.branches]


def cobertura(found: Sequence[Covered], root: Path) -> str:
    """Writes the report as XML of Cobertura (its ``coverage-04.dtd``).

    A line with several statements counts as often as the one that ran least.

    Args:
        found: what ran.
        root: what the scripts' paths are relative to.
    """
    lines = [min(runs) for one in found for runs in one.lines.values()]
    ways = _totals(found)[1]
    top = ElementTree.Element(
        "coverage",
        {
            **_rates(lines, ways),
            "lines-covered": str(sum(map(bool, lines))),
            "lines-valid": str(len(lines)),
            "branches-covered": str(sum(map(bool, ways))),
            "branches-valid": str(len(ways)),
            "complexity": "0",
            "version": "1",
            "timestamp": str(int(time.time())),
        },
    )
    ElementTree.SubElement(ElementTree.SubElement(top, "sources"), "source").text = str(root)
    packages = ElementTree.SubElement(top, "packages")
    for folder in dict.fromkeys(one.script.path.parent for one in found):
        here = [one for one in found if one.script.path.parent == folder]
        package = ElementTree.SubElement(
            packages,
            "package",
            {"name": str(folder), **_rates(*_measured(here)), "complexity": "0"},
        )
        classes = ElementTree.SubElement(package, "classes")
        for path in dict.fromkeys(one.script.path for one in here):
            _class(classes, [one for one in here if one.script.path == path])
    ElementTree.indent(top)
    return (
        "<?xml version='1.0' encoding='UTF-8'?>\n"
        "<!DOCTYPE coverage SYSTEM 'http://cobertura.sourceforge.net/xml/coverage-04.dtd'>\n"
        + ElementTree.tostring(top, encoding="unicode")
        + "\n"
    )


def _measured(found: Sequence[Covered]) -> tuple[list[int], list[int]]:
    return [min(runs) for one in found for runs in one.lines.values()], _totals(found)[1]


def _rates(lines: Sequence[int], ways: Sequence[int]) -> dict[str, str]:
    return {"line-rate": f"{_share(lines):.4f}", "branch-rate": f"{_share(ways):.4f}"}


def _class(classes: ElementTree.Element, found: Sequence[Covered]) -> None:
    """Adds a script, with its functions as methods."""
    path = found[0].script.path
    this = ElementTree.SubElement(
        classes,
        "class",
        {
            "name": path.stem,
            "filename": path.as_posix(),
            **_rates(*_measured(found)),
            "complexity": "0",
        },
    )
    methods = ElementTree.SubElement(this, "methods")
    all_lines = ElementTree.SubElement(this, "lines")
    for one in found:
        name, _, arguments = one.signature.partition("(")
        method = ElementTree.SubElement(
            methods,
            "method",
            {
                "name": name,
                "signature": f"({arguments}",
                **_rates(*_measured([one])),
                "complexity": "0",
            },
        )
        for parent in (ElementTree.SubElement(method, "lines"), all_lines):
            for number, runs in sorted(one.lines.items()):
                _line(parent, number, min(runs), one.ways.get(number))


def _line(parent: ElementTree.Element, number: int, hits: int, ways: Sequence[int] | None) -> None:
    line = ElementTree.SubElement(parent, "line", {"number": str(number), "hits": str(hits)})
    if ways is None:
        line.set("branch", "false")
        return
    taken = sum(map(bool, ways))
    share = f"{taken * 100 // len(ways)}%"
    line.set("branch", "true")
    line.set("condition-coverage", f"{share} ({taken}/{len(ways)})")
    conditions = ElementTree.SubElement(line, "conditions")
    ElementTree.SubElement(
        conditions, "condition", {"number": "0", "type": "jump", "coverage": share}
    )


_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; color: #222 }
table { border-collapse: collapse } td, th { padding: .1rem .8rem; text-align: right }
td:first-child, th:first-child { text-align: left } .total { font-weight: bold }
pre { font: 13px/1.45 ui-monospace, monospace; border: 1px solid #ccc; padding: .5rem 0;
      overflow-x: auto }
pre span { display: block; min-height: 1.45em } pre i { display: inline-block; width: 10rem;
      padding-right: 1rem; text-align: right; color: #666; font-style: normal }
.ran { background: #e3f4e3 } .missed { background: #fbdcdc } .partly { background: #fbf3cf }
"""


def page(found: Sequence[Covered]) -> str:
    """Writes the report as one page of HTML, with the scripts' text; it needs nothing else."""
    statements, ways = _totals(found)
    rows = [
        f'<tr><td><a href="#{number}">{html.escape(one.signature.partition("(")[0])}</a></td>'
        f"<td>{_percent(one.statements)}</td><td>{_percent(one.branches)}</td></tr>"
        for number, one in enumerate(found)
    ]
    parts = [
        "<!doctype html><html lang=en><meta charset=utf-8><title>Coverage of PL/pgSQL</title>",
        f"<style>{_STYLE}</style><h1>Coverage of PL/pgSQL</h1>",
        "<p>Numbers beside a line: how often it ran, and how many of its branches were taken.</p>",
        "<table><tr><th>Function<th>Statements<th>Branches</tr>",
        f"<tr class=total><td>All functions</td><td>{_percent(statements)}</td>"
        f"<td>{_percent(ways)}</td></tr>",
        *rows,
        "</table>",
    ]
    for number, one in enumerate(found):
        parts.append(
            f'<h2 id="{number}">{html.escape(one.signature)}</h2>'
            f"<p>{html.escape(one.script.path.as_posix())}</p><pre>{_listing(one)}</pre>"
        )
    return "\n".join([*parts, "</html>", ""])


def _listing(one: Covered) -> str:
    """Writes the text that creates the function, with what ran."""
    shown = []
    for number, line in enumerate(one.script.text.splitlines(), one.script.line):
        runs, ways = one.lines.get(number), one.ways.get(number, [])
        if runs is None:
            shown.append(f"<span><i>{number}</i>{html.escape(line)}</span>")
            continue
        beside = f"{min(runs)} x " + (f"{sum(map(bool, ways))}/{len(ways)} " if ways else "")
        kind = "missed" if 0 in runs else "partly" if 0 in ways else "ran"
        shown.append(f"<span class={kind}><i>{beside} {number}</i>{html.escape(line)}</span>")
    return "".join(shown)


@click.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option(
    "--deploy",
    default="deploy",
    show_default=True,
    help="Folder with the deploy scripts.",
    type=click.Path(exists=True, file_okay=False, path_type=Path),
)
@click.option("--html", "page_file", help="Write an HTML page.", type=click.Path(path_type=Path))
@click.option("--xml", "xml_file", help="Write Cobertura XML.", type=click.Path(path_type=Path))
@click.option(
    "--fail-under",
    default=0.0,
    help="Percent of statements that must have run; status 1 below.",
    type=click.FloatRange(0, 100),
)
def main(
    folder: Path, deploy: Path, page_file: Path | None, xml_file: Path | None, fail_under: float
) -> None:
    """Report what `pytest --plpgsql-coverage=FOLDER` wrote."""
    files = sorted(folder.glob("profile-*.json"))
    if not files:
        raise click.ClickException(
            f"there is no profile in {folder}; run pytest --plpgsql-coverage={folder} first"
        )
    try:
        profiles = read(files)
        found = covered(profiles, written(sorted(deploy.rglob("*.sql"))))
    except (LookupError, OSError, ValueError) as error:
        raise click.ClickException(str(error)) from None
    if not found:
        raise click.ClickException(f"the scripts in {deploy} create no function in PL/pgSQL")
    click.echo(text(found))
    schemas = {one.signature.partition(".")[0] for one in found}
    never = [
        name
        for name, calls in sorted(profiles.calls.items())
        if not calls and name.partition(".")[0] in schemas
    ]
    if never:
        click.echo(
            "Functions in SQL are not measured. Never called, or made part of the query by the"
            " planner: " + ", ".join(never)
        )
    for reason, count in sorted(profiles.unread.items()):
        click.echo(f"Not read: {count} of the tests' databases ({reason})", err=True)
    for file, content in ((page_file, page(found)), (xml_file, cobertura(found, Path.cwd()))):
        if file is not None:
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, encoding="utf-8")
            click.echo(f"Written: {file}")
    share = _share(_totals(found)[0]) * 100
    if share < fail_under:
        click.echo(
            f"PL/pgSQL: {share:.2f} % of statements ran, {fail_under:g} % must;"
            " the lines that were not reached stand above",
            err=True,
        )
        sys.exit(1)


if __name__ == "__main__":
    main()
