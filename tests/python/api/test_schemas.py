"""Schemas of definitions through the functions that applications call: what is told to whom."""

from __future__ import annotations

import json
import re
import time
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


def test_fifteen_fields_take_less_than_0_3_milliseconds(world: World) -> None:
    """Of put_credentials with a schema and without, the fastest call of many: others run, too."""
    field = {"type": "string", "minLength": 8, "maxLength": 4096, "pattern": "^[!-~]+$"}
    names = [f"field_{n}" for n in range(15)]
    strict = {
        "type": "object",
        "properties": dict.fromkeys(names, field),
        "required": names,
        "additionalProperties": False,
    }
    credentials = json.dumps({name: "00D!AQ0AQH0dMHEXAMPLE" * 3 for name in names})
    tenant_id = world.new_tenant()
    instances = []
    schemas: tuple[dict[str, object], ...] = ({}, strict)
    for schema in schemas:
        definition = world.admin.register_definition(
            f"connector {uuid4()}", credentials_schema=Jsonb(schema)
        )
        world.admin.set_definition_status(definition, "published")
        with world.svc.within(tenant_id):
            instances.append(world.svc.create_instance(definition, f"n {uuid4()}"))
    seconds: list[list[float]] = [[], []]
    for _ in range(40):
        with world.unlocked(tenant_id):
            for _ in range(3):
                for instance_id, times in zip(instances, seconds, strict=True):
                    began = time.perf_counter()
                    world.svc.put_credentials(instance_id, credentials)
                    times.append(time.perf_counter() - began)
    plain, checked = map(min, seconds)
    assert checked - plain < 0.0003
    with world.refused("IN204"), world.unlocked(tenant_id):
        world.svc.put_credentials(instances[1], "{}")


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
