"""Files that the stages get through -> files a second over the last minute, counted in Redis."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from indexer.runs.throughput import BUCKET_S, WINDOW_S, Bucket, Rates, Step, rates_of

if TYPE_CHECKING:
    from collections.abc import Callable

    import redis

_KEY: Final = "music-indexer:rates:"


class RedisRates:
    """Counts in hashes that hold some seconds each, and go by themselves."""

    def __init__(self, client: redis.Redis, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock

    def count(self, step: Step, files: int, failed: int = 0) -> None:
        """So many files more; `failed` of them had a problem."""
        if not (files or failed):
            return
        key = f"{_KEY}{int(self._clock() // BUCKET_S)}"
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hincrby(key, step.value, files)
            if failed:
                pipeline.hincrby(key, "failed", failed)
            pipeline.expire(key, 2 * WINDOW_S)
            pipeline.execute()

    def seen(self) -> Rates:
        """What was counted in the last minute."""
        now_s = self._clock()
        newest = int(now_s // BUCKET_S)
        numbers = range(newest - WINDOW_S // BUCKET_S + 1, newest + 1)
        with self._client.pipeline(transaction=False) as pipeline:
            for number in numbers:
                pipeline.hgetall(f"{_KEY}{number}")
            counted: Any = pipeline.execute()
        return rates_of(map(_bucket, numbers, counted), now_s)


def _bucket(number: int, counts: dict[bytes, bytes]) -> Bucket:
    return Bucket(number, **{name: int(counts.get(name.encode(), 0)) for name in (*Step, "failed")})
