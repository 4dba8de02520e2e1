"""A registry that somebody of low degree has made runs nothing of his as the one who reads it."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from offline_runs import psql, written
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict
from small_project import Sql, recorded, rows, run, table, write_project

from integrations_db.marker import table as marker_table
from integrations_db.registry import creation
from size import size

pytestmark = pytest.mark.database

# Notes who calls it: with such a call its maker could do whatever that role may.
CATCH = """
create schema evil;
grant usage on schema evil to public;
create table evil.caught (by text);
grant insert on evil.caught to public;
create function evil.catch() returns boolean language plpgsql as
  $$ begin insert into evil.caught values (current_user); return true; end $$;
create function evil.catch_row() returns trigger language plpgsql as
  $$ begin perform evil.catch(); return new; end $$;
create function evil.catch(text) returns boolean language plpgsql as
  $$ begin return evil.catch(); end $$;
create domain evil.text as text check (evil.catch(value));
"""
_OTHER = (
    "alter table sqitch.{0} rename to {0}_; "
    "create view sqitch.{0} as select * from sqitch.{0}_ where evil.catch()"
)
REGISTRY = {
    "view of releases": _OTHER.format("releases"),
    "view of projects": _OTHER.format("projects"),
    "view of changes": _OTHER.format("changes"),
    "view of tags": _OTHER.format("tags"),
    "view of events": _OTHER.format("events"),
    "trigger": "create trigger t before insert on sqitch.changes for each row"
    " execute function evil.catch_row()",
    "trigger of a partition": """
        alter table sqitch.events rename to events_;
        create table sqitch.events (like sqitch.events_ including defaults)
          partition by list (event);
        create table evil.part partition of sqitch.events default;
        create trigger t before insert on evil.part for each row
          execute function evil.catch_row()""",
    "rule": "create rule r as on insert to sqitch.events do also select evil.catch()",
    "default": "alter table sqitch.events add more boolean default evil.catch()",
    "generated column": """
        create function evil.fixed() returns boolean immutable language plpgsql as
          $$ begin perform evil.catch(); return true; end $$;
        alter table sqitch.changes add more boolean generated always as (evil.fixed()) stored""",
    "constraint": "alter table sqitch.tags add check (evil.catch())",
    "index": """
        create function evil.fixed(text) returns text immutable language plpgsql as
          $$ begin perform evil.catch(); return $1; end $$;
        create index on sqitch.changes (evil.fixed(note))""",
    "foreign key": """
        create table evil.child (id text references sqitch.changes on delete cascade);
        create trigger t after delete on evil.child for each row
          execute function evil.catch_row()""",
    "type": "alter table sqitch.changes alter note type evil.text",
}


@pytest.fixture
def mallory(empty_database: str) -> Iterator[psycopg.Connection]:
    """A session of a role that may create schemas in the database, and nothing else."""
    name = sql.Identifier(str(conninfo_to_dict(empty_database)["dbname"]))
    role = sql.Identifier(f"mallory_{secrets.token_hex(4)}")
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(sql.SQL("create role {}").format(role))
        try:
            conn.execute(sql.SQL("grant create on database {} to {}").format(name, role))
            conn.execute(sql.SQL("set role {}").format(role))
            yield conn
        finally:
            conn.execute("reset role")
            conn.execute(sql.SQL("drop owned by {0}; drop role {0}").format(role))


def make_registry(conn: psycopg.Connection) -> None:
    """Makes a registry that looks as if it were used."""
    conn.execute("".join(creation("sqitch")).encode())
    conn.execute(
        "insert into sqitch.releases values (1.1, now(), 'm', 'm');"
        " insert into sqitch.projects values ('small', null, now(), 'm', 'm')"
    )


def caught(dsn: str) -> list[str]:
    """Returns who was caught."""
    return [row[0] for row in rows(dsn, "select by from evil.caught")]


COMMANDS = ["status", "verify", "check", "drift", "docs", "deploy", "revert --all -y", "log"]


@pytest.mark.parametrize("kind", REGISTRY)
def test_nothing_in_a_registry_is_called(
    mallory: psycopg.Connection, empty_database: str, tmp_path: Path, kind: str
) -> None:
    write_project(tmp_path, {"a": table("a", tags=("v1",)), "b": table("b")})
    make_registry(mallory)
    mallory.execute(CATCH.encode())
    mallory.execute(REGISTRY[kind].encode())
    mallory.execute("delete from evil.caught")
    (tmp_path / "docs").mkdir()
    # All of them look at a registry in the same place: a quick run has some with each kind.
    first = list(REGISTRY).index(kind)
    for command in COMMANDS[first % size(3, 1) :: size(3, 1)]:
        done = run(tmp_path, *command.split(), empty_database)
        said = done.stdout + done.stderr
        assert not caught(empty_database), command
        if command != "log" or "sqitch.events" in REGISTRY[kind]:
            assert done.returncode == 1, said
            assert "belongs to mallory_" in said
    assert not recorded(empty_database)


def test_a_script_for_psql_calls_nothing_either(
    mallory: psycopg.Connection, empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": table("a")})
    make_registry(mallory)
    mallory.execute(CATCH.encode())
    mallory.execute(REGISTRY["view of releases"].encode())
    done = psql(empty_database, written(tmp_path), tmp_path)
    assert done.returncode == 3
    assert "sqitch.releases belongs to mallory_" in done.stderr
    assert "it is no plain table" in done.stderr
    assert not caught(empty_database)


def test_marks_of_a_stranger_are_not_read(
    mallory: psycopg.Connection, empty_database: str, tmp_path: Path
) -> None:
    apart = Sql("create index concurrently on a (id);\n")
    write_project(tmp_path, {"a": table("a"), "b": apart})
    assert run(tmp_path, "deploy", "--to", "a", empty_database).returncode == 0
    mallory.execute(CATCH.encode())
    mallory.execute("create schema integrations_db")
    mallory.execute(marker_table().encode())
    mallory.execute(
        "alter table integrations_db.unfinished_scripts rename to t;"
        " create view integrations_db.unfinished_scripts as"
        " select * from integrations_db.t where evil.catch()"
    )
    for command in ("status", "check", "deploy"):
        done = run(tmp_path, command, empty_database)
        assert done.returncode == 1, done.stdout
        assert "integrations_db.unfinished_scripts belongs to mallory_" in done.stderr + done.stdout
    done = psql(empty_database, written(tmp_path, "--from", "a"), tmp_path)
    assert done.returncode == 3
    assert "integrations_db.unfinished_scripts belongs to mallory_" in done.stderr
    assert not caught(empty_database)


def test_a_role_that_was_set_is_not_trusted_like_a_login(
    mallory: psycopg.Connection, empty_database: str, tmp_path: Path
) -> None:
    """A function comes back from it: ``reset role``."""
    write_project(tmp_path, {"a": table("a")})
    make_registry(mallory)
    mallory.execute(CATCH.encode())
    mallory.execute(REGISTRY["view of releases"].encode())
    role = mallory.execute("select current_user").fetchone()
    assert role is not None
    done = run(tmp_path, "status", empty_database, PGOPTIONS=f"-c role={role[0]}")
    assert done.returncode == 1
    assert f"releases belongs to {role[0]}" in done.stderr
    assert not caught(empty_database)


def test_plain_tables_of_another_deployer_are_used(
    mallory: psycopg.Connection, empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": table("a", tags=("v1",)), "b": table("b", requires=("a",))})
    make_registry(mallory)
    for command in ("status", "deploy", "verify", "check", "log"):
        done = run(tmp_path, command, empty_database)
        assert done.returncode == 0, done.stdout + done.stderr
    assert recorded(empty_database) == ["a", "b"]


def test_whoever_owns_a_registry_may_have_triggers_in_it(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": table("a")})
    with psycopg.connect(empty_database, autocommit=True) as conn:
        make_registry(conn)
        conn.execute(CATCH.encode())
        conn.execute(REGISTRY["trigger"].encode())
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    assert caught(empty_database)


def test_a_script_for_psql_shows_no_control_characters(
    mallory: psycopg.Connection, empty_database: str, tmp_path: Path
) -> None:
    """psql writes a message as it comes, also to a terminal."""
    write_project(tmp_path, {"a": table("a")})
    make_registry(mallory)
    script, hostile = written(tmp_path), "x\x1b]0;title\x07"
    mallory.execute(
        "insert into sqitch.changes values"
        " (%(t)s, %(t)s, %(t)s, 'small', '', now(), %(t)s, %(t)s, now(), %(t)s, %(t)s)",
        {"t": hostile},
    )
    done = psql(empty_database, script, tmp_path)
    assert "Found: x?]0;title? (ID x?]0;title?), deployed at " in done.stderr
    assert "\x1b" not in done.stderr
    mallory.execute("delete from sqitch.changes")
    mallory.execute("update sqitch.projects set uri = %s", [hostile])
    done = psql(empty_database, script, tmp_path)
    assert "with the URI x?]0;title?." in done.stderr
    assert "\x1b" not in done.stderr
