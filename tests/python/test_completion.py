"""Completion of commands, options, changes and targets, in the shells themselves."""

from __future__ import annotations

import os
import pty
import re
import select
import shlex
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from small_project import environment, require, run, table, write_project

pytestmark = pytest.mark.static

SCRIPTS = sysconfig.get_path("scripts")
CONF = """\
[core]
	engine = pg
[target "prod.eu"]
	uri = db:pg:
[target "staging"]
	uri = db:pg:
"""
SOURCE = "_INTEGRATIONS_DB_COMPLETE={}_source integrations-db"
ODD = "e$(id>pwned)`id>pwned`f"
# What is typed after the command, and the words that are there when the key was pressed.
TYPED = {
    "dep": "<deploy>",
    "deploy --lock": "<deploy><--lock-timeout>",
    "deploy --mode c": "<deploy><--mode><change>",
    "deploy --to b": "<deploy><--to><b/c>",
    "deploy --to=b": "<deploy><--to=b/c>",
    "revert --to @r": "<revert><--to><@release-1>",
    "revert --to=@r": "<revert><--to=@release-1>",
    "deploy --to @release-1 st": "<deploy><--to><@release-1><staging>",
    "verify prod": "<verify><prod.eu>",
    "deploy postgresql://me@db:5432/x --to b": "<deploy><postgresql://me@db:5432/x><--to><b/c>",
    "deploy 'host=h dbname=d' --to b": "<deploy><host=h dbname=d><--to><b/c>",
    "--chdir other deploy --to o": "<--chdir><other><deploy><--to><only-there>",
    # No name is run, nor does a shell see more in it.
    "--chdir other deploy --to e": f"<--chdir><other><deploy><--to><{ODD}>",
    "server stat": "<server><status>",
}


@pytest.fixture
def project(tmp_path: Path) -> Path:
    """A project with a tag and targets, and another one in a folder of it."""
    write_project(
        tmp_path, {"a": table("a"), "b/c": table("c", tags=("release-1",)), "d": table("d")}
    )
    (tmp_path / "sqitch.conf").write_text(CONF)
    (tmp_path / "other").mkdir()
    write_project(tmp_path / "other", {"only-there": table("e"), ODD: table("f")})
    return tmp_path


def surroundings(**more: str) -> dict[str, str]:
    """An environment in which our command is found, and none of the user's files."""
    path = os.pathsep.join([SCRIPTS, os.environ["PATH"]])
    return environment(PATH=path, TERM="dumb", HOME=os.devnull, ZDOTDIR=os.devnull, **more)


@dataclass
class Terminal:
    """A shell that somebody types into."""

    descriptor: int
    heard: str = ""

    def type(self, keys: str, until: str) -> re.Match[str]:
        """Presses keys, and waits for what the shell shows."""
        os.write(self.descriptor, keys.encode())
        self.heard = ""
        deadline = time.monotonic() + 60
        while time.monotonic() < deadline:
            if select.select([self.descriptor], [], [], 1)[0]:
                self.heard += os.read(self.descriptor, 65536).decode(errors="replace")
            if found := re.search(until, self.heard, re.DOTALL):
                return found
        pytest.fail(f"{until} was not shown, but: {self.heard!r}")


@pytest.fixture(params=["bash", "zsh"])
def terminal(request: pytest.FixtureRequest, project: Path) -> Iterator[Terminal]:
    """A shell with the completion, in the project."""
    shell: str = request.param
    options = {"bash": ["--norc", "--noprofile", "-i"], "zsh": ["-f", "-i"]}[shell]
    ours, its = pty.openpty()
    # The leader of a session that opens a terminal has it as its own.
    opened = 'terminal=$1; shift; exec "$@" <>"$terminal" >&0 2>&1'
    with subprocess.Popen(  # noqa: S603
        ["/bin/sh", "-c", opened, "sh", os.ttyname(its), require(shell), *options],
        cwd=project,
        env=surroundings(PS1="$ "),
        start_new_session=True,
    ) as process:
        it = Terminal(ours)
        prepare = "autoload -Uz compinit; compinit -u -D; " if shell == "zsh" else ""
        # The shell echoes what is typed; what it prints has no quotes.
        it.type(f'{prepare}eval "$({SOURCE.format(shell)})"; echo rea""dy\n', "ready")
        yield it
        process.kill()
    os.close(ours)
    os.close(its)


def test_a_key_completes(terminal: Terminal, project: Path) -> None:
    for typed, words in TYPED.items():
        # The line is not run but printed: Ctrl-A goes to its beginning, Ctrl-E to its end.
        keys = f"integrations-db {typed}\t\x01printf '<%s>' \x05 end\n"
        shown = terminal.type(keys, "<integrations-db>(.*)<end>")
        assert shown[1] == words, typed
    assert not list(project.rglob("pwned"))


def test_fish_completes(project: Path) -> None:
    fish = require("fish")
    asked = "".join(f'complete -C "integrations-db {typed}"; echo ==;' for typed in TYPED)
    done = subprocess.run(  # noqa: S603
        [fish, "--no-config", "-c", f"{SOURCE.format('fish')} | source; {asked}"],
        cwd=project,
        env=surroundings(XDG_DATA_HOME=str(project), XDG_CONFIG_HOME=str(project)),
        capture_output=True,
        text=True,
        check=True,
    )
    offered = [text.split("\t")[0].strip() for text in done.stdout.split("==\n")[:-1]]
    assert offered == [words[1:-1].split("><")[-1] for words in TYPED.values()]


def complete(folder: Path, line: str) -> list[str]:
    """What is offered for a line, as bash asks for it."""
    asked = {"_INTEGRATIONS_DB_COMPLETE": "bash_complete", "COMP_LINE": f"integrations-db {line}"}
    done = run(folder, **asked)
    assert done.returncode == 0
    assert done.stderr == ""
    return [answer.partition(",")[2] for answer in done.stdout.splitlines() if answer]


def test_what_is_offered(project: Path) -> None:
    assert complete(project, "deploy --to ") == ["a", "b/c", "@release-1", "d"]
    assert complete(project, "revert --to @") == ["@release-1"]
    assert complete(project, "sql --from @release-1 --to ") == ["a", "b/c", "@release-1", "d"]
    assert complete(project, "sql --from b") == ["b/c"]
    assert complete(project, "deploy ") == ["prod.eu", "staging"]
    assert {"deploy", "revert", "status"} <= set(complete(project, ""))
    # Elsewhere it is the project that came with the program.
    elsewhere = project / "deploy"
    assert "functions/get_credentials" in complete(elsewhere, "deploy --to functions/get")
    assert complete(elsewhere, "deploy ") == []


def test_a_target_may_have_a_plan_of_its_own(project: Path) -> None:
    with (project / "sqitch.conf").open("a") as conf:
        conf.write('[target "elsewhere"]\n\turi = db:pg:\n\ttop_dir = other\n')
    assert complete(project, "deploy elsewhere --to ") == ["only-there", shlex.quote(ODD)]
    assert complete(project, "deploy elsewhere --to") == ["--to"]


@pytest.mark.parametrize("broken", ["sqitch.plan", "sqitch.conf"])
def test_where_nothing_can_be_read_nothing_is_offered(project: Path, broken: str) -> None:
    (project / broken).write_text("[no sense\n")
    assert complete(project, "deploy --to ") == []
    assert complete(project, "--chdir /nonexistent deploy --to ") == []


def test_no_key_connects_or_loads_a_driver(project: Path) -> None:
    """So that it is quick: a key should not be felt."""
    code = (
        "import atexit, sys\n"
        "from integrations_db.cli import main\n"
        "slow = ('psycopg', 'rich', 'jinja2', 'integrations_db.deploy')\n"
        "atexit.register(lambda: print([m for m in slow if m in sys.modules]))\n"
        "main([])"
    )
    done = subprocess.run(  # noqa: S603
        [sys.executable, "-c", code],
        cwd=project,
        env=environment(
            _INTEGRATIONS_DB_COMPLETE="bash_complete",
            COMP_LINE="integrations-db deploy host=h --to b",
        ),
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "plain,b/c\n[]\n"
