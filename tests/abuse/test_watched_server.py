"""A server that logs, counts, explains and keeps all it can, and then is stolen as a whole.

The attackers: whoever collects logs and statistics (auto_explain and pg_stat_statements are loaded,
every statement is logged, also nested ones are explained), and the thief of its disk, of a base
backup, of archived WAL or of a dump. They want a secret or a key. Against them: nothing secret is
in the text of a statement, in a plan, or stored but encrypted; the settings are those that
docs/security.md tells to choose. What stands in plain columns is found, so the search is no blind
one.
"""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

import os
import re
import secrets
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from api.client import Client
from api.deployment import deploy
from api.server_log import Log
from api.world import ROLES, World, connect

from integrations_db.server import major_version
from integrations_db.testing import databases, servers
from integrations_db.testing.servers import Server

from .sieve import Sieve, derived, keys_of
from .test_leaks import (
    Step,
    admin_story,
    fitting,
    kms_story,
    lenient_instance,
    play_steps,
    refused_story,
    story,
    strict_definitions,
)

MODULES = "auto_explain, pg_stat_statements"

# The most that a server can tell, with what docs/security.md asks for.
SETTINGS = {
    "log_statement": "all",
    "log_min_duration_statement": "0",
    "log_parameter_max_length": "0",
    "log_error_verbosity": "verbose",
    "log_min_messages": "debug2",
    "log_temp_files": "0",
    "log_lock_waits": "on",
    "auto_explain.log_min_duration": "0",
    "auto_explain.log_nested_statements": "on",
    "auto_explain.log_analyze": "on",
    "auto_explain.log_triggers": "on",
    "auto_explain.log_settings": "on",
    "auto_explain.log_parameter_max_length": "0",
    "pg_stat_statements.track": "all",
    "pg_stat_statements.track_utility": "on",
    "track_activity_query_size": "65536",
}
SINCE_16 = {"auto_explain.log_parameter_max_length"}


@pytest.fixture
def watched(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Server:
    """A server of its own that loads the modules at its start."""
    monkeypatch.setitem(servers._SETTINGS, "shared_preload_libraries", MODULES)
    cluster: Server = request.getfixturevalue("cluster")
    with connect(cluster.dsn) as conn:
        for name, value in SETTINGS.items():
            if name not in SINCE_16 or cluster.version >= 160000:
                conn.execute(f"alter system set {name} = '{value}'".encode())
        conn.execute("select pg_reload_conf()")
    return cluster


@pytest.fixture
def watched_world(watched: Server, tmp_path: Path) -> Iterator[World]:
    """The package on that server."""
    with ExitStack() as stack:
        dsn = stack.enter_context(databases.clone(watched.dsn, "template0"))
        with connect(dsn) as conn:
            conn.execute("create extension pg_stat_statements")
            deploy(conn, verified=False)
        logins = {role: databases.create_login(role, dsn, tmp_path) for role in ROLES}
        with connect(logins["integrations_admin"]) as conn:
            admin = Client(conn)
            definition = admin.register_definition("Salesforce", "oauth2", "59.0.0")
            admin.set_definition_status(definition, "published")
        yield World(dsn, logins, definition, "kek-2026", secrets.token_bytes(32), stack)


def the_rest(world: World, svc: Client) -> Iterator[Step]:
    """The calls of the service that have nothing to do with secrets."""
    made = []
    yield None, lambda: made.append(svc.create_instance(world.definition, f"rest {uuid4()}"))
    yield None, lambda: svc.update_config(made[0], {"region": "PLAIN-TO-SEE"})
    yield None, lambda: svc.rename_instance(made[0], f"rest {uuid4()}")
    yield (
        None,
        lambda: (svc.unlock(world.kek_id, world.kek), svc.put_credentials(made[0], "{}")),
    )
    yield None, lambda: svc.record_connection(made[0], False, "HTTP 503")
    yield None, lambda: svc.set_instance_status(made[0], "disabled")
    yield None, svc.list_refresh_due
    yield None, svc.current_tenant
    yield None, lambda: svc.delete_instance(made[0])


def program(server: Server, name: str) -> str:
    """Gives a program of PostgreSQL that is not older than the server; see below if there is none.

    Without it a CI run fails, another is skipped with a sentence.
    """
    with psycopg.connect(server.dsn) as conn:
        row = conn.execute("select setting from pg_config where name = 'BINDIR'").fetchone()
    assert row
    folders = [Path(row[0]), *Path("/usr/lib/postgresql").glob("*/bin")]
    if found := shutil.which(name):
        folders.append(Path(found).parent)
    for folder in folders:
        usable = (folder / name).exists() and (folder / "postgres").exists()
        if usable and major_version(folder, None) >= server.version // 10000:
            return str(folder / name)
    why = f"{name} of PostgreSQL {server.release} is not installed: no dump can be searched"
    if os.environ.get("CI"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def files_of(world: World) -> Iterator[tuple[str, bytes]]:
    """Gives every file of the server's data folder, but those of other databases."""
    own = world.superuser.value(
        "select 'base/' || oid from pg_database where datname = current_database()"
    )
    folders = [""]
    while folders:
        folder = folders.pop()
        for name, is_folder in world.superuser.rows(
            "select name, s.isdir from pg_ls_dir(%s) as name,"
            " lateral pg_stat_file(%s || '/' || name, true) as s where s.isdir is not null",
            folder or ".",
            folder or ".",
        ):
            path = f"{folder}/{name}".lstrip("/")
            if is_folder:
                if not re.fullmatch(r"base/\d+", path) or path == own:
                    folders.append(path)
                continue
            with world.superuser.conn.cursor(binary=True) as cursor:
                cursor.execute("select pg_read_binary_file(%s, 0, 1000000000, true)", [path])
                row = cursor.fetchone()
            if row and row[0]:
                yield path, row[0]


def tell_everything(world: World, sieve: Sieve, secret: str) -> None:
    """Plays all stories and adds each key that comes up to the needles."""
    tenant_id, instance_id = world.new_stored()
    sieve.needles |= keys_of(world, tenant_id, instance_id)
    svc, admin = world.client("svc_integration"), world.client("integrations_admin")
    for client in (svc, admin):
        for setting in ("debug_print_parse", "debug_print_rewritten"):
            client.run(f"set {setting} = on")
        client.run("set debug_pretty_print = off")
        client.run("set plpgsql.print_strict_params = on")
    svc.run("set work_mem = '64kB'")  # what is sorted or kept aside goes to disk early
    old, new = [(f"kek {uuid4()}", secrets.token_bytes(32)) for _ in range(2)]
    brought = secrets.token_bytes(32)
    sieve.needles |= {"old KEK": old[1], "new KEK": new[1], "brought key": brought}
    for number in range(2):
        other = world.new_instance(tenant_id, f'{{"k": "{secret}"}}')
        new_keys = keys_of(world, tenant_id, other)
        sieve.needles |= {f"{name} {number}": key for name, key in new_keys.items()}
    play_steps(world, svc, sieve, tenant_id, story(world, svc, instance_id, secret))
    rotated, of_rotated = world.new_stored()
    play_steps(world, svc, sieve, rotated, kms_story(world, svc, rotated, brought))
    row = world.instance(of_rotated)
    identity = (rotated, of_rotated, row.credentials_key_id, row.credentials_version)
    sieve.needles |= {
        "brought encryption key": derived("enc", brought, *identity),
        "brought MAC key": derived("mac", brought, *identity),
    }
    play_steps(world, svc, sieve, world.new_tenant(), the_rest(world, svc))
    sieve.needles["number"] = str(int(secret.encode().hex(), 16)).encode()
    strict = refused_story(world, svc, strict_definitions(world), secret)
    play_steps(world, svc, sieve, world.new_tenant(), strict)
    fresh = world.new_tenant()
    lenient = lenient_instance(world, fresh)
    with svc.unlocked(fresh, world.kek_id, world.kek):
        svc.put_credentials(lenient, fitting(secret))
    sieve.needles |= {f"{name} fresh": key for name, key in keys_of(world, fresh, lenient).items()}
    with svc.within(rotated):
        key_id = svc.create_tenant_key(*old)
    with svc.unlocked(rotated, *old):
        ring: str = svc.value("select current_setting('integrations.keyring')")
    sieve.needles |= {
        "rewrapped key": bytes.fromhex(ring[-64:]),
        "old wrapping key": derived("wrap", old[1], rotated, key_id),
        "new wrapping key": derived("wrap", new[1], rotated, key_id),
    }
    play_steps(world, admin, sieve, rotated, admin_story(admin, old, new, key_id))
    draft = admin.register_definition("Draft", "basic", "0.1.0")
    admin.discard_draft(draft)
    for (function,) in admin.rows(
        "select oid::regproc::text from pg_proc"
        " where pronamespace = 'integrations'::regnamespace and pronargs = pronargdefaults"
        "   and has_function_privilege(oid, 'execute')"
    ):
        admin.rows(f"select * from {function}()")
    for conn in (svc.conn, admin.conn):
        conn.close()


def test_nothing_secret_is_told_or_kept(
    watched: Server, watched_world: World, tmp_path: Path
) -> None:
    world = watched_world
    secret = f"SENTINEL{secrets.token_hex(16)}"
    log = Log(watched, world.superuser).from_here()
    sieve = Sieve({"secret": secret.encode(), "KEK": world.kek})
    tell_everything(world, sieve, secret)
    plain = Sieve({"plain": b"PLAIN-TO-SEE"})

    # What a client was told, and pg_stat_activity showed in the meantime.
    assert sieve.in_heard() == set()

    # The server's log.
    text = log.text()
    for proof in ("LOCATION:", "Query Text:", "Insert on ", "duration:", "credentials_read"):
        assert proof in text, f"the log does not hold {proof!r}"
    assert "temporary file" not in text, "something was spilled to disk"
    assert sieve.found_in(text) == set()

    # Statistics.
    statements = "\n".join(
        query for (query,) in world.superuser.rows("select query from pg_stat_statements") if query
    )
    called = set(re.findall(r"\bintegrations\"?\.\"?(\w+)\"?\(", statements))
    functions = world.superuser.rows(
        "select distinct proname::text from pg_proc"
        " where pronamespace = 'integrations'::regnamespace"
    )
    assert {name for (name,) in functions} - called == set(), "not all functions were called"
    assert sieve.found_in(statements) == set()
    views = world.superuser.rows(
        "select c.oid::regclass::text from pg_class as c"
        " where c.relnamespace = 'pg_catalog'::regnamespace and c.relkind = 'v'"
        "   and (relname like 'pg\\_stat%%' or relname in ('pg_settings', 'pg_cursors',"
        "        'pg_prepared_statements', 'pg_prepared_xacts', 'pg_locks'))"
    )
    assert len(views) > 40
    for (view,) in views:
        with world.superuser.conn.transaction(force_rollback=True):
            assert sieve.found_in(str(world.superuser.rows(f"select * from {view}"))) == set(), view

    # Every byte on disk: tables, indexes, statistics, the texts of statements, the WAL.
    world.superuser.run("checkpoint")
    found, seen = set(), set()
    for path, content in files_of(world):
        if not path.endswith("postgresql.auto.conf"):
            found |= {(path, name) for name in sieve.found_in(content)}
        if plain.found_in(content):
            seen.add(path.split("/")[0])
    assert found == set()
    assert {"base", "pg_wal"} <= seen, "plain text was not found either"

    # Dumps.
    for name, arguments in (
        ("pg_dump", ["--dbname", world.dsn]),
        ("pg_dumpall", ["--dbname", watched.dsn]),
    ):
        done = subprocess.run(  # noqa: S603  # a program of PostgreSQL
            [program(watched, name), *arguments], capture_output=True, check=True
        )
        assert b"integration_instances" in done.stdout
        assert b"tenant_key_created" in done.stdout
        assert sieve.found_in(done.stdout) == set()
        assert sieve.found_in(done.stderr) == set()


def test_a_dump_that_would_lack_rows_stops(
    world: World, server: Server, login: Callable[[str, str], str]
) -> None:
    """Whoever row-level security applies to, the owner too, gets an error and not a part."""
    tenant_id, _ = world.new_stored()
    for role in ("integrations_owner", "pg_read_all_data"):
        done = subprocess.run(  # noqa: S603  # a program of PostgreSQL
            [
                program(server, "pg_dump"),
                "--schema",
                "integrations*",
                "--dbname",
                login(role, world.dsn),
            ],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode != 0
        assert "row-level security" in done.stderr
        assert str(tenant_id) not in done.stdout
