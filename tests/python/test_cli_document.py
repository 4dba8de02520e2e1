"""``docs/deployer.md`` is true: commands, options, exit codes, the keys of JSON, settings."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import click
import psycopg
import pytest
from small_project import Sql, run, run_json, table, write_project
from test_documents import _page

from integrations_db.cli import cli
from integrations_db.errors import Changed, Failure, Locked, Pending, Usage

PAGE = "docs/deployer.md"
ROOT = Path(__file__).parents[2]


def rows(heading: str) -> list[list[str]]:
    """The cells of the table under a heading."""
    (found,) = [block.rows for block in _page(PAGE) if block.heading == heading and block.rows]
    return [list(row.values()) for row in found]


def top_level(text: str) -> set[str]:
    """The names in backticks that stand outside of parentheses."""
    return set(re.findall(r"`(\w+)`", re.sub(r"\([^()]*\)", "", text)))


def nested(text: str, key: str) -> set[str]:
    """The names in the parentheses behind a key."""
    found = re.search(rf"`{key}` \(([^()]*)\)", text)
    return set(re.findall(r"`(\w+)`", found[1])) if found else set()


KEYS = {command.strip("`"): text for command, text in rows("JSON")}


@pytest.mark.static
def test_commands() -> None:
    told = {re.match(r"`(\w+)", row[0])[1] for row in rows("Commands")}  # type: ignore[index]
    assert told == set(cli.commands)


@pytest.mark.static
def test_options_are_real() -> None:
    known = {
        name
        for command in (cli, *cli.commands.values())
        for parameter in command.params
        for name in (*parameter.opts, *parameter.secondary_opts)
    }
    told = set(re.findall(r"`(?:\w+ )?(--?[a-z][\w-]*)", (ROOT / PAGE).read_text()))
    assert {"--resume", "--mode", "--strict"} <= told <= known


@pytest.mark.static
def test_every_command_that_can_print_json_has_its_keys() -> None:
    assert set(KEYS) == {
        name
        for name, command in cli.commands.items()
        if any("--json" in parameter.opts for parameter in command.params)
    }


@pytest.mark.static
def test_exit_codes() -> None:
    codes = {error.exit_code for error in (Failure, Usage, Pending, Changed, Locked)}
    told = dict(rows("Exit codes"))
    assert {int(code) for code in told} == codes | {0, 130}
    epilog = {
        line.split()[0]: line.split(maxsplit=1)[1]
        for line in (cli.epilog or "").splitlines()
        if re.match(r"  \d", line)
    }
    assert {code: text.replace("`", "") for code, text in told.items()} == epilog


@pytest.mark.static
def test_every_help_text_says_what_each_option_does() -> None:
    for command in cli.commands.values():
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"{command.name} {parameter.opts}"


@pytest.mark.database
def test_keys_of_json(empty_database: str, tmp_path: Path) -> None:
    folder = write_project(
        tmp_path,
        {
            "a": table("a", tags=("v1",)),
            "b": Sql("begin;\nselect 1;\ncommit;\n", verify="select 1/0;\n"),
            "c": Sql(
                "create table half ();\ncreate index concurrently on nosuch (x);\n", verify=None
            ),
        },
    )
    dsn = empty_database
    answers: dict[str, Any] = {
        "plan": run_json(folder, "plan"),
        "deploy": run_json(folder, "deploy", "--no-verify", "--to", "b", dsn),
        "check": run_json(folder, "check", dsn),
        "log": run_json(folder, "log", dsn),
    }
    with psycopg.connect(dsn) as conn:
        conn.execute("create table strange ()")
    answers["drift"] = json.loads(run(folder, "drift", "--json", dsn).stdout)
    failed = run(folder, "verify", "--json", dsn)
    answers["verify"] = json.loads(failed.stdout)
    assert run(folder, "deploy", dsn).returncode == 1
    answers["status"] = run_json(folder, "status", dsn)
    with psycopg.connect(dsn) as conn:
        conn.execute("drop schema integrations_db cascade")
    answers["revert"] = run_json(folder, "revert", "--all", "-y", dsn)
    change = {"change", "id", "requires", "conflicts", "tags", "planned_at", "planner", "note"}
    for command, answer in answers.items():
        text = KEYS[command]
        assert set(answer) == top_level(text), command
        for key, value in answer.items():
            items = value if isinstance(value, list) else [value]
            for item in items:
                if isinstance(item, dict):
                    expected = nested(text, key)
                    if "id" in item and "requires" in item and command != "log":
                        expected |= change
                    assert set(item) == expected, f"{command}: {key}"
    assert answers["status"]["unfinished"]
    assert answers["verify"]["findings"]
    assert answers["check"]["findings"]
    assert answers["drift"]["differences"]
