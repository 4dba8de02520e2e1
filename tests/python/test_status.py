"""``status`` and ``plan``: their keys, and how each script will run."""

from __future__ import annotations

import json
from pathlib import Path

import psycopg
import pytest
from small_project import WHO, Sql, begin, run, run_json, sqitch, table, write_project
from test_deployer import sleeping, wait_for

INDEX = "create index concurrently i on a (id);\n"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with a script of each kind; one cannot be run at all."""
    changes = {
        "a": table("a", tags=("v1",)),
        "b": table("b", tags=("v2", "v3")),
        "index": Sql(INDEX, revert="drop index concurrently i;\n"),
        "copy": Sql("begin;\ncopy a from stdin;\n1\n\\.\ncommit;\n"),
        "check": Sql("begin;\nselect 1;\ncommit;\n", verify="\\echo x\n"),
        "open": Sql("begin;\nselect 2;\n", verify=None),
    }
    return write_project(tmp_path, changes)


WHY = {
    "a": ("atomic", None),
    "b": ("atomic", None),
    "index": ("not atomic", "deploy/index.sql:2"),
    "copy": ("psql", "deploy/copy.sql:3"),
    "check": ("psql", "verify/check.sql:2"),
    "open": ("unreadable", "deploy/open.sql:2"),
}


@pytest.mark.database
def test_every_key(folder: Path, empty_database: str) -> None:
    assert run(folder, "deploy", "--to", "b", empty_database).returncode == 0
    plan = {it["change"]: it for it in run_json(folder, "plan")["changes"]}
    told = run_json(folder, "status", empty_database)
    with psycopg.connect(empty_database) as conn:
        row = conn.execute("select committed_at from sqitch.changes where change = 'b'").fetchone()
    assert row
    pending = told.pop("pending")
    assert told.pop("database")
    assert told == {
        "project": "small",
        "registry": "sqitch",
        "planned": 6,
        "deployed": 2,
        "latest": {
            "change": "b",
            "id": plan["b"]["id"],
            "committed_at": row[0].isoformat(),
            "committer": f"{WHO['SQITCH_FULLNAME']} <{WHO['SQITCH_EMAIL']}>",
        },
        "tags": ["@v1", "@v2", "@v3"],
        "changed_scripts": [],
        "unfinished": [],
        "stray": None,
    }
    assert [it["change"] for it in pending] == ["index", "copy", "check", "open"]
    for it in pending:
        execution, why = it.pop("execution"), it.pop("why")
        assert (execution, why.partition(": ")[0]) == WHY[it["change"]], why
        assert it == {k: v for k, v in plan[it["change"]].items() if not k.startswith("script")}


@pytest.mark.database
def test_nothing_deployed(folder: Path, empty_database: str) -> None:
    told = run_json(folder, "status", empty_database)
    assert (told["deployed"], told["latest"], told["tags"]) == (0, None, [])
    assert len(told["pending"]) == 6
    assert told["pending"][0]["execution"] == "atomic"
    assert told["pending"][0]["why"] is None


@pytest.mark.database
def test_text(folder: Path, empty_database: str) -> None:
    assert run(folder, "deploy", "--to", "b", empty_database).returncode == 0
    with (folder / "deploy/a.sql").open("a") as script:
        script.write("-- edited\n")
    done = run(folder, "status", "--check", empty_database)
    assert done.returncode == 4
    lines = done.stdout.splitlines()
    assert lines[0] == "Project:  small"
    assert lines[2] == "Deployed: 2 of 6"
    assert lines[3].startswith("Latest:   b, 2")
    assert lines[4:6] == ["Tag:      @v3", "Pending:  4"]
    assert lines[6].startswith("  index (not atomic: deploy/index.sql:2: ")
    assert lines[7].startswith("  copy (psql: deploy/copy.sql:3: ")
    assert lines[9].startswith("  open (unreadable: deploy/open.sql:2: ")
    assert lines[-1] == "  a"


@pytest.mark.database
def test_the_latest_change_is_the_one_sqitch_names(folder: Path, empty_database: str) -> None:
    assert run(folder, "deploy", "--to", "b", empty_database).returncode == 0
    done = sqitch(folder, empty_database, "status", "{target}", "--show-tags")
    told = run_json(folder, "status", empty_database)
    assert f"# Change:   {told['latest']['id']}" in done.stdout
    for tag in told["tags"]:
        assert f"{tag} " in done.stdout


@pytest.mark.database
def test_an_unfinished_script_is_told(folder: Path, empty_database: str) -> None:
    (folder / "deploy/index.sql").write_text(
        f"create table half ();\n{INDEX.replace(' a ', ' nosuch ')}"
    )
    assert run(folder, "deploy", "--to", "index", empty_database).returncode == 1
    (told,) = run_json(folder, "status", empty_database)["unfinished"]
    assert (told["change"], told["action"], told["running"]) == ("index", "deploy", False)
    assert told["script"] == "deploy/index.sql"
    assert "deploy/index.sql" in told["outcome"]
    done = run(folder, "status", "--check", empty_database)
    assert done.returncode == 1
    said = f"it {told['outcome']}; see deploy --resume and --log-only"
    (line,) = [it for it in done.stdout.splitlines() if it.startswith("Unfinished: ")]
    assert line.startswith("Unfinished: the deploy of index, begun 2")
    assert line.endswith(said)
    done = run(folder, "check", empty_database)
    assert done.returncode == 1
    assert 'error: the deploy of "index" was begun on 2' in done.stdout
    assert said in done.stdout

    # Another tool, which knows no marks, has recorded it since.
    (folder / "deploy/index.sql").write_text("select 1;\n")
    done = sqitch(folder, empty_database, "deploy", "--to", "index", "{target}")
    assert done.returncode == 0, done.stderr
    assert run_json(folder, "status", empty_database)["unfinished"] == []
    assert "was begun" not in run(folder, "check", empty_database).stdout


@pytest.mark.database
def test_an_unfinished_script_that_still_runs(folder: Path, empty_database: str) -> None:
    (folder / "deploy/index.sql").write_text("commit;\nselect pg_sleep(600);\nselect 1;\n")
    with begin(folder, "deploy", "--to", "index", empty_database) as process:
        wait_for(lambda: sleeping(empty_database))
        (told,) = run_json(folder, "status", empty_database)["unfinished"]
        assert (told["running"], told["outcome"]) == (True, None)
        assert run(folder, "status", empty_database).stdout.endswith(": it still runs\n")
        process.terminate()
        process.communicate(timeout=60)


@pytest.mark.database
def test_a_registry_of_an_old_version_is_read(folder: Path, empty_database: str) -> None:
    assert run(folder, "deploy", "--to", "b", empty_database).returncode == 0
    now = run_json(folder, "status", empty_database)
    with psycopg.connect(empty_database) as conn:
        conn.execute("drop table sqitch.releases; alter table sqitch.changes drop script_hash")
    assert run_json(folder, "status", empty_database) == now
    assert run_json(folder, "verify", empty_database)["verified"] == 2
    answer = json.loads(run(folder, "check", "--json", empty_database).stdout)
    assert "changed" not in {it["level"] for it in answer["findings"]}


@pytest.mark.static
def test_the_plan_says_how_scripts_run(folder: Path) -> None:
    told = {it["change"]: it for it in run_json(folder, "plan")["changes"]}
    scripts = told["index"]["scripts"]
    assert scripts["deploy"]["path"] == "deploy/index.sql"
    assert scripts["deploy"]["execution"] == scripts["revert"]["execution"] == "not atomic"
    assert scripts["deploy"]["why"].startswith("deploy/index.sql:2: ")
    assert scripts["verify"] == {"path": "verify/index.sql", "execution": "atomic", "why": None}
    assert told["check"]["scripts"]["verify"]["execution"] == "psql"
    assert told["open"]["scripts"]["deploy"]["execution"] == "unreadable"
    assert told["open"]["scripts"]["verify"] is None
    text = run(folder, "plan").stdout
    assert "a @v1\nb @v2 @v3\nindex\n    deploy: not atomic: deploy/index.sql:2: " in text
    assert "\n    revert: not atomic: revert/index.sql:2: " in text
    assert "\n    verify: psql: verify/check.sql:2: " in text


@pytest.mark.static
def test_a_failure_is_json_too(folder: Path) -> None:
    done = run(folder, "status", "--json", "postgresql://u@127.0.0.1:1/d")
    told = json.loads(done.stdout)
    assert set(told) == {"error"}
    assert told["error"]["exit_code"] == done.returncode == 1
    assert f"integrations-db: {told['error']['message']}\n" == done.stderr
