"""Test servers, databases, logins, and how a session with them begins and ends."""

from __future__ import annotations

import gc
import os
import shutil
import signal
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import LiteralString

import psycopg
import pytest
from api.client import Client
from api.server_log import Log
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from inner import Inner
from integrations_db import throwaway
from integrations_db.testing import databases, servers
from integrations_db.testing.servers import Server
from place import place
from size import size

USES_SERVER = """
import signal, time

# Commands that a shell runs in the background ignore Ctrl-C, and so do those that they run.
signal.signal(signal.SIGINT, signal.default_int_handler)

def test_server(server, empty_database):
    print("server is", server.log_source, server.container)
    time.sleep({seconds})
"""
NOBODY = Path("no Dockerfile")
SILENT = {"TEST_DSN": "host=127.0.0.1 port=1 password=hunter2"}


def _value(conninfo: str, query: LiteralString, *values: object) -> object:
    with psycopg.connect(conninfo, autocommit=True) as connection:
        row = connection.execute(query, values or None).fetchone()
    assert row is not None
    return row[0]


def test_the_server_is_what_it_says(server: Server) -> None:
    assert str(_value(server.dsn, "show server_version_num")) == str(server.version)
    assert _value(server.dsn, "show is_superuser") == "on"
    assert server.release in str(server)
    assert server.pgtap in str(server)


def test_no_password_is_shown(server: Server, tmp_path: Path) -> None:
    assert "password" not in server.dsn
    conninfo = servers.without_password("host=/nowhere password='a:b\\\\c'", tmp_path)
    file = Path(str(conninfo_to_dict(conninfo)["passfile"]))
    assert "a:b" not in conninfo
    assert file.read_text() == "*:*:*:*:a\\:b\\\\c\n"
    assert file.stat().st_mode & 0o777 == 0o600


def test_the_log_can_be_read(server: Server) -> None:
    if server.name == "dsn":
        assert server.log() == ""
        return
    mark = databases.new_name("mark")
    with psycopg.connect(server.dsn) as connection:
        connection.execute(f"do $$ begin raise log '{mark}'; end $$".encode())
    deadline = time.monotonic() + 60
    while mark not in server.log() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert mark in server.log()


def test_a_log_that_is_no_file_is_told_at_once(cluster: Server) -> None:
    with psycopg.connect(cluster.dsn, autocommit=True) as connection:
        log = Log(replace(cluster, log_source=""), Client(connection))
        with pytest.raises(pytest.fail.Exception, match="logging_collector"):
            log.text()


def test_a_log_that_the_server_collects_is_read_by_sql(server: Server) -> None:
    kind = server.name if server.name in ("local", "embedded") else "local"
    with ExitStack() as stack:
        try:
            other = stack.enter_context(
                servers.running(kind, NOBODY, print, settings={"logging_collector": "on"})
            )
        except servers.Unobtainable as error:
            pytest.skip(str(error))
        connection = stack.enter_context(psycopg.connect(other.dsn, autocommit=True))
        log = Log(replace(other, log_source=""), Client(connection))
        connection.execute("do $$ begin raise log 'what was before'; end $$")
        here = log.from_here()
        connection.execute("do $$ begin raise log 'näher'; end $$")
        assert "näher" in here.text()
        assert "before" not in here.text()
        assert "before" in log.text()


def test_a_throw_away_server_trades_safety_for_speed(cluster: Server) -> None:
    assert _value(cluster.dsn, "show fsync") == "off"


def test_a_cluster_is_another_server_with_nothing_in_it(server: Server, cluster: Server) -> None:
    # Not the identifier of the system: a new server's files are a copy of another one's.
    identity = "select pg_postmaster_start_time()"
    assert _value(server.dsn, identity) != _value(cluster.dsn, identity)
    made = "select count(*) from pg_roles where rolname !~ '^(pg_|postgres$)'"
    assert _value(cluster.dsn, made) == 0


@pytest.mark.static
def test_settings_come_together_and_libraries_add_up(monkeypatch: pytest.MonkeyPatch) -> None:
    assert servers._together({"work_mem": "1MB"}, {"work_mem": "2MB"})["work_mem"] == "2MB"
    assert "shared_preload_libraries" not in servers._together({})
    monkeypatch.setitem(servers._SETTINGS, "shared_preload_libraries", "a, b")
    settings = servers._together({"shared_preload_libraries": "c"})
    assert settings["shared_preload_libraries"] == "a, b, c"


def test_an_empty_database_is_empty(server: Server, empty_database: str) -> None:
    assert _value(empty_database, "select count(*) from pg_class where oid >= 16384") == 0
    assert conninfo_to_dict(empty_database)["dbname"] != conninfo_to_dict(server.dsn)["dbname"]


def test_a_clone_is_dropped_whoever_is_connected(server: Server) -> None:
    with databases.clone(server.dsn, "template0") as conninfo:
        connection = psycopg.connect(conninfo)
    with pytest.raises(psycopg.OperationalError):
        connection.execute("select 1")
    connection.close()
    with pytest.raises(psycopg.OperationalError):
        psycopg.connect(conninfo)


def test_a_clone_has_the_owner_privileges_and_settings(server: Server) -> None:
    """Which CREATE DATABASE does not copy."""
    role = databases.new_name("role")
    with (
        databases.clone(server.dsn, "template0") as model,
        psycopg.connect(server.dsn, autocommit=True) as connection,
    ):
        name = sql.Identifier(str(conninfo_to_dict(model)["dbname"]))
        connection.execute(sql.SQL("create role {}").format(sql.Identifier(role)))
        for change in (
            "alter database {} owner to {}",
            "alter database {} set search_path = ''",
            "alter database {} set app.secret = 'a, b'",
            "alter role {1} in database {0} set work_mem = '7MB'",
            "revoke all on database {} from public",
            "grant connect on database {} to pg_monitor",
        ):
            connection.execute(sql.SQL(change).format(name, sql.Identifier(role)))
        look = (
            "select pg_get_userbyid(d.datdba), d.datacl::text, array_agg(s.setconfig::text"
            " order by s.setrole) from pg_database as d join pg_db_role_setting as s"
            " on s.setdatabase = d.oid where d.datname = current_database() group by d.oid"
        )
        with databases.clone(server.dsn, str(conninfo_to_dict(model)["dbname"])) as conninfo:
            told = []
            for dsn in (model, conninfo):
                with psycopg.connect(dsn) as other:
                    told.append(other.execute(look.encode()).fetchone())
        assert told[0] == told[1]
        assert told[0] is not None
        assert told[0][0] == role
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))


def test_a_template_is_made_once_for_a_key(server: Server) -> None:
    built: list[str] = []
    project = databases.new_name("project")
    first = databases.ensure_template(server.dsn, project, "one", built.append)
    assert databases.ensure_template(server.dsn, project, "one", built.append) == first
    assert len(built) == 1
    with pytest.raises(psycopg.OperationalError, match="not currently accepting connections"):
        psycopg.connect(make_conninfo(server.dsn, dbname=first))
    with databases.clone(server.dsn, first) as conninfo:
        assert _value(conninfo, "select 1") == 1
    second = databases.ensure_template(server.dsn, project, "two", built.append)
    left = "select array_agg(datname::text) from pg_database where datname = any (%s)"
    assert _value(server.dsn, left, [first, second]) == [second]
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        databases._drop(connection, second)


def test_a_template_that_failed_is_made_again(server: Server) -> None:
    project = databases.new_name("project")

    def fail(conninfo: str) -> None:
        _value(conninfo, "select 1/0")

    with pytest.raises(psycopg.errors.DivisionByZero):
        databases.ensure_template(server.dsn, project, "key", fail)
    built: list[str] = []
    name = databases.ensure_template(server.dsn, project, "key", built.append)
    assert len(built) == 1
    with psycopg.connect(server.dsn, autocommit=True) as connection:
        databases._drop(connection, name)


def test_the_fingerprint_changes_with_what_is_in_a_file(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a")
    two.write_text("b")
    keys = {databases.fingerprint(15, [one, two]), databases.fingerprint(15, [two, one])}
    keys.add(databases.fingerprint(16, [one, two]))
    two.write_text("c")
    keys.add(databases.fingerprint(15, [one, two]))
    assert len(keys) == 4


def test_a_login_is_a_member_and_goes_with_what_it_owns(
    server: Server, empty_database: str, login: Callable[[str, str], str]
) -> None:
    conninfo = login(
        "pg_create_subscription" if server.version >= 160000 else "pg_monitor", empty_database
    )
    name = str(conninfo_to_dict(conninfo)["user"])
    assert _value(conninfo, "select session_user::text") == name
    assert _value(conninfo, "show is_superuser") == "off"
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute("grant create on schema public to public")
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute("create table public.mine ()")
        databases.drop_login(name, empty_database)
        with pytest.raises(psycopg.OperationalError):
            connection.execute("select 1")
    assert _value(empty_database, "select to_regclass('public.mine') is null") is True
    assert _value(server.dsn, "select count(*) from pg_roles where rolname = %s", name) == 0
    databases.drop_login(name, empty_database)


def test_a_login_inherits_what_its_role_may_do(
    server: Server, empty_database: str, login: Callable[[str, str], str]
) -> None:
    role = databases.new_name("role")
    with psycopg.connect(empty_database, autocommit=True) as connection:
        connection.execute(f"create role {role}".encode())
        connection.execute(f"create table t (); grant select on t to {role}".encode())
    try:
        assert _value(login(role, empty_database), "select count(*) from t") == 0
    finally:
        with psycopg.connect(empty_database, autocommit=True) as connection:
            connection.execute(f"drop owned by {role}; drop role {role}".encode())


def test_a_login_that_owns_something_elsewhere_stays(
    server: Server, empty_database: str, login: Callable[[str, str], str]
) -> None:
    conninfo = login("pg_monitor", empty_database)
    name = str(conninfo_to_dict(conninfo)["user"])
    with databases.clone(server.dsn, "template0") as elsewhere:
        with psycopg.connect(elsewhere, autocommit=True) as connection:
            connection.execute(f"create schema authorization {name}".encode())
        with pytest.raises(psycopg.errors.DependentObjectsStillExist):
            databases.drop_login(name, empty_database)
        assert _value(server.dsn, "select count(*) from pg_roles where rolname = %s", name) == 1


@pytest.mark.static
def test_files_are_in_memory_only_where_that_serves(monkeypatch: pytest.MonkeyPatch) -> None:
    memory, disk = Path("/dev/shm"), Path("/tmp")  # noqa: S108
    at = SimpleNamespace(f_flag=0, free=3 << 30)
    writable = {memory}
    monkeypatch.setattr(os, "ST_NOEXEC", 8, raising=False)
    monkeypatch.setattr(os, "access", lambda folder, _: folder in writable)
    monkeypatch.setattr(os, "statvfs", lambda _: at)
    monkeypatch.setattr(shutil, "disk_usage", lambda _: at)
    assert place() == memory
    at.f_flag = 8
    assert place() is None
    at.f_flag, at.free = 0, 2 << 30
    assert place() == disk
    assert throwaway.home() == memory
    at.free = 3 << 30
    writable.clear()
    assert place() == disk


def test_an_unknown_kind_of_server_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    with (
        pytest.raises(servers.Unobtainable, match="the server moon is unknown"),
        servers.running("moon", NOBODY, print),
    ):
        pass


@pytest.mark.parametrize(
    ("kind", "environment", "message", "options"),
    [
        ("dsn", {"TEST_DSN": ""}, "TEST_DSN is not set", ()),
        ("dsn", SILENT, "does not answer", ()),
        ("dsn", SILENT, "does not answer", ("-n1",)),
        ("docker", {"DOCKER_HOST": "unix:///nowhere"}, "no Docker engine answers", ()),
        ("local", {"TEST_PG_BIN": "/nowhere"}, "/nowhere", ()),
    ],
)
def test_a_session_without_a_server_fails_with_a_sentence(
    inner: Inner,
    monkeypatch: pytest.MonkeyPatch,
    kind: str,
    environment: dict[str, str],
    message: str,
    options: tuple[str, ...],
) -> None:
    monkeypatch.setenv("TEST_SERVER", kind)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    inner.write(one="begin; select plan(1); select ok(true); rollback;")
    result = inner.run(*options)
    assert result.ret == 1
    text = result.stdout.str() + result.stderr.str()
    assert message in text
    assert "Traceback" not in text
    assert "hunter2" not in text


def test_an_engine_that_does_not_answer_leaves_no_socket_open(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/nowhere")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            servers._docker()
        except servers.Unobtainable as error:
            said = str(error)
        gc.collect()
    assert "no Docker engine answers" in said
    assert [str(warning.message) for warning in caught] == []


@pytest.mark.parametrize("fails", ["from_env", "ping"])
def test_a_client_that_gets_no_answer_is_closed(
    monkeypatch: pytest.MonkeyPatch, fails: str
) -> None:
    docker = pytest.importorskip("docker")
    closed: list[str] = []

    def fail() -> None:
        raise docker.errors.APIError("out of order")

    def from_env() -> object:
        if fails == "from_env":
            fail()
        return SimpleNamespace(ping=fail, close=lambda: closed.append("client"))

    monkeypatch.setattr(docker, "from_env", from_env)
    with pytest.raises(servers.Unobtainable, match="no Docker engine answers"):
        servers._docker()
    assert closed == (["client"] if fails == "ping" else [])


def test_a_tree_of_programs_of_its_own_has_its_pgtap_beside(tmp_path: Path) -> None:
    programs, beside = tmp_path / "bin", tmp_path / "share/postgresql"
    for folder in (programs, beside / "extension"):
        folder.mkdir(parents=True)
    for program in ("initdb", "postgres"):
        (programs / program).write_text("#!/bin/sh\necho 'postgres (PostgreSQL) 15.2'\n")
        (programs / program).chmod(0o755)
    with pytest.raises(servers.Unobtainable, match="lacks pgTAP"):
        servers._with_pgtap([programs])
    (beside / "extension/pgtap.control").touch()
    assert servers._with_pgtap([programs]) == programs


def test_programs_that_do_not_run_are_refused_with_a_sentence(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for program in ("initdb", "postgres"):
        (tmp_path / program).write_text("#!/bin/sh\necho 'libfoo.so is missing'; exit 127\n")
        (tmp_path / program).chmod(0o755)
    monkeypatch.setenv("TEST_PG_BIN", str(tmp_path))
    with (
        pytest.raises(servers.Unobtainable, match=r"does not run: libfoo\.so is missing"),
        servers.running("local", NOBODY, print),
    ):
        pass


def test_a_session_that_needs_no_server_starts_none(
    inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TEST_DSN", "host=/nowhere")
    inner.write(one="begin; select plan(1); select ok(true); rollback;")
    inner.pytester.makepyfile("def test_nothing(): pass")
    result = inner.run("-m", "not database")
    result.assert_outcomes(passed=1, deselected=1)
    assert "test server" not in result.stdout.str()


def test_a_session_of_skipped_tests_fails(inner: Inner) -> None:
    inner.pytester.makepyfile("import pytest\n@pytest.mark.skip\ndef test_nothing(): pass")
    result = inner.run()
    assert result.ret == 5
    result.stdout.fnmatch_lines(["*no test ran, all were skipped*"])


def test_workers_share_one_server(inner: Inner) -> None:
    inner.pytester.makepyfile(
        """
        import psycopg, pytest
        @pytest.mark.parametrize("n", range(4))
        def test_it(server, worker_database, template, n, worker_id):
            with psycopg.connect(worker_database) as connection:
                connection.execute("create table t ()")
                connection.rollback()
            with open(f"seen-{worker_id}", "w") as file:
                file.write(f"{server.dsn} {template}")
        """
    )
    inner.run("-n2", "--dist=each").assert_outcomes(passed=8)
    seen = {file.read_text() for file in inner.path.glob("seen-*")}
    assert len(list(inner.path.glob("seen-*"))) == 2
    assert len(seen) == 1


def test_a_template_that_does_not_deploy_fails_each_test(inner: Inner) -> None:
    inner.pytester.makeconftest("def pytest_pgtap_deploy(conninfo): raise ValueError('no plan')")
    inner.pytester.makeini("[pytest]\npgtap_paths = .\npgtap_template = broken\n")
    inner.pytester.makepyfile("def test_one(database): pass\ndef test_two(database): pass")
    inner.write(one="begin; select plan(1); select ok(true); rollback;")
    result = inner.run()
    result.assert_outcomes(errors=2, failed=1)
    result.stdout.fnmatch_lines(["*no plan*"])


@pytest.mark.parametrize(
    ("name", "arguments"), [("initdb", ["--pgdata"]), ("cp", ["-Rp", "/model"])]
)
def test_a_server_in_the_making_is_let_finish(
    tmp_path: Path, name: str, arguments: list[str]
) -> None:
    base, program, made = tmp_path / "base", tmp_path / name, tmp_path / "made"
    base.mkdir()
    program.write_text(f"#!/bin/sh\nsleep 0.7; touch {made}\n")
    program.chmod(0o755)
    with subprocess.Popen([program, *arguments, base / "data"]):  # noqa: S603
        with throwaway.removed_at_the_end(base, tmp_path):
            pass
        assert made.exists()
    assert not base.exists()


def test_a_container_that_comes_late_is_removed(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    removed = tmp_path / "removed"
    (tmp_path / "docker.py").write_text(f"""
from types import SimpleNamespace
from pathlib import Path
made = SimpleNamespace(remove=lambda force, v: Path({str(removed)!r}).touch())
answers = iter([[], [], [made]])
client = SimpleNamespace(containers=SimpleNamespace(list=lambda **_: next(answers)))
from_env = lambda: client
""")
    monkeypatch.setenv("PYTHONPATH", str(tmp_path))
    with throwaway.until_the_end([sys.executable, "-P", "-c", servers._REMOVE, "name"]):
        pass
    assert removed.exists()


def _start(inner: Inner, kind: str, seconds: float) -> tuple[subprocess.Popen[str], list[str]]:
    """Starts a session with a throw-away server, and waits until its test runs."""
    inner.pytester.makepyfile(USES_SERVER.format(seconds=seconds))
    session = subprocess.Popen(  # noqa: S603
        [
            *(sys.executable, "-u", "-m", "pytest", "-s", "-p", "no:hypothesispytest"),
            *("-p", "integrations_db.testing.entry"),
        ],
        cwd=inner.path,
        env=os.environ | {"TEST_SERVER": kind},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    assert session.stdout is not None
    lines = []
    for line in session.stdout:
        if "server is" in line:
            return session, line.split("server is")[1].split()
        lines.append(line)
    pytest.fail("the session did not start:\n" + "".join(lines))


def _is_there(log_source: str, container: str = "") -> bool:
    """Says whether anything of a throw-away server is left."""
    if container:
        found = {"filters": {"name": container}, "ignore_removed": True}
        if servers._docker().containers.list(all=True, **found):
            return True
    folder = Path(log_source).parent
    listed = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True)  # noqa: S607
    return folder.exists() or f"-D {folder}" in listed.stdout


ENDS = [None, signal.SIGKILL, signal.SIGTERM, signal.SIGINT]


@pytest.mark.parametrize("end", ENDS[: size(2, 4)])
def test_a_throw_away_server_ends_with_its_session(
    inner: Inner, server: Server, end: signal.Signals | None
) -> None:
    dockerfile = Path(__file__).parents[1] / "docker" / "Dockerfile"
    inner.pytester.makeini(f"[pytest]\npgtap_paths = .\npgtap_dockerfile = {dockerfile}\n")
    kind = "local" if server.name == "dsn" else server.name
    session, made = _start(inner, kind, 60 if end else 0)
    try:
        if end:
            assert _is_there(*made)
            os.killpg(session.pid, end)
        session.communicate(timeout=60)
    finally:
        session.kill()
    deadline = time.monotonic() + 60
    while _is_there(*made) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not _is_there(*made)


@pytest.mark.static
@pytest.mark.parametrize("end", ["", "by the engine", "by the connection"])
def test_what_an_engine_has_of_a_log_is_kept(tmp_path: Path, end: str) -> None:
    errors = {"by the engine": servers._docker_error(), "by the connection": ConnectionError}

    def logs(**_: object) -> Iterator[bytes]:
        yield b"one\n"
        yield b"two\n"
        if end:
            raise errors[end]

    servers._follow(SimpleNamespace(logs=logs), tmp_path / "log")
    assert (tmp_path / "log").read_text() == "one\ntwo\n"


def test_an_image_is_taken_as_it_is(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    if server.name != "docker":
        pytest.skip("images are for SERVER=docker")
    container = servers._docker().containers.get(server.container)
    monkeypatch.setenv("TEST_IMAGE", container.image.id)
    monkeypatch.setenv("TEST_BASE_IMAGE", "no-such-image")
    said: list[str] = []
    with servers.running("docker", NOBODY, said.append) as other:
        assert other.version == server.version
        assert "password" not in other.dsn
    assert said == []


@pytest.mark.static
def test_the_image_is_of_the_newest_postgresql_unless_told() -> None:
    text = servers.packaged_dockerfile().read_text()
    assert "ARG BASE_IMAGE=postgres:18-bookworm\nFROM ${BASE_IMAGE}\n" in text
