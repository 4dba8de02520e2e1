"""What psql itself sends to the server, for comparison."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from small_project import require

from integrations_db.lexer import tokens
from integrations_db.psql import set_command

# psql's log of queries; version 16 has made comments of its headings.
_QUERY = re.compile(
    r"^/?\*{8,9} QUERY \*{9,10}/?\n(.*?)\n/?\*{24,26}/?\n", re.DOTALL | re.MULTILINE
)
_MARK = "select 'the next script'"


def _squeezed(text: str) -> str:
    """psql drops empty lines outside of quotes."""
    return re.sub(r"\n+", "\n", text)


def is_blank(text: str) -> bool:
    """Whether there is nothing to execute."""
    return all(t.kind in ("space", "comment") or text[t.start] == ";" for t in tokens(text))


def same(ours: str, theirs: str) -> bool:
    """Whether psql sends our statement, but for blanks, comments and semicolons around it."""
    ours, theirs = _squeezed(ours).rstrip("\n"), _squeezed(theirs)  # psql adds no last newline
    at = theirs.find(ours)
    while at >= 0:
        if is_blank(theirs[:at]) and is_blank(theirs[at + len(ours) :]):
            return True
        at = theirs.find(ours, at + 1)
    return False


def sent(
    conninfo: str, folder: Path, scripts: Sequence[tuple[str, Mapping[str, str]]]
) -> list[list[str]]:
    """Returns what psql sends for each script with its variables, but for what is blank.

    All run in one psql process and one session, errors ignored.
    """
    lines = [r"\set QUIET on"]
    for number, (source, variables) in enumerate(scripts):
        file = folder / f"{number}.sql"
        file.write_bytes(source.encode())
        lines += [f"{_MARK};", "rollback;"]
        lines += [set_command(name, value) for name, value in variables.items()]
        lines += [rf"\i {file}"]
        lines += [rf"\unset {name}" for name in variables]
    log = folder / "log"
    log.unlink(missing_ok=True)
    main = folder / "main.sql"
    main.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = subprocess.run(  # noqa: S603
        [require("psql"), "-Xq", "-o", os.devnull, "-L", str(log), "-f", str(main), conninfo],
        env={**os.environ, "PGCLIENTENCODING": "UTF8"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    queries = _QUERY.findall(log.read_bytes().decode())
    found: list[list[str]] = []
    for query in queries:
        if query == f"{_MARK};":
            found.append([])
        elif not is_blank(query):
            found[-1].append(query)
    assert len(found) == len(scripts)
    return [queries[1:] for queries in found]  # without our own rollback


def run_scripts(
    conninfo: str, folder: Path, scripts: Sequence[str]
) -> list[tuple[list[int], bool]]:
    """Runs each script with psql; returns the numbers in table ``t``, and whether it failed.

    All run in one session; what a script leaves open at its end is rolled back, as always.
    """
    lines = ["create temp table t (a integer);", "\\pset tuples_only", "\\pset format unaligned"]
    for number, source in enumerate(scripts):
        file = folder / f"{number}.sql"
        file.write_text(source, encoding="utf-8")
        result = folder / f"{number}.out"
        lines += ["truncate t;", f"\\i {file}", "rollback;", f"\\o {result}"]
        lines += ["select a from t order by a;", "\\o"]
    main = folder / "main.sql"
    main.write_text("\n".join(lines) + "\n", encoding="utf-8")
    done = subprocess.run(  # noqa: S603
        [require("psql"), "-Xq", "-o", os.devnull, "-f", str(main), conninfo],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=True,
    )
    failed = set(re.findall(r"^psql:.*/(\d+)\.sql:\d+: ERROR:", done.stderr, re.MULTILINE))
    return [
        ([int(line) for line in (folder / f"{n}.out").read_text().split()], str(n) in failed)
        for n in range(len(scripts))
    ]
