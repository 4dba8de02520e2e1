"""Every change of this project, both ways: its revert script restores exactly what was before it.

The catalogues are those that ``drift`` compares, default privileges among them, with all roles of
the server added; dumps are pg_dump's, with owners, privileges and comments. The server is
one without the package's roles: they belong to all of it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from difflib import unified_diff
from functools import partial
from typing import Any

import engine
import pytest
from api.deployment import CHANGES, ROOT, run_script
from faults.dumps import dump

from integrations_db import catalogue
from integrations_db.catalogue import Catalogue, compare
from integrations_db.config import Target
from integrations_db.database import connect
from integrations_db.deploy import deploy
from integrations_db.project import load_project
from integrations_db.registry import Connection
from size import size

pytestmark = [pytest.mark.database, pytest.mark.long]

Roles = list[tuple[Any, ...]]
State = tuple[Catalogue, Roles]

_ROLES = """
    select r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin,
           r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolconfig,
           shobj_description(r.oid, 'pg_authid'),
           array(select m.roleid::regrole::text from pg_auth_members as m
                  where m.member = r.oid order by 1)
      from pg_roles as r order by r.rolname"""


@pytest.fixture
def dsn(lent_database: str) -> str:
    """An empty database of a server without the package."""
    return lent_database


@pytest.fixture
def conn(dsn: str) -> Iterator[Connection]:
    """A connection to it."""
    with closing(connect(Target(dsn), lambda _: None)) as conn:
        yield conn


@pytest.fixture
def watching(dsn: str) -> Iterator[Connection]:
    """Another one, which only looks: what it asks is planned once, which is half of the work."""
    with closing(connect(Target(dsn), lambda _: None)) as conn:
        conn.prepare_threshold = 0
        yield conn


def look(conn: Connection) -> State:
    """Returns everything that there is, roles included."""
    there = catalogue.read(conn, (), conn.info.server_version)
    return there, conn.execute(_ROLES).fetchall()


def same(before: State, after: State, what: str) -> State:
    """Demands that nothing differs, and returns what there is."""
    differ = [
        f"{it.kind} {it.name} {it.change}" + (f", {it.property}" if it.property else "")
        for it in compare(before[0], after[0], exact=True).differences
    ]
    differ += [f"role {row[0]} is left or changed" for row in after[1] if row not in before[1]]
    differ += [f"role {row[0]} is gone or changed" for row in before[1] if row not in after[1]]
    assert not differ, f"{what}: " + "; ".join(differ)
    return after


def same_dump(before: str, after: str, what: str) -> None:
    """Demands that two dumps are the same."""
    lines = unified_diff(before.splitlines(), after.splitlines(), lineterm="", n=0)
    assert before == after, f"{what}:\n" + "\n".join(lines)


Run = Callable[[str, str], None]
"""Runs a script: its kind and its change."""


def there_and_back(conn: Connection, run: Run, change: str, there: State) -> State:
    """Deploys and reverts a change; returns what there was in between.

    Raises:
        AssertionError: the revert did not restore what there was; or the deployment did nothing.
    """
    run("deploy", change)
    done = look(conn)
    assert done != there, f"{change} does nothing"
    run("revert", change)
    same(there, look(conn), f"the revert of {change}")
    return done


def up_down_and_up(conn: Connection, dsn: str, run: Run, changes: Sequence[str]) -> None:
    """Deploys changes, reverts them, and deploys them again.

    Raises:
        AssertionError: the reverts did not restore what there was, or the second deployment made
            something else than the first.
    """
    empty, nothing = look(conn), dump(dsn)
    for change in changes:
        run("deploy", change)
    full, whole = look(conn), dump(dsn)
    for change in reversed(changes):
        run("revert", change)
    same(empty, look(conn), "all reverts")
    same_dump(nothing, dump(dsn), "all reverts")
    for change in changes:
        run("deploy", change)
    same(full, look(conn), "the second deployment")
    same_dump(whole, dump(dsn), "the second deployment")


def test_each_revert_restores_what_was_before_its_change(
    conn: Connection, watching: Connection, dsn: str
) -> None:
    # A dump takes longer than reading the catalogue, and says the same in words of its own: a quick
    # run has one for every other kind.
    one_of_each_kind = {change.partition("/")[0]: change for change in CHANGES}
    dumped = CHANGES if size(0, 1) else [*one_of_each_kind.values()][::2]
    run = partial(run_script, conn)
    there = look(watching)
    for change in CHANGES:
        before = dump(dsn) if change in dumped else None
        done = there_and_back(watching, run, change, there)
        if before is not None:
            same_dump(before, dump(dsn), f"the revert of {change}")
        run("deploy", change)
        there = done  # if it is not, then the next revert does not restore it, and that is told


def test_change_by_change_is_the_same_as_all_at_once(conn: Connection, dsn: str) -> None:
    engine.deploy(ROOT, dsn, mode="all")
    at_once, whole = look(conn), dump(dsn)
    engine.revert(ROOT, dsn)
    project = load_project(ROOT)
    for change in CHANGES:
        done = deploy(conn, project, Target(dsn), engine.WHO, engine.Heard(), to=change)
        assert [it.name for it in done.changes] == [change]
    same(at_once, look(conn), "one by one")
    same_dump(whole, dump(dsn), "one by one")


def test_up_down_and_up_again(conn: Connection, dsn: str) -> None:
    up_down_and_up(conn, dsn, partial(run_script, conn), CHANGES)
