"""The splitter: psql itself is the judge of where a statement ends."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations_db.lexer import split, tokens

NASTY = r"""-- a comment; with a semicolon
begin; /* one /* nested; */ still */ select 'it''s;', E'\';', "an;""id", $$ ; $$, $t$ $$ ; $t$,
  U&'x;', B'1';
create function f(a integer default (select 1)) returns integer
begin atomic
  select case when true then 1 else 2 end;
  select 2;
end;
create or replace procedure p() language sql begin atomic select 1; end;
create rule r as on insert to t do also (select 1; select 2);
select 1--no;
  , 2 /* ; */;;
select a$b$c from x; select $1, 1$$;$$;
do $body$ begin perform 1; end $body$;
create table begin_log (id int); select case when true then 1 end;
select 'é€', "阱";
commit -- without a semicolon
"""


def texts(source: str) -> list[str]:
    return [statement.text for statement in split(source)]


@pytest.mark.static
@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("", []),
        (" ;; -- x\n;/* ; */", []),
        ("select 1", ["select 1"]),
        ("select 1; select 2 ;", ["select 1", "select 2"]),
        ("select 'a;''b';c", ["select 'a;''b'", "c"]),
        ("select E'a\\';b';c", ["select E'a\\';b'", "c"]),
        ("select E'a'\n '\\';b';c", ["select E'a'\n '\\'", "b';c"]),  # line by line, as psql
        ("select 'a\\';c", ["select 'a\\'", "c"]),
        ("select $a$;$b$;$a$;c", ["select $a$;$b$;$a$", "c"]),
        ("select a$b;$b", ["select a$b", "$b"]),
        ("f(1;2);c", ["f(1;2)", "c"]),
        ("a);b", ["a)", "b"]),
        ("/* a /* b; */ ; */ c /* d; */ e;", ["c /* d; */ e"]),
        ("select 'open; -- ", ["select 'open; -- "]),
        ("a /* open;", ["a"]),
        ("begin; end; a;", ["begin", "end", "a"]),
        ("\\set x 1\nselect 1;", ["\\set x 1", "select 1"]),
        ("select 1 \\gset\n2;", ["select 1", "\\gset", "2"]),
    ],
)
def test_boundaries(source: str, expected: list[str]) -> None:
    assert texts(source) == expected


@pytest.mark.static
def test_positions() -> None:
    first, second, third = split("-- c\n\n a;\n\n  b\n c; d")
    assert (first.line, first.offset) == (3, 7)
    assert (second.line, second.text) == (5, "b\n c")
    assert (third.line, third.text) == (6, "d")


@pytest.mark.static
def test_only_the_outermost_begin_of_a_function_counts() -> None:
    function = "create function f() returns int begin atomic select case when a then b end; end"
    assert texts(f"{function}; select 1") == [function, "select 1"]
    assert texts("create table f (begin int); begin; x; end;")[1:] == ["begin", "x", "end"]


@pytest.mark.static
@given(st.text("ab;'\"$()/*-\\\nE tbeginatomicend", max_size=60))
def test_nothing_is_lost_or_moved(source: str) -> None:
    found = list(tokens(source))
    assert "".join(source[token.start : token.end] for token in found) == source
    for statement in split(source):
        for position, char in enumerate(statement.text):
            came_from = source[statement.source_offset(position)]
            assert came_from in (char, "\\")  # of \; and \:
        assert statement.line == source.count("\n", 0, statement.offset) + 1
        assert statement.text.strip()


@pytest.mark.database
def test_psql_splits_the_same(empty_database: str, tmp_path: Path) -> None:
    psql = shutil.which("psql")
    if psql is None:
        why = "psql is not installed: its splitting cannot be compared with"
        if os.environ.get("CI"):
            pytest.fail(why)
        pytest.skip(why)
    script = tmp_path / "nasty.sql"
    script.write_text(NASTY, encoding="utf-8")
    # Every statement is echoed as it is sent, also those that fail; results go elsewhere.
    done = subprocess.run(  # noqa: S603
        [psql, "-Xq", "--echo-queries", "-o", os.devnull, "-f", str(script), empty_database],
        env={**os.environ, "PGCLIENTENCODING": "UTF8"},
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    rest = done.stdout
    for text in texts(NASTY):
        assert text in rest, f"psql did not send {text!r} next, but {rest[:200]!r}"
        before, _, rest = rest.partition(text)
        assert "".join(texts(before)) == "", f"we have missed {before!r}"
        rest = rest.lstrip().removeprefix(";")
    assert texts(rest) == []
