"""The psql program, run for the scripts that it alone can run, and the variables that it knows."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from psycopg.conninfo import make_conninfo
from small_project import require

from integrations_db import psql
from integrations_db.config import Target
from integrations_db.errors import Failure
from integrations_db.psql import PsqlFailed, all_variables, automatic_variables, set_command
from integrations_db.script import read_script
from integrations_db.testing.servers import Server

pytestmark = pytest.mark.usefixtures("program")

SQITCH = ["--quiet", "--no-psqlrc", "--no-align", "--tuples-only", "--set", "ON_ERROR_STOP=1"]


@pytest.fixture
def program() -> str:
    return require("psql")


def play(
    folder: Path,
    dsn: str,
    source: str | bytes,
    *,
    variables: Mapping[str, str] | None = None,
    output: Callable[[str], None] | None = None,
    client: str | None = None,
    embedded: bool = False,
) -> list[str]:
    """Runs a script with psql; returns what it has written."""
    (folder / "deploy").mkdir(exist_ok=True)
    path = folder / "deploy" / "x.sql"
    path.write_bytes(source if isinstance(source, bytes) else source.encode())
    lines: list[str] = []
    psql.run(
        read_script(path, "deploy"),
        Target(dsn, embedded=embedded),
        client=client,
        registry="sqitch",
        variables=variables or {},
        cwd=folder,
        application_name="the name",
        output=output or lines.append,
    )
    return lines


@pytest.mark.database
def test_variables_are_those_that_psql_sets(
    program: str, empty_database: str, tmp_path: Path
) -> None:
    script = tmp_path / "x.sql"
    script.write_text("\\set\n")
    given = {"DBNAME": "mine", "ON_ERROR_STOP": "0", "VERBOSITY": "terse", "v": "it's"}
    sets = [part for name, value in given.items() for part in ("--set", f"{name}={value}")]
    done = subprocess.run(  # noqa: S603
        [program, empty_database, *sets, *SQITCH, "--set", "registry=reg", "-f", str(script)],
        capture_output=True,
        text=True,
        check=True,
    )
    theirs = dict(re.findall(r"^(\w+) = '(.*)'$", done.stdout, re.MULTILINE))
    with psycopg.connect(empty_database, client_encoding="UTF8") as conn:
        ours = all_variables(conn, given, registry="reg")
    assert ours["DBNAME"] != "mine"
    assert ours["ON_ERROR_STOP"] == "1"
    own = {"VERSION", "VERSION_NAME", "VERSION_NUM", "LAST_ERROR_MESSAGE", "LAST_ERROR_SQLSTATE"}
    newer = {"WATCH_INTERVAL", "SERVICE", "PIPELINE_SYNC_COUNT", "PIPELINE_COMMAND_COUNT"}
    newer |= {"PIPELINE_RESULT_COUNT", "SHELL_ERROR", "SHELL_EXIT_CODE"}
    assert {k: v for k, v in theirs.items() if k not in own | newer} == ours


@pytest.mark.database
def test_a_session_that_reads_strings_otherwise_is_refused(empty_database: str) -> None:
    off = make_conninfo(empty_database, options="-c standard_conforming_strings=off")
    with psycopg.connect(off) as conn, pytest.raises(Failure, match="standard_conforming_strings"):
        automatic_variables(conn)


@pytest.mark.database
@settings(max_examples=5, deadline=None)
@given(
    st.lists(
        st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=30
    )
)
def test_any_text_can_be_a_value(
    server: Server, tmp_path_factory: pytest.TempPathFactory, values: list[str]
) -> None:
    values = ["", "it's", "\\", "a\nb", "\r\n", "`id`", ":x", "\\'", " ", *values]
    lines = []
    for value in values:
        lines.append(set_command("v", value))
        expected = value.encode().hex()
        lines.append(f"select :'v' = convert_from(decode('{expected}', 'hex'), 'UTF8');")
    source = "\n".join(lines)
    written = play(tmp_path_factory.mktemp("values"), server.dsn, source)
    assert written == ["t"] * len(values)


@pytest.mark.static
@pytest.mark.parametrize("name", ["", "a b", "a-b", "a\nb", "a'"])
def test_a_name_that_psql_refuses(name: str) -> None:
    with pytest.raises(Failure, match="cannot be a variable"):
        set_command(name, "x")


@pytest.mark.database
def test_a_script_runs_with_its_variables(empty_database: str, tmp_path: Path) -> None:
    (tmp_path / "other.sql").write_text("select 'included';\n")
    written = play(
        tmp_path,
        empty_database,
        "create table t (a text);\ncopy t from stdin;\nit's\n\\.\n"
        "select * from t;\n\\i other.sql\nselect :'v', :'registry', :'ON_ERROR_STOP';\n"
        "select current_setting('application_name');\n"
        "do $$ begin raise notice 'hello'; end $$;\n",
        variables={"v": "a'\\\nb", "registry": "mine", "ON_ERROR_STOP": "0", "DBNAME": "mine"},
    )
    assert written == [
        *("it's", "included", "a'\\", "b|sqitch|1", "the name"),
        "psql:deploy/x.sql:9: NOTICE:  hello",
    ]


@pytest.mark.database
def test_a_file_in_another_encoding(empty_database: str, tmp_path: Path) -> None:
    source = "set client_encoding = latin1;\nselect length('ä');\n".encode("latin-1")
    assert play(tmp_path, empty_database, source) == ["1"]


@pytest.mark.database
@pytest.mark.parametrize(
    ("source", "place", "message", "sqlstate"),
    [
        ("select 1;\n\nselect nosuch;", "deploy/x.sql:3", "nosuch", "42703"),
        ("\\nosuch\n", "deploy/x.sql:1", "invalid command", None),
        ("select 1;\n\\i other.sql\n", "other.sql:2", 'relation "t" does not exist', "42P01"),
        ("do $$ begin raise 'a\nb'; end $$;", "deploy/x.sql:2", "a\n  b", "P0001"),
        ("do $$ begin raise 'x' using errcode = 'IN201'; end $$;", "deploy/x.sql:1", "x", "IN201"),
        ("select pg_terminate_backend(pg_backend_pid());", "deploy/x.sql:1", "terminat", "57P01"),
    ],
)
def test_an_error_is_located(
    empty_database: str, tmp_path: Path, source: str, place: str, message: str, sqlstate: str | None
) -> None:
    (tmp_path / "other.sql").write_text("select 2;\ntable t;\n")
    with pytest.raises(PsqlFailed) as raised:
        play(tmp_path, empty_database, source + "\nselect 'not reached';")
    failed = raised.value
    assert failed.place.endswith(place)
    assert message in failed.message
    assert failed.sqlstate == sqlstate
    assert str(failed) == f"{failed.place}: {failed.message}"
    assert "LOCATION" not in failed.message


@pytest.mark.database
def test_the_value_of_a_variable_is_not_shown_with_an_error(
    empty_database: str, tmp_path: Path
) -> None:
    """psql would show a part of the statement, as it was sent."""
    source = "\\echo LINE 1: ^\n\\echo ^\ncreate role somebody password :'v' nonsense;\n"
    written: list[str] = []
    with pytest.raises(PsqlFailed) as raised:
        play(tmp_path, empty_database, source, variables={"v": "S3NTINEL"}, output=written.append)
    assert 'unrecognized role option "nonsense"' in raised.value.message
    assert "S3NTINEL" not in str(raised.value) + "".join(written)
    assert written[:2] == ["LINE 1: ^", "^"]  # what it prints itself
    with pytest.raises(PsqlFailed, match="LINE 1: select nosuch"):
        play(tmp_path, empty_database, "select nosuch;\n")


@pytest.mark.database
def test_warnings_are_no_errors(empty_database: str, tmp_path: Path) -> None:
    with pytest.raises(PsqlFailed) as raised:
        play(tmp_path, empty_database, "select 1 / 0;\nrollback;\n")
    assert raised.value.sqlstate == "22012"
    written = play(tmp_path, empty_database, "rollback;\n\\echo after\n")
    assert written[-1] == "after"


@pytest.mark.database
def test_nothing_secret_is_seen(server: Server, empty_database: str, tmp_path: Path) -> None:
    if server.name == "docker":
        pytest.skip("the container asks for another password than this test gives")
    secret = make_conninfo(empty_database, password="correct horse")  # noqa: S106
    written = play(
        tmp_path,
        secret,
        "\\! tr '\\0' ' ' < /proc/$PPID/cmdline\n\\! echo\n\\! echo $PGPASSWORD\nselect :'v';",
        variables={"v": "a secret variable"},
    )
    assert "registry=sqitch" in written[0]
    assert "horse" not in written[0]
    assert "a secret variable" not in written[0]
    assert written[-2:] == ["***", "a secret variable"]  # the environment has it


@pytest.mark.static
@pytest.mark.parametrize(
    ("key", "more"),
    [
        ("oauth_client_secret", {}),
        ("sslpassword", {"service": "prod"}),
        ("sslpassword", {"sslpassword": "hunter2 "}),
    ],
)
def test_a_secret_that_psql_takes_only_in_public_is_refused(
    tmp_path: Path, key: str, more: dict[str, str]
) -> None:
    try:
        dsn = make_conninfo(**({key: "hunter2"} | more))
    except psycopg.ProgrammingError:
        pytest.skip(f"this libpq does not know {key}")  # it came with PostgreSQL 18
    with pytest.raises(Failure, match=key) as raised:
        play(tmp_path, dsn, "\\q\n")
    assert "hunter2" not in str(raised.value)


@pytest.mark.database
def test_the_embedded_server_is_not_found_by_variables(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGOPTIONS", "-c work_mem=12345kB")
    source = "show work_mem;\n\\q\n"
    assert play(tmp_path, empty_database, source) == ["12345kB"]
    assert play(tmp_path, empty_database, source, embedded=True) == ["4MB"]


@pytest.mark.database
def test_a_server_that_is_not_there(tmp_path: Path) -> None:
    dsn = make_conninfo(host=str(tmp_path), password="correct horse")  # noqa: S106
    with pytest.raises(PsqlFailed, match=r"deploy/x\.sql: .*connection to server") as raised:
        play(tmp_path, dsn, "\\q\n")
    assert "horse" not in str(raised.value)


@pytest.mark.database
def test_no_folder_is_needed_to_write_to(
    empty_database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A container's file system may be read-only, its ``/tmp``, too."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "gone"))
    assert play(tmp_path, empty_database, "\\echo written\n") == ["written"]
    if sys.platform == "linux":
        dsn = make_conninfo(empty_database, sslpassword="correct horse")
        assert play(tmp_path, dsn, "\\echo written\n") == ["written"]


@pytest.mark.static
def test_no_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("INTEGRATIONS_DB_STATE", str(tmp_path))
    with pytest.raises(Failure, match="psql program is not installed"):
        play(tmp_path, "", "\\q\n")
    with pytest.raises(Failure, match="configured client cannot be run: /no/such"):
        play(tmp_path, "", "\\q\n", client="/no/such")
    embedded = tmp_path / "postgresql-1" / "bin" / "psql"
    embedded.parent.mkdir(parents=True)
    embedded.write_text("#!/bin/sh\n/bin/cat >&2\necho $LD_LIBRARY_PATH; exit 3\n")
    embedded.chmod(0o755)
    with pytest.raises(PsqlFailed, match=rf"code 3: {embedded.parent.parent}/lib"):
        play(tmp_path, "", "\\q\n")


def until(happens: Callable[[], bool]) -> None:
    """Waits for something that must come; a hang fails by the suite's own limit."""
    for _ in range(600):
        if happens():
            return
        time.sleep(0.1)
    pytest.fail("it did not happen within a minute")


def gone(pid: int) -> bool:
    """Whether a process is no more, or a zombie that nobody has waited for."""
    try:
        state = Path(f"/proc/{pid}/stat").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return True
    return state.rpartition(")")[2].split()[0] == "Z"


def sleeping(dsn: str) -> bool:
    with psycopg.connect(dsn) as conn:
        found = conn.execute(
            "select from pg_stat_activity where datname = current_database()"
            " and application_name = 'the name' and query like '%pg_sleep%' and state = 'active'"
        )
        return found.fetchone() is not None


SLEEP = "\\! echo $PPID\nselect pg_sleep(600);\n"


@pytest.mark.database
@pytest.mark.skipif(sys.platform != "linux", reason="/proc is Linux's")
def test_an_interrupt_ends_psql_and_what_the_server_does(
    empty_database: str, tmp_path: Path
) -> None:
    pids: list[int] = []

    def interrupt(line: str) -> None:
        pids.append(int(line))
        until(lambda: sleeping(empty_database))
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        play(tmp_path, empty_database, SLEEP, output=interrupt)
    assert gone(pids[0])
    until(lambda: not sleeping(empty_database))


@pytest.mark.database
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells a process of this")
def test_psql_dies_with_us(empty_database: str, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from test_psql import *;"
        "play(Path(sys.argv[1]), sys.argv[2], SLEEP, output=lambda line: print(line, flush=True))"
    )
    us = subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", code, str(tmp_path), empty_database],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        stdout=subprocess.PIPE,
        text=True,
    )
    with us:
        assert us.stdout
        pid = int(us.stdout.readline())
        assert not gone(pid)
        us.kill()
    until(lambda: gone(pid))
