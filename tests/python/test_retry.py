"""Others hold what a change needs: rolled back, tried again after a while, and named in the end."""

from __future__ import annotations

import _thread
import signal
import threading
from collections.abc import Callable
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from engine import Heard, deploy, revert
from small_project import Sql, events, recorded, rows, table, tables, write_project
from test_deployer import wait_for

from integrations_db import retry
from integrations_db.errors import Failure, Locked

pytestmark = pytest.mark.database

SECRET = "hunter2"  # noqa: S105  # what no message may repeat
SLOW = Sql("begin;\ncreate table b ();\nselect pg_sleep(0.5);\ncommit;\n", "drop table b;\n")
WAITS = (
    "select 1 from pg_locks where locktype = 'advisory' and not granted"
    " and database = (select oid from pg_database where datname = current_database())"
)
ALTER = Sql("begin;\nalter table a add x int;\ncommit;\n", "alter table a drop x;\n")


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Pauses of another length; how many there are stays."""
    monkeypatch.setattr(retry, "PAUSES", tuple(0.01 for _ in retry.PAUSES))


@pytest.fixture
def with_a(empty_database: str, tmp_path: Path) -> str:
    """A database with table a deployed, and change b to come that alters it."""
    write_project(tmp_path, {"a": table("a")})
    deploy(tmp_path, empty_database)
    write_project(tmp_path, {"a": table("a"), "b": ALTER})
    return empty_database


def test_a_change_is_tried_again_and_deployed_when_the_lock_is_free(
    with_a: str, tmp_path: Path
) -> None:
    with psycopg.connect(with_a) as holder:
        holder.execute("lock table a")

        def free(text: str) -> None:
            if "trying again" in text:
                holder.rollback()

        heard = Heard(when=free)
        deploy(tmp_path, with_a, heard, lock_timeout=0.05)
    assert heard.text.count("trying again") == 1
    assert recorded(with_a) == ["a", "b"]
    assert events(with_a) == [("deploy", "a"), ("deploy", "b")]


@pytest.mark.parametrize("state", ["idle in transaction", "active"])
def test_in_the_end_it_is_told_who_was_in_the_way(with_a: str, tmp_path: Path, state: str) -> None:
    with psycopg.connect(with_a, application_name="reporting") as holder:
        holder.execute("lock table a")

        def work() -> None:
            with suppress(psycopg.errors.QueryCanceled):
                holder.execute(f"select pg_sleep(600), '{SECRET}'".encode())

        busy = threading.Thread(target=work)
        if state == "active":
            busy.start()
        heard = Heard()
        with pytest.raises(Locked) as failed:
            deploy(tmp_path, with_a, heard, lock_timeout=0.1)
        if state == "active":
            holder.cancel()
            busy.join()
        pid = holder.info.backend_pid
    said = str(failed.value)
    assert f"server process {pid} (user " in said
    assert "reporting" in said
    assert state in said
    assert f"select pg_terminate_backend({pid})" in said or "pg_terminate_backend" in said
    assert ("pg_cancel_backend" in said) == (state == "active")
    assert SECRET not in said + heard.text
    assert f"Tried {len(retry.PAUSES) + 1} times" in said
    assert heard.text.count("trying again") == len(retry.PAUSES)
    assert "b left nothing behind" in said
    assert recorded(with_a) == ["a"]
    assert events(with_a) == [("deploy", "a"), ("fail", "b")]


@pytest.mark.parametrize("action", [deploy, revert])
def test_the_registry_itself_may_be_held(
    with_a: str, tmp_path: Path, action: Callable[..., object]
) -> None:
    with psycopg.connect(with_a) as holder:
        holder.execute("lock table sqitch.changes in share mode")
        with pytest.raises(Locked) as failed:
            action(tmp_path, with_a, lock_timeout=0.1)
        assert f"server process {holder.info.backend_pid} (" in str(failed.value)
        assert "the registry (sqitch.changes)" in str(failed.value)
    assert recorded(with_a) == ["a"]


def _take_when_it_sleeps(dsn: str, holder: psycopg.Connection[Any]) -> threading.Thread:
    """Takes the registry as soon as the change is committed whose script sleeps now, or will."""

    def take() -> None:
        sleeps = (
            "select from pg_stat_activity where wait_event = 'PgSleep'"
            " and datname = current_database()"
        )
        wait_for(lambda: bool(rows(dsn, sleeps)))
        holder.execute("lock table sqitch.changes in share mode")

    rival = threading.Thread(target=take)
    rival.start()
    return rival


def test_who_takes_the_registry_between_two_changes_takes_nothing_from_the_first(
    with_a: str, tmp_path: Path
) -> None:
    """The message that commits one change also opens the next; only the latter has to wait.

    What the lost answer would have told is asked again: when the change was recorded. Else the next
    one would be recorded at the same time, by a clock that was set back.
    """
    with psycopg.connect(with_a) as conn:
        conn.execute("update sqitch.changes set committed_at = now() + interval '1 day'")
    write_project(tmp_path, {"a": table("a"), "b": SLOW, "c": table("c")})
    with psycopg.connect(with_a) as holder:

        def free(text: str) -> None:
            if "trying again" in text:
                assert recorded(with_a) == ["a", "b"]
                holder.rollback()

        rival = _take_when_it_sleeps(with_a, holder)
        heard = Heard(when=free)
        deploy(tmp_path, with_a, heard, lock_timeout=0.1)
        rival.join()
    assert heard.text.count("trying again") == 1
    assert recorded(with_a) == ["a", "b", "c"]
    assert events(with_a) == [("deploy", name) for name in ("a", "b", "c")]
    later = "select committed_at > lag(committed_at) over (order by change) from sqitch.changes"
    assert rows(with_a, later) == [(None,), (True,), (True,)]


@pytest.mark.parametrize("end", ["interrupt", "terminate"])
def test_a_change_did_not_fail_because_the_next_one_waited_in_vain(
    with_a: str, tmp_path: Path, end: str
) -> None:
    write_project(tmp_path, {"a": table("a"), "b": SLOW, "c": table("c")})
    # Ctrl-C is heard here also where the tests run in the background, with it ignored.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with ExitStack() as stack:
        stack.callback(signal.signal, signal.SIGINT, before)
        holder = stack.enter_context(psycopg.connect(with_a))
        rival = _take_when_it_sleeps(with_a, holder)

        def finish() -> None:
            waits = f"from pg_locks where not granted and {holder.info.backend_pid} = any"
            waits += " (pg_blocking_pids(pid))"
            wait_for(lambda: bool(rows(with_a, f"select {waits}")))
            if end == "terminate":
                rows(with_a, f"select pg_terminate_backend(pid) {waits}")
            else:
                _thread.interrupt_main()

        ending = threading.Thread(target=finish)
        ending.start()
        heard = Heard()
        with pytest.raises((Failure, KeyboardInterrupt)) as ended:
            deploy(tmp_path, with_a, heard, lock_timeout=30)
        ending.join()
        rival.join()
    said = "\n".join([str(ended.value), *getattr(ended.value, "__notes__", ())])
    assert "b is deployed and recorded" in said or "b was deployed and recorded" in said
    assert heard.steps == [("b", "ok")]
    assert recorded(with_a) == ["a", "b"]


def test_a_unit_of_several_changes_is_tried_again_as_a_whole(with_a: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a"), "c": table("c"), "b": ALTER, "d": table("d")})
    with psycopg.connect(with_a) as holder:
        holder.execute("lock table a")

        def free(text: str) -> None:
            if "trying again" in text:
                assert tables(with_a) == {"a"}
                holder.rollback()

        deploy(tmp_path, with_a, Heard(when=free), lock_timeout=0.05, mode="all")
    assert recorded(with_a) == ["a", "c", "b", "d"]


def test_a_deadlock_is_tried_again(with_a: str, tmp_path: Path) -> None:
    """The change holds a and wants t; the other holds t and wants a."""
    with psycopg.connect(with_a, autocommit=True) as conn:
        conn.execute("create table t (id int)")
    both = Sql(
        "begin;\nset local lock_timeout = 0;\nset local deadlock_timeout = '1ms';\n"
        "lock table a;\ndo $$ begin for i in 1..200 loop\n"
        " exit when exists (select from pg_locks where relation = 'a'::regclass and not granted);\n"
        "  perform pg_sleep(0.01);\nend loop; end $$;\nlock table t;\ncommit;\n"
    )
    write_project(tmp_path, {"a": table("a"), "b": both})
    heard = Heard()
    with psycopg.connect(with_a) as other:
        other.execute("set deadlock_timeout = '30s'")
        other.execute("lock table t")
        running = threading.Thread(target=lambda: deploy(tmp_path, with_a, heard))
        running.start()
        held = (
            "select 1 from pg_locks where relation = 'a'::regclass and granted"
            " and mode = 'AccessExclusiveLock'"
        )
        wait_for(lambda: bool(rows(with_a, held)))
        other.execute("lock table a")
        other.rollback()
        running.join(timeout=60)
    assert "deadlock detected" in heard.text
    assert recorded(with_a) == ["a", "b"]


def test_a_serialization_failure_is_tried_again(with_a: str, tmp_path: Path) -> None:
    """Between the snapshot of the change and its UPDATE another session changes the row."""
    rows(with_a, "insert into a values (1) returning id")
    update = Sql(
        "begin isolation level repeatable read;\ntable a;\nselect pg_advisory_xact_lock(1);\n"
        "update a set id = id + 10;\ncommit;\n"
    )
    write_project(tmp_path, {"a": table("a"), "b": update})
    heard = Heard()
    with psycopg.connect(with_a) as other:
        other.execute("select pg_advisory_lock(1)")
        running = threading.Thread(target=lambda: deploy(tmp_path, with_a, heard, lock_timeout=20))
        running.start()
        wait_for(lambda: bool(rows(with_a, WAITS)))
        other.execute("update a set id = 2")
        other.commit()
        other.execute("select pg_advisory_unlock(1)")
        running.join(timeout=30)
    assert "could not serialize access" in heard.text
    assert recorded(with_a) == ["a", "b"]
    assert rows(with_a, "table a") == [(12,)]


def test_other_errors_are_not_tried_again(with_a: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a"), "b": Sql("select nosuch;\n")})
    heard = Heard()
    with pytest.raises(Failure):
        deploy(tmp_path, with_a, heard)
    assert "trying again" not in heard.text


def test_a_script_that_runs_apart_is_not_tried_again(with_a: str, tmp_path: Path) -> None:
    write_project(
        tmp_path, {"a": table("a"), "b": Sql("vacuum pg_am;\nalter table a add x int;\n")}
    )
    heard = Heard()
    with psycopg.connect(with_a) as holder:
        holder.execute("lock table a")
        with pytest.raises(Failure, match="took effect and stays"):
            deploy(tmp_path, with_a, heard, lock_timeout=0.05)
    assert "trying again" not in heard.text
    assert recorded(with_a) == ["a"]


@pytest.mark.parametrize("own", ["set local lock_timeout = '30s'", "SET lock_timeout TO '30s'"])
def test_a_given_lock_timeout_is_stronger_than_the_script(
    empty_database: str, tmp_path: Path, own: str
) -> None:
    blocked = f"begin;\n{own};\nalter table a add x int;\ncommit;\n"
    b = table("b", revert=blocked, verify=blocked)
    write_project(tmp_path, {"a": table("a"), "b": b})
    deploy(tmp_path, empty_database, verify=False)
    write_project(tmp_path, {"a": table("a"), "b": b, "c": Sql(blocked)})
    with psycopg.connect(empty_database) as holder:
        holder.execute("lock table a")
        for action in (deploy, revert):
            with pytest.raises(Locked, match="55P03"):
                action(tmp_path, empty_database, lock_timeout=0.05)
    assert recorded(empty_database) == ["a", "b"]
