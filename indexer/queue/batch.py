"""The jobs of the queue `batch`: what was read and what was planned -> a batch to be inserted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from indexer.queue.generations import JOB_S
from indexer.queue.orders.batch_messages import InsertOrder, plan_of, readings_of
from indexer.queue.orders.jobs import read_order
from indexer.queue.orders.messages import BatchOrder
from indexer.queue.orders.queues import chunk_job
from indexer.queue.workers.index_context import files_text
from indexer.stages.batch import batch

if TYPE_CHECKING:
    from indexer.queue.workers.index_worker import IndexWorker


def run(worker: IndexWorker, raw: msgspec.Raw) -> None:
    """Group one chunk, and enqueue it for `insert`. `raw` is a `BatchOrder` as JSON."""
    order: BatchOrder = read_order(raw, BatchOrder)
    context = worker.context
    context.check(order.origin.index)
    plan = plan_of(order)
    readings = readings_of(order, plan)
    worker.streak.count_all(readings)
    origin, files = order.origin, len(plan.names)
    context.queues.put(
        "insert",
        InsertOrder.of(origin, batch(plan, readings)),
        job_id=chunk_job("insert", origin.row, origin.files or files, origin.turn),
        description=f"insert {files_text(files)} of {origin.root}",
        timeout_s=JOB_S,
    )
