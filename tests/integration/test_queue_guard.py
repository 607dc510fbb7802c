"""What others write into our Redis is taken off the queue and told; it is never run."""

from __future__ import annotations

import json
import os
import pickle
import signal
import socket
import sys
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import redis
from msgspec.structs import replace

from indexer.ignore_files import path_filter_of
from indexer.library import Library
from indexer.model import Chunk, Entry, Evidence, Hint, Stamp
from indexer.queue.extract import Extractor
from indexer.queue.monitoring.failed_jobs import list_failed
from indexer.queue.orders.jobs import (
    FAILED_TTL_S,
    FUNCTION_OF,
    MOST_BYTES,
    PLAIN_BYTES,
    our_queue,
    read_order,
)
from indexer.queue.orders.messages import (
    ExtractOrder,
    FileText,
    Origin,
    PathText,
    ScanOrder,
)
from indexer.queue.orders.queues import Queues
from indexer.queue.workers import rq_worker
from indexer.queue.workers.chunk_reader import ChunkReader
from indexer.queue.workers.index_worker import IndexWorker
from indexer.queue.workers.kept_batches import InsertOrder
from indexer.queue.workers.rq_worker import IndexRqWorker, worker_of
from indexer.queue.workers.worker_process import handlers_of
from indexer.settings import Settings
from indexer.store.connection import Connection, open_index, token_of, write_transaction
from indexer.store.work import pending
from indexer.store.work.pending import PendingRow
from tests.odd_readers import ODD_READERS
from tests.programs import run
from tests.redis_servers import RedisServer, redis_server
from tests.trees import Plant, song, titles

OWNED = ("insert", "batch", "scan", "deferred")
NOW = "2026-01-02T03:04:05.000006Z"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> redis.Redis:
    client = server.client()
    client.flushall()
    return client


@pytest.fixture
def settings(settings: Settings, server: RedisServer) -> Settings:
    return replace(settings, redis=server.address)


class Mark(NamedTuple):
    """A file that only code which must not run would make."""

    path: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.fspath(self.path),)


def make_mark(*_: object) -> None:
    """What a callback would do."""
    Path(os.environ["GUARD_MARK"]).mkdir()


@pytest.fixture
def mark(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Mark:
    """Also a module `trap_module` that makes it when it is imported."""
    path = tmp_path / "it was run"
    monkeypatch.setenv("GUARD_MARK", str(path))
    folder = tmp_path / "modules"
    folder.mkdir()
    (folder / "trap_module.py").write_text(f"import os\nos.mkdir({str(path)!r})\n")
    monkeypatch.syspath_prepend(folder)
    return Mark(path)


class System:
    """One index and its queues: what writes to Redis, and the workers of it."""

    def __init__(self, settings: Settings, client: redis.Redis, connection: Connection) -> None:
        self.settings = settings
        self.client = client
        self.queues = Queues(client)
        self.connection = connection
        self.token = token_of(connection)

    def work(self, queues: tuple[str, ...]) -> None:
        """Serve some queues until they are empty, as `indexer worker` does."""
        with ExitStack() as stack:
            reader = None
            if queues == ("extract",):
                reader = stack.enter_context(ChunkReader(self.settings))
                handlers = Extractor(self.settings, self.client, reader.read).handlers
            else:
                owner = IndexWorker(self.settings, path_filter_of(self.settings), self.client)
                stack.callback(owner.close)
                handlers = handlers_of(owner)
            worker = worker_of(
                queues, self.client, handlers, name="guard", memory_mb=10_000, reader=reader
            )
            worker.work(burst=True, logging_level="CRITICAL")
        self.client.delete("rq:worker:guard")

    def raw(self, queue: str, job_id: str, fields: dict[Any, Any]) -> None:
        """Put a job as anybody could: a hash, and its id in a list."""
        mapping: dict[Any, Any] = {
            "created_at": NOW,
            "status": "queued",
            "origin": queue,
            "timeout": 60,
            **fields,
        }
        mapping = {name: value for name, value in mapping.items() if value is not None}
        self.client.hset(f"rq:job:{job_id}", mapping=mapping)
        self.client.rpush(f"rq:queue:{queue}", job_id)

    def put(self, queue: str, order: object, job_id: str = "bad") -> None:
        self.queues.put(queue, order, job_id=job_id, description="made up", timeout_s=60)

    def keep(self, job_id: str, order: object) -> None:
        """Leave the order of a job of `batch` as it stands in Redis when the job is done."""
        self.put("batch", order, job_id)
        self.client.lrem("rq:queue:batch", 1, job_id)

    def leave(self, hint: Hint) -> PendingRow:
        with write_transaction(self.connection):
            return pending.enqueue(self.connection, hint, 1)

    def chunk(self, *names: bytes) -> PendingRow:
        with write_transaction(self.connection):
            hint = pending.enqueue(self.connection, Hint(1), 1)
            return pending.add_chunk(self.connection, Hint(1, b"", names), hint.generation, 1)

    def origin(self, row: PendingRow, **more: Any) -> Origin:
        wanted = {"index": self.token, "row": row.id, "generation": row.generation, **more}
        return Origin(**{"root": "music", "root_id": 1, **wanted})

    def insert_order(self, row: PendingRow, **more: Any) -> InsertOrder:
        """An order to insert what a job of `batch` with the id `batch-1-1-1` has made."""
        told = {"index": self.token, "row": row.id, "generation": row.generation, **more}
        return InsertOrder(**{"batched": "batch-1-1-1", **told})

    def put_good(self) -> None:
        """An order to scan all of the root."""
        row = self.leave(Hint(1, recursive=True))
        self.put("scan", ScanOrder(index=self.token, generation=row.generation), "good")

    def work_all(self) -> None:
        for queues in (OWNED, ("extract",), OWNED):
            self.work(queues)

    def failed(self, queue: str) -> dict[str, str]:
        """The failed jobs of a queue and why."""
        return {one.id: one.traceback for one in list_failed(self.client) if one.queue == queue}

    def assert_refused(self, queue: str, *words: str, job_id: str | None = "bad") -> None:
        """Exactly one job has failed, and it says why; it stands nowhere else."""
        failed = self.failed(queue)
        assert len(failed) == 1, failed
        if job_id is not None:
            assert list(failed) == [job_id]
        (text,) = failed.values()
        assert all(word in text for word in words), text
        assert self.client.llen(f"rq:queue:{queue}") == 0
        assert self.client.llen(f"rq:queue:{queue}:intermediate") == 0
        assert self.client.zcard(f"rq:scheduled:{queue}") == 0
        assert self.client.zcard(f"rq:wip:{queue}") == 0
        (told,) = failed
        assert 0 < self.client.ttl(f"rq:job:{told}") <= FAILED_TTL_S


@pytest.fixture
def system(
    library: Library, plant: Plant, settings: Settings, client: redis.Redis
) -> Iterator[System]:
    plant({"1.mp3": song("One")})
    assert library.status().roots
    kept = {number: signal.getsignal(number) for number in (signal.SIGTERM, signal.SIGINT)}
    connection = open_index(settings.db, write=True)
    yield System(settings, client, connection)
    connection.close()
    for number, handler in kept.items():
        signal.signal(number, handler)


def assert_goes_on(system: System, library: Library, mark: Mark) -> None:
    """Nothing was run, and the next job is done by the same workers."""
    assert not mark.path.exists()
    system.put_good()
    system.work_all()
    assert titles(library) == {"1.mp3": "One"}
    assert not mark.path.exists()
    assert "trap_module" not in sys.modules


def call(name: str, *arguments: object, instance: object = None, **words: object) -> bytes:
    """A call as JSON, as RQ keeps it."""
    return zlib.compress(json.dumps([name, instance, list(arguments), words]).encode())


def pickled(mark: Mark) -> bytes:
    return zlib.compress(pickle.dumps(("os.mkdir", None, (mark,), {})))


Fields = Callable[[Mark], dict[str, Any]]

STRANGERS: dict[str, tuple[Fields, tuple[str, ...]]] = {
    "a pickle": (
        lambda mark: {"data": pickled(mark)},
        ("refused", "no JSON", "not unpickled"),
    ),
    "a pickle that is not compressed": (
        lambda mark: {"data": zlib.decompress(pickled(mark))},
        ("refused", "no JSON"),
    ),
    "a function of the standard library": (
        lambda mark: {"data": call("os.mkdir", str(mark.path))},
        ("refused", "'os.mkdir' is no job of this program", "not imported"),
    ),
    "a module that is not loaded yet": (
        lambda _: {"data": call("trap_module.run")},
        ("refused", "'trap_module.run' is no job of this program"),
    ),
    "a function of ours that is no job": (
        lambda mark: {"data": call("indexer.queue.orders.queues.fetch", str(mark.path))},
        ("refused", "is no job of this program"),
    ),
    "a method of something": (
        lambda mark: {"data": call("mkdir", instance={"path": str(mark.path)})},
        ("refused", "no JSON of this program"),
    ),
    "a text in the place of a call": (
        lambda _: {"data": zlib.compress(b'"abcd"')},
        ("refused", "no job of this program"),
    ),
    "nothing in the place of a call": (
        lambda _: {"data": b""},
        ("refused", "no JSON of this program"),
    ),
    "one that wants to be tried again for ever": (
        lambda mark: {
            "data": call("os.mkdir", str(mark.path)),
            "retries_left": 1_000_000,
            "number_of_retries": 0,
        },
        ("refused", "'os.mkdir'"),
    ),
    "one that wants to be tried again later": (
        lambda mark: {
            "data": pickled(mark),
            "retries_left": 3,
            "retry_intervals": "[60]",
        },
        ("refused", "no JSON"),
    ),
    "one that says it comes from elsewhere": (
        lambda mark: {"data": call("os.mkdir", str(mark.path)), "origin": "default"},
        ("refused", "'os.mkdir'"),
    ),
    "meta data and a result in pickle": (
        lambda mark: {
            "data": call("os.mkdir", str(mark.path)),
            "meta": pickle.dumps(mark),
            "result": pickle.dumps(mark),
        },
        ("refused", "'os.mkdir'"),
    ),
    "a callback for its failure": (
        lambda mark: {
            "data": call("os.mkdir", str(mark.path)),
            "failure_callback_name": f"{__name__}.make_mark",
            "stopped_callback_name": f"{__name__}.make_mark",
        },
        ("refused", "'os.mkdir'"),
    ),
    "a limit of concurrency": (
        lambda mark: {
            "data": call("os.mkdir", str(mark.path)),
            "rate_limit_key": "theirs",
            "rate_limit_concurrency": 1,
        },
        ("refused", "'os.mkdir'"),
    ),
}


def packed(data: bytes) -> bytes:
    return zlib.compress(data, 1)


MALFORMED: dict[str, tuple[dict[Any, Any], str]] = {
    "a date": ({"created_at": "yesterday"}, "yesterday"),
    "a status": ({"status": "happy"}, "happy"),
    "a status that is no text": ({"status": b"\xff"}, "utf-8"),
    "no data": ({"data": None}, "no data"),
    "a time limit in words": ({"timeout": "soon"}, "AssertionError"),
    "a time limit that is past all": ({"timeout": "9" * 30}, "timeout"),
    "a time limit below nothing": ({"timeout": "-5"}, "timeout"),
    "a number in words": ({"result_ttl": "long"}, "long"),
    "no list of intervals": ({"retry_intervals": "{"}, "JSONDecodeError"),
    "a list without end": ({"retry_intervals": "[" * 100_000}, "RecursionError"),
    "a flag in words": ({"enqueue_at_front": "yes"}, "yes"),
    "a name that is no text": ({b"\xff": "1"}, "utf-8"),
    "data that would fill the memory": ({"data": packed(b"[" + bytes(MOST_BYTES))}, "takes more"),
    "a traceback that would": ({"exc_info": packed(bytes(MOST_BYTES))}, "takes more"),
}


@pytest.mark.parametrize("queue", ["insert", "extract"])
@pytest.mark.parametrize("what", STRANGERS)
def test_a_job_of_somebody_else_is_refused_and_not_run(
    system: System, library: Library, mark: Mark, queue: str, what: str
) -> None:
    fields, words = STRANGERS[what]
    system.raw(queue, "bad", fields(mark))
    system.work(("extract",) if queue == "extract" else OWNED)
    system.assert_refused(queue, *words)
    assert_goes_on(system, library, mark)


@pytest.mark.parametrize("queue", ["insert", "extract"])
@pytest.mark.parametrize("what", MALFORMED)
def test_a_job_that_cannot_be_read_is_taken_off_and_told(
    system: System, library: Library, mark: Mark, queue: str, what: str
) -> None:
    fields, word = MALFORMED[what]
    system.raw(queue, "bad", {"data": call(FUNCTION_OF[queue], {}), **fields})
    system.work(("extract",) if queue == "extract" else OWNED)
    system.assert_refused(queue, "refused", word)
    assert_goes_on(system, library, mark)


@pytest.mark.parametrize("queue", ["insert", "extract"])
@pytest.mark.parametrize("kind", ["text", "list", "set"])
def test_a_key_of_another_type_under_a_jobs_name_is_taken_off_and_told(
    system: System, library: Library, mark: Mark, queue: str, kind: str
) -> None:
    match kind:
        case "text":
            system.client.set("rq:job:bad", "1")
        case "list":
            system.client.rpush("rq:job:bad", "1")
        case _:
            system.client.sadd("rq:job:bad", "1")
    system.client.rpush(f"rq:queue:{queue}", "bad")
    system.work(("extract",) if queue == "extract" else OWNED)
    system.assert_refused(queue, "refused", "WRONGTYPE")
    assert_goes_on(system, library, mark)


@pytest.mark.parametrize("queue", ["insert", "extract"])
@pytest.mark.parametrize("job_id", ["../up", "a b", b"\xff\xfe", "x" * 10 + ":1", ""])
def test_an_id_that_no_job_can_have_is_taken_off_and_told(
    system: System, library: Library, mark: Mark, queue: str, job_id: str | bytes
) -> None:
    name = job_id.encode() if isinstance(job_id, str) else job_id
    system.client.hset(b"rq:job:" + name, mapping={"data": call("os.mkdir"), "created_at": NOW})
    system.client.rpush(f"rq:queue:{queue}", job_id)
    system.work(("extract",) if queue == "extract" else OWNED)
    system.assert_refused(queue, "refused", job_id=None)
    assert_goes_on(system, library, mark)


def test_an_id_without_a_job_is_dropped(system: System, library: Library, mark: Mark) -> None:
    """A job that was deleted by hand, or whose hash has expired."""
    system.client.rpush("rq:queue:insert", "gone")
    system.work(OWNED)
    assert system.failed("insert") == {}
    assert_goes_on(system, library, mark)


def test_what_a_dead_worker_left_half_taken_and_unreadable_ends_nobody(
    system: System, library: Library, mark: Mark
) -> None:
    """RQ looks through these lists when a worker starts, and now and then."""
    system.client.hset("rq:job:bad", mapping={"data": b"", "created_at": "yesterday"})
    for queue in ("insert", "extract"):
        system.client.rpush(f"rq:queue:{queue}:intermediate", "bad", b"\xff")
        system.client.zadd(f"rq:wip:{queue}", {"bad:1": 1})
    assert_goes_on(system, library, mark)


@pytest.mark.parametrize("fails", [False, True])
def test_no_callback_of_our_own_jobs_is_called_either(
    system: System, library: Library, mark: Mark, fails: bool
) -> None:
    argument = {"index": "another" if fails else system.token}
    callback = f"{__name__}.make_mark"
    system.raw(
        "deferred",
        "bad",
        {
            "data": call(FUNCTION_OF["deferred"], argument),
            "result_ttl": 0,
            "success_callback_name": callback,
            "failure_callback_name": callback,
            "stopped_callback_name": callback,
        },
    )
    system.work(OWNED)
    assert list(system.failed("deferred")) == (["bad"] if fails else [])
    assert_goes_on(system, library, mark)


@pytest.mark.parametrize("fails", [False, True])
def test_no_webhook_is_called(system: System, library: Library, mark: Mark, fails: bool) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        listener.setblocking(False)
        url = f"http://127.0.0.1:{listener.getsockname()[1]}/"
        hooks = [{"url": url, "job_status": status} for status in ("finished", "failed")]
        system.raw(
            "deferred",
            "bad",
            {
                "data": call(
                    FUNCTION_OF["deferred"], {"index": "other" if fails else system.token}
                ),
                "result_ttl": 0,
                "webhooks": json.dumps(hooks),
            },
        )
        system.work(OWNED)
        with pytest.raises(BlockingIOError):
            listener.accept()
    assert_goes_on(system, library, mark)


def a_file(path: str) -> FileText:
    return FileText(path, size=1, mtime_ns=1, ctime_ns=1, inode=1)


def test_a_job_that_is_handed_back_stands_in_its_queue_again_and_has_not_failed(
    system: System, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """RQ keeps what a job answers, and our answer is no JSON."""
    monkeypatch.setattr(rq_worker, "_HANDED_BACK_PAUSE_S", 0.0)
    origin = system.origin(system.chunk(b"1.mp3"))
    away = PathText.of(os.fsencode(music / "not mounted"))
    order = ExtractOrder(origin=origin, root_path=away, files=(a_file("1.mp3"),))
    system.put("extract", order, "back")
    with ChunkReader(system.settings) as reader:
        handlers = Extractor(system.settings, system.client, reader.read).handlers
        worker = worker_of(
            ("extract",), system.client, handlers, name="guard", memory_mb=10_000, reader=reader
        )
        worker.work(burst=True, logging_level="CRITICAL", max_jobs=3)
    assert our_queue("extract", system.client).get_job_ids() == ["back"]
    assert system.failed("extract") == {}
    assert system.queues.states(["back"])[0].status == "queued"
    assert system.client.llen("rq:queue:batch") == 0


@pytest.mark.parametrize(
    ("queue", "size", "is_plain"),
    [("insert", 10, True), ("batch", 10, True), ("batch", PLAIN_BYTES, False)],
)
def test_only_a_small_job_is_not_compressed_and_each_comes_out_as_it_was(
    system: System, queue: str, size: int, is_plain: bool
) -> None:
    order = {"text": "a" * size}
    system.put(queue, order, "kept")
    data: Any = system.client.hget("rq:job:kept", "data")
    assert data.startswith(b"[") == is_plain
    (job,) = our_queue(queue, system.client).get_jobs()
    assert read_order(job.args[0], dict[str, str]) == order


def test_a_reader_process_that_has_nothing_to_do_ends_and_its_worker_waits_on(
    system: System, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rq_worker, "IDLE_S", 1)
    with ChunkReader(replace(system.settings, small_work=0)) as reader:
        handlers = Extractor(system.settings, system.client, reader.read).handlers
        worker = worker_of(
            ("extract",), system.client, handlers, name="guard", memory_mb=10_000, reader=reader
        )
        worker.register_birth()
        (reading,) = reader.read(Chunk(os.fsencode(music), (b"1.mp3",), Evidence(still_s=0.0)))
        assert reading.track is not None
        (pid,) = reader.reader_pids
        worker.report_vitals()
        assert system.client.hget(worker.key, "readers") == b"%d" % pid
        later = threading.Timer(2.5, system.put, ("extract", ["anything"]))
        later.start()
        found = worker.dequeue_job_and_maintain_ttl(9)
        later.join()
        assert found is not None
        assert reader.reader_pids == ()
        assert system.client.hget(worker.key, "readers") == b""
        worker.register_death()  # type: ignore[no-untyped-call]


def test_a_worker_of_the_index_gives_memory_back_once_when_no_job_comes_after_one(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(rq_worker, "IDLE_S", 1)
    freed: list[None] = []
    worker = worker_of(("insert",), system.client, {}, name="guard", memory_mb=10_000)
    assert isinstance(worker, IndexRqWorker)
    worker.free_memory = lambda: freed.append(None)
    worker.register_birth()
    for job_id in ("first", "second"):
        system.put("insert", ["anything"], job_id)
    found = worker.dequeue_job_and_maintain_ttl(9)
    assert found is not None
    assert freed == []  # it has done nothing yet
    with suppress(Exception):
        worker.execute_job(*found)
    assert worker.dequeue_job_and_maintain_ttl(9) is not None
    assert freed == []  # a job was there
    for job_id in ("third", "fourth"):
        later = threading.Timer(2.5, system.put, ("insert", ["anything"], job_id))
        later.start()
        assert worker.dequeue_job_and_maintain_ttl(9) is not None
        later.join()
        assert freed == [None]
    worker.register_death()  # type: ignore[no-untyped-call]


def test_a_job_that_takes_long_shows_life_and_no_time_limit_of_its_own_ends_it(
    system: System, plant: Plant, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The pool has a limit for each file, and that rules."""
    monkeypatch.setattr(rq_worker, "_HEARTBEAT_S", 0)  # as often as the pool looks
    for name, value in {**ODD_READERS, "SLOW_S": "3.5"}.items():
        monkeypatch.setenv(name, value)
    system.settings = replace(system.settings, small_work=0)
    plant({"slow.mp3": song("Slow")})
    entry = Entry(b"slow.mp3", Stamp.of((music / "slow.mp3").stat()))
    system.put(
        "extract",
        ExtractOrder(
            origin=system.origin(system.chunk(b"slow.mp3")),
            root_path=PathText.of(os.fsencode(music)),
            files=(FileText.of_entry(entry),),
        ),
        "long",
    )
    system.client.hset("rq:job:long", "timeout", 1)
    heartbeats = set()
    ended = threading.Event()

    def listen() -> None:
        while not ended.wait(0.1):
            (state,) = system.queues.states(["long"])
            if state.reading:
                heartbeats.add(state.heartbeat)

    listener = threading.Thread(target=listen)
    listener.start()
    system.work(("extract",))
    ended.set()
    listener.join()
    assert len(heartbeats) >= 3
    assert system.failed("extract") == {}
    assert system.client.llen("rq:queue:batch") == 1


def test_a_real_worker_gets_through_all_of_it_and_does_the_good_work(
    system: System, library: Library, settings: Settings, server: RedisServer, mark: Mark
) -> None:
    for queue in ("insert", "extract"):
        for number, (fields, _) in enumerate(STRANGERS.values()):
            system.raw(queue, f"stranger-{queue}-{number}", fields(mark))
        for number, (malformed, _) in enumerate(MALFORMED.values()):
            system.raw(queue, f"odd-{queue}-{number}", {"data": call("os.mkdir"), **malformed})
        system.client.set(f"rq:job:wrong-{queue}", "1")
        system.client.rpush(f"rq:queue:{queue}", f"wrong-{queue}", b"\xff")
    system.put_good()
    env = {"INDEXER_REDIS": server.address, "PYTHONPATH": ":".join(sys.path), **os.environ}
    for _ in range(4):
        run("worker", "--burst", "--jobs", "1", db=settings.db, env=env)
    assert titles(library) == {"1.mp3": "One"}
    for queue in ("insert", "extract"):
        assert len(system.failed(queue)) == len(STRANGERS) + len(MALFORMED) + 2
    assert not mark.path.exists()
