"""The whole package by psql, with the script that `sql` writes: what the deployer makes."""

from __future__ import annotations

from pathlib import Path

import pytest
from faults.dumps import dump
from offline_runs import psql, written
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from small_project import run, sqitch
from test_registry import content

from .cluster import Cluster
from .deployment import CHANGES, ROOT

pytestmark = [pytest.mark.database, pytest.mark.long]


def test_an_ordinary_deployer_with_nothing_but_psql(bare: Cluster, tmp_path: Path) -> None:
    """CREATEROLE and databases of his own; then each tool goes on, and nothing is left."""
    mine, _ = bare.deployer("createrole nocreatedb nosuperuser")
    user = str(conninfo_to_dict(mine)["user"])
    other = bare.database()
    name = str(conninfo_to_dict(other)["dbname"])
    bare.superuser().execute(
        sql.SQL("alter database {} owner to {}").format(sql.Identifier(name), sql.Identifier(user))
    )
    theirs = make_conninfo(mine, dbname=name)

    middle = CHANGES[len(CHANGES) // 2]
    for options in (("--to", middle), ("--from", middle)):
        done = psql(mine, written(ROOT, *options), tmp_path)
        assert done.returncode == 0, done.stderr
    assert f"[1/{len(CHANGES) - CHANGES.index(middle) - 1}] + " in done.stdout
    done = run(ROOT, "deploy", theirs)
    assert done.returncode == 0, done.stderr

    def seen(conninfo: str) -> str:
        return make_conninfo(bare.server.dsn, dbname=conninfo_to_dict(conninfo)["dbname"])

    assert dump(seen(mine)) == dump(seen(theirs))
    assert content(seen(mine)) == content(seen(theirs))
    assert run(ROOT, "status", "--check", mine).returncode == 0
    assert "up-to-date" in sqitch(ROOT, mine, "status", "{target}").stdout

    assert run(ROOT, "revert", "-y", "--all", theirs).returncode == 0
    done = psql(mine, written(ROOT, "--revert", "--all"), tmp_path)
    assert done.returncode == 0, done.stderr
    assert content(seen(mine)) == content(seen(theirs))
    assert dump(seen(mine)) == dump(seen(theirs))
    assert bare.roles() == set()
