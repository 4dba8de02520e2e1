"""``make bench``: how long a deployment takes, next to one psql process and to stock Sqitch.

Each round deploys the same generated changes, each with its verify script, to new databases of one
throw-away server: with our command, with one psql process that runs the same files in the order in
which the deployer does, and with ``sqitch deploy --verify`` when Sqitch is installed. The rounds
are interleaved, so that a busy machine burdens all alike; the medians of their times and of their
ratios are printed. The server is the embedded one with its durable settings: the disk is part of
what is measured.

Then, on a database where all is deployed: CPU seconds of commands that have nothing to do.

``BENCH_ROUNDS`` sets the number of rounds (default 5), ``BENCH_CHANGES`` the sizes (``50,200``).
"""

from __future__ import annotations

import os
import secrets
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from integrations_db import server

Command = list[str]


@dataclass(frozen=True, slots=True)
class Took:
    """What a process took, its children included, in seconds."""

    wall: float
    cpu: float


def make_project(folder: Path, changes: int) -> None:
    """Writes a project of small tables, each with its verify and revert script."""
    lines = ["%syntax-version=1.0.0", "%project=bench", ""]
    for kind in ("deploy", "revert", "verify"):
        (folder / kind).mkdir(parents=True)
    for number in range(changes):
        name = f"t{number:03}"
        lines.append(f"{name} 2026-01-01T00:00:00Z Bench <bench@example.com> # Add {name}")
        for kind, body, end in (
            ("deploy", f"create table {name} (id integer primary key, note text);", "commit"),
            ("revert", f"drop table {name};", "commit"),
            ("verify", f"table {name};", "rollback"),
        ):
            (folder / kind / f"{name}.sql").write_text(f"begin;\n{body}\n{end};\n")
    (folder / "sqitch.plan").write_text("\n".join([*lines, ""]))
    (folder / "sqitch.conf").write_text("[core]\n\tengine = pg\n")


def measure(command: Command, folder: Path) -> Took:
    """Runs a command to its end.

    Raises:
        SystemExit: it failed; its output is printed.
    """
    with tempfile.TemporaryFile() as output:
        began = time.monotonic()
        process = subprocess.Popen(  # noqa: S603
            command, cwd=folder, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        _, status, usage = os.wait4(process.pid, 0)
        took = Took(time.monotonic() - began, usage.ru_utime + usage.ru_stime)
        process.returncode = os.waitstatus_to_exitcode(status)
        if process.returncode:
            output.seek(0)
            sys.exit(f"{command[:4]} ended with {process.returncode}:\n{output.read().decode()}")
    return took


@contextmanager
def new_database(uri: str) -> Iterator[str]:
    """Gives the URI of a new database of the server, which is dropped afterwards."""
    name = f"bench_{secrets.token_hex(4)}"
    with psycopg.connect(make_conninfo(uri, dbname="postgres"), autocommit=True) as conn:
        conn.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
        parts = conninfo_to_dict(uri)
        try:
            yield uri.replace(f"/{parts['dbname']}", f"/{name}", 1)
        finally:
            conn.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))


def commands(folder: Path, uri: str, programs: Path) -> dict[str, Command]:
    """Returns the commands that deploy a project to a database, by the name of their program."""
    names = [path.stem for path in sorted((folder / "deploy").iterdir())]
    files = [f"--file={kind}/{name}.sql" for name in names for kind in ("deploy", "verify")]
    psql = [str(programs / "psql"), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1", uri]
    found = {
        "one psql": [*psql, *files],
        "integrations-db": [sys.executable, "-m", "integrations_db", "deploy", uri],
    }
    if sqitch := shutil.which("sqitch"):
        its = uri.replace("postgresql:", "db:pg:", 1)
        found["sqitch"] = [sqitch, "deploy", "--verify", its]
    return found


def race(folder: Path, uri: str, programs: Path, rounds: int) -> dict[str, list[Took]]:
    """Deploys a project with every program, round by round, in turning order."""
    times: dict[str, list[Took]] = {}
    for number in range(rounds):
        names = list(commands(folder, uri, programs))
        turn = number % len(names)
        for name in names[turn:] + names[:turn]:
            with new_database(uri) as target:
                command = commands(folder, target, programs)[name]
                times.setdefault(name, []).append(measure(command, folder))
    return times


def show(changes: int, times: dict[str, list[Took]]) -> None:
    """Prints medians, and the medians of each round's ratio to one psql process and to ours."""
    print(f"\n{changes} changes, deployed and verified   seconds     cpu  to psql  to ours")
    for name, took in times.items():
        ratios = [
            statistics.median(
                mine.wall / other.wall for mine, other in zip(took, times[base], strict=True)
            )
            for base in ("one psql", "integrations-db")
        ]
        wall = statistics.median(t.wall for t in took)
        cpu = statistics.median(t.cpu for t in took)
        print(f"  {name:28} {wall:12.2f} {cpu:7.2f} {ratios[0]:7.2f}x {ratios[1]:7.2f}x")


def idle(folder: Path, uri: str, changes: int, rounds: int) -> None:
    """Prints CPU seconds of commands that have nothing to do."""
    ours = [sys.executable, "-m", "integrations_db"]
    print(f"\nnothing to do, {changes} changes deployed     cpu s  wall s")
    with new_database(uri) as target:
        measure([*ours, "deploy", target], folder)
        for arguments in (["deploy", target], ["status", target], ["--help"]):
            took = [measure([*ours, *arguments], folder) for _ in range(rounds)]
            cpu = statistics.median(t.cpu for t in took)
            wall = statistics.median(t.wall for t in took)
            print(f"  {arguments[0]:28} {cpu:12.3f} {wall:7.3f}")


def main() -> None:
    """Prints the tables."""
    rounds = int(os.environ.get("BENCH_ROUNDS", "5"))
    sizes = [int(size) for size in os.environ.get("BENCH_CHANGES", "50,200").split(",")]
    with tempfile.TemporaryDirectory(prefix="integrations-db-bench-") as work:
        root = Path(work)
        root.chmod(0o755)  # the server of root is another user's
        os.environ["INTEGRATIONS_DB_STATE"] = str(root / "state")
        # The configuration of this machine's user is not part of it.
        os.environ["SQITCH_USER_CONFIG"] = os.environ["SQITCH_SYSTEM_CONFIG"] = os.devnull
        uri = server.start()
        try:
            programs = server.programs()
            if programs is None:
                sys.exit("the embedded server brings no psql")
            if not shutil.which("sqitch"):
                print("Sqitch is not installed: it is not compared with.")
            print(f"{rounds} rounds, medians")
            for size in sizes:
                folder = root / str(size)
                make_project(folder, size)
                show(size, race(folder, uri, programs, rounds))
            idle(folder, uri, size, rounds)
        finally:
            server.stop()


if __name__ == "__main__":
    main()
