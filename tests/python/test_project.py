"""A project's directory, scripts and hashes; and which files Sqitch runs for the same settings."""

from __future__ import annotations

import hashlib
import os
import shlex
from pathlib import Path

import pytest
from small_project import sqitch

from integrations_db.config import Target, load_config, resolve_target
from integrations_db.errors import Failure, Usage
from integrations_db.project import Project, find_root, load_project
from integrations_db.script import Kind

BY = "2026-01-01T00:00:00Z Ada <a@e.x>"
PLAN = f"""\
%project=p

a {BY}
b/c {BY}
@v1 {BY}
@v2 {BY}
d {BY}
@v3 {BY}
a [a@v1] {BY}
@v4 {BY}
b/c [b/c@v4] {BY}
a [a@v4] {BY}
"""
# Of the first a the deploy script of @v2 exists, of b/c none does, of the second a that of @v4.
SCRIPTS = ("a@v2", "a@v4", "d", "b/c", "a")


def written(folder: Path, conf: str, deploy: str, reworked: str, suffix: str = "sql") -> Path:
    """Writes the project above, with its deploy scripts only."""
    folder.mkdir(exist_ok=True)
    (folder / "sqitch.plan").write_text(PLAN)
    (folder / "sqitch.conf").write_text(conf)
    for name in SCRIPTS:
        file = folder / (reworked if "@" in name else deploy) / f"{name}.{suffix}"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(f"-- {name}\n")
    return folder


def scripts(project: Project, kind: Kind) -> list[str]:
    """Where the scripts of a kind are, from the project's directory."""
    count = len(project.plan.changes)
    return [str(project.path(index, kind).relative_to(project.root)) for index in range(count)]


@pytest.mark.static
def test_scripts_of_reworked_changes(tmp_path: Path) -> None:
    project = load_project(written(tmp_path, "", "deploy", "deploy"))
    names = ["a@v2", "b/c@v4", "d", "a@v4", "b/c", "a"]
    assert scripts(project, "deploy") == [f"deploy/{name}.sql" for name in names]
    # The deploy script alone decides on the tag.
    (tmp_path / "verify").mkdir()
    (tmp_path / "verify" / "a@v3.sql").touch()
    assert scripts(project, "verify") == [f"verify/{name}.sql" for name in names]


CONF = """\
[core]
	engine = pg
	top_dir = .
	deploy_dir = sql/do
[engine "pg"]
	revert_dir = sql/undo
	extension = ddl
[core "variables"]
	core = 1
	all = core
[deploy "variables"]
	deploy = 1
	all = deploy
[verify "variables"]
	verify = 1
[revert "variables"]
	revert = 1
[engine "pg.variables"]
	Engine = a b
[target "here"]
	uri = {uri}
	client = {client}
	registry = other_registry
	reworked_dir = old
	reworked_verify_dir = old/checks
[target "here.variables"]
	target = it's
	all = target
"""


@pytest.mark.database
def test_sqitch_runs_the_same_files_with_the_same_variables(
    empty_database: str, tmp_path: Path
) -> None:
    log, client = tmp_path / "log", tmp_path / "client"
    client.write_text(
        "#!/bin/sh\n"
        f"for word; do printf '%s\\0' \"$word\" >>{shlex.quote(str(log))}; done\n"
        f"printf '\\n\\0' >>{shlex.quote(str(log))}\n"
        # Of this project's scripts none is run; Sqitch has other uses for the client.
        'case "$*" in *.ddl) ;; *) exec psql "$@";; esac\n'
    )
    client.chmod(0o755)
    folder = written(tmp_path / "project", CONF, "sql/do", "old/deploy", "ddl")
    (folder / "sqitch.conf").write_text(CONF.format(uri="db:pg:", client=client))
    target = resolve_target(load_config(folder), "here")
    project = load_project(folder, target)
    for kind in ("revert", "verify"):
        for index in range(len(project.plan.changes)):
            project.path(index, kind).parent.mkdir(parents=True, exist_ok=True)
            project.path(index, kind).touch()
    missing = project.path(project.plan.positions["b/c"][0], "deploy")
    missing.parent.mkdir(parents=True)
    missing.touch()

    def ran(*arguments: str) -> list[tuple[str, dict[str, str]]]:
        """The files that Sqitch runs for a command, and the variables it sets."""
        log.write_text("")
        environment_of_server = sqitch_with(folder, empty_database, *arguments)
        assert environment_of_server == 0
        found = []
        for run in log.read_text().removesuffix("\0").split("\0\n\0"):
            words = run.split("\0")
            pairs = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
            variables = dict(pair.split("=", 1) for pair in pairs)
            file = words[words.index("--file") + 1] if "--file" in words else ""
            if file.endswith(".ddl"):
                assert variables.pop("registry") == project.registry
                assert variables.pop("ON_ERROR_STOP") == "1"
                found.append((file, variables))
        return found

    by_hand = {"all": "given", "set": "1"}
    ours = project.variables("deploy", by_hand)
    count = len(project.plan.changes)
    both = [(path, ours) for i in range(count) for path in here(project, i, "deploy", "verify")]
    assert ran("deploy", "--verify", "--set", "all=given", "--set", "set=1") == both
    last = {change.name: i for i, change in enumerate(project.plan.changes)}
    ours = project.variables("verify", {})
    assert ran("verify") == [(here(project, i, "verify")[0], ours) for i in sorted(last.values())]
    ours = project.variables("revert", {})
    assert ran("revert", "-y") == [
        (here(project, i, "revert")[0], ours) for i in reversed(range(count))
    ]


def here(project: Project, index: int, *kinds: Kind) -> list[str]:
    """The scripts of a change, from the project's directory."""
    return [str(project.path(index, kind).relative_to(project.root)) for kind in kinds]


def sqitch_with(folder: Path, dsn: str, command: str, *arguments: str) -> int:
    """Runs Sqitch on the target of the configuration; returns its exit code."""
    done = sqitch(folder, dsn, command, "here", *arguments)
    if done.returncode:
        print(done.stdout, done.stderr)
    return done.returncode


@pytest.mark.static
def test_hashes_are_read_once_and_again_after_an_edit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = load_project(written(tmp_path, "", "deploy", "deploy"))
    read: list[Path] = []
    real = Path.read_bytes

    def counted(path: Path) -> bytes:
        read.append(path)
        return real(path)

    monkeypatch.setattr(Path, "read_bytes", counted)
    project.unique_scripts()
    before = [project.hash(index) for index in range(6)]
    assert len(read) == 5
    assert before[1] is None
    file = project.path(2, "deploy")
    file.write_bytes(b"-- edited\r\n")
    after = [project.hash(index) for index in range(6)]
    assert len(read) == 6
    assert after[2] == hashlib.sha1(b"-- edited\r\n", usedforsecurity=False).hexdigest()
    assert [old for old in before if old != before[2]] == [new for new in after if new != after[2]]
    file.unlink()
    assert project.hash(2) is None


@pytest.mark.static
def test_identical_scripts_are_named(tmp_path: Path) -> None:
    project = load_project(written(tmp_path, "", "deploy", "deploy"))
    project.path(4, "deploy").write_bytes(project.path(0, "deploy").read_bytes())
    with pytest.raises(Failure, match=r"deploy/b/c\.sql is byte for byte .*deploy/a@v2\.sql"):
        project.unique_scripts()


@pytest.mark.static
def test_a_script_that_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "sqitch.plan").write_text(f"%project=p\n\n{'x' * 300} {BY}\n")
    (tmp_path / "deploy").mkdir()
    with pytest.raises(Failure, match=r"deploy/x+\.sql: cannot be read: File name too long"):
        load_project(tmp_path).hash(0)


@pytest.mark.static
def test_the_project_of_the_current_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SQITCH_CONFIG", raising=False)
    assert find_root() != tmp_path
    with pytest.raises(Usage, match=r"has no sqitch\.plan"):
        find_root(tmp_path)
    # A plan kept elsewhere: the configuration tells, under whatever name.
    (tmp_path / "ci.conf").write_text("[core]\n\ttop_dir = db\n")
    (tmp_path / "db").mkdir()
    (tmp_path / "db" / "sqitch.plan").write_text(PLAN)
    monkeypatch.setenv("SQITCH_CONFIG", "ci.conf")
    monkeypatch.setenv("SQITCH_USER_CONFIG", os.devnull)
    assert find_root() == tmp_path
    project = load_project(tmp_path, Target("dbname=x"))
    assert project.path(2, "verify") == tmp_path / "db" / "verify" / "d.sql"
