"""The session in psql that the README shows: typed again, it answers what is shown."""

from __future__ import annotations

import re
import subprocess

import pytest
from small_project import require

from .deployment import ROOT

PROMPT = re.compile(r"^app=\*?[#>] ")
UUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
# What is another each time: ids, and the beginning of a ciphertext.
CHANGING = [(UUID, "ID"), (re.compile(r'("ct": ")\S+'), r"\1…")]
VOID = re.compile(r"^ +(?:set_tenant|set_definition_status) *\n-+\n *\n\(1 row\)\n\n", re.MULTILINE)


def _same(text: str) -> list[str]:
    for pattern, instead in CHANGING:
        text = pattern.sub(instead, text)
    return [line.rstrip() for line in text.splitlines() if line.strip()]


@pytest.mark.database
def test_the_session_is_what_psql_shows(database: str) -> None:
    program = require("psql")
    [session] = re.findall(
        r"^```text\n(app=# .*?)^```$", (ROOT / "README.md").read_text(), re.M | re.S
    )
    lines = session.splitlines(keepends=True)
    typed = "".join(PROMPT.sub("", line) for line in lines if PROMPT.match(line))
    shown = "".join(line for line in lines if not PROMPT.match(line))
    done = subprocess.run(  # noqa: S603
        [program, "--no-psqlrc", "--quiet", database],
        input=f"{typed}rollback;\n",
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    assert _same(VOID.sub("", done.stdout)) == _same(shown)
