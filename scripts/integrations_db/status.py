"""How far a database is: what is deployed, what is pending, what was edited since."""

from __future__ import annotations

from dataclasses import dataclass

from integrations_db import state
from integrations_db.plan import Change
from integrations_db.project import Project
from integrations_db.registry import Connection, Deployed
from integrations_db.transaction import reported

__all__ = ["Status", "status"]


@dataclass(frozen=True, slots=True)
class Status:
    """A project's state in a database.

    Attributes:
        deployed: number of deployed changes, from the start of the plan.
        pending: the changes to come.
        latest: the last deployed change.
        changed: names of deployed changes whose deploy script is no longer what was deployed.
        stray: why the database does not follow the plan, or None.
    """

    deployed: int
    pending: tuple[Change, ...]
    latest: Deployed | None = None
    changed: tuple[str, ...] = ()
    stray: str | None = None


def status(conn: Connection, project: Project) -> Status:
    """Reads how far a database is; takes no lock and changes nothing.

    Raises:
        Failure: the registry cannot be read.
    """
    with reported(conn):
        deployed = state.read(conn, project)
    latest = deployed[-1] if deployed else None
    stray = state.stray(project.plan, deployed)
    if stray:
        known = {there.id for there in deployed}
        pending = tuple(c for c in project.plan.changes if c.id not in known)
        return Status(len(deployed), pending, latest, stray=stray)
    return Status(
        deployed=len(deployed),
        pending=project.plan.changes[len(deployed) :],
        latest=latest,
        changed=state.edited(project, deployed),
    )
