"""This project's scripts by stock Sqitch and by our deployer: the same database, either way round.

The server is one without the package's roles: they belong to the whole cluster.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import psycopg
import pytest
from api.deployment import CHANGES, catalogue
from faults.dumps import dump
from small_project import recorded, run, sqitch

from size import size

pytestmark = pytest.mark.database

ROOT = Path(__file__).parents[2]


def objects(conninfo: str) -> set[tuple[Any, ...]]:
    """Everything in a database and its roles, but the registry."""
    with psycopg.connect(conninfo, autocommit=True) as conn:
        return {row for row in catalogue(conn) if not any("sqitch" in str(cell) for cell in row)}


def by_sqitch(conninfo: str, *arguments: str) -> str:
    done = sqitch(ROOT, conninfo, *arguments, "{target}")
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def by_us(conninfo: str, *arguments: str) -> str:
    done = run(ROOT, *arguments, conninfo)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.long
def test_each_goes_on_from_the_other(lent_database: str) -> None:
    fresh = lent_database
    before = objects(fresh)
    # Sqitch takes 20 ms for each script: in the quick test it has some of them, and ours the rest.
    some = CHANGES[-len(CHANGES) // size(4, 1)]
    if size(1, 0):
        by_us(fresh, "deploy", "--to", some)
    by_sqitch(fresh, "deploy", "--verify")
    assert recorded(fresh) == list(CHANGES)
    theirs, dumped = objects(fresh), dump(fresh)
    if size(0, 1):  # it has verified each change when it deployed it, and ours does all of them
        assert "Verify successful" in by_sqitch(fresh, "verify")
    assert "Nothing to deploy" in by_us(fresh, "deploy")
    assert f"Verified {len(CHANGES)} changes" in by_us(fresh, "verify")
    by_us(fresh, "revert", "--all", "-y")
    assert left(fresh) == []

    by_us(fresh, "deploy")
    assert objects(fresh) == theirs
    assert dump(fresh) == dumped
    assert "up-to-date" in by_sqitch(fresh, "status")
    if size(1, 0):
        by_sqitch(fresh, "revert", "-y", "--to", some)
        by_us(fresh, "revert", "--all", "-y")
    else:
        by_sqitch(fresh, "revert", "-y")
    assert recorded(fresh) == []
    assert left(fresh) == []
    assert {row for row in before ^ objects(fresh) if row[0] != "comments on"} == set()


def left(conninfo: str) -> list[tuple[Any, ...]]:
    """What a revert left of the package: schemas, the extension, roles."""
    with psycopg.connect(conninfo) as conn:
        return conn.execute(
            "select nspname::text from pg_namespace"
            " where nspname in ('integrations', 'integrations_private', 'pgcrypto')"
            " union all select extname::text from pg_extension where extname = 'pgcrypto'"
            " union all select rolname::text from pg_roles"
            " where rolname like 'integrations\\_%' or rolname = 'svc_integration'"
        ).fetchall()
