"""What commands work on: the project, its database, and the connection to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

import click

from integrations_db.errors import Failure
from integrations_db.terminal import echo

if TYPE_CHECKING:
    from integrations_db.config import Config, Target
    from integrations_db.project import Project
    from integrations_db.registry import Connection
    from integrations_db.transaction import Listener

__all__ = ["configured", "embedded", "opened", "session", "tell_packaged"]


def configured(
    ctx: click.Context, given: str | None, *, packaged: bool = True
) -> tuple[Path, Config, Target | None]:
    """Returns the project's directory, its configuration, and the target if one is meant.

    ``packaged``: whether the copy that came with this program will do.
    """
    from integrations_db.config import load_config, resolve_target
    from integrations_db.project import find_root

    root = find_root(ctx.obj, packaged=packaged)
    config = load_config(root)
    return root, config, resolve_target(config, given)


def tell_packaged(ctx: click.Context, root: Path) -> None:
    """Says that a project is not the one that somebody may think to be in.

    To deploy what came with this program from any folder is meant so; what proves something about
    a project must not do so about another one unnoticed.
    """
    if ctx.obj is None and root != Path.cwd():
        echo(
            "    there is no sqitch.plan here: this is about the plan that came with "
            "integrations-db; --chdir names another project's directory",
            err=True,
        )


def opened(ctx: click.Context, given: str | None, create: bool = False) -> tuple[Project, Target]:
    """Reads the project that is meant, and finds its database; ``create``: makes the embedded one.

    The plan is read first: a server is not started for one that is wrong.
    """
    from integrations_db.project import load_project

    root, _, target = configured(ctx, given)
    project = load_project(root, target)
    return project, target or embedded(create)


def embedded(create: bool) -> Target:
    """Starts the embedded server, and makes it if ``create``."""
    from integrations_db import server
    from integrations_db.config import Target

    state = server.state()
    if state.pid is None:
        server.require_programs()
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
def session(target: Target, as_json: bool) -> Iterator[tuple[Connection, Listener]]:
    """Opens the connection of a command, and closes it."""
    from integrations_db.database import connect

    with _listening(as_json) as listener:
        conn = connect(target, listener.say)
        try:
            yield conn, listener
        finally:
            conn.close()
