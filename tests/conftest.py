"""What this project adds to the plugin: the order of its tests, and a pytest inside pytest."""

from __future__ import annotations

import os

import pytest

from inner import Inner
from integrations_db.testing.servers import Server

pytest_plugins = ["pytester", "api.fixtures"]


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Gives two workers for each core: most tests wait half of their time, for one another."""
    return 2 * (os.cpu_count() or 1)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Lets the long tests begin, so that none is left over at the end; the others stay in order."""
    items.sort(key=lambda item: item.get_closest_marker("long") is None)


@pytest.fixture
def inner(pytester: pytest.Pytester, server: Server, monkeypatch: pytest.MonkeyPatch) -> Inner:
    """A small project with the plugin, whose server is the one of these tests."""
    monkeypatch.setenv("TEST_DSN", server.dsn)
    monkeypatch.setenv("TEST_SERVER", "dsn")
    for name in ("PYTEST_ADDOPTS", "GITHUB_ACTIONS"):
        monkeypatch.delenv(name, raising=False)
    pytester.makeini("[pytest]\npgtap_paths = tests/pgtap\npgtap_template = inner\n")
    (pytester.path / "tests" / "pgtap").mkdir(parents=True)
    return Inner(pytester, pytester.path)
