"""--mode: what a failure takes back, in one transaction or by the revert scripts; dry runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from engine import Heard, deploy
from small_project import (
    Sql,
    events,
    recorded,
    rows,
    run,
    sqitch,
    table,
    tables,
    write_project,
)
from test_registry import EVERYTHING, another_database

from integrations_db.errors import Failure

pytestmark = pytest.mark.database

BAD = Sql("begin;\ncreate table bad (id int);\nselect nosuch;\ncommit;\n")
UNVERIFIED = table("bad", verify="select 1 / 0;\n")
VACUUM = Sql("vacuum pg_am;\n", "select 1;\n")


@pytest.mark.parametrize("bad", [BAD, UNVERIFIED])
def test_all_is_one_transaction_where_one_can_hold_it(
    empty_database: str, tmp_path: Path, bad: Sql
) -> None:
    write_project(tmp_path, {"a": table("a", tags=("v1",)), "b": table("b"), "bad": bad})
    heard = Heard()
    with pytest.raises(Failure, match="a to bad left nothing behind, being one transaction"):
        deploy(tmp_path, empty_database, heard, mode="all")
    assert "a to bad: one transaction; if one of these 3 changes fails, none stays" in heard.text
    assert tables(empty_database) == set()
    assert recorded(empty_database) == []
    assert events(empty_database) == [("fail", "bad")]
    write_project(tmp_path, {"a": table("a", tags=("v1",)), "b": table("b"), "c": table("c")})
    deploy(tmp_path, empty_database, mode="all")
    assert recorded(empty_database) == ["a", "b", "c"]
    assert sqitch(tmp_path, empty_database, "verify", "{target}").returncode == 0


def test_what_was_deployed_by_an_earlier_run_stays(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a"), "b": table("b"), "bad": BAD})
    deploy(tmp_path, empty_database, to="a")
    with pytest.raises(Failure, match="the one before them stays"):
        deploy(tmp_path, empty_database, mode="all")
    assert tables(empty_database) == {"a"}


def test_tag_keeps_what_is_tagged(empty_database: str, tmp_path: Path) -> None:
    changes = {
        "a": table("a"),
        "b": table("b", tags=("v1",)),
        "c": table("c"),
        "bad": BAD,
    }
    write_project(tmp_path, changes)
    heard = Heard()
    with pytest.raises(Failure, match="the 2 before them stay deployed"):
        deploy(tmp_path, empty_database, heard, mode="tag")
    assert "a to b: one transaction" in heard.text
    assert "c to bad: one transaction" in heard.text
    assert recorded(empty_database) == ["a", "b"]
    assert events(empty_database) == [("deploy", "a"), ("deploy", "b"), ("fail", "bad")]
    with pytest.raises(Failure, match="the 3 before it stay"):
        deploy(tmp_path, empty_database)
    assert recorded(empty_database) == ["a", "b", "c"]


@pytest.mark.parametrize("mode", ["all", "tag", "change"])
def test_where_no_transaction_can_hold_all_the_revert_scripts_undo_as_with_sqitch(
    empty_database: str, tmp_path: Path, mode: str
) -> None:
    changes = {
        "a": table("a", tags=("v1",)),
        "b": table("b", requires=("a",)),
        "vacuum": VACUUM,
        "bad": BAD,
    }
    write_project(tmp_path, changes)
    heard = Heard()
    with pytest.raises(Failure) as failed:
        deploy(tmp_path, empty_database, heard, mode=mode)
    assert "deploy/bad.sql:4:8" in str(failed.value)
    assert ("revert scripts take back" in heard.text) == (mode != "change")
    assert ("Reverted what this run had deployed" in str(failed.value)) == (mode != "change")
    with another_database(empty_database, f"sqitch_{mode}") as other:
        done = sqitch(tmp_path, other, "deploy", "--mode", mode, "{target}")
        assert done.returncode == 2
        assert tables(empty_database) == tables(other)
        for query in EVERYTHING:
            assert rows(empty_database, query) == rows(other, query)


def test_a_revert_script_that_fails_meanwhile_is_told(empty_database: str, tmp_path: Path) -> None:
    stuck = table("b", revert="begin;\nselect nosuch;\ncommit;\n")
    write_project(tmp_path, {"a": table("a"), "b": stuck, "vacuum": VACUUM, "bad": BAD})
    with pytest.raises(Failure) as failed:
        deploy(tmp_path, empty_database, mode="all")
    assert "deploy/bad.sql:4:8" in str(failed.value)
    assert "revert/b.sql:3:8" in str(failed.value)
    assert "These of this run stay deployed: a, b." in str(failed.value)
    assert recorded(empty_database) == ["a", "b"]


def test_a_revert_script_that_may_be_needed_must_be_there(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": table("a", revert=None), "vacuum": VACUUM})
    with pytest.raises(Failure, match=r"revert/a.sql"):
        deploy(tmp_path, empty_database, mode="all")
    assert tables(empty_database) == set()
    deploy(tmp_path, empty_database, mode="change")
    assert recorded(empty_database) == ["a", "vacuum"]


def test_what_only_the_server_knows_turns_to_change_by_change(
    empty_database: str, tmp_path: Path
) -> None:
    changes = {
        "e": Sql("begin;\ncreate type e as enum ('a');\ncommit;\n", "drop type e;\n"),
        "proc": Sql(
            "create procedure p() language plpgsql as $$ begin commit; end $$;\ncall p();\n",
            "drop procedure p();\n",
        ),
        "t": table("t"),
    }
    write_project(tmp_path, changes)
    heard = Heard()
    deploy(tmp_path, empty_database, heard, mode="all")
    assert "2D000" in heard.text
    assert recorded(empty_database) == ["e", "proc", "t"]
    assert events(empty_database) == [("deploy", "e"), ("deploy", "proc"), ("deploy", "t")]
    assert heard.steps[-3:] == [("e", "ok"), ("proc", "ok (not atomic)"), ("t", "ok")]


def test_a_lost_connection_tells_of_all_changes_of_the_transaction(
    empty_database: str, tmp_path: Path
) -> None:
    ends = Sql("select pg_terminate_backend(pg_backend_pid());\n")
    write_project(tmp_path, {"a": table("a"), "b": ends, "c": table("c")})
    with pytest.raises(Failure, match="a to c are untouched, they left nothing behind"):
        deploy(tmp_path, empty_database, mode="all")
    assert recorded(empty_database) == []
    with pytest.raises(Failure, match=r"b is untouched, it left nothing behind"):
        deploy(tmp_path, empty_database)
    assert recorded(empty_database) == ["a"]


def test_nothing_leaks_from_change_to_change_of_one_transaction(
    empty_database: str, tmp_path: Path
) -> None:
    leak = Sql(
        "begin;\nset search_path = pg_catalog;\nset local role pg_monitor;\nset role pg_monitor;\n"
        "reset role;\ncreate temp table t (id int);\nset constraints all deferred;\n"
        "prepare p as select 1;\nselect pg_advisory_lock(7), pg_advisory_lock(1, 2);\n"
        "select pg_advisory_lock_shared(8);\ncommit;\n"
    )
    clean = Sql(
        "begin;\ndo $$ begin\n"
        "  if current_user <> session_user or current_setting('search_path') = 'pg_catalog'\n"
        "    or to_regclass('pg_temp.t') is not null\n"
        "    or exists (select from pg_prepared_statements)\n"
        "    or (select count(*) <> 1 from pg_locks where pid = pg_backend_pid()\n"
        "         and locktype = 'advisory')\n"
        "  then raise exception 'something leaked'; end if;\nend $$;\ncommit;\n"
    )
    write_project(tmp_path, {"leak": leak, "clean": clean})
    deploy(tmp_path, empty_database, mode="all")
    assert recorded(empty_database) == ["leak", "clean"]


def test_changes_of_one_transaction_are_recorded_one_after_the_other(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {f"t{i}": table(f"t{i}", tags=(f"v{i}",)) for i in range(8)})
    deploy(tmp_path, empty_database, mode="all")
    query = "select count(distinct committed_at) from sqitch.changes"
    assert rows(empty_database, query) == [(8,)]
    assert recorded(empty_database) == [f"t{i}" for i in range(8)]


def test_isolation_levels_of_their_own_share_no_transaction(
    empty_database: str, tmp_path: Path
) -> None:
    serializable = Sql(
        "begin isolation level serializable;\ndo $$ begin\n"
        "  if current_setting('transaction_isolation') <> 'serializable'\n"
        "  then raise exception 'not serializable'; end if;\nend $$;\ncommit;\n"
    )
    write_project(tmp_path, {"a": table("a"), "s": serializable, "b": table("b")})
    heard = Heard()
    deploy(tmp_path, empty_database, heard, mode="all")
    assert recorded(empty_database) == ["a", "s", "b"]
    assert "change by change" in heard.text


def test_deferred_constraints_are_checked_as_psql_would(
    empty_database: str, tmp_path: Path
) -> None:
    """Without a BEGIN psql commits each statement, so that none can lean on a later one."""
    write_project(
        tmp_path,
        {
            "t": Sql("create table t (id int unique deferrable initially deferred);\n"),
            "u": Sql("insert into t values (1), (1);\ndelete from t;\n"),
        },
    )
    with pytest.raises(Failure, match=r"deploy/u.sql:2"):
        deploy(tmp_path, empty_database)
    begin = "begin;\ninsert into t values (1), (1);\ndelete from t;\ncommit;\n"
    (tmp_path / "deploy" / "u.sql").write_text(begin)
    deploy(tmp_path, empty_database)
    assert recorded(empty_database) == ["t", "u"]


def test_a_dry_run_that_no_transaction_can_hold_is_only_planned(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": table("a"), "vacuum": VACUUM, "bad": BAD})
    heard = Heard()
    done = deploy(tmp_path, empty_database, heard, dry_run=True)
    assert not done.executed
    assert [change.name for change in done.changes] == ["a", "vacuum", "bad"]
    assert "deploy/vacuum.sql:2" in heard.text
    assert "only the plan" in heard.text
    assert heard.steps == []
    assert rows(empty_database, "select to_regnamespace('sqitch')") == [(None,)]

    procedure = "create procedure p() language plpgsql as $$ begin commit; end $$;\ncall p();\n"
    write_project(tmp_path, {"a": table("a"), "vacuum": Sql(procedure), "bad": BAD})
    heard = Heard()
    done = deploy(tmp_path, empty_database, heard, dry_run=True)
    assert not done.executed
    assert "deploy/vacuum.sql:3" in heard.text
    assert rows(empty_database, "select to_regnamespace('sqitch')") == [(None,)]
    assert tables(empty_database) == set()


def test_only_recording_needs_the_script_all_the_same(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a"), "b": table("b")})
    (tmp_path / "deploy" / "b.sql").unlink()
    done = run(tmp_path, "deploy", "--log-only", empty_database)
    assert done.returncode == 1
    assert "deploy/b.sql" in done.stderr
    assert recorded(empty_database) == []
