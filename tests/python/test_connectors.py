"""The example connectors and docs/connectors.md, without a database: form, verdicts, no secrets."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from jsonschema.exceptions import ValidationError

from integrations_db import connectors
from integrations_db.connectors import Connector, form

pytestmark = pytest.mark.static

ROOT = Path(__file__).parents[2]
FOLDER = Path(connectors.__file__).parent
FILES = sorted(FOLDER.glob("*.json"))
PAGE = (ROOT / "docs" / "connectors.md").read_text()
BLOCKS = re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)
NAMES = (
    "GitHub App",
    "Google Workspace",
    "HubSpot",
    "QuickBooks Online",
    "Salesforce",
    "Shopify",
    "Slack",
    "Stripe",
    "Xero",
    "Zendesk",
)
DESCRIBED = {
    connector.name: connector
    for connector in map(connectors.load, [*(file.read_text() for file in FILES), *BLOCKS])
}

# The vocabulary that the database enforces, and what it keeps as annotations.
KEYWORDS = {
    *("type", "enum", "const", "multipleOf", "maximum", "exclusiveMaximum", "minimum"),
    *("exclusiveMinimum", "maxLength", "minLength", "pattern", "maxItems", "minItems"),
    *("uniqueItems", "maxContains", "minContains", "maxProperties", "minProperties", "required"),
    *("dependentRequired", "properties", "additionalProperties", "patternProperties"),
    *("propertyNames", "dependentSchemas", "items", "prefixItems", "contains"),
    *("allOf", "anyOf", "oneOf", "not", "if", "then", "else", "$ref", "$defs"),
}
ANNOTATIONS = {"$schema", "title", "description", "default", "format", "writeOnly", "x-order"}
SECRETS = re.compile(r"(^|_)(token|secret|password|signature|private_key|api_key)$")


def subschemas(schema: Any, name: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Gives the schema and those within, each with the name of the member that it is for."""
    if not isinstance(schema, dict):
        return
    yield name, schema
    for keyword in ("properties", "patternProperties", "dependentSchemas", "$defs"):
        for member, inner in schema.get(keyword, {}).items():
            yield from subschemas(inner, member)
    for keyword in ("allOf", "anyOf", "oneOf", "prefixItems"):
        for inner in schema.get(keyword, []):
            yield from subschemas(inner)
    for keyword in ("items", "contains", "additionalProperties", "not", "if", "then", "else"):
        yield from subschemas(schema.get(keyword))


def places(errors: Iterator[ValidationError] | list[ValidationError]) -> set[tuple[str, str]]:
    """Gives the JSON pointers and keywords of errors and of those that they come from."""
    found = set()
    for error in errors:
        parts = (str(part).replace("~", "~0").replace("/", "~1") for part in error.absolute_path)
        found.add(("".join(f"/{part}" for part in parts), str(error.validator)))
        found |= places(error.context or [])
    return found


@pytest.fixture(params=DESCRIBED.values(), ids=lambda connector: connector.name)
def connector(request: pytest.FixtureRequest) -> Connector:
    """Each connector that ships, and each that the page describes."""
    return request.param  # type: ignore[no-any-return]


def test_there_are_ten() -> None:
    assert tuple(connector.name for connector in connectors.load_all()) == NAMES


def test_the_page_has_an_example_of_each_type() -> None:
    (table,) = re.findall(r"^\| `type` \|.*?\n\n", PAGE, re.MULTILINE | re.DOTALL)
    vocabulary = set(re.findall(r"^\| `(\w+)` \|", table, re.MULTILINE)) - {"type"}
    shown = {json.loads(block)["type"] for block in BLOCKS}
    assert len(vocabulary) == 6 and shown == vocabulary
    assert {connector.type for connector in DESCRIBED.values()} == vocabulary


def test_the_page_lists_the_ten() -> None:
    rows = re.findall(r"^\| ([A-Z][\w ]+) \| `(\w+)` \|", PAGE, re.MULTILINE)[1:]
    assert sorted(rows) == [(found.name, found.type) for found in connectors.load_all()]


def test_the_page_shows_the_module_for_forms() -> None:
    source = Path(form.__file__).read_text()
    assert f"```python\n{source}```" in PAGE


def test_metadata(connector: Connector) -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", connector.version)
    assert connector.docs_url.startswith("https://")
    assert connector.description.endswith(".")


def test_schemas_say_only_what_is_enforced(connector: Connector) -> None:
    for schema in (connector.config_schema, connector.credentials_schema):
        Draft202012Validator.check_schema(schema)
        for name, inner in subschemas(schema):
            assert set(inner) <= KEYWORDS | ANNOTATIONS, name


def test_a_form_can_be_drawn(connector: Connector) -> None:
    """Fields have a label, what is fixed aside, and an order."""
    for schema in (connector.config_schema, connector.credentials_schema):
        for name, field in schema["properties"].items():
            assert field.get("title") or "const" in field, name
        if len(schema["properties"]) > 1:
            assert sorted(schema["x-order"]) == sorted(schema["properties"])


def test_secrets_are_credentials_and_write_only(connector: Connector) -> None:
    assert connector.config_schema["additionalProperties"] is False
    for name, field in subschemas(connector.config_schema):
        assert "writeOnly" not in field and not SECRETS.search(name), name
    for name, field in subschemas(connector.credentials_schema):
        if SECRETS.search(name):
            assert field["writeOnly"] is True, name
    assert any(field.get("writeOnly") for _, field in subschemas(connector.credentials_schema))


def test_what_fits(connector: Connector) -> None:
    assert connector.accepted
    for example in connector.accepted:
        for schema, document in (
            (connector.config_schema, example.config),
            (connector.credentials_schema, example.credentials),
        ):
            Draft202012Validator(schema).validate(document)
            assert "<" not in json.dumps(document)


def test_what_does_not_fit(connector: Connector) -> None:
    """Another validator refuses the same documents, at the same place for the same reason."""
    schemas = {"IN203": connector.config_schema, "IN204": connector.credentials_schema}
    assert connector.refused
    for wrong in connector.refused:
        found = places(Draft202012Validator(schemas[wrong.code]).iter_errors(wrong.document))
        told = (wrong.pointer, wrong.keyword)
        if wrong.keyword == "properties":  # a member whose schema is false; here nobody names it
            told = ("", "None")
        assert told in found, (wrong.because, found)


def test_each_that_ships_has_mistakes_of_both_kinds() -> None:
    for found in connectors.load_all():
        assert {wrong.code for wrong in found.refused} == {"IN203", "IN204"}


def test_every_reason_is_another(connector: Connector) -> None:
    assert len({wrong.because for wrong in connector.refused}) == len(connector.refused)


# What GitHub's push protection, gitleaks and their like look for; none of it may stand in a file.
SCANNED = [
    r"[rs]k_(live|test)_[0-9a-zA-Z]{10,}",
    r"whsec_[0-9a-zA-Z]{16,}",
    r"xox[abeoprs](\.xox[bp])?-[0-9A-Za-z-]{6,}",
    r"gh[opsu]_[0-9A-Za-z]{20,}",
    r"shp(at|ca|pa|ss|rt)_[0-9a-fA-F]{20,}",
    r"pat-(na|eu)[0-9]-[0-9a-f]{8}-",
    r"00D[0-9A-Za-z]{12,15}![0-9A-Za-z._-]{20,}",
    r"GOCSPX-[0-9A-Za-z_-]{20,}",
    r"ya29\.[0-9A-Za-z_-]{20,}",
    r"AB11[0-9A-Za-z]{20,}",
    r"-----BEGIN ([A-Z]+ )*PRIVATE KEY-----(\\n|\s)*[A-Za-z0-9+/]{16,}",
    r"eyJ[0-9A-Za-z_-]{20,}\.[0-9A-Za-z_-]{20,}",
    r"\b[0-9a-f]{32,}\b",
]


@pytest.mark.parametrize(
    "text", [*(file.read_text() for file in FILES), PAGE], ids=[*(f.stem for f in FILES), "page"]
)
def test_no_secret_stands_in_a_file(text: str) -> None:
    for shape in SCANNED:
        assert not re.search(shape, text), shape


def test_the_scan_finds_what_is_filled_in() -> None:
    """So it would find it in a file, too."""
    text = json.dumps(
        [example.credentials for found in DESCRIBED.values() for example in found.accepted]
    ).replace("\\n", "\n")
    wrong = json.dumps([w.document for found in DESCRIBED.values() for w in found.refused])
    for shape in SCANNED:
        if not shape.startswith(("ya29", "eyJ")):
            assert re.search(shape, text + wrong), shape


def test_secrets_differ_each_time() -> None:
    one, two = (
        {found.name: found.accepted[0].credentials for found in connectors.load_all()}
        for _ in range(2)
    )
    assert all(one[name] != two[name] for name in one)


def test_a_merge_patch() -> None:
    """The examples of RFC 7396 that are objects."""
    for document, patch, result in (
        ({"a": "b"}, {"a": "c"}, {"a": "c"}),
        ({"a": "b"}, {"b": "c"}, {"a": "b", "b": "c"}),
        ({"a": "b", "b": "c"}, {"a": None}, {"b": "c"}),
        ({"a": ["b"]}, {"a": "c"}, {"a": "c"}),
        ({"a": {"b": "c"}}, {"a": {"b": "d", "c": None}}, {"a": {"b": "d"}}),
        ({"a": "foo"}, ["c"], ["c"]),
        ({"e": None}, {"a": 1}, {"e": None, "a": 1}),
        ([1, 2], {"a": "b", "c": None}, {"a": "b"}),
        ({}, {"a": {"bb": {"ccc": None}}}, {"a": {"bb": {}}}),
    ):
        assert connectors.merge(document, patch) == result


@pytest.mark.parametrize(
    ("place", "shape"),
    [
        ("<hex:40>", r"[0-9a-f]{40}"),
        ("<digits:9>", r"[0-9]{9}"),
        ("<alnum:20>", r"[0-9A-Za-z]{20}"),
        ("<base64url:43>=", r"[0-9A-Za-z_-]{43}="),
        ("<base64:64>", r"[0-9A-Za-z+/]{64}"),
        ("<in:3600>", r"20\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ"),
        (
            "<pem:PUBLIC KEY>",
            r"-----BEGIN PUBLIC KEY-----\n([\w+/=]{1,64}\n){26}-----END PUBLIC KEY-----\n",
        ),
        ("a < b > c", "a < b > c"),
    ],
)
def test_filling(place: str, shape: str) -> None:
    assert re.fullmatch(shape, connectors.fill([{"a": place}])[0]["a"])


FORM = {
    "type": "object",
    "properties": {
        "size": {"title": "Size", "type": "integer", "minimum": 2},
        "rights": {"title": "Rights", "additionalProperties": {"enum": ["read"]}},
        "names": {"title": "Names", "items": {"type": "string", "minLength": 2}},
        "place": {"title": "Place", "properties": {"a/b~c": {"title": "Street", "type": "string"}}},
        "way": {"enum": ["a", 1]},
    },
    "if": {"required": ["way"]},
    "then": {"properties": {"more": {"title": "More", "type": "boolean"}}, "required": ["more"]},
    "patternProperties": {"^x-": True},
    "additionalProperties": False,
}


@pytest.mark.parametrize(
    ("detail", "document", "told"),
    [
        ('"/size", keyword "minimum"', {"size": 1}, {"/size": "Size must be 2 or more."}),
        ('"/way", keyword "enum"', {"way": "b"}, {"/way": "way must be one of a, 1."}),
        ('"/rights", keyword "enum"', {"rights": {"x": "w"}}, {"/rights": "Rights is not right."}),
        (
            '"/names/1", keyword "minLength"',
            {"names": ["ab", "c"]},
            {"/names/1": "Names, entry 2, is too short: 2 characters at least."},
        ),
        (
            '"/place/a~1b~0c", keyword "type"',
            {"place": {"a/b~c": 1}},
            {"/place/a~1b~0c": "Street must be of type string."},
        ),
        ('"", keyword "required": "more" is missing', {"way": 1}, {"/more": "More is missing."}),
        (
            r'"", keyword "required": "a \"/\" quote" is missing',
            {},
            {'/a "~1" quote': 'a "/" quote is missing.'},
        ),
        (
            '"", keyword "additionalProperties"',
            {"size": 2, "x-1": 1, "more": True, "a~b": 1},
            {"/more": "More does not belong here.", "/a~0b": "a~b does not belong here."},
        ),
        ('"", keyword "anyOf"', {"size": 1}, {"": "This is not right."}),
    ],
)
def test_errors_of_a_form(detail: str, document: dict[str, Any], told: dict[str, str]) -> None:
    assert form.form_errors(f"Pointer {detail}.", FORM, document) == told


def test_an_error_without_a_place() -> None:
    detail = "It could not be checked: validation takes too many steps."
    assert list(form.form_errors(detail, FORM, {})) == [""]
