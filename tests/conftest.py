"""What this project adds to the plugin: files in memory, an order, and a pytest inside pytest."""

from __future__ import annotations

import gc
import os
import signal
import tempfile

import pytest

from inner import Inner
from integrations_db.testing.servers import Server
from place import place

pytest_plugins = ["pytester", "api.fixtures"]


def pytest_configure() -> None:
    """Has files in memory where nobody said where, and lets programs hear signals.

    The tests make and remove thousands of small files: on a disk, a tenth of their time.

    ``nohup`` and ``&`` have signals ignored, and programs inherit that, but not a function.
    """
    if "TMPDIR" not in os.environ and (folder := place()):
        os.environ["TMPDIR"] = str(folder)
        tempfile.tempdir = None  # what was found before
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGQUIT):
        if signal.getsignal(number) is signal.SIG_IGN:
            signal.signal(number, lambda *_: None)


def pytest_collection() -> None:
    """Looks for no garbage among thousands of tests that are found, as they all stay."""
    gc.disable()


def pytest_collection_finish() -> None:
    """Looks for garbage again, but seldom, and never among the tests."""
    gc.freeze()
    gc.set_threshold(50_000)
    gc.enable()


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
