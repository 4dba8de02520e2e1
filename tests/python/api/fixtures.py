"""The world of attackers and honest callers, for tests/python/api and tests/abuse."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path
from typing import LiteralString
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from integrations_db.testing import databases
from integrations_db.testing.plugin import another_server
from integrations_db.testing.servers import Server

from .client import Client
from .cluster import Cluster
from .deployment import Connection
from .server_log import Log
from .world import ROLES, STRANGER, Pool, World, connect


@pytest.fixture(scope="session")
def shared_database(server: Server, template: str) -> Iterator[str]:
    """A clone for all these tests of one worker; they keep apart by their tenants."""
    with databases.clone(server.dsn, template) as conninfo:
        yield conninfo


@pytest.fixture(scope="session")
def shared_logins(
    shared_database: str, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[dict[str, str]]:
    """A login of each role, and one that is a member of an empty role only."""
    folder = tmp_path_factory.mktemp("logins")
    with ExitStack() as stack:
        nobody = databases.new_name("nobody")
        superuser = stack.enter_context(connect(shared_database))
        superuser.execute(sql.SQL("create role {}").format(sql.Identifier(nobody)))
        stack.callback(superuser.execute, sql.SQL("drop role {}").format(sql.Identifier(nobody)))
        logins = {}
        for name, role in [*((role, role) for role in ROLES), (STRANGER, nobody)]:
            logins[name] = databases.create_login(role, shared_database, folder)
            user = str(conninfo_to_dict(logins[name])["user"])
            stack.callback(databases.drop_login, user, shared_database)
        yield logins


@pytest.fixture(scope="session")
def shared_definition(shared_logins: dict[str, str]) -> UUID:
    """A published definition."""
    with psycopg.connect(shared_logins["integrations_admin"], autocommit=True) as conn:
        admin = Client(conn)
        definition = admin.register_definition("Salesforce", "oauth2", "59.0.0")
        admin.set_definition_status(definition, "published")
        return definition


@pytest.fixture(scope="session")
def shared_kek() -> tuple[str, bytes]:
    """The name and the bytes of a KEK."""
    return "kek-2026", secrets.token_bytes(32)


@pytest.fixture(scope="session")
def shared_connections(shared_logins: dict[str, str]) -> Iterator[Pool]:
    """Connections to it, closed before the logins go."""
    with closing(Pool()) as pool:
        yield pool


@pytest.fixture
def world(
    shared_database: str,
    shared_logins: dict[str, str],
    shared_definition: UUID,
    shared_kek: tuple[str, bytes],
    shared_connections: Pool,
) -> Iterator[World]:
    """The shared database, with connections that are as good as new."""
    with ExitStack() as stack:
        yield World(
            shared_database,
            shared_logins,
            shared_definition,
            *shared_kek,
            stack,
            shared_connections,
        )


@pytest.fixture
def log(server: Server, world: World) -> Log:
    """The server's log from here on."""
    return Log(server, world.superuser).from_here()


@pytest.fixture(scope="session")
def shared_cluster(pytestconfig: pytest.Config, pgtap_server: Server) -> Iterator[Server]:
    """A second server of one worker, on which nothing is between two tests."""
    with another_server(pytestconfig, pgtap_server) as server:
        yield server


@pytest.fixture
def lent_cluster(shared_cluster: Server) -> Iterator[Server]:
    """A server without the package's roles, for tests that leave its settings as they are.

    Databases and roles that are there in the end are dropped: a server costs more than most tests.
    """
    yield shared_cluster
    with connect(shared_cluster.dsn) as conn:
        for name in _made(conn, "select datname from pg_database where oid >= 16384"):
            conn.execute(sql.SQL("drop database {} with (force)").format(name))
        if roles := _made(conn, "select rolname from pg_roles where oid >= 16384"):
            # At once: one may have given another its membership.
            conn.execute(sql.SQL("drop role {}").format(sql.SQL(", ").join(roles)))


def _made(conn: Connection, query: LiteralString) -> list[sql.Identifier]:
    return [sql.Identifier(name) for (name,) in conn.execute(query).fetchall()]


@pytest.fixture
def lent_database(lent_cluster: Server) -> Iterator[str]:
    """An empty database of that server, as conninfo of its superuser."""
    with databases.clone(lent_cluster.dsn, "template0") as conninfo:
        yield conninfo


@pytest.fixture
def bare(lent_cluster: Server, tmp_path: Path) -> Iterator[Cluster]:
    """The same server, with ways into it."""
    with ExitStack() as stack:
        yield Cluster(lent_cluster, tmp_path, stack)
