"""What the index says at each probe of the disks -> one line in the log when it gets worse or well.

That a root goes or comes, and that folders cannot be watched, is told where it is noticed
(`watcher/roots.py`).
"""

from __future__ import annotations

import math
from typing import Final

from indexer.store.problems import InIndex
from watcher.log import EventLog

_AGAIN_S: Final = 900.0
"""The shortest time between two lines about more problems: a bad copy goes on for long. A guess."""


class HealthLog:
    """Remembers what it has told, so that nothing is told at each probe."""

    def __init__(self, log: EventLog) -> None:
        self._log = log
        self._problems = 0
        """New problems, as they were last told or have become since."""
        self._told_at = -math.inf
        self._is_waiting = False

    def tell(self, found: InIndex, now: float) -> None:
        """Compare with the last time; `now` is the loop's clock."""
        self._tell_problems(found.new_problems, now)
        if bool(found.waiting) != self._is_waiting:
            self._is_waiting = not self._is_waiting
            if self._is_waiting:
                self._log.warning(
                    "pending long", places=found.waiting, mend="indexer status, indexer doctor"
                )
            else:
                self._log.info("pending over")

    def _tell_problems(self, number: int, now: float) -> None:
        if number > self._problems:
            if now - self._told_at < _AGAIN_S:
                return
            self._told_at = now
            self._log.warning("problems rose", new=number, within="24 h", mend="indexer problems")
        elif not number and self._problems:
            self._log.info("problems over", new=0, within="24 h")
            self._told_at = -math.inf
        self._problems = number
