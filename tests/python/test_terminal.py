"""What reaches a terminal: progress, and never a character that commands it."""

from __future__ import annotations

import json
import os
import pty
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from small_project import Sql, command, environment, recorded, run, table, write_project

from integrations_db.terminal import Bar, Lines, Silent, echo, echo_json, printable, watched

ODD = st.text(st.characters(), max_size=50)  # halves of characters included
UNSAFE = {*range(0x20), *range(0x7F, 0xA0), *range(0x202A, 0x202F), *range(0x2066, 0x206A)}


def unsafe(text: str) -> set[int]:
    """The characters of a text that no terminal should get."""
    return {ord(char) for char in text} & UNSAFE - set(map(ord, "\t\n"))


@pytest.mark.static
@given(ODD)
def test_nothing_printable_commands_a_terminal(text: str) -> None:
    shown = printable(text)
    assert not unsafe(shown)
    shown.encode()  # no half of a character either
    assert printable(shown) == shown


@pytest.mark.static
def test_what_is_harmless_stays() -> None:
    assert printable("a\tb\nc ä 阱 🙂 \\x1b") == "a\tb\nc ä 阱 🙂 \\x1b"
    assert printable("a\r\nb") == "a\nb"
    assert printable("\x1b[2J\u202e\udc80\x85") == "\\x1b[2J\\u202e\\udc80\\x85"


@pytest.mark.static
@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("::error file=a.sql,line=1::b", "::error file=a.sql,line=1::b"),  # ours
        ("a::b::c", "a::b::c"),
        (
            "NOTICE: x\n::error ::y\n \t::add-mask::z",
            "NOTICE: x\n\\x3a:error ::y\n \t\\x3a:add-mask::z",
        ),
        ("    ::error ::y", "    \\x3a:error ::y"),
        ("::error ::x\n::error ::y", "\\x3a:error ::x\n\\x3a:error ::y"),
        ("NOTICE: ##[error]y", "NOTICE: \\x23#[error]y"),
    ],
)
def test_nothing_that_is_said_commands_a_workflow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], text: str, shown: str
) -> None:
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    echo(text)
    assert capsys.readouterr().out == f"{shown}\n"
    monkeypatch.setenv("GITHUB_ACTIONS", "false")
    echo(text)
    assert capsys.readouterr().out == f"{text}\n"


@pytest.mark.static
def test_json_says_the_same_without_such_characters(capsys: pytest.CaptureFixture[str]) -> None:
    value = {"a\x1b": "".join(map(chr, range(0x2100))) + "\ud800 阱"}
    echo_json(value)
    told = capsys.readouterr().out
    assert not unsafe(told)
    assert json.loads(told) == value
    assert "阱" in told


@pytest.mark.static
def test_json_commands_no_workflow(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """The older form of a command is found anywhere in a line."""
    value = {"name": "##[add-mask]a", "other": "###[error]"}
    for inside in ("true", "false"):
        monkeypatch.setenv("GITHUB_ACTIONS", inside)
        echo_json(value)
        told = capsys.readouterr().out
        assert ("##[" in told) == (inside == "false")
        assert json.loads(told) == value


@pytest.mark.static
def test_lines(capsys: pytest.CaptureFixture[str]) -> None:
    lines = Lines()
    lines.started("deploy", 3)
    lines.change("deploy", "a \x1b[31m")
    lines.done("a", 2.0)
    lines.change("deploy", "b")
    lines.say("NOTICE: \x07")
    lines.done("b", 0.1, "ok, not verified")
    lines.change("deploy", "c")
    lines.failed("c")
    out, err = capsys.readouterr()
    assert out.splitlines() == [
        "  + a \\x1b[31m ... ok",
        "  + b ... ",
        "  + b ... ok, not verified",
        "  + c ... FAILED",
    ]
    assert err == "    NOTICE: \\x07\n"


@pytest.mark.static
def test_silence_on_standard_output(capsys: pytest.CaptureFixture[str]) -> None:
    silent = Silent()
    silent.started("deploy", 1)
    silent.change("deploy", "a")
    silent.say("waiting")
    silent.done("a", 1.0)
    silent.failed("a")
    assert capsys.readouterr() == ("", "waiting\n")


@pytest.mark.static
def test_a_bar_prints_text_as_it_is(capsys: pytest.CaptureFixture[str]) -> None:
    bar = Bar()
    bar.started("deploy", 1)
    title = "[bold]x[/bold] :warning: " + "long " * 60
    bar.change("deploy", title)
    bar.done(title, 0.0, "ok")
    bar.say("[red]\x1b[2Jy")
    bar.close()
    out = capsys.readouterr().out
    assert f"  + {title} ... ok\n" in out
    assert "    [red]\\x1b[2Jy\n" in out


@pytest.mark.static
def test_a_log_is_nobody_who_watches(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert not watched()
    monkeypatch.setattr("sys.stdout.isatty", lambda: True)
    monkeypatch.delenv("CI", raising=False)
    monkeypatch.setenv("TERM", "xterm")
    assert watched()
    monkeypatch.setenv("TERM", "dumb")
    assert not watched()
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("CI", "true")
    assert not watched()
    echo("x")
    assert capsys.readouterr().out == "x\n"


@pytest.mark.static
def test_an_encoding_that_lacks_letters_is_no_error(tmp_path: Path) -> None:
    write_project(tmp_path, {"阱": table("a")})
    done = subprocess.run(  # noqa: S603  # Python reads the variable when it starts
        command("plan"),
        cwd=tmp_path,
        env=environment(PYTHONIOENCODING="latin-1"),
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stdout) == (0, "\\u9631\n")


def on_a_terminal(folder: Path, *arguments: str, typed: str = "", **env: str) -> tuple[int, str]:
    """Runs our command on a terminal of its own; returns its exit code and what it printed."""
    ours, theirs = pty.openpty()
    kept = {k: v for k, v in environment(**env).items() if k != "CI"} | {"TERM": "xterm-256color"}
    with subprocess.Popen(  # noqa: S603
        command(*arguments), cwd=folder, env=kept, stdin=theirs, stdout=theirs, stderr=theirs
    ) as process:
        os.close(theirs)
        os.write(ours, typed.encode())
        told = b""
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # Linux says so when the other side is closed
                break
            if not piece:
                break
            told += piece
    os.close(ours)
    return process.returncode, told.decode().replace("\r\n", "\n")


@pytest.mark.database
def test_a_bar_on_a_terminal(empty_database: str, tmp_path: Path) -> None:
    slow = Sql("begin;\nselect pg_sleep(0.3);\ncommit;\n")
    write_project(tmp_path, {"a": table("a"), "b": slow})
    code, told = on_a_terminal(tmp_path, "deploy", empty_database)
    assert code == 0, told
    assert "━" in told
    assert "/2" in told
    assert "+ a ... ok\n" in told
    assert "Deployed 2 changes" in told


@pytest.mark.database
def test_no_color(empty_database: str, tmp_path: Path) -> None:
    slow = Sql("begin;\nselect pg_sleep(0.3);\ncommit;\n")
    write_project(tmp_path, {"a": slow})
    color = "\x1b[38"
    assert color in on_a_terminal(tmp_path, "deploy", empty_database)[1]
    assert run(tmp_path, "revert", "--all", "-y", empty_database).returncode == 0
    code, told = on_a_terminal(tmp_path, "deploy", empty_database, NO_COLOR="1")
    assert (code, color in told, "━" in told) == (0, False, True)


@pytest.mark.database
def test_a_revert_asks_on_a_terminal(empty_database: str, tmp_path: Path) -> None:
    write_project(tmp_path, {"a": table("a"), "b": table("b")})
    assert run(tmp_path, "deploy", empty_database).returncode == 0
    revert = ("revert", "--all", empty_database)
    code, told = on_a_terminal(tmp_path, *revert, typed="n\n")
    assert (code, "Nothing was reverted." in told) == (1, True)
    assert "  - b\n  - a\nRevert 2 changes of small from " in told
    assert "? [y/N]: " in told
    code, told = on_a_terminal(tmp_path, *revert, typed="\x04")
    assert code == 130
    assert recorded(empty_database) == ["a", "b"]
    code, told = on_a_terminal(tmp_path, *revert, typed="y\n")
    assert (code, "Reverted 2 changes." in told) == (0, True)
    assert recorded(empty_database) == []
