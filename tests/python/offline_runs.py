"""What the tests of `sql` have in common: having a script written, and psql run it."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from small_project import environment, require, run

__all__ = ["psql", "psql_command", "written"]


def written(folder: Path, *options: str) -> str:
    """Returns the script that our command writes."""
    done = run(folder, "sql", *options)
    assert done.returncode == 0, done.stderr
    return done.stdout


def psql_command(dsn: str, text: str, folder: Path, *options: str) -> list[str]:
    """Returns the argument vector that runs a script, and writes it where that begins."""
    file = folder / "approved" / "script.sql"
    file.parent.mkdir(exist_ok=True)
    file.write_text(text, newline="")
    return [require("psql"), "-X", *options, "-f", os.fspath(file), dsn]


def psql(
    dsn: str, text: str, folder: Path, *options: str, **env: str
) -> subprocess.CompletedProcess[str]:
    """Runs a script with psql, as the DBA would."""
    return subprocess.run(  # noqa: S603
        psql_command(dsn, text, folder, *options),
        env=environment(**env),
        cwd="/",
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
