"""Our command, forked from a process that has it loaded, is a process like any other."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
from pathlib import Path

import loaded
import pytest
from small_project import Sql, begin, command, environment, run, table, write_project

pytestmark = pytest.mark.static


def test_it_is_as_if_python_had_been_started(tmp_path: Path) -> None:
    """Success, a failure of ours, one of the command line; with the folder and the environment."""
    write_project(tmp_path, {"a": table("a", note="\u9631"), "b": Sql("", requires=("a",))})
    for arguments in (["plan"], ["deploy"], ["nosuch"], ["--version"], ["config"]):
        env = {"SQITCH_TARGET": "postgresql:///?host=/nowhere&port=1"}
        afresh = subprocess.run(  # noqa: S603
            command(*arguments),
            cwd=tmp_path,
            env=environment(**env),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        forked = run(tmp_path, *arguments, **env)
        assert (forked.returncode, forked.stdout, forked.stderr) == (
            afresh.returncode,
            afresh.stdout,
            afresh.stderr,
        )


def test_who_takes_too_long_is_killed() -> None:
    """Here by a server that takes the connection and says nothing."""
    with socket.create_server(("127.0.0.1", 0)) as mute:
        target = f"host=127.0.0.1 port={mute.getsockname()[1]}"
        with pytest.raises(subprocess.TimeoutExpired):
            loaded.run(["status", target], Path("/"), environment(), timeout=0.5)
        connection, _ = mute.accept()
        with connection:
            connection.settimeout(60)
            while connection.recv(1000):
                pass  # until the other end is closed


def test_who_is_not_waited_for_leads_a_group_that_hears_signals() -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        target = f"host=127.0.0.1 port={mute.getsockname()[1]}"
        process = begin(Path("/"), "status", target)
        connection, _ = mute.accept()
        with connection:
            assert process.poll() is None
            with pytest.raises(subprocess.TimeoutExpired):
                process.wait(0.01)
            os.killpg(process.pid, signal.SIGKILL)
            assert process.communicate(timeout=60) == ("", "")
        assert (process.returncode, process.poll()) == (-signal.SIGKILL, -signal.SIGKILL)
        process.send_signal(signal.SIGTERM)  # nobody is there any more
