"""``add``, ``rework`` and ``tag``: they write the plan, and the files of its changes."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from integrations_db.cli.group import cli
from integrations_db.cli.options import json_option
from integrations_db.cli.session import configured
from integrations_db.errors import Usage
from integrations_db.terminal import echo, echo_json

if TYPE_CHECKING:
    from integrations_db.config import Config
    from integrations_db.scaffold import Written

__all__ = ["add", "rework", "tag"]


def _values(
    ctx: click.Context, parameter: click.Parameter, given: tuple[str, ...]
) -> dict[str, list[str]]:
    """Returns the variables of ``--set``: all values of each."""
    found: dict[str, list[str]] = {}
    for text in given:
        name, equals, value = text.partition("=")
        if not equals or not re.fullmatch(r"[a-z_][a-z0-9_]*", name):
            raise click.BadParameter("expected NAME=VALUE, the name of small letters, digits and _")
        found.setdefault(name, []).append(value)
    return found


def _option(*names: str, **more: Any) -> Callable[[Any], Any]:
    return click.option(*names, multiple=True, **more)


_requires_option = _option(
    "-r",
    "--requires",
    metavar="CHANGE",
    help="A change, CHANGE@TAG, @TAG or PROJECT:CHANGE that must be deployed before; may be "
    "repeated.",
)
_conflicts_option = _option(
    "-c",
    "-x",
    "--conflicts",
    metavar="CHANGE",
    help="A change that must not be deployed; may be repeated.",
)
_note_option = _option(
    "-n",
    "-m",
    "--note",
    "notes",
    metavar="NOTE",
    help="What it is for; several make paragraphs. Without one, an editor opens, if there is a "
    "terminal.",
)


@cli.command(short_help="Add a change: plan, scripts and test, from a template.")
@click.argument("name", required=False)
@click.option(
    "-t",
    "--template",
    metavar="KIND",
    show_default="add.template_name of the configuration",
    help="The kind of change; --list tells which there are.",
)
@_requires_option
@_conflicts_option
@_note_option
@_option(
    "-s",
    "--set",
    "variables",
    metavar="NAME=VALUE",
    callback=_values,
    help="Set a variable of the template; several of one name make a list.",
)
@click.option(
    "--template-directory",
    metavar="DIR",
    type=click.Path(path_type=Path, exists=True, file_okay=False),
    show_default="add.template_directory of the configuration",
    help="Folder with templates that win over all others.",
)
@_option(
    "--without",
    type=click.Choice(["verify", "test"]),
    help="Leave out a file; may be repeated.",
)
@click.option("--list", "listed", is_flag=True, help="Tell the kinds, or the variables of one.")
@json_option
@click.pass_context
def add(
    ctx: click.Context,
    name: str | None,
    template: str | None,
    requires: tuple[str, ...],
    conflicts: tuple[str, ...],
    notes: tuple[str, ...],
    variables: dict[str, list[str]],
    template_directory: Path | None,
    without: tuple[str, ...],
    listed: bool,
    as_json: bool,
) -> None:
    """Add a change NAME at the end of the plan, with deploy, revert, verify and pgTAP file.

    Nothing that is there is overwritten, and either all is written or nothing.
    """
    from integrations_db import scaffold

    if listed:
        _list(ctx, template, template_directory, as_json)
        return
    if not name:
        raise click.UsageError("say the NAME of the change, such as tables/orders", ctx)
    root, config, target = configured(ctx, None, packaged=False)
    request = scaffold.Request(
        name, template, requires, conflicts, variables, template_directory, without
    )
    note = scaffold.given_note(notes)
    done = scaffold.add(root, target, request, note, _asking(config, as_json))
    _tell(done, as_json)


@cli.command(short_help="Change what was released: keep the former scripts, edit new ones.")
@click.argument("name")
@_requires_option
@_conflicts_option
@_note_option
@json_option
@click.pass_context
def rework(
    ctx: click.Context,
    name: str,
    requires: tuple[str, ...],
    conflicts: tuple[str, ...],
    notes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Add a change NAME again, after a tag.

    Its scripts are kept as NAME@TAG; the former deploy script becomes the new revert script.
    """
    from integrations_db import scaffold

    root, config, target = configured(ctx, None, packaged=False)
    note = scaffold.given_note(notes)
    ask = _asking(config, as_json)
    done = scaffold.rework(root, target, name, requires, conflicts, note, ask)
    _tell(done, as_json)


@cli.command(short_help="Tag the plan: a release, after which changes are reworked.")
@click.argument("name", required=False)
@click.argument("change", required=False)
@click.option("-c", "--change", "other", metavar="CHANGE", help="The change to tag; the last one.")
@_note_option
@json_option
@click.pass_context
def tag(
    ctx: click.Context,
    name: str | None,
    change: str | None,
    other: str | None,
    notes: tuple[str, ...],
    as_json: bool,
) -> None:
    """Tag the last change of the plan, or CHANGE. Without a NAME, list the tags."""
    from integrations_db import scaffold
    from integrations_db.project import load_project

    root, config, target = configured(ctx, None, packaged=False)
    if change and other:
        raise click.UsageError("the change is given twice", ctx)
    if not name:
        plan = load_project(root, target).plan
        tags = [f"@{it.name}" for each in plan.changes for it in each.tags]
        if as_json:
            echo_json({"project": plan.project, "tags": tags})
        elif tags:
            echo("\n".join(tags))
        return
    note = scaffold.given_note(notes)
    done = scaffold.tag(root, target, name, change or other, note, _asking(config, as_json))
    _tell(done, as_json)


def _asking(config: Config, as_json: bool) -> Callable[[str], str]:
    """Returns what asks for a note: the editor, where somebody sits before it."""

    def ask(prompt: str) -> str:
        from integrations_db.scaffold import edited_note

        if as_json or not (sys.stdin.isatty() and sys.stdout.isatty()):
            raise click.UsageError("a note is missing: -n NOTE; there is no terminal to ask on")
        return edited_note(config, prompt)

    return ask


def _tell(done: Written, as_json: bool) -> None:
    """Says what was written."""
    from integrations_db.output import change_json, tag_json
    from integrations_db.plan import Tag, format_entry
    from integrations_db.script import shown

    files = [shown(path) for path in done.files]
    if as_json:
        entry = done.entry
        said = tag_json(entry) if isinstance(entry, Tag) else change_json(entry)
        edit = {"edit": [shown(path) for path in done.edit]} if done.edit else {}
        echo_json(
            {"project": done.project, "plan": shown(done.plan), **said, "files": files, **edit}
        )
        return
    echo(f"{shown(done.plan)}: {format_entry(done.entry)}")
    for file in files:
        echo(f"  {file}")
    if done.edit:
        echo("Now edit these; the revert script is what deployed before:")
    for path in done.edit:
        echo(f"  {shown(path)}")


def _list(ctx: click.Context, template: str | None, folder: Path | None, as_json: bool) -> None:
    """Tells the kinds that there are, or the variables of one."""
    from integrations_db import scaffold
    from integrations_db.config import load_config
    from integrations_db.project import find_root

    try:
        root = find_root(ctx.obj, packaged=False)
    except Usage:
        if ctx.obj is not None:
            raise
        root = Path.cwd()  # in no project: this package's kinds, and the user's
    templates = scaffold.templates(root, load_config(root), folder)
    kinds = (
        [templates.find(template)]
        if template
        else [templates.find(name) for name in templates.kinds()]
    )
    if as_json:
        told = [
            {
                "kind": kind.name,
                "about": kind.about,
                "variables": [
                    {
                        "name": it.name,
                        "about": it.about,
                        "required": it.default is None,
                        "example": it.example,
                    }
                    for it in kind.variables.values()
                ],
            }
            for kind in kinds
        ]
        echo_json({"kinds": told})
        return
    for kind in kinds:
        if not template:
            echo(f"{kind.name:16}  {kind.about}".rstrip())
            continue
        echo(f"{kind.name}: {kind.about}")
        for it in kind.variables.values():
            needed = "" if it.default is not None else " (required)"
            echo(f"  {it.name:14}  {it.about}{needed}")
