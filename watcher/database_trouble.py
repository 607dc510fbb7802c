"""A database that cannot be used now -> growing pauses until it can, or a repair (rule R12)."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Final

from indexer import errors
from indexer.runs.repair_process import Mended, mend
from indexer.store.sqlite_errors import explained
from watcher.log import EventLog

_FIRST_PAUSE_S: Final = 0.5
"""A guess; a process that waits for a lock has waited for `busy_timeout` before."""
_FOR_GOOD: Final = (
    errors.DatabaseDamaged, errors.DatabaseNewer, errors.DatabaseMissing, errors.LogLost,
)  # fmt: skip
_REASONS: Final = (
    (errors.DatabaseBusy, "database busy", "another program holds the index"),
    (errors.DatabaseFull, "database full", "the disk of the index is full"),
    (errors.DatabaseError, "database trouble", "the index cannot be read or written"),
)
_OTHER: Final = ("readers lost", "files cannot be read now")
"""A kind of error, its name in the log, and what `indexer status` says."""
_SAID_AGAIN_S: Final = (60.0, 3600.0)
"""The first and the longest time between two log lines about the same trouble. A guess."""
_RELAPSE_S: Final = 30.0
"""What comes back so soon after its end is the same trouble: a full disk takes a look that finds
nothing to write, and refuses the idle work after it. A guess."""


class DatabaseTrouble:
    """At most one error at a time, from its first failure to the first work that succeeds."""

    def __init__(self, database: Path, longest_pause_s: float, log: EventLog) -> None:
        self.until: float | None = None
        """When to try again; None: there is no error."""
        self.reason = ""
        self.words = ""
        """What `indexer status` says of it; empty: there is none."""
        self.since_ms = 0
        """Since when there is trouble (Unix milliseconds); 0: there is none."""
        self.over_at: float | None = None
        """When trouble that had come back is over, if all goes well until then; None: no such."""
        self._database = database
        self._longest_pause_s = longest_pause_s
        self._log = log
        self._pause_s = 0.0
        self._tries = 0
        self._first_ms = 0
        self._ended_at = -math.inf
        self._came_back = False
        self._say_at = 0.0
        self._say_pause_s = 0.0

    def explained(self) -> AbstractContextManager[None]:
        """Turn errors of SQLite into errors of our own."""
        return explained(self._database)

    def pauses(self, now: float) -> bool:
        """Whether nothing may be tried yet."""
        return self.until is not None and now < self.until

    def begin(self, error: errors.CannotDo, now: float) -> bool:
        """Note an error; whether it is the first. One that no pause can cure is raised."""
        if isinstance(error, _FOR_GOOD):
            raise error
        known = (words for kind, *words in _REASONS if isinstance(error, kind))
        before, was_told = self.reason, bool(self.words)
        self.reason, self.words = next(known, _OTHER)
        goes_on = self.until is not None
        is_back = not goes_on and self.reason == before and now < self._ended_at + _RELAPSE_S
        is_new = not (goes_on or is_back)
        longest_s = max(self._longest_pause_s, _FIRST_PAUSE_S)
        self._pause_s = _FIRST_PAUSE_S if is_new else min(self._pause_s * 2, longest_s)
        self.until, self.over_at = now + self._pause_s, None
        if is_new:
            self._first_ms, self._tries = time.time_ns() // 1_000_000, 0
        if not goes_on:
            self._came_back = is_back
        self.since_ms = self._first_ms
        self._tries += 1
        self._say(str(error), now, is_new=not was_told or self.reason != before)
        return is_new

    def _say(self, detail: str, now: float, *, is_new: bool) -> None:
        """Log at once; again, where it lasts, after pauses that grow; at each try with `-v`."""
        is_due = is_new or now >= self._say_at
        if is_due:
            first_s, longest_s = _SAID_AGAIN_S
            self._say_pause_s = first_s if is_new else min(self._say_pause_s * 2, longest_s)
            self._say_at = now + self._say_pause_s
        say = self._log.warning if is_due else self._log.debug
        say(self.reason, detail=detail, tries=self._tries, action=f"again in {self._pause_s:g} s")

    def end(self, now: float) -> None:
        """Note that work succeeded."""
        if self.until is not None:
            self.until, self._ended_at = None, now
            self.over_at = now + _RELAPSE_S if self._came_back else now
        if self.over_at is None or now < self.over_at:
            return
        lasted_s = max(0, round(time.time() - self.since_ms / 1000))
        fields = {"reason": self.reason, "tries": self._tries, "lasted_s": lasted_s}
        self._log.info("trouble over", **fields)
        self.over_at, self.words, self.since_ms = None, "", 0


_MOST: Final = 3
"""Repairs allowed within `_WITHIN_S`; a disk that needs more is failing. A guess."""
_WITHIN_S: Final = 3600.0


class Repairs:
    """Repairs the index where it is found damaged, but only so often."""

    def __init__(self, database: Path, log: EventLog, stop: Callable[[], bool]) -> None:
        self._database = database
        self._log = log
        self._stop = stop
        self._times: deque[float] = deque(maxlen=_MOST)

    def mend(self, error: errors.DatabaseDamaged, now: float) -> str:
        """Repair the index; what was done, in words.

        Raises the given error where the damage comes back too often, DatabaseDamaged where nothing
        can be rebuilt, Interrupted where the daemon must end.
        """
        if len(self._times) == _MOST and now - self._times[0] < _WITHIN_S:
            raise errors.DatabaseDamaged(
                f"{error} It was repaired {_MOST} times within an hour: check the disk's health"
            )
        self._times.append(now)
        done = mend(self._database, self._stop)
        fields = log_fields(done)
        self._log.warning("repaired", detail=str(error), **fields)
        return f"made again: {fields['made_again']}"


def log_fields(done: Mended) -> dict[str, object]:
    """The log fields of a repair."""
    fields: dict[str, object] = {"made_again": ", ".join(done.made_again) or "nothing"}
    if done.lost:
        fields["lost"] = "; ".join(done.lost)
    if done.kept is not None:
        fields["kept"] = done.kept
    return {**fields, "seconds": done.seconds}
