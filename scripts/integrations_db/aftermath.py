"""What is left when a connection is lost: looked up again, on a new one."""

from __future__ import annotations

import time
from contextlib import closing

import psycopg

from integrations_db import registry
from integrations_db.config import Target
from integrations_db.database import connect, explain
from integrations_db.errors import Failure
from integrations_db.plan import Change
from integrations_db.project import Project

__all__ = ["look_again"]

_WAIT = 10.0  # seconds for the server to notice that a session's client is gone


def look_again(
    target: Target,
    project: Project,
    change: Change,
    action: str,
    error: psycopg.Error,
    ran: str | None = None,
    first: Change | None = None,
    before: int = 0,
) -> tuple[bool, str]:
    """Looks at what became of a change while whose transaction the connection was lost.

    A COMMIT whose answer was lost may have been done; the registry tells, because it was written in
    the same transaction.

    Args:
        target: where the connection led.
        project: whose change.
        change: the one whose record was to come last in the transaction.
        action: deploy or revert.
        error: how the connection was lost.
        ran: what to say if a change is not recorded whose script has run apart, and so stays; None:
            the script went with its record.
        first: the first change of the transaction, if there were several.
        before: how many changes the plan has before those of the transaction, all of them deployed.

    Returns:
        Whether the change is known to be done and recorded, and what to say.
    """
    several = first is not None and first.id != change.id
    names = f"{first.name} to {change.name}" if first and several else change.name
    verb, left = ("are", "they") if several else ("is", "it")
    head = f"the connection to the server was lost: {explain(error)}\n"
    done = "deployed and recorded" if action == "deploy" else "reverted, and that is recorded"
    try:
        known = _deployed(target, project)
    except (Failure, psycopg.Error) as again:
        why = str(again).splitlines()[0] if isinstance(again, Failure) else explain(again)
        if ran:
            return False, (
                f"{head}A new connection could not tell whether {names} {verb} {done} ({why}). "
                f"When the server is back, run status; unless it is:\n{ran}"
            )
        return False, (
            f"{head}A new connection could not tell what is left ({why}). {names} {verb} either "
            f"{done}, or wholly untouched: nothing is half done. When the server is back, run "
            f"status to see which (a crash may have taken the changes just before it along), then "
            f"{action} again."
        )
    if known is None and ran:
        return False, (
            f"{head}The server still records it, for a client that is gone. Run status in a while; "
            f"unless {names} {verb} {done} by then:\n{ran}"
        )
    if known is None:
        return False, (
            f"{head}The server still works on it, for a client that is gone. It will end either "
            f"{done}, or untouched. Run status in a while, then {action} again."
        )
    if (change.id in known) == (action == "deploy"):
        return True, (
            f"{head}Only the server's answer was lost: {names} {verb} {done}. "
            f"{action.capitalize()} again: it goes on from there."
        )
    if ran:
        return False, f"{head}{ran}"
    if lost := [there.name for there in project.plan.changes[:before] if there.id not in known]:
        # Only the last commit of a run waits for the disk.
        head += (
            "The server crashed so soon after these changes that they are gone, too, each with its "
            f"record: {', '.join(lost)}.\n"
        )
    return False, (
        f"{head}The server rolled back what was not committed: {names} {verb} untouched"
        f"{' and still deployed' if action == 'revert' else f', {left} left nothing behind'}. "
        f"{action.capitalize()} again: it goes on from there."
    )


def _deployed(target: Target, project: Project) -> set[str] | None:
    """Returns the IDs of the deployed changes; None while the lost session still works."""
    with closing(connect(target, lambda _: None)) as conn:
        deadline = time.monotonic() + _WAIT
        while not registry.try_lock(conn):
            if time.monotonic() > deadline:
                return None
            time.sleep(0.1)
        if registry.version(conn, project.registry) is None:
            return set()
        known = registry.deployed_changes(
            conn, project.registry, project.plan.project, hashes=False
        )
        return {there.id for there in known}
