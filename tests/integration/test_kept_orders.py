"""Orders of jobs `batch` stay in Redis until they are inserted, and no longer."""

from __future__ import annotations

import os
from contextlib import closing

import msgspec
import pytest
import redis
from msgspec.structs import replace

from indexer.ignore_files import path_filter_of
from indexer.library import Library
from indexer.model import Entry, Evidence, Reading, Stamp, Track
from indexer.queue.extract import Extractor
from indexer.queue.monitoring.failed_jobs import list_failed
from indexer.queue.orders import kept_orders
from indexer.queue.orders.messages import BatchOrder, ExtractOrder, PathText, files_of
from indexer.queue.workers.index_worker import IndexWorker
from indexer.stages.extract import extract
from indexer.store.connection import write_transaction
from indexer.store.work import pending
from indexer.store.work.pending import PendingRow
from indexer.tags import READER_VERSION
from tests.integration.test_queue_guard import OWNED, System, client, mark, server, settings, system

__all__ = ("client", "mark", "server", "settings", "system")  # fixtures


def put(system: System, row: PendingRow, library: Library) -> str:
    """Enqueue the batch of one file, as a reader does."""
    (root,) = library.roots()
    stamp = Stamp.of(os.stat(os.path.join(root.path, "1.mp3")))
    order = BatchOrder(
        origin=system.origin(row),
        files=files_of([Entry(b"1.mp3", stamp)]),
        readings=(Reading(path=b"", stamp=stamp, track=Track(codec="mp3", title="A")),),
        reader=READER_VERSION,
    )
    return system.queues.put_batch(order)


def give_again(system: System, row: PendingRow, library: Library) -> None:
    """Have the chunk read in another turn, whose reader finds what was read."""
    (root,) = library.roots()
    stamp = Stamp.of(os.stat(os.path.join(root.path, "1.mp3")))
    order = ExtractOrder(
        origin=replace(system.origin(row), turn=1),
        root_path=PathText.of(os.fsencode(root.path)),
        files=files_of([Entry(b"1.mp3", stamp)]),
        evidence=Evidence(still_s=0.0),
    )
    extractor = Extractor(system.settings, system.client, extract)
    assert extractor.extract(msgspec.Raw(msgspec.json.encode(order))) is None


def noted(client: redis.Redis) -> list[bytes]:
    return client.hkeys("music-indexer:batch-orders")  # type: ignore[return-value]  # no coroutine


def test_the_end_of_an_insert_leaves_neither_the_order_nor_its_note(
    system: System, library: Library
) -> None:
    row = system.chunk(b"1.mp3")
    job_id = put(system, row, library)
    system.work(("batch",))
    assert noted(system.client) == [str(row.id).encode()]
    found = kept_orders.find_order(system.client, system.token, row.id)
    assert found is not None
    assert (found.job_id, found.is_done) == (job_id, True)
    system.work(("insert",))
    assert pending.get(system.connection, row.id) is None
    assert noted(system.client) == []
    assert system.client.keys("rq:job:*") == []


def test_a_worker_that_starts_drops_the_orders_of_rows_that_are_inserted(
    system: System, library: Library
) -> None:
    spent, open_row, waiting = (system.chunk(b"1.mp3") for _ in range(3))
    for row in (spent, open_row):
        put(system, row, library)
    system.work(("batch",))
    system.client.delete("rq:queue:insert")  # the process that was at it is killed
    late = put(system, waiting, library)
    with write_transaction(system.connection):
        for row in (spent, waiting):
            assert pending.complete(system.connection, row)

    def is_pending(row: int) -> bool:
        return pending.get(system.connection, row) is not None

    assert kept_orders.drop_spent(system.client, "another index", is_pending) == 0
    assert kept_orders.drop_spent(system.client, system.token, is_pending) == 2
    assert noted(system.client) == [str(open_row.id).encode()]
    assert system.client.exists(f"rq:job:batch-{open_row.id}-1-0")
    assert not system.client.exists(f"rq:job:batch-{spent.id}-1-0")
    assert system.client.exists(f"rq:job:{late}"), "its job waits, and ends it"
    system.work(OWNED)
    assert not system.client.exists(f"rq:job:{late}")


def test_an_insert_whose_order_was_replaced_by_a_newer_one_is_left_to_that_one(
    system: System, library: Library
) -> None:
    """A daemon that starts again has each chunk read again, also one that waits to be inserted."""
    row = system.chunk(b"1.mp3")
    first = put(system, row, library)
    system.work(("batch",))
    give_again(system, row, library)
    assert not system.client.exists(f"rq:job:{first}"), "it was replaced"
    system.work(("insert",))
    assert list_failed(system.client) == []
    assert pending.get(system.connection, row.id) is not None, "no file is lost"
    system.work(OWNED)
    assert pending.get(system.connection, row.id) is None
    assert noted(system.client) == []
    assert system.client.keys("rq:job:*") == []


@pytest.mark.parametrize("row", ["9" * 30, None])
def test_what_others_put_beside_the_orders_ends_no_worker(
    system: System, row: str | None, caplog: pytest.LogCaptureFixture
) -> None:
    if row is None:
        system.client.set("music-indexer:batch-orders", "no hash")
    else:
        system.client.hset("music-indexer:batch-orders", row, f"{system.token} batch-1-1-1")
    worker = IndexWorker(system.settings, path_filter_of(system.settings), system.client)
    with closing(worker):
        worker.drop_spent_orders()
    assert "orders not looked through" in caplog.text
