"""The registry of Sqitch, version 1.1: what is deployed, since when, by whom.

Every statement names the schema, because scripts change the search path. Rows are those that Sqitch
1.3 writes (``App::Sqitch::Role::DBIEngine``, ``Engine::pg``): Sqitch orders everything by
``committed_at``, so those of changes are strictly increasing, and no tag is older than its change.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg import sql

from integrations_db.config import Committer
from integrations_db.errors import Failure, Locked
from integrations_db.plan import Change, Plan, Tag

__all__ = [
    "LOCK_KEY",
    "Connection",
    "Deployed",
    "change_id_for",
    "create",
    "delete_change",
    "deployed_changes",
    "exists",
    "insert_change",
    "insert_event",
    "insert_tags",
    "keep_lock",
    "lock",
    "lock_changes",
    "recorded_names",
    "register_project",
    "requiring",
]


Connection = psycopg.Connection[tuple[Any, ...]]

LOCK_KEY = 75474063  # Sqitch's own, so that the two tools exclude each other
VERSION = "1.1"
_SQL = Path(__file__).with_name("registry.sql")


@dataclass(frozen=True, slots=True)
class Deployed:
    """A change that the registry says is deployed."""

    id: str
    name: str
    script_hash: str | None
    committed_at: datetime
    committer: str
    tags: tuple[str, ...]  # their IDs


def _query(text: LiteralString, registry: str) -> sql.Composed:
    """Puts the schema in the place of ``{r}``."""
    return sql.SQL(text).format(r=sql.Identifier(registry))


def exists(conn: Connection, registry: str) -> bool:
    """Tells whether the registry is there, and is of the version that this tool writes.

    Raises:
        Failure: it is newer or older.
    """
    tables = {
        row[0]
        for row in conn.execute(
            "select tablename from pg_catalog.pg_tables where schemaname = %s", (registry,)
        )
    }
    if "changes" not in tables:
        return False
    version = None
    if "releases" in tables:
        text = "select pg_catalog.max(version)::text from {r}.releases"
        row = conn.execute(_query(text, registry)).fetchone()
        version = row[0] if row else None
    if version == VERSION:
        return True
    if version is not None and float(version) > float(VERSION):
        raise Failure(
            f"the registry (schema {registry}) is of version {version}, and this tool knows "
            f"{VERSION}: a newer tool made it. Nothing was touched; upgrade integrations-db."
        )
    raise Failure(
        f"the registry (schema {registry}) is of an old version ({version or 'before 1.0'}). "
        "Nothing was touched; run `sqitch upgrade` on this database first."
    )


def create(conn: Connection, registry: str, who: Committer) -> None:
    """Creates the registry in the current transaction."""
    text = _SQL.read_text(encoding="utf-8")
    conn.execute(sql.SQL(text).format(registry=sql.Identifier(registry)))
    conn.execute(
        _query(
            "insert into {r}.releases (version, installer_name, installer_email)"
            " values (%s::pg_catalog.float4, %s, %s)",
            registry,
        ),
        (VERSION, who.name, who.email),
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
    conn.execute(
        _query(
            "insert into {r}.projects (project, uri, creator_name, creator_email)"
            " values (%s, %s, %s, %s)",
            registry,
        ),
        (plan.project, plan.uri, who.name, who.email),
    )


def deployed_changes(conn: Connection, registry: str, project: str) -> list[Deployed]:
    """Returns the deployed changes of a project, in the order of their deployment."""
    rows = conn.execute(
        _query(
            "select c.change_id, c.change, c.script_hash, c.committed_at,"
            "       c.committer_name || ' <' || c.committer_email || '>',"
            "       array(select t.tag_id from {r}.tags as t where t.change_id = c.change_id"
            "              order by t.committed_at)"
            "  from {r}.changes as c where c.project = %s order by c.committed_at",
            registry,
        ),
        (project,),
    )
    return [Deployed(r[0], r[1], r[2], r[3], r[4], tuple(r[5])) for r in rows]


def change_id_for(
    conn: Connection, registry: str, project: str, change: str | None, tag: str | None
) -> str | None:
    """Returns the ID of a deployed change of any project by its name, or name and tag, or tag."""
    if change is None:
        text: LiteralString = "select change_id from {r}.tags where project = %s and tag = %s"
        row = conn.execute(_query(text, registry), (project, f"@{tag}")).fetchone()
    elif tag is None:
        text = (
            "select change_id from {r}.changes where project = %s and change = %s"
            " order by committed_at limit 1"
        )
        row = conn.execute(_query(text, registry), (project, change)).fetchone()
    else:
        text = (
            "select c.change_id from {r}.changes as c"
            "  join {r}.tags as t on c.committed_at <= t.committed_at and c.project = t.project"
            " where c.project = %s and c.change = %s and t.tag = %s"
            " order by c.committed_at desc limit 1"
        )
        row = conn.execute(_query(text, registry), (project, change, f"@{tag}")).fetchone()
    return row[0] if row else None


def insert_change(
    conn: Connection,
    registry: str,
    plan: Plan,
    change: Change,
    script_hash: str | None,
    requires: Sequence[tuple[str, str]],
    who: Committer,
) -> None:
    """Records a deployed change with its dependencies, tags and event.

    Args:
        conn: inside the transaction of the change.
        registry: the schema.
        plan: the plan of the change.
        change: what was deployed.
        script_hash: of its deploy script.
        requires: name and ID of every required change.
        who: the committer.
    """
    conn.execute(
        _query(
            # A clock that was set back must not put this change before the last one.
            "insert into {r}.changes (change_id, script_hash, change, project, note,"
            "  committer_name, committer_email, planned_at, planner_name, planner_email,"
            "  committed_at)"
            " select %s, %s, %s, %s, %s, %s, %s, %s, %s, %s,"
            "   greatest(pg_catalog.clock_timestamp(),"
            "     pg_catalog.max(committed_at) + interval '1 microsecond')"
            " from {r}.changes",
            registry,
        ),
        (
            change.id,
            script_hash,
            change.name,
            plan.project,
            change.note,
            who.name,
            who.email,
            change.planned_at,
            change.planner_name,
            change.planner_email,
        ),
    )
    rows: list[tuple[str, str, str | None]] = [("require", *found) for found in requires]
    rows += [("conflict", dep.name_in(plan.project), None) for dep in change.conflicts]
    for row in rows:
        conn.execute(
            _query(
                "insert into {r}.dependencies (change_id, type, dependency, dependency_id)"
                " values (%s, %s, %s, %s)",
                registry,
            ),
            (change.id, *row),
        )
    insert_tags(conn, registry, plan, change, change.tags, who)
    insert_event(conn, registry, "deploy", plan, change, who)


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
        conn.execute(
            _query(
                "insert into {r}.tags (tag_id, tag, project, change_id, note, committer_name,"
                "  committer_email, planned_at, planner_name, planner_email, committed_at)"
                " select %s, %s, %s, c.change_id, %s, %s, %s, %s, %s, %s,"
                "   greatest(pg_catalog.clock_timestamp(), c.committed_at)"
                " from {r}.changes as c where c.change_id = %s",
                registry,
            ),
            (
                tag.id,
                f"@{tag.name}",
                plan.project,
                tag.note,
                who.name,
                who.email,
                tag.planned_at,
                tag.planner_name,
                tag.planner_email,
                change.id,
            ),
        )


def recorded_names(
    conn: Connection, registry: str, change_id: str
) -> tuple[list[str], list[str], list[str]]:
    """Returns the recorded tags, requires and conflicts of a deployed change."""
    row = conn.execute(
        _query(
            "select array(select tag from {r}.tags where change_id = %(id)s),"
            " array(select dependency from {r}.dependencies"
            "        where change_id = %(id)s and type = 'require'),"
            " array(select dependency from {r}.dependencies"
            "        where change_id = %(id)s and type = 'conflict')",
            registry,
        ),
        {"id": change_id},
    ).fetchone()
    return row if row else ([], [], [])


def insert_event(
    conn: Connection,
    registry: str,
    event: str,
    plan: Plan,
    change: Change,
    who: Committer,
    names: tuple[list[str], list[str], list[str]] | None = None,
) -> None:
    """Adds to the history: ``deploy``, ``revert`` or ``fail``.

    Args:
        conn: the connection.
        registry: the schema.
        event: what happened.
        plan: the plan of the change.
        change: to what it happened.
        who: the committer.
        names: tags, requires and conflicts; those of the plan when not given.
    """
    tags, requires, conflicts = names or (
        [f"@{tag.name}" for tag in change.tags],
        [dep.name_in(plan.project) for dep in change.requires],
        [dep.name_in(plan.project) for dep in change.conflicts],
    )
    conn.execute(
        _query(
            "insert into {r}.events (event, change_id, change, project, note, tags, requires,"
            "  conflicts, committer_name, committer_email, planned_at, planner_name,"
            "  planner_email)"
            " values (%s, %s, %s, %s, %s, %s::text[], %s::text[], %s::text[],"
            "  %s, %s, %s, %s, %s)",
            registry,
        ),
        (
            event,
            change.id,
            change.name,
            plan.project,
            change.note,
            tags,
            requires,
            conflicts,
            who.name,
            who.email,
            change.planned_at,
            change.planner_name,
            change.planner_email,
        ),
    )


def delete_change(
    conn: Connection, registry: str, plan: Plan, change: Change, who: Committer
) -> None:
    """Records that a change was reverted: its rows go, an event stays."""
    names = recorded_names(conn, registry, change.id)
    for text in (
        "delete from {r}.tags where change_id = %s",
        "delete from {r}.changes where change_id = %s",
    ):
        conn.execute(_query(text, registry), (change.id,))
    insert_event(conn, registry, "revert", plan, change, who, names)


def requiring(conn: Connection, registry: str, change_ids: Sequence[str]) -> list[tuple[str, str]]:
    """Returns (required, requiring) names of deployed changes outside of ``change_ids``."""
    rows = conn.execute(
        _query(
            "select d.dependency, c.project || ':' || c.change"
            "  from {r}.dependencies as d join {r}.changes as c on c.change_id = d.change_id"
            " where d.dependency_id = any (%(ids)s) and c.change_id <> all (%(ids)s)"
            " order by c.committed_at",
            registry,
        ),
        {"ids": list(change_ids)},
    )
    return [(row[0], row[1]) for row in rows]


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
    while True:
        row = conn.execute("select pg_catalog.pg_try_advisory_lock(%s)", (LOCK_KEY,)).fetchone()
        if row and row[0]:
            return
        left = deadline - time.monotonic()
        if left <= 0:
            raise Locked(
                f"another deployment of this database is running ({_holder(conn)}); waited "
                f"{wait:g} s. Nothing was touched. Wait for it, or give --wait more time."
            )
        if not told:
            told = True
            waiting(f"another deployment is running ({_holder(conn)}); waiting up to {wait:g} s")
        time.sleep(min(pause, left))
        pause = min(pause * 2, 1.0)


def keep_lock(conn: Connection) -> None:
    """Makes sure that a script has not given the deployment lock away; takes it again if it has.

    To be called in the transaction that holds ``lock_changes``: meanwhile nobody has recorded a
    change. It does not wait, because who has the lock now may wait for this transaction.

    Raises:
        Locked: another deployment has it.
    """
    row = conn.execute(
        "select exists (select from pg_catalog.pg_locks where locktype = 'advisory' and granted"
        " and pid = pg_catalog.pg_backend_pid() and classid = 0 and objid = %(key)s"
        " and objsubid = 1) or pg_catalog.pg_try_advisory_lock(%(key)s)",
        {"key": LOCK_KEY},
    ).fetchone()
    if not row or not row[0]:
        raise Locked(
            "the script released the deployment lock (pg_advisory_unlock_all?), and another "
            f"deployment has it now ({_holder(conn)}). This change was rolled back; take the "
            "release out of the script, then run the same command again."
        )


def lock_changes(conn: Connection, registry: str) -> None:
    """Keeps others from recording changes until the current transaction ends; Sqitch does so."""
    conn.execute(_query("lock table {r}.changes in exclusive mode", registry))


def _holder(conn: Connection) -> str:
    """Returns who has the deployment lock, in words."""
    row = conn.execute(
        "select a.pid, a.usename, a.application_name"
        "  from pg_catalog.pg_locks as l join pg_catalog.pg_stat_activity as a using (pid)"
        "  join pg_catalog.pg_database as d on d.oid = l.database"
        " where l.locktype = 'advisory' and l.granted and d.datname = current_database()"
        "   and l.classid = 0 and l.objid = %s and l.objsubid = 1",
        (LOCK_KEY,),
    ).fetchone()
    if row is None:
        return "its session has just ended"
    name = f", {row[2]}" if row[2] else ""
    return f"server process {row[0]}, user {row[1]}{name}"
