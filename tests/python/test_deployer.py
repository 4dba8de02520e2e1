"""Deploy, revert, verify, status: what stays, what goes, and what is said, with faults injected."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from small_project import (
    Sql,
    begin,
    command,
    environment,
    events,
    recorded,
    rows,
    run,
    run_json,
    sqitch,
    table,
    tables,
    write_project,
)

from integrations_db.config import Target
from integrations_db.database import connect, fresh

pytestmark = pytest.mark.database

A, B, C = table("a"), table("b", requires=("a",)), table("c", requires=("b",))
SLOW = Sql("begin;\ncreate table slow (id int);\nselect pg_sleep(600);\ncommit;\n")


def wait_for(condition: Callable[[], bool]) -> None:
    """Waits until something is so, at most 15 seconds."""
    deadline = time.monotonic() + 60
    while not condition():
        assert time.monotonic() < deadline, "it did not come about"
        time.sleep(0.02)


def sleeping(dsn: str) -> bool:
    """Tells whether a session of this database sleeps in a script."""
    query = (
        "select 1 from pg_stat_activity where datname = current_database()"
        " and pid <> pg_backend_pid() and query like 'select pg_sleep(%' and state = 'active'"
    )
    return bool(rows(dsn, query))


def start(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """Starts Python with our command, and leaves it running."""
    return subprocess.Popen(  # noqa: S603
        command(*arguments),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def test_deploy_status_verify_revert(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": A, "b": B, "c": C})
    assert run(tmp_path, "status", "--check", empty_database).returncode == 3
    assert "Database: test_clone_" in run(tmp_path, "status", empty_database).stdout
    done = run(tmp_path, "deploy", "--to", "b", empty_database)
    assert done.returncode == 0, done.stderr
    assert "  + a ... ok\n  + b ... ok\n" in done.stdout
    assert tables(empty_database) == {"a", "b"}
    state = run_json(tmp_path, "status", empty_database)
    assert (state["deployed"], [c["change"] for c in state["pending"]]) == (2, ["c"])
    assert [c["change"] for c in run_json(tmp_path, "deploy", empty_database)["deployed"]] == ["c"]
    again = run(tmp_path, "deploy", empty_database)
    assert (again.returncode, "no change is pending" in again.stdout) == (0, True)
    assert run(tmp_path, "status", "--check", empty_database).returncode == 0
    assert "Verified 3 changes" in run(tmp_path, "verify", empty_database).stdout
    done = run(tmp_path, "revert", "-y", "--to", "a", empty_database)
    assert "  - c ... ok\n  - b ... ok\n" in done.stdout
    assert tables(empty_database) == {"a"}
    assert run(tmp_path, "revert", "-y", "--all", empty_database).returncode == 0
    assert tables(empty_database) == set()
    assert recorded(empty_database) == []
    nothing = run(tmp_path, "revert", "-y", "--all", empty_database)
    assert (nothing.returncode, "Nothing to revert" in nothing.stdout) == (0, True)


def test_revert_wants_to_be_told_how_far_and_confirmed(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": A})
    run_json(tmp_path, "deploy", empty_database)
    for arguments in (["revert", "-y"], ["revert", "--all"], ["revert", "--all", "--to", "a"]):
        assert run(tmp_path, *arguments, empty_database).returncode == 2
    assert recorded(empty_database) == ["a"]


@pytest.mark.parametrize(
    ("script", "place", "message"),
    [
        ("begin;\ncreate table x (id int);\nselect 1,\n  nosuch;\ncommit;", "5:3", "42703"),
        (
            "begin;\ndo $$\nbegin\n  perform 1;\n"
            "  raise exception 'no' using hint = 'why';\nend $$;\ncommit;",
            "6",
            "HINT: why",
        ),
        (
            "create table x (id int primary key);\ninsert into x values (1);\n"
            "insert into x values (1);",
            "4",
            "DETAIL",
        ),
        (
            "create table x (id int primary key deferrable initially deferred);\n"
            "insert into x values (1), (1);",
            "",
            "23505",
        ),
        (
            "create function f() returns int language plpgsql as\n"
            "$$ begin return nosuch; end $$;\nselect f();",
            "4",
            "CONTEXT",
        ),
        ("create table x (id int);\nsyntax error here;", "3:1", "42601"),
    ],
)
def test_a_failing_script_leaves_nothing_and_says_where(
    empty_database: str, tmp_path: Path, script: str, place: str, message: str
) -> None:
    write_project(tmp_path, {"a": A, "b": Sql(script), "c": table("c")})
    done = run(tmp_path, "deploy", empty_database)
    assert done.returncode == 1
    assert f"deploy/b.sql:{place}" in done.stderr
    assert message in done.stderr
    assert "b left nothing behind; the one before it stays" in done.stderr
    assert "Traceback" not in done.stderr
    assert tables(empty_database) == {"a"}
    assert recorded(empty_database) == ["a"]
    assert events(empty_database) == [("deploy", "a"), ("fail", "b")]
    # A corrected script goes on from there.
    write_project(tmp_path, {"a": A, "b": table("b"), "c": table("c")})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    assert tables(empty_database) == {"a", "b", "c"}


def test_a_failing_verify_leaves_nothing(empty_database: str, tmp_path: Path) -> None:
    bad = table("b", verify="begin;\nselect 1 / count(*) from b;\nrollback;\n")
    write_project(tmp_path, {"a": A, "b": bad})
    done = run(tmp_path, "deploy", empty_database)
    assert done.returncode == 1
    assert "verify/b.sql:3" in done.stderr
    assert "22012" in done.stderr
    assert tables(empty_database) == {"a"}
    assert events(empty_database) == [("deploy", "a"), ("fail", "b")]
    assert run(tmp_path, "deploy", "--no-verify", empty_database).returncode == 0
    done = run(tmp_path, "verify", empty_database)
    assert done.returncode == 1
    assert "verify/b.sql:3" in done.stderr


def test_what_verify_does_is_taken_back(empty_database: str, tmp_path: Path) -> None:
    busy = table(
        "a", verify="begin;\ncreate table made (id int);\nset local role pg_monitor;\ncommit;"
    )
    write_project(tmp_path, {"a": busy})
    run_json(tmp_path, "deploy", empty_database)
    assert tables(empty_database) == {"a"}


def test_kill_in_mid_script_leaves_neither_change_nor_record(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": A, "slow": SLOW})
    process = begin(tmp_path, "deploy", empty_database)
    wait_for(lambda: sleeping(empty_database))
    process.kill()
    process.communicate()
    # The server looks whether its client is still there, where it can.
    if "linux" not in rows(empty_database, "select version()")[0][0]:
        rows(
            empty_database,
            "select pg_terminate_backend(pid) from pg_stat_activity"
            " where datname = current_database() and query = 'select pg_sleep(600)'",
        )
    wait_for(lambda: not sleeping(empty_database))
    assert tables(empty_database) == {"a"}
    assert recorded(empty_database) == ["a"]
    write_project(tmp_path, {"a": A, "slow": table("slow")})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    assert recorded(empty_database) == ["a", "slow"]


def test_every_session_notices_that_its_client_is_gone(empty_database: str) -> None:
    conn = connect(Target(empty_database), print)
    with conn:
        expected = "2s" if "linux" in str(conn.execute("select version()").fetchone()) else "0"
        for _ in range(2):
            found = conn.execute("show client_connection_check_interval").fetchone()
            assert found == (expected,)
            fresh(conn)


@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 1)])
def test_signals_roll_back_in_order(
    empty_database: str, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    write_project(tmp_path, {"a": A, "slow": SLOW})
    process = start(tmp_path, "deploy", empty_database)
    wait_for(lambda: sleeping(empty_database))
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert process.returncode == code, said
    assert "rolled back" in said
    assert "Traceback" not in said
    assert not sleeping(empty_database)
    assert tables(empty_database) == {"a"}
    assert recorded(empty_database) == ["a"]


def test_a_lost_connection_is_told_in_a_sentence(empty_database: str, tmp_path: Path) -> None:
    suicide = (
        "begin;\ncreate table x (id int);\nselect pg_terminate_backend(pg_backend_pid());\ncommit;"
    )
    write_project(tmp_path, {"a": A, "b": Sql(suicide)})
    done = run(tmp_path, "deploy", empty_database)
    assert done.returncode == 1
    assert "connection to the server was lost" in done.stderr
    assert "Traceback" not in done.stderr
    assert recorded(empty_database) == ["a"]


def test_two_deployers_at_once(empty_database: str, tmp_path: Path) -> None:
    short = Sql("begin;\ncreate table slow (id int);\nselect pg_sleep(2);\ncommit;\n")
    write_project(tmp_path, {"a": A, "slow": short, "b": B})
    first = begin(tmp_path, "deploy", empty_database)
    wait_for(lambda: sleeping(empty_database))
    second = run(tmp_path, "deploy", empty_database)
    out, said = first.communicate(timeout=60)
    assert first.returncode == 0, said
    assert "Deployed 3 changes" in out
    assert (second.returncode, "Nothing to deploy" in second.stdout) == (0, True)
    assert "another deployment is running" in second.stderr
    assert recorded(empty_database) == ["a", "slow", "b"]


def test_sessions_do_not_leak_from_change_to_change(empty_database: str, tmp_path: Path) -> None:
    leak = Sql(
        "begin;\nset search_path = pg_catalog;\nset role pg_monitor;\nreset role;\n"
        "create temp table t (id int);\nprepare p as select 1;\nlisten l;\n"
        "set session characteristics as transaction isolation level serializable;\n"
        "set local role pg_monitor;\ncommit;\n"
    )
    clean = Sql(
        "begin;\ndo $$ begin\n"
        "  if current_user <> session_user or current_setting('search_path') = 'pg_catalog'\n"
        "    or to_regclass('pg_temp.t') is not null\n"
        "    or exists (select from pg_prepared_statements)\n"
        "    or exists (select pg_listening_channels())\n"
        "    or current_setting('transaction_isolation') <> 'read committed'\n"
        "  then raise exception 'something leaked'; end if;\nend $$;\ncommit;\n"
    )
    write_project(tmp_path, {"leak": leak, "clean": clean})
    done = run(tmp_path, "deploy", empty_database)
    assert done.returncode == 0, done.stderr


RECORDS_LOCKED = Sql(
    *2
    * (
        "begin;\ndo $$ begin\n  if not exists (select from pg_locks where granted"
        " and pid = pg_backend_pid() and mode = 'ExclusiveLock'"
        " and relation = 'sqitch.changes'::regclass)\n"
        "  then raise exception 'not locked'; end if;\nend $$;\ncommit;\n",
    )
)


def test_nobody_else_can_record_changes_meanwhile(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": RECORDS_LOCKED})
    for arguments in (["deploy"], ["revert", "-y", "--all"], ["deploy", "--dry-run"]):
        done = run(tmp_path, *arguments, empty_database)
        assert done.returncode == 0, done.stderr


def test_revert_waits_for_the_lock(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": A})
    run_json(tmp_path, "deploy", empty_database)
    with psycopg.connect(empty_database, autocommit=True) as holder:
        holder.execute("select pg_advisory_lock(75474063)")
        done = run(tmp_path, "revert", "-y", "--all", "--wait", "0s", empty_database)
    assert done.returncode == 5
    assert "another deployment of this database is running" in done.stderr
    assert "waited 0 s. Nothing was touched" in done.stderr
    assert tables(empty_database) == {"a"}


@pytest.mark.parametrize("action", ["deploy", "revert"])
def test_a_lock_that_a_script_released_is_taken_again(
    empty_database: str, tmp_path: Path, action: str
) -> None:
    release = "begin;\nselect pg_advisory_unlock_all();\ncommit;\n"
    held = (
        "begin;\ndo $$ begin\n  if not exists (select from pg_locks where locktype = 'advisory'"
        " and pid = pg_backend_pid() and objid = 75474063 and granted)\n"
        "  then raise exception 'no lock'; end if;\nend $$;\ncommit;\n"
    )
    last = Sql(held, revert=release)
    write_project(tmp_path, {"a": Sql(release, revert=held), "b": last})
    run_json(tmp_path, "deploy", empty_database)
    if action == "revert":
        run_json(tmp_path, "revert", "-y", "--all", empty_database)
    assert len(recorded(empty_database)) == (2 if action == "deploy" else 0)


@pytest.mark.parametrize("action", ["deploy", "revert"])
def test_a_lock_that_another_deployment_got_ends_this_one(
    empty_database: str, tmp_path: Path, action: str
) -> None:
    lose = Sql(
        "begin;\ncreate table x (id int);\nselect pg_advisory_unlock_all();\n"
        "select pg_sleep(1.5);\ncommit;\n"
    )
    write_project(tmp_path, {"a": lose if action == "deploy" else replace(A, revert=lose.deploy)})
    if action == "revert":
        run_json(tmp_path, "deploy", empty_database)
    how = ["revert", "-y", "--all"] if action == "revert" else ["deploy"]
    with psycopg.connect(empty_database, autocommit=True) as other:
        process = begin(tmp_path, *how, empty_database)
        wait_for(lambda: sleeping(empty_database))
        other.execute("select pg_advisory_lock(75474063)")
        _, said = process.communicate(timeout=60)
    assert process.returncode == 5, said
    assert "released the deployment lock" in said
    assert recorded(empty_database) == (["a"] if action == "revert" else [])
    assert "x" not in tables(empty_database)


def test_the_lock_is_kept_between_changes(empty_database: str, tmp_path: Path) -> None:
    held = Sql(
        "begin;\ndo $$ begin\n  if not exists (select from pg_locks where locktype = 'advisory'"
        " and pid = pg_backend_pid() and objid = 75474063 and granted)\n"
        "  then raise exception 'no lock'; end if;\nend $$;\ncommit;\n"
    )
    write_project(tmp_path, {"a": A, "held": held})
    assert run(tmp_path, "deploy", empty_database).returncode == 0


def test_refused_before_anything_runs(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": A, "b": Sql("begin;\nselect 1;\n")})
    done = run(tmp_path, "deploy", empty_database)
    assert done.returncode == 1
    assert "deploy/b.sql:2: BEGIN without COMMIT" in done.stderr
    assert tables(empty_database) == set()


def test_conflicts_are_refused_before_anything_runs(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": A, "b": table("b", conflicts=("a",))})
    done = run(tmp_path, "deploy", empty_database)
    assert done.returncode == 1
    assert "b conflicts with a, which is deployed" in done.stderr
    assert tables(empty_database) == set()


@pytest.mark.parametrize("unknown", ["nosuch", "@nosuch", "a@nosuch", "small:nosuch", "b@v1"])
def test_conflicts_with_the_unknown_are_refused_as_sqitch_does(
    empty_database: str, tmp_path: Path, unknown: str
) -> None:
    changes = {"a": table("a", tags=("v1",)), "b": table("b"), "c": table("c", tags=("v2",))}
    write_project(tmp_path, changes)
    plan = tmp_path / "sqitch.plan"

    def conflicting(with_: str) -> None:
        plan.write_text(re.sub(r"^b (?:\[.*?\] )?", f"b [!{with_}] ", plan.read_text(), flags=re.M))

    conflicting(unknown)
    done = run(tmp_path, "deploy", empty_database)
    assert (done.returncode, recorded(empty_database)) == (1, [])
    named = unknown.removeprefix("small:")
    assert f"sqitch.plan:7: b conflicts with {named}, which is not in the plan" in done.stderr
    assert run(tmp_path, "plan").returncode == 0  # it is the deployment that cannot be
    stock = sqitch(tmp_path, empty_database, "deploy", "{target}")
    assert stock.returncode != 0
    assert re.search('Unable to find change|Unknown tag "@nosuch"', stock.stderr)
    # What comes later, and what another project may have one day, is no mistake.
    for known in ("c", "b", "c@v2", "@v2", "other:nosuch"):
        conflicting(known)
        assert run(tmp_path, "deploy", "--dry-run", empty_database).returncode == 0, known


def test_dry_run_runs_and_keeps_nothing(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": A, "b": B})
    done = run(tmp_path, "deploy", "--dry-run", empty_database)
    assert done.returncode == 0, done.stderr
    assert "2 changes would deploy" in done.stdout
    assert tables(empty_database) == set()
    assert rows(empty_database, "select to_regnamespace('sqitch')") == [(None,)]
    write_project(tmp_path, {"a": A, "b": Sql("select nosuch;")})
    done = run(tmp_path, "deploy", "--dry-run", empty_database)
    assert done.returncode == 1
    assert "deploy/b.sql:2:8" in done.stderr
    assert "nothing was kept" in done.stderr
    assert tables(empty_database) == set()


def test_log_only_records_without_running(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": A, "b": Sql("vacuum;")})
    assert run(tmp_path, "deploy", "--log-only", empty_database).returncode == 0
    assert recorded(empty_database) == ["a", "b"]
    assert tables(empty_database) == set()


def test_edited_scripts_are_told(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": A})
    run_json(tmp_path, "deploy", empty_database)
    (tmp_path / "deploy" / "a.sql").write_text("select 2;")
    assert run_json(tmp_path, "status", empty_database)["changed_scripts"] == ["a"]
    assert run(tmp_path, "status", "--check", empty_database).returncode == 4
    assert "edited" in run(tmp_path, "deploy", empty_database).stderr


@pytest.mark.parametrize("arguments", [["deploy"], ["revert", "-y", "--all"]])
def test_a_database_that_left_the_plan_is_refused(
    empty_database: str, tmp_path: Path, arguments: list[str]
) -> None:
    write_project(tmp_path, {"a": A, "b": B})
    run_json(tmp_path, "deploy", empty_database)
    write_project(tmp_path, {"a": table("a", note="edited"), "b": B, "c": C})
    done = run(tmp_path, *arguments, empty_database)
    assert done.returncode == 4
    assert 'sqitch.plan:4 has "a" there with another ID' in done.stderr
    assert recorded(empty_database) == ["a", "b"]
    assert run(tmp_path, "status", "--check", empty_database).returncode == 4


def test_notices_are_shown(empty_database: str, tmp_path: Path) -> None:
    loud = Sql("do $$ begin raise notice 'look: 100%% %', 7; end $$;\nselect '%s', 5 % 2;")
    write_project(tmp_path, {"a": loud})
    done = run(tmp_path, "deploy", empty_database)
    assert "NOTICE: look: 100% 7" in done.stderr


def test_without_one_the_script_decides_how_long_it_waits(
    empty_database: str, tmp_path: Path
) -> None:
    def wants(value: str, own: str) -> Sql:
        return Sql(
            f"begin;\n{own}do $$ begin\n  if current_setting('lock_timeout') <> '{value}'\n"
            "  then raise exception '%', current_setting('lock_timeout'); end if;\n"
            "end $$;\ncommit;\n"
        )

    write_project(
        tmp_path, {"a": wants("123ms", "set local lock_timeout = '123ms';\n"), "b": wants("5s", "")}
    )
    done = run(tmp_path, "deploy", empty_database)
    assert done.returncode == 0, done.stderr


def test_read_only_server(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": A})
    target = make_conninfo(empty_database, options="-c default_transaction_read_only=on")
    done = run(tmp_path, "deploy", target)
    assert done.returncode == 1
    assert "read-only" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_role_without_privileges(
    empty_database: str, tmp_path: Path, login: Callable[[str, str], str]
) -> None:
    write_project(tmp_path, {"a": A})
    mine = login("pg_monitor", empty_database)
    done = run(tmp_path, "deploy", mine)
    assert done.returncode == 1
    assert "42501" in done.stderr
    assert "Traceback" not in done.stderr
    run_json(tmp_path, "deploy", empty_database)
    for action in ("status", "verify"):
        done = run(tmp_path, action, mine)
        assert done.returncode == 1
        assert "This role lacks a privilege" in done.stderr


@pytest.mark.parametrize("key", ["", "@", "^"])
def test_an_empty_to_is_wrong_usage(empty_database: str, tmp_path: Path, key: str) -> None:
    write_project(tmp_path, {"a": A})
    assert run(tmp_path, "deploy", "--to", key, empty_database).returncode == 2
    assert recorded(empty_database) == []
    run_json(tmp_path, "deploy", empty_database)
    assert run(tmp_path, "revert", "-y", "--to", key, empty_database).returncode == 2
    assert recorded(empty_database) == ["a"]


def test_changes_without_a_verify_script_are_not_counted_as_verified(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": A, "b": table("b", verify=None), "c": C})
    run_json(tmp_path, "deploy", "--to", "b", empty_database)
    said = run(tmp_path, "verify", empty_database).stdout
    assert "Verified 1 change; 1 change without verify script; 1 change pending.\n" in said


def test_to_an_earlier_change_is_no_revert(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": A, "b": B})
    run_json(tmp_path, "deploy", empty_database)
    done = run(tmp_path, "deploy", "--to", "a", empty_database)
    assert (done.returncode, "use revert" in done.stderr) == (1, True)
    assert "and so is one change after it" in done.stderr
    done = run(tmp_path, "revert", "-y", "--to", "nosuch", empty_database)
    assert (done.returncode, "nosuch" in done.stderr) == (1, True)
    assert recorded(empty_database) == ["a", "b"]


def test_a_failing_revert_keeps_the_change(empty_database: str, tmp_path: Path) -> None:
    write_project(
        tmp_path, {"a": A, "b": table("b", revert="begin;\ndrop table b;\nselect x;\ncommit;")}
    )
    run_json(tmp_path, "deploy", empty_database)
    done = run(tmp_path, "revert", "-y", "--all", empty_database)
    assert done.returncode == 1
    assert "revert/b.sql:4:8" in done.stderr
    assert tables(empty_database) == {"a", "b"}
    assert events(empty_database)[-1] == ("deploy", "b")


def test_reworked_changes(empty_database: str, tmp_path: Path) -> None:
    def function(body: int) -> str:
        return f"create or replace function f() returns int language sql as 'select {body}';"

    write_project(tmp_path, {"f": Sql(function(1), "drop function f();", tags=("v1",))})
    run_json(tmp_path, "deploy", empty_database)
    for kind in ("deploy", "revert", "verify"):
        (tmp_path / kind / "f.sql").rename(tmp_path / kind / "f@v1.sql")
    for kind, text in (("deploy", function(2)), ("revert", function(1)), ("verify", "select 1;")):
        (tmp_path / kind / "f.sql").write_text(text)
    with (tmp_path / "sqitch.plan").open("a") as plan:
        plan.write("\nf [f@v1] 2026-01-02T00:00:00Z Ada <ada@example.com> # Again\n")
    run_json(tmp_path, "deploy", empty_database)
    assert rows(empty_database, "select f()") == [(2,)]
    assert sqitch(tmp_path, empty_database, "verify", "{target}").returncode == 0
    run_json(tmp_path, "revert", "-y", "--to", "f@v1", empty_database)
    assert rows(empty_database, "select f()") == [(1,)]
    done = sqitch(tmp_path, empty_database, "deploy", "{target}")
    assert done.returncode == 0, done.stderr
    run_json(tmp_path, "revert", "-y", "--all", empty_database)
    assert recorded(empty_database) == []


def test_sqitch_goes_on_from_ours_and_we_from_its(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a", tags=("v1",)), "b": B, "c": C})
    run_json(tmp_path, "deploy", "--to", "@v1", empty_database)
    for arguments in (["status"], ["verify"], ["check"], ["deploy", "--to", "b", "--verify"]):
        done = sqitch(tmp_path, empty_database, *arguments, "{target}")
        assert done.returncode == 0, f"{arguments}: {done.stdout}{done.stderr}"
    assert run_json(tmp_path, "status", empty_database)["deployed"] == 2
    assert run(tmp_path, "verify", empty_database).returncode == 0
    run_json(tmp_path, "deploy", empty_database)
    done = sqitch(tmp_path, empty_database, "revert", "-y", "--to", "b", "{target}")
    assert done.returncode == 0, done.stderr
    run_json(tmp_path, "revert", "-y", "--to", "a", empty_database)
    assert (tables(empty_database), recorded(empty_database)) == ({"a"}, ["a"])
    done = sqitch(tmp_path, empty_database, "revert", "-y", "{target}")
    assert done.returncode == 0, done.stderr
    assert (tables(empty_database), recorded(empty_database)) == (set(), [])
    run_json(tmp_path, "deploy", empty_database)
    assert sqitch(tmp_path, empty_database, "check", "{target}").returncode == 0
    assert os.environ.get("SQITCH_TARGET") is None
