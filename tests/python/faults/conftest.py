"""The servers that these tests can break."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from integrations_db.testing import plugin, servers
from integrations_db.testing.servers import Server


@pytest.fixture(scope="module")
def own(pytestconfig: pytest.Config, server: Server) -> Iterator[Server]:
    """A server of a module's tests, whose programs and files are on this machine."""
    kind = server.name if server.name in ("local", "embedded") else "embedded"
    with servers.running(kind, Path(), print, plugin.models(pytestconfig)) as other:
        yield other


@pytest.fixture(autouse=True)
def _trusting(server: Server) -> None:
    """Skips on a container: its server asks for the password that these tests put to the proof.

    They hand a false one to servers that ask for none, and look for it in everything that is said.
    """
    if server.name == "docker":
        pytest.skip("a container's server asks for a password; local and embedded servers run this")
