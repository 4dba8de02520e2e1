"""A hostile schema costs a bounded time, and nothing else.

The attacker registers definitions: an administrator's account that was taken over. He wants a
backend that hangs or falls over whenever a customer stores something, or other people's code to
run. Against him stand the compiler, which refuses what could take long, and the evaluator, which
counts its steps; no timeout of the server is needed. Or he is a customer, with a document that is
made for an honest schema.
"""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import psycopg
import pytest
from api.world import World
from psycopg.types.json import Jsonb

# Seconds that a registration or a check may take on a machine that runs other things, too. Idle,
# the worst of them takes less than one.
PATIENCE = 15


def doubling(keyword: str, last: object) -> dict[str, Any]:
    """Gives a schema that looks at the same value 2**60 times."""
    levels: dict[str, object] = {
        f"d{n}": {keyword: [{"$ref": f"#/$defs/d{n + 1}"}] * 2} for n in range(60)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**levels, "d60": last}}


def chain(keyword: str, length: int) -> dict[str, Any]:
    """Gives a schema in which each part refers to the next."""
    parts: dict[str, object] = {
        f"d{n}": {keyword: {"$ref": f"#/$defs/d{n + 1}"}} for n in range(length)
    }
    return {"$ref": "#/$defs/d0", "$defs": {**parts, f"d{length}": {}}}


def nested(levels: int) -> str:
    """Gives a document of objects within objects."""
    return '{"a":' * levels + "{}" + "}" * levels


ABS = "ab" * 4000
SPREAD = "".join("ab"[n * n * 7 // 3 % 5 % 2] for n in range(8000))
MANY = "".join(chr(0x100 + 2 * n) for n in range(500))
LOOPS: dict[str, object] = {
    "itself": {"$ref": "#"},
    "a part": {"properties": {"a": {"$ref": "#/properties/a"}}},
    "in turn": {
        "$ref": "#/$defs/a",
        "$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"not": {"$ref": "#/$defs/a"}}},
    },
    "by a condition": {"if": True, "then": {"$ref": "#"}},
    "by a property": {"dependentSchemas": {"a": {"$ref": "#"}}},
    "where nothing leads": {"$defs": {"a": {"anyOf": [{"$ref": "#/$defs/a"}]}}},
}
TOO_MUCH: dict[str, object] = {
    "64 KiB": {"description": "x" * 65536},
    "many properties": {"properties": {f"p{n}": {} for n in range(10000)}},
    "many branches": {"allOf": [True] * 20000},
    "deep": json.loads('{"not":' * 500 + "{}" + "}" * 500),
    "a long pattern": {"pattern": "a" * 1001},
    "a back-reference": {"pattern": r"(a+)+\1"},
    "nested counts": {"pattern": "((a{9}){9}){9}"},
    "nested options": {"pattern": "(((a|b?){1,10}){1,10}){1,10}"},
    "many options": {"pattern": "(a?){250}"},
    "a huge count": {"pattern": "a{1000000}"},
    "nested groups": {"pattern": "(" * 400 + ")" * 400},
    "look-ahead at every place": {"pattern": "(?:(?=.*x)a|b)*z"},
    "nested look-ahead": {"pattern": "^(?=.*(?=.*(?=.*x)))z"},
    "a pattern of a name": {"patternProperties": {"(.?){200}": {}}},
    "classes that tell many characters apart": {"pattern": "[^a]{150}" + MANY},
    "the same, and left out": {"patternProperties": {"(?:[^a]?){40}" + MANY: {}}},
    "the same, one by one": {"pattern": "[^a]?" * 70 + MANY},
    "the same, within groups": {"pattern": "(?:(?:.x){5}){12}y*" + MANY},
    "many complex patterns": {
        "patternProperties": {f"(b*|[^a]+|x){{1,33}}{n}": {} for n in range(90)}
    },
    "a huge divisor": {"multipleOf": 10**1001},
}
HEAVY: dict[str, tuple[dict[str, Any], str]] = {
    "twice of twice, all": (doubling("allOf", {}), "{}"),
    "twice of twice, any": (doubling("anyOf", False), "{}"),
    "twice of twice, one": (doubling("oneOf", True), "{}"),
    "conditions in conditions": (chain("not", 1000), "{}"),
    "a deep document": ({"properties": {"a": {"$ref": "#"}}}, nested(5000)),
    "a deep document, with conditions": (
        {"anyOf": [{"properties": {"a": {"$ref": "#"}}}, False]},
        nested(3000),
    ),
    "a large value, again and again": (
        {
            "allOf": [{"$ref": "#/$defs/x"}] * 1500,
            "$defs": {"x": {"additionalProperties": {"minLength": 1}, "minProperties": 1}},
        },
        json.dumps({f"k{n}": "v" for n in range(4000)}),
    ),
    "a large list of values": (
        {"properties": {"a": {"items": {"enum": [f"v{n}" for n in range(6000)]}}}},
        json.dumps({"a": ["v5999"] * 6000}),
    ),
    "long lists of values": (
        {"properties": {"a": {"items": {"enum": [[1] * 10 + [n] for n in range(1200)]}}}},
        json.dumps({"a": [[1] * 10 + [1199]] * 1200}),
    ),
    "a pattern for every name": (
        {"patternProperties": {f"[ab]{{200}}{n}": {} for n in range(1200)}},
        json.dumps({"ab" * 100 + str(n): 1 for n in range(200)}),
    ),
    "slow patterns": (
        {
            "properties": {
                "a": {"items": {"allOf": [{"not": {"pattern": f"(a|b)*a[ab]{{200}}[ab]{{200}}c{n}"}}
                                          for n in range(300)]}}
            }
        },
        json.dumps({"a": [SPREAD[n:] for n in range(7)]}),
    ),
    "patterns that are read anew": (
        {
            "properties": {
                "a": {"items": {"allOf": [{"not": {"pattern": f"^(b*|[^a]+|x){{1,17}}c{n}"}}
                                          for n in range(60)]}}
            }
        },
        json.dumps({"a": [f"b{n}" for n in range(5000)]}),
    ),
    "items with one hash": (
        {"properties": {"a": {"uniqueItems": True}}},
        json.dumps({"a": [["x" if i in (n, n + 32) else 0 for i in range(96)] for n in range(60)]}),
    ),
    "items with one hash, far apart": (
        {"properties": {"a": {"uniqueItems": True}}},
        json.dumps(
            {
                "a": [
                    *([n, [[]]] for n in range(900)),
                    *range(1000, 6000),
                    *([n, [], []] for n in range(900)),
                ]
            }
        ),
    ),
    "conditions that fail at once, any": (
        {"properties": {"a": {"contains": {"anyOf": [False] * 9000}}}},
        json.dumps({"a": [0] * 21000}),
    ),
    "conditions that fail at once, one": (
        {"properties": {"a": {"contains": {"oneOf": [{"type": "null"}] * 3000}}}},
        json.dumps({"a": [0] * 21000}),
    ),
    "names that meet many patterns": (
        {"patternProperties": {f"{n}|^": True for n in range(14)}, "additionalProperties": False},
        json.dumps({str(n): 0 for n in range(5500)}),
    ),
}  # fmt: skip


def timed(call: Callable[[], object]) -> str | None:
    """Gives the SQLSTATE of a call that must end in time, whatever the server's settings say."""
    start = time.monotonic()
    try:
        call()
        answer = None
    except psycopg.Error as error:
        answer = error.sqlstate
    assert time.monotonic() - start < PATIENCE
    return answer


def register(world: World, schema: object) -> Any:
    """Registers and publishes a definition with a schema of the configuration."""
    definition = world.admin.register_definition(f"hostile {uuid4()}", config_schema=Jsonb(schema))
    world.admin.set_definition_status(definition, "published")
    return definition


@pytest.mark.parametrize("loop", LOOPS)
def test_a_loop_is_refused(world: World, loop: str) -> None:
    assert timed(lambda: register(world, LOOPS[loop])) == "IN105"


@pytest.mark.parametrize("schema", TOO_MUCH)
def test_what_could_take_long_is_refused(world: World, schema: str) -> None:
    assert timed(lambda: register(world, TOO_MUCH[schema])) == "IN105"


def test_what_is_too_deep_to_be_json_is_refused(world: World) -> None:
    deep = '{"not":' * 100_000 + "{}" + "}" * 100_000
    call = "select integrations.register_definition('deep', 'basic', '1.0.0', config_schema => %s)"
    assert timed(lambda: world.admin.run(call, deep)) == "54001"


@pytest.mark.parametrize("case", HEAVY)
def test_a_check_ends(world: World, case: str) -> None:
    schema, document = HEAVY[case]
    world.svc.run("set statement_timeout = 0")
    tenant_id = world.new_tenant()
    with world.svc.within(tenant_id):
        definition = register(world, schema)
        create = "select integrations.create_instance(%s, 'hostile', %s)"
        # Not by a column of instances: the row is not there when it is refused.
        refused = timed(lambda: world.svc.run(create, definition, document))
    # What is nested over 100 levels does not even come to its schema.
    assert refused == ("22023" if "deep" in case else "IN203")
    # The backend is alive.
    assert world.svc.current_tenant() is None


def test_long_numbers(world: World) -> None:
    """As long as a document may write them out, in a few characters."""
    definition = world.admin.register_definition(
        f"hostile {uuid4()}",
        credentials_schema=Jsonb(
            {
                "properties": {
                    "a": {"items": {"type": "integer", "minimum": 1, "enum": [10**900]}},
                    "b": {"items": {"not": {"multipleOf": 0.0123}}},
                    "c": {"uniqueItems": True},
                }
            }
        ),
    )
    world.admin.set_definition_status(definition, "published")
    tenant_id = world.new_tenant()
    with world.svc.within(tenant_id):
        instance_id = world.svc.create_instance(definition, "long numbers")
    for name in "abc":

        def put(name: str = name) -> None:
            with world.unlocked(tenant_id):
                world.svc.put_credentials(instance_id, f'{{"{name}": [1e32000, 1e32000]}}')

        assert timed(put) == "IN204"


def test_few_characters_of_many_digits(world: World) -> None:
    """Of 131072 digits each, the most that jsonb takes: each read would send a gigabyte of them."""
    tenant_id, instance_id = world.new_stored()
    document = json.dumps({"default": ["n"] * 7000}).replace('"n"', "1e131071")

    def put() -> None:
        with world.unlocked(tenant_id):
            world.svc.put_credentials(instance_id, document)

    def configure() -> None:
        with world.tenant.within(tenant_id):
            world.tenant.value(
                "select integrations.update_config(%s, %s::jsonb)::text", instance_id, document
            )

    def register() -> None:
        world.admin.value(
            "select integrations.register_definition("
            "name => %s, type => 'oauth2', version => '1.0.0', credentials_schema => %s::jsonb)",
            f"hostile {uuid4()}",
            document,
        )

    assert [timed(call) for call in (put, configure, register)] == ["IN305", "22023", "IN105"]
    assert world.read(tenant_id, instance_id) == {"api_key": "k"}


def test_credentials_are_checked_within_the_same_bounds(world: World) -> None:
    schema, document = HEAVY["twice of twice, any"]
    tenant_id = world.new_tenant()
    schema = {"if": {"required": ["a"]}, "then": {"$ref": "#/$defs/d0"}, "$defs": schema["$defs"]}
    definition = world.admin.register_definition("hostile", credentials_schema=Jsonb(schema))
    world.admin.set_definition_status(definition, "published")
    with world.unlocked(tenant_id):
        instance_id = world.svc.create_instance(definition, "hostile")
        world.svc.put_credentials(instance_id, document)
    with world.refused("IN204") as caught, world.unlocked(tenant_id):
        world.svc.put_credentials(instance_id, '{"a": 1}')
    assert caught.value.diag.message_detail == (
        "It could not be checked: validation takes too many steps."
    )


@pytest.mark.parametrize(
    ("pattern", "subject"),
    [
        ("^(x+x+)+y$", "x" * 8000),
        ("^(a|a)*b$", "a" * 8000),
        ("^((a*)*)*b", "a" * 8000),
        ("(.*a){5}b", "a" * 8000),
        ("(a|b)*a[ab]{250}c$", SPREAD),
        ("^(?=.*x)(?=.*y)z", ABS),
    ],
)
def test_what_is_catastrophic_elsewhere_is_not_here(
    world: World, pattern: str, subject: str
) -> None:
    definition = register(world, {"properties": {"a": {"pattern": pattern}}})
    tenant_id = world.new_tenant()
    with world.svc.within(tenant_id):
        call = timed(lambda: world.svc.create_instance(definition, "n", {"a": subject}))
    assert call == "IN203"


def test_a_schema_runs_no_code(world: World) -> None:
    """Whatever stands in it is data: names, values, patterns and pointers go into no statement."""
    evil = "'); drop table integrations.integration_instances; --"
    names = [evil, '"; select 1', "{a,b}", "NULL", "a,b", '\\"', "%s", "$1", "{}", "a/b", "~0"]
    schema = {
        "properties": {name: {"const": name, "title": name} for name in names},
        "required": names,
        "additionalProperties": False,
        "dependentRequired": {evil: [evil]},
        "patternProperties": {"^'\\); drop": {"type": "string"}},
        "$comment": evil,
        evil: evil,
    }
    definition = register(world, schema)
    document = {name: name for name in names}
    tenant_id = world.new_tenant()
    with world.svc.within(tenant_id):
        world.svc.create_instance(definition, "n", document)
    for name in names:
        for wrong in ({**document, name: "other"}, {**document, name + "x": 1},
                      {key: value for key, value in document.items() if key != name}):  # fmt: skip
            with world.refused("IN203"), world.svc.within(tenant_id):
                world.svc.create_instance(definition, "m", wrong)


def test_the_path_of_the_session_does_not_matter(world: World) -> None:
    """Neither functions nor operators of a schema that somebody else made are called."""
    world.admin.run("create temp table makes_the_schema ()")
    world.admin.conn.execute(
        b"""
        create function pg_temp.yes(jsonb, jsonb) returns boolean language sql return true;
        create function pg_temp.no(jsonb, text) returns boolean language sql return false;
        create operator pg_temp.= (leftarg = jsonb, rightarg = jsonb, function = pg_temp.yes);
        create operator pg_temp.<> (leftarg = jsonb, rightarg = jsonb, function = pg_temp.yes);
        create operator pg_temp.? (leftarg = jsonb, rightarg = text, function = pg_temp.no);
        create function pg_temp.jsonb_typeof(jsonb) returns text language sql return 'object';
        create function pg_temp.jsonb_array_length(jsonb) returns integer language sql return 0;
        set search_path = pg_temp, pg_catalog;
        """
    )
    definition = register(world, {"required": ["a"], "properties": {"a": {"const": 1}}})
    tenant_id = world.new_tenant()
    for wrong in ({}, {"a": 2}):
        with world.refused("IN203"), world.svc.within(tenant_id):
            world.svc.create_instance(definition, "n", wrong)
    with world.refused("IN105"):
        register(world, {"minLength": -1})


def test_nobody_writes_rules(world: World) -> None:
    for role in ("svc_integration", "integrations_tenant", "integrations_admin"):
        for statement in (
            "select * from integrations_private.compiled_schemas",
            "delete from integrations_private.compiled_schemas",
            "update integrations_private.compiled_schemas set schema = '{}'",
            "insert into integrations_private.compiled_schemas select from pg_class",
            "select integrations_private.compile_schema('{}', 'x')",
        ):
            with world.refused("42501"):
                world.client(role).run(statement)
