"""A definition is immutable from its registration on, for every role; its life goes forward."""

# ruff: noqa: S608  (no name in a statement comes from outside)

from __future__ import annotations

from typing import Any
from uuid import UUID, uuid4

import pytest
from psycopg.types.json import Jsonb

from .world import World

CHANGES = {
    "id": "gen_random_uuid()",
    "name": "name || 'x'",
    "type": "type || 'x'",
    "version": "'9.9.9'",
    "docs_url": "'https://elsewhere.example'",
    "docs_url to NULL": "null",
    "description": "'other'",
    "description to ''": "''",
    "description to NULL": "null",
    "credentials_schema": "'true'",
    "config_schema": '\'{"type": "object"}\'',
    "created_at": "created_at + interval '1 microsecond'",
}


def registered(world: World, status: str = "draft", **more: Any) -> UUID:
    """Gives a new definition in a status."""
    definition = world.admin.register_definition(f"connector {uuid4()}", **more)
    if status != "draft":
        world.admin.set_definition_status(definition, status)
    return definition


def test_a_new_definition_is_a_draft_with_what_was_registered(world: World) -> None:
    name = f"Xero {uuid4()}"
    definition = world.admin.register_definition(
        name, "oauth2", "2.0.0-rc.1+build.5", docs_url="https://x.example/d", description="Books."
    )
    [row] = world.admin.rows(
        "select name, type, version, status::text, docs_url, description, credentials_schema,"
        " config_schema, created_at = updated_at from integrations.integration_definitions"
        " where id = %s",
        definition,
    )
    registered_as = (name, "oauth2", "2.0.0-rc.1+build.5", "draft", "https://x.example/d", "Books.")
    assert row == (*registered_as, {}, {}, True)


@pytest.mark.parametrize(
    ("bad", "sqlstate"),
    [
        ({"name": None}, "22023"),
        ({"name": ""}, "22023"),
        ({"name": " \t\n"}, "22023"),
        ({"name": "x" * 201}, "22023"),
        ({"type": None}, "22023"),
        ({"type": ""}, "22023"),
        ({"type": "OAuth2"}, "22023"),
        ({"type": "api_key\n"}, "22023"),
        ({"version": None}, "22023"),
        ({"version": "1.0"}, "22023"),
        ({"version": "01.0.0"}, "22023"),
        ({"version": "v1.0.0"}, "22023"),
        ({"version": "1.0.0\n"}, "22023"),
        ({"docs_url": ""}, "22023"),
        ({"docs_url": "javascript:alert(1)"}, "22023"),
        ({"docs_url": "https://a b"}, "22023"),
        ({"credentials_schema": None}, "22023"),
        ({"config_schema": Jsonb({"type": "any"})}, "IN105"),
        ({"credentials_schema": Jsonb({"$ref": "https://x.example/schema"})}, "IN105"),
        ({"credentials_schema": Jsonb("{}")}, "IN105"),
        ({"credentials_schema": Jsonb([])}, "IN105"),
        ({"config_schema": Jsonb(None)}, "IN105"),
    ],
    ids=repr,
)
def test_a_bad_registration_is_refused(world: World, bad: dict[str, object], sqlstate: str) -> None:
    with world.refused(sqlstate):
        world.admin.register_definition(**{"name": f"connector {uuid4()}", **bad})  # type: ignore[arg-type]


def test_a_connector_has_each_version_once(world: World) -> None:
    name = f"connector {uuid4()}"
    world.admin.register_definition(name, version="1.0.0")
    with world.refused("23505"):
        world.admin.register_definition(name, version="1.0.0")
    world.admin.register_definition(name, version="1.0.1")


@pytest.mark.parametrize("status", ["draft", "published", "deprecated", "retired"])
@pytest.mark.parametrize("change", CHANGES)
def test_not_even_a_superuser_changes_metadata(world: World, change: str, status: str) -> None:
    definition = registered(
        world, status, docs_url="https://x.example/d", description="A connector."
    )
    column = change.split()[0]
    for replication_role in ("origin", "replica"):
        with world.refused("IN102"), world.superuser.conn.transaction():
            world.superuser.run(f"set local session_replication_role = {replication_role}")
            world.superuser.run(
                f"update integrations.integration_definitions set {column} = {CHANGES[change]}"
                " where id = %s",
                definition,
            )


def test_metadata_that_is_missing_stays_missing(world: World) -> None:
    definition = registered(world)
    for column in ("docs_url", "description"):
        with world.refused("IN102"):
            world.superuser.run(
                f"update integrations.integration_definitions set {column} = 'https://x.example'"
                " where id = %s",
                definition,
            )


def test_a_json_number_that_only_looks_equal_is_a_change(world: World) -> None:
    definition: UUID = world.superuser.value(
        "insert into integrations.integration_definitions (name, type, version, config_schema)"
        """ values (%s, 'api_key', '1.0.0', '{"maximum": 1}') returning id""",
        f"connector {uuid4()}",
    )
    with world.refused("IN102"):
        world.superuser.run(
            """update integrations.integration_definitions set config_schema = '{"maximum": 1.0}'"""
            " where id = %s",
            definition,
        )


@pytest.mark.parametrize("status", ["published", "deprecated", "retired"])
def test_only_a_draft_is_deleted(world: World, status: str) -> None:
    definition = registered(world, status)
    with world.refused("IN102"):
        world.admin.discard_draft(definition)
    for replication_role in ("origin", "replica"):
        with world.refused("IN102"), world.superuser.conn.transaction():
            world.superuser.run(f"set local session_replication_role = {replication_role}")
            world.superuser.run(
                "delete from integrations.integration_definitions where id = %s", definition
            )


def test_the_catalogue_is_never_emptied(world: World) -> None:
    registered(world)
    tables = (
        "integrations.integration_definitions, integrations.integration_instances,"
        " integrations_private.refresh_leases, integrations_private.compiled_schemas"
    )
    for target in ("integrations.integration_definitions cascade", tables):
        for replication_role in ("origin", "replica"):
            with world.refused("IN102"), world.superuser.conn.transaction():
                world.superuser.run(f"set local session_replication_role = {replication_role}")
                world.superuser.run(f"truncate {target}")


def test_a_draft_can_be_discarded(world: World) -> None:
    definition = registered(world)
    world.admin.discard_draft(definition)
    with world.refused("IN101"):
        world.admin.discard_draft(definition)


STATUSES = ["draft", "published", "deprecated", "retired"]


@pytest.mark.parametrize("old", STATUSES)
@pytest.mark.parametrize("new", STATUSES)
def test_life_goes_forward_only(world: World, old: str, new: str) -> None:
    definition = registered(world, old)
    if STATUSES.index(new) > STATUSES.index(old):
        world.admin.set_definition_status(definition, new)
        assert new == world.superuser.value(
            "select status::text from integrations.integration_definitions"
            " where id = %s and updated_at > created_at",
            definition,
        )
        return
    with world.refused("IN104"):
        world.admin.set_definition_status(definition, new)
    if new != old:
        with world.refused("IN104"):
            world.superuser.run(
                "update integrations.integration_definitions"
                " set status = %s::integrations.integration_definition_status where id = %s",
                new,
                definition,
            )


def test_bad_arguments_of_a_move(world: World) -> None:
    definition = registered(world)
    with world.refused("22023"):
        world.admin.set_definition_status(None, "published")
    with world.refused("22023"):
        world.admin.set_definition_status(definition, None)
    with world.refused("22P02"):
        world.admin.set_definition_status(definition, "live")
    with world.refused("IN101"):
        world.admin.set_definition_status(uuid4(), "published")
    with world.refused("22023"):
        world.admin.discard_draft(None)


@pytest.mark.parametrize("status", ["draft", "deprecated", "retired"])
def test_only_a_published_definition_is_installed(world: World, status: str) -> None:
    definition = registered(world, status)
    with world.refused("IN103"), world.tenant.within(uuid4()):
        world.tenant.create_instance(definition, "mine")
