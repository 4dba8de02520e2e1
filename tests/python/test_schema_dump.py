"""docs/schema.sql is what the plan builds, and a server that is given it has just that."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import closing

import psycopg
import pytest
from schema_dump import FILE, deployed, differs, schema

from integrations_db import catalogue, server, throwaway
from integrations_db.catalogue import Catalogue, compare
from integrations_db.config import Target
from integrations_db.database import connect


@pytest.fixture(scope="module")
def dsn() -> Iterator[str]:
    """A database with the plan."""
    with deployed() as dsn:
        yield dsn


def read(dsn: str) -> Catalogue:
    with closing(connect(Target(dsn), lambda _: None)) as conn:
        return catalogue.read(conn, (), conn.info.server_version)


def test_the_file_is_what_the_plan_builds(dsn: str) -> None:
    if problem := differs(FILE.read_text(encoding="utf-8"), schema(dsn)):
        pytest.fail(problem, pytrace=False)


def test_a_server_that_is_given_it_has_the_same(dsn: str) -> None:
    programs = server.installation()
    with throwaway.own_server() as target:
        done = subprocess.run(  # noqa: S603  # PostgreSQL's own
            [programs / "psql", "-X", "-q", "-v", "ON_ERROR_STOP=1", "-f", FILE, target.dsn],
            capture_output=True,
            text=True,
            check=False,
            env=os.environ | {"LD_LIBRARY_PATH": str(programs.parent / "lib")},
        )
        assert done.returncode == 0, done.stderr
        assert compare(read(dsn), read(target.dsn)).differences == ()


def test_partitions_of_months_are_left_out(dsn: str) -> None:
    before = schema(dsn)
    with psycopg.connect(dsn) as conn:
        made = conn.execute("select action from integrations.maintain_audit()").fetchall()
        assert made
        conn.commit()
        assert schema(dsn) == before


STALE = {
    "comment on role svc_integration is 'changed'": "+COMMENT ON ROLE svc_integration IS 'changed'",
    "grant integrations_admin to svc_integration": "+GRANT integrations_admin TO svc_integration",
    "alter default privileges for role integrations_owner grant select on tables to public": (
        "+ALTER DEFAULT PRIVILEGES FOR ROLE integrations_owner"
    ),
    "revoke select on integrations.key_overview from integrations_admin": (
        "-GRANT SELECT ON TABLE integrations.key_overview TO integrations_admin;"
    ),
    "alter type integrations_private.tenant_key_state owner to integrations_keymaster": (
        "-ALTER TYPE integrations_private.tenant_key_state OWNER TO integrations_owner;"
    ),
}
"""What may become of the plan, and the line of the comparison that tells."""


def test_a_stale_file_is_told() -> None:
    with deployed() as dsn:
        with psycopg.connect(dsn) as conn:
            for statement in STALE:
                conn.execute(statement.encode())
        told = differs(FILE.read_text(encoding="utf-8"), schema(dsn)).splitlines()
    assert told[0] == "docs/schema.sql is stale; renew it: make schema"
    for line in STALE.values():
        assert any(it.startswith(line) for it in told), line
