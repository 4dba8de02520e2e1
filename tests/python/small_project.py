"""Small projects for the tests of the deployer, and the programs that they are run with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import loaded
import loaded_sqitch
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from integrations_db.plan import Change, Dependency, Plan, Tag, format_plan

WHO = {"SQITCH_FULLNAME": "Ada Lovelace", "SQITCH_EMAIL": "ada@example.com"}
START = datetime(2026, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Sql:
    """The scripts of one change, and what the plan says of it."""

    deploy: str
    revert: str | None = "begin;\nselect 1;\ncommit;\n"
    verify: str | None = "begin;\nselect 1;\nrollback;\n"
    requires: Sequence[str] = ()
    conflicts: Sequence[str] = ()
    tags: Sequence[str] = ()
    note: str = ""


def table(name: str, **more: Any) -> Sql:
    """The change that makes a table of this name."""
    return replace(
        Sql(
            deploy=f"begin;\ncreate table {name} (id integer primary key);\ncommit;\n",
            revert=f"begin;\ndrop table {name};\ncommit;\n",
            verify=f"begin;\nselect id from {name} where false;\nrollback;\n",
        ),
        **more,
    )


def _dependency(text: str) -> Dependency:
    project, _, key = text.rpartition(":")
    name, _, tag = key.partition("@")
    return Dependency(change=name or None, tag=tag or None, project=project or None)


def write_project(
    folder: Path, changes: Mapping[str, Sql], project: str = "small", uri: str | None = None
) -> Path:
    """Writes a project's plan, configuration and scripts."""
    planned = []
    for number, (name, sql) in enumerate(changes.items()):
        at = START + timedelta(minutes=number)
        by = (at, "Grace Hopper", "grace@example.com")
        planned.append(
            Change(
                name,
                *by,
                note=sql.note,
                requires=tuple(_dependency(d) for d in sql.requires),
                conflicts=tuple(replace(_dependency(d), conflict=True) for d in sql.conflicts),
                tags=tuple(Tag(tag, *by) for tag in sql.tags),
            )
        )
        for kind, text in (
            ("deploy", sql.deploy),
            ("revert", sql.revert),
            ("verify", sql.verify),
        ):
            if text is not None:
                path = folder / kind / f"{name}.sql"
                path.parent.mkdir(parents=True, exist_ok=True)
                # Two scripts with the same bytes cannot both be recorded.
                path.write_text(f"-- {kind} {name}\n{text}")
    (folder / "sqitch.plan").write_text(format_plan(Plan(project, tuple(planned), uri)))
    (folder / "sqitch.conf").write_text("[core]\n\tengine = pg\n")
    return folder


def environment(**more: str) -> dict[str, str]:
    """Returns an environment in which nothing of this machine's user is read."""
    others = ("PG", "SQITCH_", "COV_", "GITHUB_")
    kept = {name: value for name, value in os.environ.items() if not name.startswith(others)}
    nowhere = {"SQITCH_USER_CONFIG": os.devnull, "SQITCH_SYSTEM_CONFIG": os.devnull}
    return kept | nowhere | WHO | more


def command(*arguments: str) -> list[str]:
    """Returns the argument vector of our command."""
    return [sys.executable, "-m", "integrations_db", *arguments]


def run(folder: Path, *arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    """Runs our command in a project."""
    return loaded.run(arguments, folder, environment(**env), timeout=60)


def begin(folder: Path, *arguments: str, **env: str) -> loaded.Started:
    """Begins to run our command in a project, in a process group of its own."""
    return loaded.Started(arguments, folder, environment(**env))


def run_json(folder: Path, *arguments: str) -> Any:
    """Runs our command and returns the JSON that it prints."""
    done = run(folder, *arguments, "--json")
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def require(program: str) -> str:
    """Returns a program's path; without it a CI run fails, another is skipped with a sentence.

    It is psql itself, not Debian's wrapper, which takes five times as long: that of the newest
    version, which the wrapper would choose.
    """
    found = shutil.which(program)
    if found is None:
        why = f"{program} is not installed: what it would say cannot be compared with"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    if Path(found).resolve().name == "pg_wrapper":
        behind = Path("/usr/lib/postgresql").glob(f"*/bin/{program}")
        return str(max(behind, key=lambda path: int(path.parts[-3])))
    return found


def sqitch_command(dsn: str | None, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """Returns the argument vector and the environment of the real Sqitch.

    ``{target}`` among the arguments is the database.
    """
    program = require("sqitch")
    env = environment()
    target = ""
    if dsn is not None:
        # Sqitch starts psql for each script.
        env["PATH"] = os.pathsep.join([os.path.dirname(require("psql")), env["PATH"]])
        parts = conninfo_to_dict(dsn)
        target = f"db:pg:{parts['dbname']}"
        for key, name in (
            ("host", "PGHOST"),
            ("port", "PGPORT"),
            ("user", "PGUSER"),
            ("password", "PGPASSWORD"),
            ("passfile", "PGPASSFILE"),
        ):
            if parts.get(key):
                env[name] = str(parts[key])
    return [program, *(target if a == "{target}" else a for a in arguments)], env


def sqitch(folder: Path, dsn: str | None, *arguments: str) -> subprocess.CompletedProcess[str]:
    """Runs the real Sqitch in a project; ``{target}`` among the arguments is the database."""
    argv, env = sqitch_command(dsn, *arguments)
    return loaded_sqitch.run(argv, folder, env, timeout=120)


def rows(dsn: str, query: str) -> list[tuple[Any, ...]]:
    """Returns what a query gives."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        return conn.execute(query.encode()).fetchall()


def tables(dsn: str) -> set[str]:
    """Returns the tables of schema public."""
    return {
        row[0] for row in rows(dsn, "select tablename from pg_tables where schemaname = 'public'")
    }


def recorded(dsn: str) -> list[str]:
    """Returns the names of the deployed changes that the registry knows, in order."""
    query = "select change from sqitch.changes order by committed_at"
    try:
        return [name for (name,) in rows(dsn, query)]
    except psycopg.errors.UndefinedTable:
        return []


def events(dsn: str) -> list[tuple[str, str]]:
    """Returns the history: event and change."""
    return [
        (row[0], row[1])
        for row in rows(dsn, "select event, change from sqitch.events order by committed_at")
    ]
