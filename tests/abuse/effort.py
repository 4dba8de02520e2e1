"""How long tests search at random."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

from size import size

__all__ = ["effort"]


def effort(quick: int, full: int, steps: int = 50) -> settings:
    """Gives settings of Hypothesis: how many examples, of so many steps; see ``size``."""
    return settings(
        max_examples=size(quick, full),
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
