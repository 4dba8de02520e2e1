"""What surrounds a script (settings, planted functions, locks) changes nothing of what is kept."""

from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from engine import Heard, deploy, revert
from small_project import (
    Sql,
    begin,
    recorded,
    rows,
    run,
    sqitch,
    table,
    tables,
    write_project,
)
from test_deployer import sleeping, wait_for
from test_marker import HALF, SLOW, marked, nothing_made_for_marks

from integrations_db.errors import Failure, Locked

pytestmark = pytest.mark.database


def execute(dsn: str, *statements: str) -> None:
    """Runs statements, each by itself."""
    with psycopg.connect(dsn, autocommit=True) as conn:
        for statement in statements:
            conn.execute(statement.encode())


@pytest.mark.parametrize("setting", ["datestyle = 'German, DMY'", "extra_float_digits = -15"])
def test_settings_of_the_database(empty_database: str, tmp_path: Path, setting: str) -> None:
    name = rows(empty_database, "select quote_ident(current_database())")[0][0]
    execute(empty_database, f"alter database {name} set {setting}")
    write_project(tmp_path, {"a": table("a", tags=("v1",)), "h": HALF})
    assert run(tmp_path, "deploy", empty_database, "--to", "a").returncode == 0
    for arguments in (
        ["deploy", empty_database, "--to", "a"],
        ["status", empty_database],
        ["verify", empty_database],
        ["log", empty_database],
        ["check", empty_database],
    ):
        done = run(tmp_path, *arguments)
        assert done.returncode == 0, (arguments, done.stderr)
    for _ in range(2):  # the second reads the mark of the first
        done = run(tmp_path, "deploy", empty_database)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert "deploy --resume" in done.stderr
    assert "Unfinished: the deploy of h" in run(tmp_path, "status", empty_database).stdout


def test_functions_and_operators_of_others_are_not_called(
    empty_database: str, tmp_path: Path
) -> None:
    """Whoever may create in public must not have its code run by the role that deploys."""
    trap = "language plpgsql as $$ begin raise exception 'trapped'; end $$"
    execute(
        empty_database,
        f"create function public.grow(text[], text) returns text[] {trap}",
        "create aggregate public.array_agg(text) (sfunc = public.grow, stype = text[])",
        f"create function public.same(oid, integer) returns boolean {trap}",
        "create operator public.= (leftarg = oid, rightarg = integer, function = public.same)",
        f"create function public.same(oid, regclass) returns boolean {trap}",
        "create operator public.= (leftarg = oid, rightarg = regclass, function = public.same)",
    )
    locks = Sql("begin;\nselect pg_advisory_lock(1);\ncommit;\n", verify=None)
    apart = Sql("vacuum pg_am;\n", "select 1;\n")
    write_project(tmp_path, {"a": table("a", tags=("v1",)), "l": locks, "v": apart})
    deploy(tmp_path, empty_database)
    assert deploy(tmp_path, empty_database).changes == ()
    assert recorded(empty_database) == ["a", "l", "v"]
    assert nothing_made_for_marks(empty_database)
    with psycopg.connect(empty_database, autocommit=True) as other:
        other.execute("select pg_advisory_lock(75474063)")
        with pytest.raises(Failure, match="another deployment of this database is running"):
            deploy(tmp_path, empty_database, wait=0)


PARENT_AND_CHILD = Sql(
    "begin;\ncreate table p (id int primary key);\n"
    "create table c (p int references p deferrable initially deferred);\ncommit;\n",
    "begin;\ndrop table c, p;\ncommit;\n",
)
CHILD_FIRST = "begin;\ninsert into c values (1);\ninsert into p values (1);\ncommit;\n"


@pytest.mark.parametrize("dry_run", [False, True])
def test_constraints_are_deferred_again_in_the_next_change_of_a_transaction(
    empty_database: str, tmp_path: Path, dry_run: bool
) -> None:
    write_project(tmp_path, {"t": PARENT_AND_CHILD, "d": Sql(CHILD_FIRST)})
    done = deploy(tmp_path, empty_database, mode="all", dry_run=dry_run)
    assert (len(done.changes), done.executed) == (2, True)
    assert recorded(empty_database) == ([] if dry_run else ["t", "d"])


def test_constraints_are_deferred_in_a_verify_script_too(
    empty_database: str, tmp_path: Path
) -> None:
    orphan = "begin;\ninsert into c values (2);\nrollback;\n"
    write_project(tmp_path, {"t": PARENT_AND_CHILD, "d": Sql(CHILD_FIRST, verify=orphan)})
    deploy(tmp_path, empty_database)
    assert recorded(empty_database) == ["t", "d"]
    assert rows(empty_database, "select p from c") == [(1,)]
    assert sqitch(tmp_path, empty_database, "verify", "{target}").returncode == 0


def test_a_constraint_that_does_not_hold_is_found_behind_one_that_was_deferred_again(
    empty_database: str, tmp_path: Path
) -> None:
    orphan = Sql("begin;\ninsert into c values (2);\ncommit;\n")
    write_project(tmp_path, {"t": PARENT_AND_CHILD, "d": orphan, "after": table("a")})
    with pytest.raises(Failure, match=r"deploy/d.sql: ERROR 23503"):
        deploy(tmp_path, empty_database, mode="all")
    assert tables(empty_database) == set()


def test_advisory_locks_of_every_kind_of_key_are_given_back(
    empty_database: str, tmp_path: Path
) -> None:
    takes = (
        "begin;\nselect pg_advisory_lock(-1, -2), pg_advisory_lock(3, 4), pg_advisory_lock(-5),"
        " pg_advisory_lock(9000000000), pg_advisory_lock_shared(-6, 7),"
        " pg_advisory_lock_shared(-8), pg_advisory_xact_lock(9);\ncommit;\n"
    )
    look = (
        "do $$ begin if exists (select from pg_locks where locktype = 'advisory' and"
        " pid = pg_backend_pid() and objid::int8 not in (9, 75474063)) then"
        " raise 'kept'; end if; end $$;\n"
    )
    write_project(tmp_path, {"a": Sql(takes, verify=look)})
    heard = Heard()
    deploy(tmp_path, empty_database, heard)
    assert recorded(empty_database) == ["a"]
    assert "WARNING" not in heard.text


def test_the_encoding_of_a_verify_script_does_not_reach_the_record(
    empty_database: str, tmp_path: Path
) -> None:
    note = "Ω, €, \\ and 'quotes'"
    other = "begin;\nset client_encoding = 'LATIN1';\nselect 1;\nrollback;\n"
    write_project(tmp_path, {"a": table("a", verify=other, note=note)})
    deploy(tmp_path, empty_database)
    assert rows(empty_database, "select note from sqitch.changes") == [(note,)]


def test_a_connection_that_is_lost_while_a_script_runs_apart_is_told_truly(
    empty_database: str, tmp_path: Path
) -> None:
    """The script took effect: to say that nothing is half done would be false."""
    ends_ours = (
        "create table h1 (id int);\nselect pg_terminate_backend(pid) from pg_locks"
        " where locktype = 'advisory' and objid::int8 = 75474063 and granted and database ="
        " (select oid from pg_database where datname = current_database());\nvacuum h1;\n"
    )
    write_project(tmp_path, {"h": Sql(ends_ours, "drop table h1;\n")})
    with pytest.raises(Failure) as failed:
        deploy(tmp_path, empty_database)
    assert "no change is half done" not in str(failed.value)
    assert "h took effect and was not verified" in str(failed.value)
    assert "deploy --resume" in str(failed.value)
    assert tables(empty_database) == {"h1"}
    assert marked(empty_database) == ["h"]


def test_an_interrupt_while_a_script_that_ran_apart_is_verified_tells_what_is_left(
    empty_database: str, tmp_path: Path
) -> None:
    slow = "select pg_sleep(600);\n"
    write_project(tmp_path, {"h": Sql("create table h1 ();\nvacuum h1;\n", verify=slow)})
    process = begin(tmp_path, "deploy", empty_database)
    wait_for(lambda: sleeping(empty_database))
    process.terminate()
    _, said = process.communicate(timeout=60)
    assert "h took effect and was not verified" in said
    assert "deploy --resume" in said
    done = run(tmp_path, "deploy", empty_database)
    assert "it ran to its end, but was not verified" in done.stderr


def forgotten(dsn: str, message: str) -> None:
    """Runs the statement that a message gives for forgetting a mark."""
    found = re.search(r"DELETE FROM .*;", message)
    assert found, message
    execute(dsn, found[0])


def test_a_mark_of_what_the_plan_has_no_more_has_a_way_out(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": table("a"), "h": HALF})
    with pytest.raises(Failure):
        deploy(tmp_path, empty_database)
    write_project(tmp_path, {"a": table("a"), "better": table("better")})
    choices: list[dict[str, Any]] = [{}, {"resume": True}, {"log_only": True}]
    for options in choices:
        with pytest.raises(Failure, match=r"h \(ID .* not in .*sqitch.plan any more") as failed:
            deploy(tmp_path, empty_database, **options)
        assert "--resume" not in str(failed.value)
        assert recorded(empty_database) == ["a"]
    execute(empty_database, "drop table h1, h2")
    forgotten(empty_database, str(failed.value))
    deploy(tmp_path, empty_database)
    assert recorded(empty_database) == ["a", "better"]


def test_what_was_undone_by_hand_can_be_forgotten(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a"), "h": HALF})
    with pytest.raises(Failure):
        deploy(tmp_path, empty_database)
    execute(empty_database, "drop table h1, h2")
    with pytest.raises(Failure, match="forgets it") as failed:
        revert(tmp_path, empty_database)
    forgotten(empty_database, str(failed.value))
    revert(tmp_path, empty_database)
    assert tables(empty_database) == set()


def test_whoever_reads_the_marks_keeps_no_change_from_being_recorded(
    empty_database: str, tmp_path: Path
) -> None:
    quick = Sql("create table h1 ();\nvacuum h1;\nselect pg_sleep(2);\n", verify=None)
    write_project(tmp_path, {"h": quick, "again": Sql("vacuum h1;\n", verify=None)})
    with psycopg.connect(empty_database) as reader:
        process = begin(tmp_path, "deploy", empty_database, "--to", "h")
        wait_for(lambda: sleeping(empty_database))
        reader.execute("select from integrations_db.unfinished_scripts")
        _, said = process.communicate(timeout=60)
        assert process.returncode == 0, said
        assert "trying again" not in said
    assert recorded(empty_database) == ["h"]
    assert marked(empty_database) == []
    deploy(tmp_path, empty_database)
    assert nothing_made_for_marks(empty_database)


def test_revert_looks_again_after_it_has_waited(empty_database: str, tmp_path: Path) -> None:
    """Another project may have come to require what is to go, while its deployer held the lock."""
    first, second = tmp_path / "first", tmp_path / "second"
    apart = Sql("create table h1 ();\nvacuum h1;\n", "drop table h1;\nvacuum pg_am;\n")
    write_project(first, {"h": apart}, project="first")
    write_project(second, {"b": table("b")}, project="second")
    deploy(first, empty_database)
    deploy(second, empty_database)
    heard = Heard()
    with psycopg.connect(empty_database, autocommit=True) as other:
        other.execute("select pg_advisory_lock(75474063)")

        def meanwhile(_: str) -> None:
            other.execute(
                "insert into sqitch.dependencies select b.change_id, 'require', 'first:h',"
                " h.change_id from sqitch.changes as b, sqitch.changes as h"
                " where b.change = 'b' and h.change = 'h'"
            )
            other.execute("select pg_advisory_unlock(75474063)")

        heard.when = meanwhile
        heard.said.clear()
        with pytest.raises(Failure, match="required by second:b"):
            revert(first, empty_database, heard)
    assert "h1" in tables(empty_database)
    assert marked(empty_database) == []


def test_the_way_out_of_a_reworked_change_names_it_and_no_other(
    empty_database: str, tmp_path: Path
) -> None:
    """Its name is also that of the change that it replaces."""
    write_project(tmp_path, {"f": table("f", tags=("v1",)), "g": table("g"), "x": SLOW})
    plan = tmp_path / "sqitch.plan"
    plan.write_text(
        re.sub(r"^x (\S+)", r"f [f@v1] \1", plan.read_text(encoding="utf-8"), flags=re.MULTILINE),
        encoding="utf-8",
    )
    for kind in ("deploy", "revert", "verify"):
        text = (tmp_path / kind / "f.sql").read_text()
        (tmp_path / kind / "f@v1.sql").write_text(text)
    (tmp_path / "deploy" / "f.sql").write_text("-- rework\ncreate table h1 ();\nvacuum h1;\n")
    (tmp_path / "verify" / "f.sql").write_text("-- rework\nselect 1;\n")
    (tmp_path / "revert" / "f.sql").write_text("-- rework\ndrop table h1;\nvacuum pg_am;\nnosuch;")
    deploy(tmp_path, empty_database)
    with pytest.raises(Failure) as failed:
        revert(tmp_path, empty_database, to="g")
    assert "revert --resume --to g:" in str(failed.value)
    assert "--all" not in str(failed.value)


def test_nothing_waits_longer_than_it_may(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Not for the registry, nor to record a failure, nor for the mark; else these would hang."""
    monkeypatch.setattr("integrations_db.retry.PAUSES", (0.1,))
    write_project(tmp_path, {"a": table("a")})
    deploy(tmp_path, empty_database)
    bad = Sql("begin;\nselect 1 / 0;\ncommit;\n")
    write_project(tmp_path, {"a": table("a", tags=("late",)), "bad": bad})
    with psycopg.connect(empty_database) as other:
        other.execute("lock table sqitch.tags in share mode")
        with pytest.raises(Locked, match="Other sessions hold the registry") as busy:
            deploy(tmp_path, empty_database, lock_timeout=0.2)
        assert f"server process {other.info.backend_pid}" in str(busy.value)
        other.rollback()
        other.execute("lock table sqitch.events in share mode")
        with pytest.raises(Failure, match="division by zero"):
            deploy(tmp_path, empty_database, lock_timeout=0.2)
        other.rollback()
        write_project(tmp_path, {"a": table("a", tags=("late",)), "h": HALF})
        with pytest.raises(Failure, match="took effect and stays") as failed:
            deploy(tmp_path, empty_database)
        execute(empty_database, "drop table h1, h2")
        forgotten(empty_database, str(failed.value))
        other.execute("lock table integrations_db.unfinished_scripts in share mode")
        with pytest.raises(Locked, match="h was not begun"):
            deploy(tmp_path, empty_database, lock_timeout=0.2)
    assert tables(empty_database) == {"a"}


def test_a_connection_that_is_lost_while_such_a_script_is_recorded_is_told_truly(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": table("a"), "h": Sql("create table h1 ();\nvacuum h1;\n")})
    deploy(tmp_path, empty_database, to="a")
    execute(
        empty_database,
        "create function public.die() returns trigger language plpgsql as $$ begin"
        "  perform pg_terminate_backend(pg_backend_pid()); return new; end $$",
        "create trigger die before insert on sqitch.events execute function public.die()",
    )
    with pytest.raises(Failure) as failed:
        deploy(tmp_path, empty_database)
    assert "The script of h ran to its end, but that is not recorded" in str(failed.value)
    assert "untouched" not in str(failed.value)
    assert "left nothing behind" not in str(failed.value)
    assert "h1" in tables(empty_database)
    assert marked(empty_database) == ["h"]


def test_a_verify_script_without_a_transaction_checks_deferred_constraints_at_once(
    empty_database: str, tmp_path: Path
) -> None:
    """As with psql, which commits each of its statements; then Sqitch, too, finds it failing."""
    orphan = replace(PARENT_AND_CHILD, verify="insert into c values (9);\n")
    write_project(tmp_path, {"t": orphan})
    deploy(tmp_path, empty_database, verify=False)
    done = run(tmp_path, "verify", empty_database)
    assert done.returncode == 1
    assert "23503" in done.stdout + done.stderr
    assert sqitch(tmp_path, empty_database, "verify", "{target}").returncode != 0
