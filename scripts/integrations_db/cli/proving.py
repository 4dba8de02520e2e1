"""``drift`` and ``rehearse``: they build the plan elsewhere, and compare."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

import click

from integrations_db.cli.group import cli
from integrations_db.cli.options import json_option, set_option, target_argument
from integrations_db.cli.session import configured, opened, session, tell_packaged
from integrations_db.errors import Changed, Failure
from integrations_db.terminal import echo, echo_json, on_github

if TYPE_CHECKING:
    from integrations_db.drift import Scratch

__all__ = ["drift", "rehearse"]


@cli.command(short_help="Compare a database with what the plan builds.")
@target_argument
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
@set_option
@json_option
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

    project, where = opened(ctx, target)
    with session(where, as_json) as (conn, listener):
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
        for line in drift_text(result):
            echo(line)
        if on_github():
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
@set_option
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
    root, _, target = configured(ctx, None)
    tell_packaged(ctx, root)
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
