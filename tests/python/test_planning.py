"""Lines added to plans: byte for byte what Sqitch writes, and what it refuses is refused."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqitch_modules import Sqitch, running
from test_plan_sqitch import plans

from integrations_db import planning
from integrations_db.config import Committer
from integrations_db.errors import Failure
from integrations_db.plan import Plan, format_plan, note_of, parse_plan
from size import size

pytestmark = pytest.mark.static

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)
WHO = Committer("Ada Lovelace", "ada@example.com")
BY = "2026-01-01T00:00:00Z Ada <a@e.x>"
HEAD = "%syntax-version=1.0.0\n%project=p\n\n"
TAGGED = f"{HEAD}a {BY}\nb/c [a] {BY}\n@v1 {BY}\n@v1b {BY}\n"


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqitch]:
    """Sqitch's own writer of plans."""
    with running(tmp_path_factory.mktemp("theirs")) as process:
        yield process


def both(theirs: Sqitch, text: str, what: str, **more: Any) -> tuple[str | None, str | None]:
    """Returns the new plan by Sqitch and by us, None where it is refused."""
    env = {"SQITCH_FULLNAME": WHO.name, "SQITCH_EMAIL": WHO.email, "SQITCH_EDITOR": "true"}
    told = theirs.edit(text.encode(), what, env, at="2026-03-04T05:06:07Z", **more)
    note = note_of(more.pop("note"))
    try:
        done = getattr(planning, what)(
            text, "sqitch.plan", more.pop("name"), WHO, note, at=AT, **more
        )
    except Failure:
        return told.get("text"), None
    return told.get("text"), (done[0] if what == "rework" else done).text


NOTES = ["Add it", "  two\n\nparts\n", r"read \n and \\ and \x", "0", "# no", "é\t€"]


@pytest.mark.parametrize("note", NOTES)
@pytest.mark.parametrize(
    ("what", "more"),
    [
        ("add", {"name": "d"}),
        ("add", {"name": "d/e", "requires": ["a", "p:b/c@v1", "@v1", "q:x", "a"]}),
        ("add", {"name": "d", "requires": ["a"], "conflicts": ["x", "q:y@z", "x"]}),
        ("rework", {"name": "b/c"}),
        ("rework", {"name": "a", "requires": ["b/c"], "conflicts": ["z"]}),
        ("tag", {"name": "v2"}),
        ("tag", {"name": "@v2", "change": "a"}),
        ("tag", {"name": "v2", "change": "@v1^"}),
    ],
)
def test_a_line_is_the_same(theirs: Sqitch, what: str, more: dict[str, Any], note: str) -> None:
    one, other = both(theirs, TAGGED, what, note=note, **more)
    assert one == other
    assert one is not None
    parse_plan(one)


@pytest.mark.parametrize(
    "text",
    [
        f"%project=p\n\na {BY}",
        f"%project = p  # why\r\n%x\r\n # c:\\d\r\n\r\n  a\t{BY} #\r\n",
        f" % syntax-version = 0.9 \n%project=p\n%uri=http://x/y \n#words\n \na {BY}  #n \\n\\x\n",
        f"{HEAD}# \tc\n+ a  {BY}\n  - b   [!x   a\t!y] {BY}\n  \n  @t  {BY}#n\n\n\n# end\n0",
        f"{HEAD}a {BY} # 0\n# 0\n@t {BY} #\n",
        f"# first  \n\t#  2nd\n%project=p # c:\\n\n# 3rd \\n \\x\t\n\nb {BY} # n \na [b]{BY}\n",
    ],
)
@pytest.mark.parametrize("what", ["add", "tag", "rework"])
def test_the_rest_is_written_as_sqitch_writes_it(theirs: Sqitch, text: str, what: str) -> None:
    name = {"add": "new", "tag": "new", "rework": "a"}[what]
    one, other = both(theirs, text, what, name=name, note="n")
    assert one == other
    assert one is not None or what == "rework"


@pytest.mark.parametrize(
    ("what", "more", "says"),
    [
        ("add", {"name": "a"}, "is in the plan already"),
        ("add", {"name": "b/c"}, "rework b/c"),
        ("add", {"name": "HEAD"}, "cannot be the name"),
        ("add", {"name": "ROOT"}, "cannot be the name"),
        ("add", {"name": "x y"}, "cannot be the name"),
        ("add", {"name": "-x"}, "cannot be the name"),
        ("add", {"name": "x~1"}, "cannot be the name"),
        ("add", {"name": "f" * 40}, "cannot be the name"),
        ("add", {"name": ""}, "cannot be the name"),
        ("add", {"name": "x", "requires": ["nosuch", "a", "c"]}, '"nosuch", "c"'),
        ("add", {"name": "x", "requires": ["a@nosuch"]}, '"a@nosuch"'),
        ("add", {"name": "x", "requires": ["x"]}, '"x"'),
        ("add", {"name": "x", "requires": ["a b"]}, "not a dependency"),
        ("add", {"name": "x", "conflicts": ["!a"]}, "not a dependency"),
        ("rework", {"name": "nosuch"}, "add nosuch"),
        ("rework", {"name": "a", "requires": ["nosuch"]}, '"nosuch"'),
        ("tag", {"name": "v1"}, 'v1" is in the plan already'),
        ("tag", {"name": "v1b"}, "sqitch.plan:7:"),
        ("tag", {"name": "v/1"}, "no slash"),
        ("tag", {"name": "x", "change": "nosuch"}, "no change"),
    ],
)
def test_both_refuse(theirs: Sqitch, what: str, more: dict[str, Any], says: str) -> None:
    assert both(theirs, TAGGED, what, note="n", **more) == (None, None)
    with pytest.raises(Failure, match=says):
        rest = {key: value for key, value in more.items() if key != "name"}
        getattr(planning, what)(TAGGED, "sqitch.plan", more["name"], WHO, "n", **rest)


def test_a_change_without_a_tag_after_it(theirs: Sqitch) -> None:
    text = f"{TAGGED}\nd {BY}\na [a@v1] {BY}\n"
    for name in ("a", "d"):
        assert both(theirs, text, "rework", name=name, note="n") == (None, None)
    with pytest.raises(Failure, match=r"sqitch.plan:10: .* no tag after it"):
        planning.rework(text, "sqitch.plan", "a", WHO, "n")


def test_a_comment_of_0_ends_the_pragmas(theirs: Sqitch) -> None:
    assert both(theirs, f"# 0\n%project=p\n\na {BY}\n", "add", name="n", note="n") == (None, None)


# Sqitch adds a change 0, and does not read it again.
@pytest.mark.parametrize("name", ["a/../../x", "a//b", "x/./y", "a/..", "x\ny", "0"])
def test_names_that_lead_out_of_the_folders_or_of_the_plan(name: str) -> None:
    with pytest.raises(Failure, match="cannot be the name"):
        planning.add(TAGGED, "sqitch.plan", name, WHO, "n")


@pytest.mark.parametrize(
    ("who", "note"), [(Committer("A # B", "a@e"), "n"), (WHO, "nul \0"), (WHO, "half \ud800")]
)
def test_what_could_not_be_read_again_is_refused(who: Committer, note: str) -> None:
    with pytest.raises(Failure, match="nothing was written"):
        planning.add(TAGGED, "sqitch.plan", "x", who, note)


@pytest.mark.parametrize("end", ["", "\n", "\n\n", "\r\n"])
def test_the_first_change_of_a_plan_of_pragmas(end: str) -> None:
    head = HEAD.rstrip()
    drafted = planning.add(f"{head}{end}", "sqitch.plan", "a", WHO, "n", at=AT)
    assert drafted.text.startswith(f"{head}\n\na 2026-03-04T")
    assert [change.name for change in drafted.plan.changes] == ["a"]


def test_a_name_with_a_typo_is_told_what_may_be_meant() -> None:
    text = f"{HEAD}tables/orders {BY}\n@v1 {BY}\n"
    with pytest.raises(Failure, match=r'to rework; did you mean "tables/orders"\?$'):
        planning.rework(text, "sqitch.plan", "tables/order", WHO, "n", at=AT)
    with pytest.raises(Failure, match=r'not in the plan \S+; did you mean "tables/orders"\?$'):
        planning.add(text, "sqitch.plan", "x", WHO, "n", ["tables/ordres"], at=AT)


def test_two_lines_within_a_second_are_in_order() -> None:
    text = HEAD
    for name in "abc":
        text = planning.add(text, "f", name, WHO, "n").text
    text = planning.tag(text, "f", "t", WHO, "n").text
    changes = parse_plan(text).changes
    times = [*(it.planned_at for it in changes), changes[-1].tags[0].planned_at]
    assert sorted(set(times)) == times
    assert abs((times[0] - datetime.now(UTC)).total_seconds()) < 10


@settings(
    max_examples=size(15, 100),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(plan=plans(), data=st.data())
def test_any_plan(theirs: Sqitch, plan: Plan, data: st.DataObject) -> None:
    text = format_plan(plan)
    what = data.draw(st.sampled_from(["add", "rework", "tag"]))
    names = [change.name for change in plan.changes]
    name = data.draw(st.sampled_from(["new", *names]))
    note = data.draw(st.sampled_from(NOTES))
    more: dict[str, Any] = {}
    if what == "tag":
        name = data.draw(st.sampled_from(["new", *(t.name for c in plan.changes for t in c.tags)]))
    else:
        known = st.sampled_from([*names, "x:y", *(f"self:{name}" for name in names)])
        more["requires"] = data.draw(
            st.lists(known, max_size=2, unique_by=lambda it: it.removeprefix("self:"))
        )
    one, other = both(theirs, text, what, name=name, note=note, **more)
    if one != other:  # Sqitch writes plans that it does not read again
        assert other is None or not plan.changes
        assert one is not None
        with pytest.raises(Failure):
            parse_plan(one)
