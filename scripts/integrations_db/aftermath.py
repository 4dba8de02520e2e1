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
) -> str:
    """Returns what to say of a connection that was lost while a change was worked on.

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
    """
    several = first is not None and first.id != change.id
    names = f"{first.name} to {change.name}" if first and several else change.name
    verb, left = ("are", "they") if several else ("is", "it")
    head = f"the connection to the server was lost: {explain(error)}\n"
    done = "deployed and recorded" if action == "deploy" else "reverted, and that is recorded"
    try:
        there = _deployed(target, project, change)
    except (Failure, psycopg.Error) as again:
        why = str(again).splitlines()[0] if isinstance(again, Failure) else explain(again)
        if ran:
            return (
                f"{head}A new connection could not tell whether {names} {verb} {done} ({why}). "
                f"When the server is back, run status; unless it is:\n{ran}"
            )
        return (
            f"{head}A new connection could not tell what is left ({why}). {names} {verb} either "
            f"{done}, or wholly untouched: nothing is half done. When the server is back, run "
            f"status to see which, then {action} again."
        )
    if there is None and ran:
        return (
            f"{head}The server still records it, for a client that is gone. Run status in a while; "
            f"unless {names} {verb} {done} by then:\n{ran}"
        )
    if there is None:
        return (
            f"{head}The server still works on it, for a client that is gone. It will end either "
            f"{done}, or untouched. Run status in a while, then {action} again."
        )
    if there == (action == "deploy"):
        return (
            f"{head}Only the server's answer was lost: {names} {verb} {done}. "
            f"{action.capitalize()} again: it goes on from there."
        )
    if ran:
        return f"{head}{ran}"
    return (
        f"{head}The server rolled back what was not committed: {names} {verb} untouched"
        f"{' and still deployed' if action == 'revert' else f', {left} left nothing behind'}. "
        f"{action.capitalize()} again: it goes on from there."
    )


def _deployed(target: Target, project: Project, change: Change) -> bool | None:
    """Tells whether the registry has a change; None while the lost session still works."""
    with closing(connect(target, lambda _: None)) as conn:
        deadline = time.monotonic() + _WAIT
        while not registry.try_lock(conn):
            if time.monotonic() > deadline:
                return None
            time.sleep(0.1)
        if registry.version(conn, project.registry) is None:
            return False
        known = registry.deployed_changes(
            conn, project.registry, project.plan.project, hashes=False
        )
        return any(there.id == change.id for there in known)
