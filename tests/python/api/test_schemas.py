"""Schemas of definitions through the functions that applications call: what is told to whom."""

from __future__ import annotations

import json
import re
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from psycopg.types.json import Jsonb

from .world import World

# As docs/schemas.md gives it to clients.
DETAIL = re.compile(r'^Pointer ("(?:[^"\\]|\\.)*"), keyword ("[^"]+")(?:: (".*") is missing)?\.$')

# A connector as they really are, with what people get wrong.
CREDENTIALS = {
    "$schema": "https://json-schema.org/draft/2020-12/schema",
    "title": "Salesforce, OAuth 2.0",
    "type": "object",
    "required": ["access_token", "instance_url"],
    "properties": {
        "access_token": {"$ref": "#/$defs/token"},
        "refresh_token": {"$ref": "#/$defs/token"},
        "instance_url": {
            "type": "string",
            "format": "uri",
            "pattern": r"^https://[a-z0-9-]+(\.[a-z0-9-]+)*\.salesforce\.com/?$",
        },
        "scopes": {"type": "array", "items": {"enum": ["api", "openid"]}, "uniqueItems": True},
    },
    "additionalProperties": False,
    "$defs": {"token": {"type": "string", "minLength": 10, "pattern": "^[!-~]+$"}},
}
GOOD = {"access_token": "00D!AQ0AQH0dMHEXAMPLE", "instance_url": "https://acme.my.salesforce.com"}
CONFIG = {
    "properties": {
        'a/b~c "d"': {"type": "integer"},
        "kind": {"enum": ["sandbox", "production"]},
        "days": {"type": "integer", "minimum": 1, "maximum": 30},
    },
    "required": ["kind"],
    "if": {"properties": {"kind": {"const": "sandbox"}}},
    "then": {"required": ["name"]},
}


@pytest.fixture
def definition(world: World) -> UUID:
    """A published definition with these schemas."""
    made = world.admin.register_definition(
        f"Salesforce {uuid4()}",
        credentials_schema=Jsonb(CREDENTIALS),
        config_schema=Jsonb(CONFIG),
    )
    world.admin.set_definition_status(made, "published")
    return made


def told(error: psycopg.Error) -> tuple[str, str, str | None]:
    """Reads pointer, keyword and missing property as a client does."""
    match = DETAIL.match(error.diag.message_detail or "")
    assert match, error.diag.message_detail
    pointer, keyword, missing = match.groups()
    return json.loads(pointer), json.loads(keyword), json.loads(missing) if missing else None


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"instance_url": ...}, ("", "required", "instance_url")),
        ({"access_token": "short"}, ("/access_token", "minLength", None)),
        ({"access_token": "with a blank"}, ("/access_token", "pattern", None)),
        ({"access_token": 12345678901}, ("/access_token", "type", None)),
        ({"instance_url": "https://evil.example/"}, ("/instance_url", "pattern", None)),
        ({"api_key": "not OAuth"}, ("", "additionalProperties", None)),
        ({"scopes": ["api", "root"]}, ("/scopes/1", "enum", None)),
        ({"scopes": ["api", "api"]}, ("/scopes", "uniqueItems", None)),
    ],
    ids=repr,
)  # fmt: skip
def test_credentials(
    world: World,
    definition: UUID,
    wrong: dict[str, object],
    expected: tuple[str, str, str | None],
) -> None:
    tenant_id = world.new_tenant()
    with world.unlocked(tenant_id):
        instance_id = world.svc.create_instance(definition, "n", {"kind": "production"})
        world.svc.put_credentials(instance_id, json.dumps(GOOD))
    credentials = json.dumps({k: v for k, v in {**GOOD, **wrong}.items() if v is not ...})
    with world.refused("IN204") as put, world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, credentials)
    with world.refused("IN204") as refresh, world.unlocked(tenant_id):
        world.svc.complete_refresh(world.svc.claim_refresh(instance_id), credentials, 1)
    assert told(put.value) == told(refresh.value) == expected
    assert world.read(tenant_id, instance_id) == GOOD


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({}, ("", "required", "kind")),
        ({"kind": "sandbox"}, ("", "required", "name")),
        ({"kind": "production", "days": 31}, ("/days", "maximum", None)),
        ({"kind": "production", "days": 1.5}, ("/days", "type", None)),
        ({"kind": "production", 'a/b~c "d"': "x"}, ('/a~1b~0c "d"', "type", None)),
    ],
    ids=repr,
)
def test_configuration(
    world: World,
    definition: UUID,
    config: dict[str, object],
    expected: tuple[str, str, str | None],
) -> None:
    tenant_id = world.new_tenant()
    with world.tenant.within(tenant_id):
        instance_id = world.tenant.create_instance(definition, "n", {"kind": "production"})
    with world.refused("IN203") as create, world.tenant.within(tenant_id):
        world.tenant.create_instance(definition, "m", config)
    with world.refused("IN203") as update, world.tenant.within(tenant_id):
        world.tenant.update_config(instance_id, config)
    assert told(create.value) == told(update.value) == expected


@pytest.mark.parametrize(
    "keyword",
    [
        "$anchor", "$dynamicRef", "$dynamicAnchor", "$vocabulary", "unevaluatedItems",
        "unevaluatedProperties", "dependencies", "additionalItems", "$recursiveRef",
        "$recursiveAnchor", "$id", "$schema", "$ref",
    ],
)  # fmt: skip
@pytest.mark.parametrize("kind", ["config_schema", "credentials_schema"])
def test_what_could_not_be_enforced_is_refused_with_its_path(
    world: World, kind: str, keyword: str
) -> None:
    schemas: Any = {kind: Jsonb({"properties": {"a/b": {keyword: "https://x.example/schema"}}})}
    with world.refused("IN105") as caught:
        world.admin.register_definition(f"connector {uuid4()}", **schemas)
    detail = caught.value.diag.message_detail or ""
    assert detail.startswith(f'{kind}, pointer "/properties/a~1b/{keyword}": ')


def test_of_two_values_of_a_name_the_last_one_counts(world: World, definition: UUID) -> None:
    """What was checked is what is read."""
    tenant_id = world.new_tenant()
    good, bad = '"access_token": "0123456789"', '"access_token": 1'
    url = f'"instance_url": "{GOOD["instance_url"]}"'
    with world.unlocked(tenant_id):
        instance_id = world.svc.create_instance(definition, "n", {"kind": "production"})
        world.svc.put_credentials(instance_id, f"{{{bad}, {url}, {good}}}")
    assert world.read(tenant_id, instance_id)["access_token"] == "0123456789"  # noqa: S105
    with world.refused("IN204"), world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, f"{{{good}, {url}, {bad}}}")


def test_schemas_are_read_as_they_were_registered(world: World, definition: UUID) -> None:
    [row] = world.tenant.rows(
        "select credentials_schema, config_schema from integrations.integration_definitions"
        " where id = %s",
        definition,
    )
    assert row == (CREDENTIALS, CONFIG)
