"""Plays a plan up, down and up again on a throw-away server, and looks at all that should hold."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from .. import catalogue, marker
from ..catalogue import Catalogue
from ..check import annotation, check_project
from ..config import Committer, Target
from ..database import connect
from ..deploy import deploy
from ..drift import Drift, drift
from ..errors import Changed, Failure
from ..output import counted, drift_annotation, drift_text
from ..project import Project
from ..registry import Connection
from ..revert import revert
from ..script import shown
from ..terminal import on_github
from ..transaction import Listener
from ..verify import verify
from . import databases, servers

__all__ = ["rehearse"]

# What a project sets for its tests in Python may need what is not installed here.
_ONLY_PGTAP = (
    *("addopts=", "filterwarnings=", "python_files=", "required_plugins="),
    *("strict=false", "strict_config=false"),
)
_WHO = Committer("rehearsal", "rehearsal@localhost")  # recorded where nobody will look


def rehearse(
    project: Project,
    server: str,
    listener: Listener,
    say: Callable[[str], None],
    *,
    folders: Sequence[Path],
    patterns: Sequence[str] = (),
    junitxml: Path | None = None,
    variables: Mapping[str, str],
) -> None:
    """Checks, deploys, verifies, tests, reverts, deploys again and compares, in a new database.

    Each revert script must restore the catalogue that its change found.

    Args:
        project: whose plan.
        server: a kind of server, the URI of one, or nothing; see ``servers.running``.
        listener: hears the progress.
        say: told what is done, in lines.
        folders: where the pgTAP files are.
        patterns: globs for their names; none: as pytest's ini file says.
        junitxml: where their results go.
        variables: of psql, for scripts and pgTAP files.

    Raises:
        Failure: something does not hold, or there is no such server; it is said what.
    """
    with _step(say, "Check"):
        _checked(project, say)
    try:
        running = servers.running(server, servers.packaged_dockerfile(), say)
        with running as found, databases.clone(found.dsn, "template0") as conninfo:
            say(f"Server: {found}")
            _played(project, conninfo, listener, say, folders, patterns, junitxml, variables)
    except servers.Unobtainable as error:
        raise Failure(f"no server to rehearse on: {error}") from None
    say("The plan goes up, down and up again, and leaves nothing behind.")


def _played(
    project: Project,
    conninfo: str,
    listener: Listener,
    say: Callable[[str], None],
    folders: Sequence[Path],
    patterns: Sequence[str],
    junitxml: Path | None,
    variables: Mapping[str, str],
) -> None:
    target = Target(conninfo)
    changes = project.plan.changes
    with closing(connect(target, listener.say)) as conn:
        before: list[Catalogue] = []  # of each change, what there was before it
        with _step(say, "Deploy"):
            for change in changes:
                before.append(_catalogue(conn, project, *before[-1:]))
                deploy(conn, project, target, _WHO, listener, to=change.id, variables=variables)
        with _step(say, "Verify"):
            _verified(conn, project, target, listener, say, variables)
    with _step(say, "pgTAP"):
        if folders:
            _tested(project, conninfo, folders, patterns, junitxml, variables)
        else:
            say("There is no folder tests/pgtap, and --pgtap names none: nothing was tested.")
    with closing(connect(target, listener.say)) as conn:
        with _step(say, "Revert"):
            # One by one: to revert an earlier change may take away what a later one has left.
            for index in reversed(range(len(changes))):
                to = changes[index - 1].id if index else None
                revert(
                    conn,
                    project,
                    target,
                    _WHO,
                    listener,
                    lambda changes: True,
                    to=to,
                    variables=variables,
                )
                after = _catalogue(conn, project, before[index])
                left = catalogue.compare(before[index], after, exact=True)
                script = shown(project.path(index, "revert"))
                found = Drift(0, 0, (), "", left.differences, 0, ())
                _alike(found, say, f"{script}:1: the revert script leaves")
        with _step(say, "Deploy again"):
            deploy(conn, project, target, _WHO, listener, variables=variables)
        with _step(say, "Drift"):
            found = drift(conn, project, target, listener, variables=variables)
            _alike(found, say, "deploying again gives")
            say(f"Compared {counted(found.deployed)}, built on {found.built_on}: no drift.")


@contextmanager
def _step(say: Callable[[str], None], title: str) -> Iterator[None]:
    """Shows what belongs together; GitHub folds it, but not what failed."""
    if not on_github():
        say(f"\n{title}")
        yield
        return
    say(f"::group::{title}")
    try:
        yield
    finally:
        say("::endgroup::")


def _checked(project: Project, say: Callable[[str], None]) -> None:
    shown_as = annotation if on_github() else str
    findings = [it for it in check_project(project) if it.level != "note"]
    for finding in findings:
        say(shown_as(finding))
    errors = sum(finding.level == "error" for finding in findings)
    if errors:
        raise Failure(f"the project has {counted(errors, 'error')}; nothing was deployed.")


def _catalogue(conn: Connection, project: Project, known: Catalogue | None = None) -> Catalogue:
    """Reads what there is; objects that are as in another catalogue take no room once more."""
    ours = (project.registry, marker.SCHEMA)
    found = catalogue.read(conn, ours, conn.info.server_version, every_role=True)
    if known is None:
        return found
    return {key: known[key] if known.get(key) == it else it for key, it in found.items()}


def _verified(
    conn: Connection,
    project: Project,
    target: Target,
    listener: Listener,
    say: Callable[[str], None],
    variables: Mapping[str, str],
) -> None:
    done = verify(conn, project, target, listener, variables=variables)
    if done.findings:
        raise Failure("\n".join(finding.message for finding in done.findings))
    for name in done.unchecked:
        say(f"{name} has no verify script")


def _tested(
    project: Project,
    conninfo: str,
    folders: Sequence[Path],
    patterns: Sequence[str],
    junitxml: Path | None,
    variables: Mapping[str, str],
) -> None:
    options = [f"--pgtap-path={folder.resolve()}" for folder in folders]
    options += [f"--pgtap-files={pattern}" for pattern in patterns]
    options += [f"--junitxml={junitxml.resolve()}"] if junitxml else []
    ended = subprocess.run(  # noqa: S603  # pytest, on files of the project
        [
            *(sys.executable, "-m", "pytest", "-p", "integrations_db.testing.entry"),
            *("-p", "no:cacheprovider", f"--pgtap-database={conninfo}", *options),
            *("--noconftest", *(f"--override-ini={setting}" for setting in _ONLY_PGTAP)),
            *(f"--pgtap-set={name}={value}" for name, value in variables.items()),
            *(str(folder.resolve()) for folder in folders),
        ],
        cwd=project.root,
        check=False,
    ).returncode
    if ended == pytest.ExitCode.NO_TESTS_COLLECTED:
        raise Failure(
            f"no pgTAP file ran in {', '.join(map(str, folders))}; the names of such files match"
            f" {', '.join(patterns) or '*_test.sql, or what pgtap_files in pytest.ini says'}"
            " (--pgtap-files)"
        )
    if ended:
        raise Failure("the pgTAP files failed, as shown above.")


def _alike(found: Drift, say: Callable[[str], None], what: str) -> None:
    """Demands that nothing differs.

    Raises:
        Changed: naming how much does, after what.
    """
    for line in drift_text(found):
        say(line)
    if on_github():
        for it in found.differences:
            say(drift_annotation(it))
    if found.differences:
        raise Changed(f"{what} {counted(len(found.differences), 'difference')}, named above.")
