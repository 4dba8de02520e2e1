"""The registry: the same catalogue and rows as Sqitch makes, and the lock that both respect."""

from __future__ import annotations

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
import pytest
from faults import dumps
from psycopg import sql
from psycopg.conninfo import make_conninfo
from small_project import (
    Sql,
    events,
    recorded,
    rows,
    run,
    run_json,
    sqitch,
    table,
    write_project,
)

from integrations_db import registry
from integrations_db.config import Committer
from integrations_db.errors import Locked

pytestmark = pytest.mark.database

WHO = Committer("Ada", "ada@example.com")


@contextmanager
def connected(dsn: str) -> Iterator[registry.Connection]:
    with psycopg.connect(dsn, autocommit=True, prepare_threshold=None) as conn:
        yield conn


@contextmanager
def another_database(dsn: str, name: str) -> Iterator[str]:
    """A second empty database beside the given one."""
    with connected(dsn) as conn:
        conn.execute(f"create database {name} template template0 strategy file_copy".encode())
        try:
            yield make_conninfo(dsn, dbname=name)
        finally:
            conn.execute(f"drop database {name} with (force)".encode())


def dump(dsn: str) -> str:
    """Returns pg_dump's text of the registry's structure, owners and comments included."""
    # The comments repeat what the statements say.
    lines = dumps.dump(dsn, "--schema-only", "--schema=sqitch").splitlines()
    return "\n".join(line for line in lines if line and not line.startswith("--"))


def test_what_was_committed_is_on_the_disk_when_it_is_flushed(empty_database: str) -> None:
    """By itself, the server's log would be written some time later."""
    with connected(empty_database) as conn:
        for number in range(5):
            conn.execute("set synchronous_commit = off")
            conn.execute(f"create table t{number} ()".encode())
            [(committed,)] = conn.execute("select pg_current_wal_insert_lsn()").fetchall()
            registry.flush(conn)
            query = "select pg_current_wal_flush_lsn() >= %s::pg_lsn"
            assert conn.execute(query, (committed,)).fetchall() == [(True,)]


PROJECT = {
    "a": table("a", note="with a note,\nin two lines", tags=("v1", "v1.1")),
    "b": table("b", requires=("a", "@v1"), tags=("v2",)),
    "c": table("c", requires=("a@v1", "b"), conflicts=("never",)),
}
EVERYTHING = (
    "select change_id, script_hash, change, project, note, committer_name, committer_email,"
    " planned_at, planner_name, planner_email from sqitch.changes order by committed_at",
    "select tag_id, tag, project, change_id, note, committer_name, planned_at, planner_name,"
    " planner_email from sqitch.tags order by committed_at",
    "select * from sqitch.dependencies order by 1, 2, 3",
    "select event, change_id, change, project, note, requires, conflicts, tags, committer_name,"
    " committer_email, planned_at, planner_name from sqitch.events order by committed_at",
    "select project, uri, creator_name, creator_email from sqitch.projects",
    "select version, installer_name, installer_email from sqitch.releases",
)


def content(dsn: str) -> list[list[tuple[Any, ...]]]:
    with connected(dsn) as conn:
        return [conn.execute(query.encode()).fetchall() for query in EVERYTHING]


def test_catalogue_and_rows_are_those_of_sqitch(empty_database: str, tmp_path: Path) -> None:
    project = {**PROJECT, "never": table("never")}
    write_project(tmp_path, project, uri="https://Example.com/small")
    with another_database(empty_database, "sqitch_made") as other:
        done = sqitch(tmp_path, other, "deploy", "--to", "c", "{target}")
        assert done.returncode == 0, done.stderr
        run_json(tmp_path, "deploy", "--to", "c", empty_database)
        assert dump(empty_database) == dump(other)
        assert content(empty_database) == content(other)
        assert len(recorded(empty_database)) == 3

        done = sqitch(tmp_path, other, "revert", "-y", "--to", "a", "{target}")
        assert done.returncode == 0, done.stderr
        run_json(tmp_path, "revert", "-y", "--to", "a", empty_database)
        assert content(empty_database) == content(other)
        assert events(empty_database)[-2:] == [("revert", "c"), ("revert", "b")]


def test_tags_added_later_are_recorded_as_sqitch_does(empty_database: str, tmp_path: Path) -> None:
    with another_database(empty_database, "sqitch_tags") as other:
        for tags in ((), ("late",)):
            write_project(tmp_path, {"a": table("a", tags=tags)})
            run_json(tmp_path, "deploy", empty_database)
            sqitch(tmp_path, other, "deploy", "{target}")
        assert content(empty_database) == content(other)
    assert rows(empty_database, "select tag from sqitch.tags") == [("@late",)]


def test_order_survives_a_clock_that_was_set_back(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    run_json(tmp_path, "deploy", empty_database)
    with connected(empty_database) as conn:
        conn.execute("update sqitch.changes set committed_at = now() + interval '1 day'")
    write_project(tmp_path, {"a": table("a"), "b": table("b", tags=("t",)), "c": table("c")})
    run_json(tmp_path, "deploy", empty_database)
    assert recorded(empty_database) == ["a", "b", "c"]
    query = (
        "select t.committed_at >= c.committed_at from sqitch.tags as t"
        " join sqitch.changes as c using (change_id)"
    )
    assert rows(empty_database, query) == [(True,)]


def test_another_uri_is_another_project(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")}, uri="https://example.com/")
    run_json(tmp_path, "deploy", empty_database)
    run_json(tmp_path, "revert", "--all", "-y", empty_database)
    write_project(tmp_path, {"a": table("a")})
    done = run(tmp_path, "deploy", empty_database)
    assert done.returncode == 1
    assert "small with the URI https://example.com/, the plan says (none): it is" in done.stderr
    write_project(tmp_path, {"z": table("z")}, project="other", uri="https://example.com/")
    done = run(tmp_path, "deploy", empty_database)
    assert "belongs to project small" in done.stderr
    write_project(tmp_path, {"z": table("z")}, project="other")
    run_json(tmp_path, "deploy", empty_database)
    run_json(tmp_path, "revert", "--all", "-y", empty_database)
    write_project(tmp_path, {"z": table("z")}, project="other", uri="https://example.com/z")
    done = run(tmp_path, "deploy", empty_database)
    assert done.returncode == 1
    assert "URI (none), the plan says https://example.com/z: it is another project" in done.stderr


def test_dependencies_on_other_projects(empty_database: str, tmp_path: Path) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    write_project(tmp_path / "one", {"a": table("a", tags=("v1",))}, project="one")
    two = write_project(tmp_path / "two", {"b": table("b")}, project="two")
    plan = two / "sqitch.plan"
    plan.write_text(plan.read_text().replace("b 2026", "b [one:a one:@v1] 2026"))
    done = run(two, "deploy", empty_database)
    assert done.returncode == 1
    assert "sqitch.plan:4: b requires one:a, which is not deployed" in done.stderr
    run_json(tmp_path / "one", "deploy", empty_database)
    run_json(two, "deploy", empty_database)
    found = rows(
        empty_database, 'select dependency from sqitch.dependencies order by dependency collate "C"'
    )
    assert found == [("one:@v1",), ("one:a",)]
    done = run(tmp_path / "one", "revert", "--all", "-y", empty_database)
    assert done.returncode == 1
    assert "required by two:b" in done.stderr
    assert sorted(recorded(empty_database)) == ["a", "b"]


def test_lock_is_polled_and_names_its_holder(empty_database: str) -> None:
    told: list[str] = []
    with connected(empty_database) as holder, connected(empty_database) as waiter:
        registry.lock(holder, 0, told.append)
        assert told == []
        began = time.monotonic()
        with pytest.raises(Locked, match=f"server process {holder.info.backend_pid}"):
            registry.lock(waiter, 0.2, told.append)
        assert 0.2 <= time.monotonic() - began < 2
        [sentence] = told
        assert sentence.startswith("another deployment is running (")
        assert f"server process {holder.info.backend_pid}" in sentence
        assert sentence.endswith("waiting up to 0.2 s")
        holder.close()
        registry.lock(waiter, 5, told.append)


@pytest.mark.parametrize(("name", "shown"), [("app", ", app"), ("", "")])
def test_the_holder_of_the_lock_is_described(empty_database: str, name: str, shown: str) -> None:
    """As who connected and what it calls itself, in this database alone."""
    user = rows(empty_database, "select current_user")[0][0]
    with (
        another_database(empty_database, f"other_{secrets.token_hex(6)}") as other,
        connected(make_conninfo(other, application_name="elsewhere")) as stranger,
        connected(empty_database) as asking,
    ):
        registry.lock(stranger, 0, print)
        assert registry.holder(asking) == "its session has just ended"
        with connected(make_conninfo(empty_database, application_name=name)) as holder:
            registry.lock(holder, 0, print)
            wanted = f"server process {holder.info.backend_pid}, user {user}{shown}"
            assert registry.holder(asking) == wanted


def test_sqitch_waits_for_our_lock(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    with connected(empty_database) as holder:
        registry.lock(holder, 0, print)
        done = sqitch(tmp_path, empty_database, "deploy", "--lock-timeout", "1", "{target}")
        assert done.returncode == 2
        ours = run(tmp_path, "deploy", "--wait", "300ms", empty_database)
        assert ours.returncode == 5
        assert "waited 0.3 s. Nothing was touched" in ours.stderr
    assert recorded(empty_database) == []


def test_identical_scripts_are_refused_by_name(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": Sql("select 1;"), "b": Sql("select 1;")})
    (tmp_path / "deploy" / "b.sql").write_bytes((tmp_path / "deploy" / "a.sql").read_bytes())
    done = run(tmp_path, "deploy", empty_database)
    assert done.returncode == 1
    assert "deploy/b.sql" in done.stderr
    assert recorded(empty_database) == []


@pytest.mark.database
@pytest.mark.parametrize("name", ["50% of it", "%s", "%(id)s {r}"])
def test_any_name_of_a_schema_will_do(empty_database: str, tmp_path: Path, name: str) -> None:
    write_project(tmp_path, {"a": table("a", tags=("v1",)), "b": table("b", requires=("a",))})
    (tmp_path / "sqitch.conf").write_text(
        f'[core]\nengine = pg\n[engine "pg"]\nregistry = "{name}"\n'
    )
    for arguments in (
        ["deploy", "--to", "a"],
        ["deploy"],
        ["status"],
        ["log"],
        ["verify"],
        ["check", empty_database],
        ["revert", "-y", "--to", "a"],
    ):
        target = [] if arguments[-1] == empty_database else [empty_database]
        done = run(tmp_path, *arguments, *target)
        assert done.returncode == 0, (arguments, done.stderr)
    quoted = sql.Identifier(name, "changes").as_string(None)
    assert rows(empty_database, f"select change from {quoted}") == [("a",)]  # noqa: S608
