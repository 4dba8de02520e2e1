"""What the registry of a database says is deployed, against the plan."""

from __future__ import annotations

from collections.abc import Sequence

from integrations_db import registry
from integrations_db.config import Target
from integrations_db.errors import Changed, Failure
from integrations_db.plan import Plan
from integrations_db.project import Project
from integrations_db.registry import Connection, Deployed

__all__ = ["edited", "follow", "read", "stray"]


def read(conn: Connection, project: Project, older: bool = False) -> list[Deployed]:
    """Returns the deployed changes; none when there is no registry.

    Args:
        conn: the connection.
        project: whose changes.
        older: whether a registry that has to be upgraded will do.

    Raises:
        Failure: the registry is of another version, or no registry.
    """
    version = registry.version(conn, project.registry)
    if version is None:
        return []
    if version != registry.VERSION and not older:
        raise Failure(
            f"the registry (schema {project.registry}) is of an old version "
            f"({'before 1.0' if version == '0' else version}). Nothing was touched; "
            "the next deploy upgrades it, and so does `sqitch upgrade`."
        )
    return registry.deployed_changes(
        conn, project.registry, project.plan.project, hashes=version != "0"
    )


def stray(plan: Plan, deployed: Sequence[Deployed]) -> str | None:
    """Returns why the deployed changes are not the beginning of the plan, or None."""
    for index, there in enumerate(deployed):
        planned = plan.changes[index] if index < len(plan.changes) else None
        if planned is not None and planned.id == there.id:
            continue
        head = f'the database has "{there.name}" (ID {there.id}) as change {index + 1}, '
        if planned is None:
            return head + f"and {plan.file} ends before it: the plan here is older, or was cut"
        here = f'{plan.file}:{planned.line} has "{planned.name}" there'
        if planned.name == there.name:
            return head + (
                f"and {here} with another ID: this line of the plan, or one before it, was edited "
                "after the deployment (names, notes, dates, dependencies and order all count)"
            )
        return head + f"but {here}: lines of the plan were added, removed or moved"
    return None


def follow(project: Project, deployed: Sequence[Deployed], target: Target) -> int:
    """Returns how many changes are deployed; refuses a database that left the plan."""
    if why := stray(project.plan, deployed):
        anew = ""
        if target.embedded:
            from integrations_db.server import state_dir  # what only this needs is big

            anew = (
                "\nOr begin anew, if nothing in it is needed: integrations-db server stop, then "
                f"remove {state_dir()}, which all databases of this server are in."
            )
        raise Changed(
            f"{why}.\nNothing was touched. Use the plan this database was deployed with "
            f"(check the branch), or restore the edited lines.{anew}"
        )
    return len(deployed)


def edited(project: Project, deployed: Sequence[Deployed]) -> tuple[str, ...]:
    """Returns the names of deployed changes whose deploy script was edited since."""
    return tuple(
        there.name
        for index, there in enumerate(deployed)
        if there.script_hash is not None and project.hash(index) != there.script_hash
    )
