"""The same story with our deployer and with Sqitch: the same rows in every table, at each step."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_project import Sql, run, sqitch, table, tables, write_project
from test_registry import another_database, content

pytestmark = [pytest.mark.database, pytest.mark.long]


@dataclass(frozen=True, slots=True)
class Both:
    """A database for each tool."""

    ours: str
    theirs: str

    def do(self, folder: Path, command: str, *arguments: str, fails: bool = False) -> None:
        """Runs a command of either tool and compares everything that is recorded then."""
        more = {
            "deploy": ["--mode", "change", "--verify"],
            "revert": ["-y"],
        }[command]
        by_us = run(folder, command, *arguments, *more[-1:], self.ours)
        whole = [argument for argument in arguments if argument != "--all"]
        by_it = sqitch(folder, self.theirs, command, *whole, *more, "{target}")
        assert (by_us.returncode != 0) == fails, by_us.stdout + by_us.stderr
        assert (by_it.returncode != 0) == fails, by_it.stdout + by_it.stderr
        assert content(self.ours) == content(self.theirs)
        assert tables(self.ours) == tables(self.theirs)


@pytest.fixture
def both(empty_database: str) -> Iterator[Both]:
    with another_database(empty_database, f"story_{secrets.token_hex(4)}") as other:
        yield Both(empty_database, other)


def function(body: int) -> str:
    return f"create or replace function f() returns int language sql as 'select {body}';\n"


A = table("a", note="first\nof \\all", tags=("v1", "v1.1"))
B = table("b", requires=("a", "@v1", "a@v1.1"), conflicts=("never",))
NEVER = table("never")
URI = "https://example.com/x"
BAD = Sql("begin;\ncreate table bad (id int);\nselect nosuch;\ncommit;\n")


def test_failures_and_reverts(both: Both, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": A, "b": B, "bad": BAD, "never": NEVER}, uri=URI)
    both.do(tmp_path, "deploy", "--to", "b")
    both.do(tmp_path, "deploy", "--to", "bad", fails=True)
    both.do(tmp_path, "deploy", "--to", "bad", fails=True)
    unverified = table("bad", verify="select 1 / 0;\n", tags=("t",), requires=("b",))
    write_project(tmp_path, {"a": A, "b": B, "bad": unverified, "never": NEVER}, uri=URI)
    both.do(tmp_path, "deploy", "--to", "bad", fails=True)
    good = table("bad", tags=("t",), requires=("b",), note="now good")
    write_project(tmp_path, {"a": A, "b": B, "bad": good, "never": NEVER}, uri=URI)
    both.do(tmp_path, "deploy", "--to", "bad")
    both.do(tmp_path, "revert", "--to", "a")
    both.do(tmp_path, "deploy", "--to", "bad")
    stuck = table("bad", tags=("t",), requires=("b",), note="now good", revert="select 1 / 0;\n")
    write_project(tmp_path, {"a": A, "b": B, "bad": stuck, "never": NEVER}, uri=URI)
    both.do(tmp_path, "revert", "--all", fails=True)
    write_project(tmp_path, {"a": A, "b": B, "bad": good, "never": NEVER}, uri=URI)
    both.do(tmp_path, "revert", "--all")


def test_tags_reworks_and_recording_only(both: Both, tmp_path: Path) -> None:
    f = Sql(function(1), "drop function f();\n", tags=("v1",))
    write_project(tmp_path, {"f": f, "a": table("a", requires=("f@v1",))})
    both.do(tmp_path, "deploy")
    for kind in ("deploy", "revert", "verify"):
        (tmp_path / kind / "f.sql").rename(tmp_path / kind / "f@v1.sql")
    for kind, text in (("deploy", function(2)), ("revert", function(1)), ("verify", "select 1;")):
        (tmp_path / kind / "f.sql").write_text(text)
    (tmp_path / "deploy" / "z.sql").write_text("create table z (id int);\n")
    (tmp_path / "revert" / "z.sql").write_text("drop table z;\n")
    by = "2026-01-02T00:00:00Z Ada <ada@example.com>"
    with (tmp_path / "sqitch.plan").open("a") as plan:
        plan.write(f"@late {by} # a tag of what is deployed\n\nf [f@v1 a] {by} # Again\n@v2 {by}\n")
        plan.write(f"z [f @v2] {by}\n")
    both.do(tmp_path, "deploy", "--to", "@v2")
    both.do(tmp_path, "revert", "--to", "f@v1")
    both.do(tmp_path, "deploy", "--to", "@late")
    both.do(tmp_path, "deploy", "--log-only", "--to", "@v2")
    both.do(tmp_path, "deploy")
    both.do(tmp_path, "revert", "--all")


def test_two_projects_in_one_registry(both: Both, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.mkdir()
    two.mkdir()
    write_project(one, {"a": table("a", tags=("v1",)), "x": table("x")}, project="one")
    write_project(two, {"b": table("b"), "c": table("c")}, project="two")
    plan = two / "sqitch.plan"
    plan.write_text(
        plan.read_text()
        .replace("b 2026", "b [one:a one:@v1 one:a@v1 !one:never] 2026")
        .replace("c 2026", "c [!one:x] 2026")
    )
    both.do(one, "deploy", "--to", "a")
    both.do(two, "deploy", "--to", "b")
    both.do(one, "deploy")
    both.do(two, "deploy", fails=True)  # c conflicts with one:x
    both.do(one, "revert", "--all", fails=True)  # two:b requires one:a
    both.do(one, "revert", "--to", "a")
    both.do(two, "deploy")
    both.do(two, "revert", "--all")
    both.do(one, "revert", "--all")
