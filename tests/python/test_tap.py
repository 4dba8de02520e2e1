"""The TAP reader: its grammar, and what it writes it can read."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from integrations_db.testing.tap import (
    Assertion,
    Bail,
    Comment,
    Document,
    Line,
    Other,
    Plan,
    format_line,
    parse_line,
)

_WORDS = st.text(
    st.characters(categories=["L", "N", "P", "S", "Zs"], exclude_characters="#\\"), max_size=30
).map(str.strip)
# A description that begins with a digit would be taken for the number where that is missing, and
# one that begins with a dash for the dash that pgTAP writes.
_DESCRIPTIONS = _WORDS.filter(lambda text: not text.startswith("-"))
_DEPTHS = st.integers(0, 3)
_ASSERTIONS = st.builds(
    Assertion,
    ok=st.booleans(),
    number=st.none() | st.integers(0, 9999),
    description=_DESCRIPTIONS,
    directive=st.sampled_from(["SKIP", "TODO"]),
    reason=_WORDS,
    depth=_DEPTHS,
) | st.builds(
    Assertion,
    ok=st.booleans(),
    number=st.none() | st.integers(0, 9999),
    description=_DESCRIPTIONS,
    depth=_DEPTHS,
)
_LINES: st.SearchStrategy[Line] = st.one_of(
    _ASSERTIONS,
    st.builds(Plan, count=st.integers(0, 9999), skip=st.none() | _WORDS, depth=_DEPTHS),
    st.builds(Comment, text=_WORDS, depth=_DEPTHS),
    st.builds(Bail, reason=_WORDS),
)


@given(_LINES)
def test_what_is_written_is_read_again(line: Line) -> None:
    assert parse_line(format_line(line)) == line


@given(st.text())
def test_no_text_breaks_the_reader(text: str) -> None:
    document = Document()
    completed = document.feed(text)
    assert completed == document.results
    document.problems()


@given(st.lists(st.booleans(), min_size=1), st.booleans())
def test_a_whole_stream_has_its_assertions_and_no_problem(oks: list[bool], last: bool) -> None:
    lines = [format_line(Assertion(ok, place)) for place, ok in enumerate(oks, 1)]
    lines.insert(len(lines) if last else 0, format_line(Plan(len(oks))))
    document = Document()
    document.feed("\n".join(lines))
    assert [result.assertion.ok for result in document.results] == oks
    assert document.problems() == []


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("ok", Assertion(True)),
        ("ok 1", Assertion(True, 1)),
        ("not ok 2 - it is", Assertion(False, 2, "it is")),
        ("ok 3 -", Assertion(True, 3)),
        ("ok 1 - 3 rows", Assertion(True, 1, "3 rows")),
        ("ok 1 # SKIP no fork", Assertion(True, 1, "", "SKIP", "no fork")),
        ("not ok 1 - a # todo later", Assertion(False, 1, "a", "TODO", "later")),
        (r"ok 1 - a \# TODO b", Assertion(True, 1, r"a \# TODO b")),
        # As TAP::Parser has it: a '#' that is no directive hides one that follows.
        ("not ok 1 - a # b # TODO c", Assertion(False, 1, "a # b # TODO c")),
        ("ok 1 - a # TODOS", Assertion(True, 1, "a # TODOS")),
        ("    ok 1 - nested", Assertion(True, 1, "nested", depth=1)),
        ("  ok 1", Other("  ok 1")),
        ("okay", Other("okay")),
        ("not  ok 1", Other("not  ok 1")),
        ("1..4", Plan(4)),
        ("1..0 # SKIP no server", Plan(0, "no server")),
        ("1..0", Plan(0)),
        ("1..4 or so", Other("1..4 or so")),
        ("#   have: 1", Comment("  have: 1")),
        ("    # Subtest: s.test_a()", Comment("Subtest: s.test_a()", 1)),
        ("Bail out! no disk", Bail("no disk")),
        ("  Bail out!", Bail("")),
        ("", Other("")),
    ],
)
def test_lines_are_read_as_tap_parser_reads_them(text: str, line: Line) -> None:
    assert parse_line(text) == line


PGTAP_1_2 = """\
    # Subtest: x.test_a()
    ok 1 - one
    not ok 2 - two
    # Failed test 2: "two"
    1..2
not ok 1 - x.test_a
# Failed test 1: "x.test_a"
    # Subtest: x.test_b()
    # Test died: P0001: boom
not ok 2 - x.test_b
1..2"""
PGTAP_1_3 = PGTAP_1_2.replace("    # Subtest", "# Subtest")


@pytest.mark.parametrize("text", [PGTAP_1_2, PGTAP_1_3])
def test_subtests_belong_to_the_assertion_that_sums_them_up(text: str) -> None:
    document = Document()
    document.feed(text)
    first, second = document.results
    assert [child.assertion.description for child in first.children] == ["one", "two"]
    assert first.children[1].diagnostics == ['Failed test 2: "two"']
    assert first.diagnostics == ['Failed test 1: "x.test_a"']
    assert second.diagnostics == ["Test died: P0001: boom"]
    assert document.problems() == []


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "the file asserts nothing"),
        ("1..0", "the file asserts nothing"),
        ("ok 1", "no plan: the file calls neither plan(n) nor finish()"),
        ("1..1\nok 1\nok 2", "planned 1 assertions, but ran 2"),
        ("1..1\nok 2", "assertion 1 calls itself number 2"),
        ("1..1\n1..1\nok 1", "a second plan, 1..1"),
        ("ok 1\n1..2\nok 2", "the plan stands between the assertions, not before or after them"),
        (
            "1..1\nok 1\n# Looks like you failed 1 test of 1",
            "finish() says 'Looks like you failed 1 test of 1', but 1 assertions were read, 0 of"
            " them failed; each must be a row of its own, or the first column of one, as pgTAP"
            " wrote it",
        ),
        ("    ok 1\n", "a subtest without the assertion that sums it up"),
    ],
)
def test_a_broken_stream_is_a_problem(text: str, problem: str) -> None:
    document = Document()
    document.feed(text)
    assert problem in document.problems()


@pytest.mark.parametrize(
    "text",
    [
        "1..3\nok 1\nnot ok 2\n# Looks like you planned 3 tests but ran 2",
        "1..2\nok 1\nnot ok 2\n# Looks like you failed 1 test of 2",
        "1..2\nnot ok 1 # TODO later\nnot ok 2\n# Looks like you failed 1 test of 2",
        "    not ok 1\n    # Looks like you failed 1 test of 1\nok 1\n1..1",
    ],
)
def test_a_summary_that_agrees_is_no_problem(text: str) -> None:
    document = Document()
    document.feed(text)
    assert document.faults == []


def test_nothing_counts_after_a_bail_out() -> None:
    document = Document()
    document.feed("1..2\nok 1\nBail out! enough\nok 2")
    assert (document.bail, len(document.results)) == ("enough", 1)
