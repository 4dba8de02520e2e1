"""The one connection of a command: opening it, its settings, and its errors in plain words."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from integrations_db.config import Target
from integrations_db.errors import Failure, Usage
from integrations_db.lexer import Statement, tokens
from integrations_db.registry import Connection
from integrations_db.script import Script, shown

__all__ = [
    "FRESH",
    "connect",
    "describe",
    "explain",
    "fresh",
    "gone",
    "place",
    "plain",
    "session_user",
    "shareable",
]

# What a script may have left behind, in the order in which it must go: the role first, because the
# others could be refused to it. Unlike DISCARD ALL this keeps advisory locks: we hold one.
_FRESH = (
    "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; DEALLOCATE ALL; "
    "DISCARD TEMP; DISCARD SEQUENCES; DISCARD PLANS"
)
# A server that talks to nobody learns only this way (PostgreSQL 14) that its client was killed, and
# would hold our locks until then. It can be set where the kernel tells of a closed connection.
#
# A server may also end sessions that are idle; ours is while another one runs a script for it.
_WATCH = (
    "SELECT pg_catalog.set_config('client_connection_check_interval', '2s', false)"
    " WHERE pg_catalog.current_setting('client_connection_check_interval', true) = '0'"
    " AND pg_catalog.version() LIKE '%linux%'; SET idle_session_timeout = 0"
)
FRESH = f"{_FRESH}; {_WATCH}"


def connect(
    target: Target, notice: Callable[[str], None], application_name: str | None = None
) -> Connection:
    """Opens the connection: autocommit, statements sent as they are, notices handed on.

    Args:
        target: the database.
        notice: told every message of the server.
        application_name: of the session, whatever the target says; None: as it says, else ours.

    Raises:
        Usage: the connection string cannot be read.
        Failure: no connection; the message holds no password.
    """
    try:
        given = conninfo_to_dict(target.dsn)
    except psycopg.ProgrammingError:
        # libpq's own message repeats parts of the string, a password among them.
        raise Usage(
            "TARGET cannot be read as a PostgreSQL connection string; "
            "a URI needs special characters escaped (%40 for @)"
        ) from None
    # Scripts are read as UTF-8, so they are sent as UTF-8.
    settings: dict[str, Any] = {
        "fallback_application_name": "integrations-db",
        "client_encoding": "UTF8",
    }
    if application_name is not None:
        settings["application_name"] = application_name
    try:
        with _alone() if target.embedded else nullcontext():
            if "connect_timeout" not in given and "PGCONNECT_TIMEOUT" not in os.environ:
                settings["connect_timeout"] = 10
            conn = psycopg.connect(target.dsn, autocommit=True, prepare_threshold=None, **settings)
    except psycopg.OperationalError as error:
        raise Failure(_unreachable(error, given)) from None
    try:
        conn.execute(_WATCH.encode())
    except psycopg.OperationalError as error:
        raise Failure(
            f"the connection to the server was lost: {plain(explain(error), given)}\n"
            "Nothing was begun, so no change is half done. Run the same command again."
        ) from None
    conn.add_notice_handler(lambda diag: notice(f"{diag.severity}: {diag.message_primary}"))
    return conn


def _alone() -> AbstractContextManager[None]:
    """Hides libpq's variables, which are about some other server than the embedded one."""
    from integrations_db.server import without_variables  # what only this one needs is big

    return without_variables()


def _unreachable(error: psycopg.Error, given: dict[str, Any]) -> str:
    """Returns why there is no connection, without a secret, and what to look at."""
    text = plain(str(error).strip(), given)
    if "password authentication failed" in text or "no password supplied" in text:
        advice = "Check user and password: PGPASSWORD, ~/.pgpass, or passfile= in the URI."
    elif "does not exist" in text:
        advice = "Create it first, or correct the TARGET."
    else:
        advice = "Check that the server runs and can be reached from here."
    return f"cannot connect: {text}\nNothing was touched. {advice}"


def plain(text: str, given: dict[str, Any]) -> str:
    """Returns a message of libpq without the secrets of the connection string."""
    for key in ("password", "sslpassword", "oauth_client_secret"):
        if secret := given.get(key):
            text = text.replace(str(secret), "***")
    return re.sub(r"(?<=password=)\S+", "***", text)


def fresh(conn: Connection) -> None:
    """Gives the session back the state it began with; the advisory lock stays."""
    conn.execute(FRESH.encode())


def gone(conn: Connection) -> bool:
    """Tells whether the connection is closed or lost."""
    return conn.closed or conn.broken


def session_user(conn: Connection) -> str:
    """Returns the name of the role that is logged in, quoted for SQL."""
    return sql.Identifier(conn.info.user).as_string(conn)


def _body_line(script: Script, statement: Statement, context: str) -> int | None:
    """Returns the line of the script at which a DO block failed, by the server's context."""
    found = re.search(r"PL/pgSQL function inline_code_block line (\d+)", context.splitlines()[-1])
    if not found or statement.text[:2].upper() != "DO":
        return None
    for token in tokens(statement.text):
        if token.kind in ("dollar", "string"):
            return script.place(statement, token.start)[0] + int(found[1]) - 1
    return None


def place(script: Script, statement: Statement, error: psycopg.Error) -> str:
    """Returns where a statement of a script failed: ``file:line:column``, as exact as is known."""
    diag = error.diag
    name = shown(script.path)
    if diag.statement_position:
        line, column = script.place(statement, int(diag.statement_position) - 1)
        return f"{name}:{line}:{column}"
    if diag.context and (inside := _body_line(script, statement, diag.context)):
        return f"{name}:{inside}"
    return f"{name}:{statement.line}"


def explain(error: psycopg.Error) -> str:
    """Returns the server's message with SQLSTATE, detail, hint and context."""
    diag = error.diag
    if diag.message_primary is None:
        return str(error).strip()
    lines = [f"{diag.severity or 'ERROR'} {diag.sqlstate}: {diag.message_primary}"]
    if diag.internal_query and diag.internal_position:
        position = int(diag.internal_position) - 1
        query = diag.internal_query
        start = query.rfind("\n", 0, position) + 1
        end = query.find("\n", position)
        lines += [
            f"  | {query[start : end if end >= 0 else len(query)]}",
            f"  | {' ' * (position - start)}^",
        ]
    for label, text in (
        ("DETAIL", diag.message_detail),
        ("HINT", diag.message_hint),
        ("CONTEXT", diag.context),
    ):
        if text:
            lines.append(f"  {label}: {text}")
    return "\n".join(lines)


def describe(conn: Connection) -> str:
    """Returns which database this is, in words, without any secret."""
    info = conn.info
    at = f" at {info.host}:{info.port}" if info.host else ""
    return f"{info.dbname}{at} as {info.user}"


def shareable(conn: Connection, target: Target) -> str:
    """Returns a URI of the connection's database that holds no secret, so that it can be shown."""
    if target.embedded:
        return target.dsn
    info = conn.info
    given = conninfo_to_dict(target.dsn)
    keep = ("service", "sslmode", "sslrootcert", "sslcert", "sslkey", "passfile", "options")
    query = "&".join(f"{key}={quote(str(given[key]), safe='/')}" for key in keep if key in given)
    host = quote(info.host, safe="") if not re.match(r"^[0-9a-fA-F:]*:", info.host) else ""
    place = host or f"[{info.host}]"
    return (
        f"postgresql://{quote(info.user, safe='')}@{place}:{info.port}/"
        f"{quote(info.dbname, safe='')}" + (f"?{query}" if query else "")
    )
