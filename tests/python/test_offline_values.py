"""`sql` with odd plans: psql records what the deployer records, and no text breaks out."""

from __future__ import annotations

import os
import shutil
import string
import subprocess
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psycopg
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st
from offline_runs import psql
from small_project import WHO, environment, require
from test_plan_sqitch import plans
from test_registry import another_database, content

from integrations_db.config import Committer, Target
from integrations_db.database import connect
from integrations_db.deploy import deploy
from integrations_db.offline import offline_script
from integrations_db.plan import Plan, format_plan
from integrations_db.project import Project, load_project
from integrations_db.psql import quoted, set_command
from integrations_db.registry import literal
from integrations_db.terminal import Silent
from size import size

pytestmark = pytest.mark.database

PHASES = (Phase.explicit, Phase.reuse, Phase.generate)
ODD = st.text(
    st.one_of(
        st.sampled_from("'\"\\:%$`{}#!;-*/\n\r\t e"),
        st.characters(exclude_categories=["Cs"], exclude_characters="\0"),
    ),
    max_size=30,
)


def run(dsn: str, text: str, tmp_path: Path) -> str:
    """Returns what psql prints of a script, exactly."""
    file = tmp_path / "literals.sql"
    file.write_text(text, newline="")
    done = subprocess.run(  # noqa: S603
        [require("psql"), "-XAtq", "-v", "ON_ERROR_STOP=1", "-f", os.fspath(file), dsn],
        env=environment(PGCLIENTENCODING="UTF8"),
        capture_output=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, b""), done.stderr.decode()
    return done.stdout.decode()


@given(st.lists(ODD, min_size=1, max_size=40))
@settings(
    max_examples=size(10, 50),
    deadline=None,
    phases=PHASES,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_any_text_is_what_it_was(worker_database: str, tmp_path: Path, texts: list[str]) -> None:
    """As a literal, in a dollar-quoted block, as a variable, and said with echo."""
    script = "\\set x broken\n\\set integrations_db_name broken\n"
    for text in texts:
        script += (
            f"select encode(convert_to({literal(text)}, 'UTF8'), 'hex');\n"
            f"do $integrations_db$ begin perform set_config('a.b', ({literal([text])})[1], false);"
            " end $integrations_db$;\n"
            "select encode(convert_to(current_setting('a.b'), 'UTF8'), 'hex');\n"
            f"{set_command('v', text)}\n"
            "select encode(convert_to(:'v', 'UTF8'), 'hex');\n"
        )
    expected = "".join(f"{text.encode().hex()}\n" * 3 for text in texts)
    assert run(worker_database, script, tmp_path) == expected
    assert "\n" not in "".join(map(literal, texts))
    assert "$" not in "".join(map(literal, texts))
    said = "".join(f"\\echo {quoted(text)}\n" for text in texts)
    assert run(worker_database, said, tmp_path) == "".join(f"{text}\n" for text in texts)


@pytest.fixture(scope="module")
def pair(pgtap_server: object, worker_database: str) -> Iterator[tuple[str, str]]:
    """Two databases that the examples share."""
    names = [f"odd_{os.getpid()}_{letter}" for letter in string.ascii_lowercase[:2]]
    with (
        another_database(worker_database, names[0]) as one,
        another_database(worker_database, names[1]) as two,
    ):
        yield one, two


def wanted(plan: Plan) -> Plan:
    """Returns a plan that needs no other project, and conflicts with none that is there."""
    changes = [
        replace(
            change,
            # Named twice, once with its own project, is one row too many for either tool.
            requires=tuple({d.key: d for d in change.requires if d.project != "other"}.values()),
            conflicts=tuple(replace(d, project="other") for d in change.conflicts),
        )
        for change in plan.changes
    ]
    return replace(plan, changes=tuple(changes))


def write(plan: Plan, folder: Path) -> Project:
    """Writes a project whose scripts do nothing, each in its own way."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    (folder / "sqitch.plan").write_text(format_plan(plan), newline="")
    (folder / "sqitch.conf").write_text("[core]\n\tengine = pg\n")
    project = load_project(folder)
    for index in range(len(plan.changes)):
        for kind in ("deploy", "revert"):
            path = project.path(index, kind)
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(f"select {index};\n")
    return project


@pytest.mark.long
@given(plans())
@settings(
    max_examples=size(5, 60),
    deadline=None,
    phases=PHASES,
    suppress_health_check=[
        HealthCheck.function_scoped_fixture,
        HealthCheck.too_slow,
        HealthCheck.filter_too_much,
    ],
)
def test_odd_plans_are_recorded_as_the_deployer_does(
    pair: tuple[str, str], tmp_path: Path, plan: Plan
) -> None:
    plan = wanted(plan)
    assume(plan.changes)
    assume(not any(".." in c.name or "//" in c.name or "/." in c.name for c in plan.changes))
    project = write(plan, tmp_path / "odd")
    who = Committer(WHO["SQITCH_FULLNAME"], WHO["SQITCH_EMAIL"])
    for dsn in pair:
        with psycopg.connect(dsn) as conn:
            conn.execute("drop schema if exists sqitch cascade")
    with closing(connect(Target(pair[1]), lambda _: None)) as conn:
        deploy(conn, project, Target(pair[1]), who, Silent())
    done = psql(pair[0], offline_script(project), tmp_path)
    assert done.returncode == 0, done.stderr
    assert content(pair[0]) == content(pair[1])
    back = offline_script(project, revert=True, everything=True)
    assert psql(pair[0], back, tmp_path).returncode == 0
    with psycopg.connect(pair[0]) as conn:
        assert conn.execute("select count(*) from sqitch.changes").fetchone() == (0,)
