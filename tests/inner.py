"""A pytest inside the tests, to test the plugin with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pytest


@dataclass(frozen=True, slots=True)
class Inner:
    """A project of its own, on the same test server.

    Attributes:
        pytester: pytest's own helper.
        path: the project's folder.
    """

    pytester: pytest.Pytester
    path: Path

    def file(self, name: str) -> Path:
        """Gives the pgTAP file of a name."""
        return self.path / "tests" / "pgtap" / f"{name}_test.sql"

    def write(self, **files: str | bytes) -> None:
        """Writes the project's pgTAP files, in place of those it had."""
        folder = self.file("").parent
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.iterdir():
            old.unlink()
        for name, text in files.items():
            self.file(name).write_bytes(text if isinstance(text, bytes) else text.encode())

    def run(self, *arguments: str) -> pytest.RunResult:
        """Runs pytest in the project."""
        # Hypothesis takes a second to import, each time, and has nothing to do here; what an object
        # raises at its end is told by the pytest around this one, without a search for garbage.
        off = ("-p", "no:hypothesispytest", "-p", "no:unraisableexception")
        plugins = (*off, "-p", "integrations_db.testing.entry")
        return self.pytester.runpytest(*plugins, *arguments)
