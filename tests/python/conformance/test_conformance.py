"""Ours and stock Sqitch on generated projects: the same databases, records and findings.

How many projects are generated is a matter of ``TEST_SIZE``: Sqitch needs some 80 ms for each
change and command.
"""

from __future__ import annotations

import json
import random
import re
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import pytest
from faults.dumps import dump
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from small_project import rows, run, sqitch

from integrations_db.testing import databases
from integrations_db.testing.servers import Server
from size import size

from .projects import OTHER, Generated, projects, write

pytestmark = [pytest.mark.database, pytest.mark.long]

# Shrinking a project means minutes of Sqitch for each step.
LONG = settings(
    max_examples=size(1, 2),
    deadline=None,
    database=None,
    print_blob=True,
    phases=[Phase.generate],
    suppress_health_check=list(HealthCheck),
)

# Everything but the times of recording, which give the order.
STATE = {
    "projects": "select project, uri, creator_name, creator_email from sqitch.projects order by 1",
    "changes": "select change_id, script_hash, change, project, note, committer_name,"
    " committer_email, planned_at, planner_name, planner_email from sqitch.changes"
    " order by committed_at",
    "tags": "select tag_id, tag, project, change_id, note, committer_name, committer_email,"
    " planned_at, planner_name, planner_email from sqitch.tags order by committed_at, tag",
    "dependencies": "select * from sqitch.dependencies order by 1, 2, 3",
}
HISTORY = (
    "select event, change_id, change, project, note, requires, conflicts, tags, committer_name,"
    " committer_email, planned_at, planner_name, planner_email from sqitch.events"
    " order by committed_at"
)


class World:
    """A generated project, the project that it requires, and a database for each way to deploy."""

    def __init__(self, generated: Generated, folder: Path) -> None:
        self.generated = generated
        self.folder = write(folder / "main", generated.files)
        self.other = write(folder / "other", OTHER)

    def ours(self, dsn: str, *arguments: str) -> None:
        """Runs our command; it must succeed."""
        options = self.generated.options if arguments[0] != "status" else ()
        done = run(self.folder, *arguments, *options, dsn)
        assert done.returncode == 0, done.stdout + done.stderr

    def stock(self, dsn: str, *arguments: str) -> None:
        """Runs Sqitch; it must succeed."""
        done = sqitch(self.folder, dsn, *arguments, *self.generated.options, "{target}")
        assert done.returncode == 0, done.stdout + done.stderr

    def failing(self, dsn: str) -> tuple[set[str], set[str]]:
        """Returns the changes whose verify scripts fail: as ours says, and as Sqitch says."""
        done = run(self.folder, "verify", "--json", *self.generated.options, dsn)
        assert done.returncode == 1, done.stdout + done.stderr
        ours = found_by_us(done.stdout)
        said = sqitch(self.folder, dsn, "verify", *self.generated.options, "{target}")
        assert said.returncode, said.stdout
        failed = re.findall(r'Verify script "verify/(.+)\.sql" failed', said.stdout + said.stderr)
        return ours, set(failed)


def found_by_us(text: str) -> set[str]:
    """Returns the names of changes in the JSON of verify."""
    return {str(finding["change"]) for finding in json.loads(text)["findings"]}


@contextmanager
def world(generated: Generated, server: Server, count: int) -> Iterator[tuple[World, list[str]]]:
    """Gives the projects on disk, and databases in which the other project is deployed."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        made = World(generated, folder)
        dsns = [stack.enter_context(databases.clone(server.dsn, "template0")) for _ in range(count)]
        for number, dsn in enumerate(dsns):
            if number % 2:
                done = sqitch(made.other, dsn, "deploy", "{target}")
            else:
                done = run(made.other, "deploy", dsn)
            assert done.returncode == 0, done.stderr
        yield made, dsns


def records(dsn: str) -> dict[str, list[tuple[Any, ...]]]:
    """Returns what the registry says of now."""
    return {name: rows(dsn, query) for name, query in STATE.items()}


def content(dsn: str) -> str:
    """Returns the whole database: structure and rows, but for the rows of the registry."""
    return dump(dsn, "--exclude-table-data=sqitch.*", "--inserts")


@LONG
@given(generated=projects())
def test_the_same_database_from_both(server: Server, generated: Generated) -> None:
    with world(generated, server, 2) as (made, (mine, its)):
        made.ours(mine, "deploy", "--no-verify")
        made.stock(its, "deploy")
        assert records(mine) == records(its)
        assert rows(mine, HISTORY) == rows(its, HISTORY)
        assert content(mine) == content(its)

        ours, stock = made.failing(mine)
        assert ours == stock
        failing = {"verify that fails", "verify that is wrong"}
        shapes = zip(generated.shapes, generated.changes, strict=False)
        assert ours == {name for shape, name in shapes if shape in failing}
        assert made.failing(its) == (ours, stock)

        # Each takes back what the other did.
        made.stock(mine, "revert", "-y")
        made.ours(its, "revert", "--all", "-y")
        assert records(mine) == records(its)
        assert rows(mine, HISTORY) == rows(its, HISTORY)
        assert content(mine) == content(its)


@LONG
@given(generated=projects(), seed=st.integers(0, 1 << 32))
def test_step_by_step_in_turn(server: Server, generated: Generated, seed: int) -> None:
    """Both tools deploy and revert parts of a project in one database; the end is the same."""
    dice = random.Random(seed)  # noqa: S311
    with world(generated, server, 2) as (made, (mixed, straight)):
        at, way, steps = 0, 1, []
        last = len(generated.changes)
        while at < last:
            way = dice.choice((1, 1, -1)) if at else 1
            to = min(last, at + dice.randint(3, 15)) if way > 0 else max(1, at - dice.randint(1, 6))
            tool = dice.choice(("ours", "stock"))
            steps.append((tool, at, to))
            where = ("--to", generated.stops[to - 1])
            match tool, way:
                case "ours", 1:
                    made.ours(mixed, "deploy", "--no-verify", *where)
                case "stock", 1:
                    made.stock(mixed, "deploy", *where)
                case "ours", _:
                    made.ours(mixed, "revert", "-y", *where)
                case _:
                    made.stock(mixed, "revert", "-y", *where)
            at = to
            recorded = (
                "select change from sqitch.changes where project = 'main' order by committed_at"
            )
            there = [row[0] for row in rows(mixed, recorded)]
            assert there == list(generated.changes[:at]), steps
        made.ours(straight, "deploy", "--no-verify")
        assert records(mixed) == records(straight), steps
        assert content(mixed) == content(straight), steps
