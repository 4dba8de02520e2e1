"""The command line: usage, targets, configuration, exit codes, and what is never printed."""

from __future__ import annotations

import json
import secrets
import socket
import subprocess
import sys
import time
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from small_project import environment, run, sqitch, table, write_project

from integrations_db.config import (
    Config,
    committer,
    parse_config,
    resolve_target,
)
from integrations_db.database import _unreachable, plain
from integrations_db.errors import Failure, Usage

SECRET = "hunter2-do-not-print"  # noqa: S105


@pytest.mark.static
def test_help_imports_neither_driver_nor_rich() -> None:
    code = (
        "import sys; from integrations_db.cli import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('psycopg', 'rich', 'hypothesis') if m in sys.modules])"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment()
    )
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Exit codes" in done.stdout


@pytest.mark.static
def test_plan_needs_no_database(tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a", tags=("v1",)), "b": table("b", requires=("a",))})
    told = json.loads(run(tmp_path, "plan", "--json").stdout)
    assert [change["change"] for change in told["changes"]] == ["a", "b"]
    assert len(told["changes"][0]["script_hash"]) == 40
    assert [len(change["id"]) for change in told["changes"]] == [40, 40]
    assert run(tmp_path, "plan").stdout == "a @v1\nb\n"


@pytest.mark.static
def test_directory_of_the_project(tmp_path: Path) -> None:
    inside = tmp_path / "inside"
    inside.mkdir()
    write_project(inside, {"here": table("here")})
    assert "here" in run(tmp_path, "--chdir", "inside", "plan").stdout
    # Elsewhere it is the project that came with the program.
    assert "functions/get_credentials" in run(tmp_path, "plan").stdout
    wrong = run(tmp_path, "--chdir", str(tmp_path), "plan")
    assert (wrong.returncode, "has no sqitch.plan" in wrong.stderr) == (2, True)


@pytest.mark.static
@pytest.mark.parametrize(
    "arguments",
    [
        ["nosuch"],
        ["deploy", "--nosuch"],
        ["deploy", "--wait", "soon", "dbname=x"],
        ["deploy", "not-a-target"],
        ["deploy", "db:mysql:x"],
        ["deploy", f"postgresql://u:{SECRET}@h:x y/"],
        ["deploy", f"host=h password={SECRET} nosuch={SECRET}"],
        ["deploy", f"postgresql://postgres:word@{SECRET}@127.0.0.1/x"],
        ["deploy", f"postgresql://postgres:word@{SECRET}@127.0.0.1:1,127.0.0.2/x?sslmode=disable"],
        ["deploy", f"postgresql://postgres:{SECRET}/word@127.0.0.1/x"],
        ["deploy", f"postgresql://postgres:1/{SECRET}@127.0.0.1/x"],
        ["deploy", f"postgresql://postgres:{SECRET}?sslmode=word@127.0.0.1/x"],
        ["deploy", f"db:pg://postgres:word@{SECRET}@127.0.0.1/x"],
        ["deploy", f"db:pg:postgres:{SECRET}@127.0.0.1/x"],
        ["deploy", f"db:pg:{SECRET}@x"],
        ["deploy", f"host=127.0.0.1 dbname=postgres:{SECRET}@127.0.0.1/x"],
        ["deploy", f"dbname = 'postgresql://postgres:{SECRET}@127.0.0.1/x'"],
        ["revert", "--all", "dbname=x"],
    ],
)
def test_wrong_usage_is_code_2(tmp_path: Path, arguments: list[str]) -> None:
    write_project(tmp_path, {"a": table("a")})
    done = run(tmp_path, *arguments)
    assert done.returncode == 2, done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.static
def test_messages_of_the_driver_are_masked() -> None:
    given = {"host": "h", "password": SECRET, "sslpassword": "other-secret"}
    said = plain(f'bad "{SECRET}" and other-secret; password=third port=5432, host h', given)
    assert said == 'bad "***" and ***; password=*** port=5432, host h'
    assert plain("nothing to hide", {"host": "h"}) == "nothing to hide"


@pytest.mark.static
def test_the_time_to_connect_can_be_set(tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    with socket.create_server(("127.0.0.1", 0)) as silent:
        target = f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/d"
        began = time.monotonic()
        done = run(tmp_path, "status", target, PGCONNECT_TIMEOUT="2")
    assert (done.returncode, "timeout" in done.stderr) == (1, True)
    assert time.monotonic() - began < 8


@pytest.mark.static
def test_help_lists_every_exit_code(tmp_path: Path) -> None:
    listed = run(tmp_path, "--help").stdout.partition("Exit codes:")[2].split("\n")
    assert [line.split()[0] for line in listed if line.strip()] == [
        "0",
        "1",
        "2",
        "3",
        "4",
        "5",
        "130",
    ]


@pytest.mark.static
@pytest.mark.parametrize("command", ["deploy", "verify", "status", "demo"])
def test_an_unreachable_server_is_one_message(tmp_path: Path, command: str) -> None:
    write_project(tmp_path, {"a": table("a")})
    done = run(tmp_path, command, f"postgresql://u:{SECRET}@127.0.0.1:1/d")
    assert done.returncode == 1
    assert "onnection refused" in done.stderr
    assert "Traceback" not in done.stderr
    assert SECRET not in done.stdout + done.stderr


@pytest.mark.static
@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (("plan", SECRET), "plan takes options only, no TARGET"),
        (("server", "start", SECRET), "start takes options only, no TARGET"),
        (("status", "host=h", f"password={SECRET}"), "(host=... dbname=...) needs quotes"),
    ],
)
def test_too_many_arguments(tmp_path: Path, arguments: tuple[str, ...], why: str) -> None:
    write_project(tmp_path, {"a": table("a")})
    done = run(tmp_path, *arguments)
    assert (done.returncode, why in done.stderr) == (2, True), done.stderr
    assert SECRET not in done.stderr


@pytest.mark.static
def test_a_broken_plan_is_one_message(tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    (tmp_path / "sqitch.plan").write_text("%project=x\n\nnonsense\n")
    done = run(tmp_path, "plan")
    assert done.returncode == 1
    assert "sqitch.plan:3: " in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.static
def test_a_machine_that_refuses_is_one_message(tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    code = (
        "from pathlib import Path\n"
        "from integrations_db import project\n"
        "from integrations_db.cli.program import main\n"
        "def full(*_, **__): raise OSError(28, 'No space left on device', 'some/where')\n"
        "project.read_plan = full\n"
        "main(['plan', '--json'])"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        env=environment(),
    )
    assert done.stderr == "integrations-db: some/where: No space left on device\n"
    assert json.loads(done.stdout)["error"]["exit_code"] == done.returncode == 1


@pytest.mark.static
@pytest.mark.parametrize(
    ("target", "why"),
    [
        ("service=nosuch", "Check ~/.pg_service.conf"),
        ("hots=localhost", "check the names of its options"),
        ("postgresql://me@localhost/app?sslmod=require", "check the names of its options"),
    ],
)
def test_a_target_that_leads_nowhere_is_told_what_to_check(
    tmp_path: Path, target: str, why: str
) -> None:
    write_project(tmp_path, {"a": table("a")})
    done = run(tmp_path, "status", target, PGSERVICEFILE=str(tmp_path / "none"))
    assert done.returncode in (1, 2) and why in done.stderr


@pytest.mark.static
@pytest.mark.parametrize(
    ("text", "advice"),
    [
        ("server does not support SSL, but SSL was required", "Check sslmode"),
        ("SSL error: tlsv1 alert protocol version", "Check sslmode"),
        ('FATAL:  no pg_hba.conf entry for host "::1", user "me", no encryption', "pg_hba.conf"),
    ],
)
def test_who_refuses_a_connection_is_told_with_it(text: str, advice: str) -> None:
    told = _unreachable(psycopg.OperationalError(text), {})
    assert advice in told.partition("Nothing was touched. ")[2]


@pytest.mark.database
def test_wrong_database_and_password(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    done = run(tmp_path, "deploy", f"{empty_database} dbname=nosuch_database")
    assert done.returncode == 1
    assert "does not exist" in done.stderr
    assert "Create it first" in done.stderr


@pytest.mark.database
def test_no_password_is_printed(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a"), "b": table("a")})
    # A login whose password is right, whether or not the server asks for it.
    name = f"t_{secrets.token_hex(6)}"
    target = make_conninfo(empty_database, user=name, password=SECRET)
    with psycopg.connect(empty_database, autocommit=True) as conn:
        conn.execute(f"create role {name} login superuser password '{SECRET}'".encode())
        try:
            for arguments in (["deploy"], ["status"], ["verify"], ["deploy", "--json"]):
                done = run(tmp_path, *arguments, target)
                assert SECRET not in done.stdout + done.stderr
                assert "cannot connect" not in done.stderr
            assert "deploy/b.sql" in run(tmp_path, "deploy", target).stderr
        finally:
            conn.execute(f"drop owned by {name}; drop role {name}".encode())


@pytest.mark.database
def test_a_configured_target(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    with (tmp_path / "sqitch.conf").open("a") as conf:
        conf.write(f'[target "mine"]\n\turi = "{empty_database}"\n')
    assert run(tmp_path, "deploy", "mine").returncode == 0
    assert run(tmp_path, "status", "--check", SQITCH_TARGET="mine").returncode == 0


@pytest.mark.static
@pytest.mark.parametrize(
    ("given", "dsn"),
    [
        ("db:pg:", "postgresql:///"),
        ("db:pg:app", "postgresql:///app"),
        ("db:postgres:a%20b?sslmode=require", "postgresql:///a%20b?sslmode=require"),
        ("db:pg:///app", "postgresql:///app"),
        ("db:postgresql://u@h:1/app?a=b", "postgresql://u@h:1/app?a=b"),
        ("postgresql://u:p%40@h/app", "postgresql://u:p%40@h/app"),
        ("host=h dbname='a b'", "host=h dbname='a b'"),
        ("host=@abstract dbname=x password=a:b@c", "host=@abstract dbname=x password=a:b@c"),
        ("postgres://[::1]:5432,h:1/a%40b", "postgres://[::1]:5432,h:1/a%40b"),
        (
            "postgresql://u:a:b@%2Ftmp:1/x?passfile=/a@b",
            "postgresql://u:a:b@%2Ftmp:1/x?passfile=/a@b",
        ),
        ("db:pg:a%40b%3Ac", "postgresql:///a%40b%3Ac"),
        ("prod", "postgresql://prod/app"),
    ],
)
def test_targets(given: str, dsn: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SQITCH_TARGET", raising=False)
    target = resolve_target(Config({"target.prod.uri": ("db:pg://prod/app",)}), given)
    assert target is not None
    assert target.dsn == dsn
    assert target.dsn not in repr(target)


@pytest.mark.static
def test_default_targets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SQITCH_TARGET", raising=False)
    assert resolve_target(Config(), None) is None
    configured = Config({"engine.pg.target": ("db:pg:x",)})
    target = resolve_target(configured, None)
    assert target is not None
    assert target.dsn == "postgresql:///x"
    with pytest.raises(Usage):
        resolve_target(Config({"target.a.uri": ("a",)}), "a")


CONF = r"""
[core]
	engine = pg # comment
	top_dir = "a # b" ; comment
	flag
[target "Prod Server"]
	uri = db:pg:x \
continued
[Deploy "Variables"]
	x = a\tb\\c\"d
	x = second
"""


@pytest.mark.static
def test_configuration_is_read_as_sqitch_does(tmp_path: Path) -> None:
    ours = parse_config(CONF).values
    assert ours["core.top_dir"] == ("a # b",)
    assert ours["deploy.Variables.x"] == ('a\tb\\c"d', "second")
    assert ours["target.Prod Server.uri"] == ("db:pg:x continued",)
    (tmp_path / "sqitch.conf").write_text(CONF)
    for key in ("core.engine", "core.top_dir", "target.Prod Server.uri"):
        told = sqitch(tmp_path, None, "config", "--get", key)
        assert told.stdout.removesuffix("\n") == ours[key][-1]


@pytest.mark.static
@pytest.mark.parametrize("text", ["a = b\n", "[x]\n= 1\n", '[x]\na = "open\n', "[x]\na = \\q\n"])
def test_configuration_errors_name_the_line(text: str) -> None:
    with pytest.raises(Failure, match=r"sqitch\.conf:\d"):
        parse_config(text)


@pytest.mark.static
def test_committer(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FULLNAME", "EMAIL", "ORIG_FULLNAME", "ORIG_EMAIL"):
        monkeypatch.delenv(f"SQITCH_{name}", raising=False)
    assert committer(Config()).name
    assert "@" in committer(Config()).email
    config = Config({"user.name": ("Ada",), "user.email": ("a@example.com",)})
    assert (committer(config).name, committer(config).email) == ("Ada", "a@example.com")
    monkeypatch.setenv("SQITCH_FULLNAME", "Grace")
    assert committer(config).name == "Grace"
