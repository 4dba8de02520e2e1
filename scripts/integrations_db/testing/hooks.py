"""What a project tells the plugin: hooks that its ``conftest.py`` may implement."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import AbstractContextManager
from pathlib import Path

import pytest


def pytest_template_files(config: pytest.Config) -> Iterable[Path]:  # type: ignore[empty-body]
    """Names the files that the template database is made from; a change in one makes a new one."""


def pytest_template_deploy(config: pytest.Config, conninfo: str) -> None:
    """Deploys the project into the new template database; pgTAP and the helpers follow.

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
