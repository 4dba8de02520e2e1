"""How much the tests try at random: ``TEST_SIZE``.

``quick`` (the default) meets every case a few times, ``full`` is what CI runs once, ``thorough``
searches ten times as long as that.
"""

from __future__ import annotations

import os

import pytest

__all__ = ["SIZES", "size"]

SIZES = ("quick", "full", "thorough")


def size(quick: int, full: int) -> int:
    """Gives how many of something a test does in this run; ``thorough`` is ten times ``full``.

    Raises:
        pytest.UsageError: ``TEST_SIZE`` is none of ``SIZES``.
    """
    chosen = os.environ.get("TEST_SIZE") or "quick"
    if chosen not in SIZES:
        raise pytest.UsageError(f"TEST_SIZE={chosen} is unknown; there are {', '.join(SIZES)}")
    return {"quick": quick, "full": full, "thorough": 10 * full}[chosen]
