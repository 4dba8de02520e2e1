"""The group of all commands: how each shows its help and refuses what it did not expect."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import click

from integrations_db import __version__
from integrations_db.errors import Changed, Failure, Locked, Pending, Usage
from integrations_db.terminal import echo

__all__ = ["INTERRUPTED", "cli"]

INTERRUPTED = 130
_EXIT_CODES = f"""\b
Exit codes:
  0  done, or nothing to do
  {Failure.exit_code}  failed; what is left behind, if anything, is said
  {Usage.exit_code}  wrong usage
  {Pending.exit_code}  status --check: changes are pending
  {Changed.exit_code}  plan or deployed scripts were changed; drift, docs --check: the database was
  {Locked.exit_code}  a lock was not obtained in time
  {INTERRUPTED}  interrupted (Ctrl-C)"""


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
