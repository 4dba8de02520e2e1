"""``log``: what happened in a database, whoever did it."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from small_project import WHO, Sql, run, run_json, sqitch, table, write_project

pytestmark = pytest.mark.database


def kinds(folder: Path, *arguments: str) -> list[tuple[str, str]]:
    """Event and change, as ``log --json`` has them."""
    return [(it["event"], it["change"]) for it in run_json(folder, "log", *arguments)["events"]]


@pytest.fixture
def told(empty_database: str, tmp_path: Path) -> tuple[Path, str]:
    """A project with a history: two deployed, one of them reverted, a failure."""
    changes = {
        "a": table("a", tags=("v1",), note="The first.\nOf two lines."),
        "b": table("b", requires=("a",), conflicts=("other:z",)),
        "c": Sql("begin;\nselect 1/0;\ncommit;\n"),
    }
    write_project(tmp_path, changes)
    assert run(tmp_path, "deploy", empty_database).returncode == 1
    assert run(tmp_path, "revert", "--to", "a", "-y", empty_database).returncode == 0
    return tmp_path, empty_database


STORY = [("revert", "b"), ("fail", "c"), ("deploy", "b"), ("deploy", "a")]


def test_newest_first(told: tuple[Path, str]) -> None:
    folder, dsn = told
    assert kinds(folder, dsn) == STORY
    assert kinds(folder, dsn, "--reverse") == STORY[::-1]
    assert kinds(folder, dsn, "-n", "2") == STORY[:2]
    assert kinds(folder, dsn, "-n", "1", "--reverse") == STORY[-1:]
    assert kinds(folder, dsn, "--max-count", "0") == []
    assert kinds(folder, dsn, "--event", "fail", "--event", "revert") == STORY[:2]
    assert kinds(folder, dsn, "--project", "small") == STORY
    assert kinds(folder, dsn, "--project", "other") == []


def test_every_key(told: tuple[Path, str]) -> None:
    folder, dsn = told
    plan = {it["change"]: it for it in run_json(folder, "plan")["changes"]}
    who = f"{WHO['SQITCH_FULLNAME']} <{WHO['SQITCH_EMAIL']}>"
    answer = run_json(folder, "log", dsn)
    assert set(answer) == {"database", "registry", "events"}
    assert answer["registry"] == "sqitch"
    first, second = answer["events"][:1:-1]
    del first["committed_at"], first["planned_at"]
    assert first == {
        "event": "deploy",
        "project": "small",
        "change": "a",
        "id": plan["a"]["id"],
        "note": "The first.\nOf two lines.",
        "requires": [],
        "conflicts": [],
        "tags": ["@v1"],
        "committer": who,
        "planner": "Grace Hopper <grace@example.com>",
    }
    assert (second["requires"], second["conflicts"], second["tags"]) == (["a"], ["other:z"], [])
    assert second["planned_at"].startswith("2026-01-01T")


def test_text(told: tuple[Path, str]) -> None:
    folder, dsn = told
    lines = run(folder, "log", dsn).stdout.splitlines()
    assert len(lines) == 6
    assert lines[0].endswith("  revert  small:b  by Ada Lovelace <ada@example.com>")
    assert lines[3].endswith("  deploy  small:a @v1  by Ada Lovelace <ada@example.com>")
    assert lines[4:] == ["    The first.", "    Of two lines."]


def test_a_database_whose_plan_is_not_here(told: tuple[Path, str]) -> None:
    folder, dsn = told
    (folder / "sqitch.plan").write_text("this is no plan")
    assert kinds(folder, dsn) == STORY
    for file in ("sqitch.plan", "sqitch.conf"):
        (folder / file).unlink()
    assert kinds(folder, dsn) == STORY


def test_without_a_registry(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    done = run(tmp_path, "log", empty_database)
    assert (done.returncode, "has no registry (schema sqitch)" in done.stdout) == (0, True)
    assert kinds(tmp_path, empty_database) == []


def test_a_registry_of_another_name(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    with (tmp_path / "sqitch.conf").open("a") as conf:
        conf.write('[engine "pg"]\n\tregistry = "odd ""name"\n'.replace('""', '\\"'))
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    assert kinds(tmp_path, empty_database) == [("deploy", "a")]


def test_nothing_of_a_registry_commands_the_terminal(told: tuple[Path, str]) -> None:
    folder, dsn = told
    with psycopg.connect(dsn) as conn:
        conn.execute(
            "update sqitch.events set change = E'\\x1b[2Jx', note = E'\\x1b]0;t\\x07',"
            " committer_name = E'\\u202ex'"
        )
    done = run(folder, "log", dsn)
    assert "\\x1b[2Jx" in done.stdout
    assert not {"\x1b", "\x07", "\u202e"} & set(done.stdout)
    answer = run(folder, "log", dsn, "--json").stdout
    assert not {"\x1b", "\x07", "\u202e"} & set(answer)
    assert json.loads(answer)["events"][0]["change"] == "\x1b[2Jx"


def test_the_events_are_those_that_sqitch_shows(told: tuple[Path, str]) -> None:
    folder, dsn = told
    done = sqitch(folder, dsn, "log", "{target}", "--format", "format:%e %n", "--no-color")
    assert done.returncode == 0, done.stderr
    theirs = [tuple(line.split()) for line in done.stdout.splitlines() if " " in line][-4:]
    assert kinds(folder, dsn) == theirs
