"""Readings as they come through Redis -> a batch, and the order to insert it."""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

from indexer.errors import QueueError
from indexer.model import Reading
from indexer.queue.orders.messages import BatchOrder
from indexer.stages.scan import Plan


def plan_of(order: BatchOrder) -> Plan:
    """The plan of the scan."""
    read = tuple(file.entry for file in order.files)
    unread = tuple(file.entry for file in order.unread)
    return Plan(order.origin.root_id, read, unread, order.origin.reread)


def readings_of(order: BatchOrder, plan: Plan) -> list[Reading]:
    """The readings, with the paths of the plan. Raises QueueError where some are missing."""
    if len(order.readings) != len(plan.read):
        raise QueueError(
            f"{len(order.readings)} readings for {len(plan.read)} files: this job is incomplete;"
            " drop it, the chunk is dispatched again"
        )
    return [
        replace(reading, path=entry.path)
        for reading, entry in zip(order.readings, plan.read, strict=True)
    ]


class InsertOrder(Struct, frozen=True, kw_only=True):
    """Write the batch of a chunk in one transaction (see `kept_batches`)."""

    index: str
    row: int
    generation: int
    batched: str
    """The id of the job that made the batch."""
