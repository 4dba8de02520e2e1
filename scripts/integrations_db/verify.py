"""Runs the verify scripts of what is deployed."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType

from integrations_db import state
from integrations_db.config import Target
from integrations_db.database import gone
from integrations_db.errors import Failure
from integrations_db.project import Project
from integrations_db.registry import Connection
from integrations_db.transaction import (
    Listener,
    ScriptFailed,
    atomic,
    explain_failure,
    limit,
    lost,
    reported,
    run_script,
)

__all__ = ["Verification", "verify"]


@dataclass(frozen=True, slots=True)
class Verification:
    """What the verify scripts said.

    Attributes:
        verified: number of changes whose script ran without an error.
        unchecked: number of changes that have no verify script.
        problems: one message for each script that failed.
    """

    verified: int
    unchecked: int
    problems: tuple[str, ...]


def verify(
    conn: Connection,
    project: Project,
    target: Target,
    listener: Listener,
    *,
    variables: Mapping[str, str] = MappingProxyType({}),
    lock_timeout: float | None = None,
) -> Verification:
    """Runs the verify scripts of all deployed changes, each in a transaction that is rolled back.

    Args:
        conn: an autocommit connection.
        project: whose changes.
        target: where conn leads, for scripts that only psql can run.
        listener: hears the progress.
        variables: given with --set.
        lock_timeout: as for ``deploy``.

    Raises:
        Changed: the database does not follow the plan.
        Failure: a script cannot be run.
    """
    with reported(conn):
        deployed = state.follow(project, state.read(conn, project))
        last = {change.name: index for index, change in enumerate(project.plan.changes)}
        # A reworked change is verified by its last version, if that one is deployed.
        indexes = [
            index for index in range(deployed) if index == last[project.plan.changes[index].name]
        ]
        scripts = {
            index: project.script(index, "verify")
            for index in indexes
            if project.path(index, "verify").exists()
        }
        listener.started("verify", len(indexes))
        problems: list[str] = []
        for index in indexes:
            change = project.plan.changes[index]
            began = time.monotonic()
            listener.change("verify", change.title)
            if index not in scripts:
                listener.done(change.title, 0, "has no verify script")
                continue
            try:
                with atomic(conn, keep=False):
                    limit(conn, lock_timeout)
                    run_script(conn, scripts[index], lock_timeout)
            except ScriptFailed as failed:
                if gone(conn):
                    raise Failure(lost(failed.error)) from None
                listener.failed(change.title)
                problems.append(explain_failure(failed))
            else:
                listener.done(change.title, time.monotonic() - began)
        return Verification(
            len(scripts) - len(problems), len(indexes) - len(scripts), tuple(problems)
        )
