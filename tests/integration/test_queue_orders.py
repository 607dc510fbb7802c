"""Orders of our own form that do not fit their row, index or root: refused, and told."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from rq.job import Job

from indexer.library import Library
from indexer.model import Entry, Reading, Stamp, Track
from indexer.queue.monitoring.failed_jobs import drop
from indexer.queue.orders.jobs import (
    FUNCTION_OF,
    KEPT_TTL_S,
)
from indexer.queue.orders.messages import (
    BatchOrder,
    ExtractOrder,
    PathText,
    ScanOrder,
    files_of,
)
from indexer.queue.workers.rq_worker import IndexRqWorker
from indexer.store.connection import write_transaction
from indexer.store.work import pending
from indexer.tags import READER_VERSION
from tests.integration.test_queue_guard import (
    OWNED,
    Mark,
    System,
    a_file,
    assert_goes_on,
    call,
    client,
    mark,
    server,
    settings,
    system,
)
from tests.trees import song, titles

__all__ = ("client", "mark", "server", "settings", "system")  # fixtures


@pytest.mark.parametrize("queue", ["scan", "extract", "batch", "insert"])
@pytest.mark.parametrize(
    "argument", [{}, [], 5, "text", None, {"origin": 5}, {"index": 1, "generation": "1"}]
)
def test_an_argument_of_another_type_is_refused(
    system: System, library: Library, mark: Mark, queue: str, argument: object
) -> None:
    system.put(queue, argument)
    system.work(("extract",) if queue == "extract" else OWNED)
    system.assert_refused(queue, "refused: not the argument of this job", "drop this job")
    assert_goes_on(system, library, mark)


@pytest.mark.parametrize(("arguments", "words"), [((), {}), (({}, {}), {}), (({},), {"more": 1})])
def test_a_job_with_more_or_fewer_arguments_is_refused(
    system: System,
    library: Library,
    mark: Mark,
    arguments: tuple[object, ...],
    words: dict[str, int],
) -> None:
    system.raw("insert", "bad", {"data": call(FUNCTION_OF["insert"], *arguments, **words)})
    system.work(OWNED)
    system.assert_refused("insert", "refused", "has one argument")
    assert_goes_on(system, library, mark)


@pytest.mark.parametrize("queue", ["scan", "batch", "insert", "deferred"])
def test_an_order_for_another_index_is_refused(
    system: System, library: Library, mark: Mark, queue: str
) -> None:
    row = system.chunk(b"1.mp3")
    origin = system.origin(row, index="0123456789abcdef")
    system.put(
        queue,
        {
            "scan": ScanOrder(index=origin.index, generation=row.generation),
            "batch": BatchOrder(origin=origin),
            "insert": system.insert_order(row, index=origin.index),
            "deferred": {"index": origin.index},
        }[queue],
    )
    system.work(OWNED)
    system.assert_refused(queue, "refused: this job is for another index", "0123456789abcdef")
    assert pending.get(system.connection, row.id) == row
    assert_goes_on(system, library, mark)


def test_an_insert_of_files_that_its_row_does_not_name_is_refused(
    system: System, library: Library, mark: Mark
) -> None:
    row = system.chunk(b"1.mp3")
    files = (a_file("1.mp3"), a_file("2.mp3"))
    system.put("batch", BatchOrder(origin=system.origin(row), unread=files))
    system.work(OWNED)
    system.assert_refused("insert", "refused", "does not name 1 of these files", job_id=None)
    assert pending.get(system.connection, row.id) == row
    assert_goes_on(system, library, mark)


def test_a_late_answer_about_files_that_an_earlier_one_settled_is_no_intruder(
    system: System, library: Library, mark: Mark
) -> None:
    row = system.chunk(b"1.mp3", b"2.mp3")
    origin = system.origin(row)
    with write_transaction(system.connection):
        left = pending.keep_only(system.connection, row, [b"2.mp3"])
    files = (a_file("1.mp3"), a_file("2.mp3"))
    system.put("batch", BatchOrder(origin=origin, unread=files))
    system.work(OWNED)
    assert system.failed("insert") == {}
    again = pending.get(system.connection, row.id)
    assert again is not None
    assert again.hint == left.hint
    assert_goes_on(system, library, mark)


def test_a_batch_with_fewer_readings_than_files_is_refused(
    system: System, library: Library, mark: Mark
) -> None:
    row = system.chunk(b"1.mp3", b"2.mp3")
    files = (a_file("1.mp3"), a_file("2.mp3"))
    order = BatchOrder(origin=system.origin(row), files=files, readings=(Reading(path=b""),))
    system.put("batch", order)
    system.work(OWNED)
    system.assert_refused("batch", "1 readings for 2 files")
    assert_goes_on(system, library, mark)


@pytest.mark.parametrize(
    ("batched", "kept", "why"),
    [
        ("batch-1-1-1", None, "is not in Redis any more"),
        ("batch-1-1-1", b"\x80\x04\x95", "is odd"),
        (
            "batch-1-1-1",
            b'["indexer.queue.scan.run", null, [1], {}]',
            "no job of the queue",
        ),
        ("batch-1-1-1", b'["indexer.queue.batch.run", null, [1], {}]', "not the argument"),
        ("batch-1-1-1", b'["indexer.queue.batch.run", null, [], {}]', "is odd"),
        (
            "scan-1-0-1-0",
            b'["indexer.queue.batch.run", null, [{}], {}]',
            "is not in Redis any more",
        ),
    ],
)
def test_an_insert_without_its_batch_is_refused(
    system: System, library: Library, mark: Mark, batched: str, kept: bytes | None, why: str
) -> None:
    """Redis has lost what was read, or holds something else: the chunk is dispatched again."""
    row = system.chunk(b"1.mp3")
    if kept is not None:
        system.client.hset(f"rq:job:{batched}", "data", kept)
    system.put("insert", system.insert_order(row, batched=batched))
    system.work(OWNED)
    system.assert_refused("insert", "refused", why)
    assert pending.get(system.connection, row.id) == row
    assert_goes_on(system, library, mark)


def test_an_insert_with_the_batch_of_another_chunk_is_refused(
    system: System, library: Library, mark: Mark
) -> None:
    row = system.chunk(b"1.mp3")
    whole = system.origin(row)
    others = (
        replace(whole, index="other"),
        replace(whole, row=row.id + 1),
        replace(whole, generation=row.generation + 1),
    )
    for number, origin in enumerate(others):
        batched = f"batch-{number}-1-1"
        system.keep(batched, BatchOrder(origin=origin, unread=(a_file("1.mp3"),)))
        system.put("insert", system.insert_order(row, batched=batched), f"bad-{number}")
    system.work(OWNED)
    told = system.failed("insert")
    assert len(told) == 3
    assert all("is about another chunk" in one for one in told.values())
    assert pending.get(system.connection, row.id) == row
    assert_goes_on(system, library, mark)


def test_with_a_failed_insert_the_order_that_was_kept_for_it_is_dropped(system: System) -> None:
    row = system.chunk(b"1.mp3")
    files = (a_file("1.mp3"), a_file("2.mp3"))  # one that the row does not name: it will fail
    for number in (1, 2):
        order = BatchOrder(origin=system.origin(row, turn=number), unread=files)
        system.put("batch", order, f"batch-{row.id}-2-{number}")
    system.work(OWNED)
    first, second = (f"insert-{row.id}-2-{number}" for number in (1, 2))
    assert sorted(system.failed("insert")) == [first, second]
    assert drop(system.client, [first]).done == 1
    wanted = {f"rq:job:batch-{row.id}-2-2", f"rq:job:{second}"}
    assert set(system.client.keys("rq:job:*")) == {key.encode() for key in wanted}


def test_a_batch_that_another_process_inserts_before_its_job_ends_leaves_nothing_in_redis(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    row = system.chunk(b"1.mp3")
    job_id = f"batch-{row.id}-1-0"
    order = BatchOrder(origin=system.origin(row), unread=(a_file("1.mp3"),))
    system.put("batch", order, job_id)
    whole = IndexRqWorker.handle_job_success

    def late(worker: IndexRqWorker, *, job: Job, **more: Any) -> None:
        system.client.delete(job.key)  # as the end of an insert does
        whole(worker, job=job, **more)

    monkeypatch.setattr(IndexRqWorker, "handle_job_success", late)
    system.work(("batch",))
    assert system.failed("batch") == {}
    assert system.client.keys(f"rq:job:{job_id}*") == []


def test_a_batch_that_another_process_made_is_inserted_and_leaves_nothing_in_redis(
    system: System, library: Library, music: Path
) -> None:
    row = system.chunk(b"1.mp3")
    stamp = Stamp.of((music / "1.mp3").stat())
    track = Track(codec="mp3", title="Other")
    order = BatchOrder(
        origin=system.origin(row),
        files=files_of([Entry(b"1.mp3", stamp)]),
        readings=(Reading(path=b"", stamp=stamp, track=track),),
        reader=READER_VERSION,
    )
    job_id = f"batch-{row.id}-1-0"
    system.put("batch", order, job_id)
    system.work(("batch",))
    assert system.client.hget(f"rq:job:{job_id}", "status") == b"finished"
    assert 0 < system.client.ttl(f"rq:job:{job_id}") <= KEPT_TTL_S
    system.work(("insert",))
    assert system.failed("insert") == {}
    assert pending.get(system.connection, row.id) is None
    assert titles(library) == {"1.mp3": "Other"}
    assert system.client.keys("rq:job:*") == []


@pytest.mark.parametrize(
    "path", ["../secret.mp3", "/etc/passwd", "A/../../secret.mp3", "A//1.mp3", "", "./1.mp3", "\0"]
)
def test_a_path_out_of_the_root_is_refused_by_each_stage(
    system: System, library: Library, music: Path, mark: Mark, path: str
) -> None:
    secret = music.parent / "secret.mp3"
    secret.write_bytes(song("Secret"))
    row = system.chunk(b"1.mp3")
    origin, file = system.origin(row), a_file(path)
    system.put(
        "extract",
        ExtractOrder(origin=origin, root_path=PathText.of(os.fsencode(music)), files=(file,)),
        "bad-extract",
    )
    system.put("batch", BatchOrder(origin=origin, unread=(file,)), "bad-batch")
    system.keep("batch-1-1-1", BatchOrder(origin=origin, unread=(file,)))
    system.put("insert", system.insert_order(row), "bad-insert")
    closed = ScanOrder(
        index=system.token, generation=row.generation, closed=((1, PathText(path)),), turn=1
    )
    system.put("scan", closed, "bad-scan")
    for queues in (("extract",), OWNED):
        system.work(queues)
    assert pending.get(system.connection, row.id) == row
    for queue in ("extract", "batch", "insert", "scan"):
        (told,) = system.failed(queue).items()
        assert told[0] == f"bad-{queue}"
        assert "leads out of its root" in told[1], queue
    assert_goes_on(system, library, mark)
