"""Sqitch run from the process that has it loaded says and does what it does by itself."""

from __future__ import annotations

import subprocess
from pathlib import Path

import loaded_sqitch
import pytest
from small_project import sqitch, sqitch_command, table, write_project

COMMANDS = [
    ["--version"],
    ["plan", "--format", "format:%n %{:event}c%v"],
    ["plan", "--change", "ünï"],
    ["nonsense"],
    ["deploy", "db:pg://nobody@nowhere.invalid/x"],
    ["--quiet", "add", "ß", "--note", "Größe"],
]


@pytest.mark.parametrize("arguments", COMMANDS, ids=" ".join)
def test_the_same(tmp_path: Path, arguments: list[str]) -> None:
    said = []
    for name in ("by_itself", "loaded"):
        folder = write_project(tmp_path / name, {"ünï": table("a", note="Ähm")})
        if name == "loaded":
            done = sqitch(folder, None, *arguments)
        else:
            argv, env = sqitch_command(None, *arguments)
            done = subprocess.run(  # noqa: S603
                argv,
                cwd=folder,
                env=env,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                check=False,
            )
        written = sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))
        plan = (folder / "sqitch.plan").read_text().splitlines()
        said.append((done.returncode, done.stdout, done.stderr, written, len(plan)))
    assert said[0] == said[1]


def test_one_that_takes_too_long_is_ended(tmp_path: Path) -> None:
    argv, env = sqitch_command(None, "--version")
    with pytest.raises(subprocess.TimeoutExpired):
        loaded_sqitch.run(argv, tmp_path, env, timeout=0)
    assert "App::Sqitch" in sqitch(tmp_path, None, "--version").stdout
