"""The command ``integrations-db``. Heavy imports wait until a command needs them."""

from __future__ import annotations

import json as json_format
import re
import shlex
import shutil
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from integrations_db import __version__
from integrations_db.errors import Failure, Usage

if TYPE_CHECKING:
    from integrations_db.config import Target
    from integrations_db.plan import Change
    from integrations_db.project import Project
    from integrations_db.registry import Connection
    from integrations_db.transaction import Listener

__all__ = ["cli", "main"]

_EXIT_CODES = """\b
Exit codes:
  0  done, or nothing to do
  1  failed; nothing is half done
  2  wrong usage
  3  status --check: changes are pending
  4  plan or deployed scripts were changed
  5  a lock was not obtained in time
  130  interrupted (Ctrl-C); nothing is half done"""


class _Terminated(KeyboardInterrupt):
    """SIGTERM; handled like Ctrl-C, so that the transaction is rolled back in order."""


_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}


def _duration(value: str) -> float:
    """Returns the seconds of ``5s``, ``500ms``, ``2min``, ``1h``, or a bare number of seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|)", value)
    if not found:
        raise click.BadParameter(f"{value!r} is not a time span such as 5s, 500ms or 2min")
    return float(found[1]) * _UNITS[found[2]]


_target = click.argument("target", required=False)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
_lock_timeout = click.option(
    "--lock-timeout",
    type=_duration,
    metavar="DURATION",
    show_default="what a script sets, else 5s",
    help="How long a statement waits for a lock; then the change is rolled back and tried again. "
    "When given, it replaces the lock_timeout that a script sets.",
)
_wait = click.option(
    "--wait",
    type=_duration,
    metavar="DURATION",
    default="60s",
    show_default=True,
    help="How long to wait for another deployment of the same database.",
)


@click.group(
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EXIT_CODES,
)
@click.version_option(__version__, prog_name="integrations-db")
@click.option(
    "-C",
    "--chdir",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Directory of the project; default: the current one if it has a sqitch.plan, "
    "else the one that came with this program.",
)
@click.pass_context
def cli(ctx: click.Context, directory: Path | None) -> None:
    """Deploys, verifies and reverts PostgreSQL changes, compatibly with Sqitch.

    TARGET is a db:pg: URI, a postgresql:// URI, a connection string (host=... dbname=...), or the
    name of a target in sqitch.conf. Without one: the embedded PostgreSQL server.
    """
    ctx.obj = directory


def _project(ctx: click.Context) -> Project:
    """Reads the project that ``--chdir``, or the lack of it, means."""
    from integrations_db.project import find_root, load_project

    return load_project(find_root(ctx.obj))


def _resolve(project: Project, given: str | None, create: bool) -> Target:
    """Returns the database meant; starts the embedded server, and makes it if ``create``."""
    from integrations_db import server
    from integrations_db.config import Target, resolve_target

    target = resolve_target(project.config, given)
    if target is not None:
        return target
    state = server.state()
    if not create and not state.initialised:
        raise Failure(
            "no TARGET was given, and there is no embedded server yet: deploy makes one "
            "(integrations-db deploy)"
        )
    if state.pid is None:
        doing = "Starting" if state.initialised else "Setting up"
        click.echo(f"{doing} the embedded PostgreSQL in {state.folder} ...", err=True)
    return Target(server.start(), embedded=True)


@contextmanager
def _listening(as_json: bool) -> Iterator[Listener]:
    """Shows the progress as it suits standard output."""
    from integrations_db.terminal import Bar, Lines, Silent, watched

    if as_json:
        yield Silent()
    elif watched():
        bar = Bar()
        try:
            yield bar
        finally:
            bar.close()
    else:
        yield Lines()


@contextmanager
def _session(target: Target, as_json: bool) -> Iterator[tuple[Connection, Listener]]:
    """Opens the connection of a command, and closes it."""
    from integrations_db.database import connect

    with _listening(as_json) as listener:
        conn = connect(target, listener.say)
        try:
            yield conn, listener
        finally:
            conn.close()


def _print_json(value: object) -> None:
    click.echo(json_format.dumps(value, indent=2, ensure_ascii=False))


def _plural(count: int) -> str:
    return f"{count} change" if count == 1 else f"{count} changes"


@cli.command(short_help="Deploy and verify pending changes.")
@_target
@click.option("--to", metavar="CHANGE", help="Deploy up to this change or @tag.")
@click.option("--verify/--no-verify", default=True, help="Verify each change before its commit.")
@click.option("--dry-run", is_flag=True, help="Run everything in one transaction; roll it back.")
@click.option("--log-only", is_flag=True, help="Record the changes without running their scripts.")
@_lock_timeout
@_wait
@_json
@click.pass_context
def deploy(
    ctx: click.Context,
    target: str | None,
    to: str | None,
    verify: bool,
    dry_run: bool,
    log_only: bool,
    lock_timeout: float | None,
    wait: float,
    as_json: bool,
) -> None:
    """Deploy pending changes; script, verification and record of each are one transaction."""
    from integrations_db import deploy as engine
    from integrations_db.config import committer
    from integrations_db.database import describe, shareable

    project = _project(ctx)
    where = _resolve(project, target, create=True)
    began = time.monotonic()
    with _session(where, as_json) as (conn, listener):
        if not as_json:
            click.echo(f"{project.plan.project} -> {describe(conn)}")
        changes = engine.deploy(
            conn,
            project,
            where,
            committer(project.config),
            listener,
            to=to,
            verify=verify,
            dry_run=dry_run,
            log_only=log_only,
            lock_timeout=lock_timeout,
            wait=wait,
        ).changes
        uri = shareable(conn, where)
    seconds = time.monotonic() - began
    if as_json:
        _print_json(
            {
                "project": project.plan.project,
                "uri": uri,
                "dry_run": dry_run,
                "deployed": [_as_dict(change) for change in changes],
                "seconds": round(seconds, 3),
            }
        )
        return
    if not changes:
        upto = f"up to {to} " if to else ""
        click.echo(f"Nothing to deploy: no change {upto}is pending.")
    elif dry_run:
        click.echo(f"Dry run: {_plural(len(changes))} would deploy ({seconds:.1f} s); none did.")
    else:
        click.echo(f"Deployed {_plural(len(changes))} in {seconds:.1f} s.")
    if not dry_run:
        _welcome(project, uri, complete=to is None)


def _welcome(project: Project, uri: str, complete: bool) -> None:
    """Shows how to connect, and a first call that works on this machine as printed."""
    from integrations_db.server import programs

    click.echo(f"\nConnect:\n  {uri}")
    call = project.config.get("welcome.sql")
    kept = programs()
    psql = shutil.which("psql") or (str(kept / "psql") if kept else None)
    if call and psql and complete:
        command = f"{shlex.quote(psql)} {shlex.quote(uri)} -c {_quoted(call)}"
        click.echo(f"\nA first call, which leaves nothing behind:\n  {command}")


def _quoted(text: str) -> str:
    """Quotes for a shell; SQL is full of single quotes, which look better in double ones."""
    return shlex.quote(text) if re.search(r'["$`\\!]', text) else f'"{text}"'


@cli.command(short_help="Revert deployed changes: --to or --all.")
@_target
@click.option("--to", metavar="CHANGE", help="Keep this change or @tag and everything before it.")
@click.option("--all", "everything", is_flag=True, help="Revert every change.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@_lock_timeout
@_wait
@_json
@click.pass_context
def revert(
    ctx: click.Context,
    target: str | None,
    to: str | None,
    everything: bool,
    yes: bool,
    lock_timeout: float | None,
    wait: float,
    as_json: bool,
) -> None:
    """Revert deployed changes, latest first; say how far with --to or --all."""
    from integrations_db import revert as engine
    from integrations_db.config import committer
    from integrations_db.database import describe

    if (to is None) == (not everything):
        raise click.UsageError("say how far to revert: either --to CHANGE (which stays), or --all")
    if not yes and not (sys.stdin.isatty() and not as_json):
        raise click.UsageError("there is no terminal to ask on: confirm with -y")
    project = _project(ctx)
    where = _resolve(project, target, create=False)
    with _session(where, as_json) as (conn, listener):
        place = describe(conn)

        def confirm(changes: list[Change]) -> bool:
            if yes:
                return True
            click.echo("\n".join(f"  - {change.title}" for change in changes))
            return click.confirm(
                f"Revert {_plural(len(changes))} of {project.plan.project} from {place}?"
            )

        if not as_json:
            click.echo(f"{project.plan.project} <- {place}")
        changes = engine.revert(
            conn,
            project,
            where,
            committer(project.config),
            listener,
            confirm,
            to=to,
            lock_timeout=lock_timeout,
            wait=wait,
        )
    if as_json:
        _print_json(
            {
                "project": project.plan.project,
                "reverted": [_as_dict(change) for change in changes],
            }
        )
    elif changes:
        click.echo(f"Reverted {_plural(len(changes))}.")
    else:
        after = f"after {to} " if to else ""
        click.echo(f"Nothing to revert: no change {after}is deployed.")


@cli.command(short_help="Verify the deployed changes.")
@_target
@_lock_timeout
@click.pass_context
def verify(ctx: click.Context, target: str | None, lock_timeout: float | None) -> None:
    """Run the verify scripts of all deployed changes; nothing is kept of what they do."""
    from integrations_db import status as state_of
    from integrations_db import verify as engine
    from integrations_db.database import describe

    project = _project(ctx)
    where = _resolve(project, target, create=False)
    with _session(where, as_json=False) as (conn, listener):
        click.echo(f"{project.plan.project} == {describe(conn)}")
        state = state_of.status(conn, project)
        result = engine.verify(conn, project, where, listener, lock_timeout=lock_timeout)
    if result.problems:
        failed = f"{_plural(len(result.problems))} failed verification."
        raise Failure("\n".join([*result.problems, failed]))
    if not state.deployed:
        click.echo("Nothing to verify: no change is deployed.")
        return
    unchecked = f"; {_plural(result.unchecked)} without verify script" if result.unchecked else ""
    pending = f"; {_plural(len(state.pending))} pending" if state.pending else ""
    click.echo(f"Verified {_plural(result.verified)}{unchecked}{pending}.")


@cli.command(short_help="Show what is deployed and what is pending.")
@_target
@_json
@click.option("--check", is_flag=True, help="Exit 3 when changes are pending, 4 when changed.")
@click.pass_context
def status(ctx: click.Context, target: str | None, as_json: bool, check: bool) -> None:
    """Show what is deployed, what is pending, and which deployed scripts were edited since."""
    from integrations_db import status as engine
    from integrations_db.database import describe

    project = _project(ctx)
    where = _resolve(project, target, create=False)
    with _session(where, as_json) as (conn, _):
        place = describe(conn)
        state = engine.status(conn, project)
    latest = state.latest
    if as_json:
        _print_json(
            {
                "project": project.plan.project,
                "database": place,
                "deployed": state.deployed,
                "latest": latest
                and {
                    "change": latest.name,
                    "id": latest.id,
                    "committed_at": latest.committed_at.isoformat(),
                    "committer": latest.committer,
                },
                "pending": [_as_dict(change) for change in state.pending],
                "changed_scripts": list(state.changed),
                "stray": state.stray,
            }
        )
    else:
        click.echo(f"Project:  {project.plan.project}\nDatabase: {place}")
        click.echo(f"Deployed: {state.deployed} of {len(project.plan.changes)}")
        if latest:
            click.echo(
                f"Latest:   {latest.name}, {latest.committed_at:%Y-%m-%d %H:%M:%S %Z}, "
                f"by {latest.committer}"
            )
        click.echo("Pending:  " + ("" if state.pending else "none"))
        for change in state.pending:
            click.echo(f"  {change.title}")
        if state.changed:
            click.echo("Edited since their deployment (which changed nothing in the database):")
            for name in state.changed:
                click.echo(f"  {name}")
        if state.stray:
            click.echo(f"The database does not follow the plan: {state.stray}.")
    if check and (state.changed or state.stray):
        ctx.exit(4)
    if check and state.pending:
        ctx.exit(3)


@cli.command(short_help="List the changes of the plan.")
@_json
@click.pass_context
def plan(ctx: click.Context, as_json: bool) -> None:
    """List the changes of the plan, in order; needs no database."""
    project = _project(ctx)
    if as_json:
        _print_json(
            {
                "project": project.plan.project,
                "uri": project.plan.uri,
                "changes": [
                    {**_as_dict(change), "script_hash": project.hash(index)}
                    for index, change in enumerate(project.plan.changes)
                ],
            }
        )
        return
    for change in project.plan.changes:
        click.echo(change.title + (f"  # {change.note}" if change.note else ""))


def _as_dict(change: Change) -> dict[str, object]:
    """Returns a change as the JSON outputs show it."""
    return {
        "change": change.name,
        "id": change.id,
        "requires": [str(dependency) for dependency in change.requires],
        "conflicts": [dependency.key for dependency in change.conflicts],
        "tags": [{"tag": f"@{tag.name}", "id": tag.id} for tag in change.tags],
        "planned_at": change.planned_at.isoformat(),
        "planner": f"{change.planner_name} <{change.planner_email}>",
        "note": change.note,
    }


@cli.command(short_help="Play a short story through the functions.")
@_target
@click.pass_context
def demo(ctx: click.Context, target: str | None) -> None:
    """Play a short story through the stored functions, on realistic data."""
    from integrations_db.demo import run

    run(_resolve(_project(ctx), target, create=False), click.echo)


@cli.group(short_help="Start, stop and find the embedded PostgreSQL.")
def server() -> None:
    """The embedded PostgreSQL server: durable, loopback only, kept in a folder of its own."""


@server.command("start")
def server_start() -> None:
    """Start it; make it first if it does not exist. It outlives this command."""
    from integrations_db import server as embedded

    was = embedded.state()
    uri = embedded.start()
    click.echo("already running" if was.pid else "started")
    click.echo(uri)


@server.command("stop")
def server_stop() -> None:
    """Stop it; its data stay."""
    from integrations_db import server as embedded

    click.echo("stopped" if embedded.stop() else "not running")


@server.command("status")
@click.pass_context
def server_status(ctx: click.Context) -> None:
    """Show whether it runs, and where it is kept; exit code 1 when it does not run."""
    from integrations_db import server as embedded

    state = embedded.state()
    if state.pid:
        click.echo(f"running (process {state.pid}, port {state.port})")
    else:
        click.echo("stopped" if state.initialised else "not made yet")
    click.echo(f"folder: {state.folder}")
    if not state.pid:
        ctx.exit(1)


@server.command("url")
def server_url() -> None:
    """Print its URI; the password is in a file that the URI names."""
    from integrations_db import server as embedded

    click.echo(embedded.uri())


def _terminate(number: int, frame: object) -> NoReturn:
    """Handles SIGTERM."""
    raise _Terminated


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits with a code of the published table."""
    signal.signal(signal.SIGTERM, _terminate)
    code = 0
    try:
        result = cli.main(arguments, prog_name="integrations-db", standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except click.ClickException as error:
        error.show()
        code = Usage.exit_code if isinstance(error, click.UsageError) else error.exit_code
    except Failure as error:
        click.echo(f"integrations-db: {error}", err=True)
        code = error.exit_code
    except (click.Abort, KeyboardInterrupt) as error:
        terminated = isinstance(error, _Terminated) or isinstance(error.__cause__, _Terminated)
        click.echo(
            f"\nintegrations-db: {'terminated' if terminated else 'interrupted'}. "
            "What was being worked on was rolled back; finished changes stay.",
            err=True,
        )
        code = 1 if terminated else 130
    except BrokenPipeError:
        # The reader has gone (`| head`); keep the interpreter from complaining at exit.
        sys.stdout = None
        code = 1
    except Exception as error:
        # A net for what no command expected of the database; anything else is a defect and shows.
        psycopg = sys.modules.get("psycopg")
        if psycopg is None or not isinstance(error, psycopg.Error):
            raise
        from integrations_db.database import explain

        click.echo(f"integrations-db: {explain(error)}", err=True)
        code = Failure.exit_code
    sys.exit(code)
