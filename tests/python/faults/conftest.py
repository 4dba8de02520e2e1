"""The servers that these tests can break."""

from __future__ import annotations

import pytest

from integrations_db.testing.servers import Server


@pytest.fixture(autouse=True)
def _trusting(server: Server) -> None:
    """Skips on a container: its server asks for the password that these tests put to the proof.

    They hand a false one to servers that ask for none, and look for it in everything that is said.
    """
    if server.name == "docker":
        pytest.skip("a container's server asks for a password; local and embedded servers run this")
