"""Finds the fields of a form that an error of IN203 or IN204 is about, and what to say there."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

TEXTS = {
    "required": "is missing",
    "dependentRequired": "is missing",
    "additionalProperties": "does not belong here",
    "properties": "does not belong here",
    "type": "must be of type {}",
    "const": "must be {}",
    "enum": "must be one of {}",
    "minLength": "is too short: {} characters at least",
    "maxLength": "is too long: {} characters at most",
    "minimum": "must be {} or more",
    "maximum": "must be {} or less",
    "minItems": "has too few entries: {} at least",
    "maxItems": "has too many entries: {} at most",
    "uniqueItems": "has an entry twice",
}
STRING = r'"(?:[^"\\]|\\.)*"'
DETAIL = re.compile(rf"Pointer ({STRING}), keyword ({STRING})(?:: ({STRING}) is missing)?\.")


def locate(detail: str) -> tuple[str, str, str | None] | None:
    """Returns the JSON pointer, the keyword and the missing member that a DETAIL names."""
    found = DETAIL.fullmatch(detail)
    if not found:
        return None
    pointer, keyword, missing = (part and json.loads(part) for part in found.groups())
    return pointer, keyword, missing


def form_errors(detail: str, schema: dict[str, Any], document: Any) -> dict[str, str]:
    """Returns what to show beside which field, by the field's JSON pointer.

    Args:
        detail: the DETAIL of an error of IN203 or IN204.
        schema: config_schema for IN203, credentials_schema for IN204.
        document: what was sent. No value of it gets into a text; names that do not belong do.
    """
    place = locate(detail)
    if not place:
        return {"": "This could not be checked: there is too much in it."}
    pointer, keyword, missing = place
    rules, label = [*about_the_same(schema)], "This"
    for token in pointer.split("/")[1:]:
        name = token.replace("~1", "/").replace("~0", "~")
        rules = [*of_member(rules, name)]
        if isinstance(document, list):
            document, label = document[int(name)], f"{label}, entry {int(name) + 1},"
        else:
            document, label = document[name], title(rules, name)

    fields = [missing] if missing is not None else []
    if keyword == "additionalProperties":  # the database does not repeat what it does not know
        [closed, *_] = [rule for rule in rules if keyword in rule] or [{}]
        known = closed.get("patternProperties", {})
        fields = [
            name
            for name in document
            if name not in closed.get("properties", {})
            and not any(re.search(pattern, name) for pattern in known)
        ]
    if not fields:
        return {pointer: f"{label} {reason(rules, keyword)}."}
    return {
        f"{pointer}/{name.replace('~', '~0').replace('/', '~1')}": (
            f"{title(of_member(rules, name), name)} {TEXTS[keyword]}."
        )
        for name in fields
    }


def about_the_same(schema: Any) -> Iterator[dict[str, Any]]:
    """Gives a schema, and those within it that are about the same value."""
    if isinstance(schema, dict):
        yield schema
        for inner in (*schema.get("allOf", []), schema.get("then"), schema.get("else")):
            yield from about_the_same(inner)


def of_member(rules: list[dict[str, Any]], name: str) -> Iterator[dict[str, Any]]:
    """Gives the schemas for a member of an object, or for an entry of an array."""
    for rule in rules:
        yield from about_the_same(rule.get("properties", {}).get(name, rule.get("items")))


def title(rules: Iterable[dict[str, Any]], name: str) -> str:
    """Gives the label of a field."""
    return next((str(rule["title"]) for rule in rules if "title" in rule), name)


def reason(rules: list[dict[str, Any]], keyword: str) -> str:
    """Says what a keyword asks for; of a pattern, what the field's description says."""
    if keyword == "pattern":
        hint = next((rule["description"] for rule in rules if "description" in rule), "")
        return f"has not the right form. {hint}".rstrip(". ")
    text = TEXTS.get(keyword, "is not right")
    asked = next((rule[keyword] for rule in rules if keyword in rule), None)
    if asked is None:  # of an inner part that has no field of its own
        return "is not right" if "{}" in text else text
    return text.format(", ".join(map(str, asked)) if isinstance(asked, list) else asked)
