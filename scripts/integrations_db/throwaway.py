"""Servers that end with the process that started them, in whatever way it ends."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from psycopg.conninfo import make_conninfo

from integrations_db.config import Target

__all__ = ["home", "own_server", "removed_at_the_end", "until_the_end"]

_ROOM = 1 << 30  # bytes that memory must have free before a server lives there

# Waits for the pipe's end; then its process is over, however that came about. What still makes or
# starts a server is let finish: that would leave shared memory behind without its folder.
_STOP = """
import shutil, subprocess, sys, time
from pathlib import Path
from integrations_db.server import stop_cluster, unprivileged
base, programs = map(Path, sys.argv[1:])
sys.stdin.read()
busy = {(str(programs / name), "--pgdata " + str(base)) for name in ("initdb", "pg_ctl")}
busy.add((" ".join(["cp", "-Rp"]), str(base)))  # not in one piece: this text is in the list, too
deadline = time.monotonic() + 60
while time.monotonic() < deadline:
    listed = subprocess.run(["ps", "-eww", "-o", "args="], capture_output=True, text=True).stdout
    if not any(a in line and b in line for line in listed.splitlines() for a, b in busy):
        break
    time.sleep(0.05)
try:
    stop_cluster(base / "data", programs, owner=unprivileged(), mode="immediate")
finally:
    shutil.rmtree(base)
"""


def home(room: int = _ROOM) -> Path:
    """Gives a folder for servers: in memory where that has room; short, for sockets' sake.

    Args:
        room: bytes that must be free there.
    """
    memory = Path("/dev/shm")  # noqa: S108  # the folder in it is made by mkdtemp
    if os.access(memory, os.W_OK) and shutil.disk_usage(memory).free > room:
        return memory
    return Path("/tmp")  # noqa: S108  # as above; $TMPDIR is too long on macOS


@contextmanager
def removed_at_the_end(base: Path, programs: Path) -> Iterator[None]:
    """Sees to it that a server and its folder go when the block ends, or this process.

    That is done by a process of its own, so that it is done after ``kill -9``, too.

    Args:
        base: the folder; the data folder in it is called ``data``.
        programs: where ``pg_ctl`` is.
    """
    with until_the_end([sys.executable, "-P", "-c", _STOP, str(base), str(programs)]):
        yield


@contextmanager
def until_the_end(command: Sequence[str]) -> Iterator[None]:
    """Runs a command that cleans up; its standard input ends when the block, or Python, does."""
    # A session of its own, so that Ctrl-C does not reach it before it has work.
    helper = subprocess.Popen(  # noqa: S603
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        if helper.stdin:
            helper.stdin.close()
        helper.wait(timeout=60)


@contextmanager
def own_server() -> Iterator[Target]:
    """Starts an embedded server with one empty database, thrown away when the block ends.

    Raises:
        Failure: it cannot be made, or started.
    """
    from integrations_db import server  # what only this needs is big

    programs, owner = server.installation(), server.unprivileged()
    base = Path(tempfile.mkdtemp(prefix="idb-", dir=home()))
    with removed_at_the_end(base, programs):
        server.give(base, owner)
        data = base / "data"
        server.init_cluster(data, programs, owner=owner, password=None, durable=False)
        server.start_cluster(
            data,
            programs,
            log=base / "log",
            owner=owner,
            durable=False,
            settings={"unix_socket_directories": str(base)},
        )
        yield Target(
            make_conninfo(host=str(base), user=server.SUPERUSER, dbname="postgres"),
            embedded=True,
        )
