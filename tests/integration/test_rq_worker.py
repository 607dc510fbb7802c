"""What RQ's workers, made ours, write to Redis around each job."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import redis
from rq.registry import StartedJobRegistry
from rq.suspension import resume, suspend
from rq.worker import Worker

from indexer.queue.orders.jobs import JobsJson, our_queue
from indexer.queue.orders.queues import Queues
from indexer.queue.workers.chunk_reader import ChunkReader
from indexer.queue.workers.rq_worker import ExtractRqWorker, IndexRqWorker, worker_of
from indexer.settings import Settings
from tests.redis_servers import redis_server

QUEUES = ("insert", "batch", "scan", "deferred")
MOST_COMMANDS = 36
"""Of one job from its enqueueing to its end; RQ's own worker makes 49."""


@pytest.fixture
def client(tmp_path: Path) -> Iterator[redis.Redis]:
    with redis_server(tmp_path / "redis") as running:
        yield running.client()


def put(client: redis.Redis, number: int) -> None:
    Queues(client).put("scan", {}, job_id=f"scan-{number}", description="scan", timeout_s=60)


def worker(client: redis.Redis, handler: Callable[[msgspec.Raw], object]) -> IndexRqWorker:
    made = worker_of(QUEUES, client, {"scan": handler}, name="one", memory_mb=4096)
    assert isinstance(made, IndexRqWorker)
    return made


def works(client: redis.Redis, handler: Callable[[msgspec.Raw], object]) -> IndexRqWorker:
    """Do all jobs that wait."""
    made = worker(client, handler)
    made.work(burst=True, logging_level=None)
    return made


def commands(client: redis.Redis) -> int:
    told: Any = client.info("commandstats")
    return sum(of["calls"] for of in told.values())


def state(client: redis.Redis) -> tuple[str, set[str]]:
    """The state of the worker, and the jobs that count as started."""
    (registered,) = Worker.all(connection=client, serializer=JobsJson)
    started = StartedJobRegistry("scan", client, serializer=JobsJson)
    return str(registered.get_state()), set(started.get_job_ids(cleanup=False))


def test_a_job_costs_few_commands(client: redis.Redis) -> None:
    done: list[int] = []

    def cost(jobs: int) -> int:
        client.config_resetstat()
        for number in range(jobs):
            put(client, number)
        works(client, lambda _raw: done.append(1))
        return commands(client)

    few, many = cost(10), cost(60)
    assert len(done) == 70
    assert (many - few) / 50 <= MOST_COMMANDS


def test_a_job_is_shown_while_it_is_done_and_leaves_nothing(client: redis.Redis) -> None:
    shown: list[tuple[str, set[str]]] = []
    put(client, 1)
    made = worker(client, lambda _raw: shown.append(state(client)))
    made.register_birth()
    found = made.dequeue_job_and_maintain_ttl(None)
    assert found is not None
    made.execute_job(*found)
    assert shown == [("busy", {"scan-1"})]
    assert state(client) == ("idle", set())
    left = [key for key in client.keys("rq:*") if b"scan-1" in key]
    assert left == []
    assert client.hget(made.key, "successful_job_count") == b"1"


def test_other_readers_are_called_as_soon_as_a_chunk_waits_behind_one(
    client: redis.Redis, tmp_path: Path
) -> None:
    """A scan puts its second chunk when the first reader has taken its first one."""
    called: list[list[str]] = []

    def handler(_raw: msgspec.Raw) -> None:
        if not called:
            Queues(client).put("extract", {}, job_id="b", description="", timeout_s=None)
        reader.begins()
        reader.beat()

    Queues(client).put("extract", {}, job_id="a", description="", timeout_s=None)
    with ChunkReader(Settings(db=tmp_path / "library.db")) as reader:
        made = worker_of(
            *(("extract",), client, {"extract": handler}),
            name="one",
            memory_mb=4096,
            reader=reader,
        )
        assert isinstance(made, ExtractRqWorker)
        made.call_for_more = lambda: called.append(our_queue("extract", client).get_job_ids())
        made.work(burst=True, logging_level=None)
    assert called == [["b"]]


def test_a_worker_that_was_suspended_during_a_job_takes_no_other(client: redis.Redis) -> None:
    done: list[int] = []

    def handler(_raw: msgspec.Raw) -> None:
        done.append(1)
        suspend(client)

    put(client, 1)
    put(client, 2)
    works(client, handler)
    assert len(done) == 1
    assert our_queue("scan", client).get_job_ids() == ["scan-2"]
    resume(client)
    works(client, handler)
    assert len(done) == 2


def test_a_worker_that_redis_has_forgotten_is_registered_with_its_next_job(
    client: redis.Redis,
) -> None:
    shown: list[tuple[str, set[str]]] = []
    made = worker(client, lambda _raw: shown.append(state(client)))
    made.register_birth()
    client.flushall()
    put(client, 1)
    found = made.dequeue_job_and_maintain_ttl(None)
    assert found is not None
    made.execute_job(*found)
    assert shown == [("busy", {"scan-1"})]
    assert client.hget(made.key, "pid") == str(made.pid).encode()


def test_a_worker_that_redis_forgets_during_a_job_is_registered_again(client: redis.Redis) -> None:
    made = worker(client, lambda _raw: client.flushall())
    made.register_birth()
    put(client, 1)
    found = made.dequeue_job_and_maintain_ttl(None)
    assert found is not None
    made.execute_job(*found)
    made._heartbeat_at = 0.0  # as after a tenth of a second
    made.heartbeat()
    assert state(client) == ("idle", set())
    assert client.hget(made.key, "pid") == str(made.pid).encode()
