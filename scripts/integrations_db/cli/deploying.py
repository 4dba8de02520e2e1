"""``deploy``, ``revert`` and ``verify``."""

from __future__ import annotations

import re
import shlex
import shutil
import sys
import time
from typing import TYPE_CHECKING, cast

import click

from integrations_db.cli import completing
from integrations_db.cli.group import cli
from integrations_db.cli.options import (
    json_option,
    lock_timeout_option,
    resume_option,
    set_option,
    target_argument,
    wait_option,
)
from integrations_db.cli.session import opened, session
from integrations_db.errors import Failure, Locked, Usage
from integrations_db.terminal import echo, echo_json, printable

if TYPE_CHECKING:
    from integrations_db.config import Config
    from integrations_db.deploy import Mode
    from integrations_db.plan import Change
    from integrations_db.project import Project

__all__ = ["deploy", "revert", "verify"]


@cli.command(short_help="Deploy and verify pending changes.")
@target_argument
@click.option(
    "--to",
    metavar="CHANGE",
    shell_complete=completing.changes,
    help="Deploy up to this change or @tag.",
)
@click.option(
    "--mode",
    type=click.Choice(["all", "tag", "change"]),
    show_default="deploy.mode of the configuration, else change",
    help="What a failure leaves deployed: nothing of this run (all), what is before the last tag "
    "(tag), or every change that was finished (change).",
)
@click.option(
    "--verify/--no-verify",
    default=None,
    show_default="deploy.verify of the configuration, else --verify",
    help="Verify each change before its commit.",
)
@set_option
@click.option(
    "--dry-run",
    is_flag=True,
    help="Run everything in one transaction and roll it back; only plan it where a script is not "
    "atomic.",
)
@click.option("--log-only", is_flag=True, help="Record the changes without running their scripts.")
@resume_option
@lock_timeout_option
@wait_option
@json_option
@click.pass_context
def deploy(
    ctx: click.Context,
    target: str | None,
    to: str | None,
    mode: Mode | None,
    verify: bool | None,
    variables: dict[str, str],
    dry_run: bool,
    log_only: bool,
    resume: bool,
    lock_timeout: float | None,
    wait: float,
    as_json: bool,
) -> None:
    """Deploy pending changes; script, verification and record of each are one transaction.

    Scripts that no transaction can hold run as Sqitch runs them; the output says which.
    """
    from integrations_db import deploy as engine
    from integrations_db.config import committer
    from integrations_db.database import describe, shareable
    from integrations_db.output import change_json, counted

    _either(resume, log_only)
    project, where = opened(ctx, target, create=True)
    if verify is None:
        verify = project.config.flag("deploy.verify") is not False
    if mode is None:
        mode = _configured_mode(project.config)
    began = time.monotonic()
    with session(where, as_json) as (conn, listener):
        if not as_json:
            echo(f"{project.plan.project} -> {describe(conn)}")
        done = engine.deploy(
            conn,
            project,
            where,
            committer(project.config),
            listener,
            to=to,
            mode=mode,
            variables=variables,
            verify=verify,
            dry_run=dry_run,
            log_only=log_only,
            resume=resume,
            lock_timeout=lock_timeout,
            wait=wait,
        )
        uri = shareable(conn, where)
    seconds = time.monotonic() - began
    if as_json:
        echo_json(
            {
                "project": project.plan.project,
                "uri": uri,
                "dry_run": dry_run,
                "executed": done.executed,
                "deployed": [
                    {**change_json(change), "execution": done.executions.get(change.id)}
                    for change in done.changes
                ],
                "seconds": round(seconds, 3),
            }
        )
        return
    count = counted(len(done.changes))
    if not done.changes:
        echo(f"Nothing to deploy: no change {f'up to {to} ' if to else ''}is pending.")
    elif dry_run and done.executed:
        echo(f"Dry run: {count} would deploy: all of it ran and was rolled back.")
    elif dry_run:
        echo(f"Dry run: {count} would deploy: this was only planned, nothing was kept.")
    else:
        echo(f"Deployed {count} in {seconds:.1f} s.")
    if not dry_run:
        _welcome(project, uri, complete=to is None)


def _either(resume: bool, log_only: bool) -> None:
    """Refuses two ways out of an unfinished script at once."""
    if resume and log_only:
        raise click.UsageError("--resume runs a script again, --log-only does not: choose one")


def _configured_mode(config: Config) -> Mode:
    """Returns the mode that the configuration says, else ``change``."""
    mode = config.get("deploy.mode") or "change"
    if mode not in ("all", "tag", "change"):
        raise Usage(f'deploy.mode in the configuration is "{mode}", not all, tag or change')
    return cast("Mode", mode)


def _welcome(project: Project, uri: str, complete: bool) -> None:
    """Shows how to connect, and a first call that works on this machine as printed."""
    from integrations_db.server import programs

    echo(f"\nConnect:\n  {uri}")
    call = project.config.get("welcome.sql")
    kept = programs()
    psql = shutil.which("psql") or (str(kept / "psql") if kept else None)
    if call and psql and complete:
        command = f"{shlex.quote(psql)} {shlex.quote(uri)} -c {_quoted(call)}"
        echo(f"\nA first call, which leaves nothing behind:\n  {command}")


def _quoted(text: str) -> str:
    """Quotes for a shell; SQL is full of single quotes, which look better in double ones."""
    return shlex.quote(text) if re.search(r'["$`\\!]', text) else f'"{text}"'


@cli.command(short_help="Revert deployed changes: --to or --all.")
@target_argument
@click.option(
    "--to",
    metavar="CHANGE",
    shell_complete=completing.changes,
    help="Keep this change or @tag and everything before it.",
)
@click.option("--all", "everything", is_flag=True, help="Revert every change.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@set_option
@click.option("--log-only", is_flag=True, help="Record the reversion without running the scripts.")
@resume_option
@lock_timeout_option
@wait_option
@json_option
@click.pass_context
def revert(
    ctx: click.Context,
    target: str | None,
    to: str | None,
    everything: bool,
    yes: bool,
    variables: dict[str, str],
    log_only: bool,
    resume: bool,
    lock_timeout: float | None,
    wait: float,
    as_json: bool,
) -> None:
    """Revert deployed changes, latest first; say how far with --to or --all."""
    from integrations_db import revert as engine
    from integrations_db.config import committer
    from integrations_db.database import describe
    from integrations_db.output import change_json, counted

    if (to is None) == (not everything):
        raise click.UsageError("say how far to revert: either --to CHANGE (which stays), or --all")
    _either(resume, log_only)
    if not yes and not (sys.stdin.isatty() and not as_json):
        raise click.UsageError("there is no terminal to ask on: confirm with -y")
    project, where = opened(ctx, target)
    with session(where, as_json) as (conn, listener):
        place = describe(conn)

        def confirm(changes: list[Change]) -> bool:
            if yes:
                return True
            echo("\n".join(f"  - {change.title}" for change in changes))
            what = f"{counted(len(changes))} of {project.plan.project} from {place}"
            try:
                return click.confirm(printable(f"Revert {what}?"))
            except click.Abort as error:
                error.add_note("Nothing was reverted.")
                raise

        if not as_json:
            echo(f"{project.plan.project} <- {place}")
        changes = engine.revert(
            conn,
            project,
            where,
            committer(project.config),
            listener,
            confirm,
            to=to,
            variables=variables,
            log_only=log_only,
            resume=resume,
            lock_timeout=lock_timeout,
            wait=wait,
        )
    if as_json:
        echo_json(
            {
                "project": project.plan.project,
                "database": place,
                "reverted": [change_json(change) for change in changes],
            }
        )
    elif changes:
        echo(f"Reverted {counted(len(changes))}.")
    else:
        after = f"after {to} " if to else ""
        echo(f"Nothing to revert: no change {after}is deployed.")


@cli.command(short_help="Verify the deployed changes.")
@target_argument
@set_option
@lock_timeout_option
@json_option
@click.pass_context
def verify(
    ctx: click.Context,
    target: str | None,
    variables: dict[str, str],
    lock_timeout: float | None,
    as_json: bool,
) -> None:
    """Run the verify scripts of all deployed changes; nothing is kept of what they do.

    Also told: changes deployed out of order, not in the plan, or planned but not deployed.
    """
    from integrations_db import verify as engine
    from integrations_db.database import describe
    from integrations_db.output import counted, verification_json

    project, where = opened(ctx, target)
    with session(where, as_json) as (conn, listener):
        place = describe(conn)
        if not as_json:
            echo(f"{project.plan.project} == {place}")
        result = engine.verify(
            conn, project, where, listener, variables=variables, lock_timeout=lock_timeout
        )
    # Where others held what some scripts need, and nothing else was found, another time may do.
    busy = all(finding.kind == "locked" for finding in result.findings)
    ending = Locked if busy else Failure
    if as_json:
        echo_json(verification_json(project, place, result))
        ctx.exit(ending.exit_code if result.findings else 0)
    if result.findings:
        failed = len({finding.change_id for finding in result.findings})
        told = "\n".join(finding.message for finding in result.findings)
        outcome = "could not be verified, being locked" if busy else "failed verification"
        raise ending(f"{told}\n{counted(failed)} {outcome}.")
    if not result.deployed:
        echo("Nothing to verify: no change is deployed.")
        return
    rest = [f"Verified {counted(result.verified)}"]
    if result.unchecked:
        rest.append(f"{counted(len(result.unchecked))} without verify script")
    if result.pending:
        rest.append(f"{counted(len(result.pending))} pending")
    echo(f"{'; '.join(rest)}.")
