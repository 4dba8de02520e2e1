"""The story that `make demo` plays, and the first call that `make deploy` prints."""

from __future__ import annotations

import re
import uuid
from dataclasses import replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from test_connectors import NAMES

from integrations_db import connectors, demo
from integrations_db.config import Target, load_config
from integrations_db.errors import Failure
from integrations_db.testing import databases

ROOT = Path(__file__).parents[2]


def played(conninfo: str, definitions_only: bool = False) -> str:
    """Plays the story and returns what it told."""
    lines: list[str] = []
    demo.run(Target(conninfo), lines.append, definitions_only)
    return "\n".join(lines)


def rows(conninfo: str, query: LiteralString) -> list[tuple[Any, ...]]:
    with psycopg.connect(conninfo) as conn:
        return conn.execute(query).fetchall()


def test_the_story(database: str) -> None:
    told = played(database)
    for name in NAMES:
        assert re.search(rf"^  {name} \(\w+\): registered and published$", told, re.MULTILINE)
        assert re.search(
            rf"^  {name}: [23] accepted, \d+ refused, each for its", told, re.MULTILINE
        )
    for line in (
        "no instance_url, so nobody would know where the API is\n"
        "      IN204, required: Instance URL is missing.",
        "an API key where OAuth tokens belong\n      IN204, required: Access token is missing.",
        "IN203, enum: Environment must be one of production, sandbox.",
        "exactly as stored: ",
        "its overview shows 2 of its own, and 0 of Northwind's",
        "renaming Northwind's instance: IN201, integration instance not found",
        "asks for Northwind's: IN201, integration instance not found",
        "Northwind itself reads the column: 42501, permission denied",
        "instance_created 7x, tenant_key_created 2x, credentials_stored 7x, credentials_read 1x",
        "Left in the database: 10 definitions, 2 made-up tenants.",
    ):
        assert line in told
    stored = rows(
        database,
        "select d.name, i.name, i.status::text, i.credentials ->> 'v', i.config <> '{}',"
        "       i.last_connected_at is null"
        "  from integrations.integration_instances as i"
        "       join integrations.integration_definitions as d on d.id = i.integration_id"
        ' order by d.name collate "C", i.name collate "C", i.created_at',
    )
    assert stored == [
        ("GitHub App", "Shop", "active", "1", True, False),
        ("Google Workspace", "Directory", "active", "1", True, False),
        ("Salesforce", "Sales EMEA", "active", "1", True, False),
        ("Salesforce", "Sales EMEA", "active", "1", True, False),
        ("Stripe", "Payments", "active", "1", True, False),
        ("Xero", "Bookkeeping", "active", "1", True, False),
        ("Zendesk", "Help desk", "active", "1", True, False),
    ]
    left = "select count(distinct tenant_id) from integrations_private."
    assert rows(database, left + "tenant_keys") == [(2,)]
    assert rows(database, left + "audit_log") == [(2,)]


VERSIONS: LiteralString = (
    "select name, version, status::text from integrations.integration_definitions"
    ' order by name collate "C", version collate "C"'
)


def test_it_can_be_played_again(database: str) -> None:
    played(database)
    first = rows(database, VERSIONS)
    assert first == [(name, "1.0.0", "published") for name in NAMES]
    told = played(database)
    assert told.count("published already") == len(NAMES)
    assert rows(database, VERSIONS) == first


def test_what_is_there_already_stays(database: str) -> None:
    """A version that is taken, by somebody else's connector or a retired one, is passed over."""
    with psycopg.connect(database) as conn:
        conn.execute(
            "select integrations.register_definition("
            "name => 'Xero', type => 'oauth2', version => '1.1.0')"
        )
    played(database, definitions_only=True)
    with psycopg.connect(database) as conn:
        conn.execute(
            "select integrations.set_definition_status(definition_id => id, status => 'retired')"
            "  from integrations.integration_definitions where name = 'Xero' and version = '1.0.0'"
        )
    told = played(database, definitions_only=True)
    assert told.count("published already") == len(NAMES) - 1
    assert "Xero (oauth2): registered and published" in told
    assert [row[1:] for row in rows(database, VERSIONS) if row[0] == "Xero"] == [
        ("1.0.0", "retired"),
        ("1.1.0", "draft"),
        ("1.2.0", "published"),
    ]


def test_definitions_only(database: str, tmp_path: Path) -> None:
    """An administrator without any other role publishes them, and nothing else is made."""
    login = databases.create_login("integrations_admin", database, tmp_path)
    try:
        told = played(login, definitions_only=True)
        assert told.endswith("Left in the database: 10 definitions.")
        with pytest.raises(Failure, match="for the demo: integrations_tenant, svc_integration, "):
            played(login)
    finally:
        databases.drop_login(str(conninfo_to_dict(login)["user"]), database)
    assert rows(database, VERSIONS) == [(name, "1.0.0", "published") for name in NAMES]
    assert rows(database, "select count(*) from integrations_private.audit_log") == [(0,)]


def test_it_shows_no_secret(database: str, monkeypatch: pytest.MonkeyPatch) -> None:
    filled: list[str] = []
    filling = connectors._filling

    def noted(place: re.Match[str]) -> str:
        text = filling(place)
        if place[1] != "in" and len(text) > 7:  # what is short may stand in an identifier, too
            filled.append(text)
        return text

    monkeypatch.setattr(connectors, "_filling", noted)
    told = played(database)
    assert len(filled) > 100
    assert not [text for text in filled if text in told]


def test_a_database_that_accepts_what_it_must_refuse_is_told(
    database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = connectors.load_all()[4]
    wrong = replace(found.refused[0], document=found.accepted[0].credentials)
    monkeypatch.setattr(demo, "load_all", lambda: [replace(found, refused=(wrong,))])
    with pytest.raises(Failure, match="a call that must be refused was allowed"):
        played(database)
    wrong = replace(found.refused[0], keyword="pattern")
    monkeypatch.setattr(demo, "load_all", lambda: [replace(found, refused=(wrong,))])
    with pytest.raises(Failure, match=r"Salesforce, no instance_url, .*: refused for another"):
        played(database)


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
