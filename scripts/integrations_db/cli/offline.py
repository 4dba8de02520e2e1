"""``sql``: writes what ``deploy`` and ``revert`` do as one script for psql."""

from __future__ import annotations

from pathlib import Path

import click

from integrations_db.cli import completing
from integrations_db.cli.group import cli
from integrations_db.cli.options import set_option
from integrations_db.cli.session import configured
from integrations_db.terminal import echo, echo_exactly

__all__ = ["sql"]


@cli.command(short_help="Write one script for psql that deploys or reverts.")
@click.option(
    "--from",
    "start",
    metavar="CHANGE",
    shell_complete=completing.changes,
    help="The change that the database stands at; default: none, or with --revert the last one.",
)
@click.option(
    "--to",
    "end",
    metavar="CHANGE",
    shell_complete=completing.changes,
    help="The last change to deploy; default: all. With --revert: the change that stays.",
)
@click.option("--revert", is_flag=True, help="Revert instead of deploying.")
@click.option("--all", "everything", is_flag=True, help="With --revert: every change.")
@set_option
@click.option(
    "-o",
    "--output",
    "file",
    metavar="FILE",
    type=click.Path(path_type=Path, dir_okay=False),
    help="Write to this file, which must not be there yet; default, or -: standard output.",
)
@click.pass_context
def sql(
    ctx: click.Context,
    start: str | None,
    end: str | None,
    revert: bool,
    everything: bool,
    variables: dict[str, str],
    file: Path | None,
) -> None:
    """Write one script for psql, for a change board or a DBA without this program.

    It deploys (or reverts) the chosen changes, and records them, as deploy (or revert) does. It
    refuses a database in another state, and goes on where it was stopped. No database is needed to
    write it.
    """
    from integrations_db.offline import offline_script, write
    from integrations_db.project import load_project

    root, _, target = configured(ctx, None)
    project = load_project(root, target)
    text = offline_script(
        project,
        start=start,
        end=end,
        revert=revert,
        everything=everything,
        variables=variables,
    )
    if file is None or str(file) == "-":
        echo_exactly(text)
        return
    write(text, file)
    echo(f"{file} is written; run it with: psql -X -f {file}", err=True)
