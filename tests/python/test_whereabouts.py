"""Where the command is started from, and what becomes of its streams and its terminal."""

from __future__ import annotations

import errno
import os
import pty
import shlex
import signal
import subprocess
import sys
import time
from contextlib import suppress
from pathlib import Path

import psycopg
import pytest
from engine import Heard, deploy, revert
from psycopg.conninfo import conninfo_to_dict
from small_project import (
    Sql,
    command,
    environment,
    events,
    recorded,
    require,
    rows,
    run,
    table,
    tables,
    write_project,
)
from test_deployer import sleeping, start, wait_for

from integrations_db.deploy import Mode
from integrations_db.errors import Failure
from integrations_db.terminal import Unwritable
from integrations_db.testing.servers import Server

INCLUDING = Sql("\\ir inc/table.sql\n", "\\i shared/drop.sql\n", None)


def including(folder: Path) -> Path:
    """Writes a project whose scripts include others, one of them by way of a link."""
    project = write_project(folder / "project", {"a": INCLUDING})
    (project / "shared").mkdir()
    (project / "shared" / "drop.sql").write_text("drop table t;\n")
    (project / "deploy" / "a.sql").rename(project / "shared" / "a.sql")
    (project / "deploy" / "a.sql").symlink_to("../shared/a.sql")
    (project / "deploy" / "inc").mkdir()
    (project / "deploy" / "inc" / "table.sql").write_text("create table t ();\n")
    return project


@pytest.mark.database
def test_psql_runs_where_the_project_is(
    server: Server, empty_database: str, tmp_path: Path
) -> None:
    if server.name == "docker":
        pytest.skip("the container asks for a password, whose file this test moves away from")
    program = require("psql")
    project = including(tmp_path)
    # A path in the configuration begins at the project, one on the command line here.
    (project / "my-psql").write_text(f'#!/bin/sh\necho >> used\nexec {program} "$@"\n')
    (project / "my-psql").chmod(0o755)
    with (project / "sqitch.conf").open("a") as conf:
        conf.write('[engine "pg"]\n\tclient = ./my-psql\n')
    there = conninfo_to_dict(empty_database)
    (tmp_path / "pgpass").write_text(f"*:*:*:*:{there.pop('password', '')}\n")
    (tmp_path / "pgpass").chmod(0o600)
    (tmp_path / "services").write_text(
        "[here]\n" + "".join(f"{key}={value}\n" for key, value in there.items())
    )
    env = {"PGSERVICEFILE": "services"}
    target = "service=here passfile=pgpass"
    done = run(tmp_path, "--chdir", "project", "deploy", target, **env)
    assert done.returncode == 0, done.stderr
    assert "project/deploy/a.sql:2: psql's \\ir" in done.stderr
    assert (recorded(empty_database), tables(empty_database)) == (["a"], {"t"})
    assert (project / "used").read_text() == "\n"
    done = run(tmp_path, "--chdir", "project", "revert", "--all", "-y", target, **env)
    assert done.returncode == 0, done.stderr
    assert (recorded(empty_database), tables(empty_database)) == ([], set())


@pytest.mark.database
def test_an_error_in_an_included_file_is_named_from_here(
    empty_database: str, tmp_path: Path
) -> None:
    require("psql")
    project = including(tmp_path)
    (project / "deploy" / "inc" / "table.sql").write_text("\nnonsense;\n")
    done = run(tmp_path, "--chdir", "project", "deploy", empty_database)
    assert done.returncode == 1
    assert "integrations-db: project/deploy/inc/table.sql:2: ERROR 42601" in done.stderr
    assert "psql does not tell how much of project/deploy/a.sql took effect" in done.stderr


@pytest.mark.database
def test_a_missing_script_is_told_with_what_is_left(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a"), "b": table("b")})
    (tmp_path / "deploy" / "b.sql").rename(tmp_path / "b.sql")
    done = run(tmp_path, "deploy", empty_database)
    assert (done.returncode, recorded(empty_database)) == (1, [])
    assert "deploy/b.sql: cannot be read: No such file" in done.stderr
    assert "No script was run. Correct or restore it, then deploy again." in done.stderr
    (tmp_path / "b.sql").rename(tmp_path / "deploy" / "b.sql")
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    (tmp_path / "revert" / "a.sql").unlink()
    done = run(tmp_path, "revert", "--all", "-y", empty_database)
    assert (done.returncode, recorded(empty_database)) == (1, ["a", "b"])
    assert "Nothing was touched. Correct or restore it, then revert again." in done.stderr


def redirected(
    folder: Path, redirections: str, *arguments: str
) -> subprocess.CompletedProcess[str]:
    """Runs our command with redirections of a shell."""
    return subprocess.run(  # noqa: S602
        f"{shlex.join(command(*arguments))} {redirections}",
        shell=True,
        cwd=folder,
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
        timeout=60,
    )


@pytest.mark.database
@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_closed_streams(empty_database: str, tmp_path: Path, closed: str) -> None:
    write_project(tmp_path, {"a": table("a")})
    done = redirected(tmp_path, closed, "deploy", empty_database)
    assert (done.returncode, recorded(empty_database)) == (0, ["a"]), done.stderr
    done = redirected(tmp_path, closed, "revert", "--all", empty_database)
    assert (done.returncode, recorded(empty_database)) == (2, ["a"])
    assert "Traceback" not in done.stderr


@pytest.mark.static
@pytest.mark.parametrize(
    "arguments",
    ["plan", "plan --json", "check", "--help", "deploy -h", "server --help", "--version"],
)
def test_an_output_that_cannot_be_written(tmp_path: Path, arguments: str) -> None:
    write_project(tmp_path, {"a": table("a")})
    done = redirected(tmp_path, ">/dev/full", *arguments.split())
    assert done.returncode == 1
    assert done.stderr == (
        "integrations-db: standard output cannot be written: No space left on device\n"
    )
    # A reader that has gone, as that of `| head`, wants to hear nothing more.
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer) as pipe:
        gone = subprocess.run(  # noqa: S603
            command(*arguments.split()),
            cwd=tmp_path,
            env=environment(),
            stdout=pipe,
            stderr=subprocess.PIPE,
            text=True,
            check=False,
        )
    assert (gone.returncode, gone.stderr) == (1, "")


@pytest.mark.static
@pytest.mark.parametrize("broken", ["2>/dev/full", ">/dev/full", ">/dev/full 2>&1"])
@pytest.mark.parametrize("arguments", ["plan --nonsense", "status nosuch", "status nosuch --json"])
def test_errors_keep_their_code_where_they_cannot_be_told(
    tmp_path: Path, broken: str, arguments: str
) -> None:
    write_project(tmp_path, {"a": table("a")})
    done = redirected(tmp_path, broken, *arguments.split())
    assert done.returncode == 2
    assert "Traceback" not in done.stdout + done.stderr


@pytest.mark.database
def test_output_that_fails_while_psql_runs(empty_database: str, tmp_path: Path) -> None:
    """What it did may be there: the mark stays."""
    require("psql")
    write_project(tmp_path, {"a": Sql("create table t ();\n\\echo done\n", None, None)})

    def full(text: str) -> None:
        if text == "done":
            raise Unwritable("the disk is full")

    with pytest.raises(Unwritable) as raised:
        deploy(tmp_path, empty_database, Heard(when=full))
    assert "psql does not tell how much" in "\n".join(raised.value.__notes__)
    marked = rows(empty_database, "select change from integrations_db.unfinished_scripts")
    assert (marked, recorded(empty_database)) == ([("a",)], [])


@pytest.mark.database
@pytest.mark.parametrize(
    ("number", "code", "said"),
    [(signal.SIGINT, 130, "interrupted."), (signal.SIGTERM, 1, "terminated.")],
)
def test_a_signal_at_the_prompt(
    empty_database: str, tmp_path: Path, number: signal.Signals, code: int, said: str
) -> None:
    write_project(tmp_path, {"a": table("a")})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    terminal, its_side = pty.openpty()
    process = subprocess.Popen(  # noqa: S603
        command("revert", "--all", empty_database),
        cwd=tmp_path,
        env=environment(),
        stdin=its_side,
        stdout=its_side,
        stderr=its_side,
    )
    os.close(its_side)
    shown = b""
    with suppress(OSError):  # nobody is at its other side any more
        while told := os.read(terminal, 4096):
            shown += told
            if shown.endswith(b"[y/N]: "):
                time.sleep(1)  # what reads the answer does not see a signal before it waits
                process.send_signal(number)
    os.close(terminal)
    assert process.wait(60) == code
    assert f"integrations-db: {said}\r\nNothing was reverted.\r\n" in shown.decode()
    assert recorded(empty_database) == ["a"]


@pytest.mark.database
def test_a_terminal_that_hangs_up(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": Sql("select pg_sleep(600);\n")})
    process = start(tmp_path, "deploy", empty_database)
    wait_for(lambda: sleeping(empty_database))
    process.send_signal(signal.SIGHUP)
    stderr = process.communicate(timeout=60)[1]
    assert (process.returncode, recorded(empty_database)) == (1, [])
    assert "terminated." in stderr


@pytest.mark.static
def test_nohup_is_respected(tmp_path: Path) -> None:
    code = (
        "import signal; signal.signal(signal.SIGHUP, signal.SIG_IGN)\n"
        "from integrations_db.cli import main\n"
        "try: main(['plan'])\n"
        "except SystemExit: print(signal.getsignal(signal.SIGHUP).name)"
    )
    write_project(tmp_path, {"a": table("a")})
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        cwd=tmp_path,
        env=environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "a\nSIG_IGN\n"


@pytest.mark.static
@pytest.mark.parametrize("arguments", [(), ("server",)])
def test_no_command_shows_the_help_alone(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, *arguments)
    asked = run(tmp_path, *arguments, "--help")
    assert (done.returncode, done.stdout, done.stderr) == (2, "", asked.stdout)


@pytest.mark.static
@pytest.mark.parametrize(
    "arguments",
    [
        ("deploy", "--lock-timeout", "600h"),
        ("deploy", "--wait", "99999999999h"),
        ("log", "-n", "99999999999999999999"),
    ],
)
def test_more_than_the_server_can_count(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    done = run(tmp_path, *arguments, "host=/nowhere")
    assert done.returncode == 2, done.stderr
    assert f"'{arguments[1]}'" in done.stderr or "'-n'" in done.stderr


class Deaf(Heard):
    """Cannot tell any more, once a change is done."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error

    def done(self, title: str, seconds: float, remark: str = "ok") -> None:
        raise self.error

    def failed(self, title: str) -> None:
        raise self.error


@pytest.mark.database
@pytest.mark.parametrize(
    "error",
    [
        BrokenPipeError(),
        OSError(errno.EIO, "the terminal has gone"),
        UnicodeEncodeError("ascii", "\u00e9", 0, 1, "no such letter"),
        Unwritable("the disk is full"),
    ],
    ids=lambda error: type(error).__name__,
)
@pytest.mark.parametrize("mode", ["change", "all"])
def test_what_cannot_be_told_any_more_was_done_all_the_same(
    empty_database: str, tmp_path: Path, mode: Mode, error: Exception
) -> None:
    write_project(tmp_path, {"a": table("a")})
    with pytest.raises(type(error)) as raised:
        deploy(tmp_path, empty_database, Deaf(error), mode=mode)
    assert raised.value.__notes__[-1] == (
        "a was deployed and recorded; nothing after it was begun."
    )
    assert events(empty_database) == [("deploy", "a")]
    with pytest.raises(type(error)) as raised:
        revert(tmp_path, empty_database, Deaf(error))
    assert raised.value.__notes__[-1] == (
        "a was reverted, and that is recorded; nothing after it was begun."
    )
    assert events(empty_database) == [("deploy", "a"), ("revert", "a")]


@pytest.mark.database
def test_why_a_change_failed_is_told_where_the_progress_cannot_be(
    empty_database: str, tmp_path: Path
) -> None:
    write_project(tmp_path, {"a": Sql("select nosuch;\n")})
    with pytest.raises(Failure, match="nosuch"):
        deploy(tmp_path, empty_database, Deaf(BrokenPipeError()))
    assert events(empty_database) == [("fail", "a")]


@pytest.mark.database
def test_a_reader_that_goes_away_makes_no_failure(empty_database: str, tmp_path: Path) -> None:
    slow = Sql("begin;\nselect pg_advisory_xact_lock(1);\ncommit;\n")
    write_project(tmp_path, {"a": slow, "b": table("b")})
    with psycopg.connect(empty_database) as holder:
        holder.execute("select pg_advisory_lock(1)")
        process = start(tmp_path, "deploy", "--lock-timeout", "0", empty_database)
        assert process.stdout and process.stderr
        waits = (
            "select 1 from pg_locks where locktype = 'advisory' and not granted"
            " and database = (select oid from pg_database where datname = current_database())"
        )
        wait_for(lambda: bool(rows(empty_database, waits)))
        process.stdout.close()
    with process.stderr:
        stderr = process.stderr.read()
    assert process.wait(timeout=60) == 1
    assert events(empty_database) == [("deploy", "a")]
    assert "a was deployed and recorded; nothing after it was begun." in stderr
    assert "Traceback" not in stderr
