"""The jobs of the queue `deferred`: work that no change has to wait for."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from indexer.process import give_back
from indexer.queue.orders.jobs import read_order
from indexer.store.connection import tune

if TYPE_CHECKING:
    from indexer.queue.workers.index_worker import IndexWorker


def run(worker: IndexWorker, raw: msgspec.Raw) -> None:
    """Move the log into the database, and give memory back. `raw` is `{"index": TOKEN}`."""
    context = worker.context
    context.check(read_order(raw, dict[str, str])["index"])
    tune(context.connection, seeding=False)
    give_back(context.connection)
