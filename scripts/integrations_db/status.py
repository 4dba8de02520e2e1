"""How far a database is: what is deployed, what is pending and how it will run, what was edited."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from psycopg import sql

from integrations_db import marker, state
from integrations_db.marker import Unfinished
from integrations_db.plan import Change
from integrations_db.project import Project
from integrations_db.registry import Connection, Deployed, named
from integrations_db.script import Execution, Kind, ScriptError
from integrations_db.transaction import reported

__all__ = ["Pending", "Status", "execution", "status"]

_VERIFIED: tuple[Kind, ...] = ("deploy", "verify")


@dataclass(frozen=True, slots=True)
class Pending:
    """A change that is not deployed.

    Attributes:
        change: of the plan.
        execution: ``atomic`` when one transaction will hold its scripts and its record; else how it
            will run; ``unreadable``: it cannot.
        why: why it is not atomic, with file and line, or None.
    """

    change: Change
    execution: Execution | Literal["unreadable"]
    why: str | None


@dataclass(frozen=True, slots=True)
class Status:
    """A project's state in a database.

    Attributes:
        deployed: number of deployed changes.
        pending: the changes to come.
        latest: the last deployed change.
        tags: of the deployed changes, with their ``@``, in the order of their deployment.
        changed: names of deployed changes whose deploy script is no longer what was deployed.
        unfinished: scripts that were begun and not finished.
        stray: why the database does not follow the plan, or None.
    """

    deployed: int
    pending: tuple[Pending, ...]
    latest: Deployed | None = None
    tags: tuple[str, ...] = ()
    changed: tuple[str, ...] = ()
    unfinished: tuple[Unfinished, ...] = ()
    stray: str | None = None


def status(conn: Connection, project: Project) -> Status:
    """Reads how far a database is; takes no lock and changes nothing.

    Raises:
        Failure: the registry cannot be read.
    """
    plan = project.plan
    with reported(conn):
        deployed = state.read(conn, project, older=True)
        tags = _tags(conn, project) if deployed else ()
        unfinished = marker.unfinished(conn, project.registry, plan.project)
    known = {there.id for there in deployed}
    stray = state.stray(plan, deployed)
    return Status(
        deployed=len(deployed),
        pending=tuple(
            Pending(change, *execution(project, index))
            for index, change in enumerate(plan.changes)
            if change.id not in known
        ),
        latest=deployed[-1] if deployed else None,
        tags=tags,
        changed=() if stray else state.edited(project, deployed),
        unfinished=tuple(mark for mark in unfinished if not mark.settled(known)),
        stray=stray,
    )


def _tags(conn: Connection, project: Project) -> tuple[str, ...]:
    """Returns the deployed tags of a project."""
    rows = conn.execute(
        sql.SQL("select tag from {} where project = %s order by committed_at").format(
            named(project.registry, "tags")
        ),
        (project.plan.project,),
    )
    return tuple(row[0] for row in rows)


def execution(
    project: Project, index: int, kinds: tuple[Kind, ...] = _VERIFIED
) -> tuple[Execution | Literal["unreadable"], str | None]:
    """Returns how a change will run, and why it is not atomic; by default deployed and verified."""
    for kind in kinds:
        if kind == "verify" and not project.path(index, kind).is_file():
            continue
        try:
            script = project.script(index, kind, project.variables(kind, {}))
        except ScriptError as error:
            return "unreadable", str(error)
        if script.execution != "atomic":
            return script.execution, script.why
    return "atomic", None
