"""Compares a database with what its plan builds.

The deployed part of the plan is built in an empty database, the catalogues of both are read
(``catalogue``), and the scratch is thrown away. On the server of the database itself all of that
happens in one transaction that is rolled back, so that nothing of it reaches what databases share,
such as roles. What no transaction can hold is built on a server of its own.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from types import MappingProxyType
from typing import Literal

import psycopg
from psycopg import sql
from psycopg.conninfo import make_conninfo

from integrations_db import catalogue, marker, state, throwaway
from integrations_db.catalogue import Catalogue, Difference
from integrations_db.config import Committer, Target
from integrations_db.database import calm, connect, explain
from integrations_db.deploy import deploy
from integrations_db.errors import Failure
from integrations_db.project import Project
from integrations_db.registry import Connection
from integrations_db.terminal import Quiet
from integrations_db.transaction import Listener, atomic, reported

__all__ = ["Drift", "Scratch", "drift", "of_the_deployer", "owner_of"]

Scratch = Literal["auto", "here", "own"]

_NOBODY = Committer("drift", "drift@localhost")  # recorded in the scratch, which nobody sees


@dataclass(frozen=True, slots=True)
class Drift:
    """What was compared, and what differs.

    Attributes:
        deployed: how many changes the database has.
        pending: how many more the plan has.
        edited: deployed changes whose deploy script was edited since; what it says now was built.
        built_on: where the scratch was.
        differences: what differs, but for what was to be ignored.
        ignored: how many differences were.
        partitions: partitions that only one of the two has, which is no difference.
    """

    deployed: int
    pending: int
    edited: tuple[str, ...]
    built_on: str
    differences: tuple[Difference, ...]
    ignored: int
    partitions: tuple[str, ...]


def drift(
    conn: Connection,
    project: Project,
    target: Target,
    listener: Listener,
    *,
    scratch: Scratch = "auto",
    template: str = "template0",
    ignore: tuple[str, ...] = (),
    variables: Mapping[str, str] = MappingProxyType({}),
) -> Drift:
    """Compares a database with what its plan builds.

    Args:
        conn: an autocommit connection to it.
        project: whose plan.
        target: where the connection leads.
        listener: hears what is done.
        scratch: where to build: ``here``, on the server of the database; on an ``own`` server, the
            embedded one; ``auto``: here, if the role may and one transaction can hold it.
        template: what the database is made from that is built ``here``.
        ignore: patterns (``*``, ``?``) of differences to leave out, as ``KIND NAME``.
        variables: of psql, for the scripts.

    Raises:
        Changed: the database does not follow the plan.
        Failure: nothing is deployed, or the plan could not be built.
    """
    with reported(conn), _only_read():
        deployed = state.read(conn, project)
        count = state.follow(project, deployed, target)
        if not count:
            raise Failure("no change is deployed here, so there is nothing to compare.")
        edited = state.edited(project, deployed)
        last = project.plan.changes[count - 1].id
        build = _Build(project, last, variables)
        expected, other, built_on = _expected(conn, target, listener, build, scratch, template)
        with atomic(conn, keep=False, begin="BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            found = catalogue.read(conn, build.unseen, other)
        deployer = owner_of(conn, project.registry)
    compared = catalogue.compare(expected, found)
    if deployer and any(map(of_the_deployer, compared.differences)):
        listener.say(
            f"what the plan leaves to whoever deploys differs: {deployer} deployed here, and this "
            f"is {conn.info.user}; connect as {deployer}, or become it with "
            f"PGOPTIONS='-c role={deployer}'"
        )
    kept = tuple(it for it in compared.differences if not _ignored(it, ignore))
    return Drift(
        count,
        len(project.plan.changes) - count,
        edited,
        built_on,
        kept,
        len(compared.differences) - len(kept),
        compared.partitions,
    )


@contextmanager
def _only_read() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt as interrupt:
        interrupt.add_note("The database was only read.")
        raise


def owner_of(conn: Connection, schema: str) -> str | None:
    """Returns the owner of a schema, if it is another role than the one that asks."""
    row = conn.execute(
        "select pg_catalog.pg_get_userbyid(nspowner) from pg_catalog.pg_namespace"
        " where nspname = %s and pg_catalog.pg_get_userbyid(nspowner) <> current_user",
        [schema],
    ).fetchone()
    return row[0] if row else None


def of_the_deployer(it: Difference) -> bool:
    """Tells whether a difference is about what the plan leaves to whoever deploys."""
    return any(catalogue.DEPLOYER in (text or "") for text in (it.property, it.expected, it.found))


def _ignored(it: Difference, patterns: tuple[str, ...]) -> bool:
    # A bracket is one, as in integer[], and begins no set of characters.
    literal = (pattern.replace("[", "[[]") for pattern in patterns)
    return any(fnmatchcase(f"{it.kind} {it.name}", pattern) for pattern in literal)


@dataclass(frozen=True, slots=True)
class _Build:
    """What is to be built in a scratch.

    Attributes:
        project: whose plan.
        last: ID of the last change.
        variables: of psql, for the scripts.
    """

    project: Project
    last: str
    variables: Mapping[str, str]

    @property
    def unseen(self) -> tuple[str, ...]:
        """The schemas of the deployer itself."""
        return (self.project.registry, marker.SCHEMA)

    def run(self, own: Connection, target: Target, other: int, keep: bool) -> Catalogue | None:
        """Builds it in an empty database and reads its catalogue; None: no transaction can hold it.

        Args:
            own: a connection to the database.
            target: where it leads.
            other: see ``catalogue.read``.
            keep: whether it may be committed; else it is rolled back.

        Raises:
            Failure: it cannot be built.
        """
        read: list[Catalogue] = []

        def look(conn: Connection) -> None:
            read.append(catalogue.read(conn, self.unseen, other))

        try:
            done = deploy(
                own,
                self.project,
                target,
                _NOBODY,
                Quiet(),
                to=self.last,
                variables=self.variables,
                verify=False,
                dry_run=not keep,
                inspect=look,
            )
        except Failure as failure:
            raise Failure(
                f"what the plan says could not be built in an empty database:\n{failure}\n"
                "(That was the scratch of this comparison; the database itself was not touched.)"
            ) from None
        if not done.executed:
            return None
        if keep:
            look(own)
        return read[0]


def _expected(
    conn: Connection,
    target: Target,
    listener: Listener,
    build: _Build,
    scratch: Scratch,
    template: str,
) -> tuple[Catalogue, int, str]:
    """Returns what the plan builds, the version number of the server, and where that is."""
    version = conn.info.server_version
    why = "as was asked"
    if scratch != "own":
        why = "because its role may not create databases here"
        if scratch == "here" or _may_create(conn):
            try:
                built = _build_here(conn, target, listener, build, template, scratch == "here")
                why = (
                    "because no transaction can hold it, and what it commits would reach all "
                    "databases here"
                )
            except Failure as failure:
                # Most often because of what databases share: a role that is there already.
                if scratch == "here":
                    raise
                built, why = None, f"because here it fails: {failure}"
            if built is not None:
                if any(it.kind == "role" for it in built.values()):
                    listener.say(
                        "roles are of the whole server, so that what was changed of them by hand "
                        "shows only with --scratch own"
                    )
                return built, version, "this server"
    listener.say(f"building on a server of its own, {why}")
    with throwaway.own_server() as there, closing(connect(there, listener.say)) as own:
        built = build.run(own, there, version, keep=True)
        assert built is not None  # noqa: S101  # it was committed
        other = own.info.server_version
    if other // 10000 != version // 10000:
        listener.say(
            f"built on PostgreSQL {other // 10000}, and this is {version // 10000}: what only one "
            "of them knows is not compared, nor what views and rules say, which they word otherwise"
        )
    return built, other, f"an own server, PostgreSQL {other // 10000}"


def _build_here(
    conn: Connection,
    target: Target,
    listener: Listener,
    build: _Build,
    template: str,
    committed: bool,
) -> Catalogue | None:
    """Builds the plan in another database of the server; None: no transaction can hold it.

    Args:
        conn: a connection to the database to compare with.
        target: where it leads.
        listener: hears what is done.
        build: what to build.
        template: what the other database is made from.
        committed: whether what no transaction can hold is to be built all the same.

    Raises:
        Failure: it cannot be built.
    """
    with (
        _database(conn, target, listener, template) as there,
        closing(connect(there, listener.say)) as own,
    ):
        version = conn.info.server_version
        built = build.run(own, there, version, keep=False)
        if built is None and committed:
            listener.say(
                "no transaction can hold the plan, so it is committed in the scratch database: "
                "what it does to roles is done"
            )
            built = build.run(own, there, version, keep=True)
        return built


def _may_create(conn: Connection) -> bool:
    row = conn.execute(
        "select rolcreatedb or rolsuper from pg_catalog.pg_roles where rolname = current_user"
    ).fetchone()
    return row == (True,)


@contextmanager
def _database(
    conn: Connection, target: Target, listener: Listener, template: str
) -> Iterator[Target]:
    """Makes a database beside that of a connection, with the same encoding and locale.

    While it is in use, the connection holds an advisory lock for its name. One whose lock is free
    was left behind by a process that was killed; it is told.

    Raises:
        Failure: it cannot be made.
    """
    row = conn.execute(
        "select pg_catalog.pg_encoding_to_char(encoding), datcollate, datctype,"
        "   pg_catalog.to_jsonb(d) ->> 'datlocprovider',"
        "   coalesce(pg_catalog.to_jsonb(d) ->> 'datlocale',"
        "     pg_catalog.to_jsonb(d) ->> 'daticulocale')"
        " from pg_catalog.pg_database as d where datname = current_database()"
    ).fetchone()
    assert row is not None  # noqa: S101  # of the database that we are in
    encoding, collate, ctype, provider, locale = row
    # A name has at most 63 bytes.
    prefix = f"{conn.info.dbname.encode()[:40].decode(errors='ignore')}_drift_"
    left = conn.execute(
        "select datname from pg_catalog.pg_database where starts_with(datname, %s)"
        "   and substr(datname, char_length(%s) + 1) ~ '^[0-9a-f]{12}$'"
        "   and pg_try_advisory_xact_lock(hashtextextended(datname, 0))",
        [prefix, prefix],
    )
    for (old,) in left:
        listener.say(
            "an earlier comparison was killed and left its scratch database: DROP DATABASE "
            f"{sql.Identifier(old).as_string(conn)};"
        )
    scratch = prefix + secrets.token_hex(6)
    name = sql.Identifier(scratch)
    conn.execute("select pg_advisory_lock(hashtextextended(%s, 0))", [scratch])
    made = sql.SQL("create database {} template {} encoding {} lc_collate {} lc_ctype {}").format(
        name, sql.Identifier(template), encoding, collate, ctype
    )
    if provider == "i":
        made += sql.SQL(" locale_provider icu icu_locale {}").format(locale)
    elif provider == "b":
        made += sql.SQL(" locale_provider builtin builtin_locale {}").format(locale)
    refused = False
    try:
        try:
            conn.execute(made)
        except psycopg.Error as error:
            refused = True
            raise Failure(
                f"no scratch database could be made: {error.diag.message_primary}. Nothing was "
                "touched; with --scratch own it is built on a server of its own."
            ) from None
        yield Target(make_conninfo(target.dsn, dbname=scratch), target.embedded)
    finally:
        drop = sql.SQL("drop database if exists {} with (force)").format(name)
        try:
            calm(conn)
            if not refused:
                try:
                    conn.execute(drop)
                except psycopg.errors.InsufficientPrivilege:
                    # Who became another role may not end the sessions of its own login. They have
                    # ended; the server waits some seconds for them to be gone.
                    conn.execute(sql.SQL("drop database if exists {}").format(name))
            conn.execute("select pg_advisory_unlock(hashtextextended(%s, 0))", [scratch])
        except psycopg.Error as error:
            raise Failure(
                f"{explain(error)}\nThe scratch database is left behind, the database itself was "
                f"not touched. When the server can be reached: {drop.as_string(None)};"
            ) from None
        except KeyboardInterrupt as interrupt:
            interrupt.add_note(f"The scratch database may be left: {drop.as_string(None)};")
            raise
