"""Coverage of PL/pgSQL: what ran in tests, in whatever database and however it ended."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

import plpgsql
import psycopg
import pytest
from click.testing import CliRunner, Result
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from inner import Inner
from integrations_db.testing import bodies, coverage, databases, plugin, servers
from integrations_db.testing.profiles import SETTINGS, Function, Profiles, Statement, read
from integrations_db.testing.servers import Server

ROOT = Path(__file__).parents[2]

FUNCTION = """
create function public.f(n integer)
returns integer
language plpgsql
as $$
declare
  i integer := 0;
begin
  if n = 1 then
    i := 1;
  elsif n = 2 then
    i := 2;
  end if;
  if n = 4 then
    raise exception 'four';
  else
    i := 5; i := 6;
  end if;
  case n
    when 1 then i := 7;
    else i := 8;
  end case;
  for k in 1 .. n loop
    i := i + 1;
  end loop;
  while i < 0 loop
    i := i + 1;
  end loop;
  begin
    perform 1 / (n - 3);
  exception
    when division_by_zero then
      i := 9;
    when others then
      i := 10;
  end;
  return i;
end
$$;
create function public.never()
returns void
language plpgsql
as $$
begin
  perform 1;
end
$$;
create function public.plain() returns integer language sql stable
set search_path = pg_catalog as 'select 1';
"""


@pytest.fixture(scope="module")
def profiling(pytestconfig: pytest.Config, server: Server) -> Iterator[Server]:
    """A server that profiles functions."""
    plpgsql.require_extension(server)
    kind = "local" if server.name == "dsn" else server.name
    dockerfile = ROOT / "tests" / "docker" / "Dockerfile"
    with servers.running(kind, dockerfile, print, plugin.models(pytestconfig), SETTINGS) as own:
        yield own


def _call(conninfo: str, *values: int) -> None:
    """Calls the function in transactions that end in all ways."""
    for value in values:
        with psycopg.connect(conninfo) as connection:
            try:
                connection.execute("select public.f(%s)", [value])
            except psycopg.errors.RaiseException:
                pass
            connection.rollback()


def _of(profiles: Profiles, name: str) -> list[Statement]:
    (found,) = (v for k, v in profiles.functions.items() if k.name == name)
    return found


def test_what_ran_is_summed_over_databases_whatever_was_rolled_back(
    profiling: Server, tmp_path: Path
) -> None:
    profiles = Profiles()
    shares: list[tuple[float, float]] = []
    for values in ((1, 3), (4,), (1, 3, 4)):
        with databases.clone(profiling.dsn, "template0") as conninfo:
            scripts = plpgsql.deploy(conninfo, tmp_path, {"f": FUNCTION})
            _call(conninfo, *values)
            with psycopg.connect(conninfo) as connection:
                connection.execute("create extension plpgsql_check")
                row = connection.execute(
                    "select plpgsql_coverage_statements('public.f(int)'),"
                    " plpgsql_coverage_branches('public.f(int)')"
                ).fetchone()
                assert row is not None
                shares.append(row)
                connection.rollback()
            profiles.take(conninfo)
            profiles.take(conninfo)  # what was taken is not taken again
    assert not profiles.unread
    assert [s.runs for s in _of(profiles, "public.f") if s.number == 0] == [6]
    found = coverage.covered(profiles, bodies.written(scripts))
    f, never = found
    # All of it in one database says the same as the parts of it in two.
    assert sum(map(bool, f.statements)) / len(f.statements) == pytest.approx(shares[2][0])
    assert sum(map(bool, f.branches)) / len(f.branches) == pytest.approx(shares[2][1])
    assert max(shares[:2]) < shares[2]
    text = scripts[0].read_text().splitlines()
    assert [text[line - 1].strip() for line in f.missed] == ["i := 2;", "i := i + 1;", "i := 10;"]
    assert set(never.statements) == {0}
    assert profiles.calls["public.plain()"] == 0


@pytest.mark.static
@pytest.mark.parametrize(
    ("head", "stored"),
    [
        ("create function app.f(a int)", "app.f"),
        ("CREATE OR REPLACE PROCEDURE App . F ()", "app.f"),
        ("create function f()", "public.f"),
        ('create function "My App"."f ""1"""(a text)', 'My App.f "1"'),
    ],
)
@pytest.mark.parametrize("language", ["plpgsql", "'plpgsql'", "PLpgSQL"])
def test_a_function_is_known_by_whatever_name_its_script_gives_it(
    tmp_path: Path, head: str, stored: str, language: str
) -> None:
    script = tmp_path / "f.sql"
    script.write_text(f"{head} language {language} as $$ begin null; end $$;\n")
    functions = bodies.written([script])
    assert bodies.find(functions, stored, " begin null; end ") == functions[0]
    assert bodies.find(functions, "app.other_f", " begin null; end ") is None
    assert bodies.find(functions, stored, " begin end ") is None


def test_a_call_of_a_function_in_sql_is_seen(profiling: Server, tmp_path: Path) -> None:
    profiles = Profiles()
    with databases.clone(profiling.dsn, "template0") as conninfo:
        plpgsql.deploy(conninfo, tmp_path, {"f": FUNCTION})
        with psycopg.connect(conninfo) as connection:
            connection.execute("select public.plain()")
            connection.rollback()
        profiles.take(conninfo)
    assert profiles.calls["public.plain()"] == 1


def test_nothing_is_left_in_a_database_that_was_read(profiling: Server) -> None:
    with databases.clone(profiling.dsn, "template0") as conninfo:
        Profiles().take(conninfo)
        with psycopg.connect(conninfo) as connection:
            extensions = connection.execute("select extname from pg_extension").fetchall()
    assert extensions == [("plpgsql",)]


def test_no_event_trigger_or_setting_keeps_a_database_from_being_read(profiling: Server) -> None:
    profiles = Profiles()
    with databases.clone(profiling.dsn, "template0") as conninfo:
        with psycopg.connect(conninfo) as connection:
            connection.execute(
                "create function public.refuse() returns event_trigger language plpgsql as $$"
                " begin raise exception 'no'; end $$"
            )
            connection.execute(
                "create event trigger refuse on ddl_command_start execute function public.refuse()"
            )
            name = sql.Identifier(str(conninfo_to_dict(conninfo)["dbname"]))
            connection.execute(
                sql.SQL("alter database {} set default_transaction_read_only = on").format(name)
            )
        profiles.take(conninfo)
    assert not profiles.unread


def test_a_database_that_cannot_be_read_is_counted(profiling: Server) -> None:
    profiles = Profiles()
    with databases.clone(profiling.dsn, "template0") as conninfo:
        name = sql.Identifier(str(conninfo_to_dict(conninfo)["dbname"]))
        with psycopg.connect(profiling.dsn, autocommit=True) as connection:
            connection.execute(sql.SQL("alter database {} allow_connections false").format(name))
        profiles.take(conninfo)
    ((reason, count),) = profiles.unread.items()
    assert count == 1
    assert "not currently accepting connections" in reason


CONFTEST = """
from pathlib import Path
import psycopg

def pytest_pgtap_template_files():
    return [Path("deploy/f.sql")]

def pytest_pgtap_deploy(conninfo):
    with psycopg.connect(conninfo, autocommit=True) as connection:
        connection.execute(Path("deploy/f.sql").read_text())
"""


@pytest.fixture
def project(profiling: Server, inner: Inner, monkeypatch: pytest.MonkeyPatch) -> Inner:
    """A project with the functions above and a pgTAP file, on a server that profiles."""
    monkeypatch.setenv("TEST_DSN", profiling.dsn)
    monkeypatch.setattr(databases, "watchers", [])  # the session around it may measure, too
    (inner.path / "deploy").mkdir()
    (inner.path / "deploy" / "f.sql").write_text(f"begin;{FUNCTION}commit;\n")
    inner.pytester.makeconftest(CONFTEST)
    inner.write(
        one="begin; select plan(1); select is(f(1), 8); rollback;",
        two="begin; select plan(1); select throws_ok('select f(4)', 'P0001'); rollback;",
    )
    return inner


def _report(*arguments: str) -> Result:
    return CliRunner().invoke(coverage.main, arguments)


@pytest.mark.parametrize("workers", [(), ("-n2",)])
def test_from_a_test_run_to_the_reports(project: Inner, workers: tuple[str, ...]) -> None:
    assert project.run("--plpgsql-coverage=measured", *workers).ret == 0
    written = ("--html", "out/page.html", "--xml", "out/coverage.xml")
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-m", "integrations_db.testing.coverage", "measured", *written],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    f, never, total = (line.split() for line in done.stdout.splitlines()[1:4])
    assert f[0] == "public.f"
    assert never[:3] == ["public.never", "0.0", "%"]
    source = (project.path / "deploy" / "f.sql").read_text().splitlines()
    assert f"deploy/f.sql:{source.index('  perform 1;') + 1}" in never
    assert total[:2] == ["all", "functions"]
    assert "Never called" in done.stdout
    assert "public.plain()" in done.stdout

    page = (project.path / "out" / "page.html").read_text()
    assert "public.never()" in page
    assert "class=missed" in page
    assert "http" not in page

    top = ElementTree.parse(project.path / "out" / "coverage.xml").getroot()  # noqa: S314  # ours
    (script,) = top.iter("class")
    assert script.get("filename") == "deploy/f.sql"
    lines = {int(line.get("number", "")): line for line in script.findall("./lines/line")}
    hits = {source[number - 1].strip(): line.get("hits") for number, line in lines.items()}
    assert hits["i := 1;"] == "1"
    assert hits["i := 2;"] == "0"
    assert hits["raise exception 'four';"] == "1"
    assert hits["if n = 1 then"] == "2"
    chosen = lines[source.index("  if n = 1 then") + 1]
    assert chosen.get("condition-coverage") == "66% (2/3)"
    assert top.get("lines-valid") == str(len(lines))
    covered = sum(line.get("hits") != "0" for line in lines.values())
    assert top.get("lines-covered") == str(covered)
    assert float(top.get("line-rate", "")) == pytest.approx(covered / len(lines), abs=0.0001)


def test_a_test_that_is_left_out_is_missed(project: Inner) -> None:
    measured = {}
    for name, arguments in (("all", ()), ("fewer", ("tests/pgtap/one_test.sql",))):
        assert project.run(f"--plpgsql-coverage={name}", *arguments).ret == 0
        profiles = read((project.path / name).glob("profile-*.json"))
        runs = [statement.runs for statement in _of(profiles, "public.f")]
        measured[name] = 100 * sum(map(bool, runs)) / (len(runs) + 2)  # never() has two
    limit = f"--fail-under={measured['all']:.2f}"
    assert measured["fewer"] < measured["all"]
    assert _report("all", f"--fail-under={measured['all'] - 0.01:.2f}").exit_code == 0
    done = _report("fewer", limit)
    assert done.exit_code == 1
    assert f"% of statements ran, {limit.partition('=')[2]}" in done.stderr


def test_a_server_that_does_not_profile_is_refused(
    inner: Inner, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c plpgsql_check.profiler=off")
    inner.write(one="begin; select plan(1); select ok(true); rollback;")
    result = inner.run("--plpgsql-coverage=measured")
    assert result.ret == 1
    text = result.stdout.str() + result.stderr.str()
    assert "the server does not profile functions" in text
    assert "apt-get install postgresql-15-pgtap postgresql-15-plpgsql-check" in text
    assert "Traceback" not in text


STATIC = Function("public.f()", "public.f", "\nbegin\n  return;\nend\n")
BLOCK = Statement(0, None, None, 1, 2, "statement block", 1)


def _profile(folder: Path, *functions: tuple[Function, list[Statement]]) -> None:
    profiles = Profiles()
    for function, statements in functions:
        profiles.add(function, statements)
    profiles.write(folder / "profile-1.json")


def _write(folder: Path, body: str) -> None:
    (folder / "deploy").mkdir()
    (folder / "deploy" / "f.sql").write_text(
        f"begin;\ncreate function public.f() returns void language plpgsql as $${body}$$;\n"
    )


@pytest.mark.static
@pytest.mark.parametrize(
    ("profile", "message"),
    [
        (None, "there is no profile in measured; run pytest --plpgsql-coverage=measured first"),
        ("{}", "is no profile that a test run wrote"),
        (
            '{"functions": [], "calls": {}, "unread": {}}',
            "as the scripts create them now: public.f",
        ),
    ],
)
def test_a_report_of_nothing_is_no_success(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, profile: str | None, message: str
) -> None:
    _write(tmp_path, STATIC.body)
    (tmp_path / "measured").mkdir()
    if profile:
        (tmp_path / "measured" / "profile-1.json").write_text(profile)
    monkeypatch.chdir(tmp_path)
    done = _report("measured")
    assert isinstance(done.exception, SystemExit)
    assert done.exit_code == 1
    assert message in done.stderr


@pytest.mark.static
def test_a_function_that_was_changed_since_is_not_counted(tmp_path: Path) -> None:
    _write(tmp_path, STATIC.body.replace("return", "null"))
    _profile(tmp_path, (STATIC, [BLOCK]))
    profiles = read([tmp_path / "profile-1.json"])
    with pytest.raises(LookupError, match=r"public\.f"):
        coverage.covered(profiles, bodies.written([tmp_path / "deploy" / "f.sql"]))


@pytest.mark.static
def test_profiles_add_up(tmp_path: Path) -> None:
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        _profile(tmp_path / name, (STATIC, [BLOCK]))
    files = [tmp_path / name / "profile-1.json" for name in ("a", "b")]
    assert read(files).functions[STATIC][0].runs == 2
    assert set(json.loads(files[0].read_text())) == {"functions", "calls", "unread"}


@pytest.mark.static
def test_a_line_of_a_body_is_a_line_of_its_file(tmp_path: Path) -> None:
    paths = sorted((ROOT / "deploy").rglob("*.sql"))
    functions = bodies.written(paths)
    assert len(functions) > 60
    for one in functions:
        source = one.path.read_text().splitlines()
        body = one.text.split("$function$")[1]
        assert bodies.find(functions, one.name, body) == one
        assert source[one.line - 1].startswith("create function ")
        last = len(body.splitlines())
        assert source[one.line_of(body, last) - 1] == "end;"
