"""What follows a deploy script goes in one message; what fails in it is named as if it had not."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import psycopg
import pytest
from engine import Heard, deploy
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from small_project import Sql, events, recorded, rows, table, tables, write_project
from test_deployer import wait_for

from integrations_db import retry, transaction
from integrations_db.errors import Failure, Locked
from size import size

pytestmark = pytest.mark.database

# What a sequence has given is not taken back: it tells how often a script ran.
COUNT = "select nextval('ran');"


# While one is there, a verify script may need that it waits.
DEFERRED = "create table made (id int unique deferrable initially deferred);"


def counted(*lines: str, deploy: str = "select 1;") -> Sql:
    """A change whose scripts count how often they run; ``lines`` are those of its verify script."""
    return Sql(
        f"begin;\nselect nextval('deployed');\n{deploy}\ncommit;\n",
        verify="\n".join(["begin;", COUNT, *lines, "rollback;\n"]),
    )


def counts(dsn: str) -> tuple[int, int]:
    """How often deploy and verify scripts ran."""
    one = "case when is_called then last_value else 0 end"
    query = f"select (select {one} from deployed), (select {one} from ran)"  # noqa: S608
    found = rows(dsn, query)
    return found[0][0], found[0][1]


@pytest.fixture
def counting(empty_database: str) -> str:
    """A database with the sequences of ``counted``."""
    with psycopg.connect(empty_database, autocommit=True) as conn:
        for name in ("deployed", "ran"):
            conn.execute(f"create sequence {name}".encode())
    return empty_database


@pytest.mark.parametrize("mode", ["change", "all"])
def test_scripts_that_pass_run_once(counting: str, tmp_path: Path, mode: str) -> None:
    verify = [
        "select 'x' as integrations_db_recorded_at; -- a comment",
        "select 2",
    ]
    write_project(tmp_path, {"a": counted(*verify), "b": counted("-- nothing")})
    deploy(tmp_path, counting, mode=mode)
    assert recorded(counting) == ["a", "b"]
    assert counts(counting) == (2, 2)


@pytest.mark.parametrize("mode", ["change", "all"])
@pytest.mark.parametrize(
    ("line", "place", "how_often"),
    [
        ("select 1 / 0 from pg_database limit 1;", "verify/b.sql:5: ERROR 22012", (2, 2)),
        ("select nothing from pg_class;", "verify/b.sql:5:8: ERROR 42703", (2, 2)),
        # The server reads a message as a whole: this one it could not even begin.
        ("selct 1;", "verify/b.sql:5:1: ERROR 42601", (3, 2)),
    ],
    ids=["fails", "names nothing", "cannot be read"],
)
def test_what_failed_is_named(
    counting: str, tmp_path: Path, mode: str, line: str, place: str, how_often: tuple[int, int]
) -> None:
    b = counted("select 2; -- passes", line, "select 3;", deploy="create table made ();")
    write_project(tmp_path, {"a": counted(), "b": b})
    with pytest.raises(Failure) as failed:
        deploy(tmp_path, counting, mode=mode)
    assert place in str(failed.value)
    assert recorded(counting) == (["a"] if mode == "change" else [])
    assert "made" not in tables(counting)
    # In one transaction the first change is deployed again, too.
    again = mode == "all" and how_often[0] > 2
    assert counts(counting) == (how_often[0] + again, how_often[1] + again)


def test_constraints_wait_for_a_verify_script_that_needs_it(counting: str, tmp_path: Path) -> None:
    made = "create table made (id int primary key deferrable initially deferred);"
    verify = ["insert into made values (1), (1);", "delete from made;"]
    write_project(tmp_path, {"a": counted(*verify, deploy=made)})
    deploy(tmp_path, counting)
    assert recorded(counting) == ["a"]
    assert rows(counting, "select count(*) from made") == [(0,)]


def test_constraints_wait_after_a_rollback_in_the_midst_too(
    empty_database: str, tmp_path: Path
) -> None:
    made = (
        "begin;\ncreate table made (id int primary key deferrable initially deferred);\ncommit;\n"
    )
    once = "begin;\ninsert into made values (1), (1);\ndelete from made;\nrollback;\n"
    write_project(tmp_path, {"a": Sql(made, verify=once * 2)})
    deploy(tmp_path, empty_database)
    assert recorded(empty_database) == ["a"]


def test_a_constraint_that_the_script_broke_is_its_own_error(counting: str, tmp_path: Path) -> None:
    broken = (
        "create table made (id int primary key deferrable initially deferred);\n"
        "insert into made values (1), (1);"
    )
    write_project(tmp_path, {"a": counted(deploy=broken)})
    with pytest.raises(Failure, match=r"deploy/a\.sql: ERROR 23505"):
        deploy(tmp_path, counting)
    assert (recorded(counting), tables(counting)) == ([], set())
    assert counts(counting)[0] == 1


def test_what_is_cancelled_does_not_run_again(counting: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": counted("select pg_sleep(600);"), "b": counted()})
    asleep = (
        " from pg_stat_activity where datname = current_database()"
        " and wait_event = 'PgSleep' and pid <> pg_backend_pid()"
    )

    def cancel() -> None:
        wait_for(lambda: counts(counting)[1] == 1 and bool(rows(counting, f"select{asleep}")))
        rows(counting, f"select pg_cancel_backend(pid){asleep}")

    cancelling = threading.Thread(target=cancel)
    cancelling.start()
    with pytest.raises(Failure, match=r"verify/a\.sql:4: ERROR 57014"):
        deploy(tmp_path, counting)
    cancelling.join()
    assert recorded(counting) == []
    assert counts(counting) == (1, 1)


def test_strings_are_not_read_as_the_script_before_had_it(counting: str, tmp_path: Path) -> None:
    with psycopg.connect(counting, autocommit=True) as conn:
        conn.execute(
            "create function other_strings() returns void language sql as"
            " $$select set_config('standard_conforming_' || 'strings', 'off', false)$$"
        )
    verify = r"select 1 / (length('a\\b') - 3);"
    a = counted(verify, deploy="select other_strings();")
    write_project(tmp_path, {"a": replace(a, note=r"it's a \ 'note'"), "b": table("b")})
    deploy(tmp_path, counting)
    assert rows(counting, "select note from sqitch.changes order by committed_at") == [
        (r"it's a \ 'note'",),
        ("",),
    ]
    assert counts(counting) == (1, 1)


@pytest.mark.parametrize("mode", ["change", "all"])
def test_nothing_of_a_verify_script_stays(counting: str, tmp_path: Path, mode: str) -> None:
    verify = [
        "insert into made values (1);",
        "prepare p as select 1;",
        "set myown.text = 'left';",
        "set role pg_monitor;",
    ]
    b = counted(deploy="prepare p as select 2; create table of_b ();")
    write_project(tmp_path, {"a": counted(*verify, deploy="create table made (id int);"), "b": b})
    deploy(tmp_path, counting, mode=mode)
    assert recorded(counting) == ["a", "b"]
    assert rows(counting, "select count(*) from made") == [(0,)]
    assert counts(counting) == (2, 2)


@pytest.mark.parametrize("line", ["set client_encoding = 'LATIN1';", "set names 'LATIN1';"])
def test_a_verify_script_changes_how_it_is_read(counting: str, tmp_path: Path, line: str) -> None:
    """As psql sends it: two bytes, which are two characters then."""
    write_project(tmp_path, {"a": counted(line, "select 1 / (length('ä') - 1);")})
    deploy(tmp_path, counting)
    assert recorded(counting) == ["a"]


def test_what_is_recorded_is_not_read_as_the_script_before_had_it(
    counting: str, tmp_path: Path
) -> None:
    a = counted("select 1 / (2 - length('ä'));", deploy="set client_encoding = 'LATIN1';")
    write_project(tmp_path, {"a": replace(a, note="ä")})
    deploy(tmp_path, counting)
    assert rows(counting, "select note from sqitch.changes") == [("ä",)]


LINES = st.sampled_from(
    [
        "select 1;",
        "select 1 -- ;\n;",
        "/* ; */ select 'it''s';",
        "select 1 / 0;",
        "do $$begin\nperform 1;\nraise exception 'ouch';\nend$$;",
        "select nothing;",
        "selct;",
        "set local work_mem = '1MB';",
        "set search_path = nowhere;",
        "create temp table t ();",
        "savepoint mine;",
        "rollback to mine;",
        "set role pg_monitor;",
        "set client_encoding = 'LATIN1';",
        "select 'ä';",
        "prepare p as select 1;",
        "execute p;",
        "select 1 as one where false;",
        "insert into made values (1);",
        "select 1",
    ]
)


def _told(dsn: str, folder: Path) -> tuple[str, list[str], Sequence[tuple[str, str]]]:
    """What comes of a deployment, which is then forgotten."""
    heard = Heard()
    try:
        deploy(folder, dsn, heard)
        said = "deployed"
    except Failure as failure:
        said = str(failure)
    found = recorded(dsn), rows(dsn, "select to_regclass('made')::text")[0][0]
    with psycopg.connect(dsn, autocommit=True) as conn:
        conn.execute("drop schema sqitch cascade; drop table if exists made")
    return said, [*found[0], str(found[1])], heard.steps


@settings(
    max_examples=size(25, 150),
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(lines=st.lists(LINES, max_size=5))
def test_both_ways_say_the_same(
    empty_database: str, monkeypatch: pytest.MonkeyPatch, lines: list[str]
) -> None:
    verify = "\n".join(["begin;", *lines, ";\nrollback;\n"])
    made = "begin;\ncreate table made (id int unique deferrable initially deferred);\ncommit;\n"
    with tempfile.TemporaryDirectory() as name, monkeypatch.context() as patch:
        folder = write_project(Path(name), {"a": Sql(made, verify=verify)})
        once = _told(empty_database, folder)
        patch.setattr("integrations_db.deploy.readable_at_once", lambda *_: False)
        assert once == _told(empty_database, folder)


def test_it_is_the_usual_way(
    counting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Or the tests above would compare a thing with itself."""
    sent: list[bool] = []
    usual = transaction.end_at_once

    def watched(*arguments: object) -> bool:
        sent.append(usual(*arguments))  # type: ignore[arg-type]
        return sent[-1]

    monkeypatch.setattr("integrations_db.deploy.end_at_once", watched)
    write_project(tmp_path, {"a": counted(), "b": counted("insert into a values (1);")})
    with pytest.raises(Failure):
        deploy(tmp_path, counting)
    assert sent == [True]


@pytest.mark.parametrize("how", ["statement_timeout", "pg_cancel_backend"])
def test_the_statement_that_took_too_long_is_named(counting: str, tmp_path: Path, how: str) -> None:
    line = "select pg_cancel_backend(pg_backend_pid()), pg_sleep(1);"
    if how == "statement_timeout":
        line = "set local statement_timeout = '50ms'; select pg_sleep(60);"
    write_project(tmp_path, {"a": counted("select 1;", line, "select 2;", deploy=DEFERRED)})
    with pytest.raises(Failure, match=r"verify/a\.sql:5: ERROR 57014"):
        deploy(tmp_path, counting)
    assert counts(counting) == (1, 1)


def test_what_is_cancelled_after_the_script_is_named_as_its_own(
    counting: str, tmp_path: Path
) -> None:
    cancels = """
        create table made (id int);
        create function cancels() returns trigger language plpgsql as $$begin
            perform pg_cancel_backend(pg_backend_pid()), pg_sleep(1);
            return null;
        end$$;
        create constraint trigger cancels after insert on made deferrable initially deferred
            for each row execute function cancels();
        insert into made values (1);"""
    write_project(tmp_path, {"a": counted(deploy=cancels)})
    with pytest.raises(Failure, match=r"deploy/a\.sql: ERROR 57014"):
        deploy(tmp_path, counting)
    assert (recorded(counting), counts(counting)) == ([], (1, 0))


def test_a_lock_is_waited_for_once_in_each_attempt(
    counting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it waits, the change keeps others from what its script has locked."""
    monkeypatch.setattr(retry, "PAUSES", tuple(0.01 for _ in retry.PAUSES))
    with psycopg.connect(counting, autocommit=True) as conn:
        conn.execute("create table busy ()")
    # The limit of the command line is stronger.
    b = counted("set lock_timeout = '20s';", "lock table busy;", deploy=DEFERRED)
    write_project(tmp_path, {"a": counted(), "b": b})
    with psycopg.connect(counting) as holder:
        holder.execute("lock table busy")
        with pytest.raises(Locked, match=r"verify/b\.sql:5: ERROR 55P03") as failed:
            deploy(tmp_path, counting, lock_timeout=0.05)
        assert f"server process {holder.info.backend_pid} (" in str(failed.value)
    assert recorded(counting) == ["a"]
    assert counts(counting) == (6, 6)


def test_what_a_verify_script_says_is_told_once(counting: str, tmp_path: Path) -> None:
    says = "do $$begin raise notice 'it looks'; end$$;"
    write_project(tmp_path, {"a": counted(says, "select 1 / 0;")})
    heard = Heard()
    with pytest.raises(Failure):
        deploy(tmp_path, counting, heard)
    assert heard.text.count("it looks") == 1


def test_no_verify_script_passes_because_a_constraint_did_not_wait(
    counting: str, tmp_path: Path
) -> None:
    made = "create table made (id int primary key deferrable initially deferred);"
    refuses = """do $$begin
        insert into made values (1), (1);
        raise exception 'it took both';
    exception when unique_violation then null;
    end$$;"""
    write_project(tmp_path, {"a": counted(refuses, deploy=made)})
    with pytest.raises(Failure, match="it took both"):
        deploy(tmp_path, counting)
    assert recorded(counting) == []


def test_constraints_wait_for_a_function_that_needs_it(counting: str, tmp_path: Path) -> None:
    """What a function does, the text of a verify script does not tell."""
    made = """
        create table made (id int primary key deferrable initially deferred);
        create function twice() returns void begin atomic
            insert into made values (1), (1);
            delete from made;
        end;"""
    write_project(tmp_path, {"a": counted("select twice();", deploy=made), "b": counted()})
    deploy(tmp_path, counting)
    assert recorded(counting) == ["a", "b"]
    assert counts(counting) == (2, 3)


def test_rows_that_a_rule_adds_do_not_mislead(counting: str, tmp_path: Path) -> None:
    with psycopg.connect(counting, autocommit=True) as conn:
        conn.execute("create table ruled (id int)")
        conn.execute("create rule adds as on insert to ruled do also (select 1; select 2)")
    line = "insert into ruled values (1);"
    write_project(tmp_path, {"a": counted(line, line, "select 1 / 0 from pg_class;", "select 2;")})
    with pytest.raises(Failure, match=r"verify/a\.sql:6: ERROR 22012"):
        deploy(tmp_path, counting)


def test_a_change_is_not_blamed_for_how_the_next_one_begins(counting: str, tmp_path: Path) -> None:
    b = Sql("begin isolation level nonsense;\nselect 1;\ncommit;\n")
    write_project(tmp_path, {"a": counted(), "b": b})
    with pytest.raises(Failure, match=r"deploy/b\.sql: ERROR 42601"):
        deploy(tmp_path, counting)
    assert recorded(counting) == ["a"]
    assert counts(counting) == (1, 1)


@pytest.mark.parametrize("ahead", ["select 1 / 0", "BEGIN; select 1 / 0"])
def test_a_change_is_done_though_the_next_could_not_be_opened(
    counting: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, ahead: str
) -> None:
    """Whether the error came before or after the BEGIN, as that of a cancellation may."""
    usual = transaction.opening

    def refused(run: transaction.Run, *arguments: object) -> list[str]:
        monkeypatch.setattr("integrations_db.deploy.opening", usual)
        return [ahead]

    monkeypatch.setattr("integrations_db.deploy.opening", refused)
    write_project(tmp_path, {"a": counted(), "b": counted()})
    deploy(tmp_path, counting)
    assert recorded(counting) == ["a", "b"]
    assert events(counting) == [("deploy", "a"), ("deploy", "b")]
    assert counts(counting) == (2, 2)


@pytest.mark.parametrize("how", [{"log_only": True}, {"verify": False}, {}], ids=str)
@pytest.mark.parametrize("steps", [True, False], ids=["in steps", "at once"])
def test_the_order_holds_though_the_clock_was_set_back(
    counting: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    how: dict[str, Any],
    steps: bool,
) -> None:
    made = {"a": counted()}
    deploy(write_project(tmp_path, made), counting)
    with psycopg.connect(counting, autocommit=True) as conn:
        conn.execute("update sqitch.changes set committed_at = now() + interval '1 day'")
    for name in "bcd":
        made[name] = replace(
            counted(deploy=f"select '{name}';"), requires=["a"], tags=[f"of_{name}"]
        )
    write_project(tmp_path, made)
    if steps:
        monkeypatch.setattr("integrations_db.deploy.readable_at_once", lambda *_: False)
    deploy(tmp_path, counting, **how)
    later = "select committed_at > lag(committed_at) over (order by change) from sqitch.changes"
    assert rows(counting, later) == [(None,), (True,), (True,), (True,)]


@pytest.mark.parametrize(
    "left",
    [
        "do $$begin execute format('alter database %I set myown.text = %L', current_database(),"
        " $q$a;b'c\\$q$); end$$; alter role current_user in database nowhere set jit = off;",
        "select pg_advisory_lock(1), pg_advisory_lock_shared(2, 3);",
        "set role pg_monitor; create temp table t (); declare c cursor with hold for select 1;",
    ],
    ids=["stored", "advisory", "session"],
)
@pytest.mark.parametrize("limit", [None, 1.0])
def test_whatever_is_cleaned_before_the_place_is_right(
    counting: str, tmp_path: Path, left: str, limit: float | None
) -> None:
    here = rows(counting, "select quote_ident(current_database())")[0][0]
    left = left.replace("nowhere", here).replace(
        "set role", f"grant create, temporary on database {here} to pg_monitor; set role"
    )
    verify = ["set lock_timeout = 0; select 'é -- ;';", "select 2, nothing;", "select 3;"]
    write_project(tmp_path, {"a": counted(*verify, deploy=left)})
    with pytest.raises(Failure, match=r"verify/a\.sql:5:11: ERROR 42703"):
        deploy(tmp_path, counting, lock_timeout=limit)
    assert (recorded(counting), counts(counting)) == ([], (1, 1))


def test_what_cannot_be_cleaned_is_the_error_of_its_script(counting: str, tmp_path: Path) -> None:
    """The last of what is sent before the verify script, or else without one."""
    with psycopg.connect(counting, autocommit=True) as conn:
        conn.execute("create table taken (id int primary key)")
        conn.execute("create table child (id int references taken deferrable initially deferred)")
    left = "insert into child values (1);"
    write_project(tmp_path, {"a": replace(counted(deploy=left), verify=None)})
    with pytest.raises(Failure, match=r"deploy/a\.sql: ERROR 23503"):
        deploy(tmp_path, counting)
    assert (recorded(counting), counts(counting)) == ([], (1, 0))


@pytest.mark.parametrize("verify", [True, False])
@pytest.mark.parametrize("mode", ["change", "all"])
def test_what_refuses_the_record_is_no_error_of_a_script(
    counting: str, tmp_path: Path, mode: str, verify: bool
) -> None:
    refuses = """
        create function sqitch.refuses() returns trigger language plpgsql as
            $$begin raise 'not this one'; end$$;
        create trigger refuses before insert on sqitch.changes for each row
            when (new.change = 'b') execute function sqitch.refuses();"""
    write_project(tmp_path, {"a": counted(deploy=refuses), "b": counted(), "c": counted()})
    with pytest.raises(Failure, match=r"(?m)^ERROR P0001: not this one") as failed:
        deploy(tmp_path, counting, mode=mode, verify=verify)
    assert "left nothing behind" in str(failed.value)
    assert recorded(counting) == (["a"] if mode == "change" else [])
    assert events(counting)[-1] == ("fail", "b")
    assert counts(counting) == (2, 2 if verify else 0)


def test_a_verify_script_that_goes_back_too_far_is_told(counting: str, tmp_path: Path) -> None:
    b = counted("rollback to mine;", deploy="savepoint mine;")
    write_project(tmp_path, {"a": counted(), "b": b})
    with pytest.raises(Failure, match=r"ERROR 3B001: .*integrations_db_verify"):
        deploy(tmp_path, counting)
    assert recorded(counting) == ["a"]
