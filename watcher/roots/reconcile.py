"""When to scan again: all of a root."""

from __future__ import annotations

import subprocess
from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import Final

HOUR_S: Final = 3600.0
ASLEEP_PAUSE_S: Final = HOUR_S
"""Pause before a sleeping disk is checked again. A guess."""
_PROBE_S: Final = 10.0

Asleep = Callable[[bytes], bool | None]
"""A root's path -> whether its disk sleeps; None: unknown."""


def pause_s(interval_h: int, hour: int | None, local: datetime) -> float | None:
    """How long until the next full scan; None: never.

    With an `hour` (0 to 23, local time) it is the first time that the clock shows it when at least
    half the interval has passed, so that a start at noon does not mean a second scan that night.
    """
    if interval_h == 0:
        return None
    if hour is None:
        return interval_h * HOUR_S
    earliest = local + timedelta(hours=interval_h / 2)
    at = earliest.replace(hour=hour, minute=0, second=0, microsecond=0)
    if at < earliest:
        at += timedelta(days=1)
    return (at - local).total_seconds()


def may_look(asleep: bool | None, *, age_s: float, most_age_s: float) -> bool:  # noqa: FBT001 - an answer
    """Whether to scan now: a sleeping disk is left alone, but not for longer than `most_age_s`."""
    return asleep is not True or age_s >= most_age_s


def probe(command: Sequence[str]) -> Asleep:
    """A check by a command, with the root's path as its last argument: exit 0 asleep, 1 awake.

    Any other end, or none within 10 s, means unknown; so does no command.
    """

    def ask(path: bytes) -> bool | None:
        if not command:
            return None
        try:
            ended = subprocess.run(  # noqa: S603 - the settings name it
                [*command, path],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                timeout=_PROBE_S,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        return {0: True, 1: False}.get(ended.returncode)

    return ask
