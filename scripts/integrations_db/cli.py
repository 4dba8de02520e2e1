"""The command ``integrations-db``. Heavy imports wait until a command needs them."""

from __future__ import annotations

import atexit
import gc
import io
import os
import re
import shlex
import shutil
import signal
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, cast

import click

from integrations_db import __version__
from integrations_db.errors import Changed, Failure, Locked, Pending, Usage
from integrations_db.terminal import ReaderGone, Unwritable, echo, echo_json, printable

if TYPE_CHECKING:
    from integrations_db.check import Level
    from integrations_db.config import Config, Target
    from integrations_db.deploy import Mode
    from integrations_db.drift import Scratch
    from integrations_db.plan import Change
    from integrations_db.project import Project
    from integrations_db.registry import Connection
    from integrations_db.transaction import Listener

__all__ = ["cli", "main"]

_INTERRUPTED = 130
_LEVELS: dict[Level, str] = {
    "error": "error",
    "changed": "difference",
    "warning": "warning",
    "note": "note",
}
_EXIT_CODES = f"""\b
Exit codes:
  0  done, or nothing to do
  {Failure.exit_code}  failed; what is left behind, if anything, is said
  {Usage.exit_code}  wrong usage
  {Pending.exit_code}  status --check: changes are pending
  {Changed.exit_code}  plan or deployed scripts were changed; drift: the database was
  {Locked.exit_code}  a lock was not obtained in time
  {_INTERRUPTED}  interrupted (Ctrl-C)"""


class _Terminated(KeyboardInterrupt):
    """SIGTERM or SIGHUP; handled like Ctrl-C, so that the transaction is rolled back in order."""


def _show(text: str) -> Callable[[click.Context, click.Parameter, bool], None]:
    """Returns what an option does that prints a text and nothing else; empty: the help.

    click's own lets an output that cannot be written end in a traceback.
    """

    def show(ctx: click.Context, parameter: click.Parameter, value: bool) -> None:
        if value and not ctx.resilient_parsing:
            echo(text or ctx.get_help())
            ctx.exit()

    return show


class _Helped(click.Command):
    """A command whose help goes where all output goes."""

    def get_help_option(self, ctx: click.Context) -> click.Option | None:
        option = super().get_help_option(ctx)
        if option is not None:
            option.callback = _show("")
        return option


class _Command(_Helped):
    """A command that does not repeat what it did not expect: it may be a part of a password."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        try:
            return super().parse_args(ctx, args)
        except click.UsageError as error:
            if not error.message.startswith("Got unexpected extra argument"):
                raise
        why = "too many arguments; a connection string (host=... dbname=...) needs quotes"
        if not any(isinstance(parameter, click.Argument) for parameter in self.params):
            why = f"{self.name} takes options only, no TARGET"
        raise click.UsageError(why, ctx)


class _Group(_Helped, click.Group):
    """Commands of that kind; what stands in the place of a command may be a TARGET."""

    command_class = _Command
    group_class = type

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if re.fullmatch(r"-*\w[\w-]*", args[0]):
            return super().resolve_command(ctx, args)
        raise click.UsageError("no such command: the command comes first, then its TARGET", ctx)


_UNITS = {"ms": 0.001, "s": 1.0, "": 1.0, "min": 60.0, "m": 60.0, "h": 3600.0}
_LONGEST = (2**31 - 1) // 1000  # seconds: PostgreSQL counts milliseconds, up to this


def _duration(value: str) -> float:
    """Returns the seconds of ``5s``, ``500ms``, ``2min``, ``1h``, or a bare number of seconds."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)\s*(ms|s|min|m|h|)", value)
    if not found:
        raise click.BadParameter(f"{value!r} is not a time span such as 5s, 500ms or 2min")
    seconds = float(found[1]) * _UNITS[found[2]]
    if seconds > _LONGEST:
        raise click.BadParameter(f"{value!r} is more than {_LONGEST // 3600} hours")
    return seconds


def _variables(
    ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, str]:
    """Returns the psql variables of ``--set``; of what is malformed nothing is repeated."""
    found = {}
    for text in given:
        name, equals, value = text.partition("=")
        # psql takes every character outside of ASCII as a letter.
        if not equals or not re.fullmatch(r"[A-Za-z0-9_\u0080-\U0010ffff]+", name):
            raise click.BadParameter("expected NAME=VALUE, the name of letters, digits and _")
        found[name] = value
    return found


_target = click.argument("target", required=False)
_json = click.option("--json", "as_json", is_flag=True, help="Print JSON, for machines.")
_set = click.option(
    "--set",
    "variables",
    metavar="NAME=VALUE",
    multiple=True,
    callback=_variables,
    help="Set a psql variable for the scripts; may be repeated.",
)
_resume = click.option(
    "--resume",
    is_flag=True,
    help="Run again a script that is not atomic and was begun but not finished.",
)
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
    cls=_Group,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog=_EXIT_CODES,
)
@click.option(
    "--version",
    is_flag=True,
    is_eager=True,
    expose_value=False,
    callback=_show(f"integrations-db, version {__version__}"),
    help="Show the version and exit.",
)
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


def _configured(ctx: click.Context, given: str | None) -> tuple[Path, Config, Target | None]:
    """Returns the project's directory, its configuration, and the target if one is meant."""
    from integrations_db.config import load_config, resolve_target
    from integrations_db.project import find_root

    root = find_root(ctx.obj)
    config = load_config(root)
    return root, config, resolve_target(config, given)


def _opened(ctx: click.Context, given: str | None, create: bool = False) -> tuple[Project, Target]:
    """Reads the project that is meant, and finds its database; ``create``: makes the embedded one.

    The plan is read first: a server is not started for one that is wrong.
    """
    from integrations_db.project import load_project

    root, _, target = _configured(ctx, given)
    project = load_project(root, target)
    return project, target or _embedded(create)


def _embedded(create: bool) -> Target:
    """Starts the embedded server, and makes it if ``create``."""
    from integrations_db import server
    from integrations_db.config import Target

    state = server.state()
    if not create and not state.initialised:
        raise Failure(
            "no TARGET was given, and there is no embedded server yet: deploy makes one "
            "(integrations-db deploy)"
        )
    if state.pid is None:
        doing = "Starting" if state.initialised else "Setting up"
        echo(f"{doing} the embedded PostgreSQL in {state.folder} ...", err=True)
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


@cli.command(short_help="Deploy and verify pending changes.")
@_target
@click.option("--to", metavar="CHANGE", help="Deploy up to this change or @tag.")
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
@_set
@click.option(
    "--dry-run",
    is_flag=True,
    help="Run everything in one transaction and roll it back; only plan it where a script is not "
    "atomic.",
)
@click.option("--log-only", is_flag=True, help="Record the changes without running their scripts.")
@_resume
@_lock_timeout
@_wait
@_json
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
    project, where = _opened(ctx, target, create=True)
    if verify is None:
        verify = project.config.flag("deploy.verify") is not False
    if mode is None:
        mode = _configured_mode(project.config)
    began = time.monotonic()
    with _session(where, as_json) as (conn, listener):
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
@_target
@click.option("--to", metavar="CHANGE", help="Keep this change or @tag and everything before it.")
@click.option("--all", "everything", is_flag=True, help="Revert every change.")
@click.option("-y", "--yes", is_flag=True, help="Do not ask.")
@_set
@click.option("--log-only", is_flag=True, help="Record the reversion without running the scripts.")
@_resume
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
    project, where = _opened(ctx, target)
    with _session(where, as_json) as (conn, listener):
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
@_target
@_set
@_lock_timeout
@_json
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

    project, where = _opened(ctx, target)
    with _session(where, as_json) as (conn, listener):
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


@cli.command(short_help="Show what is deployed and what is pending.")
@_target
@_json
@click.option("--check", is_flag=True, help="Exit 3 when changes are pending, 4 when changed.")
@click.pass_context
def status(ctx: click.Context, target: str | None, as_json: bool, check: bool) -> None:
    """Show what is deployed, what is pending, and which deployed scripts were edited since."""
    from integrations_db import status as engine
    from integrations_db.database import describe
    from integrations_db.output import status_json, status_text

    project, where = _opened(ctx, target)
    with _session(where, as_json) as (conn, _):
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


@cli.command(short_help="Compare a database with what the plan builds.")
@_target
@click.option(
    "--scratch",
    type=click.Choice(["auto", "here", "own"]),
    default="auto",
    show_default=True,
    help="Where to build the plan: here, in another database of the same server; on an own server, "
    "the embedded one; auto: here, if the role may and one transaction can hold it.",
)
@click.option(
    "--template",
    metavar="DATABASE",
    default="template0",
    show_default=True,
    help="What the scratch database is made from.",
)
@click.option(
    "--ignore",
    metavar="PATTERN",
    multiple=True,
    help="Leave out differences of 'KIND NAME', with * and ?; may be repeated.",
)
@_set
@_json
@click.pass_context
def drift(
    ctx: click.Context,
    target: str | None,
    scratch: Scratch,
    template: str,
    ignore: tuple[str, ...],
    variables: dict[str, str],
    as_json: bool,
) -> None:
    """Compare a database with what the deployed part of the plan builds.

    The plan is built in an empty database, which is thrown away. Nothing of it is kept, and the
    database itself is only read.
    """
    from integrations_db import drift as engine
    from integrations_db.database import describe
    from integrations_db.output import counted, drift_annotation, drift_json, drift_text

    project, where = _opened(ctx, target)
    with _session(where, as_json) as (conn, listener):
        place = describe(conn)
        if not as_json:
            echo(f"{project.plan.project} ~ {place}")
        result = engine.drift(
            conn,
            project,
            where,
            listener,
            scratch=scratch,
            template=template,
            ignore=ignore,
            variables=variables,
        )
    if as_json:
        echo_json(drift_json(project, place, result))
    else:
        on_github = os.environ.get("GITHUB_ACTIONS") == "true"
        # What a database holds must not be read as a workflow command.
        token = os.urandom(16).hex()
        if on_github:
            echo(f"::stop-commands::{token}")
        for line in drift_text(result):
            echo(line)
        if on_github:
            echo(f"::{token}::")
            for it in result.differences:
                echo(drift_annotation(it))
        for name in result.edited:
            echo(f"the deploy script of {name} was edited since; what it says now was built")
        rest = [f"Compared {counted(result.deployed)}, built on {result.built_on}"]
        if result.pending:
            rest.append(f"{counted(result.pending)} pending")
        if result.partitions:
            names = ", ".join(result.partitions)
            one = counted(len(result.partitions), "partition")
            rest.append(f"{one} of one of the two only ({names})")
        if result.ignored:
            rest.append(f"{counted(result.ignored, 'difference')} ignored")
        found = counted(len(result.differences), "difference") if result.differences else "no drift"
        echo(f"{'; '.join(rest)}: {found}.")
    ctx.exit(Changed.exit_code if result.differences else 0)


@cli.command(short_help="Rehearse the plan on a throw-away server: up, down, up again.")
@click.option(
    "--server",
    metavar="SERVER",
    default=lambda: os.environ.get("TEST_SERVER", ""),
    show_default="TEST_SERVER, else TEST_DSN, else the first that is to be had",
    help="Where: docker, local, embedded, or a URI of a throw-away server, as its superuser.",
)
@click.option(
    "--pgtap",
    "folders",
    metavar="DIR",
    multiple=True,
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    show_default="tests/pgtap, where there is one",
    help="Folder with pgTAP files; may be repeated.",
)
@click.option(
    "--pgtap-files",
    "patterns",
    metavar="GLOB",
    multiple=True,
    show_default="as pytest's ini file says, else *_test.sql",
    help="Names of pgTAP files; may be repeated.",
)
@click.option(
    "--junitxml",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write the results of the pgTAP files as JUnit XML.",
)
@_set
@click.pass_context
def rehearse(
    ctx: click.Context,
    server: str,
    folders: tuple[Path, ...],
    patterns: tuple[str, ...],
    junitxml: Path | None,
    variables: dict[str, str],
) -> None:
    """Rehearse the plan in a new database, which is thrown away.

    Deploy and verify every change, run the pgTAP files, revert all and look what is left, deploy
    again, and compare the database with what the plan builds. Ends at the first thing that fails.
    Wants the extra "test" of this package.
    """
    from integrations_db.project import load_project
    from integrations_db.terminal import Lines

    try:
        from integrations_db.testing.rehearsal import rehearse as rehearsed
    except ModuleNotFoundError as error:
        raise Failure(
            f"rehearse needs the module {error.name}; install it: pip install integrations-db[test]"
        ) from None
    root, _, target = _configured(ctx, None)
    tap = folders or tuple(it for it in [root / "tests" / "pgtap"] if it.is_dir())
    rehearsed(
        load_project(root, target),
        server,
        Lines(),  # a bar would write over pytest's own lines
        echo,
        folders=tap,
        patterns=patterns,
        junitxml=junitxml,
        variables=variables,
    )


@cli.command(short_help="Show what happened to a database.")
@_target
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
@_json
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
    root, config, found = _configured(ctx, target)
    project = Project(root, config, Plan(""), found.name if found else None)
    with _session(found or _embedded(create=False), as_json) as (conn, _):
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
@_target
@click.option("--strict", is_flag=True, help="Treat warnings as errors.")
@_json
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

    root, _, where = _configured(ctx, target)
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
            with _session(where, as_json) as (conn, _):
                place = describe(conn)
                findings += check_target(conn, project)
    count = Counter(finding.level for finding in findings)
    if as_json:
        told = [finding_json(it) for it in findings]
        echo_json({"project": name, "database": place, "findings": told})
    else:
        on_github = os.environ.get("GITHUB_ACTIONS") == "true"
        for finding in findings:
            echo(annotation(finding) if on_github else str(finding))
        sums = [counted(count[level], noun) for level, noun in _LEVELS.items() if count[level]]
        echo(checked + (", ".join(sums) if sums else "no findings"))
    if count["error"] or (strict and count["warning"]):
        ctx.exit(Failure.exit_code)
    if count["changed"]:
        ctx.exit(Changed.exit_code)


@cli.command(short_help="List the changes of the plan.")
@_json
@click.pass_context
def plan(ctx: click.Context, as_json: bool) -> None:
    """List the changes of the plan, in order, and which scripts are not atomic."""
    from integrations_db.output import plan_json, plan_text
    from integrations_db.project import load_project

    root, _, target = _configured(ctx, None)
    project = load_project(root, target)
    if as_json:
        echo_json(plan_json(project))
        return
    for line in plan_text(project):
        echo(line)


@cli.command(short_help="Play a short story through the functions.")
@_target
@click.pass_context
def demo(ctx: click.Context, target: str | None) -> None:
    """Play a short story through the stored functions, on realistic data."""
    from integrations_db.demo import run

    run(_configured(ctx, target)[2] or _embedded(create=False), echo)


@cli.group(short_help="Start, stop and find the embedded PostgreSQL.")
def server() -> None:
    """The embedded PostgreSQL server: durable, loopback only, kept in a folder of its own."""


@server.command("start")
def server_start() -> None:
    """Start it; make it first if it does not exist. It outlives this command."""
    from integrations_db import server as embedded

    was = embedded.state()
    uri = embedded.start()
    echo("already running" if was.pid else "started")
    echo(uri)


@server.command("stop")
def server_stop() -> None:
    """Stop it; its data stay."""
    from integrations_db import server as embedded

    echo("stopped" if embedded.stop() else "not running")


@server.command("status")
@click.pass_context
def server_status(ctx: click.Context) -> None:
    """Show whether it runs, and where it is kept; exit code 1 when it does not run."""
    from integrations_db import server as embedded

    state = embedded.state()
    if state.pid:
        echo(f"running (process {state.pid}, port {state.port})")
    else:
        echo("stopped" if state.initialised else "not made yet")
    echo(f"folder: {state.folder}")
    if not state.pid:
        ctx.exit(1)


@server.command("url")
def server_url() -> None:
    """Print its URI; the password is in a file that the URI names."""
    from integrations_db import server as embedded

    echo(embedded.uri())


def _terminate(number: int, frame: object) -> NoReturn:
    """Handles SIGTERM, and SIGHUP: the terminal has gone."""
    raise _Terminated


def _complete_streams() -> None:
    """Puts the null device where a standard stream was closed (``>&-``).

    Otherwise the connection to the server could get its number.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))


def _notes(error: BaseException | None) -> list[str]:
    """Returns what was noted about an error, or about the one that it took the place of."""
    notes: list[str] = []
    while error is not None:
        notes += getattr(error, "__notes__", ())
        error = error.__cause__ or error.__context__
    return notes


def _tell(message: str, code: int, as_json: bool) -> int:
    """Says what went wrong, on standard error; for ``--json`` on standard output, too."""
    echo(f"integrations-db: {message}", err=True)
    if os.environ.get("GITHUB_ACTIONS") == "true":
        from integrations_db.check import workflow_commands

        for command in workflow_commands(message):
            echo(command, err=True)
    if as_json:
        with suppress(Unwritable):  # the code says it as well
            echo_json({"error": {"message": message, "exit_code": code}})
    return code


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Runs the command line and exits with a code of the published table."""
    # Nothing here makes garbage in cycles worth looking for; modules that load make it look often.
    gc.disable()
    atexit.register(gc.freeze)
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:  # nohup has it ignored
            signal.signal(number, _terminate)
    _complete_streams()
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # a terminal may not know every letter
    given = list(sys.argv[1:] if arguments is None else arguments)
    as_json = "--json" in given
    try:
        result = cli.main(given, prog_name="integrations-db", standalone_mode=False)
        code = result if isinstance(result, int) else 0
    except click.exceptions.NoArgsIsHelpError as error:
        echo(error.format_message(), err=True)
        code = Usage.exit_code
    except click.UsageError as error:
        if error.ctx is not None:
            echo(error.ctx.get_usage(), err=True)
        help_ = f" (try: {error.ctx.command_path} --help)" if error.ctx else ""
        code = _tell(error.format_message() + help_, Usage.exit_code, as_json)
    except click.ClickException as error:
        code = _tell(error.format_message(), error.exit_code, as_json)
    except Failure as error:
        code = _tell(str(error), error.exit_code, as_json)
    except ReaderGone as error:
        sys.stdout = None  # keep the interpreter from complaining at exit
        code = Failure.exit_code
        if notes := _notes(error):  # else nobody wants to hear anything
            _tell("\n".join([str(error), *notes]), code, as_json=False)
    except Unwritable as error:
        code = _tell("\n".join([str(error), *_notes(error)]), Failure.exit_code, as_json=False)
    except (click.Abort, KeyboardInterrupt) as error:
        # A prompt turns the one into the other.
        terminated = any(isinstance(it, _Terminated) for it in (error, error.__context__))
        echo(err=True)
        # What knows better what is left says so in a note.
        notes = _notes(error) or [
            "What was being worked on was rolled back; finished changes stay."
        ]
        code = _tell(
            "\n".join([f"{'terminated' if terminated else 'interrupted'}.", *notes]),
            Failure.exit_code if terminated else _INTERRUPTED,
            as_json,
        )
    except Exception as error:
        # A net for what no command expected of the database; anything else is a defect and shows.
        psycopg = sys.modules.get("psycopg")
        if psycopg is None or not isinstance(error, psycopg.Error):
            raise
        from integrations_db.database import explain

        code = _tell(explain(error), Failure.exit_code, as_json)
    for name in ("stdout", "stderr"):
        try:
            if stream := getattr(sys, name):
                stream.flush()
        except OSError:
            # The interpreter would try once more at exit, complain, and change the code.
            setattr(sys, name, None)
    sys.exit(code)
