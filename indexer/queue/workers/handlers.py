"""The worker that owns the database -> the function of each job of its queues."""

from __future__ import annotations

from typing import TYPE_CHECKING

import msgspec

from indexer.queue import artwork, batch, insert, maintenance, relayed, scan

if TYPE_CHECKING:
    from collections.abc import Mapping

    from indexer.queue.orders.jobs import Handler
    from indexer.queue.workers.index_worker import IndexWorker


def handlers_of(worker: IndexWorker) -> Mapping[str, Handler]:
    """Queue, or name of a job of `deferred` -> its function. An error of SQLite is one of ours."""
    return {
        "scan": worker.guarded(_scan),
        "relayed": worker.guarded(relayed.run),
        "batch": worker.guarded(batch.run),
        "insert": worker.guarded(insert.run),
        "deferred": worker.guarded(maintenance.run),
        "album_cover": worker.guarded(artwork.album_cover),
        "artist_image": worker.guarded(artwork.artist_image),
        "playlist": worker.guarded(artwork.playlist),
    }


def _scan(worker: IndexWorker, raw: msgspec.Raw) -> None:
    scan.run(worker.scanner, raw)  # asked for now: a replaced index has another scanner
