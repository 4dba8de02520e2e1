"""The plugin as other projects get it: without effect until asked, then as they set it."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tomllib
from dataclasses import replace
from fnmatch import fnmatch
from pathlib import Path

import psycopg
import pytest
from small_project import Sql, table, write_project

from inner import Inner
from integrations_db.testing.servers import Server

ROOT = Path(__file__).parents[2]
PLUGIN = "scripts/integrations_db/testing/plugin.py"
PASSES = "begin; select plan(1); select ok(true, 'fine'); select * from finish(); rollback;"
HAS = "begin; select plan(1); select has_table('{}'::name); select * from finish(); rollback;"

TOLD = (
    "begin; create temporary table told as select current_setting('search_path') as path;"
    " set local search_path = {pgtap}; select plan(1); select is(path, '{path}') from told;"
    " rollback;"
)


def _installed(folder: Path) -> Path:
    """Writes what pip leaves of an installation: the entry points of this package."""
    points = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["entry-points"]
    about = folder / "site" / "a_plugin-0.dist-info"
    about.mkdir(parents=True, exist_ok=True)
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: a-plugin\nVersion: 0\n")
    lines = [f"{name} = {value}" for name, value in points["pytest11"].items()]
    (about / "entry_points.txt").write_text("\n".join(["[pytest11]", *lines, ""]))
    return about.parent


def _pytest(folder: Path, *arguments: str, **more: str) -> subprocess.CompletedProcess[str]:
    """Runs pytest in a project, where this package is installed."""
    path = os.pathsep.join([str(_installed(folder)), str(ROOT / "scripts")])
    kept = {k: v for k, v in os.environ.items() if not k.startswith(("PYTEST", "TEST_", "GITHUB"))}
    without = ("-p", "no:cacheprovider", "-p", "no:hypothesispytest")
    return subprocess.run(  # noqa: S603
        [sys.executable, "-m", "pytest", *without, *arguments],
        cwd=folder,
        env=kept | {"PYTHONPATH": path} | more,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.static
def test_a_project_that_does_not_ask_meets_nothing_of_it(tmp_path: Path) -> None:
    (tmp_path / "pytest.ini").write_text("[pytest]\nfilterwarnings = error\n")
    (tmp_path / "a_test.sql").write_text("select nonsense;")
    (tmp_path / "test_it.py").write_text(
        "import sys\n"
        "import pytest\n"
        "def test_it(request):\n"
        "    ours = {m for m in sys.modules if m.startswith('integrations_db')}\n"
        "    assert 'integrations_db.testing.entry' in ours\n"
        "    assert ours <= {'integrations_db', 'integrations_db.testing',\n"
        "                    'integrations_db.testing.entry', 'integrations_db.testing.hooks'}\n"
        "    assert not {'psycopg', 'testcontainers', 'docker'} & set(sys.modules)\n"
        "    with pytest.raises(pytest.FixtureLookupError):\n"
        "        request.getfixturevalue('worker_database')\n"
    )
    done = _pytest(tmp_path)
    assert done.returncode == 0, done.stdout
    assert "1 passed" in done.stdout


def test_an_ini_file_turns_it_on(tmp_path: Path, server: Server) -> None:
    write_project(tmp_path, {"a": table("a")})
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "a_test.sql").write_text(HAS.format("a"))
    (tmp_path / "pytest.ini").write_text("[pytest]\npgtap_paths = db\n")
    done = _pytest(tmp_path, "-v", TEST_DSN=server.dsn)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "db/a_test.sql::1 Table a should exist PASSED" in done.stdout
    assert f"test server: dsn, PostgreSQL {server.release}, pgTAP {server.pgtap}" in done.stdout


def test_options_turn_it_on(inner: Inner) -> None:
    inner.pytester.makeini("[pytest]\n")
    write_project(inner.path / "project", {"a": table("a")}, project="options")
    inner.write(a=HAS.format("a"))
    inner.file("a").rename(inner.path / "tests" / "pgtap" / "a.pg")
    options = ("--pgtap-path=tests/pgtap", "--pgtap-files=*.pg", "--pgtap-project=project")
    inner.run(*options).assert_outcomes(passed=1)
    assert inner.run().ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_folders_beside_testpaths_are_collected(inner: Inner) -> None:
    inner.pytester.makeini(
        "[pytest]\ntestpaths = python\npgtap_paths = tests/pgtap\npgtap_template = inner\n"
    )
    (inner.path / "python").mkdir()
    inner.write(a=PASSES)
    inner.run().assert_outcomes(passed=1)
    inner.run("-n1").assert_outcomes(passed=1)
    assert inner.run("python").ret == pytest.ExitCode.NO_TESTS_COLLECTED


def test_variables_reach_scripts_and_tests(inner: Inner) -> None:
    made = Sql('begin;\ncreate table :"name" ();\ncommit;\n')
    write_project(inner.path, {"a": made}, project="variables")
    text = "begin; select plan(1); select has_table(:'name'::name); rollback;"
    inner.pytester.makeini(
        "[pytest]\npgtap_paths = tests/pgtap\npgtap_variables =\n  name=an odd one\n  other=1\n"
    )
    inner.write(a=text)
    inner.run("-v", "--pgtap-set", "name=an even one").assert_outcomes(passed=1)
    result = inner.run("-v")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(['*Table "an odd one" should exist*'])


def test_a_project_that_does_not_deploy_fails_with_its_place(inner: Inner) -> None:
    broken = Sql("begin;\n\ncreate tabel a ();\ncommit;\n")
    write_project(inner.path, {"a": broken}, project="broken")
    inner.pytester.makeini("[pytest]\npgtap_paths = tests/pgtap\n")
    inner.pytester.makepyfile("def test_one(database): pass\ndef test_two(template): pass")
    inner.write(a=PASSES)
    result = inner.run()
    result.assert_outcomes(errors=2, failed=1)
    assert result.stdout.str().count("deploy/a.sql:4:") >= 3
    assert "Traceback" not in result.stdout.str()
    assert "plugin.py" not in result.stdout.str()


def test_a_helper_that_fails_is_named(inner: Inner) -> None:
    (inner.path / "helpers").mkdir()
    (inner.path / "helpers" / "make.sql").write_text("select nonsense;")
    inner.pytester.makeini("[pytest]\npgtap_paths = tests/pgtap\npgtap_helpers = helpers\n")
    inner.write(a=PASSES)
    result = inner.run()
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(['*helpers/make.sql: column "nonsense" does not exist*'])


def test_an_existing_database_is_tested_on_a_copy(inner: Inner, empty_database: str) -> None:
    with psycopg.connect(empty_database) as connection:
        connection.execute("create table there ()")
    write_project(inner.path, {"a": table("a")})  # which is not deployed
    kept = "-- db: clone\nselect plan(1); create table kept (); select hasnt_table('a'::name);"
    inner.write(a=HAS.format("there"), b=kept, c=HAS.format("there"))
    inner.run("--pgtap-database", empty_database).assert_outcomes(passed=3)
    inner.run("-n2", "--pgtap-database", empty_database).assert_outcomes(passed=3)
    with psycopg.connect(empty_database) as connection:
        tables = connection.execute(
            "select relname from pg_class where relkind = 'r' and oid >= 16384"
        ).fetchall()
        extension = connection.execute("select from pg_extension where extname = 'pgtap'")
    assert tables == [("there",)]
    assert extension.rowcount == 0


def test_a_fixture_of_the_project_wins_and_starts_no_server(
    inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner.pytester.makeconftest("import pytest\n@pytest.fixture\ndef server(): return 'mine'")
    inner.pytester.makepyfile(
        "def test_mine(server): assert server == 'mine'\n"
        "def test_ours(empty_database): assert 'dbname' in empty_database"
    )
    inner.run().assert_outcomes(passed=2)
    monkeypatch.setenv("TEST_DSN", "host=/nowhere")
    inner.run("-k", "mine").assert_outcomes(passed=1, deselected=1)


@pytest.mark.parametrize(
    ("settings", "options", "says"),
    [
        ("", ("--pgtap-path=nowhere",), "*there is no folder *nowhere"),
        ("pgtap_helpers = nowhere", (), "*pgtap_helpers: there is no folder *nowhere"),
        ("pgtap_variables = se cret=1", (), "*expected NAME=VALUE*"),
        ("", ("--pgtap-set=se-cret",), "*expected NAME=VALUE*"),
        ("pgtap_project = elsewhere", (), "*pgtap_project: *elsewhere has no sqitch.plan"),
        ("", ("--pgtap-project=elsewhere",), "*pgtap_project: *elsewhere has no sqitch.plan"),
        ("", ("--pgtap-server=oracle",), "*the server oracle is unknown; there are dsn, docker*"),
        ("", ("--pgtap-server=postgresql://me:se%cret@h/d",), "*cannot be read as a PostgreSQL*"),
        ("", ("--pgtap-database=postgresql://me:se%cret@h/d",), "*cannot be read as a PostgreSQL*"),
    ],
)
def test_a_setting_that_cannot_be_used_is_refused(
    inner: Inner, settings: str, options: tuple[str, ...], says: str
) -> None:
    inner.pytester.makeini(f"[pytest]\npgtap_paths = tests/pgtap\n{settings}\n")
    inner.write(a=PASSES)
    result = inner.run(*options)
    assert result.ret in (pytest.ExitCode.USAGE_ERROR, pytest.ExitCode.TESTS_FAILED)
    told = [*result.outlines, *result.errlines]
    assert any(fnmatch(line, says) for line in told), "\n".join(told)
    assert "cret" not in "\n".join(told).replace("secrets", "")
    assert "Traceback" not in "\n".join(told)


def test_a_server_can_be_named_in_the_ini_file(
    inner: Inner, server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("TEST_SERVER", "TEST_DSN"):
        monkeypatch.delenv(name)
    inner.pytester.makeini(
        "[pytest]\npgtap_paths = tests/pgtap\npgtap_template = inner\n"
        f"pgtap_server = {server.dsn}\n"
    )
    inner.write(a=PASSES)
    inner.run().assert_outcomes(passed=1)
    monkeypatch.setenv("TEST_DSN", "host=/nowhere")
    assert inner.run().ret == pytest.ExitCode.TESTS_FAILED
    inner.run("--pgtap-server", server.dsn).assert_outcomes(passed=1)


def test_the_conftest_may_add_to_the_database(inner: Inner) -> None:
    inner.pytester.makeini("[pytest]\npgtap_paths = tests/pgtap\npgtap_template = seeded\n")
    inner.pytester.makeconftest(
        "import psycopg\n"
        "from pathlib import Path\n"
        "SEED = Path(__file__).with_name('seed.sql')\n"
        "def pytest_pgtap_template_files(config): return [SEED]\n"
        "def pytest_pgtap_deploy(config, conninfo):\n"
        "    with psycopg.connect(conninfo) as connection:\n"
        "        connection.execute(SEED.read_bytes())\n"
    )
    for name in ("one", "two"):
        (inner.path / "seed.sql").write_text(f"create table {name} ()")
        inner.write(a=HAS.format(name))
        inner.run().assert_outcomes(passed=1)


def test_failures_are_annotations_on_github(inner: Inner, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(inner.path.parent))
    inner.write(
        a="begin; select plan(3);\nselect ok(true);\n\nselect is(1, 2, '50%');",
        b="begin; select plan(1);\n\nselect ok(nope);",
        c="",
        d=PASSES,
    )
    for options in ((), ("-n1",), ("-q",)):
        lines = [line for line in inner.run(*options).outlines if line.startswith("::")]
        at = f"::error file={inner.path.name}/tests/pgtap"
        begins = [
            f"{at}/a_test.sql,line=4::not ok 2 - 50%25%0A",
            f"{at}/a_test.sql,line=1::planned 3 assertions, but ran 2",
            f"{at}/b_test.sql,line=1::planned 1 assertions, but ran 0",
            f'{at}/b_test.sql,line=3::ERROR 42703: column "nope" does not exist',
            f"{at}/c_test.sql,line=1::the file asserts nothing",
        ]
        assert len(lines) == len(begins)
        for begin in begins:
            assert any(line.startswith(begin) for line in lines), "\n".join(lines)
    monkeypatch.delenv("GITHUB_ACTIONS")
    assert "::error" not in inner.run().stdout.str()


@pytest.mark.parametrize("kind", ["deploy", "verify"])
@pytest.mark.parametrize("options", [(), ("-n1",)])
def test_a_script_that_fails_is_one_annotation(
    inner: Inner, monkeypatch: pytest.MonkeyPatch, kind: str, options: tuple[str, ...]
) -> None:
    """At its own line, whatever file was to run on what it makes."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    monkeypatch.setenv("GITHUB_WORKSPACE", str(inner.path.parent))
    end = {"deploy": "commit", "verify": "rollback"}[kind]
    nope = f"begin;\n\nselect nope;\n{end};\n"
    write_project(inner.path / "db", {"a": replace(table("a"), **{kind: nope})})
    inner.pytester.makeini(
        "[pytest]\npgtap_paths = tests/pgtap\npgtap_project = db\n"
        f"pgtap_template = no_{kind}_{len(options)}\n"  # of tests that run at the same time
    )
    inner.write(a=PASSES, b=PASSES)
    done = inner.run(*options)
    assert done.ret == pytest.ExitCode.TESTS_FAILED
    (line,) = [line for line in done.outlines if line.startswith("::")]
    at = f"::error file={inner.path.name}/db/{kind}/a.sql,line=4::"
    assert line.startswith(f'{at}ERROR 42703: column "nope" does not exist')


@pytest.mark.parametrize("path", ["app, public", "app", "''"])
def test_settings_of_the_database_hold_in_its_copies(inner: Inner, path: str) -> None:
    """And pgTAP is found with them, but not in the way of a project that leaves the choice."""
    setting = (
        "begin;\ncreate schema app;\ndo $$ begin execute format('alter database %I set"
        f" search_path = {path.replace(chr(39), chr(39) * 2)}', current_database()); end $$;\n"
        "commit;\n"
    )
    write_project(inner.path, {"app": Sql(setting)})
    inner.pytester.makeini(
        f"[pytest]\npgtap_paths = tests/pgtap\npgtap_template = path_{len(path)}\n"
    )
    shown = '""' if path == "''" else path
    pgtap = "app" if path == "app" else "public"
    inner.write(a=TOLD.format(pgtap=pgtap, path=shown))
    inner.run().assert_outcomes(passed=1)


@pytest.mark.static
def test_the_document_names_each_setting() -> None:
    source = (ROOT / "scripts" / "integrations_db" / "testing" / "entry.py").read_text()
    page = (ROOT / "docs" / "ci.md").read_text()
    (table_,) = re.findall(r"^\| Setting of the ini file.*?\n\n", page, re.M | re.S)
    names = set(re.findall(r'ini\("(\w+)"', source)), set(re.findall(r'"(--pgtap[\w-]+)"', source))
    told = set(re.findall(r"\| `(pgtap_\w+)`", table_)), set(re.findall(r"`(--[\w-]+)", table_))
    assert told == names
    fixtures = re.findall(r"@pytest\.fixture.*\ndef (\w+)", (ROOT / PLUGIN).read_text())
    (table_,) = re.findall(r"^\| Fixture .*?\n\n", page, re.M | re.S)
    assert set(re.findall(r"`(\w+)`(?=[^\n|]*\|[^|\n]*\|\n)", table_)) == set(fixtures)
