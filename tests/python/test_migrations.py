"""Every change of this project, both ways: its revert script restores exactly what was before it.

The catalogues are those that ``drift`` compares, default privileges among them, with all roles of
the server added; dumps are pg_dump's, with owners, privileges and comments. The tests have a server
to themselves: roles belong to all of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
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
from integrations_db.testing import databases
from integrations_db.testing.servers import Server
from size import size

pytestmark = [pytest.mark.database, pytest.mark.long]

Roles = list[tuple[Any, ...]]

_ROLES = """
    select r.rolname, r.rolsuper, r.rolinherit, r.rolcreaterole, r.rolcreatedb, r.rolcanlogin,
           r.rolreplication, r.rolbypassrls, r.rolconnlimit, r.rolconfig,
           shobj_description(r.oid, 'pg_authid'),
           array(select m.roleid::regrole::text from pg_auth_members as m
                  where m.member = r.oid order by 1)
      from pg_roles as r order by r.rolname"""


@pytest.fixture
def dsn(cluster: Server) -> Iterator[str]:
    """An empty database of a server on which the package never was."""
    with databases.clone(cluster.dsn, "template0") as dsn:
        yield dsn


@pytest.fixture
def conn(dsn: str) -> Iterator[Connection]:
    """A connection to it."""
    with closing(connect(Target(dsn), lambda _: None)) as conn:
        yield conn


def look(conn: Connection) -> tuple[Catalogue, Roles]:
    """Returns everything that there is, roles included."""
    there = catalogue.read(conn, (), conn.info.server_version)
    return there, conn.execute(_ROLES).fetchall()


def same(
    before: tuple[Catalogue, Roles], after: tuple[Catalogue, Roles], what: str
) -> tuple[Catalogue, Roles]:
    """Demands that nothing differs, and returns what there is."""
    assert compare(before[0], after[0]).differences == (), what
    assert before[1] == after[1], f"{what}: roles"
    return after


def test_each_revert_restores_what_was_before_its_change(conn: Connection, dsn: str) -> None:
    # A dump takes longer than reading the catalogue, and says the same in words of its own.
    one_of_each_kind = {change.partition("/")[0]: change for change in CHANGES}
    dumped = CHANGES if size(0, 1) else one_of_each_kind.values()
    there = look(conn)
    for change in CHANGES:
        before = dump(dsn) if change in dumped else None
        run_script(conn, "deploy", change)
        done = look(conn)
        assert done != there, f"{change} does nothing"
        run_script(conn, "revert", change)
        same(there, look(conn), f"the revert of {change}")
        if before is not None:
            assert dump(dsn) == before, f"the revert of {change}"
        # Were it not the same as the first time, the next change's revert would not restore it.
        run_script(conn, "deploy", change)
        there = done
    same(there, look(conn), "the last change, deployed again")


def test_change_by_change_is_the_same_as_all_at_once(conn: Connection, dsn: str) -> None:
    engine.deploy(ROOT, dsn, mode="all")
    at_once, whole = look(conn), dump(dsn)
    engine.revert(ROOT, dsn)
    project = load_project(ROOT)
    for change in CHANGES:
        done = deploy(conn, project, Target(dsn), engine.WHO, engine.Heard(), to=change)
        assert [it.name for it in done.changes] == [change]
    same(at_once, look(conn), "one by one")
    assert dump(dsn) == whole


def test_up_down_and_up_again(conn: Connection, dsn: str) -> None:
    empty, nothing = look(conn), dump(dsn)
    for change in CHANGES:
        run_script(conn, "deploy", change)
    whole = dump(dsn)
    assert len(whole) > 10 * len(nothing)
    for change in reversed(CHANGES):
        run_script(conn, "revert", change)
    same(empty, look(conn), "all reverts")
    assert dump(dsn) == nothing
    for change in CHANGES:
        run_script(conn, "deploy", change)
    assert dump(dsn) == whole
