"""Adds a change with all its files, reworks one, tags the plan; all of it, or nothing.

The plan is written last, so that no line of it is ever without its scripts. Whoever writes it holds
a lock on its folder, and reads it again under that lock: two at once lose no line.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, get_args

from integrations_db import planning
from integrations_db.config import Config, Target, committer, outer_files
from integrations_db.errors import Failure, Usage
from integrations_db.plan import Change, Tag, format_entry, note_of, plan_text
from integrations_db.project import Project, load_project
from integrations_db.script import Kind, shown
from integrations_db.together import collisions, locked, write_together

if TYPE_CHECKING:
    from integrations_db.rendering import Templates

__all__ = ["Request", "Written", "add", "edited_note", "given_note", "rework", "tag", "templates"]

Note = Callable[[str], str]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked of ``add``.

    Attributes:
        name: of the change.
        template: the kind; None: ``add.template_name`` of the configuration.
        requires: dependencies, as the plan has them.
        conflicts: likewise, without ``!``.
        variables: of the template: all values that were given of each.
        folder: with templates that win over all others.
        without: scripts that are not wanted: ``verify``, ``test``.
    """

    name: str
    template: str | None = None
    requires: Sequence[str] = ()
    conflicts: Sequence[str] = ()
    variables: Mapping[str, Sequence[str]] = field(default_factory=dict)
    folder: Path | None = None
    without: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Written:
    """What was done.

    Attributes:
        project: its name.
        plan: the file.
        entry: the line that it has now.
        files: new ones, in the order in which they were written.
        edit: the scripts that a rework is about, which still say what they said.
    """

    project: str
    plan: Path
    entry: Change | Tag
    files: Sequence[Path]
    edit: Sequence[Path] = ()


def templates(root: Path, config: Config, folder: Path | None = None) -> Templates:
    """Returns the templates that count for a project.

    Args:
        root: of the project.
        config: its configuration.
        folder: that is searched first.

    Raises:
        Usage: the folder, or the one of the configuration, is none.
    """
    from integrations_db.rendering import Templates

    named = config.get("add.template_directory")
    first = folder or (root / named if named else None)
    if first is not None and not first.is_dir():
        where = "" if folder else f"{config.place('add.template_directory')}: "
        raise Usage(f'{where}"{first}" is not a folder')
    system, own = outer_files(root)
    beside = [it.parent / "templates" for it in (own, system)]
    return Templates([*([first] if first else []), root / ".sqitch" / "templates", *beside])


def given_note(notes: Sequence[str]) -> str:
    """Returns the note of one or several ``-n``, as Sqitch reads them; empty if there is none."""
    text = "\n\n".join(notes)
    return text if text == "0" else note_of(text)


def edited_note(config: Config, prompt: str) -> str:
    """Asks for a note in the editor that Sqitch would open.

    Args:
        config: may name the editor (``core.editor``).
        prompt: what the editor shows below; its lines are no part of the note.

    Raises:
        Failure: the editor failed, or nothing was written.
    """
    env = os.environ.get
    editor = env("SQITCH_EDITOR") or config.get("core.editor") or env("VISUAL") or env("EDITOR")
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "NOTE")
        lines = "\n".join(f"# {line}".rstrip() for line in prompt.splitlines())
        file.write_text(f"\n{lines}\n", encoding="utf-8")
        # A command line with options, as in git and Sqitch.
        command = f"{editor or 'vi'} {shlex.quote(str(file))}"
        done = subprocess.run(command, shell=True, check=False)  # noqa: S602
        if done.returncode:
            raise Failure(f"the editor ({editor or 'vi'}) failed; nothing was written")
        try:
            text = file.read_text(encoding="utf-8")
        except (OSError, UnicodeDecodeError) as error:
            raise Failure(f"the note cannot be read: {error}; nothing was written") from None
    kept = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    note = "\n".join(kept).strip()
    if not note:
        raise Failure("the note is empty; nothing was written")
    return note


@dataclass(frozen=True, slots=True)
class _Prepared:
    """All that is to be written."""

    draft: planning.Draft
    new: Mapping[Path, bytes]
    replaced: Mapping[Path, bytes]
    edit: Sequence[Path] = ()


def add(root: Path, target: Target | None, request: Request, note: str, ask: Note) -> Written:
    """Adds a change to the plan, with its scripts and its pgTAP file.

    Args:
        root: of the project.
        target: of the configuration, whose settings apply.
        request: what is wanted.
        note: of the change; empty: ask.
        ask: returns the note, given what to show with the question.

    Raises:
        Usage: name, dependency, template or a variable is wrong.
        Failure: something is there already, or could not be written; then nothing was.
    """

    def prepare(project: Project, note: str) -> _Prepared:
        who = committer(project.config)
        file = _plan_file(project)
        text = plan_text(file)
        draft = planning.add(
            text, shown(file), request.name, who, note, request.requires, request.conflicts
        )
        new = {path: data.encode() for path, data in _rendered(project, request, note).items()}
        return _Prepared(draft, new, {})

    return _write(root, target, prepare, note, ask, "add")


def _rendered(project: Project, request: Request, note: str) -> dict[Path, str]:
    """Returns the files of a new change."""
    config = project.config
    found = templates(project.root, config, request.folder)
    name = request.template or config.get("add.template_name")
    if not name:
        kinds = ", ".join(found.kinds())
        raise Usage(f"say what to add with --template KIND; there are: {kinds}")
    kind = found.find(name)
    context = {
        "project": project.plan.project,
        "change": request.name,
        "engine": "pg",
        "requires": list(dict.fromkeys(request.requires)),
        "conflicts": list(dict.fromkeys(request.conflicts)),
        "note": note or "…",
        "stem": request.name.rpartition("/")[2],
    }
    values = found.values(kind, request.variables, config.section("add.variables"), context)
    texts = found.render(kind, {**context, **values})
    places = {each: project.place(request.name, each) for each in get_args(Kind)}
    places["test"] = project.pgtap_place(request.name)
    return {places[script]: text for script, text in texts.items() if script not in request.without}


def rework(
    root: Path,
    target: Target | None,
    name: str,
    requires: Sequence[str],
    conflicts: Sequence[str],
    note: str,
    ask: Note,
) -> Written:
    """Adds a change again, keeps its former scripts, and makes the former deploy script its revert.

    Args:
        root, target, note, ask: as for ``add``.
        name: of the change.
        requires: further dependencies.
        conflicts: likewise.

    Raises:
        Usage: a dependency is wrong.
        Failure: there is no such change, no tag after it, or something is in the way.
    """

    def prepare(project: Project, note: str) -> _Prepared:
        file = _plan_file(project)
        draft, last = planning.rework(
            plan_text(file), shown(file), name, committer(project.config), note, requires, conflicts
        )
        return _reworked(project, draft, name, last)

    return _write(root, target, prepare, note, ask, "rework")


def _reworked(project: Project, draft: planning.Draft, name: str, last: str) -> _Prepared:
    """Returns the copies that a rework makes: ``NAME@TAG`` of each script that there is."""
    new: dict[Path, bytes] = {}
    replaced: dict[Path, bytes] = {}
    edit = []
    deploy = _read(project.place(name, "deploy"))
    for kind in get_args(Kind):
        here, there = project.place(name, kind), project.place(name, kind, last)
        data = _read(here)
        if data is None:
            continue
        edit.append(here)
        kept = _read(there)
        if kind == "revert" and deploy is not None:
            if data == deploy and kept is not None:
                data = kept  # a rework was broken off after this step
            replaced[here] = deploy
        new[there] = data
    return _Prepared(draft, new, replaced, edit)


def _read(path: Path) -> bytes | None:
    """Returns what is in a file, None if there is none."""
    try:
        return path.read_bytes() if path.exists() else None
    except OSError as error:
        raise Failure(f"{shown(path)}: cannot be read: {error.strerror}") from None


def tag(
    root: Path, target: Target | None, name: str, change: str | None, note: str, ask: Note
) -> Written:
    """Adds a tag to a change.

    Args:
        root, target, note, ask: as for ``add``.
        name: of the tag.
        change: what it follows; None: the last change.

    Raises:
        Usage: the name is wrong.
        Failure: there is such a tag, or no such change.
    """

    def prepare(project: Project, note: str) -> _Prepared:
        file = _plan_file(project)
        who = committer(project.config)
        draft = planning.tag(plan_text(file), shown(file), name, who, note, change)
        return _Prepared(draft, {}, {})

    return _write(root, target, prepare, note, ask, "tag")


def _plan_file(project: Project) -> Path:
    """Returns the plan's own file, where a link leads to it."""
    return Path(project.plan.file).resolve()


def _write(
    root: Path,
    target: Target | None,
    prepare: Callable[[Project, str], _Prepared],
    note: str,
    ask: Note,
    what: str,
) -> Written:
    """Finds out what is to be written, asks for the note if there is none, and writes it."""
    project = load_project(root, target)
    if not note:
        note = ask(_prompt(what, prepare(project, "")))
    with locked(_plan_file(project).parent):
        project = load_project(root, target)
        prepared = prepare(project, note)
        if there := collisions(prepared.new):
            names = "".join(f"\n  {shown(path)}" for path in there)
            raise Failure(f"these files are there already; nothing was written:{names}")
        plan = _plan_file(project)
        write_together(prepared.new, {**prepared.replaced, plan: prepared.draft.text.encode()})
    return Written(
        project.plan.project,
        Path(project.plan.file),
        prepared.draft.entry,
        tuple(prepared.new),
        prepared.edit,
    )


def _prompt(what: str, prepared: _Prepared) -> str:
    """Returns what is shown with the question for a note."""
    entry = prepared.draft.entry
    line = format_entry(entry).partition(f" {entry.planned_at:%Y-}")[0]
    files = "".join(f"\n    {shown(path)}" for path in [*prepared.edit, *prepared.new])
    return (
        "Please enter a note for your change. Lines starting with '#' will\n"
        f"be ignored, and an empty message aborts the {what}.\n"
        f"Change to {what}:\n\n  {line}{files}\n"
    )
