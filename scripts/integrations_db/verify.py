"""Verifies what is deployed, with the findings of ``sqitch verify`` and by the same rules.

Each deployed change must stand where the plan has it and pass its verify script; each planned one
before the last deployed must be deployed. A change that is reworked later is not verified: its
script speaks of what is no longer there. All findings are collected before anything is reported.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal

from integrations_db import state
from integrations_db.config import Target
from integrations_db.database import gone
from integrations_db.errors import Failure
from integrations_db.plan import Change, Plan, rework_tags
from integrations_db.project import Project
from integrations_db.registry import Connection, Deployed
from integrations_db.script import ScriptError
from integrations_db.transaction import (
    Listener,
    ScriptFailed,
    explain_failure,
    lost,
    psql_variables,
    reported,
    run_verify,
)

__all__ = ["Finding", "Verification", "verify"]


@dataclass(frozen=True, slots=True)
class Finding:
    """Why a change does not pass.

    Attributes:
        change: its name.
        change_id: its ID.
        kind: ``failed``: its verify script; ``locked``: others held what that script needs, so
            it said nothing; ``out of order``: deployed at another place than the
            plan has it; ``unplanned``: deployed, but not in the plan; ``undeployed``: planned
            before the last deployed change, but not deployed.
        message: what there is to say.
    """

    change: str
    change_id: str
    kind: Literal["failed", "locked", "out of order", "unplanned", "undeployed"]
    message: str


@dataclass(frozen=True, slots=True)
class Verification:
    """What was verified.

    Attributes:
        deployed: number of deployed changes.
        verified: number of changes whose script ran without an error.
        unchecked: names of changes that have no verify script.
        reworked: number of changes that a later one of the same name replaces.
        findings: why others do not pass, in the order of their deployment.
        pending: the changes planned after the last deployed one.
    """

    deployed: int
    verified: int
    unchecked: tuple[str, ...]
    reworked: int
    findings: tuple[Finding, ...]
    pending: tuple[Change, ...]


def verify(
    conn: Connection,
    project: Project,
    target: Target,
    listener: Listener,
    *,
    variables: Mapping[str, str] = MappingProxyType({}),
    lock_timeout: float | None = None,
) -> Verification:
    """Verifies all deployed changes; nothing is kept of what their verify scripts do.

    Args:
        conn: an autocommit connection.
        project: whose changes.
        target: where conn leads, for scripts that only psql can run.
        listener: hears the progress.
        variables: of psql, given with ``--set``.
        lock_timeout: as for ``deploy``.

    Raises:
        Failure: the registry cannot be read, or the connection was lost.
    """
    plan = project.plan

    def run(index: int) -> tuple[Literal["ok", "failed", "locked"], str]:
        """Runs a verify script; returns what came of it, and what there is to say."""
        try:
            script = project.script(index, "verify", substituted)
            run_verify(
                conn,
                target,
                project,
                script,
                listener,
                variables=variables,
                lock_timeout=lock_timeout,
            )
        except ScriptError as error:
            return "failed", str(error)
        except ScriptFailed as failed:
            if gone(conn):
                raise Failure(lost(failed.error)) from None
            return "locked" if failed.busy else "failed", explain_failure(failed)
        by = {"atomic": "", "not atomic": f" (not atomic: {script.why})"}
        return "ok", f"ok{by.get(script.execution, f' (by psql: {script.why})')}"

    index_of = {change.id: index for index, change in enumerate(plan.changes)}
    findings: list[Finding] = []
    unchecked: list[str] = []
    verified = reworked = 0
    with reported(conn):
        deployed = state.read(conn, project, older=True)
        substituted = psql_variables(conn, project, "verify", variables)
        listener.started("verify", len(deployed))
        for position, there in enumerate(deployed):
            began = time.monotonic()
            index = index_of.get(there.id)
            title = there.name if index is None else plan.changes[index].title
            listener.change("verify", title)
            found = list(_misplaced(plan, there, index, position))
            remark = "ok"
            if index is None:
                pass  # whatever its script was, it is not of this plan
            elif rework_tags(plan, index):
                reworked += 1
                remark = "not verified: it is reworked later"
            elif not project.path(index, "verify").is_file():
                unchecked.append(there.name)
                remark = "has no verify script"
            else:
                outcome, remark = run(index)
                if outcome == "ok":
                    verified += 1
                else:
                    found.append(Finding(there.name, there.id, outcome, remark))
            findings += found
            if found:
                listener.failed(title)
            else:
                listener.done(title, time.monotonic() - began, remark)
    last = index_of.get(deployed[-1].id, len(plan.changes) - 1) if deployed else -1
    known = {there.id for there in deployed}
    for change in plan.changes[: last + 1]:
        if change.id not in known:
            why = f"{plan.file}:{change.line}: {change.name}: planned, but not deployed"
            findings.append(Finding(change.name, change.id, "undeployed", why))
    return Verification(
        deployed=len(deployed),
        verified=verified,
        unchecked=tuple(unchecked),
        reworked=reworked,
        findings=tuple(findings),
        pending=tuple(c for c in plan.changes[last + 1 :] if c.id not in known),
    )


def _misplaced(plan: Plan, there: Deployed, index: int | None, position: int) -> Iterator[Finding]:
    """Tells whether a deployed change stands elsewhere in the plan, or not at all."""
    if index is None:
        why = f"{there.name}: deployed, but not in the plan (ID {there.id})"
        yield Finding(there.name, there.id, "unplanned", why)
    elif index != position:
        why = (
            f"{plan.file}:{plan.changes[index].line}: {there.name}: out of order: "
            f"change {index + 1} of the plan was deployed as number {position + 1}"
        )
        yield Finding(there.name, there.id, "out of order", why)
