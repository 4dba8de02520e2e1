"""docs/runbook.md tells the truth: its statements and commands run, as those whom it names."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from small_project import run, run_json, table, write_project

from integrations_db.testing import databases

from .deployment import ROOT
from .world import World

PAGE = (ROOT / "docs" / "runbook.md").read_text()
Login = Callable[[str, str], str]


def section(title: str) -> str:
    """Gives the text below a heading."""
    [found] = re.findall(rf"^## {title}\n(.*?)(?=^## |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    return str(found)


def statements(text: str) -> list[str]:
    """Gives the statements of all blocks in SQL, without their comments."""
    blocks = re.findall(r"^```sql\n(.*?)^```$", text, re.MULTILINE | re.DOTALL)
    plain = re.sub(r"--.*", "", "".join(blocks))
    return [it.strip() for it in plain.split(";") if it.strip()]


def test_an_administrator_who_is_no_superuser_prepares_a_database(
    world: World, tmp_path: Path
) -> None:
    conninfo = databases.create_login("pg_monitor", world.dsn, tmp_path)
    user = str(conninfo_to_dict(conninfo)["user"])
    world.superuser.run(f'alter role "{user}" createdb createrole')
    deployer, database = (f"{name}_{uuid4().hex}" for name in ("deployer", "app"))
    made = [
        it.replace("deployer", deployer).replace("database app", f"database {database}")
        for it in statements(section("On a managed cloud, on your own server"))
    ]
    assert len(made) == 3
    try:
        with psycopg.connect(conninfo, autocommit=True) as conn:
            for statement in made:
                conn.execute(statement.encode())
        owned = "select datname from pg_database where datdba = %s::regrole"
        assert world.superuser.rows(owned, deployer) == [(database,)]
    finally:
        world.superuser.run(f'drop database if exists "{database}"')
        world.superuser.run(f'drop role if exists "{deployer}"')
        databases.drop_login(user, world.dsn)


def test_a_login_that_only_looks(empty_database: str, login: Login, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    pipeline = login("pg_monitor", empty_database)
    assert run(tmp_path, "status", "--check", pipeline).returncode == 1
    made, *grants = statements(section("A login that only looks"))
    assert (made, len(grants)) == ("create role pipeline login", 2)
    name = str(conninfo_to_dict(pipeline)["user"])
    with psycopg.connect(empty_database, autocommit=True) as conn:
        for statement in grants:
            conn.execute(statement.replace("pipeline", f'"{name}"').encode())
    for asked in (("status", "--check"), ("log",), ("check",)):
        done = run(tmp_path, *asked, pipeline)
        assert done.returncode == 0, done.stdout + done.stderr
    assert run(tmp_path, "revert", "--all", "-y", pipeline).returncode == 1
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(f'drop owned by "{name}"'.encode())


def test_what_to_watch_finds_it(world: World, login: Login) -> None:
    tenant_id, broken = world.new_stored()
    expired = world.new_instance(tenant_id, '{"token": "t", "expires_at": "2020-01-01T00:00:00Z"}')
    with world.svc.within(tenant_id):
        world.svc.record_connection(broken, ok=False, reason="refused")
        world.svc.create_tenant_key(world.kek_id, world.kek)
    hazards, rotation, errors, unrefreshed, events, idle = statements(section("What to watch"))
    for check, status, detail in world.admin.rows(hazards):
        assert status in ("warn", "fail"), check
        assert detail
    left = world.admin.rows(rotation)
    assert [row[3] for row in left if row[0] == tenant_id] == [2]
    assert (tenant_id, broken, "refused") in [
        (row[0], row[1], row[3]) for row in world.auditor.rows(errors)
    ]
    [(before,)] = world.auditor.rows(unrefreshed)
    with world.svc.within(tenant_id):
        world.svc.delete_instance(expired)
    assert world.auditor.rows(unrefreshed) == [(before - 1,)]
    assert "credentials_stored" in dict(world.auditor.rows(events))

    service = str(conninfo_to_dict(world.logins["svc_integration"])["user"])
    monitor = world.log_in(login("pg_monitor", world.dsn))
    long = idle.replace("connector_service", service).replace("1 minute", "0 seconds")
    assert long != idle
    with world.unlocked(tenant_id):
        assert service in [row[1] for row in monitor.rows(long)]
    assert "for_so_long" in idle


@pytest.mark.long
def test_adopting_a_database(empty_database: str) -> None:
    """Of what dump or hand has built: the registry is written, the rest only looked at."""
    commands = re.findall(
        r"^\$ integrations-db (.+) '",
        section("Adopt a database that is there already"),
        re.MULTILINE,
    )
    assert [it.split()[0] for it in commands] == ["deploy", "verify", "drift"]
    assert run(ROOT, "deploy", "--no-verify", empty_database).returncode == 0
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("drop schema sqitch cascade")
        conn.execute("drop function integrations.rename_instance(uuid, text)")
    part = run_json(ROOT, *commands[0].split(), empty_database)
    assert part["deployed"][-1]["change"] == "tables/audit_log"
    rest = run_json(ROOT, "deploy", "--log-only", empty_database)
    assert part["deployed"] and rest["deployed"]
    verified = run(ROOT, *commands[1].split(), empty_database)
    assert verified.returncode == 1
    assert "functions/rename_instance" in verified.stderr
    drift = run(ROOT, *commands[2].split(), empty_database)
    assert drift.returncode == 4
    assert "rename_instance" in drift.stdout
    script = (ROOT / "deploy/functions/rename_instance.sql").read_bytes()
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(script)
    assert run(ROOT, *commands[1].split(), empty_database).returncode == 0
    assert run(ROOT, *commands[2].split(), empty_database).returncode == 0


def test_a_login_that_is_named_on_the_page_is_made_on_it() -> None:
    made = set(re.findall(r"create role (\w+) login", PAGE))
    used = set(re.findall(r"usename = '(\w+)'", PAGE))
    assert used <= made
