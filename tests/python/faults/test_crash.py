"""A server that crashes: what a deployment has reported as done is there when it comes back.

Only the last commit of a run waits for the disk; it takes all before it along.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from engine import Heard, deploy
from small_project import Sql, events, recorded, rows, run, table, tables, write_project

from integrations_db import aftermath
from integrations_db.database import connect
from integrations_db.errors import Failure
from integrations_db.registry import Connection
from integrations_db.server import start_cluster, stop_cluster, unprivileged
from integrations_db.testing import databases
from integrations_db.testing.servers import Server

from .dumps import program

pytestmark = pytest.mark.database

NAMES = ["a", "b", "c", "d", "e"]


@dataclass(frozen=True, slots=True)
class Fragile:
    """A server of its own that writes its log to disk only when a commit waits for it."""

    dsn: str
    base: Path
    programs: Path

    def start(self) -> None:
        start_cluster(
            self.base / "data",
            self.programs,
            log=self.base / "log",
            owner=unprivileged(),
            durable=False,
            settings={
                "unix_socket_directories": str(self.base),
                "max_connections": "200",
                "synchronous_commit": "on",
                "wal_writer_delay": "10s",
                "wal_writer_flush_after": "1GB",
            },
        )

    def crash(self) -> None:
        """Ends the server as a crash would, and lets it recover."""
        stop_cluster(self.base / "data", self.programs, owner=unprivileged(), mode="immediate")
        self.start()


@pytest.fixture(scope="module")
def fragile(own: Server) -> Fragile:
    data = Path(rows(own.dsn, "show data_directory")[0][0])
    made = Fragile(own.dsn, data.parent, program("pg_ctl", own.version // 10000).parent)
    stop_cluster(data, made.programs, owner=unprivileged())
    made.start()
    return made


@pytest.fixture
def target(fragile: Fragile) -> Iterator[str]:
    with databases.clone(fragile.dsn, "template0") as dsn:
        yield dsn


@pytest.mark.parametrize("mode", ["change", "all"])
def test_what_was_deployed_is_there_after_a_crash(
    fragile: Fragile, target: str, tmp_path: Path, mode: str
) -> None:
    write_project(tmp_path, {name: table(name) for name in NAMES})
    assert run(tmp_path, "deploy", "--mode", mode, target).returncode == 0
    fragile.crash()
    assert recorded(target) == NAMES
    assert tables(target) == set(NAMES)


def test_what_preceded_a_failure_is_there_after_a_crash(
    fragile: Fragile, target: str, tmp_path: Path
) -> None:
    changes = {name: table(name) for name in NAMES}
    changes["d"] = Sql("begin;\nselect 1/0;\ncommit;\n")
    write_project(tmp_path, changes)
    assert run(tmp_path, "deploy", target).returncode == 1
    fragile.crash()
    assert recorded(target) == ["a", "b", "c"]
    assert tables(target) == {"a", "b", "c"}
    assert events(target)[-1] == ("fail", "d")


def test_what_preceded_an_interrupt_is_there_after_a_crash(
    fragile: Fragile, target: str, tmp_path: Path
) -> None:
    """Also where there is no failure to record, and so no other commit that waits for the disk."""
    write_project(tmp_path, {name: table(name) for name in NAMES})

    class Impatient(Heard):
        def done(self, title: str, seconds: float, remark: str = "ok") -> None:
            super().done(title, seconds, remark)
            if title == "c" and self.steps.count(("c", remark)) == 1:
                raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt) as ended:
        deploy(tmp_path, target, Impatient())
    assert ended.value.__notes__ == ["c was deployed and recorded; nothing after it was begun."]
    fragile.crash()
    assert recorded(target) == ["a", "b", "c"]
    assert tables(target) == {"a", "b", "c"}


def test_what_a_crash_in_mid_run_takes_along_is_named(
    fragile: Fragile, target: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Changes with their records, and none but the latest: what is left is the plan's beginning."""
    write_project(tmp_path, {"a": table("a")})
    assert run(tmp_path, "deploy", target).returncode == 0
    crash = "begin;\ncreate table x ();\ncopy (select 1) to program 'kill -9 $PPID';\ncommit;\n"
    write_project(tmp_path, {n: table(n) for n in ("a", "b", "c")} | {"crash": Sql(crash)})

    def patient(*arguments: Any) -> Connection:
        deadline = time.monotonic() + 60
        while True:
            try:
                # A session that begins before the server has noticed goes down with the others.
                if "terminated; reinitializing" in log.read_text():
                    return connect(*arguments)
            except Failure:
                pass
            assert time.monotonic() < deadline
            time.sleep(0.05)

    log = fragile.base / "log"
    assert "terminated; reinitializing" not in log.read_text()
    monkeypatch.setattr(aftermath, "connect", patient)
    with pytest.raises(Failure) as failed:
        deploy(tmp_path, target)
    assert "crash is untouched" in str(failed.value)
    left = recorded(target)
    assert tables(target) == set(left)
    assert left == ["a", "b", "c"][: len(left)] != []
    # How much is lost is the server's affair; 18 loses both.
    lost = ", ".join(["a", "b", "c"][len(left) :])
    assert ("gone, too" in str(failed.value)) == bool(lost)
    assert lost in str(failed.value)
    write_project(tmp_path, {name: table(name) for name in ("a", "b", "c")})
    assert run(tmp_path, "deploy", target).returncode == 0
    assert recorded(target) == ["a", "b", "c"]
