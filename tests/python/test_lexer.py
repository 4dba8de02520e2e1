"""The splitter: psql itself is the judge of where a statement ends."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations_db.lexer import split, tokens


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
