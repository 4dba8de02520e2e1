"""Where the tests have their files: in memory, if that has room."""

from __future__ import annotations

import os
from pathlib import Path

from integrations_db.throwaway import home

__all__ = ["place"]

_ROOM = 2 << 30  # bytes: the files of all workers take some 0.3 GB, their server's data the rest


def place() -> Path | None:
    """Gives a folder for files that runs the programs among them: Docker's /dev/shm does not."""
    folder = home(_ROOM)
    return None if os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0) else folder
