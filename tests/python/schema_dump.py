"""Writes docs/schema.sql: all that the plan builds, as pg_dump writes it.

The embedded PostgreSQL's server and programs make it, whatever server the tests run on: others word
views and NOT NULL constraints in their own way. ``make schema`` calls this module.
"""

from __future__ import annotations

import difflib
import os
import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import psycopg
from api.deployment import ROOT, deploy

from integrations_db import server, throwaway

__all__ = ["FILE", "deployed", "differs", "schema"]

FILE = ROOT / "docs" / "schema.sql"

_HEADER = """\
-- All that the plan builds in an empty database: the roles, then the schemas with owners,
-- privileges and comments. `make schema` writes it, with pg_dumpall and pg_dump of the
-- embedded PostgreSQL {major}; a test says when it is stale.
--
-- It is here to be read and compared. Deploy with `make deploy`: this file leaves no record of what
-- was deployed. Monthly partitions of the audit log are left out; `maintain_audit()` makes them.
"""

# What differs from run to run, or between minor versions, and what psql alone understands.
_CHANGING = re.compile(r"^(\\(un)?restrict |-- Dumped (from|by) ).*\n", re.MULTILINE)
# Of the server that was made for the dump.
_SUPERUSER = re.compile(rf"^(CREATE|ALTER) ROLE {server.SUPERUSER}\b.*\n", re.MULTILINE)


def _run(program: str, dsn: str, *options: str) -> str:
    """Returns what a program of the embedded PostgreSQL writes about a database."""
    programs = server.installation()
    done = subprocess.run(  # noqa: S603  # PostgreSQL's own
        [programs / program, *options, "--dbname", dsn],
        capture_output=True,
        text=True,
        check=True,
        env=os.environ | {"LD_LIBRARY_PATH": str(programs.parent / "lib")},
    )
    return _CHANGING.sub("", done.stdout)


def schema(dsn: str) -> str:
    """Returns the text of the file, from a database with the plan.

    Args:
        dsn: the database, as superuser, of a server that has the package's roles and no others.
    """
    roles = _run("pg_dumpall", dsn, "--roles-only", "--no-role-passwords")
    dumped = _run(
        "pg_dump",
        dsn,
        "--schema-only",
        "--exclude-table=integrations_private.audit_log_[0-9]*",
    )
    header = _HEADER.format(major=server.major_version(server.installation(), None))
    return "\n".join([header, _SUPERUSER.sub("", roles).strip(), "", dumped.strip(), ""])


@contextmanager
def deployed() -> Iterator[str]:
    """Gives the conninfo of a database with the plan, on a server of its own that has no more."""
    with throwaway.own_server() as target:
        with psycopg.connect(target.dsn, autocommit=True) as conn:
            deploy(conn, verified=False)
        yield target.dsn


def differs(kept: str, fresh: str) -> str:
    """Returns the first lines in which the kept file differs, and what to do; nothing if none."""
    if kept == fresh:
        return ""
    lines = list(
        difflib.unified_diff(
            kept.splitlines(), fresh.splitlines(), FILE.name, "the plan", lineterm="", n=1
        )
    )
    return "\n".join([f"{FILE.relative_to(ROOT)} is stale; renew it: make schema", *lines[:60]])


if __name__ == "__main__":
    with deployed() as dsn:
        FILE.write_text(schema(dsn), encoding="utf-8")
    print(f"{FILE.relative_to(Path.cwd()) if FILE.is_relative_to(Path.cwd()) else FILE} is written")
