"""``server`` and ``demo``."""

from __future__ import annotations

import click

from integrations_db.cli.group import cli
from integrations_db.cli.options import target_argument
from integrations_db.cli.session import configured, embedded
from integrations_db.terminal import echo

__all__ = ["demo", "server"]


@cli.command(short_help="Play a short story through the functions.")
@target_argument
@click.option(
    "--definitions-only",
    is_flag=True,
    help="Publish the ten example connectors, and stop; integrations_admin is enough.",
)
@click.pass_context
def demo(ctx: click.Context, target: str | None, definitions_only: bool) -> None:
    """Play a short story through the stored functions, on realistic data."""
    from integrations_db.demo import run

    run(configured(ctx, target)[2] or embedded(create=False), echo, definitions_only)


@cli.group(short_help="Start, stop and find the embedded PostgreSQL.")
def server() -> None:
    """The embedded PostgreSQL server: durable, loopback only, kept in a folder of its own."""


@server.command("start")
def server_start() -> None:
    """Start it; make it first if it does not exist. It outlives this command."""
    from integrations_db import server as engine

    was = engine.state()
    uri = engine.start()
    echo("already running" if was.pid else "started")
    echo(uri)


@server.command("stop")
def server_stop() -> None:
    """Stop it; its data stay."""
    from integrations_db import server as engine

    echo("stopped" if engine.stop() else "not running")


@server.command("status", short_help="Show whether it runs, and where it is kept.")
@click.pass_context
def server_status(ctx: click.Context) -> None:
    """Show whether it runs, and where it is kept; exit code 1 when it does not run."""
    from integrations_db import server as engine

    state = engine.state()
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
    from integrations_db import server as engine

    echo(engine.uri())
