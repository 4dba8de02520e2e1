"""What a project tells the plugin: hooks that its ``conftest.py`` may implement."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest


def pytest_pgtap_template_files(config: pytest.Config) -> Iterable[Path]:  # type: ignore[empty-body]
    """Names more files that the deployed database is made from; a change in one makes a new one."""


def pytest_pgtap_deploy(config: pytest.Config, conninfo: str) -> None:
    """Adds to the new database what the plan does not have; pgTAP and the helpers follow.

    Args:
        config: pytest's configuration.
        conninfo: the database, as superuser.
    """


@pytest.hookspec(firstresult=True)
def pytest_pgtap_database(config: pytest.Config) -> str | None:
    """Gives the conninfo of the database in which pgTAP files run and are rolled back."""


@pytest.hookspec(firstresult=True)
def pytest_pgtap_clone(config: pytest.Config) -> AbstractContextManager[str] | None:
    """Gives a private database for one pgTAP file that commits; it is dropped on exit."""
