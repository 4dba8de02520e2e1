"""Where the tests have their files: in memory, if that has room."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

__all__ = ["MEMORY", "has_room"]

MEMORY = Path("/dev/shm")  # noqa: S108  # what is made there is made by mkdtemp

_ROOM = 2 << 30  # bytes: the files of all workers take some 0.3 GB, their server's data the rest


def has_room(folder: Path) -> bool:
    """Tells whether a folder has room for the tests' files, and runs the programs among them."""
    if not os.access(folder, os.W_OK) or shutil.disk_usage(folder).free < _ROOM:
        return False
    # Docker's own /dev/shm runs no programs.
    return not os.statvfs(folder).f_flag & getattr(os, "ST_NOEXEC", 0)
