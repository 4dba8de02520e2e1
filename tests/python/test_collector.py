"""The pgTAP collector, on small files run by a pytest inside this one, and against pg_prove."""

from __future__ import annotations

import json
import os
import re
import subprocess
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict
from small_project import require

from inner import Inner
from integrations_db.testing import databases
from integrations_db.testing.collector import run_file
from integrations_db.testing.servers import Server

GOOD = """\
\\set ON_ERROR_STOP 1
\\pset pager off
begin;
select plan(2);
select ok(true, 'first');
select is(1 + 1, 2, 'second');
select * from finish();
rollback;
"""


def plan(count: int, *statements: str) -> str:
    """Writes a whole pgTAP file; its first statement of the test stands on line 3."""
    return "\n".join(
        [
            "begin;",
            f"select plan({count});",
            *statements,
            "select * from finish();",
            "rollback;",
            "",
        ]
    )


# Each with the verdict that pg_prove and we give.
FILES = {
    "good": (GOOD, True),
    "fails": (plan(2, "select ok(true, 'a');", "select is(1, 2, 'b');"), False),
    "todo_fails": (plan(1, "select todo('later', 1);", "select ok(false, 'a');"), True),
    "todo_passes": (plan(1, "select todo('later', 1);", "select ok(true, 'a');"), True),
    "skips": (plan(2, "select skip('no', 1);", "select ok(true, 'b');"), True),
    "copies_out": (
        plan(
            2,
            "copy (select 'x') to stdout;",
            "select ok(true, 'a'); copy (select ok(true, 'b'))\n to STDOUT;",
        ),
        True,
    ),
    "copies_out_fails": (plan(1, "copy (select ok(false, 'a')) to stdout;"), False),
    "too_few": (plan(3, "select ok(true, 'a');"), False),
    "too_many": (plan(1, "select ok(true, 'a');", "select ok(true, 'b');"), False),
    "no_plan": ("begin; select * from no_plan(); select ok(true); select * from finish();", True),
    "unfinished": ("begin; select * from no_plan(); select ok(true);", False),
    "unplanned": ("begin; select ok(true);", False),
    "empty": ("", False),
    "asserts_nothing": ("begin; select * from no_plan(); select 1; rollback;", False),
    "nothing_at_all": ("select 1;", False),
    "z_bails": (
        plan(3, "select ok(true);", "select 'Bail out! no disk';", "select ok(true);"),
        False,
    ),
    "dies": (plan(3, "select ok(true, 'a');", "select ok(nope, 'b');", "select ok(true);"), False),
    "dies_late": (plan(1, "select ok(true, 'a');", "select 1/0;"), False),
    "unrolled": ("begin; select plan(1); create table t (); select ok(true);", True),
    "no_begin": ("select plan(1); create table t (); select has_table('t'); drop table t;", True),
    "two_blocks": (
        "begin; select plan(1); select ok(true); rollback; begin; select 1; rollback;",
        True,
    ),
    "escaped": (plan(1, "select ok(false, 'a \\# TODO b');"), False),
    "hash": (plan(1, "select ok(false, 'a # b # TODO c');"), False),
    "skip_all": ("select '1..0 # SKIP no such version';", True),
    "two_plans": ("begin; select '1..1'; select '1..1'; select 'ok 1';", False),
    "out_of_order": ("begin; select '1..2'; select 'ok 2'; select 'ok 1';", False),
    "plan_between": ("begin; select 'ok 1'; select '1..2'; select 'ok 2';", False),
    "many_rows": (plan(3, "select ok(true, n::text) from generate_series(1, 3) as n;"), True),
    "many_columns": ("select '1..1'; select 'ok 1 - a', null, 'b';", True),
    "several_results": ("select '1..2'; select 'ok 1' \\; select 'ok 2';", True),
    "xunit": (
        "begin; create schema x;"
        "create function x.test_a() returns setof text language sql as"
        " $$ select ok(true, 'one') union all select ok(true, 'two') $$;"
        "select * from runtests('x'::name); rollback;",
        True,
    ),
    "xunit_fails": (
        "begin; create schema x;"
        "create function x.test_a() returns setof text language sql as"
        " $$ select ok(true, 'one') union all select ok(false, 'two') $$;"
        "create function x.test_b() returns setof text language plpgsql as"
        " $$ begin return next ok(true); raise exception 'boom'; end $$;"
        "select * from runtests('x'::name); rollback;",
        False,
    ),
    "todo_block": (
        plan(
            3,
            "select * from todo_start('all of it');",
            "select ok(false, 'a');",
            "select ok(true, 'b');",
            "select * from todo_end();",
            "select ok(true, 'c');",
        ),
        True,
    ),
    "todo_block_and_more": (
        plan(
            2,
            "select * from todo_start();",
            "select ok(false, 'a');",
            "select * from todo_end();",
            "select ok(false, 'b');",
        ),
        False,
    ),
    "skips_more": (plan(3, "select * from skip(2);", "select * from skip('no', 1);"), True),
    "skip_fails": ("select '1..1'; select 'not ok 1 - a # SKIP why';", False),
    "todo_without_reason": ("select '1..1'; select 'not ok 1 # todo';", True),
    "diagnostics": (
        plan(
            2,
            "select diag('before');",
            "select is('a'::text, E'b\\nc'::text, 'lines');",
            "select diag(E'one\\ntwo', 'three');",
            "select results_eq('values (1), (2)', 'values (1), (3)', 'rows');",
        ),
        False,
    ),
    "descriptions": (
        plan(
            9,
            "select pass();",
            "select pass('');",
            "select pass('42');",
            "select pass('- dash');",
            "select pass(E'two\\nlines');",
            "select pass('\u00fcn\u00efc\u00f6d\u00e9 \u2713');",
            "select pass('back\\slash \\');",
            "select pass('a # b');",
            "select pass('number #1 and # SKIPPED nothing');",
        ),
        True,
    ),
    "a_hash_that_skips": (plan(1, "select fail('a # SKIP b');"), False),
    "no_numbers": ("select '1..2'; select 'ok - a'; select 'ok - 7';", True),
    "version": ("select 'TAP version 13'; select '1..1'; select 'ok 1 - a';", True),
    "noise": ("select 1, 'ok 2'; select '1..1'; select 'ok 1 - a'; select 'nok 2';", True),
    "bails_at_once": ("select 'Bail out!  no server';", False),
    "subtest": (
        "begin; select '1..2'; select '    # Subtest: s'; select '    ok 1 - a';"
        "select '    not ok 2 - b # TODO later'; select '    1..2'; select 'ok 1 - s';"
        "select 'ok 2 - t';",
        True,
    ),
    "xunit_with_fixtures": (
        "begin; create schema x; create table x.seen (what text);"
        "create function x.startup() returns setof text language sql as"
        " $$ insert into x.seen values ('startup'); select diag('starts') $$;"
        "create function x.setup() returns setof text language sql as"
        " $$ select is(count(*), 1::bigint, 'set up') from x.seen $$;"
        "create function x.teardown() returns setof text language sql as"
        " $$ select pass('torn down') $$;"
        "create function x.shutdown() returns setof text language sql as $$ select pass('end') $$;"
        "create function x.test_rolled_back() returns setof text language sql as"
        " $$ insert into x.seen values ('a'); select pass('in it') $$;"
        "create function x.test_there() returns setof text language sql as"
        " $$ select has_table('x'::name, 'seen'::name) $$;"
        "select * from runtests('x'::name, '^test'); rollback;",
        True,
    ),
    "dies_in_plpgsql": (
        plan(2, "select pass('a');", "do $$ begin perform 1; raise 'no'; end $$;"),
        False,
    ),
    "dies_after_its_finish": (plan(1, "select pass('a');") + "select 1/0;", False),
}
# psql alone reads this; see test_what_only_psql_understands_is_refused.
PSQL_ONLY = {"several_results"}
# These end the whole run.
BAILS = {"z_bails", "bails_at_once"}


def test_each_assertion_is_a_result_of_its_own(inner: Inner) -> None:
    inner.write(good=GOOD)
    result = inner.run("-v")
    result.assert_outcomes(passed=2)
    result.stdout.fnmatch_lines(
        [
            "test server: *PostgreSQL *pgTAP *",
            "tests/pgtap/good_test.sql::1 first PASSED*",
            "tests/pgtap/good_test.sql::2 second PASSED*100%*",
        ]
    )
    assert result.ret == 0


def test_a_failure_names_file_line_and_values(inner: Inner) -> None:
    inner.write(bad=plan(2, "select ok(true, 'a');", "", "select is(1, 2, 'sum''s ::x');"))
    result = inner.run()
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "tests/pgtap/bad_test.sql:5: not ok 2 - sum's ::x",
            "    select is(1, 2, 'sum''s ::x')",
            "*have: 1",
            "*want: 2",
            "FAILED tests/pgtap/bad_test.sql::2 sum's : :x*",
        ]
    )
    assert result.ret == 1


def test_todo_and_skip(inner: Inner) -> None:
    inner.write(
        todo=plan(
            5,
            "select todo('why', 2);",
            "select ok(false, 'a');",
            "select ok(true, 'b');",
            "select skip('not here', 2);",
            "select ok(true, 'c');",
        )
    )
    result = inner.run("-v", "-o", "xfail_strict=true")
    result.assert_outcomes(xfailed=1, xpassed=1, skipped=2, passed=1)
    result.stdout.fnmatch_lines(
        ["*1 a XFAIL (why)*", "*2 b XPASS (why)*", "*3 SKIPPED (not here)*"]
    )
    assert result.ret == 0


def test_too_few_assertions_fail_one_by_one(inner: Inner) -> None:
    inner.write(few=plan(3, "select ok(true, 'a');"))
    result = inner.run()
    result.assert_outcomes(passed=1, failed=2)
    result.stdout.fnmatch_lines(
        ["*few_test.sql: planned 3 assertions, but ran 1", "FAILED *::3 did not run*"]
    )


def test_a_huge_plan_is_not_told_one_by_one(inner: Inner) -> None:
    inner.write(few=plan(1_000_000, "select ok(true, 'a');"))
    result = inner.run()
    result.assert_outcomes(passed=1, failed=100)
    result.stdout.fnmatch_lines(["FAILED *::101 to 1000000 did not run*"])


def test_a_broken_plan_fails_the_file(inner: Inner) -> None:
    broken = {
        "too_many": (2, "planned 1 assertions, but ran 2"),
        "unfinished": (1, "no plan: the file calls neither plan(n) nor finish()"),
        "empty": (0, "the file asserts nothing"),
        "nothing_at_all": (0, "the file asserts nothing"),
        "asserts_nothing": (0, "the file asserts nothing"),
    }
    inner.write(**{name: FILES[name][0] for name in broken})
    result = inner.run("-v")
    assert result.ret == 1
    for name, (passed, message) in broken.items():
        file = f"tests/pgtap/{name}_test.sql"
        words = [line.split("%")[0] for line in result.outlines if line.startswith(f"{file}::")]
        assert sum(" PASSED" in word for word in words) == passed
        assert sum(" FAILED" in word for word in words) == 1
        assert f"{file}: {message}" in result.outlines


def test_a_dying_statement_leaves_the_results_before_it(inner: Inner) -> None:
    inner.write(dies=plan(3, "select ok(true, 'a');", "select ok(", "  nope, 'b');"))
    result = inner.run()
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            'tests/pgtap/dies_test.sql:5: ERROR 42703: column "nope" does not exist',
            "    The file ended here, after 1 assertions of 3.",
            "FAILED *::2 did not run*",
            "FAILED *::3 did not run*",
            "FAILED *::pgtap*",
        ]
    )


def test_an_error_shows_detail_hint_and_context(inner: Inner) -> None:
    body = "raise exception 'no' using errcode = 'IN999', detail = 'this', hint = 'that'"
    inner.write(dies=plan(1, f"do $$ begin {body}; end $$;"))
    result = inner.run()
    result.stdout.fnmatch_lines(
        [
            "tests/pgtap/dies_test.sql:3: ERROR IN999: no",
            "  DETAIL: this",
            "  HINT: that",
            "  CONTEXT: PL/pgSQL function inline_code_block*",
        ]
    )


def test_a_byte_order_mark_is_no_sql(inner: Inner) -> None:
    inner.write(mark=b"\xef\xbb\xbf" + GOOD.encode())
    inner.run().assert_outcomes(passed=2)


def test_a_file_in_another_encoding_fails_with_a_sentence(inner: Inner) -> None:
    inner.write(latin=plan(1, "", "select ok(true, 'caf\u00e9');").encode("latin-1"), good=GOOD)
    result = inner.run()
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        ["tests/pgtap/latin_test.sql:4: byte 0xe9 is not UTF-8; save the file as UTF-8"]
    )
    assert "Error" not in result.stdout.str().replace("PgTapError", "")
    assert "Traceback" not in result.stdout.str()


def test_a_file_may_change_the_encoding_of_answers(inner: Inner) -> None:
    inner.write(latin=plan(1, "set client_encoding = 'latin1';", "select ok(true, chr(233));"))
    inner.run().assert_outcomes(passed=1)


def test_an_endless_loop_fails_the_file(inner: Inner) -> None:
    loop = "do $$ begin loop null; end loop; end $$;"
    before = {"a_loops": "", "b_resets": "reset all;", "c_begins_again": "rollback; begin;"}
    loops = {
        name: plan(2, "select ok(true);", text, loop, "select ok(true);")
        for name, text in before.items()
    }
    inner.write(**loops, d_good=GOOD)
    result = inner.run("-o", "pgtap_timeout=0.3")
    result.assert_outcomes(passed=5, failed=6)
    result.stdout.fnmatch_lines(
        [
            f"tests/pgtap/{name}_test.sql:5: not done after 0.3 s (pgtap_timeout): canceling *"
            for name in loops
        ]
    )


def test_without_a_limit_a_statement_may_take_its_time(
    inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    shows = "select is(current_setting('statement_timeout'), '{}');"
    others = "select is(current_setting('work_mem'), '123kB');"
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=123kB -c statement_timeout=9s")
    inner.write(none=plan(2, shows.format("0"), others))
    inner.run("-o", "pgtap_timeout=0").assert_outcomes(passed=2)
    inner.write(minute=plan(2, shows.format("1min"), others))
    inner.run().assert_outcomes(passed=2)


@pytest.mark.parametrize("value", ["soon", "-1", "nan", "1e9"])
def test_a_limit_that_is_no_time_is_refused(inner: Inner, value: str) -> None:
    inner.write(good=GOOD)
    result = inner.run("-o", f"pgtap_timeout={value}")
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: pgtap_timeout={value} in pytest's ini file: not a *"])


def test_an_assertion_that_only_finish_saw_fails_the_file(inner: Inner) -> None:
    hidden = {
        "column": ("select ok(true, 'a'), ok(false, 'b');", "planned 1 test but ran 2"),
        "perform": ("do $$ begin perform ok(false); end $$; select 'ok 1';", "failed 1 test of 1"),
        "todo": ("select ok(false, 'a # TODO b');", "failed 1 test of 1"),
    }
    inner.write(**{name: plan(1, text) for name, (text, _) in hidden.items()})
    result = inner.run()
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        [
            f"tests/pgtap/{name}_test.sql: finish() says 'Looks like you {says}', but 1"
            " assertions were read, 0 of them failed;*"
            for name, (_, says) in hidden.items()
        ]
    )


def test_a_lost_connection_fails_the_file(inner: Inner) -> None:
    inner.write(lost=plan(1, "select pg_terminate_backend(pg_backend_pid());"), other=GOOD)
    result = inner.run()
    result.assert_outcomes(passed=2, failed=2)
    result.stdout.fnmatch_lines(
        ["tests/pgtap/lost_test.sql:3: *", "    The file ended here, after 0 *"]
    )


def test_a_bail_out_ends_the_run(inner: Inner) -> None:
    inner.write(a_bails=FILES["z_bails"][0], b_good=GOOD)
    result = inner.run()
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(["*a_bails_test.sql: Bail out! no disk"])
    assert result.ret == 2
    result = inner.run("-n1")
    result.assert_outcomes(passed=1, failed=3)
    assert result.ret == 2


def test_files_leave_nothing_behind(inner: Inner) -> None:
    check = "select hasnt_table('left_over');"
    make = "create table left_over (); create temp table session_over (); set role pg_monitor;"
    inner.write(
        a_unrolled=f"begin; select plan(1); {make} select ok(true);",
        b_no_begin=f"select plan(1); {make} select ok(true);",
        c_after_rollback=f"begin; select plan(1); select ok(true); rollback; {make}",
        d_check=plan(2, check, "select is(current_user::text, session_user::text);"),
    )
    inner.run().assert_outcomes(passed=5)


def test_a_file_that_commits_is_refused(inner: Inner) -> None:
    words = {"a": "commit", "b": "COMMIT AND CHAIN", "c": "end", "d": "prepare transaction 'x'"}
    begun = "begin; select plan(1);\nselect ok(true);\n"
    inner.write(**{name: f"{begun}{word};" for name, word in words.items()})
    result = inner.run()
    result.assert_outcomes(failed=4)
    result.stdout.fnmatch_lines(
        [f"tests/pgtap/{name}_test.sql:3: * would keep *'-- db: clone'*" for name in words]
    )


def test_a_file_may_commit_in_a_clone_of_its_own(inner: Inner) -> None:
    commits = (
        "-- db: clone\nselect plan(2);\nbegin; create table kept (); commit;\n"
        "create index concurrently on kept ((1));\n"
        "do $$ begin create table also_kept (); commit; end $$;\n"
        "select has_table('kept'); select has_table('also_kept');"
    )
    inner.write(a_commits=commits, b_check=plan(1, "select hasnt_table('kept');"))
    inner.run().assert_outcomes(passed=3)


def test_an_unknown_directive_is_refused(inner: Inner) -> None:
    inner.write(odd="\n-- db: clown\n" + GOOD)
    result = inner.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*odd_test.sql:2: '-- db: clown' is unknown*"])


def test_what_only_psql_understands_is_refused(inner: Inner) -> None:
    odd = {
        "copy": (
            "copy t from stdin;\n1\n\\.",
            "rows after COPY ... FROM stdin are not read; use INSERT",
        ),
        "include": ("\\i other.sql", "psql's \\i is not understood; write SQL"),
        "set": ("\\set who me", "psql's \\set is not understood; write SQL"),
    }
    inner.write(**{name: plan(1, text, "select ok(true);") for name, (text, _) in odd.items()})
    result = inner.run()
    result.assert_outcomes(failed=3)
    result.stdout.fnmatch_lines(
        [f"tests/pgtap/{name}_test.sql:3: {message}" for name, (_, message) in odd.items()]
    )


def test_subtests_are_results_below_their_assertion(inner: Inner) -> None:
    inner.write(xunit=FILES["xunit_fails"][0])
    result = inner.run("-v")
    result.assert_outcomes(passed=1, failed=3)
    result.stdout.fnmatch_lines(
        [
            "*::1 x.test_a::1 one PASSED*",
            "*::1 x.test_a::2 two FAILED*",
            "*::1 x.test_a FAILED*",
            "*::2 x.test_b FAILED*",
            "*Test died: P0001: boom*",
        ]
    )


def test_a_file_that_skips_itself_says_why(inner: Inner) -> None:
    inner.write(skip=FILES["skip_all"][0], good=GOOD)
    result = inner.run("-rs")
    result.assert_outcomes(passed=2, skipped=1)
    result.stdout.fnmatch_lines(["SKIPPED*no such version"])


def test_junit_has_a_case_per_assertion(inner: Inner) -> None:
    inner.write(
        mixed=plan(
            3, "select ok(true, 'a');", "select is(1, 2, 'a::b');", "select skip('later', 1);"
        )
    )
    for options in ((), ("-n1",)):
        inner.run("--junitxml=out.xml", *options)
        cases = ET.parse(inner.path / "out.xml").getroot().findall(".//testcase")  # noqa: S314
        assert [case.get("classname") for case in cases] == ["tests.pgtap.mixed_test.sql"] * 3
        assert [case.get("name") for case in cases] == ["1 a", "2 a: :b", "3"]
        assert [[child.tag for child in case] for case in cases] == [[], ["failure"], ["skipped"]]
        failure = cases[1].find("failure")
        assert failure is not None
        assert "tests/pgtap/mixed_test.sql:4: not ok 2" in str(failure.text)


def test_workers_of_xdist_report_the_same(inner: Inner) -> None:
    inner.write(**{name: text for name, (text, _) in FILES.items() if name not in BAILS})
    here, spread = (inner.run(*options).parseoutcomes() for options in ((), ("-n2",)))
    assert here == spread
    assert here["passed"] > 20


def test_selection_works_on_files(inner: Inner) -> None:
    inner.write(one=GOOD, two=GOOD)
    inner.run("-k", "one").assert_outcomes(passed=2, deselected=1)
    inner.run("tests/pgtap/two_test.sql").assert_outcomes(passed=2)
    inner.run("-m", "not database", "--co").assert_outcomes()
    collected = inner.run("--co", "-q")
    collected.stdout.fnmatch_lines(["tests/pgtap/one_test.sql::pgtap", "*two_test.sql::pgtap"])


def test_exitfirst_ends_after_the_file(inner: Inner) -> None:
    inner.write(a=plan(2, "select ok(false);", "select ok(true);"), b=GOOD)
    inner.run("-x").assert_outcomes(passed=1, failed=1)


def test_last_failed_runs_the_files_that_failed(inner: Inner) -> None:
    inner.write(bad=plan(1, "select ok(false);"), good=GOOD)
    inner.run().assert_outcomes(passed=2, failed=1)
    inner.run("--lf").assert_outcomes(failed=1)
    inner.write(bad=plan(1, "select ok(true, 'renamed');"), good=GOOD)
    inner.run("--lf").assert_outcomes(passed=1)
    inner.run("--lf").assert_outcomes(passed=3)


def test_no_test_is_no_success(inner: Inner) -> None:
    inner.write(skip=FILES["skip_all"][0])
    assert inner.run().ret == pytest.ExitCode.NO_TESTS_COLLECTED


# What pg_prove's own reader makes of each stream: its assertions, bail-out, skipped plan.
_READER = """
use TAP::Parser; use JSON::PP;
print JSON::PP->new->ascii->encode([map {
    my $parser = TAP::Parser->new({ tap => $_ });
    my (@tests, $bail);
    while (my $it = $parser->next) {
        $bail = $it->explanation, last if $it->is_bailout;  # so does pg_prove
        push @tests, [$it->is_actual_ok ? 1 : 0, $it->description, $it->directive, $it->explanation]
            if $it->is_test;
    }
    [\\@tests, $bail, $parser->skip_all || undef, ($parser->tests_planned || 0) + 0]
} @{ JSON::PP->new->decode(do { local $/; <STDIN> }) }]);
"""


def _said(file: Path, dsn: str) -> str:
    """Runs a file through psql, as pg_prove does."""
    how = ["-XqAt", "-P", "pager=off", "-v", "ON_ERROR_STOP=1"]
    return subprocess.run(  # noqa: S603
        [require("psql"), *how, "-d", dsn, "-f", str(file)],
        capture_output=True,
        text=True,
        check=False,
    ).stdout


def _read_by_perl(streams: Sequence[str]) -> list[Any]:
    """Reads what psql said with TAP::Parser."""
    read = subprocess.run(  # noqa: S603
        [require("perl"), "-e", _READER],
        input=json.dumps([said or "\n" for said in streams]),
        capture_output=True,
        text=True,
        check=True,
    )
    found: list[Any] = json.loads(read.stdout)
    return found


def _read_by_us(source: str, dsn: str) -> Any:
    document = run_file(source, dsn).document
    plan, skip = document.plan, document.plan.skip if document.plan else None
    tests = [
        [
            int(it.assertion.ok),
            it.assertion.description,
            it.assertion.directive,
            it.assertion.reason,
        ]
        for it in document.results
    ]
    return [tests, document.bail, skip, plan.count if plan else 0]


def test_each_assertion_is_read_as_pg_prove_reads_it(server: Server, tmp_path: Path) -> None:
    with databases.clone(server.dsn, "template0") as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("create extension pgtap")
        said = {}
        for name in FILES.keys() - PSQL_ONLY:
            file = tmp_path / f"{name}.sql"
            file.write_text(FILES[name][0], encoding="utf-8")
            said[name] = _said(file, dsn)
        for name, (tests, *rest) in zip(said, _read_by_perl(list(said.values())), strict=True):
            for test in tests:
                test[1] = "" if test[1] == "-" else test[1].removeprefix("- ")
            assert _read_by_us(FILES[name][0], dsn) == [tests, *rest], name


# pg_prove on one file after the other, each by itself, in a process that has it loaded.
_PROVE = """
use App::Prove; use TAP::Harness; use TAP::Formatter::Console; use TAP::Parser;
use TAP::Parser::SourceHandler::pgTAP;
my $program = shift;
for my $file (@ARGV) {
    my $pid = fork // die "fork: $!";
    if (!$pid) {
        open STDOUT, '>', "$file.out" or die "$file.out: $!";
        @ARGV = ('--verbose', $file);
        do $program;
        die "$program: $@$!";
    }
    waitpid $pid, 0;
    print $?, qq(\\n);
}
"""


def _prove(files: Sequence[Path], dsn: str) -> Iterator[tuple[bool, int]]:
    """Runs pg_prove on each: its verdict, and the number of assertions that psql printed."""
    given = conninfo_to_dict(dsn)
    done = subprocess.run(  # noqa: S603
        [require("perl"), "-e", _PROVE, require("pg_prove"), *map(str, files)],
        env=os.environ
        | {
            "PATH": os.pathsep.join([os.path.dirname(require("psql")), os.environ["PATH"]]),
            "PGHOST": str(given["host"]),
            "PGPORT": str(given.get("port", 5432)),
            "PGUSER": str(given["user"]),
            "PGDATABASE": str(given["dbname"]),
            "PGPASSFILE": str(given.get("passfile", "")),
        },
        capture_output=True,
        text=True,
        check=True,
    )
    for file, status in zip(files, done.stdout.split(), strict=True):
        said = Path(f"{file}.out").read_text()
        yield status == "0", len(re.findall(r"^(?:not )?ok (?:\d|-)", said, re.MULTILINE))


def _told(name: str, output: str) -> tuple[bool, int]:
    """Reads the same from what pytest printed."""
    lines = re.findall(
        rf"^tests/pgtap/{name}_test\.sql::(.*) ([A-Z]+)\b.*%\]$", output, re.MULTILINE
    )
    assertions = [place for place, _ in lines if re.fullmatch(r"\d+\b(?! did not run).*", place)]
    own = [place for place in assertions if not re.search(r"::\d", place)]
    return all(word != "FAILED" for _, word in lines) and bool(lines), len(own)


@pytest.mark.long
def test_verdicts_are_those_of_pg_prove(inner: Inner, server: Server) -> None:
    alone = [{name} for name in BAILS]
    output = ""
    for names in (set(FILES) - PSQL_ONLY - BAILS, *alone):
        inner.write(**{name: FILES[name][0] for name in names})
        output += inner.run("-v").stdout.str() + "\n"
    with databases.clone(server.dsn, "template0") as dsn:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.execute("create extension pgtap")
        files = [inner.path / f"{name}.sql" for name in FILES]
        for file, (text, _) in zip(files, FILES.values(), strict=True):
            file.write_text(text, encoding="utf-8")
        # None of them leaves anything behind.
        for (name, (_, verdict)), proved in zip(FILES.items(), _prove(files, dsn), strict=True):
            assert proved[0] == verdict, f"pg_prove on {name}"
            if name not in PSQL_ONLY:
                assert _told(name, output) == proved, f"we, unlike pg_prove, on {name}"
