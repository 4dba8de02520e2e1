"""The official test suite of JSON Schema: each group is answered right, or refused for a reason."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import psycopg
import pytest

from .validator import violations
from .world import World

SUITE = Path(__file__).parents[1] / "json_schema_test_suite" / "draft2020-12"
FILES = sorted(path.relative_to(SUITE).as_posix() for path in SUITE.rglob("*.json"))

# Of keywords, or of forms of references, that are refused: every group of these.
REFUSED_FILES = {
    "anchor.json": "$anchor",
    "dynamicRef.json": "$dynamicRef and $dynamicAnchor",
    "refRemote.json": "references to other documents",
    "unevaluatedItems.json": "unevaluatedItems",
    "unevaluatedProperties.json": "unevaluatedProperties",
    "vocabulary.json": "dialects of others",
    "optional/dependencies-compatibility.json": "dependencies, of earlier drafts",
}

NUL = "jsonb cannot hold U+0000"
REMOTE = "a reference to another document"
ID = "a reference by $id, or an $id below the root"
PROPERTY = "Unicode properties are not in PostgreSQL's engine of patterns"
UNEVALUATED = "unevaluatedProperties"

REFUSED_GROUPS = {
    ("const.json", "nul characters in strings"): NUL,
    ("enum.json", "nul characters in strings"): NUL,
    ("defs.json", "validate definition against metaschema"): REMOTE,
    ("not.json", "collect annotations inside a 'not', even if collection is disabled"): UNEVALUATED,
    ("ref.json", "remote ref, containing refs itself"): REMOTE,
    ("ref.json", "ref creates new scope when adjacent to keywords"): UNEVALUATED,
    ("ref.json", "Recursive references between schemas"): ID,
    ("ref.json", "refs with relative uris and defs"): ID,
    ("ref.json", "relative refs with absolute uris and defs"): ID,
    ("ref.json", "$id must be resolved against nearest parent, not just immediate parent"): ID,
    ("ref.json", "order of evaluation: $id and $ref"): ID,
    ("ref.json", "order of evaluation: $id and $anchor and $ref"): ID,
    ("ref.json", "simple URN base URI with $ref via the URN"): ID,
    ("ref.json", "URN base URI with URN and JSON pointer ref"): ID,
    ("ref.json", "URN base URI with URN and anchor ref"): ID,
    ("ref.json", "URN ref with nested pointer ref"): ID,
    ("ref.json", "ref to if"): ID,
    ("ref.json", "ref to then"): ID,
    ("ref.json", "ref to else"): ID,
    ("ref.json", "ref with absolute-path-reference"): ID,
    ("optional/id.json", "$id inside an enum is not a real identifier"): ID,
    ("optional/unknownKeyword.json", "$id inside an unknown keyword is not a real identifier"): ID,
    (
        "optional/ecmascript-regex.json",
        "patterns always use unicode semantics with pattern",
    ): PROPERTY,
    (
        "optional/ecmascript-regex.json",
        "patterns always use unicode semantics with patternProperties",
    ): PROPERTY,
    ("optional/ecmascript-regex.json", "pattern with non-ASCII digits"): PROPERTY,
    ("optional/ecmascript-regex.json", "patternProperties with non-ASCII digits"): PROPERTY,
}


def groups_of(file: str) -> list[dict[str, Any]]:
    """Reads a file of the suite."""
    groups: list[dict[str, Any]] = json.loads((SUITE / file).read_text())
    return groups


def test_the_list_of_what_is_refused_is_about_the_suite() -> None:
    groups = {(file, group["description"]) for file in FILES for group in groups_of(file)}
    assert set(REFUSED_FILES) <= set(FILES)
    assert set(REFUSED_GROUPS) <= groups
    assert not {file for file, _ in REFUSED_GROUPS} & set(REFUSED_FILES)
    assert len(groups) > 350


@pytest.mark.parametrize("file", FILES)
def test_suite(world: World, file: str) -> None:
    for group in groups_of(file):
        name = group["description"]
        if file in REFUSED_FILES or (file, name) in REFUSED_GROUPS:
            # U+0000 does not even become jsonb.
            nul = REFUSED_GROUPS.get((file, name)) == NUL
            with world.refused("22P05" if nul else "IN105"):
                violations(world, group["schema"], [])
            continue
        tests = group["tests"]
        try:
            found = violations(world, group["schema"], [test["data"] for test in tests])
        except psycopg.Error as error:
            pytest.fail(f"{name}: {error} {error.diag.message_detail}", pytrace=False)
        wrong = [
            (test["description"], violation)
            for test, violation in zip(tests, found, strict=True)
            if test["valid"] != (violation is None)
        ]
        assert not wrong, name
