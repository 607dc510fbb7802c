"""An extract order that is given again -> what was read for it before, so that no file is opened.

A worker that is killed, or a lost job, has a chunk dispatched again. What was read of it stands in
the order of its job `batch`, which stays in Redis until it is inserted: so this takes no memory of
its own. What is lost here costs a reading, so no error of Redis is one of a job.
"""

from __future__ import annotations

from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final

import msgspec
import redis
from msgspec.structs import replace

from indexer.errors import QueueError
from indexer.model import Reading
from indexer.queue.orders.jobs import read_order
from indexer.queue.orders.kept_orders import kept_bytes
from indexer.queue.orders.messages import BatchOrder
from indexer.results.status_report import CacheStatus
from indexer.tags import READER_VERSION

if TYPE_CHECKING:
    from indexer.queue.orders.messages import ExtractOrder, FileText
    from indexer.queue.orders.queues import Queues

_COUNTS: Final = "music-indexer:reading-counts"
"""A hash: hits and misses since this Redis was started."""


class FoundReadings(msgspec.Struct, frozen=True):
    """What is known of the files of an extract order."""

    readings: list[Reading | None]
    """For each file, in their order; None: it is to be read."""
    job_id: str = ""
    """The job of `batch` that has them, which is done and no longer needed; empty: none is."""


def find_readings(queues: Queues, order: ExtractOrder) -> FoundReadings:
    """What is known of each file of an order, at the stamp that its scan saw."""
    nothing = FoundReadings([None] * len(order.files))
    try:
        kept = queues.kept_order(order.origin.index, order.origin.row)
        if kept is None:
            return nothing
        batched: BatchOrder = read_order(kept.order, BatchOrder)
    except (redis.RedisError, QueueError):
        return nothing
    known: dict[FileText, Reading] = {}
    if batched.read_as == read_as(order):
        # of an order that is odd, one is longer
        known = dict(zip(batched.files, batched.readings, strict=False))
    found = [_usable(known.get(file), file) for file in order.files]
    return FoundReadings(found, kept.job_id if kept.is_done else "")


def read_as(order: ExtractOrder) -> str:
    """A digest of all that the readings of an order depend on, beside its files.

    A rebuild wants each file read once more, so what others have read is not for it.
    """
    origin = order.origin
    how = (origin.index, origin.root_id, origin.reread, READER_VERSION, order.keep_tags,
           order.follow_links)  # fmt: skip
    return blake2b(msgspec.msgpack.encode(how), digest_size=8).hexdigest()


def count_reuse(pipeline: Any, hits: int, misses: int) -> None:  # noqa: ANN401 - redis' type
    """Count the files of a job that was done: what was known, and what was read."""
    for name, number in (("hits", hits), ("misses", misses)):
        if number:
            pipeline.hincrby(_COUNTS, name, number)


def cache_status(client: redis.Redis) -> CacheStatus:
    """How often something was found, and what the orders take. Raises what redis raises."""
    hits, misses = client.hmget(_COUNTS, ["hits", "misses"])
    return CacheStatus(hits=int(hits or 0), misses=int(misses or 0), bytes=kept_bytes(client))


def _usable(reading: Reading | None, file: FileText) -> Reading | None:
    """A reading of a file that could be read, and is complete; any other is made anew.

    It counts as opened, as it was: it is asked for again where the answer that reported it was
    lost.
    """
    if reading is None or not reading.opened or reading.track is None or reading.writer:
        return None
    return replace(reading, path=file.raw) if reading.stamp == file.stamp else None
