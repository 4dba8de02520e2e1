"""The command ``integrations-db``. Heavy imports wait until a command needs them.

``group`` is what all commands belong to; each module of commands adds its own; ``program`` runs it.
"""

from __future__ import annotations

from integrations_db.cli import (
    asking,
    authoring,
    deploying,
    documenting,
    embedded,
    offline,
    proving,
)
from integrations_db.cli.group import cli
from integrations_db.cli.program import main

__all__ = [
    "asking",
    "authoring",
    "cli",
    "deploying",
    "documenting",
    "embedded",
    "main",
    "offline",
    "proving",
]
