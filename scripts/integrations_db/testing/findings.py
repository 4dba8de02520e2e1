"""What the extension plpgsql_check finds in the functions and trigger functions of a database.

All of its checks: errors, other and extra warnings, performance, security, compatibility. The
database is changed by ``create extension`` at most, and that is rolled back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import LiteralString

import psycopg

from .bodies import Written, find

__all__ = ["EXTENSION", "Finding", "findings", "with_extension"]

EXTENSION = "plpgsql_check"

# A trigger function is checked once for each relation whose trigger calls it; without one it is
# not: plpgsql_check wants to know what NEW and OLD are.
_FUNCTIONS: LiteralString = """
    select distinct p.oid::regprocedure::text, n.nspname || '.' || p.proname, p.prosrc,
           coalesce(t.tgrelid, 0)
      from pg_catalog.pg_proc as p
           join pg_catalog.pg_namespace as n on n.oid = p.pronamespace
           join pg_catalog.pg_language as l on l.oid = p.prolang
           left join pg_catalog.pg_trigger as t on t.tgfoid = p.oid
     where l.lanname = 'plpgsql'
     order by 1, 4
"""
_CHECK: LiteralString = """
    select lineno, level, sqlstate, message, detail, hint
      from {schema}.plpgsql_check_function_tb(
             %s::regprocedure, %s::oid::regclass, fatal_errors => false, all_warnings => true)
"""


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that plpgsql_check has to say.

    Attributes:
        function: the function's name with its schema, without arguments.
        place: the script and its line; the line that creates the function, if all of it is meant.
        level: ``error``, ``warning``, ``warning extra``, ``performance``, ``security`` or
            ``compatibility``.
        message: what is wrong.
        advice: detail and hint, if there are any.
    """

    function: str
    place: str
    level: str
    message: str
    advice: str

    def __str__(self) -> str:
        """Says it in a line."""
        return f"{self.place}: {self.level}: {self.function}: {self.message}" + (
            f" ({self.advice})" if self.advice else ""
        )


def with_extension(connection: psycopg.Connection) -> str:
    """Makes the extension usable until the transaction is rolled back.

    Returns:
        the schema it is in, quoted if need be.

    Raises:
        psycopg.errors.FeatureNotSupported: the server does not have it (``CREATE EXTENSION``).
    """
    # Also where an event trigger of the database would refuse it.
    connection.execute("set local session_replication_role = replica")
    where = (
        "select extnamespace::regnamespace::text from pg_catalog.pg_extension where extname = %s"
    )
    row = connection.execute(where, [EXTENSION]).fetchone()
    if row is None:
        connection.execute("create schema plpgsql_check_for_tests")
        connection.execute("create extension plpgsql_check schema plpgsql_check_for_tests")
        return "plpgsql_check_for_tests"
    return str(row[0])


def findings(conninfo: str, functions: Sequence[Written]) -> list[Finding]:
    """Checks the functions that scripts created, as a superuser may.

    Args:
        conninfo: a database in which the scripts are deployed, as superuser.
        functions: what the scripts create; others in the database are not looked at.

    Raises:
        LookupError: a script's function is not in the database, or a trigger function of it has no
            trigger, so that it cannot be checked; the message names them.
        psycopg.Error: as ``with_extension``.
    """
    found: list[Finding] = []
    missing = {one.name for one in functions}
    with psycopg.connect(conninfo) as connection:
        connection.execute("set local search_path = pg_catalog")
        check = _CHECK.replace("{schema}", with_extension(connection))
        for signature, name, body, relation in connection.execute(_FUNCTIONS).fetchall():
            script = find(functions, name, body)
            if script is None:
                continue
            missing.discard(name)
            rows = connection.execute(check.encode(), [signature, relation]).fetchall()
            for line, level, state, message, detail, hint in rows:
                where = script.line if line is None else script.line_of(body, line)
                text = message if state == "00000" else f"{message} ({state})"
                advice = " ".join(part for part in (detail, hint) if part)
                one = Finding(name, f"{script.path}:{where}", level, text, advice)
                if one not in found:
                    found.append(one)
        connection.rollback()
    if missing:
        raise LookupError(f"not in the database as it is written: {', '.join(sorted(missing))}")
    return found
