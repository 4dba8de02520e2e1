"""The examples of docs/calling.md in other languages: each reads, and is refused, for real."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from faults.proxy import through
from psycopg.conninfo import conninfo_to_dict

from .world import World

PAGE = (Path(__file__).parents[3] / "docs" / "calling.md").read_text()
CLIENTS = Path(__file__).parent / "clients"
JDBC = Path("/usr/share/java/postgresql.jar")
GO_PACKAGES = Path("/usr/share/gocode")


def missing(what: str) -> None:
    """Ends the test: what is missing fails in CI, elsewhere it is skipped with a sentence."""
    why = f"{what} is not installed: the example of docs/calling.md cannot be run"
    if os.environ.get("CI"):
        pytest.fail(why, pytrace=False)
    pytest.skip(why)


def program(name: str) -> str:
    """Gives its path."""
    found = shutil.which(name)
    if found is None:
        missing(name)
    return str(found)


def javascript(folder: Path, source: str) -> list[str]:
    """Gives the command that runs this source."""
    node = program("node")
    seek = [node, "-e", "require('pg')"]
    if subprocess.run(seek, capture_output=True, check=False, cwd=folder).returncode:  # noqa: S603
        missing("node-postgres (npm install pg, its folder in NODE_PATH)")
    (folder / "read.js").write_text(source)
    return [node, str(folder / "read.js")]


def go(folder: Path, source: str) -> list[str]:
    compiler = program("go")
    if not (GO_PACKAGES / "src" / "github.com" / "jackc" / "pgx").exists():
        missing("pgx (Debian's golang-github-jackc-pgx-v4-dev)")
    (folder / "read.go").write_text(source)
    built = folder / "read"
    env = {"GO111MODULE": "off", "GOPATH": str(GO_PACKAGES)}
    build = [compiler, "build", "-o", str(built), str(folder / "read.go")]
    done = subprocess.run(build, env={**os.environ, **env}, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return [str(built)]


def java(folder: Path, source: str) -> list[str]:
    runtime, compiler = program("java"), program("javac")
    if not JDBC.exists():
        missing("PostgreSQL's JDBC driver (Debian's libpostgresql-jdbc-java)")
    (folder / "Read.java").write_text(source)
    build = [compiler, "-cp", str(JDBC), "-d", str(folder), str(folder / "Read.java")]
    done = subprocess.run(build, capture_output=True, text=True)  # noqa: S603
    assert done.returncode == 0, done.stderr
    return [runtime, "-cp", f"{JDBC}:{folder}", "Read"]


def environment(conninfo: str) -> dict[str, str]:
    """Gives a login as every driver reads it; drivers other than libpq know no passfile."""
    login = {key: str(value) for key, value in conninfo_to_dict(conninfo).items()}
    password = login.get("password")
    if password is None:
        *_, password = Path(login["passfile"]).read_text().strip().split(":")
    return {
        "PGHOST": login["host"],
        "PGPORT": login["port"],
        "PGUSER": login["user"],
        "PGDATABASE": login["dbname"],
        "PGPASSWORD": password,
        "PGSSLMODE": "disable",
    }


@pytest.mark.long
@pytest.mark.parametrize(
    ("language", "prepare", "harness"),
    [
        ("javascript", javascript, "read.js"),
        ("go", go, "read.go"),
        ("java", java, "Read.java"),
    ],
)
def test_reading(
    world: World,
    tmp_path: Path,
    language: str,
    prepare: Callable[[Path, str], list[str]],
    harness: str,
) -> None:
    [function] = re.findall(rf"^```{language}\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    source = (CLIENTS / harness).read_text()
    assert source.count("/* the function */") == 1
    command = prepare(tmp_path, source.replace("/* the function */", function))

    def read(tenant_id: Any, instance_id: Any, kek: bytes) -> list[str]:
        done = subprocess.run(  # noqa: S603
            [*command, str(tenant_id), str(instance_id), world.kek_id, kek.hex()],
            env={**os.environ, **login},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout.splitlines()

    tenant_id, instance_id = world.new_stored('{"api_key": "for everybody"}')
    stranger = world.new_tenant()
    # JDBC reaches no socket in a folder.
    with through(world.logins["svc_integration"]) as proxy:
        login = environment(proxy.dsn)
        found, after = read(tenant_id, instance_id, world.kek)
        assert json.loads(found) == {"api_key": "for everybody"}
        assert world.events(tenant_id)[-1] == "credentials_read"
        assert after == "no tenant"
        assert read(stranger, instance_id, world.kek) == ["IN201", "no tenant"]
        assert read(tenant_id, instance_id, bytes(32)) == ["IN303", "no tenant"]
    assert not any(world.kek.hex() in request for request in proxy.requests)
