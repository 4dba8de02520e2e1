"""The plan: grammar, IDs, references; Sqitch itself is the judge of the IDs."""

from __future__ import annotations

import re
from dataclasses import replace
from hashlib import sha1
from pathlib import Path

import pytest

from integrations_db.errors import Failure, Usage
from integrations_db.plan import (
    Plan,
    PlanError,
    canonical_uri,
    find_change,
    parse_plan,
    read_plan,
    rework_tags,
    script_hash,
)

pytestmark = pytest.mark.static

# The IDs in the next test are what Sqitch 1.3.1 shows for this plan.
SHOP = """\
%syntax-version=1.0.0-b2
%project=shop
%uri=HTTPS://Example.com

app 2026-01-01T10:00:00Z Zo\u00eb O\u2019Vera <zoe@example.com> # Add the schema
orders [app] 2026-01-02T10:00:00Z Zo\u00eb O\u2019Vera <zoe@example.com> # Hold orders,\\none a line
@v1 2026-01-03T10:00:00Z Zo\u00eb O\u2019Vera <zoe@example.com> # First release
"""
BY = "2026-01-01T00:00:00Z Ada <a@example.com>"
HEAD = "%project=p\n\n"


def test_ids_are_those_of_sqitch() -> None:
    app, orders = parse_plan(SHOP).changes
    assert app.id == "27d9b09fcf531221fdbdae0b399f5201e9c08192"
    assert orders.id == "c508087b85cb95f07fdc5e82c21bfbfd9769f7c7"
    assert orders.tags[0].id == "cf95c5e6ddb5cff65e18254e3c83ed7dcc163ffc"


def test_any_earlier_edit_changes_later_ids() -> None:
    edited = parse_plan(SHOP.replace("Add the", "add the"))
    assert edited.changes[1].id != parse_plan(SHOP).changes[1].id


def test_notes_escapes_and_perl_truth() -> None:
    plan = parse_plan(HEAD + f"a {BY} # one\\ntwo \\\\ \\t\nb {BY} # 0\nc {BY}#   \n")
    assert [change.note for change in plan.changes] == ["one\ntwo \\ \\t", "0", ""]
    no_note = parse_plan(HEAD + f"a {BY} # one\\ntwo \\\\ \\t\nb {BY}\n")
    assert plan.changes[1].id == no_note.changes[1].id  # Sqitch drops a note of 0


def test_blank_lines_comments_and_line_ends() -> None:
    plan = parse_plan(f"# c\r\n%project = p\r\n\r\n  # c\r\n + a\t{BY}\r\n@t {BY}\r\n\r\n- b {BY}")
    assert [(c.name, c.line) for c in plan.changes] == [("a", 5), ("b", 8)]
    assert plan.changes[0].title == "a @t"


def test_planner_keeps_extra_blanks_which_are_hashed() -> None:
    plan = parse_plan(HEAD + "a 2026-01-01T00:00:00Z Ada   <a@example.com>\n")
    assert plan.changes[0].planner_name == "Ada  "


@pytest.mark.parametrize(
    ("text", "line", "why"),
    [
        ("a 2026-01-01T00:00:00Z Ada <a@e>\n", 1, "pragma"),
        (f"%project=p\na {BY}\n", 2, "pragma"),
        ("%project=@p\n\n", 1, "project"),
        ("%project=p\n #\n", 2, "nothing follows"),
        (HEAD + "#", 3, "nothing follows"),
        (HEAD + "a Ada <a@e>\n", 3, "timestamp"),
        (HEAD + "a 2026-01-01T00:00:00Z\n", 3, "planner"),
        (HEAD + "a 2026-02-30T00:00:00Z Ada <a@e>\n", 3, "date"),
        (HEAD + f"-a- {BY}\n", 3, "expected"),
        (HEAD + f"a[b] {BY}\n", 3, "requires"),
        (HEAD + f"HEAD {BY}\n", 3, "reserved"),
        (HEAD + f"{'a' * 40} {BY}\n", 3, "ID"),
        (HEAD + f"a=1 {BY}\n", 3, "expected"),
        (HEAD + f"a {BY}\na {BY}\n", 4, "tag"),
        (HEAD + f"@t {BY}\n", 3, "no change"),
        (HEAD + f"a {BY}\n@t {BY}\n@t {BY}\n", 5, "line 4"),
        (HEAD + f"a {BY}\n@t [a] {BY}\n", 4, "dependencies"),
        (HEAD + f"a {BY}\n@t/u {BY}\n", 4, "slash"),
        (HEAD + f"a [b] {BY}\n", 3, '"b"'),
        (HEAD + f"a [a] {BY}\n", 3, '"a"'),
        (HEAD + f"a {BY}\nb [a@t] {BY}\n", 4, '"a@t"'),
        (HEAD + f"a {BY}\nb [a a] {BY}\n", 4, "twice"),
        (HEAD + f"a {BY}\nb [{'0' * 40}] {BY}\n", 4, "bare IDs"),
        (HEAD + f"a {BY}\nb [a::] {BY}\n", 4, "not a dependency"),
    ],
)
def test_errors_name_the_line(text: str, line: int, why: str) -> None:
    with pytest.raises(PlanError, match=rf"sqitch\.plan:{line}: .*{why}"):
        parse_plan(text)


def test_missing_project_and_file(tmp_path: Path) -> None:
    with pytest.raises(PlanError, match="%project"):
        parse_plan("\n")
    with pytest.raises(PlanError, match="No such file"):
        read_plan(tmp_path / "sqitch.plan")
    (tmp_path / "latin").write_bytes(b"%project=\xe4")
    with pytest.raises(PlanError, match="UTF-8"):
        read_plan(tmp_path / "latin")


REWORKED = parse_plan(
    HEAD + f"a {BY}\nb {BY}\n@v1 {BY}\nc {BY}\n@v2 {BY}\n@v3 {BY}\na [a@v1] {BY}\nd {BY}\n"
)


def test_reworked_scripts_are_named_after_the_tags_in_between() -> None:
    assert [rework_tags(REWORKED, i) for i in range(5)] == [("v2", "v3", "v1"), (), (), (), ()]


@pytest.mark.parametrize(
    ("key", "index"),
    [
        ("b", 1),
        ("a@v1", 0),
        ("a@HEAD", 3),
        ("@v2", 2),
        ("@HEAD", 4),
        ("HEAD^", 3),
        ("HEAD^^", 2),
        ("@v3^2", 0),
        ("ROOT~", 1),
        ("ROOT", 0),
        (REWORKED.changes[3].id, 3),
        (REWORKED.changes[2].tags[1].id, 2),
    ],
)
def test_references(key: str, index: int) -> None:
    assert find_change(REWORKED, key) == index


@pytest.mark.parametrize("key", ["x", "@x", "x@v1", "a@x", "d@v1", "x^"])
def test_unknown_references(key: str) -> None:
    with pytest.raises(Failure, match=rf'^there is no change "{re.escape(key)}" in the plan \S+$'):
        find_change(REWORKED, key)
    with pytest.raises(Failure, match=r"^the plan sqitch\.plan has no changes$"):
        find_change(Plan("empty"), key)


@pytest.mark.parametrize(
    ("key", "meant"),
    [
        ("functions/doctr", '"functions/doctor"'),
        ("doctor", '"functions/doctor"'),
        ("doctor@v1.1.0", '"functions/doctor"'),
        ("tables/order^", '"tables/orders"'),
        ("@v1.0.1", '"@v1.0.0"'),
        ("orders", '"policies/orders" or "tables/orders"'),
    ],
)
def test_a_reference_with_a_typo_is_told_what_may_be_meant(key: str, meant: str) -> None:
    names = ["tables/orders", "policies/orders", "functions/doctor", "functions/unlock"]
    plan = parse_plan(HEAD + "".join(f"{name} {BY}\n" for name in names) + f"@v1.0.0 {BY}\n")
    with pytest.raises(Failure, match=rf"; did you mean {re.escape(meant)}\?$"):
        find_change(plan, key)


@pytest.mark.parametrize("key", ["HEAD~", "ROOT^", "@v3~3"])
def test_references_outside_the_plan(key: str) -> None:
    with pytest.raises(Failure, match=rf'^"{re.escape(key)}" lies outside the plan \S+$'):
        find_change(REWORKED, key)


@pytest.mark.parametrize("key", ["", " ", "@", "^", "~2", "a@"])
def test_an_empty_reference_is_wrong_usage(key: str) -> None:
    for plan in (REWORKED, Plan("empty")):
        with pytest.raises(Usage, match="names no change"):
            find_change(plan, key)


def test_ambiguous_reference_names_the_choices() -> None:
    with pytest.raises(Failure, match=r'^"a\^" is ambiguous: name one of a@v2, a@HEAD$'):
        find_change(REWORKED, "a^")
    thrice = parse_plan(HEAD + "".join(f"a {BY}\n@v{n} {BY}\n" for n in range(3)))
    with pytest.raises(Failure, match=r'^"a" is ambiguous: name one of a@v0, a@v1, a@HEAD$'):
        find_change(thrice, "a")


@pytest.mark.parametrize(
    ("uri", "canonical"),
    [
        ("https://Example.COM", "https://example.com/"),
        ("HTTPS://example.com:443/a", "https://example.com/a"),
        (
            "http://example.com:8080/%7euser/%c3%a4/\u00e4",
            "http://example.com:8080/~user/%C3%A4/%C3%A4",
        ),
        ("https://b\u00fccher.example/", "https://xn--bcher-kva.example/"),
        ("git@github.com:a/b", "git@github.com:a/b"),
        ("FOO", "FOO"),
    ],
)
def test_canonical_uri(uri: str, canonical: str) -> None:
    assert canonical_uri(uri) == canonical


def test_script_hash(tmp_path: Path) -> None:
    script = tmp_path / "a.sql"
    assert script_hash(script) is None
    script.write_bytes(b"select 1;\r\n")
    assert script_hash(script) == sha1(b"select 1;\r\n", usedforsecurity=False).hexdigest()


def test_equality_ignores_where_it_was_read() -> None:
    assert replace(REWORKED, file="elsewhere") == REWORKED
