"""What this project adds to the plugin: how its database is made, and a pytest inside pytest."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from inner import Inner
from integrations_db.testing.servers import Server

pytest_plugins = ["pytester", "integrations_db.testing.plugin", "api.fixtures"]

ROOT = Path(__file__).parent.parent


def pytest_configure() -> None:
    """Lets the programs that tests start hear signals that this one was told not to hear.

    ``nohup`` and ``&`` have them ignored, and programs inherit that, but not a function.
    """
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Gives two workers for each core: most tests wait half of their time, for one another."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets the long tests begin, so that none is left over at the end; the others stay in order."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


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
