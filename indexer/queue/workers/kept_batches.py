"""The order to insert a batch -> the batch: kept by the process that made it, or made again."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from indexer.errors import QueueError
from indexer.model import Reading, Waiting
from indexer.queue.orders.jobs import read_order
from indexer.queue.orders.messages import BatchOrder, Origin, entries_of
from indexer.stages.batch import Batch, batch
from indexer.stages.scan import Plan
from indexer.tags import READER_VERSION

if TYPE_CHECKING:
    from indexer.queue.orders.queues import Queues


_MOST: Final = 2
"""Of batches that are kept. One is inserted next, as a rule, since its process takes a job of
`insert` sooner than others; where another process takes it, the batch stays until two newer ones
are made."""


class InsertOrder(Struct, frozen=True, kw_only=True):
    """Write the batch of a chunk in one transaction (see `KeptBatches`)."""

    index: str
    row: int
    generation: int
    batched: str
    """The id of the job that made the batch."""


class ChunkBatch(NamedTuple):
    """The result of the stage `batch` for one chunk."""

    origin: Origin
    batch: Batch


class KeptBatches:
    """The newest batches that this process has made and not inserted yet, by the id of their job.

    No batch travels through Redis: another process, or a new one, makes it again from the order of
    its job `batch`, which stays there until the insert is done.
    """

    def __init__(self) -> None:
        self._kept: dict[str, ChunkBatch] = {}

    def add(self, job_id: str, one: ChunkBatch) -> None:
        """Keep what a job of `batch` has made."""
        self._kept[job_id] = one
        if len(self._kept) > _MOST:
            del self._kept[next(iter(self._kept))]

    def take(self, order: InsertOrder, queues: Queues) -> ChunkBatch | None:
        """The batch to insert; None where a newer one of its row has replaced it.

        Raises QueueError where neither this process nor Redis has it.
        """
        found = self._kept.pop(order.batched, None)
        if found is None:
            raw = _order_of(order, queues)
            if raw is None:
                return None
            found = chunk_batch(read_order(raw, BatchOrder))
        origin = found.origin
        named = (origin.index, origin.row, origin.generation)
        if named != (order.index, order.row, order.generation):
            raise QueueError(
                f"refused: the job {order.batched!r} is about another chunk; drop this job"
            )
        return found


def _order_of(order: InsertOrder, queues: Queues) -> msgspec.Raw | None:
    """What the job of `batch` was given; None where it was deleted for a newer one of its row.

    A daemon that starts has each chunk read again, also one that waits to be inserted: what was
    read for that one is then handed on in the newer order (`Extractor` in
    `indexer/queue/extract.py`).
    """
    try:
        return queues.batch_order(order.batched)
    except QueueError:
        newest = queues.kept_order(order.index, order.row)
        if newest is None or newest.job_id == order.batched:
            raise
        return None


def chunk_batch(
    order: BatchOrder, count: Callable[[Sequence[Reading]], None] = lambda _readings: None
) -> ChunkBatch:
    """Group one chunk; `count` is given its readings. Raises QueueError for an odd order."""
    plan = plan_of(order)
    readings = readings_of(order, plan)
    count(readings)
    return ChunkBatch(order.origin, batch(plan, readings))


def plan_of(order: BatchOrder) -> Plan:
    """The plan of the scan."""
    read, unread = entries_of(order.files), entries_of(order.unread)
    return Plan(order.origin.root_id, read, unread, order.origin.reread)


def readings_of(order: BatchOrder, plan: Plan) -> list[Reading]:
    """The readings, with the paths of the plan. Raises QueueError where some are missing.

    What an older version has read is read again: the index would note it as read by this one.
    """
    if len(order.readings) != len(plan.read):
        raise QueueError(
            f"{len(order.readings)} readings for {len(plan.read)} files: this job is incomplete;"
            " drop it, the chunk is dispatched again"
        )
    if order.reader < READER_VERSION:
        return [Reading(path=entry.path, waiting=Waiting.CHANGING) for entry in plan.read]
    return [
        replace(reading, path=entry.path)
        for reading, entry in zip(order.readings, plan.read, strict=True)
    ]
