"""Older registries: upgraded by deploy as `sqitch upgrade` does, refused by revert."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest
from engine import Heard, deploy
from small_project import recorded, rows, run, sqitch, table, write_project
from test_registry import another_database, content, dump

from integrations_db.errors import Failure

pytestmark = pytest.mark.database

# What the upgrades add, taken away again; it leads from 1.1 back to 1.0, and from there to 0.x.
TO_1_0 = """
    alter table sqitch.changes drop constraint changes_project_script_hash_key;
    alter table sqitch.changes add unique (script_hash);
    comment on schema sqitch is 'Sqitch database deployment metadata v1.0.';
    delete from sqitch.releases;
    insert into sqitch.releases values (1.0, now(), 'Ada', 'ada@example.com');
"""
TO_0 = (
    TO_1_0
    + """
    drop table sqitch.releases;
    alter table sqitch.changes drop column script_hash;
    alter table sqitch.events drop constraint events_event_check;
    alter table sqitch.events add constraint events_event_check
      check (event in ('deploy', 'revert', 'fail'));
    comment on schema sqitch is 'Sqitch database deployment metadata v0.';
"""
)
PROJECT = {"a": table("a", tags=("v1",)), "b": table("b", requires=("a",)), "c": table("c")}


def older(dsn: str, text: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute(text.encode())


@pytest.mark.parametrize(("text", "version"), [(TO_1_0, "1.0"), (TO_0, "0")])
def test_deploy_upgrades_as_sqitch_does(
    empty_database: str, tmp_path: Path, text: str, version: str
) -> None:
    write_project(tmp_path, PROJECT)
    with another_database(empty_database, f"sqitch_upgrade_{version[0]}") as other:
        for dsn in (empty_database, other):
            deploy(tmp_path, dsn, to="b")
            older(dsn, text)
        assert run(tmp_path, "status", empty_database).returncode == 0
        done = run(tmp_path, "revert", "--all", "-y", empty_database)
        assert done.returncode == 1
        assert "the next deploy upgrades it" in done.stderr
        assert recorded(empty_database) == ["a", "b"]

        heard = Heard()
        deploy(tmp_path, empty_database, heard)
        assert f"from version {version} to 1.1" in heard.text
        done = sqitch(tmp_path, other, "deploy", "--verify", "{target}")
        assert done.returncode == 0, done.stderr
        assert dump(empty_database) == dump(other)
        assert content(empty_database) == content(other)
        assert recorded(empty_database) == ["a", "b", "c"]


def test_it_is_upgraded_also_when_nothing_is_pending_and_not_in_a_dry_run(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, PROJECT)
    deploy(tmp_path, empty_database)
    older(empty_database, TO_0)
    deploy(tmp_path, empty_database, dry_run=True)
    assert rows(empty_database, "select to_regclass('sqitch.releases')") == [(None,)]
    deploy(tmp_path, empty_database)
    assert run(tmp_path, "status", "--check", empty_database).returncode == 0
    assert run(tmp_path, "check", empty_database).returncode == 0


def test_a_newer_one_is_refused(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, PROJECT)
    deploy(tmp_path, empty_database, to="b")
    older(empty_database, "update sqitch.releases set version = 1.2")
    for arguments in (["deploy"], ["status"], ["verify"], ["revert", "--all", "-y"]):
        done = run(tmp_path, *arguments, empty_database)
        assert done.returncode == 1
        assert "of version 1.2" in done.stderr
        assert "upgrade integrations-db" in done.stderr
    assert recorded(empty_database) == ["a", "b"]


def test_one_without_a_release_is_of_the_first_version(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, PROJECT)
    deploy(tmp_path, empty_database, to="b")
    older(empty_database, "delete from sqitch.releases")
    done = run(tmp_path, "revert", "--all", "-y", empty_database)
    assert done.returncode == 1
    assert "old version (before 1.0)" in done.stderr


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (
            "drop table sqitch.events",
            "changes, dependencies, projects, releases, tags, but it is no registry of Sqitch: "
            "events of it is missing or another table. Nothing was touched; name another schema in",
        ),
        (
            "drop table sqitch.changes cascade; drop table sqitch.tags, sqitch.releases",
            "dependencies, events, projects, but it is no registry of Sqitch: "
            "changes, tags of it are missing or another table. Nothing was touched; name another",
        ),
        (
            "alter table sqitch.tags rename column tag_id to id",
            "changes, dependencies, events, projects, releases, tags, but it is no registry of "
            "Sqitch: tags of it is missing or another table. Nothing was touched; name another",
        ),
    ],
)
def test_what_is_no_registry_is_refused(
    empty_database: str, tmp_path: Path, damage: str, told: str
) -> None:
    write_project(tmp_path, PROJECT)
    deploy(tmp_path, empty_database)
    older(empty_database, damage)
    with pytest.raises(Failure, match="schema sqitch holds ") as failed:
        deploy(tmp_path, empty_database)
    assert told in str(failed.value)


def test_a_schema_that_was_made_for_it_is_used(empty_database: str, tmp_path: Path) -> None:
    older(empty_database, "create schema sqitch; create table sqitch.unrelated (id int)")
    write_project(tmp_path, PROJECT)
    deploy(tmp_path, empty_database)
    assert recorded(empty_database) == ["a", "b", "c"]
