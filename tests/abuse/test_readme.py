"""The table of attacks in README.md names tests that exist, and all that are here."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

pytestmark = pytest.mark.static

HERE = Path(__file__).parent


def functions_of(file: Path) -> set[str]:
    """Gives the names of a file's tests."""
    if file.suffix != ".py":
        return set()
    tree = ast.parse(file.read_text())
    return {node.name for node in tree.body if isinstance(node, ast.FunctionDef)}


def attacks() -> list[tuple[str, str]]:
    """Gives each attack with the cell of its tests."""
    rows = re.findall(r"^\| (?!Attack|---)(.+?) \| .+? \| (.+?) \|$",
                      (HERE / "README.md").read_text(), re.MULTILINE)  # fmt: skip
    assert len(rows) > 60, "the tables were not read"
    return rows


def test_each_attack_has_its_test() -> None:
    missing = []
    for attack, cell in attacks():
        named = re.findall(r"`([^`]+)`", cell)
        assert named, attack
        for reference in named:
            path, _, name = reference.partition("::")
            file = HERE / path
            if not file.exists() or (name and name not in functions_of(file)):
                missing.append(f"{attack}: {reference}")
    assert missing == []


def test_each_test_is_an_attack() -> None:
    named = {reference for _, cell in attacks() for reference in re.findall(r"`([^`]+)`", cell)}
    tests = {
        f"{file.name}::{name}"
        for file in HERE.glob("test_*.py")
        for name in functions_of(file)
        if name.startswith("test_")
    }
    assert tests - named == set()
