"""What the shell may complete of a project: its changes, tags and targets. Nothing connects."""

from __future__ import annotations

from contextlib import suppress

import click

from integrations_db.errors import Failure

__all__ = ["changes", "targets"]


def changes(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Returns the changes and @tags of the plan that begin so; none where it cannot be read."""
    from integrations_db.cli.session import configured
    from integrations_db.project import load_project

    names: dict[str, None] = {}
    with suppress(Failure):
        # An option that still wants its value keeps click from taking the arguments as such.
        given = ctx.params.get("target") or next(iter(ctx.args), None)
        root, _, target = configured(_with_directory(ctx), given)
        for change in load_project(root, target).plan.changes:
            names |= dict.fromkeys([change.name, *(f"@{tag.name}" for tag in change.tags)])
    return [name for name in names if name.startswith(incomplete)]


def targets(ctx: click.Context, parameter: click.Parameter, incomplete: str) -> list[str]:
    """Returns the targets of the configuration that begin so."""
    from integrations_db.config import load_config
    from integrations_db.project import find_root

    names: dict[str, None] = {}
    with suppress(Failure):
        for key in load_config(find_root(_with_directory(ctx).obj)).values:
            section, _, rest = key.partition(".")
            if section == "target" and rest.endswith(".uri"):
                names[rest.removesuffix(".uri")] = None
    return [name for name in names if name.startswith(incomplete)]


def _with_directory(ctx: click.Context) -> click.Context:
    """Does for a command that is only completed what the group does for one that runs."""
    ctx.obj = ctx.find_root().params.get("directory")
    return ctx
