"""Configuration and targets against Sqitch itself: the dialect, the files, URIs, settings."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from psycopg.conninfo import conninfo_to_dict
from small_project import sqitch
from sqitch_modules import Sqitch, running

from integrations_db.config import Config, committer, load_config, parse_config, resolve_target
from integrations_db.errors import Failure, Usage
from integrations_db.project import load_project
from size import size

pytestmark = pytest.mark.static

ENV = ("CONFIG", "USER_CONFIG", "SYSTEM_CONFIG", "TARGET", "USERNAME", "PASSWORD")


@pytest.fixture(scope="module")
def theirs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sqitch]:
    """Sqitch's own reader of configurations."""
    with running(tmp_path_factory.mktemp("theirs")) as process:
        yield process


@pytest.fixture(autouse=True)
def nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of this machine's user is read."""
    for name in ENV:
        monkeypatch.delenv(f"SQITCH_{name}", raising=False)
    monkeypatch.setenv("SQITCH_USER_CONFIG", os.devnull)
    monkeypatch.setenv("SQITCH_SYSTEM_CONFIG", os.devnull)


def as_read(config: Config) -> dict[str, list[str | None]]:
    """The settings, in the form of :meth:`Sqitch.config`."""
    return {key: list(values) for key, values in config.values.items()}


def same(theirs: Sqitch, folder: Path, text: str) -> Config | None:
    """Demands that both refuse a file, or both read the same; returns what was read."""
    (folder / "sqitch.conf").write_bytes(text.encode())
    told = theirs.config(folder)
    try:
        config = load_config(folder)
    except Failure as error:
        assert re.search(r"sqitch\.conf:\d+: ", str(error))
        assert "error" in told, (text, told)
        return None
    assert as_read(config) == told.get("values"), (text, told)
    return config


PIECES = [
    *("[s]\n", "[A.B]", '[a "b"]', '[A "B c"]', '[a "b\\"c\\\\"]', "[ a ]", '[a"b"]', '[a "0"]'),
    *('[a ""]', "[\u00c9]\n", "x", "X_y", " = ", "=", "y = ", "x.y", '"', "'", "\\", "\\n", "\\t"),
    *("\\b", "\\\\", '\\"', "\\'", "\\q", "#", ";", " # c", ' ; "c', "\n", "\n\n", "\r\n", "\r"),
    *(
        " ",
        "\t",
        '"a b "',
        '" # b"',
        '"a\\nb"',
        '"a\\\\nb"',
        '"a\\"b"',
        "\\\n",
        '"a\\\nb"',
        '"a\nb"',
    ),
    *("\u00a0", "\x85", "\x1c", "\v", "true", "0", "[", "]", "%", "\u00e9 = \u00e4\n"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.sampled_from(["", "[s]\n"]))
@settings(
    max_examples=size(40, 400),
    deadline=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
def test_generated_files(theirs: Sqitch, tmp_path: Path, text: str, section: str) -> None:
    same(theirs, tmp_path, section + text)


CONF = """\
# A comment
[core] engine = pg ; another
\ttop_dir = "a # b" # with a trailing comment
\tplan_file = trailing blank \n\
\tflag
\tUnder_Score = a#b;c
[core "Variables"]
\tx = wrong case
[core "variables"]
\tMixed_Case = 1
\ttwice = one
\ttwice = two
[engine "pg.variables"]
\tlong = first \\
\t\tsecond
\tquoted = "tab\\t, newline\\n, backslash \\\\, "\\"and\\" 'more'
[target "prod, eu"]
\turi = db:pg://u:p@h/d
"""


def test_a_file_of_all_forms(theirs: Sqitch, tmp_path: Path) -> None:
    config = same(theirs, tmp_path, CONF)
    assert config is not None
    assert config.get("core.plan_file") == "trailing blank "
    assert config.get("core.flag", "none") == "none"
    assert config.flag("core.flag") is True
    assert config.all("core.variables.twice") == ("one", "two")
    assert config.section("core.variables") == {"Mixed_Case": "1", "twice": "two"}
    assert config.section("core.Variables") == {"x": "wrong case"}
    assert config.place("core.under_score").endswith("sqitch.conf:6")
    wanted = ["engine.pg.variables", "target.prod, eu"]
    told = theirs.config(tmp_path, *wanted)["sections"]
    assert {section: config.section(section) for section in wanted} == told
    for key in ("core.engine", "core.top_dir", "engine.pg.variables.quoted", "target.prod, eu.uri"):
        shown = sqitch(tmp_path, None, "config", "--get", key)
        assert shown.stdout.removesuffix("\n") == config.get(key)
    same(theirs, tmp_path, CONF.replace("\n", "\r\n"))
    same(theirs, tmp_path, CONF + "\n[a]\nlast = \\")


@pytest.mark.parametrize(
    ("value", "flag"),
    [
        *((value, True) for value in ("true", "YES", "on", "1", "-01")),
        *((value, False) for value in ("", "no", "Off", "false", "00")),
        *((value, None) for value in ("2", "t", "-0")),
    ],
)
def test_flags(value: str, flag: bool | None) -> None:
    config = parse_config(f"[deploy]\n\tverify = {value}\n")
    assert config.flag("deploy.mode") is None
    if flag is None:
        with pytest.raises(Failure, match=r"sqitch.conf:2: deploy.verify is neither"):
            config.flag("deploy.verify")
    else:
        assert config.flag("deploy.verify") is flag


def test_files_and_includes(
    theirs: Sqitch, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, home = tmp_path / "above" / "project", tmp_path / "home"
    project.mkdir(parents=True)
    (home / ".sqitch").mkdir(parents=True)
    files = {
        tmp_path / "system": "[a]\nsystem = 1\nall = s\nall = s2\n[user]\nname = S\n",
        home / ".sqitch" / "sqitch.conf": "[a]\nuser = 1\nALL = u\n[include]\npath = ../more\n",
        home / "more": "[a]\nmore = 1\nall = m\n[include]\npath = missing\n",
        project / "sqitch.conf": "[a]\nproject = 1\nall = p\n[include]\npath = ~/more\n[a]all = q",
        project.parent / "other.conf": "[a]\nother = 1\n",
        project / "other.conf": "[a]\nnear = 1\n",
        project.parent / "above.conf": "[a]\nabove = 1\n",
        project / "cycle.conf": "[include]\npath = cycle.conf\n",
    }
    for path, text in files.items():
        path.write_text(text)
    base = {"HOME": str(home), "SQITCH_SYSTEM_CONFIG": str(tmp_path / "system")}
    cases = [
        {"SQITCH_USER_CONFIG": ""},
        {"SQITCH_CONFIG": "other.conf"},
        {"SQITCH_CONFIG": "above.conf"},
        {"SQITCH_CONFIG": "missing.conf"},
        {"SQITCH_CONFIG": str(project.parent / "other.conf")},
        {"SQITCH_CONFIG": str(tmp_path / "system")},
        {"SQITCH_CONFIG": str(home)},
        {"SQITCH_USER_CONFIG": "~/more"},
        {"SQITCH_CONFIG": "cycle.conf"},
    ]
    read = []
    for case in cases:
        env = base | {"SQITCH_CONFIG": "", "SQITCH_USER_CONFIG": os.devnull} | case
        for name, value in env.items():
            monkeypatch.setenv(name, value)
        told = theirs.config(project, **env)
        try:
            read.append(as_read(load_config(project)))
        except Failure as error:
            assert re.search(r"cycle\.conf:2: includes more than 10", str(error))
            assert "include depth" in told["error"]
        else:
            assert read[-1] == told["values"], env
    assert read[0]["a.all"] == ["q"]
    assert len(read) == len(cases) - 1


def test_a_file_that_is_no_text_names_the_line(tmp_path: Path) -> None:
    (tmp_path / "sqitch.conf").write_bytes(b"[a]\n\tx = \xff\n")
    with pytest.raises(Failure, match=r"sqitch\.conf:2: is not UTF-8"):
        load_config(tmp_path)


URIS = [
    *(
        "db:pg:",
        "db:pg:foo",
        "db:pg:/foo",
        "db:pg:///foo",
        "db:pg:////foo",
        "db:pg:a/b",
        "db:pg:../x",
    ),
    *("db:pg://h/foo", "db:pg://h//foo", "db:pg://h", "db:pg://h/", "db:pg://h:7/a%2Fb", "DB:Pg:x"),
    *("db:pg://u@/x", "db:pg://u@h:1/x", "db:pg://u:p%40%3A%2F@[::1]:5/x", "db:pg://:5/x"),
    *("db:postgres://h/foo?sslmode=require", "db:postgresql:foo", "db:pgsql://h/x", "db:pg:my db"),
    *(
        "db:pg:foo?host=/tmp;port=5",
        "db:pg:?service=x",
        "db:pg://?service=x",
        "db:pg:\u00fc?passfile=\u00e4",
    ),
    *("db:pg:x?options=-c+lock_timeout%3D5s", "db:pg:x?sslmode=disable&sslmode=require&port"),
    *("db:pg://%2Fvar%2Frun/x", " db:pg:x ", "db:pg://u%20v:p%25@h/x", "db:pg:x?passfile=a%26b"),
    *("db:pg://u:p+q@h/x", "db:pg://h/x%20y%3F", "db:pg://h/x?application_name=a%3Db"),
]
PARTS = ("user", "password", "host", "port", "dbname")


@pytest.mark.parametrize("uri", URIS)
@pytest.mark.parametrize("env", [{}, {"SQITCH_USERNAME": "me x", "SQITCH_PASSWORD": "it's\\"}])
def test_uris(
    theirs: Sqitch, tmp_path: Path, uri: str, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in env.items():
        monkeypatch.setenv(name, value)
    target = resolve_target(Config(), uri)
    assert target is not None
    told = theirs.target(tmp_path, uri, **env)
    known = {"name", "variables", "registry", "client", "plan_file", "extension"}
    wanted = {
        key: value.encode("latin-1").decode()  # they are bytes
        for key, value in told.items()
        if key not in known and not key.endswith("_dir") and value not in (None, "")
    }
    assert conninfo_to_dict(target.dsn) == wanted


def test_the_environment_completes_any_target(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SQITCH_PASSWORD", "secret")
    for uri in ("postgresql://u:old@h/d", "host=h user=u dbname=d password=old"):
        target = resolve_target(Config(), uri)
        assert target is not None
        parts = {"user": "u", "password": "secret", "host": "h", "dbname": "d"}
        assert conninfo_to_dict(target.dsn) == parts
        assert "secret" not in repr(target)
    monkeypatch.setenv("SQITCH_PASSWORD", "")
    for uri in ("service=x passfile='/a b' sslrootcert=system", "postgres://h/d?sslcert=a+b"):
        target = resolve_target(Config(), uri)
        assert target is not None
        assert target.dsn == uri


TARGETS = """\
[core]
	engine = pg
	top_dir = top
	extension = core
	deploy_dir = cd
[engine "pg"]
	registry = engine_registry
	target = prod
	client = /usr/bin/psql
	reworked_revert_dir = engine/reworked
	extension = engine
[engine "pg.variables"]
	E = 1
	both = engine
[target "prod"]
	uri = db:pg://u:pw@h:1/app
	registry = target_registry
	plan_file = other.plan
	top_dir = of_target
	reworked_dir = rew
	deploy_dir = /absolute/deploy
[target "prod.variables"]
	T = 2
	both = target
[target "a.b"]
	uri = db:pg:dotted
	registry = 0
	extension =
[target "db:pg://u:@h/direct"]
	registry = of_uri
[target "empty"]
	registry = none
[target "with:colon"]
	uri = db:pg:x
"""


@pytest.mark.parametrize("name", [None, "prod", "a.b", "db:pg:foo", "db:pg://u:pw@h/direct"])
def test_settings_of_a_target(theirs: Sqitch, tmp_path: Path, name: str | None) -> None:
    (tmp_path / "sqitch.conf").write_text(TARGETS)
    plan = "%project=p\n\na 2026-01-01T00:00:00Z A <a>\n@t 2026-01-01T00:00:00Z A <a>\n"
    plan += "a [a@t] 2026-01-01T00:00:00Z A <a>\n"
    (tmp_path / "top").mkdir()
    (tmp_path / "other.plan").write_text(plan)
    (tmp_path / "top" / "sqitch.plan").write_text(plan.replace("=p", "=q"))
    target = resolve_target(load_config(tmp_path), name)
    assert target is not None
    project = load_project(tmp_path, target)
    told = theirs.target(tmp_path, name)
    assert conninfo_to_dict(target.dsn)["dbname"] == told["dbname"]
    assert project.registry == told["registry"]
    assert project.client == told["client"]
    assert project.plan.file == str(tmp_path / told["plan_file"])
    assert project.variables("deploy", {}) == told["variables"]
    for kind in ("deploy", "revert", "verify"):
        there = tmp_path / told[f"{kind}_dir"] / f"a.{told['extension']}"
        assert project.path(1, kind) == there
        # Sqitch before 1.5.2 forgets deploy_dir here.
        again = told[f"reworked_{kind}_dir"]
        if kind == "deploy" and name != "prod" and name is not None:
            assert again == "top/deploy"
            again = "cd"
        assert project.path(0, kind) == tmp_path / again / f"a@t.{told['extension']}"


def test_the_default_target(monkeypatch: pytest.MonkeyPatch) -> None:
    """SQITCH_TARGET, then core.target, then the engine's; ``pg`` names the engine's."""

    def of(text: str, given: str | None = None) -> tuple[str, str | None] | None:
        target = resolve_target(parse_config(text), given)
        return (target.dsn, target.name) if target else None

    engine = '[engine "pg"]\ntarget = dev\n[target "dev"]\nuri = db:pg:dev\n'
    core = '[core]\ntarget = main\n[target "main"]\nuri = host=h dbname=main\n'
    dev, main = ("postgresql:///dev", "dev"), ("host=h dbname=main", "main")
    assert of("") is None
    assert of("", "pg") == ("postgresql:///", None)
    assert (of(engine), of(engine + core), of(engine + core, "pg")) == (dev, main, dev)
    assert of(engine + '[target "pg"]\nuri = db:pg:named\n', "pg") == ("postgresql:///named", "pg")
    monkeypatch.setenv("SQITCH_TARGET", "dev")
    assert of(engine + core) == dev
    assert of(engine + core, "main") == main


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ("empty", r'sqitch.conf:\d+: \[target "empty"\] has no database URI'),
        ("with:colon", "TARGET is not a db:pg: URI"),
        ("nosuch", "TARGET is not a db:pg: URI"),
        ("db:sqlite:x", "PostgreSQL only"),
        ("mysql", "TARGET is not a db:pg: URI"),
        ("db:pg:u:secret@h/x", "cannot|names a database only"),
    ],
)
def test_what_is_no_target(theirs: Sqitch, tmp_path: Path, given: str, why: str) -> None:
    with pytest.raises(Usage, match=why) as caught:
        resolve_target(parse_config(TARGETS), given)
    assert "secret" not in str(caught.value)
    (tmp_path / "sqitch.conf").write_text(TARGETS)
    if given in ("empty", "with:colon", "nosuch", "mysql"):
        assert "error" in theirs.target(tmp_path, given)


def test_an_engine_that_is_not_postgresql_names_its_line(tmp_path: Path) -> None:
    (tmp_path / "sqitch.conf").write_text("[core]\n\tengine = sqlite\n")
    with pytest.raises(Failure, match=r"sqitch\.conf:2: core\.engine is sqlite"):
        load_project(tmp_path)


def test_order_of_variables(tmp_path: Path) -> None:
    order = ["core", "deploy", "verify", "engine.pg", "target.x"]
    text = "".join(
        f'[{s.partition(".")[0]} "{".".join([*s.split(".")[1:], "variables"])}"]\n'
        + "".join(f"v{later} = {s}\n" for later in range(number, len(order)))
        for number, s in enumerate(order)
    )
    (tmp_path / "sqitch.conf").write_text(text + '[target "x"]\nuri = db:pg:x\n')
    (tmp_path / "sqitch.plan").write_text("%project=p\n\n")
    target = resolve_target(load_config(tmp_path), "x")
    project = load_project(tmp_path, target)
    told: dict[str, Any] = project.variables("verify", {"v4": "given", "Own": "1"})
    # Each section has overridden what the ones before it said of the same variable.
    assert told == {f"v{n}": "target.x" for n in (4,)} | {
        "v0": "core",
        "v1": "deploy",
        "v2": "verify",
        "v3": "engine.pg",
        "v4": "given",
        "Own": "1",
    }
    assert project.variables("deploy", {})["v2"] == "deploy"


@pytest.mark.parametrize("conf", ["", "[user]\nname = Ada \u00d6\nemail = a@e.x\n"])
@pytest.mark.parametrize(
    "env",
    [
        {},
        {"ORIG_FULLNAME": "Grace", "ORIG_EMAIL": "g@e.x", "ORIG_SYSUSER": "postgres"},
        {"ORIG_SYSUSER": "postgres"},
        {"ORIG_SYSUSER": "nobody-of-this-name"},
        {"FULLNAME": "Lise", "EMAIL": "l@e.x"},
        {"FULLNAME": "Li<se", "EMAIL": "l@e.x"},
        {"FULLNAME": "[Lise]", "EMAIL": "l@e.x"},
        {"FULLNAME": "Lise", "EMAIL": "<l@e.x>"},
    ],
)
def test_who_deploys(
    theirs: Sqitch, tmp_path: Path, conf: str, env: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "sqitch.conf").write_text(conf)
    every = ("FULLNAME", "EMAIL", "ORIG_FULLNAME", "ORIG_EMAIL", "ORIG_SYSUSER")
    full = {f"SQITCH_{name}": env.get(name, "") for name in every}
    for name, value in full.items():
        monkeypatch.setenv(name, value)
    told = theirs.who(tmp_path, **full)
    try:
        who = committer(load_config(tmp_path))
    except Failure as error:
        assert re.search(r"your (name|address) is given as .* SQITCH_(FULLNAME|EMAIL)", str(error))
        assert "error" in told
    else:
        # The system's entry may go on with a room and telephone numbers, which Sqitch records.
        assert (who.name, who.email) == (told["name"].split(",")[0], told["email"])
