"""``check``: what is wrong with a project, and what was edited since its deployment."""

from __future__ import annotations

import json
import re
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_project import require, run, run_json, table, write_project

from integrations_db.check import Finding, annotation, check_project, located
from integrations_db.edited import same_code
from integrations_db.project import load_project

ROOT = Path(__file__).parents[2]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A project with nothing to find: dependencies, a reworked change, headers."""
    folder = tmp_path / "project"
    changes = {
        "a": table("a", tags=("v1",)),
        "deep/b": table("b", requires=("a",), conflicts=("c",)),
        "c": table("c"),
    }
    write_project(folder, changes)
    plan = folder / "sqitch.plan"
    plan.write_text(
        plan.read_text() + "a [a@v1] 2026-02-01T00:00:00Z Grace Hopper <grace@example.com>\n"
    )
    for kind, header, end in (
        ("deploy", "-- Deploy small:a to pg\n-- requires: a@v1\n", "commit"),
        ("revert", "-- Revert small:a from pg\n", "commit"),
        ("verify", "-- Verify small:a on pg\n", "rollback"),
    ):
        script = folder / kind / "a.sql"
        script.rename(script.with_name("a@v1.sql"))
        script.write_text(f"{header}\nbegin;\nselect 2;\n{end};\n")
    b = folder / "deploy/deep/b.sql"
    b.write_text(
        "-- Deploy small:deep/b to pg\n-- requires: a\n-- conflicts: c\n\n" + b.read_text()
    )
    return folder


def findings(folder: Path) -> list[str]:
    """What is found, as a person reads it."""
    return [
        str(it).replace(f"{folder}/", "").replace(str(folder), "")
        for it in check_project(load_project(folder))
    ]


@pytest.mark.static
def test_nothing_to_find(folder: Path) -> None:
    assert findings(folder) == []
    done = run(folder, "check")
    assert (done.returncode, done.stdout, done.stderr) == (0, "small: 4 changes, no findings\n", "")


@pytest.mark.static
def test_this_project() -> None:
    found = check_project(load_project(ROOT))
    assert [str(finding) for finding in found if finding.level != "note"] == []


def append(file: str, text: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        with (folder / file).open("a") as out:
            out.write(text)

    return edit


def replace(file: str, old: str, new: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        text = (folder / file).read_text()
        assert old in text
        (folder / file).write_text(text.replace(old, new))

    return edit


def remove(file: str) -> Callable[[Path], None]:
    return lambda folder: (folder / file).unlink()


def copy(file: str, other: str) -> Callable[[Path], None]:
    def edit(folder: Path) -> None:
        (folder / other).write_bytes((folder / file).read_bytes())

    return edit


BROKEN: list[tuple[Callable[[Path], None], str]] = [
    (
        remove("deploy/c.sql"),
        'sqitch.plan:8: error: "c" has no deploy script: deploy/c.sql does not exist',
    ),
    (
        remove("revert/deep/b.sql"),
        'sqitch.plan:7: error: "deep/b" has no revert script: revert/deep/b.sql does not exist',
    ),
    (
        remove("verify/c.sql"),
        'sqitch.plan:8: warning: "c" has no verify script: verify/c.sql does not exist',
    ),
    (
        remove("revert/a@v1.sql"),
        'sqitch.plan:4: error: "a" has no revert script: revert/a@v1.sql does not exist',
    ),
    (
        copy("deploy/c.sql", "deploy/deep/old.sql"),
        "deploy/deep/old.sql:1: warning: no change of the plan has this script",
    ),
    (
        copy("revert/c.sql", "revert/c@v1.sql"),
        "revert/c@v1.sql:1: warning: no change of the plan has this script",
    ),
    (
        copy("deploy/a.sql", "deploy/c.sql"),
        'deploy/a.sql:1: error: the deploy script of "a" is byte for byte the same as '
        "deploy/c.sql, and the registry records each only once: add a comment to this",
    ),
    (
        replace("deploy/a.sql", "small:a to", "small:c to"),
        "deploy/a.sql:1: warning: the header says Deploy small:c, but this is the deploy script "
        "of small:a",
    ),
    (
        replace("deploy/a.sql", "small:a to", "large:a to"),
        "deploy/a.sql:1: warning: the header says Deploy large:a, but this is the deploy script "
        "of small:a",
    ),
    (
        replace("verify/a.sql", "Verify", "Revert"),
        "verify/a.sql:1: warning: the header says Revert small:a, but this is the verify script "
        "of small:a",
    ),
    (
        replace("deploy/deep/b.sql", "requires: a", "requires: a, c"),
        "deploy/deep/b.sql:2: warning: the header says requires: small:c; the plan does not",
    ),
    (
        replace("deploy/deep/b.sql", "requires: a", "requires: c"),
        "deploy/deep/b.sql:2: warning: the plan says requires: a; the header does not",
    ),
    (
        replace("deploy/deep/b.sql", "conflicts: c", "conflicts: !y"),
        "deploy/deep/b.sql:3: warning: the header says conflicts: small:y; the plan does not",
    ),
    (
        replace("sqitch.plan", "[a !c]", "[a !a@v1]"),
        'sqitch.plan:7: error: "deep/b" conflicts with "a@v1", which line 4 deploys before it: '
        "it can never be deployed",
    ),
    (
        replace("sqitch.plan", "[a !c]", "[a !c@v0]"),
        'sqitch.plan:7: error: "deep/b" conflicts with "c@v0", which is not in the plan',
    ),
    (
        replace("deploy/c.sql", "commit;", ""),
        "deploy/c.sql:2: error: BEGIN without COMMIT: the script would do nothing and yet count "
        "as done. End its transaction with COMMIT.",
    ),
]


@pytest.mark.static
@pytest.mark.parametrize(("edit", "expected"), BROKEN, ids=[text[:60] for _, text in BROKEN])
def test_what_is_wrong_is_found(folder: Path, edit: Callable[[Path], None], expected: str) -> None:
    edit(folder)
    assert expected in findings(folder)
    done = run(folder, "check")
    assert done.returncode == (1 if " error: " in expected else 0)
    assert expected in done.stdout


@pytest.mark.static
@pytest.mark.parametrize(
    "header",
    [
        "-- Deploy everything that is needed",
        "-- Verify that it is there",
        "-- deploy small:other to pg",
        "-- Deploy a to pg",
        "-- requires:",
        "-- Deploy small:a@v1 to pg",
    ],
)
def test_a_header_that_claims_nothing_else_is_fine(folder: Path, header: str) -> None:
    script = folder / "deploy/a@v1.sql"
    script.write_text(f"{header}\n{script.read_text()}")
    assert findings(folder) == []


@pytest.mark.static
@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (
            "create index concurrently i on c (id);",
            r"deploy/c\.sql:2: note: not atomic: CREATE INDEX CONCURRENTLY cannot",
        ),
        ("\\echo x", r"deploy/c\.sql:2: note: psql: psql's .echo"),
    ],
)
def test_how_a_script_runs_is_noted(folder: Path, text: str, expected: str) -> None:
    (folder / "deploy/c.sql").write_text(f"-- c\n{text}\n")
    done = run(folder, "check", "--strict")
    assert done.returncode == 0
    lines = done.stdout.splitlines()
    assert len(lines) == 2
    assert re.match(expected, lines[0])
    assert lines[1] == "small: 4 changes, 1 note"


@pytest.mark.static
def test_strict(folder: Path) -> None:
    (folder / "verify/c.sql").unlink()
    assert run(folder, "check").returncode == 0
    assert run(folder, "check", "--strict").returncode == 1


@pytest.mark.static
def test_json(folder: Path) -> None:
    (folder / "verify/c.sql").unlink()
    assert run_json(folder, "check") == {
        "project": "small",
        "database": None,
        "findings": [
            {
                "level": "warning",
                "file": "sqitch.plan",
                "line": 8,
                "message": '"c" has no verify script: verify/c.sql does not exist',
            }
        ],
    }


@pytest.mark.static
def test_a_plan_that_cannot_be_read(folder: Path) -> None:
    (folder / "sqitch.plan").write_text("%project=x\n\nnonsense\n")
    done = run(folder, "check", GITHUB_ACTIONS="true")
    assert done.returncode == 1
    assert done.stdout.startswith("::error file=sqitch.plan,line=3::nonsense: the timestamp")
    assert done.stdout.endswith("\n1 error\n")
    assert "Traceback" not in done.stderr
    (folder / "sqitch.plan").unlink()
    done = run(folder, "check", "--json")
    assert (done.returncode, json.loads(done.stdout)["findings"]) == (
        1,
        [
            {
                "level": "error",
                "file": "sqitch.plan",
                "line": None,
                "message": "cannot be read: No such file or directory",
            }
        ],
    )


@pytest.mark.static
def test_annotations(folder: Path) -> None:
    (folder / "verify/c.sql").unlink()
    (folder / "revert/c.sql").unlink()
    above = str(folder.parent)
    done = run(folder, "check", GITHUB_ACTIONS="true", GITHUB_WORKSPACE=above)
    assert done.stdout.splitlines() == [
        '::error file=project/sqitch.plan,line=8::"c" has no revert script: revert/c.sql does not '
        "exist",
        '::warning file=project/sqitch.plan,line=8::"c" has no verify script: verify/c.sql does '
        "not exist",
        "small: 4 changes, 1 error, 1 warning",
    ]


@pytest.mark.static
def test_annotations_are_escaped(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_WORKSPACE", "/work")
    odd = Finding("note", "100%\r\n::error::x", Path("/work/a,b:c%.sql"), 3)
    assert annotation(odd) == "::notice file=a%2Cb%3Ac%25.sql,line=3::100%25%0D%0A::error::x"
    assert annotation(Finding("changed", "x")) == "::error ::x"


@pytest.mark.static
def test_places_in_messages(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    assert located("error", "a/b.sql:3:4: why: x") == Finding(
        "error", "why: x", tmp_path / "a/b.sql", 3
    )
    assert located("error", "no place: 3") == Finding("error", "no place: 3")


# -- with a database ----------------------------------------------------------------------------


def changed(folder: Path, dsn: str) -> list[dict[str, Any]]:
    """The findings about a database; the exit code must be 4 when there are some."""
    done = run(folder, "check", dsn, "--json")
    answer = json.loads(done.stdout)
    found = [it for it in answer["findings"] if it["level"] == "changed"]
    assert done.returncode == (4 if found else 0), done.stdout + done.stderr
    assert answer["database"]
    return found


@pytest.fixture
def deployed(folder: Path, empty_database: str) -> tuple[Path, str]:
    """The project, deployed."""
    done = run(folder, "deploy", empty_database)
    assert done.returncode == 0, done.stderr
    return folder, empty_database


@pytest.mark.database
def test_a_database_like_the_project(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    assert changed(folder, dsn) == []
    assert run(folder, "check", dsn).stdout == "small: 4 changes, no findings\n"


@pytest.mark.database
@pytest.mark.parametrize("file", ["deploy/c.sql", "deploy/a.sql", "deploy/a@v1.sql"])
def test_edited_scripts_are_named(deployed: tuple[Path, str], file: str) -> None:
    folder, dsn = deployed
    append(file, "-- more\n")(folder)
    (found,) = changed(folder, dsn)
    assert (found["file"], found["line"]) == (file, 1)
    assert found["message"].startswith(f'this script of "{file[7]}" is not the one that was dep')


@pytest.mark.database
def test_line_ends(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    script = folder / "deploy/c.sql"
    script.write_bytes(script.read_bytes().replace(b"\n", b"\r\n"))
    (found,) = changed(folder, dsn)
    assert "only line ends differ" in found["message"]


def git(folder: Path, *arguments: str) -> str:
    """Runs git in a folder, as nobody in particular."""
    who = ("-c", "user.name=a", "-c", "user.email=a@example.com")
    return subprocess.run(  # noqa: S603
        [require("git"), "-C", str(folder), *who, *arguments],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()


@pytest.mark.database
@pytest.mark.parametrize(
    ("edit", "said"),
    [
        ("-- more\n\n", "; only comments and blanks differ; as deployed it is in commit "),
        ("select 1;\n", "; as deployed it is in commit "),
    ],
)
def test_what_differs_is_looked_up_in_git(deployed: tuple[Path, str], edit: str, said: str) -> None:
    folder, dsn = deployed
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "as deployed")
    commit = git(folder, "rev-parse", "--short", "HEAD")
    append("deploy/c.sql", edit)(folder)
    git(folder, "commit", "-qam", "edited")
    (found,) = changed(folder, dsn)
    assert found["message"].endswith(said + commit)
    assert ("only comments" in found["message"]) == ("only comments" in said)


def test_git_runs_nothing_that_the_folder_configures(deployed: tuple[Path, str]) -> None:
    """A folder that somebody sent may have a .git of his."""
    folder, dsn = deployed
    git(folder, "init", "-q")
    git(folder, "add", ".")
    git(folder, "commit", "-qm", "as deployed")
    commit = git(folder, "cat-file", "commit", "HEAD")
    signature = "gpgsig -----BEGIN PGP SIGNATURE-----\n \n x\n -----END PGP SIGNATURE-----"
    head, _, message = commit.partition("\n\n")
    (folder / "commit").write_text(f"{head}\n{signature}\n\n{message}\n")
    signed = git(folder, "hash-object", "-t", "commit", "-w", "commit")
    git(folder, "reset", "-q", "--soft", signed)
    program = folder / "program"
    program.write_text('#!/bin/sh\ntouch "$(dirname "$0")/called"\n')
    program.chmod(0o755)
    for name, value in {
        "log.showSignature": "true",
        "gpg.program": str(program),
        "core.fsmonitor": str(program),
        "diff.external": str(program),
        "core.sshCommand": str(program),
        "extensions.partialClone": "elsewhere",
        "remote.elsewhere.url": f"ext::{program}",
        "remote.elsewhere.promisor": "true",
        "protocol.ext.allow": "always",
    }.items():
        git(folder, "config", name, value)
    (folder / "deploy" / "a.sql").write_text("-- edited\n")
    for missing in (False, True):
        if missing:  # git would fetch it
            blob = git(folder, "rev-parse", "HEAD:deploy/a.sql")
            (folder / ".git" / "objects" / blob[:2] / blob[2:]).unlink()
        assert "is not the one that was deployed" in run(folder, "check", dsn).stdout
        assert not (folder / "called").exists(), missing


@pytest.mark.static
@given(st.lists(st.sampled_from(["select 1;", "'a -- b'", "/* c */", "-- d\n", " ", "\n", '"e"'])))
def test_comments_and_blanks_are_no_code(pieces: list[str]) -> None:
    code = [it for it in pieces if it.strip() and not it.startswith(("--", "/*"))]
    assert same_code("\n".join(pieces).encode(), " /**/ ".join(code).encode())
    assert not same_code("\n".join([*pieces, "x"]).encode(), " ".join(code).encode())


@pytest.mark.database
def test_a_plan_that_is_not_followed(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    replace("sqitch.plan", "c 2026", "c 2025")(folder)
    (found,) = changed(folder, dsn)
    assert found["file"] == "sqitch.plan"
    assert 'the database has "c"' in found["message"]


@pytest.mark.database
def test_what_other_projects_must_have(empty_database: str, tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    write_project(first, {"base": table("base")}, project="first")
    write_project(second, {"needs": table("needs"), "not": table("nots")}, project="second")
    for name, dependency in (("needs", "first:base"), ("not", "!first:base")):
        replace("sqitch.plan", f"{name} 2026", f"{name} [{dependency}] 2026")(second)
    done = run(second, "check", empty_database)
    assert done.returncode == 1
    assert '"needs" requires first:base, which is not deployed' in done.stdout
    assert "conflicts" not in done.stdout
    assert run(first, "deploy", empty_database).returncode == 0
    done = run(second, "check", empty_database)
    assert done.returncode == 1
    assert '"not" conflicts with first:base, which is deployed' in done.stdout
    assert "requires" not in done.stdout


@pytest.mark.database
def test_errors_are_stronger_than_changes(deployed: tuple[Path, str]) -> None:
    folder, dsn = deployed
    append("deploy/c.sql", "-- more\n")(folder)
    (folder / "revert/c.sql").unlink()
    assert run(folder, "check", dsn).returncode == 1


@pytest.mark.database
def test_nothing_is_changed_by_a_check(folder: Path, empty_database: str) -> None:
    assert run(folder, "check", empty_database).returncode == 0
    with psycopg.connect(empty_database) as conn:
        assert conn.execute("select to_regnamespace('sqitch')").fetchone() == (None,)
