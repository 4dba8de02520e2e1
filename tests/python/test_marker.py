"""Scripts that no transaction can hold: run apart, marked before, never forgotten."""

from __future__ import annotations

import signal
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from engine import Heard, deploy, revert
from small_project import (
    Sql,
    begin,
    events,
    recorded,
    rows,
    run,
    sqitch,
    table,
    tables,
    write_project,
)
from test_deployer import sleeping, wait_for

from integrations_db.errors import Failure

pytestmark = pytest.mark.database

DOUBLES = Sql("create table d (id int);\ninsert into d values (1), (1);\n", "drop table d;\n")
INDEX = Sql(
    "create unique index concurrently i on d (id);\n",
    "drop index concurrently i;\n",
    "select 1 / count(*) from pg_class where relname = 'i';\n",
)
HALF = Sql(
    "create table h1 (id int);\nvacuum h1;\n\ncreate table h2 (\n  id int);\nselect nosuch;\n",
    "drop table if exists h2;\nvacuum h1;\ndrop table h1;\n",
)
SLOW = Sql("create table h1 (id int);\nvacuum h1;\nselect pg_sleep(600);\n", "drop table h1;\n")


def marked(dsn: str) -> list[str]:
    """The changes that are marked; none when nothing of the marks is left in the database."""
    if rows(dsn, "select to_regnamespace('integrations_db')")[0][0] is None:
        return []
    return [row[0] for row in rows(dsn, "select change from integrations_db.unfinished_scripts")]


def nothing_made_for_marks(dsn: str) -> bool:
    """Tells whether neither the table nor the schema of the marks is there."""
    return rows(dsn, "select to_regnamespace('integrations_db')") == [(None,)]


def test_a_script_that_no_transaction_can_hold_is_deployed_verified_and_reverted(
    empty_database: str, tmp_path: Path
) -> None:
    unique = Sql("create table d (id int);\n", "drop table d;\n")
    write_project(tmp_path, {"d": unique, "i": INDEX, "z": table("z")})
    heard = Heard()
    done = deploy(tmp_path, empty_database, heard)
    assert [done.executions[change.id] for change in done.changes] == [
        "atomic",
        "not atomic",
        "atomic",
    ]
    assert heard.steps == [("d", "ok"), ("i", "ok (not atomic)"), ("z", "ok")]
    assert "deploy/i.sql:2" in heard.text
    assert "CREATE INDEX CONCURRENTLY" in heard.text
    assert recorded(empty_database) == ["d", "i", "z"]
    assert nothing_made_for_marks(empty_database)
    revert(tmp_path, empty_database)
    assert (tables(empty_database), recorded(empty_database)) == (set(), [])
    assert nothing_made_for_marks(empty_database)


def test_a_failed_concurrent_index_is_named_and_the_next_run_asks(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"d": DOUBLES, "i": INDEX, "z": table("z")})
    with pytest.raises(Failure) as failed:
        deploy(tmp_path, empty_database)
    said = str(failed.value)
    assert "deploy/i.sql:2" in said
    assert "23505" in said
    assert "public.i is invalid" in said
    assert "DROP INDEX CONCURRENTLY public.i" in said
    assert marked(empty_database) == ["i"]
    assert recorded(empty_database) == ["d"]
    assert events(empty_database) == [("deploy", "d"), ("fail", "i")]

    for action in (deploy, revert):
        with pytest.raises(Failure) as failed:
            action(tmp_path, empty_database)
        said = str(failed.value)
        assert "deploy/i.sql (deploy of i) was begun at " in said
        assert "by Ada Lovelace <ada@example.com>" in said
        assert "deploy --resume" in said
        assert "deploy --log-only --to i" in said
        assert "DROP INDEX CONCURRENTLY public.i" in said
    assert recorded(empty_database) == ["d"]

    # Before what is in the way is gone, a second attempt fails, and the mark stays.
    with pytest.raises(Failure, match=r"relation .i. already exists"):
        deploy(tmp_path, empty_database, resume=True)
    assert marked(empty_database) == ["i"]
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("drop index i; delete from d")
    deploy(tmp_path, empty_database, resume=True)
    assert recorded(empty_database) == ["d", "i", "z"]
    assert nothing_made_for_marks(empty_database)


def test_what_took_effect_is_told_and_the_change_can_be_recorded(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": table("a"), "h": HALF, "z": table("z")})
    with pytest.raises(Failure, match=r"up to line 6 took effect and stays") as failed:
        deploy(tmp_path, empty_database)
    assert "deploy/h.sql:7:8" in str(failed.value)
    assert tables(empty_database) == {"a", "h1", "h2"}
    with pytest.raises(Failure, match=r"up to line 6 took effect and stays"):
        deploy(tmp_path, empty_database)
    deploy(tmp_path, empty_database, log_only=True, to="h")
    assert recorded(empty_database) == ["a", "h"]
    assert nothing_made_for_marks(empty_database)
    deploy(tmp_path, empty_database)
    revert(tmp_path, empty_database, to="a")
    assert tables(empty_database) == {"a"}


@pytest.mark.parametrize(
    "script",
    [
        "select nosuch;\nvacuum;\n",
        "set lock_timeout = '1s';\ncreate index concurrently i on nosuch (id);\n",
        "begin;\ncreate table x (id int);\nselect nosuch;\ncommit;\nvacuum;\n",
        "begin;\ncreate table x (id int);\nrollback;\nselect nosuch;\nvacuum;\n",
        "vacuum nosuch;\n",
    ],
)
def test_where_nothing_took_effect_nothing_is_marked(
    empty_database: str, tmp_path: Path, script: str
) -> None:
    write_project(tmp_path, {"x": Sql(script)})
    with pytest.raises(Failure, match="nothing of it took effect; x is not deployed"):
        deploy(tmp_path, empty_database)
    assert tables(empty_database) == set()
    assert nothing_made_for_marks(empty_database)
    write_project(tmp_path, {"x": table("x")})
    deploy(tmp_path, empty_database)
    assert recorded(empty_database) == ["x"]


def test_a_procedure_that_commits_and_fails_leaves_a_mark(
    empty_database: str, tmp_path: Path
) -> None:
    script = "do $$ begin create table x (id int); commit; perform 1 / 0; end $$;\n"
    write_project(tmp_path, {"x": Sql(script)})
    with pytest.raises(Failure, match="the statement in line 2 may have taken effect"):
        deploy(tmp_path, empty_database)
    assert tables(empty_database) == {"x"}
    assert marked(empty_database) == ["x"]


@pytest.mark.parametrize(
    ("scripts", "code"),
    [
        (
            Sql(
                "create procedure p() language plpgsql as\n"
                "$$ begin create table x (id int); commit; end $$;\ncall p();\n",
                "drop table x; drop procedure p();\n",
            ),
            "2D000",
        ),
        (
            Sql(
                "begin;\nalter type old add value 'b';\ncreate table x (id int);\ncommit;\n",
                "drop table x;\n",
                "begin;\nselect 'b'::old;\nrollback;\n",
            ),
            "55P04",
        ),
    ],
)
def test_what_only_the_server_knows_makes_a_script_run_again_apart(
    empty_database: str, tmp_path: Path, scripts: Sql, code: str
) -> None:
    old = Sql("create type old as enum ('a');\n", "drop type old;\n")
    write_project(tmp_path, {"old": old, "x": scripts})
    heard = Heard()
    done = deploy(tmp_path, empty_database, heard)
    assert recorded(empty_database) == ["old", "x"]
    assert done.executions[done.changes[1].id] == "not atomic"
    assert code in heard.text
    assert "statement by statement" in heard.text
    assert tables(empty_database) == {"x"}
    revert(tmp_path, empty_database)
    assert tables(empty_database) == set()
    assert nothing_made_for_marks(empty_database)


def test_a_killed_run_is_known_to_the_next_and_not_resumed_while_it_lives(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": table("a"), "h": SLOW})
    process = begin(tmp_path, "deploy", empty_database)
    wait_for(lambda: sleeping(empty_database))
    # The session that runs the script lives on for a while; it must not be run a second time.
    assert marked(empty_database) == ["h"]
    process.kill()
    process.communicate()
    with pytest.raises(Failure, match="its session is still at work"):
        deploy(tmp_path, empty_database, resume=True, wait=5)
    rows(
        empty_database,
        "select pg_terminate_backend(pid) from pg_stat_activity"
        " where datname = current_database() and query like 'select pg_sleep(%'",
    )
    wait_for(lambda: not sleeping(empty_database))
    with pytest.raises(Failure, match="how far it came is not known"):
        deploy(tmp_path, empty_database)
    assert recorded(empty_database) == ["a"]
    deploy(tmp_path, empty_database, log_only=True)
    assert recorded(empty_database) == ["a", "h"]
    assert nothing_made_for_marks(empty_database)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupt_tells_what_is_left(
    empty_database: str, tmp_path: Path, number: signal.Signals
) -> None:
    write_project(tmp_path, {"h": SLOW})
    process = begin(tmp_path, "deploy", empty_database)
    wait_for(lambda: sleeping(empty_database))
    process.send_signal(number)
    _, said = process.communicate(timeout=60)
    assert "what stands in deploy/h.sql up to line 3 took effect and stays" in said
    assert "deploy --resume" in said
    assert "was rolled back" not in said
    assert "Traceback" not in said
    assert not sleeping(empty_database)
    assert marked(empty_database) == ["h"]


def test_without_the_privilege_to_mark_nothing_is_begun(
    empty_database: str, tmp_path: Path, login: Callable[[str, str], str]
) -> None:
    mine = login("pg_monitor", empty_database)
    user = rows(mine, "select current_user")[0][0]
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(f"create schema sqitch authorization {user}".encode())
        conn.execute(f"grant create on schema public to {user}".encode())
    unique = Sql("create table d (id int);\n", "drop table d;\n")
    write_project(tmp_path, {"d": unique, "i": INDEX})
    with pytest.raises(Failure) as failed:
        deploy(tmp_path, mine)
    assert "GRANT CREATE ON DATABASE" in str(failed.value)
    assert "i was not begun" in str(failed.value)
    assert recorded(empty_database) == ["d"]
    assert rows(empty_database, "select 1 from pg_class where relname = 'i'") == []
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(
            f"do $$ begin execute format('grant create on database %I to {user}',"
            " current_database()); end $$".encode()
        )
    deploy(tmp_path, mine)
    assert recorded(empty_database) == ["d", "i"]
    assert nothing_made_for_marks(empty_database)


def test_a_schema_of_that_name_that_is_not_ours_stays(empty_database: str, tmp_path: Path) -> None:
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("create schema integrations_db")
    write_project(tmp_path, {"d": Sql("create table d (id int);\n"), "i": INDEX})
    deploy(tmp_path, empty_database)
    assert rows(empty_database, "select to_regclass('integrations_db.unfinished_scripts')") == [
        (None,)
    ]
    assert not nothing_made_for_marks(empty_database)


def test_a_change_that_fails_its_verify_script_is_taken_back_by_its_revert_script(
    empty_database: str, tmp_path: Path
) -> None:
    bad = Sql("create table h (id int);\nvacuum h;\n", "drop table h;\n", "select 1 / 0;\n")
    write_project(tmp_path, {"a": table("a"), "h": bad})
    with pytest.raises(Failure, match="its revert script has taken it back") as failed:
        deploy(tmp_path, empty_database)
    assert "verify/h.sql:2" in str(failed.value)
    assert tables(empty_database) == {"a"}
    assert events(empty_database) == [("deploy", "a"), ("fail", "h")]
    assert nothing_made_for_marks(empty_database)

    worse = Sql("create table h (id int);\nvacuum h;\n", "drop table g;\n", "select 1 / 0;\n")
    write_project(tmp_path, {"a": table("a"), "h": worse})
    with pytest.raises(Failure, match="its revert script failed to take it back") as failed:
        deploy(tmp_path, empty_database)
    assert "revert/h.sql:2" in str(failed.value)
    assert "deploy --resume" in str(failed.value)
    assert tables(empty_database) == {"a", "h"}
    assert recorded(empty_database) == ["a"]
    assert marked(empty_database) == ["h"]


def test_a_revert_that_failed_half_way_is_known_to_the_next_run(
    empty_database: str, tmp_path: Path
) -> None:
    revert_script = "drop table h;\nvacuum;\nselect nosuch;\n"
    write_project(tmp_path, {"a": table("a"), "h": table("h", revert=revert_script)})
    deploy(tmp_path, empty_database)
    with pytest.raises(Failure, match="up to line 3 took effect") as failed:
        revert(tmp_path, empty_database)
    assert "revert --resume --to a" in str(failed.value)
    assert recorded(empty_database) == ["a", "h"]
    for attempt in (deploy, revert):
        with pytest.raises(Failure, match=r"revert/h.sql \(revert of h\) was begun"):
            attempt(tmp_path, empty_database)
    with pytest.raises(Failure, match=r"revert of h"):
        deploy(tmp_path, empty_database, resume=True)
    (tmp_path / "revert" / "h.sql").write_text("vacuum;\n")
    revert(tmp_path, empty_database, to="a", resume=True)
    assert recorded(empty_database) == ["a"]
    assert nothing_made_for_marks(empty_database)


def test_a_mark_that_another_tool_has_settled_goes(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"h": HALF, "z": table("z")})
    with pytest.raises(Failure):
        deploy(tmp_path, empty_database)
    done = sqitch(tmp_path, empty_database, "deploy", "--log-only", "--to", "h", "{target}")
    assert done.returncode == 0, done.stderr
    assert marked(empty_database) == ["h"]
    deploy(tmp_path, empty_database)
    assert recorded(empty_database) == ["h", "z"]
    assert nothing_made_for_marks(empty_database)


def test_scripts_for_psql(empty_database: str, tmp_path: Path) -> None:
    meta = Sql(
        "\\set name m\nbegin;\ncreate table :name (id int);\ncopy m from stdin;\n1\n2\n\\.\n"
        "commit;\n",
        "\\set name m\ndrop table :name;\n",
        "\\if true\nselect 1 / count(*) from m;\n\\endif\n",
    )
    write_project(tmp_path, {"m": meta, "z": table("z")})
    heard = Heard()
    deploy(tmp_path, empty_database, heard)
    assert heard.steps[0] == ("m", "ok (by psql)")
    assert rows(empty_database, "select count(*) from m") == [(2,)]
    assert nothing_made_for_marks(empty_database)
    revert(tmp_path, empty_database)
    assert tables(empty_database) == set()

    write_project(tmp_path, {"m": Sql("\\set x 1\ncreate table m (id int);\nselect nosuch;\n")})
    with pytest.raises(Failure) as failed:
        deploy(tmp_path, empty_database)
    assert "deploy/m.sql:4" in str(failed.value)
    assert "deploy --resume" in str(failed.value)
    assert marked(empty_database) == ["m"]


def test_variables_reach_every_kind_of_script(empty_database: str, tmp_path: Path) -> None:
    both = Sql(
        'create table :"name" (id int);\nvacuum :"name";\n',
        'drop table :"name";\nvacuum;\n',
        "select 1 / count(*) from pg_class where relname = :'name';\n",
    )
    write_project(tmp_path, {"a": both})
    deploy(tmp_path, empty_database, variables={"name": "It's"})
    assert tables(empty_database) == {"It's"}
    revert(tmp_path, empty_database, variables={"name": "It's"})
    assert tables(empty_database) == set()


def test_a_concurrent_index_does_not_wait_for_a_deployer_that_waits(
    empty_database: str, tmp_path: Path
) -> None:
    slow_index = Sql("select pg_sleep(1.5);\ncreate index concurrently i on d (id);\n")
    write_project(tmp_path, {"d": Sql("create table d (id int);\n"), "i": slow_index})
    first = begin(tmp_path, "deploy", empty_database)
    wait_for(lambda: sleeping(empty_database))
    second = run(tmp_path, "deploy", empty_database)
    _, said = first.communicate(timeout=60)
    assert first.returncode == 0, said
    assert (second.returncode, "Nothing to deploy" in second.stdout) == (0, True), second.stderr
    assert recorded(empty_database) == ["d", "i"]


def test_an_idle_timeout_does_not_take_the_lock_away(empty_database: str, tmp_path: Path) -> None:
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(
            "do $$ begin execute format('alter database %I set idle_session_timeout = ''300ms''',"
            " current_database()); execute format('alter database %I set"
            " idle_in_transaction_session_timeout = ''300ms''', current_database()); end $$"
        )
    slow = Sql("select pg_sleep(1);\nvacuum;\n")
    write_project(tmp_path, {"a": slow, "b": table("b")})
    deploy(tmp_path, empty_database)
    assert recorded(empty_database) == ["a", "b"]


def test_a_script_that_was_made_atomic_since_takes_its_mark_away(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"h": HALF})
    assert run(tmp_path, "deploy", empty_database).returncode == 1
    assert marked(empty_database) == ["h"]
    write_project(tmp_path, {"h": table("h3")})
    done = run(tmp_path, "deploy", "--resume", empty_database)
    assert done.returncode == 0, done.stderr
    assert tables(empty_database) == {"h1", "h2", "h3"}
    assert run(tmp_path, "status", "--check", empty_database).returncode == 0
    assert nothing_made_for_marks(empty_database)


def test_who_forbids_that_a_script_is_marked_is_named(empty_database: str, tmp_path: Path) -> None:
    """A rule against DDL that only changes of the plan may break: those are not refused."""
    forbids = (
        "create function forbid() returns event_trigger language plpgsql as $$ begin"
        " if tg_tag = 'CREATE SCHEMA' then raise 'no schemas here'; end if; end $$;\n"
        "create event trigger guard on ddl_command_start execute function forbid();\n"
    )
    write_project(tmp_path, {"a": Sql(forbids), "d": DOUBLES, "v": Sql("vacuum d;\n")})
    with pytest.raises(Failure) as failed:
        deploy(tmp_path, empty_database)
    said = str(failed.value)
    assert "marked as begun in integrations_db.unfinished_scripts first" in said
    assert "no schemas here" in said
    assert "v was not begun." in said
    assert "this event trigger: guard?" in said
    assert recorded(empty_database) == ["a", "d"]
    assert nothing_made_for_marks(empty_database)
