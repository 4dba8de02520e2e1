"""Calls the inner functions that check documents, with schemas of a test."""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import NamedTuple

from .world import World

__all__ = ["Violation", "compiled", "violations"]


class Violation(NamedTuple):
    """What a document violates, as evaluate_schema tells it."""

    pointer: str
    keyword: str
    missing: str | None


def compiled(world: World, schema: object) -> str:
    """Compiles a schema.

    Raises:
        psycopg.Error: IN105, it is invalid or not supported.
    """
    rules: str = world.superuser.value(
        "select integrations_private.compile_schema(%s::jsonb, 'config_schema')::text",
        json.dumps(schema),
    )
    return rules


def violations(world: World, schema: object, documents: Iterable[object]) -> list[Violation | None]:
    """Checks documents with a schema, each on its own.

    Raises:
        psycopg.Error: IN105, the schema is refused; 54000, a document is beyond a limit.
    """
    rows = world.superuser.rows(
        "select e.pointer, e.keyword, e.missing"
        "  from (select %s::jsonb as rules) as r"
        "       cross join unnest(%s::jsonb[]) with ordinality as d (document, n)"
        "       cross join integrations_private.evaluate_schema("
        "                    r.rules, 0, d.document, 0, 100000) as e"
        " order by d.n",
        compiled(world, schema),
        [json.dumps(document) for document in documents],
    )
    return [Violation(*row) if row[1] is not None else None for row in rows]
