"""Which database the documents tell of: one that is named, or what the plan builds."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import closing

import psycopg
from psycopg import errors

from integrations_db import drift, marker, state, throwaway
from integrations_db.config import Committer, Target
from integrations_db.database import connect
from integrations_db.deploy import deploy
from integrations_db.docs import model
from integrations_db.docs.model import Model
from integrations_db.errors import Failure
from integrations_db.output import counted
from integrations_db.project import Project
from integrations_db.registry import Connection
from integrations_db.terminal import Quiet
from integrations_db.transaction import Listener, atomic, reported

__all__ = ["of_database", "of_plan"]

_NOBODY = Committer("docs", "docs@localhost")  # recorded in the scratch, which nobody sees


def of_plan(project: Project, schemas: Sequence[str], variables: Mapping[str, str]) -> Model:
    """Reads what the plan builds, on an embedded server that is thrown away.

    Args:
        project: whose plan.
        schemas: the only ones to read; none: all.
        variables: of psql, for the scripts.

    Raises:
        Failure: it cannot be built.
    """
    with throwaway.own_server() as there, closing(connect(there, lambda _: None)) as conn:
        try:
            deploy(conn, project, there, _NOBODY, Quiet(), variables=variables, verify=False)
        except Failure as failure:
            raise Failure(
                f"what the plan says could not be built in an empty database:\n{failure}\n"
                "(That was a scratch of its own; name a TARGET to document a database that is "
                "there.)"
            ) from None
        return _read(conn, project, schemas)


def of_database(
    conn: Connection,
    project: Project,
    target: Target,
    listener: Listener,
    schemas: Sequence[str],
    variables: Mapping[str, str],
) -> Model:
    """Reads a database, and says in what it is not what the plan builds.

    Args:
        conn: an autocommit connection to it.
        project: whose plan.
        target: where the connection leads.
        listener: hears what is done, and what differs.
        schemas: the only ones to read; none: all.
        variables: of psql, for the scripts.

    Raises:
        Failure: nothing is deployed there.
    """
    with reported(conn):
        _compare(conn, project, target, listener, variables)
        with atomic(conn, keep=False, begin="BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"):
            return _read(conn, project, schemas)


def _read(conn: Connection, project: Project, schemas: Sequence[str]) -> Model:
    row = conn.execute(
        "select pg_catalog.pg_get_userbyid(nspowner) from pg_catalog.pg_namespace"
        " where nspname = %s",
        [project.registry],
    ).fetchone()
    deployer = row[0] if row else None
    found = model.read(
        conn, project.plan.project, (project.registry, marker.SCHEMA), deployer, schemas
    )
    if unknown := sorted(set(schemas) - {it.name for it in found.schemas}):
        raise Failure(f"there is nothing to document in the schema {', '.join(unknown)}.")
    if not found.schemas:
        raise Failure("there is nothing to document: no schema has a table, a type or a function.")
    return found


def _compare(
    conn: Connection,
    project: Project,
    target: Target,
    listener: Listener,
    variables: Mapping[str, str],
) -> None:
    """Says in what a database is not at the end of the plan, and in what it has drifted."""
    try:
        deployed = state.read(conn, project, older=True)
    except errors.InsufficientPrivilege as error:
        listener.say(
            f"the registry cannot be read ({error.diag.message_primary}), so whether this is what "
            "the plan builds is not known"
        )
        return
    if not deployed:
        raise Failure(
            f"no change of {project.plan.project} is deployed here. Without a TARGET, what the "
            "plan builds is documented."
        )
    if why := state.stray(project.plan, deployed):
        listener.say(f"documented is the database as it is, not the plan: {why}")
        return
    if pending := len(project.plan.changes) - len(deployed):
        listener.say(
            f"documented is the database as it is, not the end of the plan: {counted(pending)} "
            f"pending, from {project.plan.changes[len(deployed)].name} on"
        )
    if edited := state.edited(project, deployed):
        listener.say(
            "documented is the database as it is: since the deployment, scripts were edited: "
            f"{', '.join(edited)}"
        )
    try:
        found = drift.drift(conn, project, target, Quiet(), variables=variables).differences
    except (Failure, psycopg.Error) as error:
        first = str(error).splitlines()[0]
        listener.say(f"whether the database has drifted from its plan is not known: {first}")
        return
    if other := drift.owner_of(conn, project.registry):
        # That another deployed is no drift, nor that its things are its own.
        own = {f"privileges of {other}", f'privileges of "{other}"'}
        found = tuple(
            it for it in found if not drift.of_the_deployer(it) and it.property not in own
        )
    if found:
        listener.say(
            "documented is the database as it is, and it has drifted from its plan: "
            f"{counted(len(found), 'difference')}; integrations-db drift names them"
        )
