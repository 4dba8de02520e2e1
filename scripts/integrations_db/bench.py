"""``make bench``: times deploy, verify and revert of trivial changes on a throw-away server.

The server is the embedded one with its durable settings; the disk is part of what is measured. When
Sqitch is installed it runs the same project on the same server, for comparison.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from integrations_db import server

CHANGES = 100


def _make_project(folder: Path) -> None:
    """Writes a project of small tables, each with its verify and revert script."""
    lines = ["%syntax-version=1.0.0", "%project=bench", ""]
    for kind in ("deploy", "revert", "verify"):
        (folder / kind).mkdir()
    for number in range(CHANGES):
        name = f"t{number:03}"
        lines.append(f"{name} 2026-01-01T00:00:00Z Bench <bench@example.com> # Add {name}")
        for kind, sql, end in (
            ("deploy", f"create table {name} (id integer primary key);", "commit"),
            ("revert", f"drop table {name};", "commit"),
            ("verify", f"table {name};", "rollback"),
        ):
            (folder / kind / f"{name}.sql").write_text(f"begin;\n{sql}\n{end};\n")
    (folder / "sqitch.plan").write_text("\n".join([*lines, ""]))
    (folder / "sqitch.conf").write_text("[core]\n\tengine = pg\n")


def _seconds(command: list[str], folder: Path) -> float:
    began = time.monotonic()
    subprocess.run(command, cwd=folder, check=True, stdout=subprocess.DEVNULL)  # noqa: S603
    return time.monotonic() - began


def main() -> None:
    """Prints a table of seconds."""
    with tempfile.TemporaryDirectory(prefix="integrations-db-bench-") as work:
        root = Path(work)
        root.chmod(0o755)
        folder = root / "project"
        folder.mkdir()
        _make_project(folder)
        os.environ["INTEGRATIONS_DB_STATE"] = str(root / "state")
        uri = server.start()
        try:
            ours = [sys.executable, "-m", "integrations_db"]
            rows: list[tuple[str, list[str], str, list[str], list[str]]] = [
                ("integrations-db", ours, uri, [], ["--all"])
            ]
            if sqitch := shutil.which("sqitch"):
                its_uri = uri.replace("postgresql:", "db:pg:", 1)
                rows.append(("sqitch", [sqitch], its_uri, ["--verify"], []))
            print(f"seconds for {CHANGES} changes  deploy+verify  verify  revert")
            for name, program, target, deploy, revert in rows:
                times = [
                    _seconds([*program, "deploy", *deploy, target], folder),
                    _seconds([*program, "verify", target], folder),
                    _seconds([*program, "revert", "-y", *revert, target], folder),
                ]
                print(f"  {name:24} {times[0]:12.2f} {times[1]:7.2f} {times[2]:7.2f}")
        finally:
            server.stop()


if __name__ == "__main__":
    main()
