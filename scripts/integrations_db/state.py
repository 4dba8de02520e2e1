"""What the registry of a database says is deployed, against the plan."""

from __future__ import annotations

from collections.abc import Sequence

from integrations_db import registry
from integrations_db.errors import Changed
from integrations_db.plan import Plan
from integrations_db.project import Project
from integrations_db.registry import Connection, Deployed

__all__ = ["edited", "follow", "read", "stray"]


def read(conn: Connection, project: Project) -> list[Deployed]:
    """Returns the deployed changes; none when there is no registry."""
    if not registry.exists(conn, project.registry):
        return []
    return registry.deployed_changes(conn, project.registry, project.plan.project)


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


def follow(project: Project, deployed: Sequence[Deployed]) -> int:
    """Returns how many changes are deployed; refuses a database that left the plan."""
    if why := stray(project.plan, deployed):
        raise Changed(
            f"{why}.\nNothing was touched. Use the plan this database was deployed with "
            "(check the branch), or restore the edited lines."
        )
    return len(deployed)


def edited(project: Project, deployed: Sequence[Deployed]) -> tuple[str, ...]:
    """Returns the names of deployed changes whose deploy script was edited since."""
    return tuple(
        there.name
        for index, there in enumerate(deployed)
        if there.script_hash is not None and project.hash(index) != there.script_hash
    )
