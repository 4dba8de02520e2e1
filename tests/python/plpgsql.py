"""A server whose functions can be looked into with the extension plpgsql_check, for the tests."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import psycopg
import pytest

from integrations_db.testing.servers import Server

EXTENSION = "select from pg_available_extensions where name = 'plpgsql_check'"


def require_extension(server: Server) -> None:
    """Goes on where the extension is; without it CI fails on a local server, others skip."""
    with psycopg.connect(server.dsn) as connection:
        if connection.execute(EXTENSION).rowcount:
            return
    why = f"plpgsql_check is not installed for the test server ({server})"
    if os.environ.get("CI") and server.name == "local":
        pytest.fail(why)
    pytest.skip(why)


def deploy(conninfo: str, folder: Path, functions: Mapping[str, str]) -> list[Path]:
    """Writes scripts into a folder, each a function, and runs them; gives their paths."""
    folder.mkdir(exist_ok=True)
    paths = []
    with psycopg.connect(conninfo) as connection:
        for name, text in functions.items():
            paths.append(folder / f"{name}.sql")
            paths[-1].write_text(f"-- Deploy {name}\n\nbegin;\n{text}\ncommit;\n")
            connection.execute(text.encode())
    return paths
