"""Damage that the daemon meets -> a repair, a line of the log, and work that goes on."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from pathlib import Path
from typing import Final

from indexer import errors
from indexer.engine.mending import Mended, mend
from watcher.log import EventLog

_MOST: Final = 3
"""Repairs within `_WITHIN_S`; a disk that needs more is failing. A guess."""
_WITHIN_S: Final = 3600.0


class Repairs:
    """Has the index repaired where it is found damaged, but not for ever."""

    def __init__(self, database: Path, log: EventLog, stop: Callable[[], bool]) -> None:
        self._database = database
        self._log = log
        self._stop = stop
        self._times: deque[float] = deque(maxlen=_MOST)

    def mend(self, error: errors.DatabaseDamaged, now: float) -> str:
        """Repair the index; what was done, in words.

        Raises what was found where it comes back too often, DatabaseDamaged where nothing can be
        made again, Interrupted where the daemon is to end.
        """
        if len(self._times) == _MOST and now - self._times[0] < _WITHIN_S:
            raise errors.DatabaseDamaged(
                f"{error} It was repaired {_MOST} times within an hour: see to the disk's health"
            )
        self._times.append(now)
        done = mend(self._database, self._stop)
        told = told_of(done)
        self._log.warning("repaired", detail=str(error), **told)
        return f"made again: {told['made_again']}"


def told_of(done: Mended) -> dict[str, object]:
    """What a line of the log tells of a repair."""
    told: dict[str, object] = {"made_again": ", ".join(done.made_again) or "nothing"}
    if done.lost:
        told["lost"] = "; ".join(done.lost)
    if done.kept is not None:
        told["kept"] = done.kept
    return {**told, "seconds": done.seconds}
