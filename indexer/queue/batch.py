"""The jobs of the queue `batch`: what was read and what was planned -> a batch to be inserted."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from indexer.queue.generations import JOB_S
from indexer.queue.orders.jobs import read_order
from indexer.queue.orders.messages import BatchOrder
from indexer.queue.orders.queues import chunk_job
from indexer.queue.workers.index_context import files_text
from indexer.queue.workers.kept_batches import InsertOrder, chunk_batch

if TYPE_CHECKING:
    from indexer.queue.workers.index_worker import IndexWorker


def run(worker: IndexWorker, raw: msgspec.Raw) -> None:
    """Group one chunk, and enqueue it for `insert`. `raw` is a `BatchOrder` as JSON."""
    order: BatchOrder = read_order(raw, BatchOrder)
    context = worker.context
    context.check(order.origin.index)
    made = chunk_batch(order, worker.streak.count_all)
    origin, files = made.origin, len(order.files) + len(order.unread)
    chunk = origin.row, origin.files or files, origin.turn
    batched = chunk_job("batch", *chunk)
    worker.batches.add(batched, made)
    context.queues.put(
        "insert",
        InsertOrder(
            index=origin.index, row=origin.row, generation=origin.generation, batched=batched
        ),
        job_id=chunk_job("insert", *chunk),
        description=f"insert {files_text(files)} of {origin.root}",
        timeout_s=JOB_S,
    )
