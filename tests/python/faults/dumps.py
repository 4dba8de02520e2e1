"""The structure of a database as pg_dump writes it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from functools import cache
from pathlib import Path

import psycopg
import pytest

from integrations_db.server import installation

__all__ = ["dump", "program"]


@cache
def _version(path: Path) -> int:
    said = subprocess.run([path, "--version"], capture_output=True, text=True, check=True)  # noqa: S603
    found = re.search(r"(\d+)\.\d+", said.stdout)
    assert found, said.stdout
    return int(found[1])


def program(name: str, major: int) -> Path:
    """Returns the path of PostgreSQL's program of at least this version, the nearest one.

    What stands beside the programs of a server in ``TEST_PG_BIN`` comes first.
    """
    chosen = os.environ.get("TEST_PG_BIN")
    places = [Path(chosen) / name] if chosen else []
    places += sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    found = shutil.which(name)
    places += [Path(found)] if found else []
    candidates = [path for path in [*places, installation() / name] if path.exists()]
    fit = [path for path in candidates if _version(path) >= major]
    if not fit:
        pytest.fail(f"no {name} of PostgreSQL {major} or newer is to be had")
    return min(fit, key=_version)


def dump(dsn: str, *options: str) -> str:
    """Returns a whole database as SQL, owners, privileges and comments included.

    Args:
        dsn: conninfo of the database.
        options: of pg_dump; by default only the structure.
    """
    with psycopg.connect(dsn) as conn:
        major = conn.info.server_version // 10000
    done = subprocess.run(  # noqa: S603
        [program("pg_dump", major), *(options or ["--schema-only"]), "--dbname", dsn],
        capture_output=True,
        text=True,
        check=True,
    )
    return _POLICY.sub(_in_order, _CHANGING.sub("", done.stdout))


# pg_dump names the roles of a policy as they lie in the catalogue, which changes with each VACUUM.
_POLICY = re.compile(r"^(CREATE POLICY .+? TO )(\w+(?:, \w+)+)", re.MULTILINE)


def _in_order(policy: re.Match[str]) -> str:
    return policy[1] + ", ".join(sorted(policy[2].split(", ")))


_CHANGING = re.compile(
    r"^\\(un)?restrict .*\n"  # a random key
    # PostgreSQL's own count, which only a pg_dump of the same minor version knows to leave out.
    r"|^ALTER TABLE ONLY .+ ALTER COLUMN .+ SET \(pg_attver=\d+\);\n",
    re.MULTILINE,
)
