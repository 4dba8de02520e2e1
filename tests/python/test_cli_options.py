"""Options that the configuration can set, psql variables, and JSON that is one document."""

from __future__ import annotations

import json
import signal
import subprocess
from pathlib import Path

import pytest
from small_project import (
    Sql,
    command,
    environment,
    recorded,
    rows,
    run,
    run_json,
    table,
    tables,
    write_project,
)
from test_deployer import sleeping, wait_for

SECRET = "hunter2-do-not-print"  # noqa: S105
NOWHERE = "postgresql://u@127.0.0.1:1/d"


def configure(folder: Path, text: str) -> None:
    """Adds to the configuration of a project."""
    with (folder / "sqitch.conf").open("a") as conf:
        conf.write(text)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project of two changes, the second of which has no verify script."""
    return write_project(tmp_path, {"a": table("a"), "b": table("b", verify=None)})


# -- usage --------------------------------------------------------------------------------------


@pytest.mark.static
@pytest.mark.parametrize(
    "arguments",
    [
        ["deploy", "--set", SECRET],
        ["deploy", "--set", f"={SECRET}"],
        ["deploy", "--set", f"a b={SECRET}"],
        ["revert", "--all", "-y", "--set", f"a-b={SECRET}"],
        ["verify", "--set", f"pass word={SECRET}"],
        ["deploy", "host=h", f"password={SECRET}"],
        ["status", "host=h", f"password={SECRET}", "dbname=x"],
        [f"postgresql://u:{SECRET}@h/x"],
        [f"password={SECRET} host=h"],
        ["server", f"postgresql://u:{SECRET}@h/x"],
        ["server", "start", f"password={SECRET}"],
        ["nosuch"],
        ["deploy", "--resume", "--log-only"],
        ["revert", "--all", "-y", "--resume", "--log-only"],
        ["deploy", "--mode", "some"],
        ["log", "-n", "-1"],
        ["log", "--event", "nosuch"],
        ["revert"],
        ["revert", "--all", "--to", "a", "-y"],
    ],
)
def test_wrong_usage_repeats_no_secret(folder: Path, arguments: list[str]) -> None:
    done = run(folder, *arguments)
    assert (done.returncode, done.stdout) == (2, "")
    assert SECRET not in done.stderr
    assert "Traceback" not in done.stderr
    assert "--help" in done.stderr
    told = run(folder, *arguments, "--json")
    assert told.returncode == 2
    error = json.loads(told.stdout)["error"]
    assert error["exit_code"] == 2
    assert error["message"] in told.stderr
    assert SECRET not in told.stdout + told.stderr


@pytest.mark.static
def test_a_mode_that_is_none(folder: Path) -> None:
    configure(folder, "[deploy]\n\tmode = some\n")
    done = run(folder, "deploy", NOWHERE)
    assert (done.returncode, 'deploy.mode in the configuration is "some"' in done.stderr) == (
        2,
        True,
    )


@pytest.mark.static
@pytest.mark.parametrize(
    "arguments",
    [
        ["deploy"],
        ["revert", "--all", "-y"],
        ["verify"],
        ["status"],
        ["log"],
        ["check"],
    ],
)
def test_a_failure_is_json_and_a_sentence(folder: Path, arguments: list[str]) -> None:
    done = run(folder, *arguments, "--json", NOWHERE)
    error = json.loads(done.stdout)["error"]
    assert error["exit_code"] == done.returncode == 1
    assert error["message"].startswith("cannot connect: ")
    assert done.stderr == f"integrations-db: {error['message']}\n"


@pytest.mark.static
def test_no_configuration_confirms_a_revert(folder: Path) -> None:
    configure(folder, "[revert]\n\tno_prompt = true\n\tprompt_accept = true\n")
    done = run(folder, "revert", "--all", NOWHERE)
    assert (done.returncode, "confirm with -y" in done.stderr) == (2, True)


@pytest.mark.static
def test_the_target_decides_where_plan_and_scripts_are(folder: Path) -> None:
    (folder / "other").mkdir()
    write_project(folder / "other", {"c": table("c", verify=None)})
    configure(folder, f'[target "other"]\n\turi = {NOWHERE}\n\ttop_dir = other\n')
    assert run(folder, "plan").stdout == "a\nb\n"
    assert run(folder, "plan", SQITCH_TARGET="other").stdout == "c\n"
    assert "other/verify/c.sql" in run(folder, "check", SQITCH_TARGET="other").stdout


# -- with a database ----------------------------------------------------------------------------


@pytest.mark.database
@pytest.mark.parametrize(
    ("configured", "arguments", "remark"),
    [
        ("", [], "a ... ok\n"),
        ("verify = false", [], "a ... ok, not verified\n"),
        ("verify = false", ["--verify"], "a ... ok\n"),
        ("verify = true", ["--no-verify"], "a ... ok, not verified\n"),
        ("verify", [], "a ... ok\n"),
    ],
)
def test_verification_can_be_configured(
    empty_database: str, folder: Path, configured: str, arguments: list[str], remark: str
) -> None:
    configure(folder, f"[deploy]\n\t{configured}\n")
    assert remark in run(folder, "deploy", *arguments, empty_database).stdout


@pytest.mark.database
@pytest.mark.parametrize(
    ("configured", "arguments", "left"),
    [
        ("", [], ["a"]),
        ("mode = all", [], []),
        ("mode = all", ["--mode", "change"], ["a"]),
        ("", ["--mode", "all"], []),
    ],
)
def test_the_mode_can_be_configured(
    empty_database: str, folder: Path, configured: str, arguments: list[str], left: list[str]
) -> None:
    configure(folder, f"[deploy]\n\t{configured}\n")
    (folder / "deploy/b.sql").write_text("begin;\nselect 1/0;\ncommit;\n")
    assert run(folder, "deploy", *arguments, empty_database).returncode == 1
    assert recorded(empty_database) == left


@pytest.mark.database
def test_psql_variables(empty_database: str, tmp_path: Path) -> None:
    made = Sql(
        deploy="begin;\ncreate table :\"name\" as select :'text' as x;\ncommit;\n",
        revert='begin;\ndrop table :"name";\ncommit;\n',
        verify='begin;\nselect 1/count(*) from :"name";\nrollback;\n',
    )
    folder = write_project(tmp_path, {"made": made})
    configure(folder, '[deploy "variables"]\n\tname = configured\n\ttext = "it\'s"\n')
    done = run(folder, "deploy", empty_database)
    assert done.returncode == 0, done.stderr
    assert tables(empty_database) == {"configured"}
    assert rows(empty_database, "select x from configured") == [("it's",)]
    assert run(folder, "verify", empty_database).returncode == 0
    assert run(folder, "verify", "--set", "name=nosuch", empty_database).returncode == 1
    assert run(folder, "revert", "--all", "-y", empty_database).returncode == 0
    done = run(folder, "deploy", "--set", "name=a=b", "--set", "text=", empty_database)
    assert done.returncode == 0, done.stderr
    assert tables(empty_database) == {"a=b"}
    assert rows(empty_database, 'select x from "a=b"') == [("",)]
    done = run(folder, "revert", "--all", "-y", "--set", "name=a=b", empty_database)
    assert done.returncode == 0, done.stderr
    assert tables(empty_database) == set()


@pytest.mark.database
def test_json_is_all_that_is_printed(empty_database: str, folder: Path) -> None:
    (folder / "deploy/b.sql").write_text(
        "begin;\ncreate table b (id integer);\ndo $$ begin raise notice 'heard'; end $$;\ncommit;\n"
    )
    done = run(folder, "deploy", "--dry-run", "--json", empty_database)
    told = json.loads(done.stdout)
    assert "heard" in done.stderr
    assert (told["dry_run"], told["executed"], recorded(empty_database)) == (True, True, [])
    told = run_json(folder, "deploy", empty_database)
    assert set(told) == {"project", "uri", "dry_run", "executed", "deployed", "seconds"}
    assert [(it["change"], it["execution"]) for it in told["deployed"]] == [
        ("a", "atomic"),
        ("b", "atomic"),
    ]
    told = run_json(folder, "revert", "--to", "a", "-y", empty_database)
    assert set(told) == {"project", "database", "reverted"}
    assert [it["change"] for it in told["reverted"]] == ["b"]
    (folder / "deploy/b.sql").write_text("begin;\nselect 1/0;\ncommit;\n")
    done = run(folder, "deploy", "--json", empty_database)
    assert json.loads(done.stdout)["error"]["exit_code"] == done.returncode == 1
    assert "deploy/b.sql:2" in json.loads(done.stdout)["error"]["message"]


@pytest.mark.database
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 1)])
def test_an_interruption_is_json_too(
    empty_database: str, tmp_path: Path, number: signal.Signals, code: int
) -> None:
    folder = write_project(tmp_path, {"a": Sql("begin;\nselect pg_sleep(600);\ncommit;\n")})
    with subprocess.Popen(  # noqa: S603
        command("deploy", "--json", empty_database),
        cwd=folder,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    ) as process:
        wait_for(lambda: sleeping(empty_database))
        process.send_signal(number)
        out, _ = process.communicate(timeout=60)
    assert process.returncode == json.loads(out)["error"]["exit_code"] == code


@pytest.mark.database
def test_a_dry_run_says_whether_it_ran(empty_database: str, folder: Path) -> None:
    done = run(folder, "deploy", "--dry-run", empty_database)
    assert "Dry run: 2 changes would deploy: all of it ran and was rolled back." in done.stdout
    (folder / "deploy/b.sql").write_text("create index concurrently i on a (id);\n")
    done = run(folder, "deploy", "--dry-run", empty_database)
    assert (
        "Dry run: 2 changes would deploy: this was only planned, nothing was kept." in done.stdout
    )
    told = run_json(folder, "deploy", "--dry-run", empty_database)
    assert (told["executed"], len(told["deployed"])) == (False, 2)
    assert recorded(empty_database) == []
