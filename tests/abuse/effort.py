"""How long tests search at random: a moment, or, with ``--hypothesis-profile=thorough``, longer."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

__all__ = ["effort"]


def effort(examples: int, steps: int = 50) -> settings:
    """Gives settings of Hypothesis for so many examples, of so many steps, in an ordinary run."""
    thorough = settings.get_current_profile_name() == "thorough"
    return settings(
        max_examples=examples * (10 if thorough else 1),
        stateful_step_count=steps,
        deadline=None,
        suppress_health_check=[
            HealthCheck.function_scoped_fixture,
            HealthCheck.too_slow,
            HealthCheck.data_too_large,
        ],
    )
