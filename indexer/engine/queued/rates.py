"""Files that the stages get through -> files a second over the last minute, counted in Redis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from indexer.engine.pace import RatesSeen, Step

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

_KEY: Final = "music-indexer:rates:"
_BUCKET_S: Final = 5
_WINDOW_S: Final = 60


class Rates:
    """Counts in hashes that hold some seconds each, and go by themselves."""

    def __init__(self, client: redis.Redis, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock

    def count(self, step: Step, files: int, failed: int = 0) -> None:
        """So many files more; `failed` of them had a problem."""
        if not (files or failed):
            return
        key = f"{_KEY}{int(self._clock() // _BUCKET_S)}"
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hincrby(key, step.value, files)
            if failed:
                pipeline.hincrby(key, "failed", failed)
            pipeline.expire(key, 2 * _WINDOW_S)
            pipeline.execute()

    def seen(self) -> RatesSeen:
        """What was counted in the last minute."""
        newest = int(self._clock() // _BUCKET_S)
        with self._client.pipeline(transaction=False) as pipeline:
            for bucket in range(newest - _WINDOW_S // _BUCKET_S + 1, newest + 1):
                pipeline.hgetall(f"{_KEY}{bucket}")
            buckets: Any = pipeline.execute()
        totals = {
            name: sum(int(bucket.get(name.encode(), 0)) for bucket in buckets)
            for name in (*Step, "failed")
        }
        read = totals[Step.EXTRACTION]
        return RatesSeen(
            {step: round(totals[step] / _WINDOW_S, 1) for step in Step},
            round(min(1.0, totals["failed"] / read), 4) if read else 0.0,
        )
