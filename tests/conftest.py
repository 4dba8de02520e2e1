"""What this project adds to the plugin: how its database is made, and a pytest inside pytest."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from inner import Inner
from integrations_db.testing.servers import Server

pytest_plugins = ["pytester", "integrations_db.testing.plugin", "api.fixtures"]

ROOT = Path(__file__).parent.parent


def pytest_template_files() -> list[Path]:
    """Names what the template database is made from."""
    return [ROOT / "sqitch.plan", *sorted((ROOT / "deploy").rglob("*.sql"))]


def pytest_template_deploy(conninfo: str) -> None:
    """Deploys the plan with our own command, each change verified."""
    done = subprocess.run(  # noqa: S603  # our own command
        [sys.executable, "-m", "integrations_db", "--chdir", str(ROOT), "deploy", conninfo],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        pytest.fail(f"the plan does not deploy:\n{done.stdout}{done.stderr}", pytrace=False)


@pytest.fixture
def inner(pytester: pytest.Pytester, server: Server, monkeypatch: pytest.MonkeyPatch) -> Inner:
    """A small project with the plugin, whose server is the one of these tests."""
    monkeypatch.setenv("TEST_DSN", server.dsn)
    monkeypatch.setenv("TEST_SERVER", "dsn")
    monkeypatch.delenv("PYTEST_ADDOPTS", raising=False)
    pytester.makeini("[pytest]\ntest_project = inner\n")
    return Inner(pytester, pytester.path)
