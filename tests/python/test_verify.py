"""``verify``: the findings of ``sqitch verify``, change by change."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import psycopg
import pytest
from psycopg.conninfo import make_conninfo
from small_project import Sql, run, run_json, sqitch, table, write_project

pytestmark = pytest.mark.database

BY = "2026-02-01T00:00:00Z Grace Hopper <grace@example.com>"


def add(folder: Path, line: str, name: str, sql: str) -> None:
    """Adds a change to the plan of a project, with scripts."""
    with (folder / "sqitch.plan").open("a") as plan:
        plan.write(f"{line} {BY}\n")
    for kind in ("deploy", "revert"):
        (folder / kind / f"{name}.sql").write_text(
            f"-- {line} {kind}\nbegin;\nselect 1;\ncommit;\n"
        )
    (folder / "verify" / f"{name}.sql").write_text(f"-- {line}\n{sql}\n")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with all sorts of verify scripts, one reworked, one pending."""
    changes = {
        "good": table("good"),
        "fails": Sql("begin;\nselect 1;\ncommit;\n", verify="begin;\nselect 1;\nrollback;\n"),
        "missing": table("missing", verify=None),
        "old": table("old", tags=("v1",)),
        "open": Sql("begin;\nselect 2;\ncommit;\n", verify="begin;\nselect 1;\n"),
        "bare": Sql("begin;\nselect 3;\ncommit;\n", verify="select 1;\nselect 2;\n"),
        "two": Sql(
            "begin;\nselect 4;\ncommit;\n",
            verify="begin;\nselect 1;\nrollback;\nbegin;\nselect 2;\nrollback;\n",
        ),
        "meta": Sql("begin;\nselect 5;\ncommit;\n", verify="\\if true\nselect 1;\n\\endif\n"),
        "copies": Sql("begin;\nselect 6;\ncommit;\n", verify="copy good to stdout;\n"),
        "vacuum": Sql("begin;\nselect 7;\ncommit;\n", verify="vacuum good;\n"),
        "last": table("last"),
    }
    write_project(tmp_path, changes)
    for kind in ("deploy", "revert", "verify"):
        script = tmp_path / kind / "old.sql"
        (tmp_path / kind / "old@v1.sql").write_bytes(script.read_bytes())
    add(tmp_path, "old", "old", "begin;\nselect 1;\nrollback;")
    return tmp_path


@pytest.fixture
def deployed(folder: Path, empty_database: str) -> tuple[Path, str]:
    """The project deployed; one verify script fails since, another change is pending."""
    done = run(folder, "deploy", empty_database)
    assert done.returncode == 0, done.stderr
    (folder / "verify/fails.sql").write_text("begin;\nselect 1/0;\nrollback;\n")
    # The script of a reworked change is not run, whatever it says.
    (folder / "verify/old@v1.sql").write_text("begin;\nselect 1/0;\nrollback;\n")
    add(folder, "pending", "pending", "select 1;")
    return folder, empty_database


def ours(folder: Path, dsn: str) -> dict[str, Any]:
    """What we say, as JSON; the exit code must fit."""
    done = run(folder, "verify", dsn, "--json")
    answer: dict[str, Any] = json.loads(done.stdout)
    assert done.returncode == (1 if answer["findings"] else 0), done.stderr
    return answer


def failing(answer: dict[str, Any]) -> set[str]:
    """The changes that do not pass, by us."""
    return {it["change"] for it in answer["findings"]}


def theirs(folder: Path, dsn: str) -> set[str]:
    """The changes that do not pass, by Sqitch."""
    done = sqitch(folder, dsn, "verify", "{target}")
    told = done.stdout.partition("Undeployed change")[0].partition("Verify Summary")[0]
    changes = re.split(r"^  \* ", told, flags=re.M)[1:]
    failed = {it.split()[0] for it in changes if "not ok" in it}
    assert changes
    assert done.returncode == (2 if failed else 0), done.stderr
    return failed


def execute(dsn: str, statement: str) -> None:
    """Runs a statement."""
    with psycopg.connect(dsn) as conn:
        conn.execute(statement.encode())


def test_failing_missing_and_reworked(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    answer = ours(folder, dsn)
    assert failing(answer) == theirs(folder, dsn) == {"fails"}
    (found,) = answer["findings"]
    assert found["kind"] == "failed"
    assert re.match(r"verify/fails\.sql:2.*22012: division by zero", found["message"])
    assert answer["unchecked"] == ["missing"]
    assert (answer["deployed"], answer["verified"], answer["reworked"]) == (12, 9, 1)
    assert [it["change"] for it in answer["pending"]] == ["pending"]


def test_every_failing_script_is_told(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    (folder / "verify/last.sql").write_text("select nonsense;\n")
    done = run(folder, "verify", dsn)
    assert done.returncode == 1
    assert "verify/fails.sql:2" in done.stderr
    assert "verify/last.sql:1:8: " in done.stderr
    assert "2 changes failed verification." in done.stderr
    assert "* fails ... FAILED\n" in done.stdout
    assert "* missing ... has no verify script\n" in done.stdout
    why = "verify/vacuum.sql:2: VACUUM cannot run inside a transaction"
    assert f"* vacuum ... ok (not atomic: {why})\n" in done.stdout
    assert "* old @v1 ... not verified: it is reworked later\n" in done.stdout
    assert failing(ours(folder, dsn)) == theirs(folder, dsn) == {"fails", "last"}


def test_what_a_verify_script_does_is_taken_back(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    (folder / "verify/last.sql").write_text("create table left_over ();\n")
    assert failing(ours(folder, dsn)) == {"fails"}
    with psycopg.connect(dsn) as conn:
        assert conn.execute("select to_regclass('left_over')").fetchone() == (None,)


def test_scripts_that_psql_runs_can_fail(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    (folder / "verify/meta.sql").write_text("\\if true\nselect 1;\nselect 1/0;\n\\endif\n")
    (folder / "verify/vacuum.sql").write_text("select 1;\nvacuum nosuch;\n")
    (folder / "verify/copies.sql").write_text("copy nosuch to stdout;\n")
    answer = ours(folder, dsn)
    assert failing(answer) == theirs(folder, dsn) == {"fails", "meta", "vacuum", "copies"}
    told = "\n".join(it["message"] for it in answer["findings"])
    for place in ("verify/meta.sql:3", "verify/vacuum.sql:2", "verify/copies.sql:1"):
        assert place in told


def test_out_of_order(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    execute(
        dsn,
        "update sqitch.changes as c set committed_at = o.committed_at from sqitch.changes as o"
        " where (c.change, o.change) in (('good', 'missing'), ('missing', 'good'))",
    )
    answer = ours(folder, dsn)
    assert failing(answer) == theirs(folder, dsn) == {"good", "missing", "fails"}
    kinds = {it["change"]: it["kind"] for it in answer["findings"]}
    assert kinds == {"good": "out of order", "missing": "out of order", "fails": "failed"}


def test_undeployed(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    execute(dsn, "delete from sqitch.changes where change in ('fails', 'two')")
    answer = ours(folder, dsn)
    assert failing(answer) == theirs(folder, dsn)
    kinds = {(it["change"], it["kind"]) for it in answer["findings"]}
    assert {("fails", "undeployed"), ("two", "undeployed"), ("missing", "out of order")} <= kinds


def test_a_shorter_plan(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    plan = folder / "sqitch.plan"
    plan.write_text("\n".join(plan.read_text().splitlines()[:-3]) + "\n")
    answer = ours(folder, dsn)
    assert failing(answer) == theirs(folder, dsn)
    assert {(it["change"], it["kind"]) for it in answer["findings"]} >= {("last", "unplanned")}


def test_an_edited_plan(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    plan = folder / "sqitch.plan"
    plan.write_text(plan.read_text().replace("last 2026", "last 2025"))
    answer = ours(folder, dsn)
    assert failing(answer) == theirs(folder, dsn)
    kinds = {(it["change"], it["kind"]) for it in answer["findings"]}
    assert {("last", "unplanned"), ("last", "undeployed")} <= kinds


def test_a_plan_without_changes(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    (folder / "sqitch.plan").write_text("%project=small\n")
    answer = ours(folder, dsn)
    assert len(answer["findings"]) == 12
    assert {it["kind"] for it in answer["findings"]} == {"unplanned"}
    assert sqitch(folder, dsn, "verify", "{target}").returncode == 2


def test_a_script_that_cannot_be_read_is_a_finding(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    (folder / "verify/last.sql").write_text("begin;\nselect 'open;\n")
    assert failing(ours(folder, dsn)) == {"fails", "last"}


def test_nothing_deployed(empty_database: str, folder: Path) -> None:
    answer = run_json(folder, "verify", empty_database)
    assert (answer["deployed"], answer["findings"], len(answer["pending"])) == (0, [], 12)
    assert "Nothing to verify" in run(folder, "verify", empty_database).stdout


def test_what_others_hold_is_not_verified_and_that_is_code_5(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    scripts = folder / "verify"
    (scripts / "fails.sql").write_text("select 1;\n")
    with psycopg.connect(dsn) as holder:
        holder.execute("lock table good")
        arguments = ("verify", "--lock-timeout", "50ms", dsn)
        held = ("good", "copies", "vacuum")  # in a transaction or without one
        done = run(folder, *arguments)
        assert done.returncode == 5, done.stderr
        assert "ERROR 55P03" in done.stderr
        assert "could not be verified, being locked" in done.stderr
        answer = run(folder, *arguments, "--json")
        kinds = {(it["change"], it["kind"]) for it in json.loads(answer.stdout)["findings"]}
        assert (answer.returncode, kinds) == (5, {(name, "locked") for name in held})
        # A script that fails is more.
        (scripts / "last.sql").write_text("select 1 / 0;\n")
        assert run(folder, *arguments).returncode == 1


def test_a_registry_that_others_hold_is_code_5(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a")})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    dsn = make_conninfo(empty_database, options="-c lock_timeout=50ms")
    with psycopg.connect(empty_database) as holder:
        holder.execute("lock table sqitch.changes")
        for command in ("status", "verify", "deploy", "check"):
            done = run(tmp_path, command, dsn)
            assert (done.returncode, "55P03" in done.stderr) == (5, True), command
