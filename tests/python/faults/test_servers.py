"""Servers that cannot or may not take a change: full, read-only, a standby, closed to the role.

The tests with a cluster of their own change what a shared server must not.
"""

from __future__ import annotations

import resource
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from small_project import Sql, events, recorded, rows, run, table, tables, write_project

from integrations_db.server import start_cluster, stop_cluster, unprivileged
from integrations_db.testing import databases
from integrations_db.testing.servers import Server

from .dumps import program
from .kills import SECRET, refused, wait_for

pytestmark = pytest.mark.database

A, B = table("a"), table("b")
MIB = 1 << 20


@contextmanager
def folder_of(own: Server) -> Iterator[tuple[Path, Path]]:
    """Gives a free folder beside a server's data, and the folder of its programs."""
    data = Path(rows(own.dsn, "show data_directory")[0][0])
    yield data.parent, program("pg_ctl", own.version // 10000).parent


def password(conninfo: str) -> str:
    """Adds a password, which nobody asks for and nobody may ever see."""
    return make_conninfo(conninfo, password=SECRET)


# --- full -------------------------------------------------------------------------------------


def test_a_full_disk(empty_database: str, tmp_path: Path) -> None:
    """The server is told by the kernel that there is no space left."""
    full = "begin;\ncreate table x ();\ncopy (select 1) to '/dev/full';\ncommit;\n"
    write_project(tmp_path, {"a": A, "b": Sql(full), "c": table("c")})
    done = run(tmp_path, "deploy", password(empty_database))
    refused(done, 1, "deploy/b.sql:4", "53100", "b left nothing behind", "deploy again")
    assert "Correct deploy/b.sql" not in done.stderr, "the script is not to blame"
    assert (recorded(empty_database), tables(empty_database)) == (["a"], {"a"})
    assert events(empty_database)[-1] == ("fail", "b")
    write_project(tmp_path, {"a": A, "b": B, "c": table("c")})
    assert run(tmp_path, "deploy", empty_database).returncode == 0


def test_a_table_that_cannot_grow(own: Server, tmp_path: Path) -> None:
    """A server whose files may have 24 MiB fails where a disk would be full."""
    with folder_of(own) as (base, bin_dir):
        owner = unprivileged()
        stop_cluster(base / "data", bin_dir, owner=owner)
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        settings = {"unix_socket_directories": str(base)}
        try:
            resource.setrlimit(resource.RLIMIT_FSIZE, (24 * MIB, hard))
            start_cluster(
                base / "data",
                bin_dir,
                log=base / "log",
                owner=owner,
                durable=False,
                settings=settings,
            )
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        grow = (
            "begin;\ncreate table big (t text);\nalter table big alter t set storage external;\n"
            "insert into big select repeat('x', 1000000) from generate_series(1, 30);\ncommit;\n"
        )
        try:
            with databases.clone(own.dsn, "template0") as dsn:
                write_project(tmp_path, {"a": A, "b": Sql(grow), "c": table("c")})
                done = run(tmp_path, "deploy", password(dsn))
                refused(done, 1, "deploy/b.sql:5", "could not extend file", "left nothing behind")
                assert (recorded(dsn), tables(dsn)) == (["a"], {"a"})
                write_project(tmp_path, {"a": A, "b": B, "c": table("c")})
                assert run(tmp_path, "deploy", dsn).returncode == 0
        finally:
            stop_cluster(base / "data", bin_dir, owner=owner)
            start_cluster(
                base / "data",
                bin_dir,
                log=base / "log",
                owner=owner,
                durable=False,
                settings={**settings, "max_connections": "200"},
            )


# --- read-only --------------------------------------------------------------------------------


@pytest.mark.parametrize("deployed", [False, True], ids=["new", "deployed"])
@pytest.mark.parametrize("arguments", [["deploy"], ["revert", "--all", "-y"]])
def test_a_read_only_database(
    empty_database: str, tmp_path: Path, arguments: list[str], deployed: bool
) -> None:
    write_project(tmp_path, {"a": A, "b": B})
    before: list[str] = []
    if deployed:
        assert run(tmp_path, "deploy", "--to", "a", empty_database).returncode == 0
        before = ["a"]
    with psycopg.connect(empty_database, autocommit=True) as conn:
        name = sql.Identifier(conn.info.dbname)
        conn.execute(
            sql.SQL("alter database {} set default_transaction_read_only = on").format(name)
        )
    done = run(tmp_path, *arguments, password(empty_database))
    if arguments[0] == "revert" and not deployed:
        assert (done.returncode, "Nothing to revert" in done.stdout) == (0, True)
    else:
        refused(done, 1, "read-only", "primary")
    assert (recorded(empty_database), tables(empty_database)) == (before, set(before))
    assert run(tmp_path, "status", empty_database).returncode == 0
    assert run(tmp_path, "verify", empty_database).returncode == 0


def test_a_standby(own: Server, tmp_path: Path) -> None:
    """A copy that follows the server: it can be looked at, and nothing else."""
    write_project(tmp_path, {"a": A, "b": B})
    with databases.clone(own.dsn, "template0") as dsn, standby(own) as port:
        assert run(tmp_path, "deploy", "--to", "a", dsn).returncode == 0
        copy = make_conninfo(dsn, port=port)
        wait_for(lambda: followed(dsn, copy), "the standby follows")
        for arguments in (["deploy"], ["revert", "--all", "-y"], ["deploy", "--log-only"]):
            refused(run(tmp_path, *arguments, password(copy)), 1, "standby", "primary")
        for arguments in (["status"], ["verify"]):
            done = run(tmp_path, *arguments, copy)
            assert done.returncode == 0, done.stderr
        assert (recorded(dsn), tables(dsn)) == (["a"], {"a"})
        assert run(tmp_path, "deploy", dsn).returncode == 0


def followed(primary: str, copy: str) -> bool:
    """Tells whether a standby has all that its primary has."""
    durable = make_conninfo(primary, options="-c synchronous_commit=on")
    rows(durable, "select pg_logical_emit_message(true, '', '')")
    lsn = rows(primary, "select pg_current_wal_flush_lsn()")[0][0]
    try:
        return bool(rows(copy, f"select pg_last_wal_replay_lsn() >= '{lsn}'")[0][0])
    except psycopg.OperationalError:
        return False


@contextmanager
def standby(own: Server) -> Iterator[int]:
    """Runs a standby of a server; gives its port, in the same socket folder."""
    port = 5433
    with folder_of(own) as (base, bin_dir):
        owner = unprivileged()
        data = base / "standby"
        subprocess.run(  # noqa: S603
            [
                program("pg_basebackup", own.version // 10000),
                "--checkpoint=fast",
                "--no-sync",
                f"--pgdata={data}",
                f"--dbname={own.dsn}",
            ],
            check=True,
            capture_output=True,
            user=owner.uid if owner else None,
            group=owner.gid if owner else None,
            cwd="/",
        )
        # Not by pg_basebackup: a newer one writes options that the server may not know.
        (data / "standby.signal").touch()
        settings = {
            "port": str(port),
            "unix_socket_directories": str(base),
            "primary_conninfo": own.dsn,
            # A standby must not allow less than its primary.
            **{
                name: rows(own.dsn, f"show {name}")[0][0]
                for name in ("max_connections", "max_prepared_transactions")
            },
        }
        try:
            start_cluster(
                data,
                bin_dir,
                log=base / "standby.log",
                owner=owner,
                durable=False,
                settings=settings,
            )
            yield port
        finally:
            stop_cluster(data, bin_dir, owner=owner, mode="immediate")


# --- closed -----------------------------------------------------------------------------------


Login = Callable[[str, str], str]


def test_a_role_that_may_not_create_the_registry(
    empty_database: str, tmp_path: Path, login: Login
) -> None:
    write_project(tmp_path, {"a": A})
    mine = login("pg_monitor", empty_database)
    refused(run(tmp_path, "deploy", mine), 1, "42501", "privilege", "owner of the database")
    assert (recorded(empty_database), tables(empty_database)) == ([], set())


def test_a_role_that_may_record_but_not_create(
    empty_database: str, tmp_path: Path, login: Login
) -> None:
    """It may do everything with the registry, and nothing in schema public."""
    write_project(tmp_path, {"a": A, "b": B})
    assert run(tmp_path, "deploy", "--to", "a", empty_database).returncode == 0
    mine = login("pg_monitor", empty_database)
    with psycopg.connect(empty_database) as conn:
        conn.execute("revoke create on schema public from public")
        conn.execute("grant all on schema sqitch to pg_monitor")
        conn.execute("grant all on all tables in schema sqitch to pg_monitor")
    for arguments, place in ((["deploy"], "deploy/b.sql"), (["revert", "--all", "-y"], "revert/a")):
        done = run(tmp_path, *arguments, mine)
        refused(done, 1, place, "42501", "The role that deploys lacks this privilege")
    assert (recorded(empty_database), tables(empty_database)) == (["a"], {"a"})


def test_too_many_connections(empty_database: str, tmp_path: Path, login: Login) -> None:
    write_project(tmp_path, {"a": A})
    mine = login("pg_monitor", empty_database)
    name = sql.Identifier(str(conninfo_to_dict(mine)["user"]))
    with psycopg.connect(empty_database) as conn:
        conn.execute(sql.SQL("alter role {} connection limit 0").format(name))
    done = run(tmp_path, "deploy", mine)
    refused(done, 1, "cannot connect", "too many connections", "Nothing was touched")
    assert recorded(empty_database) == []


def test_a_wrong_password(own: Server, tmp_path: Path) -> None:
    """A password is asked for from one role, and it is not the one that we give."""
    write_project(tmp_path, {"a": A})
    with psycopg.connect(own.dsn, autocommit=True) as conn:
        conn.execute("create role strict login password 'another'")
        file = str(conn.execute("show hba_file").fetchall()[0][0])
        before = conn.execute("select pg_read_file(%s)", [file]).fetchall()[0][0]
        try:
            write_hba(conn, file, f"local all strict scram-sha-256\n{before}")
            wrong = make_conninfo(own.dsn, user="strict", password=SECRET)
            refused(
                run(tmp_path, "deploy", wrong),
                1,
                "cannot connect",
                "password authentication failed",
                "Nothing was touched. Check user and password: PGPASSWORD",
            )
            none = run(tmp_path, "deploy", make_conninfo(own.dsn, user="strict"))
            refused(none, 1, "no password supplied", "Nothing was touched")
        finally:
            write_hba(conn, file, before)
            conn.execute("drop role strict")


def write_hba(conn: psycopg.Connection[tuple[object, ...]], file: str, text: str) -> None:
    """Changes who may connect how."""
    Path(file).write_text(text)
    conn.execute("select pg_reload_conf()")
    first = text.splitlines()[0].split()
    query = "select from pg_hba_file_rules where line_number = 1 and auth_method = %s"
    wait_for(
        lambda: first[0].startswith("#") or conn.execute(query, [first[-1]]).rowcount,
        "the server reads it",
    )


def test_no_server(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": A})
    nowhere = make_conninfo(empty_database, host=str(tmp_path), password=SECRET)
    refused(run(tmp_path, "deploy", nowhere), 1, "cannot connect", "Check that the server runs")
    gone = make_conninfo(empty_database, dbname="nosuch", password=SECRET)
    refused(run(tmp_path, "deploy", gone), 1, "cannot connect", "Create it first")
