"""The Makefile hands on what was typed, and refuses what could be meant otherwise.

The recipes run in a folder of their own, with a program in place of `integrations-db` that only
prints what it was given.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
STUB = """#!/bin/sh
printf '[%s]' "$@"
printf ' target=[%s]\\n' "$SQITCH_TARGET"
"""

pytestmark = pytest.mark.static


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A checkout in which everything seems to be installed."""
    program = tmp_path / ".venv" / "bin" / "integrations-db"
    program.parent.mkdir(parents=True)
    for name in ("Makefile", "pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, tmp_path)
    program.write_text(STUB)
    program.chmod(0o755)
    (program.parent / "pip").touch()
    for kind in ("core", "test", "all"):
        number = subprocess.run(
            ["cksum"],  # noqa: S607
            input=f"{tmp_path.resolve()}\n",
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()[0]
        (tmp_path / ".venv" / f"{number}-{kind}").touch()
    return tmp_path


def make(folder: Path, *arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs make there."""
    kept = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MAKELEVEL", "TARGET")}
    return subprocess.run(  # noqa: S603
        ["make", *arguments],  # noqa: S607
        cwd=folder,
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_make_alone_lists_what_there_is(folder: Path) -> None:
    done = make(folder)
    for target in (
        "deploy",
        "verify",
        "revert",
        "status",
        "demo",
        "test",
        "lint",
        "schema",
        "coverage",
        "build",
        "bench",
    ):
        assert f"  make {target} " in done.stdout


@pytest.mark.parametrize(
    "target",
    [
        "postgresql://me:pa$word@db.example.com/app?sslmode=require&application_name=x",
        "host=/tmp dbname='my db' password=$(shell id)`id`\"",
        "db:pg://me@db.example.com/app#x",
    ],
)
@pytest.mark.parametrize("way", ["argument", "environment"])
def test_a_target_arrives_as_it_was_typed(folder: Path, target: str, way: str) -> None:
    if way == "argument":
        done = make(folder, "status", f"TARGET={target}")
    else:
        done = make(folder, "status", TARGET=target)
    assert done.stdout == f"[status] target=[{target}]\n"


def test_without_a_target_none_is_given(folder: Path) -> None:
    assert make(folder, "deploy").stdout == "[deploy] target=[]\n"


def test_how_far(folder: Path) -> None:
    assert make(folder, "deploy", "TO=@v1$x").stdout == "[deploy][--to][@v1$x] target=[]\n"
    assert make(folder, "revert", "TO=a b").stdout == "[revert][--yes][--to][a b] target=[]\n"
    assert make(folder, "revert", "ALL=1").stdout == "[revert][--yes][--all] target=[]\n"


@pytest.mark.parametrize("arguments", [[], ["ALL=0"], ["ALL=no"], ["TO="], ["ALL=1", "TO=a"]])
def test_a_revert_of_everything_is_never_guessed(folder: Path, arguments: list[str]) -> None:
    done = make(folder, "revert", *arguments)
    assert done.returncode != 0
    assert "say how far" in done.stderr
    assert done.stdout == ""


def test_an_unknown_server_is_refused(folder: Path) -> None:
    done = make(folder, "test", "SERVER=bogus")
    assert done.returncode != 0
    assert "SERVER is docker, local, embedded or all" in done.stderr
