"""What ran of the functions in PL/pgSQL while tests ran: profiles of the extension plpgsql_check.

The server keeps them in shared memory, apart for each database and each function, whatever was
rolled back and however a function ended. So they are read from each database before it is dropped,
and added up here: by the function's name and arguments, and its body.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, LiteralString

import psycopg
from psycopg.conninfo import make_conninfo

from .findings import with_extension

__all__ = ["HOW_TO_GET", "SETTINGS", "Function", "Profiles", "Statement", "measures", "read"]

SETTINGS = {
    "shared_preload_libraries": "plpgsql_check",
    "plpgsql_check.profiler": "on",
    "plpgsql_check.profiler_max_shared_chunks": "50000",  # thirty statements each, of 2 kB
    "track_functions": "all",  # how often functions in SQL were called
}
"""What a server must be started with."""

HOW_TO_GET = (
    "Coverage of PL/pgSQL needs the extension plpgsql_check on the test server, for its profiler."
    " On Debian and Ubuntu: apt-get install postgresql-15-pgtap postgresql-15-plpgsql-check, and"
    " TEST_SERVER=local; with TEST_SERVER=dsn the server must be started with "
    + ", ".join(f"{name} = {value}" for name, value in SETTINGS.items())
)

_STATEMENTS: LiteralString = """
    select p.oid::regprocedure::text, n.nspname || '.' || p.proname, p.prosrc,
           s.stmtid, s.parent_stmtid, s.parent_note, s.block_num, s.lineno, s.stmtname, s.exec_stmts
      from pg_catalog.pg_proc as p
           join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
           join pg_catalog.pg_language as l on l.oid = p.prolang
           cross join lateral
             {schema}.plpgsql_profiler_function_statements_tb(p.oid::regprocedure) as s
     where l.lanname = 'plpgsql'
       and not exists (select from pg_catalog.pg_depend as d
                        where d.classid = 'pg_proc'::regclass and d.objid = p.oid
                          and d.deptype = 'e')
     order by 1, s.stmtid
"""
# The memory is that of all databases together, and this one is about to be dropped.
_FORGET: LiteralString = """
    select {schema}.plpgsql_profiler_reset(f.funcoid)
      from {schema}.plpgsql_profiler_functions_all() as f
"""
_SQL_FUNCTIONS: LiteralString = """
    select p.oid::regprocedure::text, coalesce(s.calls, 0)
      from pg_catalog.pg_proc as p
           join pg_catalog.pg_language as l on l.oid = p.prolang
           left join pg_catalog.pg_stat_user_functions as s on s.funcid = p.oid
     where l.lanname = 'sql'
       and p.oid >= 16384
       and not exists (select from pg_catalog.pg_depend as d
                        where d.classid = 'pg_proc'::regclass and d.objid = p.oid
                          and d.deptype = 'e')
"""


@dataclass(frozen=True, slots=True)
class Statement:
    """A statement of a function, and how often it ran.

    Attributes:
        number: its place among the function's statements; 0 is the function's own block.
        parent: the number of the statement it is a part of.
        part: of which part, such as ``then body``.
        place: its place in that part, from 1.
        line: its line in the body, as PL/pgSQL counts.
        kind: what it is, such as ``IF``.
        runs: how often it ran, also if that ended in an error.
    """

    number: int
    parent: int | None
    part: str | None
    place: int
    line: int
    kind: str
    runs: int


@dataclass(frozen=True, slots=True)
class Function:
    """A function as a catalogue has it: with arguments, name without them, and the body."""

    signature: str
    name: str
    body: str


class Profiles:
    """What ran, added up.

    Attributes:
        functions: for each function its statements, in order.
        calls: how often each function in SQL was called, as far as the planner left it a call.
        unread: why databases could not be read, and how many.
    """

    def __init__(self) -> None:
        self.functions: dict[Function, list[Statement]] = {}
        self.calls: Counter[str] = Counter()
        self.unread: Counter[str] = Counter()

    def add(self, function: Function, statements: list[Statement]) -> None:
        """Adds the runs of a function's statements to those known."""
        known = self.functions.get(function)
        self.functions[function] = (
            [
                replace(old, runs=old.runs + new.runs)
                for old, new in zip(known, statements, strict=True)
            ]
            if known
            else statements
        )

    def take(self, conninfo: str) -> None:
        """Takes what a database has to tell, and what it knows of it out of the server's memory.

        A database that cannot be read is counted, and no error: tests end servers and lock others
        out of databases.

        Args:
            conninfo: the database, as superuser.
        """
        patient = make_conninfo(
            conninfo,
            connect_timeout=10,
            options="-c lock_timeout=5s -c statement_timeout=60s"
            " -c default_transaction_read_only=off",
        )
        try:
            with psycopg.connect(patient) as connection:
                connection.execute("set local search_path = pg_catalog")
                calls = connection.execute(_SQL_FUNCTIONS).fetchall()
                schema = with_extension(connection)
                rows = connection.execute(
                    _STATEMENTS.replace("{schema}", schema).encode()
                ).fetchall()
                connection.execute(_FORGET.replace("{schema}", schema).encode())
                connection.rollback()
        except psycopg.Error as error:
            self.unread[(str(error) or type(error).__name__).splitlines()[0]] += 1
            return
        found: dict[Function, list[Statement]] = {}
        for signature, name, body, *statement in rows:
            found.setdefault(Function(signature, name, body), []).append(Statement(*statement))
        for function, statements in found.items():
            self.add(function, statements)
        self.calls.update(dict(calls))

    def write(self, file: Path) -> None:
        """Writes everything to a file."""
        functions = [
            [one.signature, one.name, one.body, [_values(each) for each in statements]]
            for one, statements in self.functions.items()
        ]
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(
            json.dumps({"functions": functions, "calls": self.calls, "unread": self.unread}),
            encoding="utf-8",
        )


def _values(statement: Statement) -> list[Any]:
    return [getattr(statement, name) for name in Statement.__slots__]


def read(files: Iterable[Path]) -> Profiles:
    """Adds up what several processes or runs have written.

    Raises:
        OSError: a file cannot be read.
        ValueError: a file is none of ours.
    """
    profiles = Profiles()
    for file in files:
        try:
            content: Mapping[str, Any] = json.loads(file.read_text(encoding="utf-8"))
            for signature, name, body, statements in content["functions"]:
                profiles.add(
                    Function(signature, name, body), [Statement(*each) for each in statements]
                )
            profiles.calls.update(content["calls"])
            profiles.unread.update(content["unread"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(f"{file} is no profile that a test run wrote ({error})") from None
    return profiles


def measures(conninfo: str) -> bool:
    """Says whether the server profiles functions, for all sessions together.

    Args:
        conninfo: any database of it, as superuser.
    """
    with psycopg.connect(conninfo) as connection:
        row = connection.execute(
            "select current_setting('plpgsql_check.profiler', true) = 'on'"
            " and current_setting('shared_preload_libraries') ~ '\\mplpgsql_check\\M'"
        ).fetchone()
    return bool(row and row[0])
