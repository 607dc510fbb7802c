"""What was read is in Redis until it is inserted: a chunk that is given again opens no file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis
from msgspec.structs import replace

from indexer.model import Chunk, Entry, Evidence, Reading, Stamp
from indexer.queue.extract import Extractor
from indexer.queue.orders import kept_orders
from indexer.queue.orders.jobs import our_queue, read_order
from indexer.queue.orders.kept_orders import FoundReadings, cache_status, find_readings
from indexer.queue.orders.messages import BatchOrder, ExtractOrder, FileText, Origin, PathText
from indexer.queue.orders.queues import Queues
from indexer.settings import Settings
from indexer.stages.extract import extract
from tests.redis_servers import RedisServer, redis_server
from tests.trees import BAD, Plant, put_in_disguise, song

NAMES = (b"1.mp3", b"2.mp3", b"\xff.mp3", b"bad.mp3")
ORIGIN = Origin(index="abc", row=5, generation=4, root="music", root_id=1)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> Iterator[redis.Redis]:
    with server.client() as client:
        client.flushall()
        yield client


class Worker:
    """A worker that notes which files it opens."""

    def __init__(self, settings: Settings, client: redis.Redis, music: Path) -> None:
        self.opened: list[bytes] = []
        self._client, self._music = client, music
        self._extractor = Extractor(settings, client, self._read)

    def _read(self, chunk: Chunk) -> list[Reading]:
        self.opened += chunk.paths
        return extract(chunk)

    def order(self, *names: bytes) -> ExtractOrder:
        music = os.fsencode(self._music)
        stamps = {name: Stamp.of(os.stat(os.path.join(music, name))) for name in names}
        return ExtractOrder(
            origin=ORIGIN,
            root_path=PathText.of(music),
            files=tuple(FileText.of_entry(Entry(name, stamp)) for name, stamp in stamps.items()),
            evidence=Evidence(still_s=0.0),
        )

    def work(self, order: ExtractOrder) -> tuple[Reading, ...]:
        """The readings of one job; `opened` has the files that were opened for it."""
        self.opened.clear()
        self._client.delete("rq:queue:batch")
        assert self._extractor.extract(msgspec.Raw(msgspec.json.encode(order))) is None
        (job,) = our_queue("batch", self._client).get_jobs()
        batch: BatchOrder = read_order(job.args[0], BatchOrder)
        return batch.readings


@pytest.fixture
def worker(settings: Settings, client: redis.Redis, music: Path, plant: Plant) -> Worker:
    plant({"1.mp3": song("One"), "2.mp3": song("Two"), b"\xff.mp3": song("Odd"), "bad.mp3": BAD})
    return Worker(settings, client, music)


def test_a_job_that_is_given_again_opens_only_what_could_not_be_read(
    worker: Worker, client: redis.Redis
) -> None:
    first = worker.work(worker.order(*NAMES))
    assert worker.opened == list(NAMES)
    second = worker.work(worker.order(*NAMES))
    assert worker.opened == [b"bad.mp3"]
    assert second == first
    told = cache_status(client)
    assert (told.hits, told.misses) == (3, 5)
    assert 0 < told.bytes < 4000


def test_a_job_with_other_files_reads_what_is_not_known(worker: Worker) -> None:
    worker.work(worker.order(NAMES[1]))
    readings = worker.work(worker.order(*NAMES[:3]))
    assert worker.opened == [NAMES[0], NAMES[2]]
    titles = [one.track.title for one in readings if one.track is not None]
    assert titles == ["One", "Two", "Odd"], "in the order of the job"


def test_another_stamp_rebuild_reader_or_wish_reads_again(
    worker: Worker, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order = worker.order(NAMES[0])
    worker.work(order)
    others = (
        replace(order, origin=replace(ORIGIN, reread=7)),
        replace(order, origin=replace(ORIGIN, index="def")),
        replace(order, origin=replace(ORIGIN, root_id=2)),
        replace(order, keep_tags=("barcode",)),
        replace(order, follow_links=True),
    )
    for other in others:
        worker.work(other)
        assert worker.opened == [NAMES[0]], other
        worker.work(other)
        assert worker.opened == [], other
    put_in_disguise(music, "1.mp3", song("New"))
    (reading,) = worker.work(worker.order(NAMES[0]))
    assert reading.track is not None
    assert reading.track.title == "New"
    monkeypatch.setattr(kept_orders, "READER_VERSION", 10**6)
    worker.work(order)
    assert worker.opened == [NAMES[0]]


@pytest.mark.parametrize(
    "odd", [b"", b"no zlib", b"x\x9cK\x04\x00\x00b\x00b", b"[]", b'["a",null,[],{}]']
)
def test_what_others_put_into_redis_is_no_reading(
    worker: Worker, client: redis.Redis, odd: bytes
) -> None:
    order = worker.order(NAMES[0])
    worker.work(order)
    (job,) = client.keys("rq:job:batch-*")
    client.hset(job, "data", odd)
    (reading,) = worker.work(order)
    assert worker.opened == [NAMES[0]]
    assert reading.track is not None


@pytest.mark.parametrize("noted", [b"", b"\xff", b"abc", b"abc nothing-5", b"abc batch-6-1-0"])
def test_a_note_that_leads_to_no_order_has_the_files_read(
    worker: Worker, client: redis.Redis, noted: bytes
) -> None:
    order = worker.order(NAMES[0])
    worker.work(order)
    client.hset("music-indexer:batch-orders", "5", noted)
    worker.work(order)
    assert worker.opened == [NAMES[0]]


def test_an_order_that_is_done_goes_when_another_one_has_its_readings(
    worker: Worker, client: redis.Redis
) -> None:
    order = worker.order(*NAMES[:2])
    worker.work(order)
    client.hset("rq:job:batch-5-2-0", "status", "finished")
    worker.work(replace(order, origin=replace(ORIGIN, turn=7)))
    assert worker.opened == []
    assert client.keys("rq:job:batch-*") == [b"rq:job:batch-5-2-7"]
    worker.work(replace(order, origin=replace(ORIGIN, turn=8)))
    assert worker.opened == []
    kept = {b"rq:job:batch-5-2-7", b"rq:job:batch-5-2-8"}
    assert set(client.keys("rq:job:batch-*")) == kept, "one that waits is not deleted"


def test_without_redis_nothing_is_known(worker: Worker, tmp_path: Path) -> None:
    with redis_server(tmp_path / "gone") as server:
        gone = server.client()
        server.kill()
        order = worker.order(*NAMES[:2])
        assert find_readings(Queues(gone).kept_order, order) == FoundReadings([None, None])
