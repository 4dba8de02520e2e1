"""A PgBouncer of our own in transaction mode, with one server connection per login."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from integrations_db.server import unprivileged

__all__ = ["Bouncer", "running"]

# Ends PgBouncer when standard input does: when the test is over, or was killed.
_UNTIL_THE_END = '"$@" & read -r _; kill $!; wait'


@dataclass(frozen=True)
class Bouncer:
    """A running PgBouncer.

    Attributes:
        conninfo: leads through it, as the login it was started for.
        log_file: what it writes about its clients.
    """

    conninfo: str
    log_file: Path

    def connect(
        self, prepare_threshold: int | None = None
    ) -> psycopg.Connection[tuple[object, ...]]:
        """Gives a client in autocommit mode.

        Args:
            prepare_threshold: of psycopg; PgBouncer before 1.21 knows no prepared statements of the
                protocol, so None: never prepare.
        """
        return psycopg.connect(self.conninfo, autocommit=True, prepare_threshold=prepare_threshold)


def _program() -> str:
    """Gives PgBouncer's path; without it a CI run fails, another is skipped with a sentence."""
    found = shutil.which("pgbouncer", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        why = "pgbouncer is not installed: clients that share a connection cannot be tried"
        if os.environ.get("CI"):
            pytest.fail(why, pytrace=False)
        pytest.skip(why)
    return found


@contextmanager
def running(conninfo: str, **settings: str) -> Iterator[Bouncer]:
    """Runs PgBouncer in front of a server, without privileges, on a socket in a private folder.

    Args:
        conninfo: of a login, to the server and a database.
        settings: what else stands in its configuration.
    """
    server = {key: str(value) for key, value in conninfo_to_dict(conninfo).items()}
    password = Path(server["passfile"]).read_text().strip().rsplit(":", 1)[1]
    owner = unprivileged()
    with tempfile.TemporaryDirectory(prefix="pgbouncer-", dir="/tmp") as name:
        folder = Path(name)
        (folder / "users").write_text(f'"{server["user"]}" "{password}"\n')
        lines = {
            "listen_port": "6432",
            "unix_socket_dir": name,
            "auth_type": "trust",
            "auth_file": folder / "users",
            "pool_mode": "transaction",
            "default_pool_size": "1",
            "max_client_conn": "100",
            "query_wait_timeout": "60",
            "logfile": folder / "log",
            "verbose": "2",
            **settings,
        }
        (folder / "ini").write_text(
            f"[databases]\n* = host={server['host']} port={server['port']}\n[pgbouncer]\n"
            + "".join(f"{key} = {value}\n" for key, value in lines.items())
        )
        if owner:
            for path in (folder, *folder.iterdir()):
                os.chown(path, owner.uid, owner.gid)
        for path in folder.iterdir():
            path.chmod(0o600)
        process = subprocess.Popen(  # noqa: S603  # a program of this machine
            ["/bin/sh", "-c", _UNTIL_THE_END, "sh", _program(), "-q", str(folder / "ini")],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            user=owner.uid if owner else None,
            group=owner.gid if owner else None,
            extra_groups=[] if owner else None,
        )
        assert process.stdin
        try:
            bouncer = Bouncer(
                make_conninfo(host=name, port="6432", user=server["user"], dbname=server["dbname"]),
                folder / "log",
            )
            _wait(bouncer)
            yield bouncer
        finally:
            process.stdin.close()
            process.wait(timeout=60)


def _wait(bouncer: Bouncer) -> None:
    until = time.monotonic() + 60
    while True:
        try:
            bouncer.connect().close()
            return
        except psycopg.OperationalError as error:
            if time.monotonic() > until:
                said = bouncer.log_file.read_text() if bouncer.log_file.exists() else "nothing"
                pytest.fail(f"PgBouncer does not answer: {error}\n{said}", pytrace=False)
        time.sleep(0.05)
