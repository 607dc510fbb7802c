"""Turns of the loop -> `WATCHDOG=1` for the service manager (`WatchdogSec=` of a unit).

A loop that hangs sends none, and is then killed and started again. The manager is told while the
loop works, too: a look at everything may take hours.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Mapping
from typing import Final

from watcher.system import ALIVE, notify

_EARLY: Final = 0.25
"""Fraction of the manager's limit after which a turn that comes anyway tells it."""
_LATE: Final = 0.5
"""Fraction after which a turn is made for it: as sd_watchdog_enabled(3) recommends."""


class Watchdog:
    """Tells the manager that the loop goes on, at most as often as is needed."""

    def __init__(
        self, environ: Mapping[str, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`environ` has $WATCHDOG_USEC and $WATCHDOG_PID, if anything is to be told at all."""
        self._environ = {"NOTIFY_SOCKET": environ.get("NOTIFY_SOCKET", "")}
        self._clock = clock
        self._thread = threading.get_ident()
        self._told_at = clock()
        limit = environ.get("WATCHDOG_USEC", "")
        is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._limit_s = int(limit) / 1e6 if limit.isdecimal() and is_ours else 0.0

    @property
    def is_on(self) -> bool:
        """Whether a manager waits for it."""
        return self._limit_s > 0.0

    def beat(self) -> None:
        """Tell the manager, if it is time; from another thread than the loop's it says nothing."""
        if not self.is_on or threading.get_ident() != self._thread:
            return
        now = self._clock()
        if now - self._told_at >= self._limit_s * _EARLY:
            self._told_at = now
            notify(ALIVE, self._environ)

    def next_turn(self) -> float | None:
        """When a turn is due for it, if nothing happens before."""
        return self._told_at + self._limit_s * _LATE if self.is_on else None
