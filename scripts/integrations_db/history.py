"""What happened in a database: the events of Sqitch's registry, of every project in it.

Events have looked the same since the first version of the registry, so an old one is read, too.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Literal, get_args

from psycopg import sql

from integrations_db.registry import Connection, named
from integrations_db.strangers import refuse

__all__ = ["KINDS", "Event", "Kind", "history"]

Kind = Literal["deploy", "revert", "fail", "merge"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True, slots=True)
class Event:
    """Something that happened to a change.

    Attributes:
        event: ``deploy``, ``revert``, ``fail`` (of a deployment) or ``merge``.
        project: the project of the change.
        change: its name.
        change_id: its ID.
        note: of the plan.
        requires: what it requires, as the plan names it.
        conflicts: what it conflicts with.
        tags: its tags at that time, with their ``@``.
        committed_at: when it happened.
        committer: ``NAME <EMAIL>`` of who did it.
        planned_at: when the change was planned.
        planner: ``NAME <EMAIL>`` of who planned it.
    """

    event: str
    project: str
    change: str
    change_id: str
    note: str
    requires: tuple[str, ...]
    conflicts: tuple[str, ...]
    tags: tuple[str, ...]
    committed_at: datetime
    committer: str
    planned_at: datetime
    planner: str


def history(
    conn: Connection,
    registry: str,
    *,
    project: str | None = None,
    kinds: Sequence[str] = (),
    max_count: int | None = None,
    oldest_first: bool = False,
) -> list[Event] | None:
    """Reads the events of a registry; takes no lock and changes nothing.

    Args:
        conn: the database.
        registry: the schema of the registry.
        project: only events of this project; None: of all.
        kinds: only these kinds of events; none: all.
        max_count: at most so many; None: all.
        oldest_first: the oldest come first, and are the ones that ``max_count`` keeps; else the
            newest.

    Returns:
        The events, or None when the database has no registry.

    Raises:
        Failure: a stranger has put something there.
        psycopg.Error: the registry cannot be read.
    """
    events = sql.Identifier(registry, "events").as_string(conn)
    found = conn.execute("select pg_catalog.to_regclass(%s) is not null", (events,)).fetchone()
    if not found or not found[0]:
        return None
    refuse(conn, registry, ["events"])
    rows = conn.execute(
        sql.SQL(
            "select event, project, change, change_id, note, requires, conflicts, tags,"
            "       committed_at, committer_name || ' <' || committer_email || '>',"
            "       planned_at, planner_name || ' <' || planner_email || '>'"
            "  from {events}"
            " where (%(project)s::text is null or project = %(project)s)"
            "   and (%(kinds)s::text[] = '{{}}' or event = any (%(kinds)s))"
            " order by committed_at {order} limit %(count)s"
        ).format(
            events=named(registry, "events"), order=sql.SQL("asc" if oldest_first else "desc")
        ),
        {"project": project, "kinds": list(kinds), "count": max_count},
        binary=True,  # as text the form of a time is that of the DateStyle, which is anything
    )
    return [Event(*row[:5], *map(tuple, row[5:8]), *row[8:]) for row in rows]
