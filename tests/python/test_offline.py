"""`sql`: what psql makes of its script is what the deployer would have made, and either goes on."""

from __future__ import annotations

import random
import secrets
import subprocess
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

import psycopg
import pytest
from faults.dumps import dump
from offline_runs import psql, psql_command, written
from small_project import (
    Sql,
    environment,
    recorded,
    require,
    rows,
    run,
    run_json,
    sqitch,
    table,
    tables,
    write_project,
)
from test_deployer import sleeping, wait_for
from test_registry import another_database, content

pytestmark = pytest.mark.database

URI = "https://example.com/odd"
BY = "2026-01-02T00:00:00Z Ada <ada@example.com>"
LEAKS = (
    "set search_path = pg_temp;\nbegin;\nset role pg_read_all_data;\nset datestyle = 'German';\n"
    "reset role;\ncreate temp table gone (id int);\ncreate table public.leaks (id int);\n"
    "set role pg_read_all_data;\ncommit;\n"
)
# Each in a way of its own, with psql in the end.
KINDS = {
    "a": table("a", note="first\nof \\all, it's 100 % :'a' $a$ \"q\"", tags=("v1", "v1.1")),
    "b": table("b", requires=("a", "@v1", "a@v1.1")),
    "leaks": Sql(LEAKS, "drop table leaks;\n", "select id from leaks where false;\n"),
    "bare": Sql(
        "create table bare (id int)", "drop table bare -- no semicolon", "select 1 from bare"
    ),
    "waits": Sql(
        "begin isolation level serializable;\ncreate table waits (id int primary key,\n"
        "  other int references waits deferrable initially deferred);\n"
        "insert into waits values (1, 2), (2, 1);\nend;\n",
        "begin;\ndrop table waits;\ncommit;\n",
        "begin;\ninsert into waits values (3, 4);\nupdate waits set other = 1 where id = 3;\n"
        "rollback;\nbegin;\ninsert into waits values (3, 4);\n"
        "update waits set other = 1 where id = 3;\nselect 1 / count(*) from waits;\nrollback;\n",
    ),
    "quoted": Sql(
        "begin;\ncreate function public.quoted() returns text language sql as\n"
        "$integrations_db$ select E'\\\\' || '\\! \\q :x $1 ü' $integrations_db$;\n"
        "comment on function public.quoted() is 'two\n\\echo lines';\ncommit;\n",
        "begin;\ndrop function public.quoted();\ncommit;\n",
    ),
    "settings": Sql(
        "begin;\ndo $$ begin execute format('alter database %I set search_path = stored, public',"
        " current_database()); end $$;\ncreate schema stored;\ncommit;\n",
        "begin;\ndrop schema stored;\ndo $$ begin execute format("
        "'alter database %I reset search_path', current_database()); end $$;\ncommit;\n",
    ),
    "there": Sql("create table there (id int);\n", "drop table stored.there;\n"),
    "built": Sql(
        "create index concurrently built on a (id);\n",
        "drop index concurrently built;\n",
        "select 1 / count(*) from pg_indexes where indexname = 'built';\n",
        tags=("v2",),
    ),
    "twice": Sql(
        "begin;\ncreate table twice (id int);\ncommit;\nbegin;\ninsert into twice values (1);\n"
        "commit;\n",
        "drop table twice;\n",
    ),
    "named": Sql(
        "begin;\ncreate table :\"table\" (id int default :number, words text default :'words');\n"
        "insert into :table values (default);\ncommit;\n",
        "drop table :table;\n",
        "select (array[1, 2, 3])[1:number] from (values (1)) as v(number);\n",
    ),
    "asks": Sql(
        "\\if :{?words}\n\\ir more/rows.sql\n\\else\nselect nosuch;\n\\endif\n"
        "\\set ON_ERROR_STOP off\n\\set words changed\n\\pset format html\n",
        "\\i deploy/more/drop.sql\n",
    ),
    "rows": Sql(
        "create table rows (id int, word text);\ncopy rows from stdin;\n"
        "1\tit's $$\n2\t\\\\if /*\n\\.\nselect count(*) from rows;\n",
        "drop table rows;\n",
        "select 1 / (count(*) = 2)::int from rows;\n",
    ),
    "copied": Sql(
        "create table copied (words text);\n\\copy copied from stdin\nit's (\n\\.\n"
        "\\copy copied from stdin\n/* \\if\n\\.\n\\ir more/x.sql\n"
        "insert into copied values ('x')\n",
        "drop table copied;\n",
        "select 1 / (count(*) = 3)::int from copied;\n",
    ),
    "after": table("after", requires=("rows",)),
}
SET = ("--set", "table=named", "--set", "number=7", "--set", "words=it's \\a:b\nc")


def project(folder: Path) -> Path:
    write_project(folder, KINDS, project="odd", uri=URI)
    with (folder / "sqitch.plan").open("a") as plan:  # one that is reworked
        plan.write(f"quoted [quoted@v2 a] {BY} # Again\n@v3 {BY}\n")
    for kind in ("deploy", "revert", "verify"):
        (folder / kind / "quoted.sql").rename(folder / kind / "quoted@v2.sql")
    old = (
        (folder / "deploy" / "quoted@v2.sql").read_text().replace("create f", "create or replace f")
    )
    (folder / "deploy" / "quoted.sql").write_text(old.replace("ü", "é"))
    (folder / "revert" / "quoted.sql").write_text(old)
    (folder / "deploy" / "more").mkdir()
    (folder / "deploy" / "more" / "rows.sql").write_text("create table asks (id int)")
    (folder / "deploy" / "more" / "x.sql").write_text("delete from copied where words = 'x';")
    (folder / "deploy" / "more" / "drop.sql").write_text("drop table asks;\n-- done")
    return folder


@pytest.fixture
def other(empty_database: str) -> Iterator[str]:
    with another_database(empty_database, f"offline_{secrets.token_hex(4)}") as dsn:
        yield dsn


def same(one: str, two: str) -> None:
    """Sees that the two hold the same, data and registry, but for times and committers."""
    assert content(one) == content(two)
    whole = ["--no-sync", "--exclude-schema=sqitch"]
    names = [psycopg.conninfo.conninfo_to_dict(dsn)["dbname"] for dsn in (one, two)]
    dumps = [
        dump(dsn, *whole).replace(str(name), "it")
        for dsn, name in zip((one, two), names, strict=True)
    ]
    assert dumps[0] == dumps[1]
    assert dump(one) != ""
    registry = ["--schema-only", "--schema=sqitch"]
    assert dump(one, *registry) == dump(two, *registry)


@pytest.mark.long
def test_equal_to_the_deployer(empty_database: str, other: str, tmp_path: Path) -> None:
    folder = project(tmp_path)
    assert run(folder, "deploy", *SET, "--to", "waits", other).returncode == 0
    first = psql(empty_database, written(folder, *SET, "--to", "waits"), folder)
    assert first.returncode == 0, first.stderr
    same(empty_database, other)

    done = run(folder, "deploy", *SET, other)
    assert done.returncode == 0, done.stderr
    rest = psql(empty_database, written(folder, *SET, "--from", "waits"), folder)
    assert rest.returncode == 0, rest.stderr
    assert "[1/11] + quoted\n" in rest.stdout
    assert "[4/11] + built @v2 (not atomic)\n" in rest.stdout
    same(empty_database, other)
    assert rows(empty_database, "select words from named") == [("it's \\a:b\nc",)]

    # Both tools take it as their own.
    assert run(folder, "status", "--check", empty_database).returncode == 0
    assert "up-to-date" in sqitch(folder, empty_database, "status", "{target}").stdout
    assert run(folder, "verify", *SET, empty_database).returncode == 0

    # Back with our script, and the rest with Sqitch.
    assert run(folder, "revert", "-y", "--to", "leaks", *SET, other).returncode == 0
    back = psql(empty_database, written(folder, *SET, "--revert", "--to", "leaks"), folder)
    assert back.returncode == 0, back.stderr
    same(empty_database, other)
    done = sqitch(folder, empty_database, "deploy", *SET[:6], "--to", "bare", "{target}")
    assert done.returncode == 0, done.stdout + done.stderr
    done = sqitch(folder, empty_database, "revert", "-y", "{target}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert recorded(empty_database) == []


def test_our_deployer_goes_on(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a", tags=("v1",)), "b": table("b"), "c": table("c")})
    assert psql(empty_database, written(tmp_path, "--to", "b"), tmp_path).returncode == 0
    assert [c["change"] for c in run_json(tmp_path, "deploy", empty_database)["deployed"]] == ["c"]
    assert run(tmp_path, "revert", "-y", "--all", empty_database).returncode == 0
    assert tables(empty_database) == set()


def test_two_projects_and_what_they_need_of_each_other(
    empty_database: str, other: str, tmp_path: Path
) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    for folder in (one, two):
        folder.mkdir()
    write_project(one, {"a": table("a", tags=("v1",)), "x": table("x")}, project="one")
    write_project(two, {"b": table("b"), "c": table("c")}, project="two")
    plan = two / "sqitch.plan"
    needs = plan.read_text().replace("b 2026", "b [one:a one:@v1 one:a@v1 !one:never] 2026")
    plan.write_text(needs.replace("c 2026", "c [!one:x] 2026"))
    refused = psql(empty_database, written(two), tmp_path)
    assert refused.returncode == 3
    assert "b requires one:a, which is not deployed" in refused.stderr
    assert rows(empty_database, "select to_regnamespace('sqitch')") == [(None,)]
    for folder, to in ((one, "a"), (two, "b"), (one, "x")):
        done = psql(empty_database, written(folder, "--to", to), tmp_path)
        assert done.returncode == 0, done.stderr
        assert run(folder, "deploy", "--to", to, other).returncode == 0
    same(empty_database, other)
    refused = psql(empty_database, written(two), tmp_path)
    assert "c conflicts with one:x, which is deployed" in refused.stderr
    refused = psql(empty_database, written(one, "--revert", "--all"), tmp_path)
    assert "is required by two:b" in refused.stderr
    assert tables(empty_database) == {"a", "b", "x"}


def test_a_tag_that_was_added_since(empty_database: str, other: str, tmp_path: Path) -> None:
    changes = {"a": table("a"), "b": table("b")}
    write_project(tmp_path, changes)
    for dsn in (empty_database, other):
        run_json(tmp_path, "deploy", "--to", "a", dsn)
    write_project(tmp_path, {**changes, "a": table("a", tags=("late",))})
    run_json(tmp_path, "deploy", other)
    assert psql(empty_database, written(tmp_path, "--from", "a"), tmp_path).returncode == 0
    same(empty_database, other)


def test_a_registry_with_an_odd_name(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a", tags=("t",)), "b": table("b", requires=("a",))})
    with (tmp_path / "sqitch.conf").open("a") as conf:
        conf.write("\tregistry = \"it's\u00a0100%% %s {r} $x :'a'\"\n")
    for options in (("--to", "a"), ("--from", "a")):
        done = psql(empty_database, written(tmp_path, *options), tmp_path)
        assert done.returncode == 0, done.stderr
    assert "Deployed: 2 of 2" in run(tmp_path, "status", "--check", empty_database).stdout
    back = psql(empty_database, written(tmp_path, "--revert", "--all"), tmp_path)
    assert back.returncode == 0, back.stderr
    assert run_json(tmp_path, "status", empty_database)["deployed"] == 0


ABC = {"a": table("a", tags=("v1",)), "b": table("b", requires=("a",)), "c": table("c")}


def refused(dsn: str, text: str, folder: Path, *options: str) -> str:
    """Sees that a script stops and changes nothing at all; returns what it says."""
    before = (dump(dsn, "--no-sync"), recorded(dsn))
    done = psql(dsn, text, folder, *options)
    assert done.returncode == 3, done.stdout + done.stderr
    assert (dump(dsn, "--no-sync"), recorded(dsn)) == before
    assert "Nothing was touched" in done.stderr
    return done.stderr


def test_a_database_in_another_state_is_refused(
    empty_database: str, other: str, tmp_path: Path
) -> None:
    write_project(tmp_path, ABC)
    later = written(tmp_path, "--from", "b")
    assert "Expected: 2 changes, the last of them b (ID" in refused(empty_database, later, tmp_path)
    assert "Found: no registry, so none." in refused(empty_database, later, tmp_path)
    back = written(tmp_path, "--revert", "--from", "c", "--to", "b")
    assert "Expected: 2 changes" in refused(empty_database, back, tmp_path)

    whole = written(tmp_path, "--to", "b")
    assert psql(empty_database, whole, tmp_path).returncode == 0
    again = refused(empty_database, whole, tmp_path)
    assert "this database has all changes of this script already" in again
    assert "It has 2 changes of project small, the last of them b (ID " in again
    assert "nothing is left to revert" in refused(empty_database, back, tmp_path)

    assert psql(empty_database, later, tmp_path).returncode == 0
    more = refused(empty_database, whole, tmp_path)
    assert "Expected as change 3: none, because this script ends before it. Found: c (ID" in more
    more = refused(empty_database, written(tmp_path, "--revert", "--from", "b", "--all"), tmp_path)
    assert "Found: c (ID" in more

    # Another plan, another project with its URI, and one of its name.
    write_project(tmp_path, {"z": table("z"), "b": table("b")})
    strange = refused(empty_database, written(tmp_path), tmp_path)
    assert "Expected as change 1: z (ID" in strange and "Found: a (ID" in strange
    write_project(tmp_path, ABC, uri="https://example.com/")
    strange = refused(empty_database, written(tmp_path), tmp_path)
    assert "Found: project small with the URI (none)." in strange

    # Nothing of another project is in the way.
    with psycopg.connect(empty_database) as conn:
        conn.execute("update sqitch.projects set uri = 'https://example.com/'")
    write_project(tmp_path, ABC, project="large", uri="https://example.com/")
    assert "Found: project small" in refused(empty_database, written(tmp_path), tmp_path)

    # Registries that are none, or of another time.
    with psycopg.connect(empty_database) as conn:
        conn.execute("update sqitch.releases set version = 1.2")
    assert "Expected: 1.1. Found: 1.2." in refused(empty_database, written(tmp_path), tmp_path)
    with psycopg.connect(other) as conn:
        conn.execute("create schema sqitch; create table sqitch.tags (id int)")
    assert "Found: 1 of the six" in refused(other, written(tmp_path), tmp_path)


def test_edited_scripts_are_refused_unless_accepted(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, ABC)
    run_json(tmp_path, "deploy", "--to", "b", empty_database)
    with (tmp_path / "deploy" / "a.sql").open("a") as script:
        script.write("-- edited\n")
    for options in ([], ["--revert", "--from", "b", "--all"]):
        said = refused(empty_database, written(tmp_path, *options), tmp_path)
        assert "Found others: a." in said
    accept = ["-v", "integrations_db_edited=accept"]
    assert psql(empty_database, written(tmp_path), tmp_path, *accept).returncode == 0
    assert recorded(empty_database) == ["a", "b", "c"]


def test_it_stops_at_a_failure_and_goes_on_from_there(
    empty_database: str, other: str, tmp_path: Path
) -> None:
    write_project(
        tmp_path,
        {
            "a": table("a"),
            "b": table(
                "b", deploy="begin;\ncreate table b (id int);\nselect * from absent;\ncommit;\n"
            ),
            "c": table("c", verify="begin;\nselect id from also_absent;\nrollback;\n"),
            "d": table("d"),
        },
    )
    text = written(tmp_path)
    stops = psql(empty_database, text, tmp_path)
    assert (stops.returncode, 'relation "absent" does not exist' in stops.stderr) == (3, True)
    assert stops.stdout.endswith("[2/4] + b\n")
    assert (tables(empty_database), recorded(empty_database)) == ({"a"}, ["a"])
    with psycopg.connect(empty_database) as conn:
        conn.execute("create table absent ()")
    stops = psql(empty_database, text, tmp_path)
    assert stops.stdout.endswith("[1/4] + a: done before\n[2/4] + b\n[3/4] + c\n")
    assert 'relation "also_absent" does not exist' in stops.stderr
    assert recorded(empty_database) == ["a", "b"]
    with psycopg.connect(empty_database) as conn:
        conn.execute("create table also_absent (id int)")
    assert psql(empty_database, text, tmp_path).returncode == 0
    with psycopg.connect(other) as conn:
        conn.execute("create table absent (); create table also_absent (id int)")
    run_json(tmp_path, "deploy", other)
    same(empty_database, other)


def test_a_killed_psql_leaves_whole_changes(
    empty_database: str, other: str, tmp_path: Path
) -> None:
    slow = (
        "begin;\ncreate table slow (id int);\n"
        "select pg_sleep(case when to_regclass('quick') is null then 600 else 0 end);\ncommit;\n"
    )
    write_project(
        tmp_path, {"a": table("a"), "slow": Sql(slow, "drop table slow;\n"), "z": table("z")}
    )
    text = written(tmp_path)
    argv = psql_command(empty_database, text, tmp_path)
    killed = subprocess.Popen(argv, env=environment(), stdout=subprocess.DEVNULL)  # noqa: S603
    wait_for(lambda: sleeping(empty_database))
    # Meanwhile nobody else gets in: another psql, our deployer.
    second = psql(empty_database, text, tmp_path, "-v", "integrations_db_wait=0.5")
    assert second.returncode == 3
    assert "another deployment of this database is running" in second.stderr
    assert "It is server process" in second.stderr
    assert run(tmp_path, "deploy", "--wait", "0", empty_database).returncode == 5
    killed.kill()
    killed.wait()
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("create table quick ()")
    # The server learns within two seconds that its client is gone.
    done = psql(empty_database, text, tmp_path)
    assert done.returncode == 0, done.stderr
    assert "[1/3] + a: done before\n" in done.stdout
    with psycopg.connect(other, autocommit=True) as conn:
        conn.execute("create table quick ()")
    run_json(tmp_path, "deploy", other)
    same(empty_database, other)


def further(dsn: str, before: int, process: subprocess.Popen[bytes]) -> bool:
    """Tells whether psql has recorded another change, or ended."""
    return process.poll() is not None or len(recorded(dsn)) > before


def test_whenever_it_is_killed_what_is_recorded_is_there(
    empty_database: str, tmp_path: Path
) -> None:
    chance = random.Random(7)  # noqa: S311
    names = [f"t{number}" for number in range(8)]
    slow = "begin;\ncreate table {0} (id int);\nselect pg_sleep(0.02);\ncommit;\n"
    write_project(tmp_path, {name: Sql(slow.format(name)) for name in names})
    argv = psql_command(empty_database, written(tmp_path), tmp_path)
    both = (
        "select (select array_agg(tablename::text order by tablename) from pg_tables"
        " where schemaname = 'public'),"
        " (select array_agg(change order by change) from sqitch.changes)"
    )
    killed = 0
    while len(before := recorded(empty_database)) < len(names):
        process = subprocess.Popen(argv, env=environment(), stdout=subprocess.DEVNULL)  # noqa: S603
        wait_for(partial(further, empty_database, len(before), process))
        time.sleep(chance.uniform(0, 0.03))
        process.kill()
        killed += process.wait() != 0
        there, known = rows(empty_database, both)[0]
        assert there == known
    assert killed, "it was never killed"


def test_two_at_once(empty_database: str, tmp_path: Path) -> None:
    """One deploys, an index concurrently too; the other waits, and then finds nothing to do."""
    slow = "select pg_sleep(0.7);\ncreate table a (id int);\n"
    changes = {
        "a": Sql(slow),
        "i": Sql("create index concurrently i on a (id);\n"),
        "b": table("b"),
    }
    write_project(tmp_path, changes)
    argv = psql_command(empty_database, written(tmp_path), tmp_path)
    both = [
        subprocess.Popen(  # noqa: S603
            argv, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        for _ in range(2)
    ]
    told = [process.communicate(timeout=60) for process in both]
    assert sorted(process.returncode for process in both) == [0, 3]
    _, said = next(it for it, process in zip(told, both, strict=True) if process.returncode)
    assert "waiting up to 60 s" in said
    assert "this database has all changes of this script already" in said
    assert recorded(empty_database) == ["a", "i", "b"]


def test_a_lock_that_others_hold_stops_it(empty_database: str, tmp_path: Path) -> None:
    blocked = (
        "begin;\nset local lock_timeout = '100ms';\nalter table a add column x int;\ncommit;\n"
    )
    write_project(tmp_path, {"a": table("a"), "b": Sql(blocked)})
    text = written(tmp_path)
    assert psql(empty_database, written(tmp_path, "--to", "a"), tmp_path).returncode == 0
    with psycopg.connect(empty_database) as conn:
        conn.execute("select * from a")
        done = psql(empty_database, text, tmp_path)
        assert (done.returncode, "lock timeout" in done.stderr) == (3, True)
    with psycopg.connect(empty_database) as conn:
        conn.execute("lock sqitch.changes")
        done = psql(empty_database, text.replace("', '5s'", "', '100ms'"), tmp_path)
        assert (done.returncode, "lock timeout" in done.stderr) == (3, True)
        assert "It has" not in done.stdout
    assert psql(empty_database, text, tmp_path).returncode == 0


def test_a_script_that_is_not_atomic_and_does_not_end(empty_database: str, tmp_path: Path) -> None:
    index = Sql(
        "create unique index concurrently i on a (x);\n",
        "drop index concurrently i;\n",
        "select 1 / count(*)::int from pg_index where indexrelid = 'i'::regclass and indisvalid;\n",
    )
    start = table(
        "a", deploy="create table a (id int, x int);\ninsert into a values (1, 1), (2, 1);\n"
    )
    write_project(tmp_path, {"a": start, "i": index, "z": table("z")})
    text = written(tmp_path)
    assert "NOT ATOMIC" in text and "CREATE INDEX CONCURRENTLY cannot run inside" in text
    stops = psql(empty_database, text, tmp_path)
    assert (stops.returncode, "could not create unique index" in stops.stderr) == (3, True)
    assert recorded(empty_database) == ["a"]
    # Both say what is left: ours by the mark, and the script by the same.
    assert "its end is not known" in run(tmp_path, "status", empty_database).stdout
    said = refused(empty_database, text, tmp_path)
    assert "the deploy script of i was begun and did not end" in said
    assert "DELETE FROM integrations_db.unfinished_scripts WHERE" in said
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute("drop index i")
        conn.execute("delete from a where id = 1")
    done = psql(empty_database, text, tmp_path, "-v", "integrations_db_resume=yes")
    assert done.returncode == 0, done.stderr
    assert recorded(empty_database) == ["a", "i", "z"]
    assert rows(empty_database, "select to_regnamespace('integrations_db')") == [(None,)]


def test_a_mark_is_forgotten_as_the_message_says(empty_database: str, tmp_path: Path) -> None:
    twice = Sql("begin;\ncreate table t ();\ncommit;\nbegin;\nselect nosuch;\ncommit;\n")
    write_project(tmp_path, {"t": twice})
    assert psql(empty_database, written(tmp_path), tmp_path).returncode == 3
    said = refused(empty_database, written(tmp_path), tmp_path)
    statement = said[said.index("DELETE FROM") :].split(";")[0]
    with psycopg.connect(empty_database) as conn:
        conn.execute(statement.encode())
        conn.execute("drop table t")
    write_project(tmp_path, {"t": table("t")})
    assert psql(empty_database, written(tmp_path), tmp_path).returncode == 0


@pytest.mark.parametrize("copy", ["copy r from stdin;", "\\copy r from stdin"])
def test_rows_of_copy_cannot_be_passed_over(empty_database: str, tmp_path: Path, copy: str) -> None:
    copy = f"create table r (id text);\n{copy}\nit's\n\\.\n"
    stuck = table("z", verify="select 1 / 0;\n")
    write_project(tmp_path, {"r": Sql(copy), "z": stuck})
    text = written(tmp_path)
    assert psql(empty_database, text, tmp_path).returncode == 3
    said = refused(empty_database, text, tmp_path)
    assert "r is done, and psql cannot pass over the rows of COPY" in said
    options = said[said.index("integrations-db sql") :].splitlines()[0].split()[2:]
    (tmp_path / "verify" / "z.sql").write_text("select 1;\n")
    assert psql(empty_database, written(tmp_path, *options), tmp_path).returncode == 0
    assert recorded(empty_database) == ["r", "z"]


@pytest.mark.parametrize("begin", ["\\set AUTOCOMMIT off\n", "\\if true\nbegin;\n\\endif\n"])
def test_what_only_psql_runs_must_end_its_transaction(
    empty_database: str, tmp_path: Path, begin: str
) -> None:
    write_project(tmp_path, {"t": Sql(f"{begin}create table t ();\n")})
    done = psql(empty_database, written(tmp_path), tmp_path)
    assert (done.returncode, "leaves a transaction open" in done.stderr) == (3, True), done.stderr
    assert (tables(empty_database), recorded(empty_database)) == (set(), [])


def test_surroundings_that_are_wrong(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, ABC)
    text = written(tmp_path)
    alone = psql(empty_database, text, tmp_path, "-1")
    assert (alone.returncode, "run it without -1" in alone.stderr) == (3, True)
    assert "CONTEXT" not in alone.stderr
    for kind in ("VERSION_NUM", "SERVER_VERSION_NUM"):
        old = psql(empty_database, text.replace(f":{kind}", "149999"), tmp_path)
        assert (old.returncode, "PostgreSQL 15 or newer" in old.stderr) == (3, True)
    for setting, said in (
        ("default_transaction_read_only=on", "read-only"),
        ("standard_conforming_strings=off", "standard_conforming_strings is off"),
    ):
        done = psql(empty_database, text, tmp_path, PGOPTIONS=f"-c {setting}")
        assert (done.returncode, said in done.stderr) == (3, True), done.stderr
    done = psql(empty_database, text, tmp_path, "-v", "integrations_db_name=a <b>")
    assert (done.returncode, "a name may hold no <" in done.stderr) == (3, True)
    for wait in ("soon", "nan", "-1", ""):
        done = psql(empty_database, text, tmp_path, "-v", f"integrations_db_wait={wait}")
        said = f"integrations_db_wait is no number of seconds: {wait}\n"
        assert (done.returncode, said in done.stderr) == (3, True), done.stderr
    assert rows(empty_database, "select to_regnamespace('sqitch')") == [(None,)]


def test_a_script_finds_no_variables_of_others(
    empty_database: str, other: str, tmp_path: Path
) -> None:
    """Neither those of a script before it, nor those of the one who runs it."""
    write_project(
        tmp_path,
        {
            "a": Sql("\\set v 1\nselect 1 as w \\gset\ncreate table a (id int);\n"),
            "b": Sql("\\if :{?v}\n  select 1 / 0;\n\\endif\ncreate table b (id int);\n"),
            "c": Sql(
                "create table c as select x[1:w] as x, x[1:y] as y\n"
                "  from (select array[1, 2, 3] as x, 2 as w, 2 as y) as t;\n"
            ),
        },
    )
    done = psql(empty_database, written(tmp_path), tmp_path, "-v", "y=3")
    assert done.returncode == 0, done.stderr
    assert run(tmp_path, "deploy", other).returncode == 0
    same(empty_database, other)
    assert rows(empty_database, "select x, y from c") == [([1, 2], [1, 2])]


def test_a_psqlrc_does_not_matter(empty_database: str, other: str, tmp_path: Path) -> None:
    write_project(tmp_path, {**ABC, "ü": table("t", note="Zoë")})
    (tmp_path / "psqlrc").write_text(
        "\\set AUTOCOMMIT off\n\\set ON_ERROR_ROLLBACK on\n\\set SINGLELINE on\n"
        "\\set FETCH_COUNT 1\n\\pset format html\n\\timing on\n\\set ECHO all\n"
        "\\encoding LATIN1\n\\set ON_ERROR_STOP off\n"
    )
    with psycopg.connect(empty_database) as conn:
        conn.execute("create schema elsewhere")
    with psycopg.connect(other) as conn:
        conn.execute("create schema elsewhere")
    file = tmp_path / "script.sql"
    file.write_text(written(tmp_path))
    done = subprocess.run(  # noqa: S603
        [require("psql"), "-f", file, empty_database],
        env=environment(
            PSQLRC=str(tmp_path / "psqlrc"),
            PGOPTIONS="-c search_path=elsewhere",
            PGCLIENTENCODING="LATIN1",
        ),
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.splitlines()[-1] == "Done: the 4 changes of this script are deployed"
    assert run(tmp_path, "deploy", other, PGOPTIONS="-c search_path=elsewhere").returncode == 0
    same(empty_database, other)
    assert rows(empty_database, "select to_regclass('elsewhere.a') is not null") == [(True,)]


def test_a_search_path_that_is_asked_for_is_kept(
    empty_database: str, other: str, tmp_path: Path
) -> None:
    """No script that stores another one replaces it, as in a new session."""
    stores = (
        "begin;\ndo $$ begin execute format('alter database %I set search_path = stored',"
        " current_database()); end $$;\ncommit;\n"
    )
    there = Sql("create table there (id int);\n", verify="select id from there;\n")
    write_project(tmp_path, {"stores": Sql(stores), "there": there})
    for dsn in (empty_database, other):
        with psycopg.connect(dsn) as conn:
            conn.execute("create schema asked; create schema stored")
    options = "-c search_path=asked"
    done = psql(empty_database, written(tmp_path), tmp_path, PGOPTIONS=options)
    assert done.returncode == 0, done.stderr
    assert run(tmp_path, "deploy", other, PGOPTIONS=options).returncode == 0
    same(empty_database, other)
    assert rows(empty_database, "select to_regclass('asked.there') is not null") == [(True,)]


def test_who_is_recorded(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a", tags=("t",)), "b": table("b"), "c": table("c")})
    nobody = {"SQITCH_FULLNAME": "", "SQITCH_EMAIL": ""}
    name = ["-v", "integrations_db_name=Zoë O'Neil", "-v", "integrations_db_email=zoe@example.com"]
    assert psql(empty_database, written(tmp_path, "--to", "a"), tmp_path, **nobody).returncode == 0
    assert psql(empty_database, written(tmp_path, "--to", "b"), tmp_path).returncode == 0
    assert psql(empty_database, written(tmp_path), tmp_path, *name).returncode == 0
    user, database = rows(empty_database, "select session_user, current_database()")[0]
    query = "select committer_name, committer_email from sqitch.changes order by committed_at"
    assert rows(empty_database, query) == [
        (user, f"{user}@{database}"),
        ("Ada Lovelace", "ada@example.com"),
        ("Zoë O'Neil", "zoe@example.com"),
    ]
    assert rows(empty_database, "select creator_name from sqitch.projects") == [(user,)]
    assert rows(empty_database, "select committer_name from sqitch.tags") == [(user,)]


def test_an_ordinary_role_deploys_and_another_may_not(
    empty_database: str, login: Callable[[str, str], str], tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": table("a"), "i": Sql("create index concurrently i on a (id);\n")})
    text = written(tmp_path)
    stranger = login("pg_monitor", empty_database)
    done = psql(stranger, text, tmp_path)
    assert (done.returncode, "may not create the registry" in done.stderr) == (3, True)
    assert "Nothing was touched" in done.stderr and "GRANT CREATE ON DATABASE" in done.stderr
    owner = login("pg_monitor", empty_database)
    user = psycopg.conninfo.conninfo_to_dict(owner)["user"]
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(f"grant create on schema public to {user}".encode())
        conn.execute(f"grant create on database {conn.info.dbname} to {user}".encode())
    done = psql(owner, text, tmp_path)
    assert done.returncode == 0, done.stderr
    assert rows(empty_database, "select tableowner from pg_tables where tablename = 'changes'") == [
        (user,)
    ]
    done = psql(stranger, text, tmp_path)
    assert (done.returncode, "permission denied for schema sqitch" in done.stderr) == (3, True)
    assert "Nothing was touched. Connect as the role that deploys" in done.stderr


def test_the_lock_is_given_back_and_kept_from_scripts(empty_database: str, tmp_path: Path) -> None:
    release = (
        "begin;\ncreate table a ();\nselect pg_advisory_unlock_all();\n"
        "select pg_advisory_lock(1);\ncommit;\n"
    )
    mine = "pg_locks where locktype = 'advisory' and pid = pg_backend_pid()"
    held = f"begin;\ncreate table b ();\nselect 1 / count(*) from {mine};\ncommit;\n"
    write_project(tmp_path, {"a": Sql(release), "b": Sql(held)})
    (tmp_path / "script.sql").write_text(written(tmp_path))
    outer = f"\\i {tmp_path}/script.sql\nselect 'locks: ' || count(*) from {mine};\n"
    done = psql(empty_database, outer, tmp_path)
    assert (done.returncode, done.stderr) == (0, ""), done.stderr
    assert done.stdout.endswith("locks: 0\n")
