"""The registry of Sqitch, version 1.1: what is deployed, since when, by whom.

Every statement names the schema, because scripts change the search path. Rows are those that Sqitch
1.3 writes (``App::Sqitch::Role::DBIEngine``, ``Engine::pg``): Sqitch orders everything by
``committed_at``, so those of changes are strictly increasing, and no tag is older than its change.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from pathlib import Path
from textwrap import dedent
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from integrations_db.config import Committer
from integrations_db.errors import Failure, Locked
from integrations_db.plan import Change, Plan, Tag
from integrations_db.strangers import refuse

__all__ = [
    "LOCK_KEY",
    "LOCK_LOST",
    "NAMES",
    "TABLES",
    "VERSION",
    "Connection",
    "Deployed",
    "change_id_for",
    "change_id_query",
    "create",
    "creation",
    "deployed_changes",
    "deployment",
    "flush",
    "holder",
    "insert_event",
    "insert_tags",
    "keep_lock",
    "literal",
    "lock",
    "lock_changes",
    "named",
    "recorded_at",
    "register_project",
    "registration",
    "release",
    "release_others",
    "requiring",
    "requiring_query",
    "reversion",
    "tagging",
    "try_lock",
    "update_hashes",
    "upgrade",
    "version",
]


Connection = psycopg.Connection[tuple[Any, ...]]

LOCK_KEY = 75474063  # Sqitch's own, so that the two tools exclude each other
VERSION = "1.1"
LOCK_LOST = "the deployment lock is lost"
# The column by which ``deployment`` tells when; a script's own results have none of this name.
RECORDED_AT = "integrations_db_recorded_at"
# What the names of a psql script's own variables begin with.
NAMES = "integrations_db_"
_ESCAPES = {"\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t", "$": "\\x24"}
_SQL = Path(__file__).with_name("registry.sql")
# The columns by which the tables of a registry are known; those of 0.x have no more.
_TABLES = {
    "projects": {"project", "uri", "created_at", "creator_name", "creator_email"},
    "changes": {"change_id", "change", "project", "note", "committed_at", "planned_at"},
    "tags": {"tag_id", "tag", "project", "change_id", "note", "committed_at", "planned_at"},
    "dependencies": {"change_id", "type", "dependency", "dependency_id"},
    "events": {"event", "change_id", "change", "project", "requires", "conflicts", "tags"},
}
TABLES = (*_TABLES, "releases")
# From Sqitch (lib/App/Sqitch/Engine/Upgrade/pg-*.sql); see registry.sql for its licence.
_UPGRADES: dict[str, LiteralString] = {
    "1.0": """
        CREATE TABLE {r}.releases (
            version         REAL        PRIMARY KEY,
            installed_at    TIMESTAMPTZ NOT NULL DEFAULT clock_timestamp(),
            installer_name  TEXT        NOT NULL,
            installer_email TEXT        NOT NULL
        );
        COMMENT ON TABLE  {r}.releases IS 'Sqitch registry releases.';
        COMMENT ON COLUMN {r}.releases.version IS 'Version of the Sqitch registry.';
        COMMENT ON COLUMN {r}.releases.installed_at
            IS 'Date the registry release was installed.';
        COMMENT ON COLUMN {r}.releases.installer_name
            IS 'Name of the user who installed the registry release.';
        COMMENT ON COLUMN {r}.releases.installer_email
            IS 'Email address of the user who installed the registry release.';
        ALTER TABLE {r}.changes ADD COLUMN script_hash TEXT NULL UNIQUE;
        UPDATE {r}.changes SET script_hash = change_id;
        COMMENT ON COLUMN {r}.changes.script_hash IS 'Deploy script SHA-1 hash.';
        ALTER TABLE {r}.events DROP CONSTRAINT events_event_check;
        ALTER TABLE {r}.events ADD  CONSTRAINT events_event_check
              CHECK (event IN ('deploy', 'revert', 'fail', 'merge'));
        COMMENT ON SCHEMA {r} IS 'Sqitch database deployment metadata v1.0.';
        """,
    "1.1": """
        ALTER TABLE {r}.changes DROP CONSTRAINT changes_script_hash_key;
        ALTER TABLE {r}.changes ADD UNIQUE (project, script_hash);
        COMMENT ON SCHEMA {r} IS 'Sqitch database deployment metadata v1.1.';
        """,
}


@dataclass(frozen=True, slots=True)
class Deployed:
    """A change that the registry says is deployed."""

    id: str
    name: str
    script_hash: str | None
    committed_at: datetime
    committer: str
    tags: tuple[str, ...]  # their IDs


def named(registry: str, *table: str) -> sql.Identifier:
    """Returns the schema, or a table of it, for a query with values: there ``%`` is psycopg's."""
    return sql.Identifier(registry.replace("%", "%%"), *table)


def _query(text: LiteralString, registry: str) -> sql.Composed:
    """Puts the schema in the place of ``{r}``; to be executed with values, if only with none."""
    return sql.SQL(text).format(r=named(registry))


def version(conn: Connection, registry: str) -> str | None:
    """Returns the version of the registry: None when there is none, "0" before Sqitch 0.999.

    Raises:
        Failure: it is newer than what this tool writes, or the schema holds something else, or
            something of a stranger.
    """
    found: dict[str, set[str]] = {}
    for table, column in conn.execute(
        "select c.relname::text, a.attname::text from pg_catalog.pg_class as c"
        "  join pg_catalog.pg_attribute as a on a.attrelid = c.oid and a.attnum > 0"
        " where c.relnamespace = pg_catalog.to_regnamespace(pg_catalog.quote_ident(%s))"
        "   and c.relname = any (%s) and c.relkind in ('r', 'p', 'v', 'm', 'f')",
        (registry, list(TABLES)),
    ):
        found.setdefault(table, set()).add(column)
    if not found:
        return None
    if missing := [
        table for table, columns in _TABLES.items() if columns - found.get(table, set())
    ]:
        raise Failure(
            f"schema {registry} holds {', '.join(sorted(found))}, but it is no registry of Sqitch: "
            f"{', '.join(missing)} of it {'is' if len(missing) == 1 else 'are'} missing or another "
            "table. Nothing was touched; name another schema in sqitch.conf (engine.pg.registry), "
            "or restore the registry from a backup."
        )
    refuse(conn, registry, TABLES)
    if "releases" not in found:
        return "0"
    # As text a real has as many digits as extra_float_digits says: 1.1 may become 1.
    text: LiteralString = "select pg_catalog.max(version)::numeric::text from {r}.releases"
    row = conn.execute(_query(text, registry), ()).fetchone()
    number = f"{float(row[0]):.1f}" if row and row[0] else "0"
    if float(number) > float(VERSION):
        raise Failure(
            f"the registry (schema {registry}) is of version {number}, and this tool knows "
            f"{VERSION}: a newer tool made it. Nothing was touched; upgrade integrations-db."
        )
    return number


def create(conn: Connection, registry: str, who: Committer) -> None:
    """Creates the registry in the current transaction."""
    schema, rest = creation(registry)
    name = sql.Identifier(registry).as_string(conn)
    row = conn.execute("select pg_catalog.to_regnamespace(%s)", (name,)).fetchone()
    # IF NOT EXISTS asks for the privilege all the same, and who has it may have made it for us.
    conn.execute((rest if row and row[0] else schema + rest).encode())
    conn.execute(release(conn, registry, VERSION, who).encode())


def creation(registry: str) -> tuple[str, str]:
    """Returns the statement that creates the schema of the registry, and those for all in it."""
    text = _SQL.read_text(encoding="utf-8")
    first = "CREATE SCHEMA IF NOT EXISTS {registry};"
    name = sql.Identifier(registry)
    # format() takes the doubled braces of the defaults, so that each part is formatted.
    schema, rest = (
        sql.SQL(part).format(registry=name).as_string(None)
        for part in (first, text.replace(first, ""))
    )
    return schema, rest


def release(conn: Connection | None, registry: str, number: str, who: Committer | None) -> str:
    """Returns the statement that records the version that the registry has now."""
    text: LiteralString = """
        insert into {r}.releases (version, installer_name, installer_email)
        values (%(number)s::pg_catalog.float4, %(name)s, %(email)s)"""
    return _filled(conn, registry, text, {"number": number} | _who(who))


def upgrade(conn: Connection, registry: str, old: str, who: Committer) -> None:
    """Upgrades an older registry in the current transaction, as Sqitch does.

    Args:
        conn: inside a transaction.
        registry: the schema.
        old: its version.
        who: recorded as the installer.
    """
    for number, text in _UPGRADES.items():
        if float(number) > float(old):
            conn.execute(_query(text, registry), ())
            conn.execute(release(conn, registry, number, who).encode())


def update_hashes(
    conn: Connection, registry: str, project: str, hashes: Sequence[tuple[str, str | None]]
) -> None:
    """Puts script hashes in the place of the change IDs that an upgrade from 0.x left there.

    Sqitch takes those of today's scripts, and NULL for changes that are not planned any more.
    """
    text: LiteralString = (
        "update {r}.changes as c set script_hash ="
        "  (select h from unnest(%(ids)s::text[], %(hashes)s::text[]) as t (i, h)"
        "    where t.i = c.change_id)"
        " where c.project = %(project)s and c.script_hash = c.change_id"
    )
    conn.execute(
        _query(text, registry),
        {
            "ids": [change_id for change_id, _ in hashes],
            "hashes": [digest for _, digest in hashes],
            "project": project,
        },
    )


def register_project(conn: Connection, registry: str, plan: Plan, who: Committer) -> None:
    """Records the project, or makes sure that it is the one already recorded.

    Raises:
        Failure: the recorded URI differs, or belongs to another project.
    """
    row = conn.execute(
        _query("select uri from {r}.projects where project = %s", registry), (plan.project,)
    ).fetchone()
    if row:
        if row[0] != plan.uri:
            raise Failure(
                f"this database knows project {plan.project} with the URI {row[0] or '(none)'}, "
                f"the plan says {plan.uri or '(none)'}: it is another project, or %uri was edited"
            )
        return
    if plan.uri is not None:
        row = conn.execute(
            _query("select project from {r}.projects where uri = %s", registry), (plan.uri,)
        ).fetchone()
        if row:
            raise Failure(f"the URI {plan.uri} belongs to project {row[0]} in this database")
    conn.execute(registration(conn, registry, plan, who).encode())


def registration(conn: Connection | None, registry: str, plan: Plan, who: Committer | None) -> str:
    """Returns the statement that records the project."""
    text: LiteralString = """
        insert into {r}.projects (project, uri, creator_name, creator_email)
        values (%(project)s, %(uri)s, %(name)s, %(email)s)"""
    values = {"project": plan.project, "uri": plan.uri}
    return _filled(conn, registry, text, values | _who(who))


def deployed_changes(
    conn: Connection, registry: str, project: str, hashes: bool = True
) -> list[Deployed]:
    """Returns the deployed changes of a project, in the order of their deployment.

    Args:
        conn: the connection.
        registry: the schema.
        project: whose changes.
        hashes: whether the registry knows script hashes; those of 0.x do not.
    """
    text: LiteralString = (
        "select c.change_id, c.change, {digest}, c.committed_at,"
        "       c.committer_name || ' <' || c.committer_email || '>',"
        "       pg_catalog.array_agg(t.tag_id order by t.committed_at)"
        "         filter (where t.tag_id is not null)"
        "  from {r}.changes as c left join {r}.tags as t using (change_id)"
        " where c.project = %s group by c.change_id order by c.committed_at"
    )
    # After an upgrade from 0.x the ID of the change stands where its hash is not known.
    digest = sql.SQL("nullif(c.script_hash, c.change_id)" if hashes else "null")
    query = sql.SQL(text).format(r=named(registry), digest=digest)
    # Binary: as text their form is that of the DateStyle, which is anything.
    rows = conn.execute(query, (project,), binary=True)
    return [Deployed(r[0], r[1], r[2], r[3], r[4], tuple(r[5] or ())) for r in rows]


def change_id_for(
    conn: Connection, registry: str, project: str, change: str | None, tag: str | None
) -> str | None:
    """Returns the ID of a deployed change of any project by its name, or name and tag, or tag."""
    row = conn.execute(change_id_query(conn, registry, project, change, tag).encode()).fetchone()
    return row[0] if row else None


def change_id_query(
    conn: Connection | None, registry: str, project: str, change: str | None, tag: str | None
) -> str:
    """Returns the query for ``change_id_for``."""
    if change is None:
        text: LiteralString = (
            "select change_id from {r}.tags where project = %(project)s and tag = %(tag)s"
        )
    elif tag is None:
        text = (
            "select change_id from {r}.changes where project = %(project)s and change = %(change)s"
            " order by committed_at limit 1"
        )
    else:
        text = (
            "select c.change_id from {r}.changes as c"
            "  join {r}.tags as t on c.committed_at <= t.committed_at and c.project = t.project"
            " where c.project = %(project)s and c.change = %(change)s and t.tag = %(tag)s"
            " order by c.committed_at desc limit 1"
        )
    values = {"project": project, "change": change, "tag": f"@{tag}"}
    return _filled(conn, registry, text, values)


def recorded_at(conn: Connection, registry: str) -> int | None:
    """Returns when the latest change was recorded, in microseconds since 1970; None: there is none.

    For the first of a run: no index knows it, so that the whole table is read.
    """
    text: LiteralString = (
        "select (extract(epoch from pg_catalog.max(committed_at)) * 1000000)::int8 from {r}.changes"
    )
    row = conn.execute(_query(text, registry), ()).fetchone()
    return row[0] if row else None


def deployment(
    conn: Connection | None,
    registry: str,
    plan: Plan,
    change: Change,
    script_hash: str | None,
    requires: Sequence[tuple[str, str | sql.Composable]],
    who: Committer | None,
    after: int | None,
) -> str:
    """Returns the statements that record a deployed change with its dependencies, tags and event.

    Their values are in them, so that they can travel together with what must precede and follow
    them in the transaction of the change. The first returns what ``recorded_at`` would.

    Args:
        conn: the connection that they are for; None: for a script of psql, to be run wherever.
        registry: the schema.
        plan: the plan of the change.
        change: what was deployed.
        script_hash: of its deploy script.
        requires: name and ID of every required change; or a query that gives the ID.
        who: the committer; None: whom the variables of psql name.
        after: when the change before it was recorded: a clock that was set back must not put this
            one before it. A script of psql looks it up.
    """
    tags = change.tags
    conflicts = [dependency.name_in(plan.project) for dependency in change.conflicts]
    text: LiteralString = """
        insert into {r}.changes (change_id, script_hash, change, project, note, committer_name,
          committer_email, planned_at, planner_name, planner_email, committed_at)
        values (%(id)s, %(hash)s, %(change)s, %(project)s, %(note)s, %(name)s, %(email)s,
          %(planned_at)s, %(planner)s, %(planner_email)s, {now})"""
    if conn is not None:
        text += """
        returning (extract(epoch from committed_at) * 1000000)::int8 as {recorded_at}"""
    if requires or conflicts:
        text += """;
        insert into {r}.dependencies (change_id, type, dependency, dependency_id)
        select %(id)s, d.*
          from unnest(%(types)s::text[], %(dependencies)s::text[], %(dependency_ids)s::text[])
            as d"""
    if tags:
        text += """;
        insert into {r}.tags (tag_id, tag, project, change_id, note, committer_name,
          committer_email, planned_at, planner_name, planner_email, committed_at)
        select t.id, t.tag, %(project)s, %(id)s, t.note, %(name)s, %(email)s, t.planned_at,
          t.planner, t.email, {now}
          from unnest(%(tag_ids)s::text[], %(tags)s::text[], %(tag_notes)s::text[],
            %(tag_times)s::timestamptz[], %(tag_planners)s::text[], %(tag_emails)s::text[])
            as t (id, tag, note, planned_at, planner, email)"""
    text += """;
        insert into {r}.events (event, change_id, change, project, note, tags, requires, conflicts,
          committer_name, committer_email, planned_at, planner_name, planner_email, committed_at)
        values ('deploy', %(id)s, %(change)s, %(project)s, %(note)s, %(tags)s::text[],
          %(requires)s::text[], %(conflicts)s::text[], %(name)s, %(email)s, %(planned_at)s,
          %(planner)s, %(planner_email)s, {now})"""
    now: LiteralString = "pg_catalog.clock_timestamp()"
    if conn is None:
        now = (
            "greatest(pg_catalog.clock_timestamp(),"
            " (select pg_catalog.max(committed_at) + interval '1 microsecond' from {r}.changes))"
        )
    elif after is not None:
        now = (
            "greatest(pg_catalog.clock_timestamp(), timestamptz 'epoch'"
            " + (%(after)s + 1) * interval '1 microsecond')"
        )
    return _filled(
        conn,
        registry,
        text.replace("{now}", now).replace("{recorded_at}", RECORDED_AT),
        _change_values(plan, change, who)
        | {
            "hash": script_hash,
            "after": after,
            "types": ["require"] * len(requires) + ["conflict"] * len(conflicts),
            "dependencies": [name for name, _ in requires] + conflicts,
            "dependency_ids": [there for _, there in requires] + [None] * len(conflicts),
            "tag_ids": [tag.id for tag in tags],
            "tag_notes": [tag.note for tag in tags],
            "tag_times": [tag.planned_at for tag in tags],
            "tag_planners": [tag.planner_name for tag in tags],
            "tag_emails": [tag.planner_email for tag in tags],
        },
    )


def flush(conn: Connection) -> None:
    """Waits until the disk has all that was committed so far: there is one log.

    Only for the disk: who has given up waiting for a standby does not want to wait again. What it
    writes is of no table, and waits for no lock.
    """
    conn.execute(
        "begin; set local synchronous_commit = local;"
        " select pg_catalog.pg_logical_emit_message(true, 'integrations-db', ''); commit"
    )


def reversion(
    conn: Connection | None, registry: str, plan: Plan, change: Change, who: Committer | None
) -> str:
    """Returns the statement that records a reverted change: its rows go, an event stays.

    The event names the tags and dependencies that were recorded, not those of today's plan.
    """
    text: LiteralString = """
        with tag as (
          delete from {r}.tags where change_id = %(id)s returning tag
        ), change as (
          delete from {r}.changes where change_id = %(id)s
        )
        insert into {r}.events (event, change_id, change, project, note, tags, requires, conflicts,
          committer_name, committer_email, planned_at, planner_name, planner_email)
        select 'revert', %(id)s, %(change)s, %(project)s, %(note)s, array(select tag from tag),
          array(select dependency from {r}.dependencies
                 where change_id = %(id)s and type = 'require'),
          array(select dependency from {r}.dependencies
                 where change_id = %(id)s and type = 'conflict'),
          %(name)s, %(email)s, %(planned_at)s, %(planner)s, %(planner_email)s"""
    return _filled(conn, registry, text, _change_values(plan, change, who))


def _who(who: Committer | None) -> dict[str, Any]:
    """Returns the committer; None: whom the variables of psql name."""
    if who is None:
        return {name: sql.SQL(f":'{NAMES}{name}'") for name in ("name", "email")}
    return {"name": who.name, "email": who.email}


def _change_values(plan: Plan, change: Change, who: Committer | None) -> dict[str, Any]:
    """Returns the values that changes and events have in common."""
    return {
        "id": change.id,
        "change": change.name,
        "project": plan.project,
        "note": change.note,
        "tags": [f"@{tag.name}" for tag in change.tags],
        "requires": [dependency.name_in(plan.project) for dependency in change.requires],
        "conflicts": [dependency.name_in(plan.project) for dependency in change.conflicts],
        "planned_at": change.planned_at,
        "planner": change.planner_name,
        "planner_email": change.planner_email,
        **_who(who),
    }


@cache
def _template(text: LiteralString, registry: str) -> bytes:
    """Returns a statement with the schema in the place of ``{r}``, and places for values."""
    return _query(text, registry).as_bytes(None)


def _filled(
    conn: Connection | None, registry: str, text: LiteralString, values: dict[str, Any]
) -> str:
    """Returns statements with their values in them: quoted by libpq, or for a script of psql."""
    template = _template(text, registry)
    if conn is None:
        filled = template.decode() % {name: literal(value) for name, value in values.items()}
        return dedent(filled).strip()
    return psycopg.ClientCursor(conn).mogrify(template, values)


def literal(value: str | int | datetime | Sequence[Any] | sql.Composable | None) -> str:
    """Returns a value as SQL that stands in one line of a script and means the same everywhere.

    It holds no dollar sign, so that it may stand in any dollar-quoted string.
    """
    if value is None:
        return "null"
    if isinstance(value, sql.Composable):
        return value.as_string(None)
    if isinstance(value, int):
        return str(value)
    if isinstance(value, datetime):
        return f"'{value.isoformat(sep=' ')}'"
    if not isinstance(value, str):
        return f"array[{', '.join(map(literal, value))}]"
    text = value.replace("'", "''")
    if text.isprintable() and "\\" not in text and "$" not in text:
        return f"'{text}'"
    return f"E'{''.join(map(_escaped, text))}'"


def _escaped(char: str) -> str:
    """Returns a character as an E'' string has it."""
    if char in _ESCAPES:
        return _ESCAPES[char]
    if char.isprintable():
        return char
    return f"\\U{ord(char):08x}"


def insert_tags(
    conn: Connection,
    registry: str,
    plan: Plan,
    change: Change,
    tags: Sequence[Tag],
    who: Committer,
) -> None:
    """Records tags of a deployed change; also ones that were added to the plan later."""
    for tag in tags:
        conn.execute(tagging(conn, registry, plan, change, tag, who).encode())


def tagging(
    conn: Connection | None,
    registry: str,
    plan: Plan,
    change: Change,
    tag: Tag,
    who: Committer | None,
) -> str:
    """Returns the statement that records a tag of a deployed change.

    In a script of psql it does so only if the change is the latest and does not have it yet.
    """
    text: LiteralString = """
        insert into {r}.tags (tag_id, tag, project, change_id, note, committer_name,
          committer_email, planned_at, planner_name, planner_email, committed_at)
        select %(tag_id)s, %(tag)s, %(project)s, c.change_id, %(note)s, %(name)s, %(email)s,
          %(planned_at)s, %(planner)s, %(planner_email)s,
          greatest(pg_catalog.clock_timestamp(), c.committed_at)
          from {r}.changes as c
         where c.change_id = %(id)s"""
    if conn is None:
        text += """
           and not exists (select from {r}.tags as t where t.tag_id = %(tag_id)s)
           and not exists (select from {r}.changes as later
                            where later.project = c.project
                              and later.committed_at > c.committed_at)"""
    values = {
        "tag_id": tag.id,
        "tag": f"@{tag.name}",
        "project": plan.project,
        "note": tag.note,
        "planned_at": tag.planned_at,
        "planner": tag.planner_name,
        "planner_email": tag.planner_email,
        "id": change.id,
    }
    return _filled(conn, registry, text, values | _who(who))


def insert_event(
    conn: Connection, registry: str, event: str, plan: Plan, change: Change, who: Committer
) -> None:
    """Adds an event to the history that no change of state goes with: ``fail``."""
    conn.execute(
        _query(
            "insert into {r}.events (event, change_id, change, project, note, tags, requires,"
            "  conflicts, committer_name, committer_email, planned_at, planner_name,"
            "  planner_email)"
            " values (%(event)s, %(id)s, %(change)s, %(project)s, %(note)s, %(tags)s::text[],"
            "  %(requires)s::text[], %(conflicts)s::text[], %(name)s, %(email)s, %(planned_at)s,"
            "  %(planner)s, %(planner_email)s)",
            registry,
        ),
        _change_values(plan, change, who) | {"event": event},
    )


def requiring(conn: Connection, registry: str, change_ids: Sequence[str]) -> list[tuple[str, str]]:
    """Returns (required, requiring) names of deployed changes outside of ``change_ids``."""
    rows = conn.execute(requiring_query(conn, registry, change_ids).encode())
    return [(row[0], row[1]) for row in rows]


def requiring_query(conn: Connection | None, registry: str, change_ids: Sequence[str]) -> str:
    """Returns the query for ``requiring``."""
    text: LiteralString = """
        select d.dependency, c.project || ':' || c.change as requiring
          from {r}.dependencies as d join {r}.changes as c on c.change_id = d.change_id
         where d.dependency_id = any (%(ids)s::text[]) and c.change_id <> all (%(ids)s::text[])
         order by c.committed_at"""
    return _filled(conn, registry, text, {"ids": list(change_ids)})


def lock(conn: Connection, wait: float, waiting: Callable[[str], None]) -> None:
    """Takes the deployment lock of this database for the session; polls, never queues.

    A session that queues for an advisory lock holds a snapshot, and deadlocks with another one that
    builds an index concurrently under that lock.

    Args:
        conn: the connection that shall hold it.
        wait: seconds to wait at most.
        waiting: told once, in a sentence, whom we wait for.

    Raises:
        Locked: it was not free in time.
    """
    deadline = time.monotonic() + wait
    pause = 0.01
    told = False
    while not try_lock(conn):
        left = deadline - time.monotonic()
        if left <= 0:
            raise Locked(
                f"another deployment of this database is running ({holder(conn)}); waited "
                f"{wait:g} s. Nothing was touched. Wait for it, or give --wait more time."
            )
        if not told:
            told = True
            waiting(f"another deployment is running ({holder(conn)}); waiting up to {wait:g} s")
        # Several that wait must not ask in step.
        time.sleep(min(pause * random.uniform(0.75, 1.25), left))  # noqa: S311
        pause = min(pause * 2, 1.0)


def try_lock(conn: Connection) -> bool:
    """Takes the deployment lock if it is free, or ours already; never waits."""
    row = conn.execute("select pg_catalog.pg_try_advisory_lock(%s)", (LOCK_KEY,)).fetchone()
    return bool(row and row[0])


def keep_lock() -> str:
    """Returns the statement that fails unless we have the deployment lock, or get it back.

    A script may have given it away. To be sent in the transaction that holds ``lock_changes``:
    meanwhile nobody has recorded a change. It does not wait, because who has the lock now may wait
    for this transaction. It fails with LOCK_LOST as the message (22P02, a bad number: plain SQL has
    no way to raise an error of one's own).
    """
    return (
        f"select (case when pg_catalog.pg_try_advisory_lock({LOCK_KEY}) then '1'"
        f" else '{LOCK_LOST}' end)::pg_catalog.int4"
    )


def release_others() -> str:
    """Returns the statements that give back what advisory locks a script left to its session."""
    # The server shows two keys without their signs.
    first, second = "classid::int8::bit(32)::int4", "objid::int8::bit(32)::int4"
    # Nor does it tell which ones end with the transaction: of these it warns.
    return f"""
        set local client_min_messages = error;
        select case
            when mode = 'ShareLock' and objsubid = 1
              then pg_catalog.pg_advisory_unlock_shared((classid::int8 << 32) | objid::int8)
            when mode = 'ShareLock'
              then pg_catalog.pg_advisory_unlock_shared({first}, {second})
            when objsubid = 1
              then pg_catalog.pg_advisory_unlock((classid::int8 << 32) | objid::int8)
            else pg_catalog.pg_advisory_unlock({first}, {second})
          end
          from pg_catalog.pg_locks
         where locktype = 'advisory' and pid = pg_catalog.pg_backend_pid() and granted
           and not (classid::int8 = 0 and objid::int8 = {LOCK_KEY} and objsubid = 1);
        reset client_min_messages"""  # noqa: S608


def lock_changes(registry: str) -> str:
    """Returns the statement that keeps others from recording changes; Sqitch sends the same."""
    text: LiteralString = "lock table {r} in exclusive mode"
    return sql.SQL(text).format(r=sql.Identifier(registry, "changes")).as_string(None)


def holder(conn: Connection) -> str:
    """Returns who has the deployment lock, in words."""
    row = conn.execute(
        "select a.pid, a.usename, a.application_name"
        "  from pg_catalog.pg_locks as l join pg_catalog.pg_stat_activity as a using (pid)"
        "  join pg_catalog.pg_database as d on d.oid = l.database"
        " where l.locktype = 'advisory' and l.granted and d.datname = current_database()"
        "   and l.classid::int8 = 0 and l.objid::int8 = %s::int8 and l.objsubid = 1",
        (LOCK_KEY,),
    ).fetchone()
    if row is None:
        return "its session has just ended"
    name = f", {row[2]}" if row[2] else ""
    return f"server process {row[0]}, user {row[1]}{name}"
