"""Every code that the registry promises is raised by a test, for every function that raises it."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

pytestmark = pytest.mark.static

TESTS = Path(__file__).parents[1]
REGISTRY = TESTS.parent / "docs" / "error_codes.md"


def promised() -> Iterator[tuple[str, str]]:
    """Gives each code of class IN with each function that raises it."""
    for code, functions in re.findall(
        r"^\| (IN\d{3}) \| .+ \| (.+) \|$", REGISTRY.read_text(), re.MULTILINE
    ):
        for function in re.findall(r"functions\.md#(\w+)", functions):
            yield code, function


@cache
def raised() -> tuple[str, ...]:
    """Gives the source of each test that may raise something: pgTAP files and Python functions."""
    found: list[str] = []
    for file in (TESTS / "pgtap").rglob("*.sql"):
        found += file.read_text().split(";\n")
    for file in TESTS.rglob("*.py"):
        text = file.read_text()
        lines = text.splitlines()
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef) and file != Path(__file__):
                found.append("\n".join(lines[node.lineno - 1 : node.end_lineno]))
    return tuple(found)


def test_each_code_of_each_function_is_raised() -> None:
    """In one pgTAP statement, or one Python function, that names both."""
    sources = raised()
    pairs = set(promised())
    assert len(pairs) > 50, "the registry was not read"
    missing = {
        (code, function)
        for code, function in pairs
        if not any(
            re.search(rf"['\"]{code}['\"]", source) and re.search(rf"\b{function}\b", source)
            for source in sources
        )
    }
    assert missing == set()


def test_each_standard_code_is_raised() -> None:
    text = REGISTRY.read_text().partition("## Standard codes")[2]
    codes = {
        code
        for row in re.findall(r"^\| (\d[0-9A-Z, ]+) \|", text, re.MULTILINE)
        for code in row.split(", ")
    }
    assert "42501" in codes
    everything = "\n".join(raised())
    assert {code for code in codes if not re.search(rf"['\"]{code}['\"]", everything)} == set()
