"""What was read is kept in Redis for a while: a chunk that is given again opens no file."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
import redis
from msgspec.structs import replace

from indexer.model import Chunk, Entry, Evidence, Reading, Stamp
from indexer.queue import reading_cache
from indexer.queue.extract import Extractor
from indexer.queue.orders.jobs import our_queue, read_order
from indexer.queue.orders.messages import BatchOrder, ExtractOrder, FileText, Origin, PathText
from indexer.queue.reading_cache import ReadingCache
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
    worker: Worker, client: redis.Redis, settings: Settings
) -> None:
    first = worker.work(worker.order(*NAMES))
    assert worker.opened == list(NAMES)
    second = worker.work(worker.order(*NAMES))
    assert worker.opened == [b"bad.mp3"]
    assert second == first
    told = ReadingCache(client, settings).status()
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
    monkeypatch.setattr(reading_cache, "READER_VERSION", 10**6)
    worker.work(order)
    assert worker.opened == [NAMES[0]]


@pytest.mark.parametrize("odd", [b"", b"no zlib", b"x\x9cK\x04\x00\x00b\x00b"])
def test_what_others_put_into_redis_is_no_reading(
    worker: Worker, client: redis.Redis, odd: bytes
) -> None:
    order = worker.order(NAMES[0])
    worker.work(order)
    (slot,) = client.keys("music-indexer:readings:*")
    for field in client.hkeys(slot):
        if field != b"bytes":
            client.hset(slot, field, odd)
    (reading,) = worker.work(order)
    assert worker.opened == [NAMES[0]]
    assert reading.track is not None


def test_it_forgets_in_time_and_stays_within_its_bounds(
    worker: Worker, client: redis.Redis, settings: Settings, music: Path
) -> None:
    now = [1000.0]
    cache = ReadingCache(client, replace(settings, cache_ttl=80.0), lambda: now[0])
    order = worker.order(*NAMES[:2])
    readings = extract(Chunk(os.fsencode(music), NAMES[:2], order.evidence))
    cache.keep(order, readings)
    now[0] += 60
    assert None not in cache.find(order)
    now[0] += 30
    assert cache.find(order) == [None, None]
    cache._limit = 1000
    for number in range(20):
        now[0] += 10
        cache.keep(replace(order, origin=replace(ORIGIN, reread=number)), readings)
        assert cache.status().bytes <= 1000
    last = replace(order, origin=replace(ORIGIN, reread=19))
    assert None not in cache.find(last)


def test_without_memory_or_without_redis_all_is_read(
    worker: Worker, client: redis.Redis, settings: Settings, music: Path, tmp_path: Path
) -> None:
    order = worker.order(*NAMES[:2])
    off = Worker(replace(settings, cache_memory=0), client, music)
    for _ in range(2):
        off.work(order)
        assert off.opened == list(NAMES[:2])
    assert client.keys("music-indexer:reading*") == []
    with redis_server(tmp_path / "gone") as server:
        gone = server.client()
        server.kill()
        cache = ReadingCache(gone, settings)
        readings = extract(Chunk(os.fsencode(music), NAMES[:2], order.evidence))
        cache.keep(order, readings)
        assert cache.find(order) == [None, None]
