"""``add``, ``rework`` and ``tag``: like Sqitch's, all or nothing, and never over what is there."""

from __future__ import annotations

import errno
import os
import pty
import re
import resource
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import test_static_sql
from every_kind import CHANGES, EXAMPLES, PAGE, empty_project
from small_project import command, environment, run, run_json, sqitch

from integrations_db import scaffold, together
from integrations_db.errors import Failure
from integrations_db.plan import read_plan
from integrations_db.rendering import Templates

pytestmark = pytest.mark.static

ROOT = Path(__file__).parents[2]
TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")
WHO = "Ada Lovelace <ada@example.com>"

CUSTOM = """\
[core]
	engine = pg
	top_dir = db
	plan_file = db/the.plan
	extension = psql
	revert_dir = undo
[engine "pg"]
	reworked_dir = db/old
	verify_dir = db/proofs
[add]
	pgtap_dir = db/tap
"""


def tree(folder: Path) -> dict[str, str]:
    """Every file of a folder, without the times in plans."""
    return {
        path.relative_to(folder).as_posix(): TIME.sub("TIME", path.read_text())
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def done(folder: Path, *arguments: str) -> str:
    it = run(folder, *arguments)
    assert it.returncode == 0, it.stderr
    return it.stdout


def refused(folder: Path, *arguments: str, code: int) -> str:
    """What a command says that is refused, and that changes nothing."""
    before = tree(folder)
    it = run(folder, *arguments)
    assert it.returncode == code, it.stdout + it.stderr
    assert "Traceback" not in it.stderr
    assert tree(folder) == before
    assert not list(folder.rglob(".*.new"))
    return it.stderr


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return empty_project(tmp_path / "project")


ENUM = ["-t", "enum", "-s", "labels=a,b"]


# -- like Sqitch --------------------------------------------------------------------------------


@pytest.mark.parametrize("custom", [False, True])
def test_plan_and_files_are_sqitchs(tmp_path: Path, custom: bool) -> None:
    """The same commands by both tools, one after the other."""
    ours, theirs = (empty_project(tmp_path / name) for name in ("ours", "theirs"))
    for it in (ours, theirs) if custom else ():
        (it / "db").mkdir()
        (it / "sqitch.plan").rename(it / "db" / "the.plan")
        (it / "sqitch.conf").write_text(CUSTOM)
        (it / "db/old/deploy/a").mkdir(parents=True)  # Sqitch makes none
        (it / "db/old/revert/a").mkdir(parents=True)
        (it / "db/old/verify/a").mkdir(parents=True)
    for arguments in (
        ["add", "a/one", "-n", "Add one", "-n", "And why"],
        ["add", "two", "-r", "a/one", "-r", "other:x@y", "-x", "old", "-n", r"Two\nlines"],
        ["tag", "v1", "-n", "Release"],
        ["tag", "@v0", "a/one", "-n", "Earlier"],
        ["add", "three", "-r", "a/one@v1", "-r", "@v1", "-n", "0"],
        ["rework", "a/one", "-r", "two", "-n", "Better"],
        ["add", "four", "-n", "Four"],
    ):
        done(ours, *arguments, *(ENUM if arguments[0] == "add" else ()))
        by_sqitch = sqitch(theirs, None, *arguments)
        assert by_sqitch.returncode == 0, by_sqitch.stderr
    one, other = tree(ours), tree(theirs)
    for name in ("db/the.plan",) if custom else ("sqitch.plan",):
        assert one[name] == other[name]
        assert WHO in one[name]
    tests = {f"{'db/tap' if custom else 'tests/pgtap'}/{name}_test{'.sql'}"
             for name in ("a/one", "two", "three", "four")}  # fmt: skip
    assert set(one) - set(other) == tests
    assert set(other) - set(one) == set()
    # The former scripts are kept, and the former deploy script is the new revert script.
    place = {"deploy": "db/deploy", "revert": "undo", "verify": "db/proofs"} if custom else {}
    old = "db/old/{}" if custom else "{}"
    end = "psql" if custom else "sql"
    for tool in (one, other):
        texts = {}
        for kind in ("deploy", "revert", "verify"):
            texts[kind] = tool[f"{place.get(kind, kind)}/a/one.{end}"]
            texts[f"old {kind}"] = tool[f"{old.format(kind)}/a/one@v1.{end}"]
        assert texts["deploy"] == texts["old deploy"] == texts["revert"] != texts["old revert"]
        assert texts["verify"] == texts["old verify"]


@pytest.mark.parametrize(
    ("settings", "env"),
    [
        ('[user]\n\tname = Conf "Name"\n\temail = conf@e.x\n', {}),
        ("", {}),
        ("", {"SQITCH_FULLNAME": "Env", "SQITCH_EMAIL": "env@e.x"}),
        ("", {"SQITCH_ORIG_FULLNAME": "Orig", "SQITCH_ORIG_EMAIL": "orig@e.x"}),
    ],
)
def test_the_planner_is_whom_sqitch_takes(
    tmp_path: Path, settings: str, env: dict[str, str]
) -> None:
    ours, theirs = (empty_project(tmp_path / name, settings) for name in ("ours", "theirs"))
    nobody = {"SQITCH_FULLNAME": "", "SQITCH_EMAIL": ""}
    assert run(ours, "add", "a", "-n", "n", *ENUM, **nobody | env).returncode == 0
    subprocess.run(
        ["sqitch", "add", "a", "-n", "n"],  # noqa: S607
        cwd=theirs, env=environment(**nobody) | nobody | env, check=True, capture_output=True,
    )  # fmt: skip
    plans = [tree(it)["sqitch.plan"] for it in (ours, theirs)]
    assert plans[0] == plans[1]


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["add", "a"], "is in the plan already"),
        (["add", "HEAD"], "cannot be the name"),
        (["add", "x~1"], "cannot be the name"),
        (["add", "b", "-r", "nosuch"], '"nosuch"'),
        (["rework", "nosuch"], "no change"),
        (["rework", "a"], "no tag after it"),
        (["tag", "x/y"], "cannot be the name"),
    ],
)
def test_both_refuse(folder: Path, arguments: list[str], says: str) -> None:
    done(folder, "add", "a", "-n", "n", *ENUM)
    assert sqitch(folder, None, *arguments, "-n", "n").returncode == 2
    more = ENUM if arguments[0] == "add" else []
    code = 2 if "cannot be" in says else 1
    assert says in refused(folder, *arguments, "-n", "n", *more, code=code)


def test_tags_are_listed(folder: Path) -> None:
    assert done(folder, "tag") == ""
    done(folder, "add", "a", "-n", "n", *ENUM)
    done(folder, "tag", "v1", "-n", "n")
    done(folder, "tag", "v2", "-n", "n", "--change", "a")
    assert done(folder, "tag") == "@v1\n@v2\n"
    assert run_json(folder, "tag") == {"project": "shop", "tags": ["@v1", "@v2"]}


# -- what it says -------------------------------------------------------------------------------


def test_it_shows_what_it_wrote(folder: Path) -> None:
    said = done(folder, "add", "types/a", "-n", "Add a", *ENUM)
    line = (folder / "sqitch.plan").read_text().splitlines()[-1]
    files = [f"{it}/types/a.sql" for it in ("deploy", "revert", "verify")]
    files.append("tests/pgtap/types/a_test.sql")
    assert said == "".join(f"{it}\n" for it in [f"sqitch.plan: {line}", *(f"  {f}" for f in files)])
    told = run_json(folder, "add", "types/b", "-r", "types/a", "-n", "Add b", *ENUM)
    assert told["files"] == [it.replace("types/a", "types/b") for it in files]
    assert (told["project"], told["plan"], told["change"]) == ("shop", "sqitch.plan", "types/b")
    assert told["requires"] == ["types/a"]
    assert told["id"] == read_plan(folder / "sqitch.plan").changes[-1].id
    told = run_json(folder, "tag", "v1", "-n", "n")
    assert (told["tag"], told["files"]) == ("@v1", [])
    told = run_json(folder, "rework", "types/a", "-n", "n")
    assert told["files"] == [it.replace(".sql", "@v1.sql") for it in files[:3]]
    assert told["edit"] == files[:3]


def test_kinds_and_variables_are_listed(folder: Path) -> None:
    listed = done(folder, "add", "--list")
    assert [line.split()[0] for line in listed.splitlines()] == sorted({it.kind for it in CHANGES})
    said = done(folder, "add", "--list", "-t", "index")
    assert re.search(r"^  columns +.*\(required\)$", said, re.MULTILINE)
    assert re.search(r"^  where +(?!.*\(required\))", said, re.MULTILINE)
    assert done(folder.parent, "add", "--list") == listed  # in no project
    told = run_json(folder, "add", "--list")
    assert {it["kind"] for it in told["kinds"]} == {it.kind for it in CHANGES}


def test_everything_that_is_wrong_is_said_at_once(folder: Path) -> None:
    said = refused(folder, "add", "a", "-t", "index", "-n", "n", code=2)
    assert "  table    the table" in said
    assert "  columns" in said
    assert "for example: --set table='orders' --set columns='customer_id, created_at desc'" in said
    said = refused(folder, "add", "a", "-t", "index", "-n", "n", "-s", "nosuch=1",
                   "-s", "unique=perhaps", code=2)  # fmt: skip
    assert "--set nosuch: index has no such variable" in said
    assert "--set unique: is true or false" in said
    assert "  table    the table" in said
    assert "the variables of index: schema, table, columns" in said


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ([], "say what to add with --template KIND; there are: column, constraint,"),
        (["-t", "nosuch"], 'no template "nosuch"; there are: column, constraint,'),
        (["-t", "../table"], 'no template "../table"'),
        ([*ENUM, "-s", "owner"], "expected NAME=VALUE"),
        ([*ENUM, "-s", "Owner=a"], "expected NAME=VALUE"),
        ([*ENUM, "-s", "owner=" + 64 * "x"], "longer than the 63 bytes"),
        ([*ENUM, "-s", "owner=a$verify$b"], "quotes the body"),
        ([*ENUM, "-s", "owner=a", "-s", "owner=b"], "--set owner: is given twice"),
        ([*ENUM, "-s", "labels=a", "-s", "labels=a"], "given twice"),
        (["-t", "enum", "-s", "labels=a,,b"], "cannot be empty"),
        (["-t", "table", "-s", "columns=a"], "is not NAME TYPE"),
        (["-t", "table", "-s", "columns=a text, a text"], "two columns"),
        (["-t", "table", "-s", "columns=a text; drop table b"], "semicolon"),
        (["-t", "table", "-s", "columns=a text default 'x"], "not closed"),
        (["-t", "table", "-s", "columns=a text default (1"], "not closed"),
        (["-t", "table", "-s", "columns=a text default 1)"], "closes nothing"),
        (["-t", "table", "-s", "columns=a text /* b"], "comment"),
        (["-t", "view", "-s", "query=select :x"], "psql would take ':x'"),
        (["-t", "view", "-s", "query=select 1 \\gexec"], "psql would take"),
        (["-t", "function", "-s", "volatility=steady"], "one of volatile, stable, immutable"),
        (["-t", "function", "-s", "arguments=out a text"], "without mode"),
        (["-t", "trigger", "-s", "table=a", "-s", "events=insert, select"], "one of insert,"),
        (["-t", "definer_function"], "owner"),
        (["-t", "tenant_table"], "owner"),
        ([*ENUM, "--template-directory", "nowhere"], "does not exist"),
    ],
)
def test_wrong_usage(folder: Path, arguments: list[str], says: str) -> None:
    assert says in refused(folder, "add", "a", "-n", "n", *arguments, code=2)


def test_the_packaged_project_is_never_written(tmp_path: Path) -> None:
    assert "no sqitch.plan here" in refused(tmp_path, "add", "a", "-n", "n", *ENUM, code=2)
    assert "no sqitch.plan here" in refused(tmp_path, "tag", "v1", "-n", "n", code=2)


# -- the note -----------------------------------------------------------------------------------


@pytest.mark.parametrize("command_", [["add", "b", *ENUM], ["tag", "v"], ["rework", "a"]])
def test_without_a_terminal_a_note_must_be_given(folder: Path, command_: list[str]) -> None:
    done(folder, "add", "a", "-n", "n", *ENUM)
    done(folder, "tag", "v0", "-n", "n")
    assert "a note is missing: -n NOTE" in refused(folder, *command_, code=2)
    assert "a note is missing" in refused(folder, *command_, "-n", " ", code=2)


@pytest.mark.parametrize(
    ("script", "note"),
    [
        ("echo 'Two'; echo '# no'; echo; echo 'lines \\'; cat", r"# Two\n\nlines \\"),
        ("cat", None),
        ("exit 3", None),
    ],
)
def test_at_a_terminal_the_editor_opens(folder: Path, script: str, note: str | None) -> None:
    editor = folder / "editor"
    editor.write_text(f'#!/bin/sh\nset -e\ncp "$1" shown\n({script}) < shown > "$1"\n')
    editor.chmod(0o755)
    before = (folder / "sqitch.plan").read_text()
    ours, its = pty.openpty()
    with subprocess.Popen(  # noqa: S603
        command("add", "a", *ENUM),
        cwd=folder,
        env=environment(SQITCH_EDITOR="./editor"),
        stdin=its,
        stdout=its,
        stderr=its,
    ) as process:
        os.close(its)
        said = b""
        while True:
            try:
                said += os.read(ours, 1000)
            except OSError:
                break
    os.close(ours)
    assert "# Change to add:\n#\n#   a\n#     deploy/a.sql\n" in (folder / "shown").read_text()
    plan = (folder / "sqitch.plan").read_text()
    assert (process.returncode, plan == before) == ((1, True) if note is None else (0, False))
    assert plan.endswith(f"{note}\n") or note is None
    assert b"nothing was written" in said or note is not None


# -- all or nothing -----------------------------------------------------------------------------


def test_what_is_there_is_not_overwritten(folder: Path) -> None:
    for name in ("verify/a.sql", "tests/pgtap/a_test.sql"):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text("mine")
    said = refused(folder, "add", "a", "-n", "n", *ENUM, code=1)
    assert "there already; nothing was written:\n  verify/a.sql\n  tests/pgtap/a_test.sql" in said


@pytest.mark.parametrize("what", ["a link to nowhere", "a folder"])
def test_nor_what_is_no_file(folder: Path, what: str) -> None:
    (folder / "deploy").mkdir()
    if what == "a folder":
        (folder / "deploy" / "a.sql").mkdir()
    else:
        (folder / "deploy" / "a.sql").symlink_to("nowhere")
    assert "deploy/a.sql" in refused(folder, "add", "a", "-n", "n", *ENUM, code=1)


def test_a_rework_overwrites_no_copy(folder: Path) -> None:
    done(folder, "add", "a", "-n", "n", *ENUM)
    done(folder, "tag", "v1", "-n", "n")
    (folder / "verify" / "a@v1.sql").write_text("mine")
    assert "verify/a@v1.sql" in refused(folder, "rework", "a", "-n", "n", code=1)


def request(name: str) -> scaffold.Request:
    return scaffold.Request(name, "enum", variables={"labels": ["a", "b"]})


class Stop(BaseException):
    """An end of the process at some place."""


CALLS = ("mkdir", "open", "fsync", "link", "replace", "fchmod")


def at_call(patched: pytest.MonkeyPatch, number: int, act: Callable[[], None]) -> list[str]:
    """Does something before the n-th of the calls that change files; returns those made."""
    made: list[str] = []
    for name in CALLS:
        real = getattr(os, name)

        def call(*a: Any, _real: Any = real, _name: str = name, **k: Any) -> Any:
            made.append(_name)
            if len(made) == number:
                act()
            return _real(*a, **k)

        patched.setattr(os, name, call)
    return made


def raising(error: BaseException) -> Callable[[], None]:
    def act() -> None:
        raise error

    return act


def write_one(folder: Path, what: str) -> None:
    if what == "add":
        scaffold.add(folder, None, request("new/er/b"), "n", str)
    else:
        scaffold.rework(folder, None, "deep/a", (), (), "n", str)


@pytest.fixture
def tagged(folder: Path) -> Path:
    """A project with a change that may be reworked, and templates that take no time."""
    tiny = {
        f"{it}_enum": f"-- {it} {{{{ change }}}}" for it in ("deploy", "revert", "verify", "test")
    }
    write(folder / ".sqitch" / "templates", **tiny)
    scaffold.add(folder, None, request("deep/a"), "n", str)
    scaffold.tag(folder, None, "v1", None, "n", str)
    return folder


@pytest.mark.parametrize("error", [OSError(errno.ENOSPC, "No space left on device"), Stop()])
@pytest.mark.parametrize("what", ["add", "rework"])
def test_a_failure_anywhere_leaves_nothing(tagged: Path, what: str, error: BaseException) -> None:
    before, number = sorted(tagged.rglob("*")), 0
    texts = tree(tagged)
    while True:
        number += 1
        with pytest.MonkeyPatch.context() as patched:
            made = at_call(patched, number, raising(error))
            try:
                write_one(tagged, what)
            except (Failure, Stop):
                pass
            else:
                break
        assert tree(tagged) == texts, f"call {number}, {made[number - 1]}"
        assert sorted(tagged.rglob("*")) == before
    assert number > 12
    assert tree(tagged) != texts


def test_a_file_that_may_not_grow_is_named(folder: Path) -> None:
    before = tree(folder)
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        with pytest.raises(Failure) as caught:
            scaffold.add(folder, None, scaffold.Request("a", "table"), "n", str)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    said = r"\S+/verify/a\.sql: cannot be written: File too large\. Nothing was written\."
    assert re.fullmatch(said, str(caught.value)), caught.value
    assert tree(folder) == before


@pytest.mark.parametrize("what", ["add", "rework"])
def test_a_process_that_is_killed_leaves_no_half(tagged: Path, what: str) -> None:
    """Whatever it was doing: no line without its files; and the same command goes on."""
    kept, number = tagged.with_name("kept"), 0
    shutil.copytree(tagged, kept)
    whole: dict[str, str] = {}
    while True:
        number += 1
        shutil.rmtree(tagged)
        shutil.copytree(kept, tagged)
        pid = os.fork()
        if pid == 0:
            with pytest.MonkeyPatch.context() as patched:
                at_call(patched, number, partial(os._exit, 9))
                write_one(tagged, what)
                os._exit(0)
        _, status = os.waitpid(pid, 0)
        planned = tree(tagged)["sqitch.plan"] != tree(kept)["sqitch.plan"]
        if os.waitstatus_to_exitcode(status) == 0:
            assert planned
            break
        if not planned:
            write_one(tagged, what)  # goes on where it stopped
        whole = whole or tree(tagged)
        left = {name: text for name, text in tree(tagged).items() if not name.endswith(".new")}
        assert left == whole
        assert left == tree(tagged) or planned  # only beside a line that is there already
    assert number > 12


def test_many_at_once_lose_no_line(folder: Path) -> None:
    names = [f"types/n{number}" for number in range(8)]
    with ThreadPoolExecutor(len(names)) as pool:
        results = list(
            pool.map(lambda name: run(folder, "add", name, "-n", name, *ENUM), [*names, names[0]])
        )
    assert sorted(it.returncode for it in results) == [0] * 8 + [1]
    plan = read_plan(folder / "sqitch.plan")
    assert sorted(change.name for change in plan.changes) == names
    times = [change.planned_at for change in plan.changes]
    assert times == sorted(set(times))


def test_a_link_stays_a_link_and_a_mode_stays(folder: Path) -> None:
    (folder / "sqitch.plan").rename(folder.parent / "elsewhere.plan")
    (folder / "sqitch.plan").symlink_to("../elsewhere.plan")
    (folder.parent / "elsewhere.plan").chmod(0o640)
    done(folder, "add", "a", "-n", "n", *ENUM)
    assert (folder / "sqitch.plan").is_symlink()
    assert (folder.parent / "elsewhere.plan").stat().st_mode & 0o777 == 0o640
    assert "\na " in (folder.parent / "elsewhere.plan").read_text()


def test_without_hard_links(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def link(*_: Any) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", link)
    scaffold.add(folder, None, request("a"), "n", str)
    assert {"deploy/a.sql", "revert/a.sql", "verify/a.sql"} < set(tree(folder))
    with pytest.raises(Failure, match="there already"):
        (folder / "deploy" / "b.sql").write_text("mine")
        scaffold.add(folder, None, request("b"), "n", str)
    assert (folder / "deploy" / "b.sql").read_text() == "mine"


def test_where_nothing_may_be_written(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "deploy").write_text("no folder")
    said = refused(folder, "add", "a", "-n", "n", *ENUM, code=1)
    assert "cannot be written: Not a directory. Nothing was written." in said
    assert together.collisions({folder / "deploy" / "a.sql": b""}) == []


# -- templates of one's own ---------------------------------------------------------------------


def write(folder: Path, **texts: str) -> None:
    for name, text in texts.items():
        script, _, kind = name.partition("_")
        path = folder / script / f"{kind}.sql.j2"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_the_nearest_template_wins(folder: Path, tmp_path: Path) -> None:
    """On the command line, the configuration's, the project's, the user's, ours; file by file."""
    said = []
    places = {
        "system": tmp_path / "system" / "templates",
        "user": tmp_path / "user" / "templates",
        "project": folder / ".sqitch" / "templates",
        "configured": folder / "etc",
        "given": tmp_path / "given",
    }
    env = {
        "SQITCH_SYSTEM_CONFIG": str(tmp_path / "system" / "sqitch.conf"),
        "SQITCH_USER_CONFIG": "~/sqitch.conf",
        "HOME": str(tmp_path / "user"),
    }
    for place, templates in places.items():
        write(templates, deploy_enum=f"-- {place} {{{{ change }}}}\n")
        if place == "configured":
            with (folder / "sqitch.conf").open("a") as conf:
                conf.write("[add]\n\ttemplate_directory = etc\n\ttemplate_name = enum\n")
        more = ["--template-directory", str(templates)] if place == "given" else []
        more += [] if place == "configured" else ["-t", "enum"]
        it = run(folder, "add", place, "-n", "n", "-s", "labels=a", *more, **env)
        assert it.returncode == 0, it.stderr
        said.append((folder / f"deploy/{place}.sql").read_text())
        assert "drop type" in (folder / f"revert/{place}.sql").read_text()
    assert said == [f"-- {place} {place}\n" for place in places]


def test_a_kind_of_ones_own(folder: Path) -> None:
    own = folder / ".sqitch" / "templates"
    write(
        own,
        deploy_sequence='{% extends "_deploy.sql.j2" %}{% block body %}\n'
        "create sequence {{ name | ident }} start {{ first }};\n{% endblock %}",
        revert_sequence="drop sequence {{ name | ident }};",
        verify_sequence="select 1/0;",
    )
    said = refused(folder, "add", "seq/A", "-t", "sequence", "-n", "n", code=2)
    assert "the template sequence needs:\n  first" in said
    done(folder, "add", "seq/A", "-t", "sequence", "-n", "n", "-s", "first=7")
    text = (folder / "deploy/seq/A.sql").read_text()
    assert text.startswith("-- Deploy shop:seq/A to pg\n\nbegin;\nset local search_path")
    assert 'create sequence "A" start 7;\n\ncommit;\n' in text
    assert not (folder / "tests").exists()
    (own / "kinds.toml").write_text(
        '[sequence]\nabout = "a sequence"\n[sequence.variables]\nname = true\n'
        'first = { type = "sql", default = "1", about = "where it starts" }\n'
    )
    done(folder, "add", "seq/b", "-t", "sequence", "-n", "n")
    assert "start 1;" in (folder / "deploy/seq/b.sql").read_text()
    assert "sequence          a sequence" in done(folder, "add", "--list")


def test_one_may_extend_ours(folder: Path) -> None:
    write(
        folder / ".sqitch" / "templates",
        deploy_enum='{% extends "ours/deploy/enum.sql.j2" %}{% block body %}{{ super() }}'
        "-- more\n{% endblock %}",
    )
    done(folder, "add", "a", "-n", "n", *ENUM)
    text = (folder / "deploy/a.sql").read_text()
    assert "create type public.a as enum" in text
    assert text.endswith("-- more\n\ncommit;\n")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("{% if %}", r"deploy/enum\.sql\.j2:1: Expected an expression"),
        ("\n\n{{ nosuch }}", r"nosuch"),
        ("\n{{ labels.nosuch.more }}", r"deploy/enum\.sql\.j2:2: "),
        ("\n{{ ''.__class__.__mro__ }}", r"deploy/enum\.sql\.j2:2: access to attribute"),
        ("{{ cycler.__init__.__globals__ }}", r"deploy/enum\.sql\.j2:1: "),
        ("{% include '../../secret' %}", r"needs .*secret"),
        ("{% include '/etc/passwd' %}", r"needs .*passwd"),
        ("{% for i in range(10**9) %}{% endfor %}", r"deploy/enum\.sql\.j2:1: Range too big"),
        ("{{ 1/0 }}", r"deploy/enum\.sql\.j2:1: division by zero"),
        ("\udce9", r"cannot be read"),
    ],
)
def test_a_template_that_is_wrong(folder: Path, text: str, says: str) -> None:
    path = folder / ".sqitch/templates/deploy/enum.sql.j2"
    path.parent.mkdir(parents=True)
    path.write_bytes(text.encode(errors="surrogateescape"))
    (folder / "secret").write_text("secret")
    it = run(folder, "add", "a", "-n", "n", *ENUM)
    assert it.returncode in (1, 2)
    assert re.search(says, it.stderr), it.stderr
    assert "Traceback" not in it.stderr
    assert not (folder / "deploy").exists()


@pytest.mark.parametrize(
    "text", ["[", "enum = 3", "[enum]\nvariables = 3", '[enum.variables]\na = { type = "x" }']
)
def test_kinds_that_cannot_be_read(folder: Path, text: str) -> None:
    (folder / ".sqitch/templates").mkdir(parents=True)
    (folder / ".sqitch/templates/kinds.toml").write_text(text)
    assert ".sqitch/templates/kinds.toml: " in run(folder, "add", "a", "-n", "n", *ENUM).stderr


def test_sqitchs_own_templates_are_left_to_it(folder: Path) -> None:
    path = folder / ".sqitch/templates/deploy/mine.tmpl"
    path.parent.mkdir(parents=True)
    path.write_text("[% PERL %] system 'touch run' [% END %]")
    said = refused(folder, "add", "a", "-t", "mine", "-n", "n", code=2)
    assert "Template Toolkit" in said
    assert "sqitch add --template mine" in said


def test_variables_of_the_configuration(folder: Path) -> None:
    with (folder / "sqitch.conf").open("a") as conf:
        conf.write('[add "variables"]\n\tschema = app\n\towner = Me\n\tunknown = 1\n')
    done(folder, "add", "a", "-n", "n", *ENUM)
    text = (folder / "deploy/a.sql").read_text()
    assert "create type app.a" in text
    assert 'owner to "Me";' in text
    done(folder, "add", "b", "-n", "n", *ENUM, "-s", "schema=other", "-s", "owner=")
    text = (folder / "deploy/b.sql").read_text()
    assert "create type other.b" in text
    assert "owner" not in text
    # Sqitch reads the same section, for its own templates.
    assert sqitch(folder, None, "add", "c", "-n", "n").returncode == 0


# -- the page -----------------------------------------------------------------------------------


def test_the_examples_run(folder: Path) -> None:
    for arguments in EXAMPLES:
        done(folder, *arguments)
    plan = read_plan(folder / "sqitch.plan")
    assert [tag.name for change in plan.changes for tag in change.tags] == ["v1.0.0"]
    assert str(plan.changes[-1].requires[0]) == "functions/count_orders@v1.0.0"
    assert (folder / "deploy/functions/count_orders@v1.0.0.sql").exists()


def test_kinds_and_their_variables_are_those_of_the_page() -> None:
    templates = Templates([])
    table = PAGE.partition("| Kind | Makes | Variables |\n|---|---|---|\n")[2].partition("\n\n")[0]
    rows = re.findall(r"^\| `(\w+)` \| (.*?) \| (.*?) \|$", table, re.MULTILINE)
    assert sorted(name for name, _, _ in rows) == list(templates.kinds())
    for name, about, variables in rows:
        kind = templates.find(name)
        assert about == kind.about
        needed = {it.name for it in kind.variables.values() if it.default is None}
        assert set(re.findall(r"\*\*`(\w+)`\*\*", variables)) == needed
        assert set(re.findall(r"`(\w+)`", variables)) == set(kind.variables)


def test_the_template_of_the_page_is_one(folder: Path) -> None:
    (text,) = re.findall(r"```jinja\n(.*?)```", PAGE, re.DOTALL)
    (kinds,) = re.findall(r"```toml\n(.*?)```", PAGE, re.DOTALL)
    own = folder / ".sqitch/templates"
    write(own, deploy_sequence=text, revert_sequence="-- none", verify_sequence="-- none")
    (own / "kinds.toml").write_text(kinds)
    done(folder, "add", "seq/a", "-t", "sequence", "-n", "n", "-s", "first=9")
    assert "create sequence public.a start 9;" in (folder / "deploy/seq/a.sql").read_text()


# -- this repository ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """A copy of this repository to which a change of every kind was added."""
    here = tmp_path_factory.mktemp("repository")
    for name in ("deploy", "revert", "verify", "tests/pgtap", "tests/python", "docs"):
        shutil.copytree(ROOT / name, here / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("sqitch.plan", "sqitch.conf", "pyproject.toml"):
        shutil.copy(ROOT / name, here / name)
    who = {"SQITCH_FULLNAME": "Integrations DB", "SQITCH_EMAIL": "integrations-db@example.com"}
    with pytest.MonkeyPatch.context() as patched:
        for name, value in (environment() | who).items():
            patched.setenv(name, value)
        for it in CHANGES:
            if it.kind in ("role", "schema"):
                continue
            variables = {
                key: [text.replace("scaffold_app", "integrations") for text in texts]
                for key, texts in it.variables.items()
                if key not in ("readers", "callers", "role")
            }
            if it.kind == "grants":
                variables["role"] = ["svc_integration"]
            requires = [name for name in it.requires if not name.startswith(("schemas", "roles"))]
            scaffold.add(
                here, None, scaffold.Request(it.name, it.kind, requires, (), variables), "n", str
            )
    yield here


BREAKS = [
        ("008_created_at_idx", "-- Not atomic: ", "-- ", "second transaction"),
        ("008_created_at_idx", "\ncommit;\n\ncreate", "\ncommit;\nselect 1;\ncreate", "outside"),
        ("008_created_at_idx", "search_path = pg_catalog, pg_temp;\nset local lock_timeout = '5s'",
         "lock_timeout = '5s'", "does not start"),
        ("004_region_not_null", "timeout = '0'", "timeout = '5min'", "does not start"),
        ("004_region_not_null", "\ncommit;\n\n-- Reads", "\nrollback;\n\n-- Reads", "second"),
        ("005_amount_is_positive", "\ncommit;\n\n-- Reads", "\n\n-- Reads", "second transaction"),
        ("005_amount_is_positive", "\ncommit;\n", "\n", "does not end"),
    ]  # fmt: skip


def test_what_is_added_here_keeps_the_rules(copy: Path) -> None:
    for check in test_static_sql.CHECKS:
        assert list(check(copy)) == [], check.__name__
    # And the rule for scripts that are not atomic can be broken.
    for file, old, new, found in BREAKS:
        path = copy / f"deploy/tables/orders_{file}.sql"
        text = path.read_text()
        last = text.rfind(old)
        assert last >= 0, (file, old)
        path.write_text(text[:last] + new + text[last + len(old) :])
        said = [it.text for it in test_static_sql.frames(copy)]
        assert any(found in it for it in said), (file, new, said)
        path.write_text(text)


def test_what_is_reworked_here_keeps_the_rules(copy: Path) -> None:
    """The examples of CONTRIBUTING.md, with the edits that it asks for."""
    page = (ROOT / "CONTRIBUTING.md").read_text().replace("\\\n", " ")
    who = {name: value.strip("'") for name, value in re.findall(r"(SQITCH_\w+)=('.*?'|\S+)", page)}
    examples = re.findall(r"^ *\$ \.venv/bin/integrations-db (.*)$", page, re.MULTILINE)
    assert [it.split()[0] for it in examples] == ["add", "tag", "add", "rework"]
    for it in examples:
        told = run(copy, *shlex.split(it), **who)
        assert told.returncode == 0, told.stderr
    new = copy / "deploy/functions/count_instances.sql"  # without a body it raises nothing
    new.write_text(
        new.read_text().replace("svc_integration.$$", "svc_integration. Errors: none.$$")
    )
    headers = {
        "deploy": "-- Deploy integrations:functions/rename_instance to pg\n"
        "-- requires: functions/rename_instance@v0.1.0\n",
        "revert": "-- Revert integrations:functions/rename_instance from pg\n",
    }
    for kind, header in headers.items():
        assert header.splitlines()[-1] in page
        path = copy / kind / "functions/rename_instance.sql"
        text = path.read_text().replace("create function", "create or replace function")
        path.write_text(header + text[text.index("\nbegin;") :])
    for check in test_static_sql.CHECKS:
        assert list(check(copy)) == [], check.__name__
    # And the rule for former scripts can be broken.
    (copy / "verify/functions/rename_instance@v0.1.0.sql").unlink()
    (copy / "verify/functions/rename_instance@v0.sql").write_text("")
    assert {it.text for it in test_static_sql.triples(copy)} == {
        "verify/functions/rename_instance@v0.1.0.sql is missing",
        "no change of the plan has this script",
    }


def test_other_commands_load_no_jinja() -> None:
    code = "import sys, integrations_db.cli; sys.exit('jinja2' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0  # noqa: S603
