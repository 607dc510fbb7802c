"""Readings of files -> kept in Redis for a while, so that a chunk given again opens no file.

A worker that was killed, a lost job or a second hint would have files read twice. What is lost here
costs just that, so no error of Redis is one of a job. Readings are not compressed: zlib would save
a sixth of their 300 bytes, and take 20 us for each.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from hashlib import blake2b
from typing import TYPE_CHECKING, Final

import msgspec
import redis
from msgspec.structs import replace

from indexer.model import Reading
from indexer.results.status_report import CacheStatus
from indexer.tags import READER_VERSION

if TYPE_CHECKING:
    from indexer.queue.orders.messages import ExtractOrder, FileText
    from indexer.settings import Settings

_SLOT: Final = "music-indexer:readings:{}"
"""A hash: digest of what was read -> what was found. There is one for each eighth of
`cache_ttl`, which expires as a whole."""
_COUNTS: Final = "music-indexer:reading-counts"
"""A hash: hits and misses since this Redis was started."""
_SLOTS: Final = 8
"""A guess: what is full loses an eighth; each slot is asked for each chunk."""
_BYTES: Final = "bytes"
"""A field of a slot: what it takes, which is no digest."""
_OVERHEAD: Final = 64
"""Bytes of Redis for each field. A guess."""
_LARGEST: Final = 65_536
"""Maximum bytes of one reading; larger ones are not kept."""
_MB: Final = 1_000_000


class ReadingCache:
    """The readings of all indexes that use one Redis."""

    def __init__(
        self, client: redis.Redis, settings: Settings, clock: Callable[[], float] = time.time
    ) -> None:
        self._client = client
        self._limit = settings.cache_memory * _MB
        self._slot_s = settings.cache_ttl / _SLOTS
        self._clock = clock
        self._just_digested: tuple[ExtractOrder, list[bytes]] | None = None
        """An order that `find` was asked for, and its digests, which `keep` need not make again."""
        self._just_held: dict[str, int] | None = None
        """What `find` got for the order that is being read: `keep` need not ask again. So the
        limit may be passed by what other workers keep meanwhile."""

    def find(self, order: ExtractOrder) -> list[Reading | None]:
        """What is known of each file of an order, at the stamp that its scan saw."""
        nothing: list[Reading | None] = [None] * len(order.files)
        if not (self._limit and order.files):
            return nothing
        try:
            return self._find(order)
        except redis.RedisError:
            return nothing

    def _find(self, order: ExtractOrder) -> list[Reading | None]:
        digests = _digests(order)
        self._just_digested = order, digests
        self._just_held = self._held()
        with self._client.pipeline(transaction=False) as pipeline:
            for slot in self._just_held:
                pipeline.hmget(slot, digests)
            answers = pipeline.execute()
        found: list[Reading | None] = []
        for at, file in enumerate(order.files):
            packed = next((answer[at] for answer in answers if answer[at] is not None), None)
            found.append(None if packed is None else _unpacked(packed, file))
        return found

    def count(self, hits: int, misses: int) -> None:
        """Count the files of a job that was done: what was known, and what was read."""
        if not self._limit:
            return
        with (
            suppress(redis.RedisError),
            self._client.pipeline(transaction=False) as pipeline,
        ):
            for name, number in (("hits", hits), ("misses", misses)):
                if number:
                    pipeline.hincrby(_COUNTS, name, number)
            pipeline.execute()

    def keep(self, order: ExtractOrder, readings: Sequence[Reading]) -> None:
        """Keep what was just read of the files of an order; the oldest goes where room is short."""
        (asked, digests), self._just_digested = self._just_digested or (None, []), None
        if asked is not order:
            digests = _digests(order)
        packed: dict[bytes, bytes] = {}
        for digest, reading in zip(digests, readings, strict=True):
            is_whole = reading.track is not None and not reading.writer
            if reading.opened and is_whole and reading.stamp is not None:
                packed_reading = msgspec.msgpack.encode(replace(reading, path=b""))
                if len(packed_reading) <= _LARGEST:
                    packed[digest] = packed_reading
        size = sum(len(one) + _OVERHEAD for one in packed.values())
        if packed and size <= self._limit:
            with suppress(redis.RedisError):  # it is full, or away
                self._keep(packed, size)

    def _keep(self, packed: dict[bytes, bytes], size: int) -> None:
        held, self._just_held = self._just_held, None
        if held is None:
            held = self._held()
        while held and sum(held.values()) + size > self._limit:
            oldest = next(reversed(held))
            self._client.unlink(oldest)
            del held[oldest]
        slot = self._slot(0)
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.hset(slot, mapping=packed)  # type: ignore[arg-type]  # a dict of bytes will do
            pipeline.hincrby(slot, _BYTES, size)
            pipeline.expire(slot, max(1, int(self._slot_s * _SLOTS)))
            pipeline.execute()

    def status(self) -> CacheStatus:
        """How often it was asked, and what it takes. Raises what redis raises."""
        hits, misses = self._client.hmget(_COUNTS, ["hits", "misses"])
        return CacheStatus(
            hits=int(hits or 0), misses=int(misses or 0), bytes=sum(self._held().values())
        )

    def _held(self) -> dict[str, int]:
        """The slots that hold something, the newest first, and what each takes."""
        slots = [self._slot(age) for age in range(_SLOTS)]
        with self._client.pipeline(transaction=False) as pipeline:
            for slot in slots:
                pipeline.hget(slot, _BYTES)
            sizes = pipeline.execute()
        return {slot: int(size) for slot, size in zip(slots, sizes, strict=True) if size}

    def _slot(self, age: int) -> str:
        return _SLOT.format(int(self._clock() / self._slot_s) - age)


def _digests(order: ExtractOrder) -> list[bytes]:
    """For each file, all that its reading depends on: where it is, its stamp, and how it is read.

    A rebuild wants each file read once more, so what others have read is not for it.
    """
    origin = order.origin
    how = (origin.index, origin.root_id, origin.reread, READER_VERSION, order.keep_tags,
           order.follow_links)  # fmt: skip
    begin = blake2b(msgspec.msgpack.encode(how), digest_size=16)
    digests = []
    for file in order.files:
        one = begin.copy()
        one.update(msgspec.msgpack.encode(file))
        digests.append(one.digest())
    return digests


def _unpacked(packed: bytes, file: FileText) -> Reading | None:
    """A reading that was kept; None where Redis holds something else.

    It counts as opened, as it was: it is asked for again where the answer that told so was lost.
    """
    try:
        reading = msgspec.msgpack.decode(packed, type=Reading)
    except msgspec.DecodeError:
        return None
    return replace(reading, path=file.raw) if reading.stamp == file.stamp else None
