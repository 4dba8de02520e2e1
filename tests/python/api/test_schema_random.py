"""Random schemas and documents: this validator and the package jsonschema agree on each pair."""

from __future__ import annotations

import json
import re
from typing import Any

import psycopg
import pytest
from hypothesis import HealthCheck, assume, example, given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError

from size import size

from .validator import Violation, compiled, violations
from .world import World

EFFORT = settings(
    max_examples=size(60, 400),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)

# Few names and values, so that schemas and documents meet.
NAMES = st.sampled_from(["a", "b", "ab", "c/d", "~", ""])
STRINGS = st.sampled_from(["", "a", "b", "ab", "aab", "1", "é", "😀", "a b", "c/d"])
# Halves are exact in binary, too: jsonschema computes with floats.
NUMBERS = st.sampled_from([-1, 0, 1, 1.0, 1.5, 2, 2.0, 3, -0.5, 10**20, 6])
SCALARS = st.one_of(st.none(), st.booleans(), NUMBERS, STRINGS)
DOCUMENTS = st.recursive(
    SCALARS,
    lambda inner: st.one_of(st.lists(inner, max_size=4), st.dictionaries(NAMES, inner, max_size=4)),
    max_leaves=8,
)
# They mean the same in Python, in ECMA and in PostgreSQL.
PATTERNS = st.sampled_from(["a", "^a", "b$", "^(a|b)*$", "[^a]", "^.$", "^[0-9]+$", "a{2,}", ""])
TYPES = st.sampled_from(["array", "boolean", "integer", "null", "number", "object", "string"])
COUNTS = st.sampled_from([0, 1, 2, 3, 2.0])
REFERENCES = st.sampled_from(["#/$defs/x", "#/$defs/y", "#/$defs/c~1d", "#/%24defs/x"])


def keywords(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """Gives schemas with keywords whose schemas are drawn from another strategy."""
    several = st.lists(inner, min_size=1, max_size=3)
    named = st.dictionaries(NAMES, inner, max_size=3)
    names = st.lists(NAMES, unique=True, max_size=3)
    values: dict[str, st.SearchStrategy[Any]] = {
        "type": st.one_of(TYPES, st.lists(TYPES, min_size=1, max_size=3, unique=True)),
        "enum": st.lists(DOCUMENTS, max_size=4),
        "const": DOCUMENTS,
        "multipleOf": st.sampled_from([1, 2, 0.5, 1.5, 3]),
        **dict.fromkeys(["minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"], NUMBERS),
        **dict.fromkeys(
            ["minLength", "maxLength", "minItems", "maxItems", "minContains", "maxContains"],
            COUNTS,
        ),
        **dict.fromkeys(["minProperties", "maxProperties"], COUNTS),
        "pattern": PATTERNS,
        "uniqueItems": st.booleans(),
        "required": names,
        "dependentRequired": st.dictionaries(NAMES, names, max_size=2),
        "patternProperties": st.dictionaries(PATTERNS, inner, max_size=2),
        **dict.fromkeys(["properties", "dependentSchemas"], named),
        **dict.fromkeys(["allOf", "anyOf", "oneOf", "prefixItems"], several),
        **dict.fromkeys(["not", "if", "then", "else", "items", "contains"], inner),
        **dict.fromkeys(["additionalProperties", "propertyNames"], inner),
        "$ref": REFERENCES,
        "format": st.just("email"),
        "x-unknown": DOCUMENTS,
    }
    return st.lists(st.sampled_from(sorted(values)), max_size=4, unique=True).flatmap(
        lambda chosen: st.fixed_dictionaries({name: values[name] for name in chosen})
    )


SCHEMAS = st.recursive(st.one_of(st.booleans(), keywords(st.booleans())), keywords, max_leaves=6)
ROOTS = st.builds(
    lambda schema, x, y, z: {
        **(schema if isinstance(schema, dict) else {"allOf": [schema]}),
        "$defs": {"x": x, "y": y, "c/d": z},
    },
    SCHEMAS, SCHEMAS, SCHEMAS, SCHEMAS,
)  # fmt: skip


def exact(value: object) -> object:
    """Sends a value through JSON, as the database gets it."""
    return json.loads(json.dumps(value))


@EFFORT
@given(schema=ROOTS, documents=st.lists(DOCUMENTS, min_size=1, max_size=6))
@example(schema={"enum": [[1, {"a": 2}]]}, documents=[[1.0, {"a": 2.0}], [1, {"a": True}]])
@example(schema={"uniqueItems": True}, documents=[[1, True], [0, False], [[1], [1.0]], ["1", 1]])
@example(schema={"multipleOf": 0.5}, documents=[10**300, 1e300, 0.25])
@example(schema={"dependentRequired": {}, "required": []}, documents=[{"a": 1}, []])
@example(
    schema={"properties": {}, "patternProperties": {}, "dependentSchemas": {}, "$defs": {}},
    documents=[{"a": 1}, []],
)
def test_schemas(world: World, schema: Any, documents: list[object]) -> None:
    Draft202012Validator.check_schema(schema)
    validator = Draft202012Validator(schema)
    try:
        found = violations(world, schema, documents)
    except psycopg.Error as error:
        assert error.sqlstate == "IN105"
        assert "refers to itself" in (error.diag.message_detail or "")
        # jsonschema finds that out with the first document that goes around.
        return
    for document, violation in zip(documents, found, strict=True):
        document_ = exact(document)
        assert (violation is None) == validator.is_valid(document_), (schema, document, violation)
        if violation:
            told_at_its_place(schema, document_, violation)


def told_at_its_place(schema: Any, document: Any, violation: Violation) -> None:
    """The pointer leads somewhere, and to where jsonschema finds something, too."""
    errors = list(Draft202012Validator(schema).iter_errors(document))
    places = {pointer_of(list(error.absolute_path)) for error in descend(errors)}
    # Below a name that only the document has, the pointer stays where it is; what meets a schema
    # that is false, jsonschema tells a level higher.
    higher = violation.pointer.rpartition("/")[0]
    assert any(place.startswith(violation.pointer) or place == higher for place in places)
    for token in violation.pointer.split("/")[1:]:
        token = token.replace("~1", "/").replace("~0", "~")
        document = document[int(token) if isinstance(document, list) else token]


def descend(errors: list[Any]) -> list[Any]:
    """Gives errors with those within them."""
    return [inner for error in errors for inner in (error, *descend(error.context))]


def pointer_of(path: list[object]) -> str:
    """Writes a path as a JSON pointer."""
    return "".join("/" + str(step).replace("~", "~0").replace("/", "~1") for step in path)


MALFORMED = st.recursive(
    st.one_of(DOCUMENTS, st.just({"$schema": "http://json-schema.org/draft-07/schema#"})),
    lambda inner: st.dictionaries(
        st.sampled_from(
            ["type", "enum", "required", "properties", "items", "allOf", "minLength", "multipleOf",
             "dependentRequired", "uniqueItems", "not", "title", "deprecated", "$defs", "minimum",
             "prefixItems", "patternProperties", "if", "examples", "contentSchema", "$comment"]
        ),
        inner, min_size=1, max_size=3,
    ),
    max_leaves=6,
)  # fmt: skip


@EFFORT
@given(schema=MALFORMED)
@example(schema={"type": ["string", "string"]})
@example(schema={"minLength": 1.5})
@example(schema={"properties": {"type": 1}})
def test_what_is_a_schema(world: World, schema: Any) -> None:
    try:
        Draft202012Validator.check_schema(schema)
        valid = not isinstance(schema, dict) or "$schema" not in schema
    except SchemaError:
        valid = False
    except RecursionError:
        assume(False)
    if valid:
        try:
            compiled(world, schema)
        except psycopg.Error as error:
            # jsonschema does not look at patterns, nor at a dialect below the root.
            detail = error.diag.message_detail or ""
            assert error.sqlstate == "IN105" and re.search(r"attern|\$schema", detail), detail
    else:
        with world.refused("IN105"):
            compiled(world, schema)


ATOMS = st.sampled_from(
    ["a", "b", "A", "1", "_", "-", "é", "😀", ".", r"\d", r"\D", r"\w", r"\W", r"\s", r"\S", r"\.",
     r"\-", r"\/", r"\n", r"\x61", r"\u0062", r"\t", " ", ",", "[ab]", "[^ab]", "[a-c1-3]", "[^z]",
     r"[\d_]", r"[\w.]", r"[^\s]", r"[\S ]", r"[\D]", r"[\W]", "[-a]", "[a-]", "[.]", r"[\]a]",
     r"[\^a]", "[(]", r"[a\-c]", r"[\n\t]", r"\b", r"\B", "^", "$"]
)  # fmt: skip
QUANTIFIERS = st.sampled_from(["", "", "", "", "*", "+", "?", "{2}", "{1,2}", "{2,}", "*?", "+?"])
MANY = st.builds(
    lambda atom, quantifier: atom + ("" if atom in ("^", "$", r"\b", r"\B") else quantifier),
    ATOMS, QUANTIFIERS,
)  # fmt: skip
EXPRESSIONS = st.recursive(
    st.lists(MANY, max_size=4).map("".join),
    lambda inner: st.builds(
        lambda before, kind, group, other, quantifier, after: (
            f"{before}({kind}{group}|{other}){quantifier}{after}"
        ),
        inner, st.sampled_from(["", "?:"]), inner, inner, QUANTIFIERS, inner,
    ),
    max_leaves=5,
)  # fmt: skip
HEADS = st.sampled_from(["", "", "", "^", "^(?=.*1)", "^(?!a)(?=.{2})"])
SUBJECTS = st.text(st.sampled_from("aabbcA1_- .\néx😀,"), max_size=8)


def in_python(pattern: str) -> re.Pattern[str]:
    r"""Writes an expression of ECMA for Python, where $ also stands before a last line break."""
    return re.compile(re.sub(r"(?<!\\)((?:\\\\)*)\$", r"\1\\Z", pattern), re.ASCII)


@EFFORT
@given(head=HEADS, pattern=EXPRESSIONS, subjects=st.lists(SUBJECTS, min_size=1, max_size=8))
@example(head="", pattern=r"^[^a]$", subjects=["\n", "é"])
@example(head="", pattern=r"a$", subjects=["a\n", "a"])
@example(head="", pattern=r"\bé", subjects=["é", "aé"])
def test_patterns(world: World, head: str, pattern: str, subjects: list[str]) -> None:
    # Until 3.14, Python finds no \B in an empty string.
    assume("\\B" not in pattern or "" not in subjects)
    expected = [in_python(head + pattern).search(subject) is not None for subject in subjects]
    found = violations(world, {"pattern": head + pattern}, subjects)
    assert [violation is None for violation in found] == expected


SPACES = set("\t\n\v\f\r \u00a0\u1680\u2000\u200a\u2028\u2029\u202f\u205f\u3000\ufeff")
OTHERS = set("\u180e\u200b\u2060\u0660\u0661😀😁😂😃")
CHARACTERS = {*map(chr, range(1, 256))} | SPACES | OTHERS
WORD = set("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ_abcdefghijklmnopqrstuvwxyz")


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        (r"^\s$", SPACES),
        (r"^[\s]$", SPACES),
        (r"^[^\S]$", SPACES),
        (r"^\S$", CHARACTERS - SPACES),
        (r"^[\S]$", CHARACTERS - SPACES),
        (r"^[\s\S]$", CHARACTERS),
        ("^[^.]$", CHARACTERS - {"."}),
        ("^.$", CHARACTERS - set("\n\r\u2028\u2029")),
        (r"^\d$", set("0123456789")),
        (r"^\D$", CHARACTERS - set("0123456789")),
        (r"^\w$", WORD),
        (r"^[\W]$", CHARACTERS - WORD),
        (r"^[\x01-\x1f]$", {*map(chr, range(1, 32))}),
        (r"^[\u{1F600}-\u{1F602}]$", set("😀😁😂")),
        (r"^[\ud83d\ude00-\ud83d\ude02]$", set("😀😁😂")),
    ],
)
def test_sets_of_characters_are_those_of_ecma(
    world: World, pattern: str, expected: set[str]
) -> None:
    found = violations(world, {"pattern": pattern}, sorted(CHARACTERS))
    matched = {
        character
        for character, violation in zip(sorted(CHARACTERS), found, strict=True)
        if violation is None
    }
    assert matched == expected
