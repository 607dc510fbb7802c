"""How many examples a property is tried with: few in the suite, always the same; else many."""

from __future__ import annotations

from hypothesis import HealthCheck, settings


def tries(examples: int) -> settings:
    """So many examples in the suite; with HYPOTHESIS_PROFILE=long as many as that profile says."""
    profile = settings()
    return settings(
        max_examples=examples if profile.derandomize else profile.max_examples,
        suppress_health_check=[HealthCheck.too_slow],
    )
