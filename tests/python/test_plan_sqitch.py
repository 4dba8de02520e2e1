"""The plan against Sqitch itself: what it refuses, what it reads, its IDs, its references."""

from __future__ import annotations

import random
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st
from small_project import sqitch
from sqitch_modules import Sqitch, running

from integrations_db.errors import Failure
from integrations_db.plan import (
    Change,
    Dependency,
    Plan,
    Tag,
    find_change,
    format_plan,
    parse_plan,
    read_plan,
    resolve_dependency,
)
from size import size

pytestmark = pytest.mark.static

BY = "2026-01-01T00:00:00Z Ada <a@e.x>"
HEAD = "%project=p\n\n"
ZEROS = "0" * 40


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqitch]:
    """Sqitch's own reader of plans."""
    with running(tmp_path_factory.mktemp("theirs")) as process:
        yield process


def ours(folder: Path, data: bytes) -> dict[str, Any]:
    """What we read in a plan, in the form of :meth:`Sqitch.plan`."""
    file = folder / "our.plan"
    file.write_bytes(data)
    try:
        plan = read_plan(file)
    except Failure as error:
        return {"error": str(error)}
    return {"project": plan.project, "changes": as_read(plan)}


def as_read(plan: Plan) -> list[dict[str, Any]]:
    """The changes of a plan, in the form of :meth:`Sqitch.plan`."""
    return [
        {
            "id": change.id,
            "name": change.name,
            "note": change.note,
            "planner": f"{change.planner_name} <{change.planner_email}>",
            "date": change.planned_at.isoformat()[:19] + "Z",
            "requires": [d.name_in(plan.project) for d in change.requires],
            "conflicts": [d.name_in(plan.project) for d in change.conflicts],
            "tags": [[tag.name, tag.id, tag.note] for tag in change.tags],
            "rework_tags": list(plan.rework_tags[index]),
        }
        for index, change in enumerate(plan.changes)
    ]


def same(theirs: Sqitch, folder: Path, data: bytes) -> dict[str, Any]:
    """Demands that both refuse a plan, or both read the same; returns what was read."""
    told, read = theirs.plan(data), ours(folder, data)
    told.pop("found", None)
    if "error" in told and "error" in read:
        # They name the line where they stop; a wrong dependency they find at the next tag only.
        line = re.search(r"Syntax error in \S+ at line (\d+):", told["error"])
        assert re.match(rf"{re.escape(str(folder))}\S*:{line[1] if line else ''}", read["error"])
        return {"error": None}
    assert read == told, data
    return read


NAMES = (
    *"a Z _ _a_ a_ 0a a/b a//b a/../b a.b a+b a|b a^b a~b a=b a%2c a~1b a-1 head a\" a'b".split(),
    *"\u00e9 e\u0301 \u963b92 a\u00b2 \u00bd \u2167 \u24b6 \U0001f130 \u00aa a\u203f".split(),
    *"\u203fa a\u20ac \u20aca \u20ac \U0001f600 a\U0001f600 a\u200d \u200da a\ufeff".split(),
    *"\ufeffa a\u2010 \u00aba\u00bb a\u0663 a=\u0663 a~\u0663 0 00 .a a. -a +a a- a=1".split(),
    *"a~1 a/1 a^3 a%2 ~1a @a a:b a#b a\\b HEAD ROOT".split(),
    *("a\u00a0b", "a\u3000", "a b", "a\tb", "a\vb", "a\fb", "a\x85b", "a\u2028b", "a\x1cb", "\ra"),
    *("f" * 39, "f" * 40, "f" * 41, "F" * 40, "g" * 40, "- a", "@ a", "a]", "[a"),
)


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_names(theirs: Sqitch, tmp_path: Path, name: str) -> None:
    for text in (
        f"{HEAD}{name} {BY}\n",
        f"{HEAD}{name}{BY}\n",
        f"{HEAD}a {BY}\n@{name} {BY}\n",
        f"{HEAD}{name} {BY}\nb [{name}] {BY}\n",
        f"{HEAD}{name} {BY}\n@t {BY}\n{name} [{name}@t {name}] {BY}\n",
        f"{HEAD}a {BY}\nb [q:{name} z:b@{name} {name}:z !z@{name}] {BY}\n",
        f"{HEAD}a {BY} # {name}\n@t {BY} #{name} {name}\n",
        f"{HEAD}a 2026-01-01T00:00:00Z {name} <{name}>\n",
        f"%project={name}\n\na {BY}\n",
        f"%project=p\n%{name}=x\n\na {BY}\n",
        f"%project=p\n%uri={name}\n\na {BY}\n",
    ):
        same(theirs, tmp_path, text.encode())


# One a line; ~ stands for a new line, $ for the end of a change's or tag's line.
HEADS = """
%project=p
%project=p~
%project=p~~
%project=p~a$
%project
%project=
%project=0~~a$
%project= p ~~a$
%project=p # note~~a$
 \t% \tproject \t= \tp \t~~a$
%project=a b~~a$
%project=p~%project=q~~a$
%project=p~#~~a$
%project=p~# ~a$
%project=p~#0~a$
%project=p~ # 0 ~~a$
%project=p~# x~~a$
# x~%project=p~~a$
~%project=p~~a$
%project=p~ \t~a$
%project=p~\u00a0~a$
\ufeff%project=p~~a$
%syntax-version=9~%project=p~~a$
%syntax-version~%project=p~~a$
%project=p~%uri~~a$
%project=p~%uri=~~a$
%project=p~%uri=0~~a$
%project=p~%uri=a:b~%uri=HTTP://C.D:80~~a$
%project=p~%x~%y=0~%z = a = b ~~a$
%project=p~%x-y=1~~a$
%project=p~%x-=1~~a$
%project=p~% =1~~a$
%project=p~%x y=1~~a$
%project=p~%x  = 1~~a$
%project=p~%%x=1~~a$
%project=p~%x%=1~~a$
""".strip("\n").split("\n")
LINES = """
a$\r
a$ \t
a$x
a$ #
a$# 0
a$#0
a$ # 0\u00a0
a$ # x\\
a$ # x\\\\n\\n\\r\\t\\\\
a$ # \x85\x0bx\x1c
a$ # \\nx\\n
a$ # x # y
a # $
a$~#
a$~# ~ #
a$~ #x~  \t ~\u00a0~
a$~\v
a$~%x=1
a$~0
+a$~- b$~ +\tc$~-\td$
--a$
+-a$
a$~+@t$
a$~@+t$
a$~@ t$
a [a]$
a [b]$~b$
a [p:b]$~b$
a [!b]$~b$
z$~a [z] $
z$~a []$
z$~a [ ]$
z$~a [ z]$
z$~a [z ]$
z$~a [z\t\u00a0z]$
z$~a [z !z]$
z$~a [z p:z]$
z$~a [!z !z]$
z$~a [z\u00a0!y]$
z$~a [!!z]$
z$~a [!]$
z$~a [q:]$
z$~a [:z]$
z$~a [@]$
z$~a [0]$
z$~a [!0]$
z$~a [q:@t !q:z@t]$
z$~a [z][z]$
z$~a [z $
z$~a z]$
z$~a [HEAD]$
z$~a [@HEAD]$
z$~a [z@HEAD]$
z$~a [!HEAD !@ROOT]$
z$~a [z^]$
z$~a [z~1]$
z$~a [q:0000000000000000000000000000000000000000]$
z$~a [!q:0000000000000000000000000000000000000000]$
z$~a [q:0000000000000000000000000000000000000000@t]$
z$~a [q:00000000000000000000000000000000000000000]$
z$~a [p:0000000000000000000000000000000000000000]$
z$~@t$~a [z@t @t p:z@t p:@t]$
z$~@t$~a [a@t]$
z$~@t$~b$~@u$~a [b@t]$
z$~@t$~a$~b [a@t]$
z$~@t$~z$~@u$~a [z@t]$
z$~@t$~z$~a [z@t]$
z$~@t$~z [z@t]$~@u$~a [z@u]$
z [@t]$~@t$
z$~b [@t]$~@t$
z$~@t$~z [z]$
z$~@t$~z$~z$
z$~@t$~b$~@u$~@v$~b$~z$
z$~@t$~@t$
@t$
z$~@t []$
z$~@t [z]$
z$~@t [0]$
z$~@t/u$
z$~@HEAD$
z$~Z$
zz$~@zz$~zz [zz@zz]$
""".strip("\n").split("\n")


@pytest.mark.parametrize("text", [*HEADS, *(HEAD.replace("\n", "~") + t for t in LINES)], ids=ascii)
@pytest.mark.parametrize("end", ["", "\n", "\r\n"], ids=["", "lf", "crlf"])
def test_lines(theirs: Sqitch, tmp_path: Path, text: str, end: str) -> None:
    text = text.replace("$", f" {BY}").replace("~", end or "\n") + end
    same(theirs, tmp_path, text.encode())


@pytest.mark.parametrize(
    "by",
    [
        "2026-02-30T00:00:00Z A <a>",
        "2024-02-29T23:59:59Z A <a>",
        "2023-02-29T00:00:00Z A <a>",
        "2026-01-01T24:00:00Z A <a>",
        "2026-01-01T00:60:00Z A <a>",
        "2026-01-01T23:59:60Z A <a>",
        "2026-13-01T00:00:00Z A <a>",
        "2026-00-01T00:00:00Z A <a>",
        "2026-01-00T00:00:00Z A <a>",
        "0001-01-01T00:00:00Z A <a>",
        "9999-12-31T23:59:59Z A <a>",
        "\u0662\u0660\u0662\u0666-01-01T00:00:00Z A <a>",
        "2026-1-01T00:00:00Z A <a>",
        "2026-01-01T00:00:00z A <a>",
        "2026-01-01 00:00:00Z A <a>",
        "2026-01-01T00:00:00Z 2026-01-01T00:00:00Z A <a>",
        "2026-01-01T00:00:00ZA <a>",
        "2026-01-01T00:00:00ZA<a>",
        "2026-01-01T00:00:00Z <a>",
        "2026-01-01T00:00:00Z  <a>",
        "2026-01-01T00:00:00Z   <a>",
        "2026-01-01T00:00:00Z 0 <a>",
        "2026-01-01T00:00:00Z 0  <a>",
        "2026-01-01T00:00:00Z A <0>",
        "2026-01-01T00:00:00Z A <>",
        "2026-01-01T00:00:00Z A < >",
        "2026-01-01T00:00:00Z A <b <a>",
        "2026-01-01T00:00:00Z A <a<b>",
        "2026-01-01T00:00:00Z A <a>>",
        "2026-01-01T00:00:00Z A <a> <b>",
        "2026-01-01T00:00:00Z [A] <a>",
        "2026-01-01T00:00:00Z A > <a>",
        "2026-01-01T00:00:00Z A  \t\u00a0<a>",
        "2026-01-01T00:00:00Z A",
        "2026-01-01T00:00:00Z",
        "A <a>",
        "",
    ],
    ids=ascii,
)
def test_timestamps_and_planners(theirs: Sqitch, tmp_path: Path, by: str) -> None:
    same(theirs, tmp_path, f"{HEAD}a {by}\nb {BY}\n@t {by}\n".encode())
    same(theirs, tmp_path, f"{HEAD}a {BY}\n@t {by} # note\n".encode())


@pytest.mark.parametrize(
    "raw",
    [
        *(b"\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\xe2\x80"),
        *(b"\xef\xbf\xbf", b"\xef\xb7\x90", b"\xf0\x9f\xbf\xbe"),
    ],
)
def test_bytes_that_are_no_text_name_the_line(theirs: Sqitch, tmp_path: Path, raw: bytes) -> None:
    data = f"{HEAD}a {BY}\nb {BY} # ".encode() + raw + b"\n"
    assert same(theirs, tmp_path, data) == {"error": None}
    assert "our.plan:4: " in ours(tmp_path, data)["error"]


@pytest.mark.parametrize(
    ("line", "why"),
    [
        (f"b [{ZEROS}] {BY}", "bare IDs"),
        (f"b [!{ZEROS}] {BY}", "bare IDs"),
        (f"b[c {BY}", "expected"),
        ("b 2016-12-31T23:59:60Z A <a>", "no date"),
        ("b 0000-01-01T00:00:00Z A <a>", "no date"),
        (f"b {BY} # \0", "U+0000"),
    ],
)
def test_what_is_refused_though_sqitch_reads_it(tmp_path: Path, line: str, why: str) -> None:
    error = ours(tmp_path, f"{HEAD}a {BY}\n{line}\n".encode())["error"]
    assert "our.plan:4: " in error
    assert why in error


def test_mutilated_plans(theirs: Sqitch, tmp_path: Path) -> None:
    """Every beginning of a plan, and many plans with one character more, less or changed."""
    whole = (
        "%syntax-version=1.0.0\n%project=p\n%uri=https://e.x/\n\n"
        f"a {BY} # One\n+b [a !q:c] {BY}\r\n@v1 {BY} # tag\n\n  # comment\n"
        f"a [a@v1 b] {BY} # Two\\nlines\n"
    )
    read = 0
    for end in range(len(whole) + 1):
        read += "changes" in same(theirs, tmp_path, whole[:end].encode())
    characters = "ab01@~^#%:!/[]<>\\+- \t\r\n\u00a0\u0301\u20ac\u0663"
    rest = random.Random(7)  # noqa: S311
    for _ in range(600):
        place, more = rest.randrange(len(whole)), rest.choice(characters)
        text = whole[:place] + more + whole[place + rest.randint(0, 1) :]
        brackets = re.findall(r".\[|\].|\[|\]", text)
        if brackets in ([" [", "] "] * 2, [" [", "] "]):  # else 1.3 takes them for a part of a name
            read += "changes" in same(theirs, tmp_path, text.encode())
    assert read > 150


# Generated plans. Only what the grammar excludes is excluded here.
_text = st.characters(exclude_categories=["Cs"], exclude_characters="\0\n").filter(
    lambda c: ord(c) & 0xFFFE != 0xFFFE and not 0xFDD0 <= ord(c) <= 0xFDEF
)
_blank = " \t" + "".join(c for c in map(chr, range(0x3001)) if unicodedata.category(c) == "Zs")
_names = st.from_regex(
    r"[a-z_\u00e4\u0301][a-z0-9_/.+=^\u962a\u20ac'-]{0,10}[a-z0-9_\u0301]", fullmatch=True
).filter(lambda name: not re.search(r"[/=^]\d+$", name))
_times = st.integers(0, 10**10).map(
    lambda s: datetime(1900, 1, 1, tzinfo=UTC) + timedelta(seconds=s)
)
_planners = st.text(_text, min_size=1, max_size=12).filter(
    # A planner of 0 is none to Perl; its blanks in front are taken off.
    lambda who: who != "0" and not re.search(r"[<#\r]", who) and who[0] not in _blank
)
_emails = st.text(_text, min_size=1, max_size=12).filter(lambda e: not re.search(r"[>#\r]", e))
_notes = st.one_of(
    st.just("0"),
    st.text(st.one_of(_text, st.sampled_from("\\nr#\n\r \t")), max_size=20).filter(
        lambda note: re.fullmatch(
            r"(?![^\S\n\r\x1c-\x1f]).*(?<![^\S\n\r\x1c-\x1f])", note, re.DOTALL
        )
    ),
)


def is_none_of(names: list[str], name: str) -> bool:
    return name not in names


@st.composite
def plans(draw: st.DrawFn) -> Plan:
    """Plans with tags, dependencies of all forms, and reworked changes."""
    changes: list[Change] = []
    tags: list[str] = []
    tagged: list[tuple[str, str]] = []  # a change and the tag of its last tagged instance
    since_tag: list[str] = []
    for _ in range(draw(st.integers(0, 6))):
        names = [c.name for c in changes]
        again = sorted(set(names) - set(since_tag))
        fresh = _names.filter(partial(is_none_of, names))
        name = draw(st.one_of(st.sampled_from(again), fresh) if again else fresh)
        known = [Dependency(n) for n in sorted(set(names))]
        known += [Dependency(None, t) for t in tags] + [Dependency(c, t) for c, t in tagged]
        known += [Dependency("x/y", project="other"), Dependency(ZEROS, project="other")]
        known += [replace(d, project="self") for d in known if d.project is None]
        requires = draw(st.lists(st.sampled_from(known), unique=True, max_size=3))
        conflicts = draw(
            st.lists(st.builds(Dependency, _names, conflict=st.just(True)), unique=True, max_size=2)
        )
        by = st.tuples(_times, _planners, _emails, _notes)
        since_tag.append(name)
        new = [
            Tag(tag, *draw(by))
            for tag in draw(
                st.lists(
                    st.from_regex(r"[a-z][a-z0-9.]{0,5}[a-z]", fullmatch=True),
                    max_size=2,
                    unique=True,
                )
            )
            if tag not in tags
        ]
        changes.append(Change(name, *draw(by), tuple(requires), tuple(conflicts), tuple(new)))
        for tag in new:
            tags.append(tag.name)
            tagged = [pair for pair in tagged if pair[0] not in since_tag]
            tagged += [(c, tag.name) for c in since_tag]
            since_tag = []
    uri = draw(st.sampled_from([None, "https://example.com/p/", "HTTP://Example.com:80/%7ea b"]))
    pragmas = draw(st.sampled_from([(), (("x", "1"), ("y-z", "a = \u00e9"))]))
    return Plan("self", tuple(changes), uri, pragmas)


@given(plans())
@settings(max_examples=size(20, 100), suppress_health_check=[HealthCheck.too_slow], deadline=None)
def test_format_and_parse_are_inverse(plan: Plan) -> None:
    text = format_plan(plan)
    parsed = parse_plan(text)
    assert parsed == plan
    assert format_plan(parsed) == text


@given(plan=plans(), data=st.data())
@settings(
    max_examples=size(15, 100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_sqitch_reads_the_same_and_finds_the_same(
    theirs: Sqitch, plan: Plan, data: st.DataObject
) -> None:
    text = format_plan(plan)
    read = parse_plan(text)
    names = [c.name for c in plan.changes]
    tags = [tag.name for c in plan.changes for tag in c.tags]
    places = ["", *(f"@{t}" for t in [*tags, "HEAD", "ROOT", "none"])]
    signs = ["", "^", "^^", "^2", "^0", "~", "~~", "~3"]
    ids = [i for c in read.changes for i in (c.id, *(tag.id for tag in c.tags))]
    keys = data.draw(
        st.lists(
            st.builds(
                lambda *parts: "".join(parts),
                st.sampled_from(["", "HEAD", "ROOT", "none", *names, *ids]),
                st.sampled_from(places),
                st.sampled_from(signs),
            ).filter(lambda key: key.strip("~^0123456789") != ""),
            max_size=8,
        )
    )
    told = theirs.plan(text.encode(), *keys)
    assert told.get("changes") == as_read(read), told
    for key, index in told["found"].items():
        try:
            found: int | None = find_change(read, key)
        except Failure:
            found = None
        assert found == (index if read.changes else None), key


@given(plan=plans().filter(lambda plan: plan.changes))
@settings(
    max_examples=2,
    deadline=None,
    phases=[Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_the_command_shows_the_same_ids(plan: Plan, tmp_path: Path) -> None:
    (tmp_path / "sqitch.conf").write_text("[core]\n\tengine = pg\n")
    (tmp_path / "sqitch.plan").write_bytes(format_plan(plan).encode())
    shown = sqitch(tmp_path, None, "plan", "--format", "format:%H", "--no-headers")
    assert shown.returncode == 0, shown.stderr
    assert shown.stdout.split() == [change.id for change in parse_plan(format_plan(plan)).changes]


def test_a_plan_of_thousands_of_changes(theirs: Sqitch) -> None:
    lines = ["%project=big", ""]
    for n in range(3000):
        requires = f"[d{(n - 1) % 7}/c{n - 1} c@v{(n - 1) // 10 * 10}] " if n else ""
        lines += [f"d{n % 7}/c{n} {requires}{BY} # change {n}"]
        if n % 10 == 0:
            lines += [f"c {BY}", f"@v{n} {BY}"]
    plan = parse_plan("\n".join(lines) + "\n")
    told = theirs.plan("\n".join(lines).encode() + b"\n")
    assert [c.id for c in plan.changes] == [c["id"] for c in told["changes"]]
    for index, change in enumerate(plan.changes):
        for dependency in change.requires:
            found = resolve_dependency(plan, dependency)
            assert found is not None
            assert found < index
