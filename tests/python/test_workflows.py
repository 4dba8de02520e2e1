"""GitHub's files: the action does what it says, and every step of it can fail.

The steps run as they stand in the YAML, on small projects and real servers.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from small_project import Sql, environment, run, table, write_project

from integrations_db.check import workflow_commands
from integrations_db.testing.servers import Server
from size import size

ROOT = Path(__file__).parents[2]
ACTION = ROOT / "action.yml"
FILES = sorted([ACTION, *(ROOT / ".github" / "workflows").glob("*.yml")])
TESTED = (
    "begin;\nselect plan(1);\nselect has_table('{}'::name);\nselect * from finish();\nrollback;\n"
)


def _script(title: str) -> str:
    """Returns what a step of the action runs."""
    step = ACTION.read_text().partition(f"- name: {title}\n")[2].partition("\n    - ")[0]
    return textwrap.dedent(step.partition("run: |\n")[2])


def _inputs() -> dict[str, str]:
    """Returns the inputs of the action with their defaults."""
    block = ACTION.read_text().partition("\ninputs:\n")[2].partition("\nruns:\n")[0]
    return {
        name: default.strip('"')
        for name, default in re.findall(
            r"^  ([\w-]+):\n.*?^    default: ([^\n]*)$", block, re.M | re.S
        )
    }


def _github(folder: Path) -> dict[str, str]:
    """Returns variables as GitHub sets them; without Hypothesis pytest needs half of the time."""
    own = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(folder)}
    return own | {"PYTEST_ADDOPTS": "-p no:hypothesispytest"}


def _rehearse(
    folder: Path, server: str, **inputs: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Runs the last step of the action; also gives its annotations."""
    runner = folder / "runner"
    program = runner / "integrations-db" / "bin" / "integrations-db"
    program.parent.mkdir(parents=True, exist_ok=True)
    program.write_text(f'#!/bin/sh\nexec {sys.executable} -m integrations_db "$@"\n')
    program.chmod(0o755)
    values = _inputs() | {"server": server} | {k.replace("_", "-"): v for k, v in inputs.items()}
    given = {name.upper().replace("-", "_"): value for name, value in values.items()}
    given |= {"RUNNER_TEMP": str(runner)} | _github(folder)
    # As GitHub runs `shell: bash`.
    done = subprocess.run(  # noqa: S603
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", _script(LAST)],  # noqa: S607
        cwd=folder,
        env=environment(**given),
        capture_output=True,
        text=True,
        check=False,
    )
    return done, _annotations(done)


def _annotations(done: subprocess.CompletedProcess[str]) -> list[str]:
    text = done.stdout + done.stderr
    return [line for line in text.splitlines() if line.startswith("::error")]


def _rehearse_alone(
    folder: Path, server: str, *options: str
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """Runs the command of that step without the step."""
    done = run(folder, "rehearse", "--server", server, *options, **_github(folder))
    return done, _annotations(done)


STEPS = ["Check", "Deploy", "Verify", "pgTAP", "Revert", "Deploy again", "Drift"]
LAST = "Deploy, verify, test, revert, deploy again, compare"
GOOD = {
    "a": table("a", tags=("v1",)),
    "b": table("b", requires=("a",)),
}


def _write(folder: Path, changes: Mapping[str, Sql], tested: str | None = "b") -> Path:
    """Writes a project with a pgTAP file, if there is a table to look for."""
    write_project(folder, changes)
    if tested is None:
        return folder
    tests = folder / "tests" / "pgtap"
    tests.mkdir(parents=True)
    (tests / "it_test.sql").write_text(TESTED.format(tested))
    return folder


def test_a_good_project_passes(tmp_path: Path, lent_cluster: Server) -> None:
    _write(tmp_path / "db", GOOD)
    done, annotations = _rehearse(tmp_path, lent_cluster.dsn, project="db")
    assert done.returncode == 0, done.stdout + done.stderr
    assert annotations == []
    groups = re.findall(r"^::group::(.*)$", done.stdout, re.M)
    assert groups == STEPS
    assert done.stdout.count("::endgroup::") == len(groups)
    cases = ET.parse(tmp_path / "junit.xml").getroot().findall(".//testcase")  # noqa: S314
    assert [case.get("name") for case in cases] == ["1 Table b should exist"]
    with psycopg.connect(lent_cluster.dsn) as connection:
        left = connection.execute("select datname from pg_database where datname ~ 'clone'")
        assert left.fetchall() == []


def test_inputs_reach_the_command(tmp_path: Path, lent_cluster: Server) -> None:
    made = Sql(
        'begin;\ncreate table :"name" (id integer);\ncommit;\n',
        'begin;\ndrop table :"name";\ncommit;\n',
        'begin;\nselect id from :"name" where false;\nrollback;\n',
    )
    write_project(tmp_path, {"made": made})
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "it.pg").write_text(
            "begin; select plan(1); select has_table(:'name'::name); rollback;"
        )
    done, _ = _rehearse(
        tmp_path,
        lent_cluster.dsn,
        pgtap="one\n\ntwo\n",
        pgtap_files="*.sql\n*.pg",
        variables="other=1\nname=a table",
    )
    assert done.returncode == 0, done.stdout + done.stderr
    cases = ET.parse(tmp_path / "junit.xml").getroot().findall(".//testcase")  # noqa: S314
    assert len(cases) == 2


def _broken(name: str, **more: str | None) -> dict[str, Sql]:
    """Returns the good project with another script for a change."""
    return GOOD | {name: replace(GOOD[name], **more)}  # type: ignore[arg-type]


FRAME = "begin;\n\n{};\ncommit;\n"
LEAVES = {
    "a table": "create table b (id integer primary key); create table left_over ()",
    "a privilege": "create table b (id integer primary key); grant create on schema public to"
    " pg_monitor",
    "a comment": "create table b (id integer primary key); comment on schema public is 'mine'",
}

HIDDEN = {
    "a-grant": "grant select on a to public",
    "a-column": "alter table a add left_over int",
    "a-comment": "comment on table a is 'left over'",
}

# Of a role that owns nothing and may do nothing here.
CHANGED = {
    "a-setting": "alter role changed_r set work_mem = '7MB'",
    "a-membership": "grant pg_monitor to changed_r",
    "an-attribute": "alter role changed_r createdb",
}


@pytest.mark.parametrize(
    ("changes", "tested", "code", "annotation"),
    [
        pytest.param(
            _broken("b", deploy=FRAME.format("create tabel b ()")),
            None,
            1,
            "::error file=deploy/b.sql,line=4::ERROR 42601: syntax error",
            id="deploy",
        ),
        pytest.param(
            _broken("b", verify="begin;\n\nselect nope from b;\nrollback;\n"),
            None,
            1,
            "::error file=verify/b.sql,line=4::ERROR 42703:",
            id="verify",
        ),
        pytest.param(
            # Each change holds when it is deployed; later ones break it.
            GOOD | {"c": Sql(FRAME.format("alter table a rename id to di"))},
            None,
            1,
            "::error file=verify/a.sql,line=3::ERROR 42703:",
            id="verify-later",
        ),
        pytest.param(
            GOOD,
            "c",
            1,
            "::error file=tests/pgtap/it_test.sql,line=3::not ok 1 - Table c should exist",
            id="pgtap",
        ),
        pytest.param(
            _broken("b", revert=FRAME.format("drop table c")),
            None,
            1,
            "::error file=revert/b.sql,line=4::ERROR 42P01:",
            id="revert",
        ),
        *(
            pytest.param(
                _broken("b", deploy=FRAME.format(made)),
                None,
                4,
                "::error file=revert/b.sql,line=1::the revert script leaves 1 difference",
                id=f"revert-leaves-{what.replace(' ', '-')}",
            )
            for what, made in list(LEAVES.items())[: size(1, len(LEAVES))]
        ),
        *(
            pytest.param(
                # Gone with the table, once all is reverted.
                GOOD | {"c": Sql(FRAME.format(made))},
                None,
                4,
                "::error file=revert/c.sql,line=1::the revert script leaves 1 difference",
                id=f"a-later-revert-hides-{what}",
            )
            for what, made in list(HIDDEN.items())[: size(1, len(HIDDEN))]
        ),
        pytest.param(
            {
                "p": Sql(
                    FRAME.format("create table p (a int) partition by list (a)"),
                    FRAME.format("drop table p"),
                ),
                "q": Sql(FRAME.format("create table q partition of p for values in (1)")),
            },
            None,
            4,
            "::error file=revert/q.sql,line=1::the revert script leaves 1 difference",
            id="a-later-revert-hides-a-partition",
        ),
        *(
            pytest.param(
                {
                    "r": Sql(
                        FRAME.format("create role changed_r"), FRAME.format("drop role changed_r")
                    ),
                    "c": Sql(FRAME.format(change)),
                },
                None,
                4,
                "::error file=revert/c.sql,line=1::the revert script leaves 1 difference",
                id=f"a-later-revert-hides-{what}",
            )
            for what, change in list(CHANGED.items())[: size(1, len(CHANGED))]
        ),
        pytest.param(
            # Roles belong to no database: only the second deployment finds what is left.
            _broken(
                "b",
                deploy=FRAME.format("create table b (id integer primary key); create role left_r"),
            ),
            None,
            1,
            '::error file=deploy/b.sql,line=4::ERROR 42710: role "left_r" already exists',
            id="deploy-again",
        ),
        pytest.param(
            _broken(
                "b",
                deploy=FRAME.format(
                    "create table b (id integer primary key); do $$ begin execute format('comment"
                    " on table b is %L', clock_timestamp()); end $$"
                ),
            ),
            None,
            4,
            "::error title=Drift::table public.b: comment",
            id="drift",
        ),
        pytest.param(
            _broken("b", revert=None),
            None,
            1,
            "::error file=",
            id="check",
        ),
    ],
)
def test_each_step_can_fail(
    tmp_path: Path,
    lent_cluster: Server,
    changes: dict[str, Sql],
    tested: str | None,
    code: int,
    annotation: str,
) -> None:
    _write(tmp_path, changes, tested)
    done, annotations = _rehearse_alone(tmp_path, lent_cluster.dsn)
    text = done.stdout + done.stderr
    assert done.returncode == code, text
    assert any(line.startswith(annotation) for line in annotations), text
    assert "Traceback" not in text
    with psycopg.connect(lent_cluster.dsn) as connection:
        left = connection.execute("select datname from pg_database where datname ~ 'clone'")
        assert left.fetchall() == []


def test_pgtap_files_that_are_not_found_fail(tmp_path: Path, lent_cluster: Server) -> None:
    _write(tmp_path, GOOD)
    done, annotations = _rehearse_alone(tmp_path, lent_cluster.dsn, "--pgtap-files=*.pg")
    assert done.returncode == 1
    assert any("no pgTAP file ran in" in line for line in annotations)


def test_what_a_project_needs_for_its_tests_in_python_is_not_needed(
    tmp_path: Path, lent_cluster: Server
) -> None:
    """Nor is it run; what its ini file says of pgTAP files holds."""
    write_project(tmp_path, GOOD)
    tests = tmp_path / "tests" / "pgtap"
    tests.mkdir(parents=True)
    (tests / "it.pg").write_text(TESTED.format("b"))
    (tests / "test_it.py").write_text("import nothing_that_is_there\n")
    (tests.parent / "conftest.py").write_text("import nothing_that_is_there\n")
    (tmp_path / "pytest.ini").write_text(
        "[pytest]\naddopts = --cov=app\nrequired_plugins = pytest-nothing\nstrict = true\n"
        "filterwarnings = error\nasyncio_mode = auto\npgtap_files = *.pg\n"
    )
    done, annotations = _rehearse_alone(tmp_path, lent_cluster.dsn)
    assert (done.returncode, annotations) == (0, []), done.stdout + done.stderr
    assert "1 passed" in done.stdout


def test_a_folder_without_a_plan_is_no_project(tmp_path: Path) -> None:
    for project in (".", "nosuch"):
        done, _ = _rehearse(tmp_path, "local", project=project)
        assert done.returncode in (1, 2) and "::group::" not in done.stdout
    done, annotations = _rehearse(tmp_path, "local")
    assert annotations == [f"::error ::{tmp_path} has no sqitch.plan"]


def test_what_proves_something_says_of_which_project(tmp_path: Path) -> None:
    told = "there is no sqitch.plan here: this is about the plan that came with integrations-db"
    assert told in run(tmp_path, "check").stderr
    assert told in run(tmp_path, "rehearse", "--server", "nosuch").stderr
    _write(tmp_path, GOOD)
    assert told not in run(tmp_path, "check").stderr
    (tmp_path / "below").mkdir()
    assert told not in run(tmp_path / "below", "--chdir", "..", "check").stderr


def test_without_pgtap_files_the_rest_is_done(tmp_path: Path, lent_cluster: Server) -> None:
    write_project(tmp_path, GOOD)
    done, _ = _rehearse_alone(tmp_path, lent_cluster.dsn)
    assert done.returncode == 0, done.stderr
    assert "nothing was tested" in done.stdout


def test_the_kind_of_server_is_chosen(tmp_path: Path, server: Server) -> None:
    _write(tmp_path, GOOD)
    kind = "local" if server.name == "dsn" else server.name
    base = {"postgres": os.environ["TEST_BASE_IMAGE"]} if "TEST_BASE_IMAGE" in os.environ else {}
    done, _ = _rehearse(tmp_path, kind, **base)
    assert done.returncode == 0, done.stderr
    assert f"Server: {kind}, PostgreSQL {server.release}, pgTAP {server.pgtap}" in done.stdout
    (tmp_path / "deploy" / "b.sql").write_text("nonsense;\n")
    done, annotations = _rehearse(tmp_path, kind, **base)
    assert done.returncode == 1
    assert annotations[0].startswith("::error file=deploy/b.sql,line=1::ERROR 42601:")


def test_failures_of_commands_are_annotations(tmp_path: Path, empty_database: str) -> None:
    verify = "begin;\n\nselect nope_{} from a;\nrollback;\n"
    changes = {name: table(name, verify=verify.format(name)) for name in ("a", "b")}
    folder = write_project(tmp_path / "db", changes)
    github = {"GITHUB_ACTIONS": "true", "GITHUB_WORKSPACE": str(tmp_path)}

    def annotated(*arguments: str) -> tuple[list[str], subprocess.CompletedProcess[str]]:
        done = run(folder, arguments[0], empty_database, *arguments[1:], **github)
        assert "::" not in done.stdout
        return [line for line in done.stderr.splitlines() if line.startswith("::")], done

    found, done = annotated("deploy", "--json")
    at = "::error file=db/verify/{},line=4::ERROR 42703: "
    assert len(found) == 1
    assert found[0].startswith(at.format("a.sql"))
    assert json.loads(done.stdout)["error"]["exit_code"] == done.returncode == 1
    assert annotated("deploy", "--no-verify")[0] == []
    found, _ = annotated("verify")
    assert len(found) == 2
    assert found[0].startswith(at.format("a.sql"))
    assert found[1].startswith(at.format("b.sql"))
    found, _ = annotated("revert")
    assert len(found) == 1
    assert found[0].startswith("::error ::say how far to revert")
    assert "::error" not in run(folder, "verify", empty_database, GITHUB_ACTIONS="false").stderr


@pytest.mark.static
def test_a_server_that_is_not_to_be_had_is_said(tmp_path: Path) -> None:
    write_project(tmp_path, GOOD)
    for kind, why in (("oracle", "the server oracle is unknown"), ("dsn", "TEST_DSN is not set")):
        (tmp_path / kind).mkdir()
        write_project(tmp_path / kind, GOOD)
        done, annotations = _rehearse(tmp_path / kind, kind)
        assert (done.returncode, "Traceback" in done.stderr) == (1, False)
        assert annotations[0].startswith(f"::error ::no server to rehearse on: {why}")


@pytest.mark.static
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.name)
def test_actions_are_pinned(file: Path) -> None:
    used = re.findall(r"uses: (.*)", file.read_text())
    assert used
    for action in used:
        assert action.startswith("./ ") or re.fullmatch(
            r"\S+@[0-9a-f]{40} # v\d+\.\d+\.\d+", action
        )


@pytest.mark.static
def test_the_action_uses_each_input_it_declares() -> None:
    used = set(re.findall(r"inputs\.([\w-]+)", ACTION.read_text()))
    assert used == set(_inputs())


@pytest.mark.static
def test_workflows_make_what_the_makefile_has() -> None:
    targets = set(re.findall(r"^([a-z]+):", (ROOT / "Makefile").read_text(), re.M))
    for file in FILES:
        made = set(re.findall(r"run: make (\w+)", file.read_text()))
        assert made <= targets


@pytest.mark.static
def test_each_job_installs_what_its_tests_want() -> None:
    """With ``CI`` set, as GitHub sets it, a test without its program fails."""
    text = (ROOT / ".github" / "workflows" / "ci.yml").read_text()
    jobs = dict(re.findall(r"^  (\w+):\n(    name: .*?)(?=^  \S|\Z)", text, re.M | re.S))
    wanted = {
        "lint": {"sqitch", "postgresql-client", "zsh", "fish", "plantuml"},
        "test": {"sqitch", "postgresql-client", "pgbouncer", "golang-go"},
        "package": {"sqitch"},
    }
    tested = {name for name, job in jobs.items() if re.search(r"make (lint|test)\b", job)}
    assert tested == set(wanted)
    for name, programs in wanted.items():
        commands = "".join(re.findall(r"apt-get install (.*?)\n(?! {12})", jobs[name], re.S))
        assert programs <= set(commands.split()), name


@pytest.mark.static
def test_the_document_names_inputs_and_steps() -> None:
    page = (ROOT / "docs" / "ci.md").read_text()
    (table_,) = re.findall(r"^\| Input .*?\n\n", page, re.M | re.S)
    cells = re.findall(r"^\| (`.*?) \|", table_, re.M)
    assert {name for cell in cells for name in re.findall(r"`([\w-]+)`", cell)} == set(_inputs())
    (table_,) = re.findall(r"^\| Step .*?\n\n", page, re.M | re.S)
    assert re.findall(r"^\| (\w[\w ]*?) \| ", table_, re.M)[1:] == STEPS
    (example,) = re.findall(r"```yaml\njobs:\n.*?```", page, re.S)
    assert set(re.findall(r"^          ([\w-]+):", example, re.M)) <= set(_inputs())


@pytest.mark.static
@pytest.mark.parametrize(
    ("message", "commands"),
    [
        ("no such server", ["::error ::no such server"]),
        ("a.sql:12: ERROR\nand more", ["::error file=a.sql,line=12::ERROR%0Aand more"]),
        (
            "a.sql:1:5: 5%\na.sql:2: b",
            ["::error file=a.sql,line=1::5%25", "::error file=a.sql,line=2::b"],
        ),
        # Not every such line begins with a file.
        ("gone.sql:12: ERROR", ["::error ::gone.sql:12: ERROR"]),
        ("it failed\n  HINT: at 10:30: late", ["::error ::it failed%0A  HINT: at 10:30: late"]),
    ],
)
def test_messages_as_workflow_commands(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, message: str, commands: list[str]
) -> None:
    (tmp_path / "a.sql").touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    assert list(workflow_commands(message)) == commands
