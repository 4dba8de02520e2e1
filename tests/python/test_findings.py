"""What plpgsql_check finds in functions, at the right line, and what `make lint` makes of it."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import plpgsql
import psycopg
import pytest

from integrations_db.testing import bodies
from integrations_db.testing.findings import findings
from integrations_db.testing.servers import Server

ROOT = Path(__file__).parents[2]

# Each with one fault, the line of the script where it stands, and the level of what is found.
FAULTS = {
    "no_such_column": (
        "create function public.no_such_column() returns integer language plpgsql as $$\n"
        "begin\n  return (select c.nothing from pg_catalog.pg_class as c);\nend\n$$;",
        6,
        "error",
    ),
    "no_return": (
        "create function public.no_return(n integer) returns integer language plpgsql as $$\n"
        "begin\n  if n = 1 then\n    return n;\n  end if;\nend\n$$;",
        4,
        "warning extra",
    ),
    "never_used": (
        "create function public.never_used()\nreturns void language plpgsql as $$\n"
        "declare\n  v_spare integer;\nbegin\n  perform 1;\nend\n$$;",
        7,
        "warning",
    ),
    "hidden_cast": (
        "create function public.hidden_cast() returns integer language plpgsql as $$\n"
        "declare\n  v_count integer;\nbegin\n"
        "  select pg_catalog.count(*) into v_count from pg_catalog.pg_class;\n"
        "  return v_count;\nend\n$$;",
        8,
        "performance",
    ),
    "injection": (
        "create function public.injection(name text) returns void language plpgsql as $$\n"
        "begin\n  execute 'drop table ' || name;\nend\n$$;",
        6,
        "security",
    ),
    "old_cursor": (
        "create function public.old_cursor() returns refcursor language plpgsql as $$\n"
        "declare\n  v_cursor refcursor;\nbegin\n"
        "  v_cursor := 'name';\n  return v_cursor;\nend\n$$;",
        8,
        "compatibility",
    ),
}
TRIGGER = """
create table public.t (a integer);
create function public.stamp() returns trigger language plpgsql as $$
begin
  new.b := 1;
  return new;
end
$$;
create trigger t_stamp before insert on public.t for each row execute function public.stamp();
"""


@pytest.mark.parametrize("name", FAULTS)
def test_each_kind_of_finding(
    server: Server, empty_database: str, tmp_path: Path, name: str
) -> None:
    plpgsql.require_extension(server)
    text, line, level = FAULTS[name]
    scripts = plpgsql.deploy(empty_database, tmp_path, {name: text})
    found = findings(empty_database, bodies.written(scripts))
    assert (f"{scripts[0]}:{line}", level) in [(one.place, one.level) for one in found], found
    assert all(one.function == f"public.{name}" for one in found)
    with psycopg.connect(empty_database) as connection:
        left = connection.execute("select from pg_extension where extname = 'plpgsql_check'")
        assert left.rowcount == 0


def test_a_trigger_function_is_checked_with_its_table(
    server: Server, empty_database: str, tmp_path: Path
) -> None:
    plpgsql.require_extension(server)
    scripts = plpgsql.deploy(empty_database, tmp_path, {"stamp": TRIGGER})
    (found,) = findings(empty_database, bodies.written(scripts))
    assert str(found).startswith(f"{scripts[0]}:8: error: public.stamp: ")
    assert 'record "new" has no field "b"' in found.message


def test_a_function_without_fault_gives_nothing(
    server: Server, empty_database: str, tmp_path: Path
) -> None:
    plpgsql.require_extension(server)
    text = (
        "create function public.f() returns integer immutable language plpgsql as $$\n"
        "begin\n  return 1;\nend\n$$;"
    )
    scripts = plpgsql.deploy(empty_database, tmp_path, {"f": text})
    assert findings(empty_database, bodies.written(scripts)) == []


def test_a_function_that_is_not_there_is_no_success(
    server: Server, empty_database: str, tmp_path: Path
) -> None:
    plpgsql.require_extension(server)
    text = FAULTS["never_used"][0]
    (script,) = plpgsql.deploy(empty_database, tmp_path, {"f": text})
    script.write_text(script.read_text().replace("perform 1", "perform 2"))
    with pytest.raises(LookupError, match=r"not in the database .*: public\.never_used"):
        findings(empty_database, bodies.written([script]))


def _lint(folder: Path, **environment: str) -> subprocess.CompletedProcess[str]:
    """Runs what `make lint` runs, on a copy of the tree."""
    for name in ("sqitch.plan", "sqitch.conf"):
        shutil.copy(ROOT / name, folder)
    for name in ("revert", "verify"):
        if not (folder / name).exists():
            (folder / name).symlink_to(ROOT / name)
    if not (folder / "deploy").exists():
        shutil.copytree(ROOT / "deploy", folder / "deploy")
    (folder / "tests").mkdir(exist_ok=True)
    shutil.copy(ROOT / "tests" / "plpgsql_check.py", folder / "tests")
    kept = {name: value for name, value in os.environ.items() if name not in ("CI", "TEST_SERVER")}
    return subprocess.run(  # noqa: S603
        [sys.executable, folder / "tests" / "plpgsql_check.py"],
        env=kept | environment,
        capture_output=True,
        text=True,
        check=False,
    )


def test_our_functions_have_no_findings_but_the_listed(server: Server, tmp_path: Path) -> None:
    plpgsql.require_extension(server)
    given = {"TEST_SERVER": "dsn", "TEST_DSN": server.dsn}
    done = _lint(tmp_path, **given)
    assert done.returncode == 0, done.stdout + done.stderr
    count = len(bodies.written((ROOT / "deploy").rglob("*.sql")))
    assert f"nothing found in {count} PL/pgSQL functions; 9 exceptions in" in done.stdout


def test_a_finding_and_an_exception_that_is_over_turn_lint_red(
    server: Server, tmp_path: Path
) -> None:
    plpgsql.require_extension(server)
    shutil.copytree(ROOT / "deploy", tmp_path / "deploy")
    check, unlock = (tmp_path / "deploy/functions" / f"{n}.sql" for n in ("check_name", "unlock"))
    check.write_text(
        re.sub("^begin\n  ", "declare\n  v_x text;\nbegin\n  ", check.read_text(), flags=re.M)
    )
    line = check.read_text().splitlines().index("  v_x text;") + 1
    unlock.write_text(unlock.read_text().replace("return v_count;", "return v_known::integer;"))
    done = _lint(tmp_path, TEST_SERVER="dsn", TEST_DSN=server.dsn)
    assert done.returncode == 1
    assert done.stdout.splitlines() == [
        f"deploy/functions/check_name.sql:{line}: warning: integrations_private.check_name:"
        ' unused variable "v_x"',
        "tests/plpgsql_check.py: no longer found in integrations.unlock:"
        ' never read variable "v_known"',
    ]


def test_what_is_not_looked_at_is_said(server: Server, tmp_path: Path) -> None:
    nowhere = {"TEST_SERVER": "local", "TEST_PG_BIN": str(tmp_path)}
    done = _lint(tmp_path, **nowhere)
    assert done.returncode == 0
    (line,) = done.stdout.splitlines()
    assert line.startswith("plpgsql_check: NOT RUN, no function body was looked at: ")
    assert "there is no initdb in" in line
    assert "apt-get install" in line
    here = list(Path("/usr/share/postgresql").glob("*/extension/plpgsql_check.control"))
    assert _lint(tmp_path, CI="true", **nowhere).returncode == (1 if here else 0)
