"""The story that `make demo` plays, and the first call that `make deploy` prints."""

from __future__ import annotations

import secrets
import uuid
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo

from integrations_db import demo
from integrations_db.config import Target, load_config
from integrations_db.errors import Failure

ROOT = Path(__file__).parents[2]


def played(conninfo: str) -> str:
    """Plays the story and returns what it told."""
    lines: list[str] = []
    demo.run(Target(conninfo), lines.append)
    return "\n".join(lines)


def test_the_story(database: str) -> None:
    told = played(database)
    for line in (
        "Salesforce (oauth2): registered and published",
        "Xero (oauth2): registered and published",
        "exactly as stored: ",
        "its overview shows 1 of its own, and 0 of Northwind's",
        "renaming Northwind's instance: IN201, integration instance not found",
        "asks for Northwind's: IN201, integration instance not found",
        "Northwind itself reads the column: 42501, permission denied",
        "instance_created 3x, tenant_key_created 2x, credentials_stored 3x, credentials_read 1x",
    ):
        assert line in told
    with psycopg.connect(database) as conn:
        stored = conn.execute(
            "select d.name, i.name, i.status::text, i.credentials ->> 'v',"
            "       i.last_connected_at is null"
            "  from integrations.integration_instances as i"
            "       join integrations.integration_definitions as d on d.id = i.integration_id"
            ' order by d.name collate "C", i.name collate "C", i.created_at'
        ).fetchall()
    assert stored == [
        ("Salesforce", "Sales EMEA", "active", "1", False),
        ("Salesforce", "Sales EMEA", "active", "1", False),
        ("Xero", "Bookkeeping", "active", "1", False),
    ]


def test_it_can_be_played_again(database: str) -> None:
    played(database)
    with psycopg.connect(database) as conn:
        conn.execute(
            "select integrations.set_definition_status(definition_id => id, status => 'retired')"
            "  from integrations.integration_definitions where name = 'Xero'"
        )
    told = played(database)
    assert "Salesforce (oauth2): published already" in told
    assert "Xero (oauth2): registered and published" in told


def test_it_shows_no_token(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "token_urlsafe", lambda size: "SENTINEL")
    assert "SENTINEL" not in played(database)


def test_without_the_model(empty_database: str) -> None:
    with pytest.raises(Failure, match="not deployed"):
        played(empty_database)


def test_as_somebody_who_may_not_play_the_roles(database: str) -> None:
    user = f"nobody_{uuid.uuid4().hex[:8]}"
    with psycopg.connect(database, autocommit=True) as conn:
        conn.execute(f"create role {user}".encode())
        conn.execute(f"grant {user} to current_user".encode())
        try:
            with pytest.raises(Failure, match="grant it for the demo: integrations_admin"):
                played(make_conninfo(database, options=f"-c role={user}"))
        finally:
            conn.execute(f"drop role {user}".encode())


def test_the_first_call_works_and_leaves_nothing(database: str) -> None:
    call = load_config(ROOT).get("welcome.sql")
    assert call
    played(database)
    with psycopg.connect(database, autocommit=True) as conn:
        query = "select count(*) from integrations.integration_definitions"
        before = conn.execute(query).fetchone()
        conn.execute(call.encode())
        assert conn.execute(query).fetchone() == before
