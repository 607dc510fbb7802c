"""A plan that fails -> the shortest one found that still does: halves, quarters, and so on.

Real processes do not fail every time, so a part that holds is tried only as often as `tries` says,
and what is left may still be longer than it needs to be.
"""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable

from tests.faults.machine import Plan, play


def fails(plan: Plan) -> bool:
    """Whether this one does."""
    outcome = play(plan)
    if outcome.folder is not None:
        shutil.rmtree(outcome.folder, ignore_errors=True)
    return bool(outcome.complaints)


def shrunk(
    plan: Plan,
    *,
    minutes: float,
    tries: int = 1,
    fails: Callable[[Plan], bool] = fails,
    clock: Callable[[], float] = time.monotonic,
) -> tuple[Plan, int]:
    """The plan without the steps that it fails without, and how many were tried.

    Zeller's delta debugging: leave out a part of the steps; where all parts are needed, try
    smaller ones.
    """
    until = clock() + 60 * minutes
    parts, tried = 2, 0
    while len(plan.steps) > 1:
        size = -(-len(plan.steps) // parts)
        for start in range(0, len(plan.steps), size):
            less = plan._replace(steps=plan.steps[:start] + plan.steps[start + size :])
            failed = False
            for _ in range(tries):
                if clock() >= until:
                    return plan, tried
                tried += 1
                if fails(less):
                    failed = True
                    break
            if failed:
                plan, parts = less, max(2, parts - 1)
                break
        else:
            if size == 1:
                break
            parts = min(len(plan.steps), parts * 2)
    return plan, tried
