"""The orders of jobs `batch`, which stay in Redis until their chunks are inserted, by their rows.

What was read stands in them. So a chunk that is dispatched again, since its worker was killed or a
job was lost, finds it there, and no file is opened; and what a killed process has left can be
deleted. This takes no memory of its own. What is lost here costs a reading, so no error of Redis is
one of a job.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b
from typing import TYPE_CHECKING, Any

import msgspec
import redis
from msgspec import Struct
from msgspec.structs import replace
from rq.job import Job, JobStatus

from indexer.errors import QueueError
from indexer.model import Reading
from indexer.queue.orders.jobs import KEPT_TTL_S, kept_argument, kept_for, read_order
from indexer.queue.orders.keys import COUNTS, ORDERS
from indexer.queue.orders.messages import BatchOrder
from indexer.results.status_report import CacheStatus
from indexer.tags import READER_VERSION

if TYPE_CHECKING:
    from indexer.queue.orders.messages import ExtractOrder, FileText, Origin


class KeptOrder(Struct, frozen=True):
    """The order of a job of `batch`, and what became of the job."""

    job_id: str
    is_done: bool
    order: msgspec.Raw


def note_order(pipeline: Any, origin: Origin, job_id: str) -> None:  # noqa: ANN401 - redis' type
    """Note the order of a job that is being enqueued."""
    pipeline.hset(ORDERS, str(origin.row), f"{origin.index} {job_id}")
    pipeline.expire(ORDERS, KEPT_TTL_S)


def forget_order(pipeline: Any, insert_id: str) -> None:  # noqa: ANN401 - redis' type
    """Forget the order that was kept for a job of `insert`, which is done."""
    if kept_for(insert_id) is not None:
        pipeline.hdel(ORDERS, insert_id.split("-")[1])


def find_order(client: redis.Redis, index: str, row: int) -> KeptOrder | None:
    """The newest order for a row. Raises QueueError for an odd one, and what redis raises."""
    noted: Any = client.hget(ORDERS, str(row))
    token, job_id = _noted(noted or b"")
    if not job_id or token != index:
        return None
    fields: Any = client.hmget(Job.key_for(job_id), ["data", "status"])
    data, status = fields
    if data is None:
        return None
    return KeptOrder(job_id, _is_done(status), kept_argument(job_id, data))


def drop_spent(client: redis.Redis, token: str, is_pending: Callable[[int], bool]) -> int:
    """Delete the orders that no insert needs any more: of rows that are pending no more.

    A process that is killed between its commit and the end of its job leaves one. How many there
    were. Raises what redis raises.
    """
    noted: Any = client.hgetall(ORDERS)
    spent = [
        (row, job_id)
        for row, value in noted.items()
        for index, job_id in [_noted(value)]
        if index == token and row.isdigit() and not is_pending(int(row))
    ]
    for row, job_id in spent:
        key = Job.key_for(job_id)
        if _is_done(client.hget(key, "status")):  # else its job comes, and ends it
            client.delete(key)
        client.hdel(ORDERS, row)
    return len(spent)


def kept_bytes(client: redis.Redis) -> int:
    """How much the orders take. Raises what redis raises."""
    noted: Any = client.hvals(ORDERS)
    with client.pipeline(transaction=False) as pipeline:
        for _, job_id in map(_noted, noted):
            pipeline.hstrlen(Job.key_for(job_id), "data")
        return sum(pipeline.execute())


def _noted(value: bytes) -> tuple[str, str]:
    token, _, job_id = value.decode(errors="replace").partition(" ")
    return token, job_id


def _is_done(status: Any) -> bool:  # noqa: ANN401 - redis' type
    return bool(status == JobStatus.FINISHED.value.encode())


class FoundReadings(Struct, frozen=True):
    """What is known of the files of an extract order."""

    readings: list[Reading | None]
    """For each file, in their order; None: it is to be read."""
    job_id: str = ""
    """The job of `batch` that has them, which is done and no longer needed; empty: none is."""


def find_readings(
    kept_order: Callable[[str, int], KeptOrder | None], order: ExtractOrder
) -> FoundReadings:
    """What is known of each file of an order, at the stamp that its scan saw.

    `kept_order` finds the newest order of a row: `Queues.kept_order`.
    """
    nothing = FoundReadings([None] * len(order.files))
    try:
        kept = kept_order(order.origin.index, order.origin.row)
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
            pipeline.hincrby(COUNTS, name, number)


def cache_status(client: redis.Redis) -> CacheStatus:
    """How often something was found, and what the orders take. Raises what redis raises."""
    hits, misses = client.hmget(COUNTS, ["hits", "misses"])
    return CacheStatus(hits=int(hits or 0), misses=int(misses or 0), bytes=kept_bytes(client))


def _usable(reading: Reading | None, file: FileText) -> Reading | None:
    """A reading of a file that could be read, and is complete; any other is made anew.

    It counts as opened, as it was: it is asked for again where the answer that reported it was
    lost.
    """
    if reading is None or not reading.opened or reading.track is None or reading.writer:
        return None
    return replace(reading, path=file.raw) if reading.stamp == file.stamp else None
