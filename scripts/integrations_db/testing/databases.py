"""The template database of a test run, its clones, and logins that live as long as a test."""

from __future__ import annotations

import atexit
import hashlib
import secrets
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from types import MappingProxyType
from typing import Any

import psycopg
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from .servers import without_password

__all__ = [
    "clone",
    "create_login",
    "drop_login",
    "ensure_template",
    "fingerprint",
    "new_name",
    "watchers",
]

watchers: list[Callable[[str], None]] = []
"""Each is called with the conninfo of a clone that is about to be dropped."""

_TEMPLATE = "test_template_"
_kept: dict[frozenset[tuple[str, Any]], psycopg.Connection[Any]] = {}


def new_name(kind: str) -> str:
    """Makes a name that no other worker or run has, such as ``test_clone_3f9a0c51d2e4``."""
    return f"test_{kind}_{secrets.token_hex(6)}"


def fingerprint(
    version: int, files: Iterable[Path], variables: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Digests what a template is made from: names, order and contents of files, and variables.

    Args:
        version: the server's version number.
        files: the files; a missing one raises FileNotFoundError.
        variables: psql's, for the scripts.
    """
    digest = hashlib.sha256(f"{version} {sorted(variables.items())}".encode())
    for file in files:
        digest.update(str(file).encode() + b"\0")
        digest.update(hashlib.sha256(file.read_bytes()).digest())
    return digest.hexdigest()


def ensure_template(
    dsn: str, project: str, key: str, build: Callable[[str], None], wait: float = 300
) -> str:
    """Gives the template database for a key, made when it is not there; one worker makes it.

    The key stands in the database's comment, so that it can be read without a connection to the
    template; where it is missing, a run was killed in the middle, and the template is made again.

    Args:
        dsn: the server, as superuser.
        project: templates of the same project with another key are dropped.
        key: the fingerprint of what it is made from.
        build: fills the new database, given its conninfo.
        wait: seconds to wait for another worker that makes it.

    Returns:
        its name.

    Raises:
        psycopg.errors.QueryCanceled: another worker took longer.
    """
    name = _TEMPLATE + hashlib.sha256(f"{project} {key}".encode()).hexdigest()[:12]
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute("select set_config('statement_timeout', %s, false)", [f"{wait:.0f}s"])
        connection.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [name])
        connection.execute("set statement_timeout = 0")
        if _comments(connection).get(name) == f"{project} {key}":
            return name
        for stale, comment in _comments(connection).items():
            if stale == name or (comment or "").startswith(f"{project} "):
                _drop(connection, stale)
        identifier = sql.Identifier(name)
        connection.execute(sql.SQL("create database {} template template0").format(identifier))
        try:
            build(make_conninfo(dsn, dbname=name))
        except BaseException:
            _drop(connection, name)
            raise
        connection.execute(sql.SQL("alter database {} allow_connections false").format(identifier))
        connection.execute(
            sql.SQL("comment on database {} is {}").format(identifier, f"{project} {key}")
        )
    return name


def _comments(connection: psycopg.Connection[Any]) -> dict[str, str | None]:
    rows = connection.execute(
        "select datname, shobj_description(oid, 'pg_database') from pg_database"
        " where starts_with(datname, %s)",
        [_TEMPLATE],
    )
    return dict(rows.fetchall())


def _maintenance(dsn: str) -> str:
    return make_conninfo(dsn, dbname="postgres")


def _connected(dsn: str) -> psycopg.Connection[Any]:
    """Gives the one connection of this process to a server; to make it takes as long as a clone.

    It is to the database that was named first.
    """
    server = frozenset({**conninfo_to_dict(dsn), "dbname": ""}.items())
    with suppress(KeyError, psycopg.OperationalError):
        _kept[server].execute("")  # nobody ended it
        return _kept[server]
    connection = _kept[server] = psycopg.connect(dsn, autocommit=True)
    atexit.register(connection.close)
    return connection


def _drop(connection: psycopg.Connection[Any], name: str) -> None:
    connection.execute(
        sql.SQL("drop database if exists {} with (force)").format(sql.Identifier(name))
    )


# What CREATE DATABASE does not copy. A superuser may write it as it stands there: no statement
# takes a setting in the form in which it is stored.
_COPY = """
    with setting as (
        insert into pg_db_role_setting (setdatabase, setrole, setconfig)
        select made.oid, s.setrole, s.setconfig
          from pg_db_role_setting as s join pg_database as model on model.oid = s.setdatabase,
               pg_database as made
         where model.datname = %(model)s and made.datname = %(made)s)
    update pg_database as made set datacl = model.datacl from pg_database as model
     where model.datname = %(model)s and made.datname = %(made)s and model.datacl is not null"""


@contextmanager
def clone(dsn: str, template: str) -> Iterator[str]:
    """Gives the conninfo of a new database, which is dropped on exit, whoever is connected.

    Args:
        dsn: the server, as superuser.
        template: what it is a copy of, with its owner, privileges and settings; ``template0`` for
            an empty one.
    """
    name = new_name("clone")
    # To copy files is faster than to write each page to the log.
    create = sql.SQL("create database {} template {} strategy file_copy").format(
        sql.Identifier(name), sql.Identifier(template)
    )
    connection = _connected(dsn)
    model = connection.execute(
        "select pg_get_userbyid(datdba) from pg_database where datname = %s and not datistemplate",
        [template],
    ).fetchone()
    connection.execute(
        create + sql.SQL(" owner {}").format(sql.Identifier(*model)) if model else create
    )
    try:
        if model:
            connection.execute(_COPY, {"model": template, "made": name})
        yield make_conninfo(dsn, dbname=name)
    finally:
        for watch in watchers:
            watch(make_conninfo(dsn, dbname=name))
        _drop(_connected(dsn), name)


def create_login(role: str, dsn: str, folder: Path) -> str:
    """Creates a login that is a member of a role and inherits what that may do.

    The server sees the password only as a SCRAM verifier, so no log can hold it.

    Args:
        role: the role.
        dsn: the database to connect to, as superuser.
        folder: where the login's password is kept, in a file that only we can read.

    Returns:
        the conninfo of the new login, to the same database.
    """
    name, password = new_name("login"), secrets.token_urlsafe(24)
    connection = _connected(_maintenance(dsn))
    verifier = connection.pgconn.encrypt_password(
        password.encode(), name.encode(), b"scram-sha-256"
    )
    login = sql.Identifier(name)
    connection.execute(sql.SQL("create role {} login password {}").format(login, verifier.decode()))
    # Before 16 a membership inherits as its member says; later it says so itself.
    inherit = sql.SQL(" with inherit true" if connection.info.server_version >= 160000 else "")
    connection.execute(sql.SQL("grant {} to {}{}").format(sql.Identifier(role), login, inherit))
    return without_password(make_conninfo(dsn, user=name, password=password), folder)


def drop_login(name: str, dsn: str) -> None:
    """Ends a login's connections and drops it with everything it owns in one database.

    Args:
        name: the login.
        dsn: the database it was made for, as superuser; if that or its server is gone, so is
            what the login owned there.

    Raises:
        psycopg.errors.DependentObjectsStillExist: it owns something in another database.
    """
    login = sql.Identifier(name)
    drop = sql.SQL("drop role if exists {}").format(login)
    try:
        connection = _connected(_maintenance(dsn))
    except psycopg.OperationalError:
        return
    connection.execute(
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = %s", [name]
    )
    try:
        connection.execute(drop)
    except psycopg.errors.DependentObjectsStillExist:
        try:
            there = psycopg.connect(dsn, autocommit=True)
        except psycopg.OperationalError:
            pass  # the database is gone, with what the login owned there
        else:
            with there:
                there.execute(sql.SQL("drop owned by {}").format(login))
        connection.execute(drop)
