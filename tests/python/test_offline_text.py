"""The text of `sql`: what stands in it, what is refused, and that nothing breaks out of it."""

from __future__ import annotations

import errno
import os
import re
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from unittest.mock import Mock

import pytest
from small_project import Sql, run, table, write_project

from integrations_db.errors import Failure, Usage
from integrations_db.inline import inlined
from integrations_db.offline import offline_script, write
from integrations_db.project import load_project
from integrations_db.script import read_script

pytestmark = pytest.mark.static

ROOT = Path(__file__).parents[2]
ABC = {"a": table("a", tags=("v1",)), "b": table("b", requires=("a",)), "c": table("c")}
NOW = datetime(2026, 12, 1, 9, tzinfo=UTC)


def text(folder: Path, **options: object) -> str:
    """Returns the script of a project."""
    return offline_script(load_project(folder), generated=NOW, **options)  # type: ignore[arg-type]


def order(script: str) -> list[str]:
    """Returns what a script does, in order, as it says it."""
    return re.findall(r"^\\echo '\[\d+/\d+\] ([+-] \w+)[^:]*'$", script, re.MULTILINE)


def test_ranges(tmp_path: Path) -> None:
    write_project(tmp_path, ABC)
    assert order(text(tmp_path)) == ["+ a", "+ b", "+ c"]
    assert order(text(tmp_path, start="@v1", end="b")) == ["+ b"]
    assert order(text(tmp_path, revert=True, everything=True)) == ["- c", "- b", "- a"]
    assert order(text(tmp_path, revert=True, everything=True, start="b")) == ["- b", "- a"]
    assert order(text(tmp_path, revert=True, end="a")) == ["- c", "- b"]
    # What `--from a --to b` deploys is reverted from either end.
    back = text(tmp_path, revert=True, start="b", end="a")
    assert order(back) == ["- b"]
    assert text(tmp_path, revert=True, start="a", end="b") == back
    assert "--   From        b, change 2 of 3 in the plan\n--   To          a @v1, change 1" in back


@pytest.mark.parametrize(
    "options",
    [
        {"revert": True},
        {"revert": True, "start": "b"},
        {"revert": True, "everything": True, "end": "a"},
        {"everything": True},
    ],
)
def test_a_reversion_is_never_of_everything_by_accident(
    tmp_path: Path, options: dict[str, object]
) -> None:
    write_project(tmp_path, ABC)
    with pytest.raises(Usage, match="--all"):
        text(tmp_path, **options)


@pytest.mark.parametrize(
    "options",
    [{"start": "c"}, {"start": "b", "end": "a"}, {"revert": True, "start": "b", "end": "b"}],
)
def test_nothing_to_write(tmp_path: Path, options: dict[str, object]) -> None:
    write_project(tmp_path, ABC)
    with pytest.raises(Failure, match="nothing to write"):
        text(tmp_path, **options)


def test_the_command(tmp_path: Path) -> None:
    write_project(tmp_path, ABC)
    # No database, no network, and no password of the target that the project has.
    with (tmp_path / "sqitch.conf").open("a") as conf:
        conf.write(
            '\ttarget = prod\n[target "prod"]\n\turi = db:pg://u:hunter2@nowhere.invalid/d\n'
        )
    secret = {"SQITCH_PASSWORD": "hunter3", "PGPASSWORD": "hunter4"}
    epoch = {"SOURCE_DATE_EPOCH": "1796119200", **secret}
    first = run(tmp_path, "sql", **epoch)
    assert (first.returncode, first.stderr) == (0, "")
    assert "hunter" not in first.stdout
    assert "Generated   2026-12-01 10:00:00 UTC by integrations-db" in first.stdout
    # The same wherever it is run, but for the time.
    again = run(tmp_path / "deploy", "-C", "..", "sql", **epoch)
    assert again.stdout == first.stdout
    later = run(tmp_path, "sql", **secret).stdout.splitlines()
    changed = [one for one, two in zip(first.stdout.splitlines(), later, strict=True) if one != two]
    assert all(line.startswith("--   Generated ") for line in changed)

    done = run(tmp_path, "sql", "-o", "out.sql", **epoch)
    assert (done.returncode, done.stdout) == (0, "")
    assert (tmp_path / "out.sql").read_text() == first.stdout
    done = run(tmp_path, "sql", "--to", "a", "-o", "out.sql", **epoch)
    assert (done.returncode, "out.sql is there already" in done.stderr) == (1, True)
    assert (tmp_path / "out.sql").read_text() == first.stdout
    done = run(tmp_path, "sql", "-o", "absent/out.sql", **epoch)
    assert (done.returncode, "cannot be written: No such file" in done.stderr) == (1, True)
    assert sorted(path.name for path in tmp_path.glob(".*")) == []
    assert run(tmp_path, "sql", "-o", "-", **epoch).stdout == first.stdout
    assert run(tmp_path, "sql", "--revert").returncode == 2
    assert run(tmp_path, "sql", "--to", "nosuch").returncode == 1
    assert run(tmp_path, "sql", SOURCE_DATE_EPOCH="soon").returncode == 2


def test_a_file_where_no_links_can_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As on a USB stick."""
    monkeypatch.setattr(os, "link", Mock(side_effect=PermissionError(errno.EPERM, "no links")))
    file = tmp_path / "out.sql"
    write("approved\n", file)
    with pytest.raises(Failure, match="is there already"):
        write("other\n", file)
    assert (file.read_text(), list(tmp_path.iterdir())) == ("approved\n", [file])


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("create table :nosuch ();", r"deploy/x\.sql:2: the variable nosuch is not set"),
        ("select :'nosuch';", "the variable nosuch is not set"),
        ('\\if true\nselect :"nosuch";\n\\endif\n', "the variable nosuch is not set"),
        ("select 1;\n\\q\n", r"deploy/x\.sql:3: \\q would end or leave"),
        ("\\connect other\nselect 1;\n", "would end or leave"),
        ("\\if true\nselect 1;\n", "without .endif"),
        ("\\endif\nselect 1;\n", "without .if"),
        ("select 1;\n\\else\n", r"deploy/x\.sql:3: \\else without .if"),
        ("\\if true\n\\else\n\\if true\n\\endif\n\\elif true\n\\endif\n", r"elif after .else"),
        ("\\set integrations_db_there 9\n", r"deploy/x\.sql:2: variables of psql that begin"),
        ("select 9 as integrations_db_there\n\\gset\n", "Give them other names"),
        ("\\i :file\n", "known only when it runs"),
        ("\\i nosuch.sql\n", r"nosuch\.sql: cannot be read: No such file"),
        ("\\ir x.sql\n", "files include each other"),
        ("\\copy t from stdin\n1\n", r"deploy/x\.sql:2: its rows do not end"),
        ("select (1;\n", "is not closed before the file ends"),
        ("\\echo hi\nselect 'open;\n", "is not closed before the file ends"),
        ("begin;\nselect 1;\n", "BEGIN without COMMIT"),
    ],
)
def test_scripts_that_cannot_be_part_of_it(tmp_path: Path, script: str, said: str) -> None:
    write_project(tmp_path, {"x": Sql(script)})
    with pytest.raises(Failure, match=said):
        text(tmp_path)


def test_bytes_that_are_not_utf8(tmp_path: Path) -> None:
    write_project(tmp_path, {"x": Sql("\\i deploy/more.sql\n")})
    (tmp_path / "deploy" / "more.sql").write_bytes(b"select '\xe4';\n")
    with pytest.raises(Failure, match="is not UTF-8"):
        text(tmp_path)
    (tmp_path / "deploy" / "x.sql").write_bytes(b"select '\xe4';\n")
    with pytest.raises(Failure, match="is not UTF-8"):
        text(tmp_path)


@pytest.mark.parametrize("name", ["AUTOCOMMIT", "ON_ERROR_ROLLBACK", "integrations_db_there"])
def test_variables_that_would_change_the_script_itself(tmp_path: Path, name: str) -> None:
    write_project(tmp_path, ABC)
    with pytest.raises(Failure, match=name):
        text(tmp_path, variables={name: "off"})


def test_variables_of_each_kind_are_set_before_its_scripts(tmp_path: Path) -> None:
    write_project(tmp_path, {"a": Sql("select :'v';\n", verify="select :'v';\n")})
    shared = text(tmp_path, variables={"v": "one"})
    assert shared.count("\\set v 'one'\n") == 1
    with (tmp_path / "sqitch.conf").open("a") as conf:
        conf.write('[deploy "variables"]\n\tv = one\n[verify "variables"]\n\tv = it\'s two\n')
    own = text(tmp_path)
    first, second = own.index("\\set v 'one'\n"), own.index("\\set v 'it''s two'\n")
    assert own.index("-- >>>>>>>> deploy/a.sql") > first
    assert own.index("-- <<<<<<<< deploy/a.sql") < second < own.index("-- >>>>>>>> verify/a.sql")


def test_files_that_must_be_there_are_named(tmp_path: Path) -> None:
    reads = "\\copy t from 'it''s.csv' csv\n\\copy t from stdin\n1\n\\.\n\\lo_import photo.png\n"
    write_project(tmp_path, {"a": Sql(reads), "b": table("b", note="FILES")})
    assert (
        "FILES that are not in this one, and that psql reads from where it is run\n--\n"
        "--   'it''s.csv', by deploy/a.sql\n--   photo.png, by deploy/a.sql\n--\n"
    ) in text(tmp_path)
    assert "FILES that" not in text(tmp_path, start="a")


def test_constraints_are_deferred_again_wherever_they_may_be_made(tmp_path: Path) -> None:
    writes = Sql("select 1;\n", verify="begin;\ninsert into t values (1);\nrollback;\n")
    again = "deferred', 'select') \\gexec"
    write_project(tmp_path, {"a": Sql("select 1;\n"), "b": writes})
    assert again not in text(tmp_path)
    (tmp_path / "more.sql").write_text("create table t (id int unique deferrable);\n")
    write_project(tmp_path, {"a": Sql("\\i more.sql\n"), "b": writes})
    assert again in text(tmp_path)
    write_project(tmp_path, {"a": Sql("select 1;\n"), "b": replace(writes, requires=["other:t"])})
    assert again in text(tmp_path)


def parts(script: str) -> dict[str, str]:
    """Returns what stands between the arrows."""
    found = re.findall(
        r"^-- >>>>>>>> (\S+) >>>>>>>>\n(.*?)^-- <<<<<<<< \1 <<<<<<<<$",
        script,
        re.MULTILINE | re.DOTALL,
    )
    return dict(found)


def test_scripts_of_this_package_stand_in_it_as_they_are() -> None:
    found = parts(text(ROOT)) | parts(text(ROOT, revert=True, everything=True))
    kept = {path.relative_to(ROOT).as_posix(): path.read_text() for kind in
            ("deploy", "revert", "verify") for path in (ROOT / kind).rglob("*.sql")}  # fmt: skip
    assert found.keys() == kept.keys()
    for path, whole in kept.items():
        assert re.sub(r"/\* (begin|commit|rollback); \*/", r"\1;", found[path]) == whole


@pytest.mark.parametrize(
    ("source", "framed"),
    [
        ("begin;\nselect 1;\ncommit;\n", "/* begin; */\nselect 1;\n/* commit; */\n"),
        ("begin;\nselect 1;\nend", "/* begin; */\nselect 1;\n/* end; */\n"),
        (
            "begin /* x */;select 1;commit\n-- c\n;",
            "/* begin; */ /* x */select 1;/* commit; */\n-- c\n",
        ),
        ("begin -- /*\n;\nselect 1;\ncommit;", "/* begin; */ -- /*\n\nselect 1;\n/* commit; */\n"),
        ("select 1", "select 1\n;\n"),
        ("select 1 -- no more", "select 1 -- no more\n;\n"),
        (
            "begin; select 1\\; select 2; commit;",
            "/* begin; */ select 1\\; select 2; /* commit; */\n",
        ),
        ("begin\\; select 1\\; commit;", "/* begin; */\\; select 1\\; /* commit; */\n;\n"),
        ("set local x.y = 1;\nselect 1;\n", "/* set local x.y = 1; */\nselect 1;\n"),
        (
            "create function f() returns int begin atomic; select 1; end;\n",
            "create function f() returns int begin atomic; select 1; end;\n",
        ),
        ("", ""),
    ],
)
def test_its_own_transaction_becomes_a_comment(tmp_path: Path, source: str, framed: str) -> None:
    path = tmp_path / "x.sql"
    path.write_text(source)
    script = read_script(path, "deploy")
    assert script.execution == "atomic"
    found = inlined(script, tmp_path, {}, framed=True).text
    assert found == framed


def test_notes_and_names_do_not_break_out_of_comments(tmp_path: Path) -> None:
    note = "one\n\\! touch /tmp/broken\r\\q\n*/ drop table a; \x1b[31m \u202e"
    write_project(tmp_path, {"a'\"`$x": replace(table("a"), note=note)})
    script = text(tmp_path)
    assert "\x1b" not in script and "\u202e" not in script
    for line in script.splitlines():
        assert not line.startswith(("\\!", "\\q", "*/"))


def test_the_page_tells_all_that_the_script_takes(tmp_path: Path) -> None:
    write_project(tmp_path, {"i": Sql("create index concurrently i on a (id);\n")})
    taken = set(re.findall(r"-v (integrations_db_\w+)=", text(tmp_path)))
    page = (ROOT / "docs" / "offline.md").read_text()
    assert len(taken) == 5
    assert set(re.findall(r"-v (integrations_db_\w+)=", page)) == taken
