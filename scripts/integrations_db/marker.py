"""A durable mark of every script that was started outside a transaction and is not recorded yet.

A script that commits by itself can end half done when a process or a server dies. The mark, a row
of ``integrations_db.unfinished_scripts``, is committed before such a script starts and goes in the
transaction that records the change, so that the next run knows of it instead of failing obscurely.
Table and schema exist only while there is such a row: nothing of them is left in a dump.
"""

from __future__ import annotations

from collections.abc import Container
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Literal, LiteralString

import psycopg
from psycopg import sql

from integrations_db.config import Committer
from integrations_db.database import session_user
from integrations_db.errors import Failure
from integrations_db.plan import Change
from integrations_db.registry import NAMES, Connection, literal
from integrations_db.strangers import refuse

__all__ = [
    "NAME",
    "SCHEMA",
    "TABLE",
    "Action",
    "Unfinished",
    "begin",
    "clear",
    "clearing",
    "forgetting",
    "last",
    "marking",
    "note",
    "noting",
    "schema",
    "table",
    "unfinished",
]

Action = Literal["deploy", "revert"]

_MARK: LiteralString = """\
insert into integrations_db.unfinished_scripts (registry, project, change_id, change, action,
    script, script_hash, application_name, started_by)
  values (%(registry)s, %(project)s, %(id)s, %(change)s, %(action)s, %(script)s, %(hash)s,
    %(application)s, %(who)s)
  on conflict (registry, project, change_id) do update set action = excluded.action,
    script = excluded.script, script_hash = excluded.script_hash,
    application_name = excluded.application_name, started_by = excluded.started_by,
    started_at = excluded.started_at, outcome = null"""
_NOTE: LiteralString = """\
update integrations_db.unfinished_scripts set outcome = %(outcome)s
 where registry = %(registry)s and project = %(project)s and change_id = %(id)s"""
_CLEAR: LiteralString = """\
delete from integrations_db.unfinished_scripts
 where registry = %(registry)s and project = %(project)s and change_id = %(id)s"""
# Whether no mark is left, so that the table may be dropped, and then the schema.
_LAST: LiteralString = """\
select not exists (select from integrations_db.unfinished_scripts)
         and pg_catalog.pg_has_role(c.relowner, 'USAGE'),
       pg_catalog.pg_has_role(n.nspowner, 'USAGE')
         and pg_catalog.obj_description(n.oid, 'pg_namespace') = %(ours)s
         and not exists (select from pg_catalog.pg_depend as d
           where d.refclassid = 'pg_catalog.pg_namespace'::pg_catalog.regclass::pg_catalog.oid
             and d.refobjid = n.oid and d.objid <> c.oid)
  from pg_catalog.pg_class as c join pg_catalog.pg_namespace as n on n.oid = c.relnamespace
 where n.nspname = 'integrations_db' and c.relname = 'unfinished_scripts'"""
_OURS = "Made by integrations-db for unfinished scripts; goes with the last of them."
SCHEMA = "integrations_db"
NAME = "unfinished_scripts"
TABLE = f"{SCHEMA}.{NAME}"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A script that was started outside a transaction and is not recorded.

    Attributes:
        project: of the change.
        change_id: of the change.
        change: its name.
        action: what the script is for.
        script: its file, as it was called then.
        script_hash: SHA-1 of its content then.
        started_at: when.
        started_by: who deployed.
        running: whether its session is still alive.
        outcome: how it ended, if that is known.
    """

    project: str
    change_id: str
    change: str
    action: Action
    script: str
    script_hash: str | None
    started_at: datetime
    started_by: str
    running: bool
    outcome: str | None

    def settled(self, deployed: Container[str]) -> bool:
        """Tells whether another tool has recorded it since, by the IDs of what is deployed."""
        return (self.change_id in deployed) == (self.action == "deploy")


def unfinished(conn: Connection, registry: str, project: str) -> list[Unfinished]:
    """Returns the unfinished scripts of a project, the oldest first; changes nothing.

    Raises:
        Failure: they cannot be read.
    """
    if not _there(conn):
        return []
    try:
        rows = conn.execute(
            "select project, change_id, change, action, script, script_hash, started_at,"
            "  started_by, exists (select from pg_catalog.pg_stat_activity as a"
            "    where a.application_name = u.application_name), outcome"
            " from integrations_db.unfinished_scripts as u"
            " where registry = %s and project = %s order by started_at",
            (registry, project),
            binary=True,  # as text the form of a time is that of the DateStyle, which is anything
        ).fetchall()
    except psycopg.errors.InsufficientPrivilege as error:
        raise Failure(
            f"{error.diag.message_primary}: {TABLE} says which scripts were begun and are not "
            f"recorded. A DBA must say: GRANT USAGE ON SCHEMA integrations_db TO "
            f"{session_user(conn)}; GRANT ALL ON {TABLE} TO {session_user(conn)};"
        ) from None
    return [Unfinished(*row) for row in rows]


def _there(conn: Connection) -> bool:
    """Tells whether any script is marked.

    Raises:
        Failure: what is there is a stranger's.
    """
    row = conn.execute(
        "select 1 from pg_catalog.pg_class as c"
        "  join pg_catalog.pg_namespace as n on n.oid = c.relnamespace"
        " where n.nspname = 'integrations_db' and c.relname = 'unfinished_scripts'"
    ).fetchone()
    if row is not None:
        refuse(conn, SCHEMA, [NAME])
    return row is not None


def begin(
    conn: Connection,
    registry: str,
    project: str,
    change: Change,
    action: Action,
    script: str,
    script_hash: str | None,
    application_name: str,
    who: Committer,
) -> None:
    """Marks, in a transaction of its own, that a script is about to start.

    Raises:
        Failure: it may not be written; says what a DBA must grant.
    """
    try:
        with conn.transaction():
            if not _there(conn):
                row = conn.execute(
                    "select pg_catalog.to_regnamespace('integrations_db')"
                ).fetchone()
                if row is None or row[0] is None:
                    conn.execute(schema().encode())
                conn.execute(table().encode())
            conn.execute(
                _MARK,
                {
                    "registry": registry,
                    "project": project,
                    "id": change.id,
                    "change": change.name,
                    "action": action,
                    "script": script,
                    "hash": script_hash,
                    "application": application_name,
                    "who": f"{who.name} <{who.email}>",
                },
            )
    except psycopg.errors.InsufficientPrivilege as error:
        user = session_user(conn)
        raise Failure(
            f"{script} cannot run in a transaction, so it must be marked as begun in {TABLE} "
            f"first, but: {error.diag.message_primary}.\n{change.name} was not begun. A DBA must "
            f"say: {_grant(conn, user)}"
        ) from None


def _grant(conn: Connection, user: str) -> str:
    """Returns the GRANT that a role needs to mark scripts."""
    row = conn.execute(
        "select pg_catalog.quote_ident(current_database()),"
        "  pg_catalog.to_regnamespace('integrations_db') is not null"
    ).fetchone()
    database, schema = row if row else ("", False)
    if _there(conn):
        return f"GRANT USAGE ON SCHEMA integrations_db TO {user}; GRANT ALL ON {TABLE} TO {user};"
    if schema:
        return f"GRANT USAGE, CREATE ON SCHEMA integrations_db TO {user};"
    return f"GRANT CREATE ON DATABASE {database} TO {user};"


def note(conn: Connection, registry: str, project: str, change: Change, outcome: str) -> None:
    """Writes beside the mark how the script ended."""
    values = {"registry": registry, "project": project, "id": change.id, "outcome": outcome}
    conn.execute(_NOTE, values)


def clear(conn: Connection, registry: str, project: str, change_id: str) -> None:
    """Takes the mark of a change away, and with the last one all that was made for marks.

    To be called in the transaction that records the change, or when nothing of it took effect.
    """
    conn.execute(_CLEAR, {"registry": registry, "project": project, "id": change_id})
    # Whoever reads the table (a dump) must not keep the change from being recorded, nor must a rule
    # of the database against dropping: then it stays, empty, until next time.
    with suppress(psycopg.Error), conn.transaction():
        _drop_if_last(conn)


def table() -> str:
    """Returns the statements that make the table of the marks."""
    return Path(__file__).with_name("marker.sql").read_text(encoding="utf-8")


def schema() -> str:
    """Returns the statements that make the schema of that table."""
    return f"create schema integrations_db;\ncomment on schema integrations_db is {literal(_OURS)}"


def marking(
    registry: str, project: str, change: Change, action: Action, script: str, digest: str | None
) -> str:
    """Returns the statement by which a script of psql marks, as ``begin`` does.

    Its variables name the session and who deploys.
    """
    who = f":'{NAMES}name' || ' <' || :'{NAMES}email' || '>'"
    values = {
        "registry": registry,
        "project": project,
        "id": change.id,
        "change": change.name,
        "action": action,
        "script": script,
        "hash": digest,
        "application": sql.SQL(f":'{NAMES}session'"),
        "who": sql.SQL(who),
    }
    return _MARK % {name: literal(value) for name, value in values.items()}


def noting(registry: str, project: str, change_id: str, outcome: str) -> str:
    """Returns the statement by which a script of psql writes beside a mark."""
    values = {"registry": registry, "project": project, "id": change_id, "outcome": outcome}
    return _NOTE % {name: literal(value) for name, value in values.items()}


def clearing(registry: str, project: str, change_id: str) -> str:
    """Returns the statement by which a script of psql takes a mark away."""
    values = {"registry": registry, "project": project, "id": change_id}
    return _CLEAR % {name: literal(value) for name, value in values.items()}


def last() -> str:
    """Returns the query that tells whether the table of the marks may go, and then its schema."""
    return _LAST % {"ours": literal(_OURS)}


def forgetting(registry: str, project: str, change_id: str) -> str:
    """Returns the statement with which a person takes the mark of a change away."""
    key = sql.SQL(", ").join(map(sql.Literal, (registry, project, change_id)))
    return (
        sql.SQL("DELETE FROM {} WHERE (registry, project, change_id) = ({});")
        .format(sql.SQL(TABLE), key)
        .as_string()
    )


def _drop_if_last(conn: Connection) -> None:
    """Drops what was made for marks when none is left."""
    row = conn.execute(_LAST, {"ours": _OURS}).fetchone()
    may_go, schema = row if row else (False, False)
    if may_go:
        conn.execute(f"lock table {TABLE} in access exclusive mode nowait")
        conn.execute("drop table integrations_db.unfinished_scripts")
        if schema:
            conn.execute("drop schema integrations_db")
