"""The one connection of a command: opening it, its settings, and its errors in plain words."""

from __future__ import annotations

import os
import re
import select
from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext, suppress
from textwrap import dedent
from typing import Any
from urllib.parse import quote
from weakref import WeakKeyDictionary, WeakSet

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from psycopg.pq import TransactionStatus

from integrations_db.config import Target
from integrations_db.errors import Failure, Usage
from integrations_db.lexer import Statement, tokens
from integrations_db.registry import Connection
from integrations_db.script import Script, shown
from integrations_db.terminal import Unwritable

__all__ = [
    "FRESH",
    "OWN_PATH",
    "PATH_OF_CLIENT",
    "STAY",
    "adopting",
    "calm",
    "connect",
    "describe",
    "explain",
    "for_script",
    "fresh",
    "freshen",
    "gone",
    "heed",
    "place",
    "plain",
    "session_user",
    "shareable",
    "stores",
]

# Who may create in a schema that a role or database searches before pg_catalog could make operators
# and functions there that our own statements would call, as the deployer. So our sessions search
# this path, but for the scripts; a script that were left with it could not create a thing.
OWN_PATH = "SET search_path = pg_catalog, pg_temp"
# What a script may have left behind, in the order in which it must go: the role first, because the
# others could be refused to it. Unlike DISCARD ALL this keeps advisory locks: we hold one.
FRESH = (
    "RESET SESSION AUTHORIZATION; RESET ROLE; RESET ALL; CLOSE ALL; UNLISTEN *; DEALLOCATE ALL; "
    "DISCARD TEMP; DISCARD SEQUENCES"
)
# A server that talks to nobody learns only this way (PostgreSQL 14) that its client was killed, and
# would hold our locks until then. It can be set where the kernel tells of a closed connection.
#
# A server may also end sessions that are idle; ours is while another one runs a script for it.
_WATCH = "SET client_connection_check_interval = '2s'"
STAY = "SET idle_session_timeout = 0"
# Whether the client asked for a search path: no stored one replaces it. This and the next are asked
# while the session's own path is still in force.
PATH_OF_CLIENT = """\
exists (select from pg_catalog.pg_settings
         where name operator(pg_catalog.=) 'search_path'
           and source operator(pg_catalog.=) 'client')"""
_SESSION = f"""
    select {PATH_OF_CLIENT},
           pg_catalog.current_setting('client_connection_check_interval', true)
             operator(pg_catalog.=) '0'
             and pg_catalog.version() operator(pg_catalog.~~) '%linux%'"""
# What ALTER DATABASE and ALTER ROLE ... SET have stored for sessions like this one; the special one
# wins, as at the start of a session. A stored role could not write the record of what it is for.
# The hash stands for a value that may be a secret, so that no statement of ours holds it.
_STORED = """
    select distinct on (e.name) e.name, e.value,
           pg_catalog.hashtextextended(e.value, 0) as hash
      from (select pg_catalog.split_part(u.entry, '=', 1) as name,
                   pg_catalog.substr(u.entry, pg_catalog.strpos(u.entry, '=') + 1) as value,
                   d.setrole <> 0 as of_role, d.setdatabase <> 0 as of_database
              from pg_catalog.pg_db_role_setting as d, pg_catalog.unnest(d.setconfig) as u(entry)
             where d.setdatabase in (0, (select oid from pg_catalog.pg_database
                                          where datname = pg_catalog.current_database()))
               and d.setrole in (0, (select oid from pg_catalog.pg_roles
                                      where rolname = session_user))) as e
     where e.name not in ('role', 'session_authorization')
     order by e.name, e.of_role desc, e.of_database desc"""
# Sqitch runs the next script in a new session, which begins with what the last one has stored.
# What is no longer stored falls back to what PostgreSQL has for it. What the client itself asked
# for is stronger than either, and what only the server may set for this role is left as it is.
_WANTED = """
    with began as (
        select * from rows from (pg_catalog.unnest({names}::pg_catalog.text[]),
                                 pg_catalog.unnest({hashes}::pg_catalog.int8[])) as b(name, hash)),
    stored as ({stored}),
    wanted as (
        select s.name, s.value from stored as s
         where not exists (select from began as b where b.name = s.name and b.hash = s.hash)
         union all
        select b.name, coalesce((select boot_val from pg_catalog.pg_settings as g
                                  where g.name = b.name), '')
          from began as b where b.name not in (select name from stored))"""
_ADOPT = """
    select pg_catalog.set_config(w.name, w.value, false) from wanted as w
     where w.name <> 'search_path' and not exists (
        select from pg_catalog.pg_settings as g
         where g.name = w.name
           and (g.source = 'client' or g.context not in ('user', 'superuser')
                or g.context = 'superuser'
                   and pg_catalog.current_setting('is_superuser') = 'off'))"""
_ADOPT_PATH = """
    select pg_catalog.set_config('search_path', coalesce(
      (select w.value from wanted as w where w.name = 'search_path'),
      (select g.reset_val from pg_catalog.pg_settings as g where g.name = 'search_path')), false)"""
# What was stored when the session began: names and hashes.
_at_start: WeakKeyDictionary[Connection, tuple[list[str], list[int]]] = WeakKeyDictionary()
# The sessions whose client asked for a search path.
_path_of_client: WeakSet[Connection] = WeakSet()
# The sessions that would not learn that their client is gone.
_unwatched: WeakSet[Connection] = WeakSet()
# The sessions after whose beginning something may have been stored. To look costs as much as all
# else there is to reset, and few scripts ever store a setting.
_stored_since: WeakSet[Connection] = WeakSet()
_STORES_SETTING = re.compile(
    r"\balter\s+(?:database|role|user|system)\b[^;]*\b(?:set|reset)\b", re.IGNORECASE
)
_STORES = re.compile(r"\balter\s+(?:database|role|user|system)\b", re.IGNORECASE)


def connect(
    target: Target, notice: Callable[[str], None], application_name: str | None = None
) -> Connection:
    """Opens the connection: autocommit, statements sent as they are, notices handed on.

    It is for statements of our own; before those of a script, send what ``for_script`` returns.

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
            "check the names of its options; a URI needs special characters escaped (%40 for @)"
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
        row = conn.execute(f"{_SESSION}; {OWN_PATH}; {STAY}".encode()).fetchone()
        for answer, those in zip(row or (), (_path_of_client, _unwatched), strict=True):
            if answer:
                those.add(conn)
        if conn in _unwatched:
            conn.execute(_WATCH.encode())
        stored = conn.execute(_STORED.encode()).fetchall()
        _at_start[conn] = ([name for name, _, _ in stored], [number for _, _, number in stored])
    except psycopg.OperationalError as error:
        raise Failure(
            f"the connection to the server was lost: {plain(explain(error), given)}\n"
            "Nothing was begun, so no change is half done. Run the same command again."
        ) from None

    def tell(diag: psycopg.errors.Diagnostic) -> None:
        # Where it cannot be told, psycopg would print a traceback; the next progress ends us.
        with suppress(OSError, Unwritable):
            notice(f"{diag.severity}: {diag.message_primary}")

    conn.add_notice_handler(tell)
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
    elif "no pg_hba.conf entry" in text:
        advice = "Have the connection allowed in pg_hba.conf; if it asks for TLS, set sslmode."
    elif any(it in text for it in ("certificate", "private key", "support SSL", "SSL error")):
        advice = "Check sslmode, sslrootcert, sslcert, sslkey and sslpassword of the TARGET."
    elif "local user with ID" in text:  # of a container that knows its user by number only
        advice = "Name the user of the database: postgresql://USER@..., or PGUSER."
    elif "definition of service" in text or "service file" in text:
        advice = "Check ~/.pg_service.conf, or the file that PGSERVICEFILE names."
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


def heed(conn: Connection, script: str) -> None:
    """Notes whether a script, by its text, may store settings; then ``freshen`` looks for them."""
    if _STORES.search(script):
        _stored_since.add(conn)


def freshen(conn: Connection) -> str:
    """Returns the statements that give a session the state in which ``connect`` returns it.

    Advisory locks stay. Settings are those that are stored for the database and the role by now.
    """
    commands = [FRESH, OWN_PATH, STAY]
    if conn in _unwatched:
        commands.append(_WATCH)
    if conn in _stored_since:
        commands.insert(2, _adoption(conn, _ADOPT))
    return "; ".join(commands)


def for_script(conn: Connection) -> str:
    """Returns the statement that gives a script the search path of a new session.

    ``freshen`` takes it away, as does the end of the transaction if that is rolled back.
    """
    if conn not in _stored_since or conn in _path_of_client:
        return "RESET search_path"
    return _adoption(conn, _ADOPT_PATH)


def adopting() -> tuple[str, str, str]:
    """Returns what a script of psql needs to adopt what its parts store; each to end with \\gset.

    Returns:
        The query that keeps what is stored at the beginning; the one that adopts settings, after a
        part that may store some; the one that gives a part the search path of a new session.
    """
    kept = {
        name: sql.SQL(f":'integrations_db_stored_{name}'")  # variables of psql
        for name in ("names", "hashes")
    }
    wanted, stored = sql.SQL(_WANTED).format(**kept, stored=sql.SQL(_STORED)), sql.SQL(_STORED)
    beginning = sql.SQL(
        "select coalesce(pg_catalog.array_agg(s.name), '{{}}') as integrations_db_stored_names,"
        " coalesce(pg_catalog.array_agg(s.hash), '{{}}') as integrations_db_stored_hashes"
        " from ({}) as s"
    ).format(stored)
    adopt = sql.SQL(
        "{} select pg_catalog.count(a.value) as integrations_db_adopted from ({}) as a (value)"
    ).format(wanted, sql.SQL(_ADOPT))
    path = sql.SQL("{}{}").format(wanted, sql.SQL(_ADOPT_PATH))
    queries = [dedent(query.as_string(None)).strip() for query in (beginning, adopt, path)]
    return queries[0], queries[1], queries[2]


def stores(script: str) -> bool:
    """Tells whether a script, by its text, may store settings for sessions to come."""
    return bool(_STORES_SETTING.search(script))


def _adoption(conn: Connection, what: str) -> str:
    """Returns a statement about the settings that were stored since the session began."""
    names, hashes = _at_start.get(conn, ([], []))
    wanted = sql.SQL(_WANTED).format(
        names=sql.Literal(names), hashes=sql.Literal(hashes), stored=sql.SQL(_STORED)
    )
    return wanted.as_string(conn) + what


def fresh(conn: Connection) -> None:
    """Gives a session the state in which ``connect`` returns it; advisory locks stay."""
    conn.execute(freshen(conn).encode())


def calm(conn: Connection) -> None:
    """Ends what an interrupt has left running in a session, so that it can be spoken to again.

    psycopg does so itself where the signal finds it waiting for the answer, but not just before.
    """
    pgconn = conn.pgconn
    while pgconn.transaction_status == TransactionStatus.ACTIVE:
        try:
            conn.cancel_safe(timeout=5)
            # A cancellation that comes before the server has begun the statement is lost.
            select.select([pgconn.socket], [], [], 0.5)
            pgconn.consume_input()
        except psycopg.Error:
            conn.close()
            return
        while not pgconn.is_busy() and pgconn.get_result() is not None:
            pass


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


def place(script: Script, statement: Statement, error: psycopg.Error, before: int = 0) -> str:
    """Returns where a statement of a script failed: ``file:line:column``, as exact as is known.

    Args:
        script: the script.
        statement: what failed of it.
        error: why.
        before: the number of characters before the statement in the message that it was sent with.
    """
    diag = error.diag
    name = shown(script.path)
    if diag.statement_position:
        line, column = script.place(statement, int(diag.statement_position) - 1 - before)
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
