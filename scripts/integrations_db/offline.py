"""Writes one script for psql that deploys or reverts changes, and records them.

It is for a change board, or for a DBA who has psql and nothing else: all that ``deploy`` and
``revert`` do by themselves stands in it as SQL, to be read (``templates/offline.sql.j2``). Scripts
stand there as they are (``inline``), the rows of the registry are the statements of ``registry``.
Neither a database nor a network is needed to write it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType

from psycopg import sql

from integrations_db import __version__, marker, psql, registry, strangers
from integrations_db.database import FRESH, OWN_PATH, PATH_OF_CLIENT, STAY, adopting, stores
from integrations_db.deploy import requirements
from integrations_db.errors import Failure, Usage
from integrations_db.inline import inlined
from integrations_db.output import counted
from integrations_db.plan import Change, Dependency, Plan, find_change, script_hash
from integrations_db.project import Project
from integrations_db.registry import NAMES, literal
from integrations_db.script import VERIFY_SAVEPOINT, Kind, Script, shown
from integrations_db.together import write_together
from integrations_db.transaction import DEFERRED, WRITES

__all__ = ["offline_script", "write"]

_TAG = "$integrations_db$"  # the dollar quotes of the blocks: no literal has a dollar sign
_REDIRECTS = re.compile(r"\\(?:o|out)\b")

_Requires = Mapping[int, Sequence[tuple[str, str | sql.Composable]]]


@dataclass(frozen=True, slots=True)
class _Range:
    """Which changes, by how many of the plan the database has before and after.

    Attributes:
        low: the smaller number: where a deployment begins and a reversion ends.
        high: the greater one.
    """

    low: int
    high: int


def offline_script(
    project: Project,
    *,
    start: str | None = None,
    end: str | None = None,
    revert: bool = False,
    everything: bool = False,
    variables: Mapping[str, str] = MappingProxyType({}),
    generated: datetime | None = None,
) -> str:
    """Returns the script.

    Args:
        project: whose changes.
        start: the change that the database stands at; None: before the first one; for a reversion,
            the end of the plan.
        end: the last change to deploy; for a reversion, the one to keep. A reversion takes the two
            in either order, because only one of them has anything to revert.
        revert: whether to revert.
        everything: whether to revert all, instead of ``end``.
        variables: of psql, given with ``--set``.
        generated: when, as the script says; None: SOURCE_DATE_EPOCH, or now.

    Raises:
        Usage: how far to revert is not said.
        Failure: there is nothing to do, or a change cannot be part of such a script.
    """
    chosen = _chosen(project.plan, start, end, revert, everything)
    if _TAG in project.registry:
        raise Failure(f"the registry cannot be called {project.registry} in such a script")
    project.unique_scripts()
    kind: marker.Action = "revert" if revert else "deploy"
    kinds: tuple[Kind, ...] = ("revert",) if revert else ("deploy", "verify")
    indexes = range(chosen.low, chosen.high)
    known = _variables(project, kinds, variables)
    steps = _steps(
        project,
        indexes[::-1] if revert else indexes,
        kind,
        known,
        {} if revert else _requires(project, indexes),
    )
    return _rendered(project, chosen, kind, steps, known, generated or _now())


def _chosen(
    plan: Plan, start: str | None, end: str | None, revert: bool, everything: bool
) -> _Range:
    """Returns which changes are meant."""
    if everything and (end is not None or not revert):
        raise Usage("--all goes with --revert, and without --to")
    if revert and end is None and not everything:
        raise Usage("say how far to revert: --to CHANGE, which stays, or --all")
    first = find_change(plan, start) + 1 if start is not None else None
    last = find_change(plan, end) + 1 if end is not None else None
    if not revert:
        low, high = first or 0, last or len(plan.changes)
    elif everything:
        low, high = 0, first or len(plan.changes)
    else:
        low, high = sorted((first or len(plan.changes), last or 0))
    if not plan.changes:
        raise Failure(f"the plan {plan.file} has no changes")
    if low >= high:
        first_name, last_name = plan.changes[low - 1].name, plan.changes[high - 1].name
        raise Failure(
            f'there is nothing to write: no change comes after "{first_name}" and is not after '
            f'"{last_name}"'
        )
    return _Range(low, high)


def _now() -> datetime:
    """Returns the time that the script tells: https://reproducible-builds.org/specs."""
    epoch = os.environ.get("SOURCE_DATE_EPOCH")
    if epoch is None:
        return datetime.now(UTC)
    try:
        return datetime.fromtimestamp(int(epoch), UTC)
    except (ValueError, OverflowError, OSError):
        raise Usage("SOURCE_DATE_EPOCH is not a number of seconds since 1970") from None


def _plain(text: str) -> str:
    """Returns a text as one line of a comment, in which nothing commands a terminal."""
    return "".join(
        char if char.isprintable() else char.encode("unicode_escape").decode() for char in text
    )


@dataclass(frozen=True, slots=True)
class _Part:
    """A script as the template has it.

    Attributes:
        path: from the project's directory.
        hash: its SHA-1.
        text: whole lines.
        rows: whether rows of COPY are among them.
        redirects: whether it may send its output elsewhere.
        psql: whether only psql can run it.
        atomic: whether a transaction can hold it.
        begin: what opens that.
        own_transaction: whether it has a BEGIN itself.
        deferred: whether constraints are to be deferred again before it, as they are declared.
        adopts: whether settings may have been stored before it.
        files: those that psql reads when it runs, as a line of a comment each.
        variables: the lines that set its variables, if it does not have those of all, and unset
            what it must not find set.
    """

    path: str
    hash: str | None
    text: str
    rows: bool
    redirects: bool
    psql: bool
    atomic: bool
    begin: str
    own_transaction: bool
    deferred: bool
    adopts: bool
    files: list[str]
    variables: list[str]


@dataclass(frozen=True, slots=True)
class _Step:
    """A change as the template has it.

    Attributes:
        position: in the plan, from 1.
        id: of the change.
        name: as shown.
        title: name and tags, as shown.
        echo: what is said when it is begun.
        note: its lines.
        atomic: whether one transaction holds its scripts and its record.
        why: for what reason not.
        script: what is run.
        verify: its verify script, if it has one.
        last_literal: the ID of the change that must be the latest before it; or null.
        advisory: whether the script may take or release advisory locks.
        stores: whether it may store settings for sessions to come.
        record: the statements that record it.
        mark: the one that marks it as begun, if it is not atomic.
        ran: the one that notes that its script ran to the end.
        unmark: the one that takes the mark away.
    """

    position: int
    id: str
    name: str
    title: str
    echo: str
    note: list[str]
    atomic: bool
    why: str
    script: _Part
    verify: _Part | None
    last_literal: str
    advisory: bool
    stores: bool
    record: str
    mark: str
    ran: str
    unmark: str


@dataclass(frozen=True, slots=True)
class _Need:
    """A change of another project that one of ours requires, or conflicts with.

    Attributes:
        position: of our change in the plan, from 1.
        conflict: whether it must not be there; as SQL has it.
        message: what to say if it is not so.
        query: what gives the ID of the other change, if it is deployed.
    """

    position: int
    conflict: str
    message: str
    query: str


@dataclass(frozen=True, slots=True)
class _Variables:
    """The psql variables of the scripts, by their kind.

    Attributes:
        given: those of the project and the command line.
        known: all that a script will find set.
        shared: whether every kind has the same, so that they are set but once.
    """

    given: Mapping[Kind, Mapping[str, str]]
    known: Mapping[Kind, Mapping[str, str]]
    shared: bool

    def lines(self, kind: Kind) -> list[str]:
        """Returns what sets those of a kind before each of its scripts, if that has to be."""
        return [] if self.shared else psql.set_commands(self.given[kind])


def _variables(project: Project, kinds: Sequence[Kind], given: Mapping[str, str]) -> _Variables:
    """Returns the variables of these kinds of scripts.

    Raises:
        Failure: one of them is the script's own, or a setting of psql.
    """
    each = {kind: project.variables(kind, given) for kind in kinds}
    if odd := sorted(name for them in each.values() for name in them if name.startswith(NAMES)):
        raise Failure(f"{odd[0]}: names that begin with {NAMES} are those of the script itself")
    known = {
        kind: psql.script_variables(them, registry=project.registry) for kind, them in each.items()
    }
    return _Variables(
        each, known, len({tuple(sorted(them.items())) for them in each.values()}) == 1
    )


def _outside(project: Project, indexes: range) -> list[_Need]:
    """Returns what the changes need of other projects, which only the database can tell."""
    plan, needs = project.plan, []
    for index in indexes:
        change = plan.changes[index]
        for dependency in (*change.requires, *change.conflicts):
            if dependency.project in (None, plan.project):
                continue
            does, has = ("requires", "is not")
            if dependency.conflict:
                does, has = ("conflicts with", "is")
            needs.append(
                _Need(
                    position=index + 1,
                    conflict="true" if dependency.conflict else "false",
                    message=f"{change.name} {does} {dependency.name_in(plan.project)}, "
                    f"which {has} deployed",
                    query=_query(project, dependency),
                )
            )
    return needs


def _query(project: Project, dependency: Dependency) -> str:
    """Returns the query for the ID of a change of another project."""
    return registry.change_id_query(
        None, project.registry, dependency.project or "", dependency.change, dependency.tag
    )


def _requires(project: Project, indexes: range) -> _Requires:
    """Resolves what the changes require; of other projects as a query.

    Raises:
        Failure: one is missing, or conflicts.
    """

    def elsewhere(dependency: Dependency) -> sql.Composable | None:
        # Whether a conflict is there will be seen.
        return None if dependency.conflict else sql.SQL(f"({_query(project, dependency)})")

    return requirements(project, indexes, elsewhere)


def _path(project: Project, script: Script) -> str:
    """Returns what a script is called, wherever the command is run."""
    path = Path(os.path.abspath(script.path))
    if path.is_relative_to(project.root):
        path = path.relative_to(project.root)
    return _plain(path.as_posix())


def _part(
    project: Project,
    script: Script,
    variables: _Variables,
    *,
    framed: bool,
    deferred: bool = False,
    adopts: bool,
) -> _Part:
    """Returns a script as the template has it; ``framed``: in a transaction around it."""
    found = inlined(script, project.root, variables.known[script.kind], framed=framed)
    return _Part(
        path=_path(project, script),
        hash=script_hash(script.path),
        text=found.text,
        rows=found.rows,
        redirects=bool(_REDIRECTS.search(found.text)),
        psql=script.execution == "psql",
        atomic=script.execution == "atomic",
        begin=f"{script.begin}\n" if "--" in script.begin else script.begin,
        own_transaction=script.own_transaction,
        deferred=deferred,
        adopts=adopts,
        files=[_plain(f"{name}, by {_path(project, script)}") for name in found.files],
        variables=[
            *variables.lines(script.kind),
            *(f"\\unset {name}" for name in found.unset),
        ],
    )


def _steps(
    project: Project,
    indexes: Sequence[int],
    kind: marker.Action,
    variables: _Variables,
    requires: _Requires,
) -> list[_Step]:
    """Returns the changes as the template has them, in the order in which they run."""
    # By the texts so far: whether constraints may wait, and settings be stored for new sessions.
    earlier = [project.path(index, "deploy") for index in range(min(indexes))]
    deferring = any(
        _deferring(path.read_text(errors="replace")) for path in earlier if path.exists()
    )
    # Constraints of another project are not to be seen.
    deferring = deferring or bool(_outside(project, range(max(indexes) + 1)))
    storing = False
    steps = []
    for number, index in enumerate(indexes, 1):
        script = project.script(index, kind, variables.known[kind])
        check = None
        if kind == "deploy" and project.path(index, "verify").exists():
            check = project.script(index, "verify", variables.known["verify"])
        obstacle = next((s for s in (script, check) if s and s.execution != "atomic"), None)
        part = _part(project, script, variables, framed=obstacle is None, adopts=storing)
        deferring = deferring or _deferring(part.text)
        storing = storing or stores(script.source)
        verify = None
        if check:
            verify = _part(
                project,
                check,
                variables,
                framed=check.execution == "atomic",
                deferred=deferring and check.own_transaction and bool(WRITES.search(check.source)),
                adopts=storing,
            )
        steps.append(
            _step(
                project,
                index,
                kind,
                script,
                (part, verify),
                obstacle,
                _record(project, index, kind, requires),
                f"[{number}/{len(indexes)}]",
            )
        )
    return steps


def _deferring(text: str) -> bool:
    """Tells whether a script may make constraints that wait."""
    return "deferr" in text.lower()


def _record(project: Project, index: int, kind: marker.Action, requires: _Requires) -> str:
    """Returns the statements that record a change as deployed or reverted."""
    change = project.plan.changes[index]
    if kind == "revert":
        return registry.reversion(None, project.registry, project.plan, change, None)
    return registry.deployment(
        None,
        project.registry,
        project.plan,
        change,
        project.hash(index),
        requires[index],
        None,
        None,
    )


def _step(
    project: Project,
    index: int,
    kind: marker.Action,
    script: Script,
    parts: tuple[_Part, _Part | None],
    obstacle: Script | None,
    record: str,
    count: str,
) -> _Step:
    """Returns a change as the template has it; ``count``: how its first line begins."""
    plan, (part, verify) = project.plan, parts
    change, there = plan.changes[index], (project.registry, plan.project)
    before = change if kind == "revert" else plan.changes[index - 1] if index else None
    title = _plain(change.title)
    said = f"{count} {'-' if kind == 'revert' else '+'} {title}"
    said += " (not atomic)" if obstacle else ""
    said += "" if kind == "revert" or verify else " (not verified)"
    why = ""
    if obstacle and obstacle.why:
        why = _plain(obstacle.why.replace(shown(obstacle.path), _path(project, obstacle)))
    return _Step(
        position=index + 1,
        id=change.id,
        name=_plain(change.name),
        title=title,
        echo=said,
        note=[_plain(line) for line in change.note.splitlines()],
        atomic=obstacle is None,
        why=why,
        script=part,
        verify=verify,
        last_literal=literal(before.id if before else None),
        advisory="advisory" in script.source.lower(),
        stores=stores(script.source),
        record=record,
        mark=marker.marking(*there, change, kind, part.path, part.hash),
        ran=marker.noting(*there, change.id, "ran to its end, but was not verified"),
        unmark=marker.clearing(*there, change.id),
    )


def _rendered(
    project: Project,
    chosen: _Range,
    kind: marker.Action,
    steps: Sequence[_Step],
    known: _Variables,
    generated: datetime,
) -> str:
    """Returns the text of the script."""
    from jinja2 import Environment, PackageLoader, StrictUndefined

    plan, revert = project.plan, kind == "revert"
    storing = any(step.stores for step in steps)
    all_atomic = all(step.atomic for step in steps)
    environment = Environment(  # noqa: S701  # it writes SQL, no HTML
        loader=PackageLoader("integrations_db"),
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"literal": literal, "quoted": psql.quoted}
    count = counted(len(steps))
    verb, done = ("Reverts", "reverted") if revert else ("Deploys", "deployed")
    stored, adopt, adopt_path = adopting() if storing else ("", "", "")
    creation = registry.creation(project.registry)
    changes = plan.changes[chosen.low : chosen.high]
    schema = sql.Identifier(project.registry).as_string(None)
    shared = next(iter(known.given.values()))
    return environment.get_template("offline.sql.j2").render(
        headline=f"{verb} {count} of project {_plain(plan.project)}, with their records",
        ending=f"Done: the {count} of this script {'is' if len(steps) == 1 else 'are'} {done}",
        project=_plain(plan.project),
        project_literal=literal(plan.project),
        uri=_plain(plan.uri or "(none)"),
        uri_literal=literal(plan.uri),
        registry=schema,
        registry_name=_plain(project.registry),
        registry_literal=literal(project.registry),
        registry_version=registry.VERSION,
        from_text=_stands(plan, chosen.high if revert else chosen.low),
        to_text=_stands(plan, chosen.low if revert else chosen.high),
        generated=f"{generated:%Y-%m-%d %H:%M:%S} UTC by integrations-db {__version__}",
        revert=revert,
        kind=kind,
        low=chosen.low,
        high=chosen.high,
        low_literal=literal(_named(plan, chosen.low)),
        to_option=f" --to {plan.changes[chosen.low - 1].id}"
        if revert and chosen.low
        else " --all"
        if revert
        else f" --to {plan.changes[chosen.high - 1].id}",
        expected=[
            ", ".join(map(literal, (index + 1, change.name, change.id, project.hash(index))))
            for index, change in enumerate(plan.changes[: chosen.high])
        ],
        ids=literal([change.id for change in changes]),
        barriers=[step for step in steps if step.script.rows or (step.verify and step.verify.rows)],
        files=[
            file
            for step in steps
            for part in (step.script, step.verify)
            if part
            for file in part.files
        ],
        elsewhere=[] if revert else _outside(project, range(chosen.low, chosen.high)),
        requiring=registry.requiring_query(None, project.registry, [c.id for c in changes])
        if revert
        else "",
        steps=steps,
        any_apart=not all_atomic,
        variables=[
            psql.set_command("registry", project.registry),
            *(psql.set_commands(shared) if known.shared else []),
        ],
        any_variables=any(known.given.values()),
        tags=[
            registry.tagging(None, project.registry, plan, change, tag, None)
            for change in plan.changes[max(chosen.low - 1, 0) : chosen.high - 1]
            for tag in change.tags
        ],
        create_schema=creation[0],
        create_registry=creation[1].strip(),
        release=registry.release(None, project.registry, registry.VERSION, None),
        registration=registry.registration(None, project.registry, plan, None),
        strange=[
            strangers.query(project.registry, registry.TABLES),
            *([] if all_atomic else [strangers.query(marker.SCHEMA, [marker.NAME])]),
        ],
        lock_key=registry.LOCK_KEY,
        lock_changes=registry.lock_changes(project.registry),
        keep_lock=registry.keep_lock(),
        release_others=registry.release_others().strip(),
        marks_schema=marker.schema(),
        marks_table=marker.table().strip(),
        marks_last=marker.last(),
        session_reset=FRESH,
        own_path=OWN_PATH,
        stay=STAY,
        path_of_client=PATH_OF_CLIENT,
        savepoint=VERIFY_SAVEPOINT,
        deferred=DEFERRED,
        adopts=storing,
        stored=stored,
        adopt=adopt,
        adopt_path=adopt_path,
        tag=_TAG,
    )


def _named(plan: Plan, count: int) -> str:
    """Returns which change is the last of so many, for a message."""
    change: Change | None = plan.changes[count - 1] if count else None
    return f"{change.name} (ID {change.id})" if change else "none"


def _stands(plan: Plan, count: int) -> str:
    """Returns where a database stands that has so many changes, for the header."""
    if not count:
        return "nothing: none of its changes"
    title = _plain(plan.changes[count - 1].title)
    return f"{title}, change {count} of {len(plan.changes)} in the plan"


def write(text: str, file: Path) -> None:
    """Writes the script to a file, whole or not at all; never over another.

    Raises:
        Failure: the file is there already, or cannot be written.
    """
    if os.path.lexists(file):
        raise Failure(
            f"{file} is there already, and a script that was approved is not written over. Remove "
            "it first, or name another file."
        )
    try:
        file.parent.stat()  # one that is not there may be misspelt, and is not made
    except OSError as error:
        raise Failure(f"{file}: cannot be written: {error.strerror}") from None
    write_together({file: text.encode()}, {})
