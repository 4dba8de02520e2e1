"""``status``, ``log``, ``check`` and ``plan``: they only read."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING

import click

from integrations_db.cli.group import cli
from integrations_db.cli.options import json_option, target_argument
from integrations_db.cli.session import configured, embedded, opened, session, tell_packaged
from integrations_db.errors import Changed, Failure, Pending
from integrations_db.terminal import echo, echo_json, on_github

if TYPE_CHECKING:
    from integrations_db.check import Level

__all__ = ["check", "log", "plan", "status"]

_LEVELS: dict[Level, str] = {
    "error": "error",
    "changed": "difference",
    "warning": "warning",
    "note": "note",
}


@cli.command(short_help="Show what is deployed and what is pending.")
@target_argument
@json_option
@click.option("--check", is_flag=True, help="Exit 3 when changes are pending, 4 when changed.")
@click.pass_context
def status(ctx: click.Context, target: str | None, as_json: bool, check: bool) -> None:
    """Show what is deployed, what is pending, and which deployed scripts were edited since."""
    from integrations_db import status as engine
    from integrations_db.database import describe
    from integrations_db.output import status_json, status_text

    project, where = opened(ctx, target)
    with session(where, as_json) as (conn, _):
        place = describe(conn)
        state = engine.status(conn, project)
    if as_json:
        echo_json(status_json(project, place, state))
    else:
        echo("\n".join(status_text(project, place, state)))
    if check and (state.changed or state.stray):
        ctx.exit(Changed.exit_code)
    if check and state.unfinished:
        ctx.exit(Failure.exit_code)
    if check and state.pending:
        ctx.exit(Pending.exit_code)


@cli.command(short_help="Show what happened to a database.")
@target_argument
@click.option(
    "-n",
    "--max-count",
    type=click.IntRange(0, 2**31 - 1),
    help="Show at most so many events.",
)
@click.option("--reverse", is_flag=True, help="Show the oldest first.")
@click.option(
    "--event",
    "kinds",
    type=click.Choice(["deploy", "revert", "fail", "merge"]),
    multiple=True,
    help="Show only events of this kind; may be repeated.",
)
@click.option("--project", "name", metavar="NAME", help="Show only events of this project.")
@json_option
@click.pass_context
def log(
    ctx: click.Context,
    target: str | None,
    max_count: int | None,
    reverse: bool,
    kinds: tuple[str, ...],
    name: str | None,
    as_json: bool,
) -> None:
    """Show deployments, reversions and failures, newest first; of every project in the database."""
    from integrations_db.database import describe
    from integrations_db.history import history
    from integrations_db.output import event_json, event_text
    from integrations_db.plan import Plan
    from integrations_db.project import Project
    from integrations_db.transaction import reported

    # The plan is not needed, and may not be there.
    root, config, found = configured(ctx, target)
    project = Project(root, config, Plan(""), found.name if found else None)
    with session(found or embedded(create=False), as_json) as (conn, _):
        place = describe(conn)
        with reported(conn):
            events = history(
                conn,
                project.registry,
                project=name,
                kinds=kinds,
                max_count=max_count,
                oldest_first=reverse,
            )
    if as_json:
        told = [event_json(event) for event in events or ()]
        echo_json({"database": place, "registry": project.registry, "events": told})
    elif events is None:
        echo(f"{place} has no registry (schema {project.registry}): nothing was deployed.")
    elif not events:
        echo(f"{place}: no such event.")
    else:
        for event in events:
            echo("\n".join(event_text(event)))


@cli.command(short_help="Check plan and scripts without running them.")
@target_argument
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@json_option
@click.pass_context
def check(ctx: click.Context, target: str | None, strict: bool, as_json: bool) -> None:
    """Check plan and scripts without running them: missing, unused, refused, edited.

    With a TARGET on the command line, compare them with what that database was built from, too.
    Exit code 1: errors; 4: only deployed scripts or the plan were changed; else 0.
    """
    from integrations_db.check import Finding, annotation, check_project, check_target
    from integrations_db.database import describe
    from integrations_db.output import counted, finding_json
    from integrations_db.plan import PlanError
    from integrations_db.project import load_project

    root, _, where = configured(ctx, target)
    if not target:
        tell_packaged(ctx, root)
    place = name = None
    checked = ""
    try:
        project = load_project(root, where)
    except PlanError as error:
        findings = [Finding("error", error.why, Path(error.file), error.line)]
    else:
        name = project.plan.project
        checked = f"{name}: {counted(len(project.plan.changes))}, "
        findings = check_project(project)
        if target and where:
            with session(where, as_json) as (conn, _):
                place = describe(conn)
                findings += check_target(conn, project)
    count = Counter(finding.level for finding in findings)
    if as_json:
        told = [finding_json(it) for it in findings]
        echo_json({"project": name, "database": place, "findings": told})
    else:
        shown = annotation if on_github() else str
        for finding in findings:
            echo(shown(finding))
        sums = [counted(count[level], noun) for level, noun in _LEVELS.items() if count[level]]
        echo(checked + (", ".join(sums) if sums else "no findings"))
    if count["error"] or (strict and count["warning"]):
        ctx.exit(Failure.exit_code)
    if count["changed"]:
        ctx.exit(Changed.exit_code)


@cli.command(short_help="List the changes of the plan.")
@json_option
@click.pass_context
def plan(ctx: click.Context, as_json: bool) -> None:
    """List the changes of the plan, in order, and which scripts are not atomic."""
    from integrations_db.output import plan_json, plan_text
    from integrations_db.project import load_project

    root, _, target = configured(ctx, None)
    project = load_project(root, target)
    if as_json:
        echo_json(plan_json(project))
        return
    for line in plan_text(project):
        echo(line)
