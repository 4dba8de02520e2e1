"""A later change of the schema must not open what is closed today.

The attacker waits: for a column that is added, for one that is dropped and made anew, for a GRANT
on the whole table that somebody gives in a hurry. Privileges are given by column, so new columns
are closed until somebody opens them, and the verify scripts tell when they are not what they were.
"""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack

import psycopg
import pytest
from api.client import Client
from api.deployment import run_script
from api.world import ROLES, connect

TABLE = "integrations.integration_instances"
Login = Callable[[str, str], str]


@pytest.fixture
def own(database: str, login: Login) -> Iterator[tuple[Client, dict[str, Client]]]:
    """A superuser and a login of each role in a database of their own."""
    with ExitStack() as stack:

        def client(conninfo: str) -> Client:
            return Client(stack.enter_context(connect(conninfo)))

        yield client(database), {role: client(login(role, database)) for role in ROLES}


def readers(clients: dict[str, Client], column: str) -> set[str]:
    """Gives the roles that can read a column."""
    allowed = set()
    for role, client in clients.items():
        try:
            client.rows(f"select {column} from {TABLE}")
            allowed.add(role)
        except psycopg.errors.InsufficientPrivilege:
            pass
    return allowed


def test_a_new_column_is_closed(own: tuple[Client, dict[str, Client]]) -> None:
    superuser, clients = own
    superuser.run(f"alter table {TABLE} add column private_note text")
    assert readers(clients, "private_note") == set()
    assert "svc_integration" in readers(clients, "name")


def test_credentials_made_anew_are_closed(own: tuple[Client, dict[str, Client]]) -> None:
    superuser, clients = own
    assert readers(clients, "credentials") == {"svc_integration"}
    superuser.run(f"alter table {TABLE} drop column credentials cascade")
    superuser.run(f"alter table {TABLE} add column credentials jsonb")
    assert readers(clients, "credentials") == set()
    with pytest.raises(psycopg.Error):
        run_script(superuser.conn, "verify", "grants/svc_integration")


@pytest.mark.parametrize(
    "mistake",
    [
        f"grant select on {TABLE} to integrations_tenant",
        f"grant select (credentials) on {TABLE} to integrations_auditor",
        "grant select on all tables in schema integrations to integrations_tenant",
        f"grant update on {TABLE} to integrations_tenant",
        f"grant trigger, references on {TABLE} to integrations_tenant",
    ],
)
def test_a_grant_in_a_hurry_is_noticed(own: tuple[Client, dict[str, Client]], mistake: str) -> None:
    superuser, _ = own
    changes = ["grants/integrations_tenant", "grants/integrations_auditor"]
    for change in changes:
        run_script(superuser.conn, "verify", change)
    superuser.run(mistake)
    with pytest.raises(psycopg.Error):
        for change in changes:
            run_script(superuser.conn, "verify", change)
