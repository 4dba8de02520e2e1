"""``docs``: documents from the catalogue."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from integrations_db.cli.group import cli
from integrations_db.cli.options import json_option, set_option, target_argument
from integrations_db.cli.session import configured, session, tell_packaged
from integrations_db.errors import Changed, Failure, Usage
from integrations_db.terminal import echo, echo_json

if TYPE_CHECKING:
    from integrations_db.project import Project

__all__ = ["docs"]


@cli.command(short_help="Write documents from the catalogue, or --check them.")
@target_argument
@click.option("--check", is_flag=True, help="Write nothing; exit 4 when a document is stale.")
@click.option(
    "-o",
    "--output",
    "folder",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    show_default="docs, beside the plan",
    help="Folder of the documents.",
)
@click.option(
    "--schema",
    "schemas",
    metavar="NAME",
    multiple=True,
    show_default="docs.schema of the configuration, else all but the registry",
    help="Document only this schema; may be repeated.",
)
@set_option
@json_option
@click.pass_context
def docs(
    ctx: click.Context,
    target: str | None,
    check: bool,
    folder: Path | None,
    schemas: tuple[str, ...],
    variables: dict[str, str],
    as_json: bool,
) -> None:
    """Write documents of a database from its catalogue.

    In Markdown pages, what stands between <!-- docs: ... --> and <!-- /docs --> is written anew;
    everything else stays. What no page tells gets a page. reference.html is written whole: one
    file, with a diagram.

    Without a TARGET, configured ones included, the plan is built on an embedded server that is
    thrown away, so that the result depends on the plan alone.
    """
    from integrations_db.database import describe
    from integrations_db.docs import pages, source
    from integrations_db.output import counted
    from integrations_db.project import load_project
    from integrations_db.script import shown

    root, config, where = configured(ctx, target)
    if where is None:
        tell_packaged(ctx, root)
    project = load_project(root, where)
    folder = folder or _folder(project)
    schemas = schemas or config.all("docs.schema")
    if where is None:
        place = "what the plan builds"
        model = source.of_plan(project, schemas, variables)
    else:
        with session(where, as_json) as (conn, listener):
            place = describe(conn)
            model = source.of_database(conn, project, where, listener, schemas, variables)
    made = pages.render(model, folder)
    stale = pages.stale(made, folder)
    if not check:
        pages.write({name: made.texts[name] for name in stale}, folder)
    if as_json:
        echo_json(
            {
                "project": project.plan.project,
                "database": place,
                "folder": str(folder),
                "documents": sorted(made.texts),
                "stale" if check else "written": sorted(stale),
                "missing": made.missing,
            }
        )
        ctx.exit(
            (Changed if check else Failure).exit_code if (stale and check) or made.missing else 0
        )
    for name, difference in stale.items():
        echo(f"{shown(folder / name)} {'is stale' if check else 'is written'}")
        if check:
            echo(difference)
    problems = [*made.missing]
    if check and stale:
        problems.append(
            f"{counted(len(stale), 'document')} of {len(made.texts)} stale; renew: the same "
            "command without --check"
        )
    if problems:
        raise (Changed if check else Failure)("\n".join(problems))
    echo(f"{place}: {counted(len(made.texts), 'document')} up to date.")


def _folder(project: Project) -> Path:
    """Returns the folder of a project's documents, unless the project is the one of our package."""
    if project.root.is_relative_to(Path(__file__).parents[1]):
        raise Usage(
            "this is the project that came with this program; say where its documents go: "
            "--output DIR"
        )
    return project.root / "docs"
