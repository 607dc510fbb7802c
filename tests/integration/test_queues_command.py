"""`indexer queues` as its users see it, with a real redis-server."""

from __future__ import annotations

import os
import pickle
import time
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple, cast

import pytest
import redis
from rq.job import Job
from rq.worker import SimpleWorker

from indexer.queue.orders.jobs import JobsJson, our_queue
from indexer.queue.workers.profiles import QUEUES
from tests.programs import Ran, run
from tests.redis_servers import RedisServer, redis_server


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    with redis_server(tmp_path_factory.mktemp("redis")) as running:
        yield running


@pytest.fixture
def client(server: RedisServer) -> redis.Redis:
    client = server.client()
    client.flushall()
    return client


def indexer(address: str, *words: str, check: int | None = 0) -> Ran:
    return run("queues", *words, db=None, check=check, env={"INDEXER_REDIS": address})


def put(client: redis.Redis, job_id: str, *, queue: str = "extract", about: str = "") -> Job:
    return our_queue(queue, client).enqueue(
        f"{__name__}.read",
        {"files": 87},
        job_id=job_id,
        description=about or f"extract 87 files in Björk/{job_id}",
        failure_ttl=60,
    )


def read(_order: object) -> None:
    """What the jobs here do."""
    raise ValueError("an ID3 tag\nthat ends in the middle")


def work(client: redis.Redis, queue: str = "extract") -> None:
    """Do what is queued; all of it fails."""
    worker = SimpleWorker([our_queue(queue, client)], connection=client, serializer=JobsJson)
    worker.job_class = worker.queues[0].job_class = Job  # ours would refuse `read`
    worker.work(burst=True, logging_level="CRITICAL")


def fail(client: redis.Redis, *job_ids: str, queue: str = "extract") -> None:
    for job_id in job_ids:
        put(client, job_id, queue=queue)
    work(client, queue)


class Bomb(NamedTuple):
    """Makes a folder when it is unpickled."""

    folder: Path

    def __reduce__(self) -> tuple[Any, ...]:
        return os.mkdir, (os.fspath(self.folder),)


class Held(NamedTuple):
    """What stands where in one queue."""

    queued: list[str]
    failed: list[str]


def held(client: redis.Redis, name: str = "extract") -> Held:
    queue = our_queue(name, client)
    failed = queue.failed_job_registry.get_job_ids(cleanup=False)
    return Held(queue.get_job_ids(), sorted(failed))


# ---- list


def test_each_of_the_five_queues_is_one_line_in_the_order_of_the_stages(
    server: RedisServer, client: redis.Redis
) -> None:
    put(client, "a")
    put(client, "b")
    lines = indexer(server.address).out.splitlines()
    assert lines[0].split() == ["queue", "queued", "started", "failed", "oldest", "workers"]
    assert [line.split()[0] for line in lines[1:6]] == list(QUEUES)
    assert lines[2].split()[1:4] == ["2", "0", "0"]
    assert lines[6] == "some have no worker: start indexer worker"


def test_json_has_one_object_a_queue(server: RedisServer, client: redis.Redis) -> None:
    put(client, "a")
    fail(client, "x", "y", queue="insert")
    objects = indexer(server.address, "list", "--json").objects
    assert [queue["name"] for queue in objects] == list(QUEUES)
    by_name = {queue.pop("name"): queue for queue in objects}
    oldest = by_name["extract"].pop("oldest_seconds")
    assert 0 <= oldest < 60
    assert by_name["extract"] == {"queued": 1, "started": 0, "failed": 0, "workers": 0}
    assert by_name["insert"] == {
        "queued": 0, "started": 0, "failed": 2, "oldest_seconds": None, "workers": 0
    }  # fmt: skip


def test_the_oldest_job_counts_though_another_was_put_before_it(
    server: RedisServer, client: redis.Redis
) -> None:
    job = put(client, "old")
    client.hset(job.key, "enqueued_at", "2020-01-01T00:00:00.000000Z")
    queue = our_queue("extract", client)
    queue.enqueue_job(queue.create_job("new", job_id="new"), at_front=True)
    assert queue.get_job_ids() == ["new", "old"]
    oldest = indexer(server.address, "--json").objects[1]["oldest_seconds"]
    since_2020 = time.time() - 1_577_836_800
    assert since_2020 - 60 < oldest <= since_2020


def test_workers_are_counted_while_they_show_life(server: RedisServer, client: redis.Redis) -> None:
    queues = [our_queue("extract", client), our_queue("insert", client)]
    worker = SimpleWorker(queues, connection=client, serializer=JobsJson)
    worker.register_birth()  # type: ignore[no-untyped-call]
    assert workers(server) == {"scan": 0, "extract": 1, "batch": 0, "insert": 1, "deferred": 0}
    client.delete(worker.key)  # as a heartbeat that ran out
    assert set(workers(server).values()) == {0}


def workers(server: RedisServer) -> dict[str, int]:
    return {queue["name"]: queue["workers"] for queue in indexer(server.address, "--json").objects}


def test_a_failure_whose_time_ran_out_is_counted_no_more(
    server: RedisServer, client: redis.Redis
) -> None:
    fail(client, "x", "y")
    client.zadd("rq:failed:extract", {"x": 1})
    assert indexer(server.address, "--json").objects[1]["failed"] == 1


# ---- failed


def test_failed_jobs_are_told_with_the_reason_the_latest_first(
    server: RedisServer, client: redis.Redis
) -> None:
    fail(client, "first")
    fail(client, "second", queue="batch")
    fail(client, "third")
    lines = indexer(server.address, "failed").out.splitlines()
    assert [line.split("  ")[2] for line in lines] == ["third", "second", "first"]
    assert lines[1].split("  ")[1] == "batch"
    assert "extract 87 files in Björk/second" in lines[1]
    assert lines[1].split("  ")[-1].startswith("that ends in the middle")


def test_json_has_the_whole_traceback(server: RedisServer, client: redis.Redis) -> None:
    fail(client, "first")
    job = indexer(server.address, "failed", "--json").object
    assert set(job) == {"id", "queue", "description", "failed_at", "error", "traceback"}
    assert (job["id"], job["queue"]) == ("first", "extract")
    assert job["failed_at"].endswith("Z")
    assert job["traceback"].startswith("Traceback (most recent call last):\n")
    assert job["traceback"].rstrip().endswith(job["error"])


def test_no_failed_jobs_are_no_error(server: RedisServer, client: redis.Redis) -> None:
    put(client, "a")
    assert indexer(server.address, "failed").out == "no failed jobs\n"
    assert indexer(server.address, "failed", "--json").out == ""


def test_what_comes_from_redis_is_escaped(server: RedisServer, client: redis.Redis) -> None:
    put(client, "x", about="Bj\x1b[2Jrk\n\u202egnp")
    work(client)
    (line,) = indexer(server.address, "failed").out.splitlines()
    assert r"Bj\x1b[2Jrk\n\u202egnp" in line


def test_bytes_that_are_no_text_do_no_harm(server: RedisServer, client: redis.Redis) -> None:
    fail(client, "x")
    client.hset("rq:job:x", "description", b"Bj\xf6rk")
    client.delete("rq:results:x")
    client.xadd("rq:results:x", {"exc_string": b"not base64 \xff"})
    job = indexer(server.address, "failed", "--json").object
    assert (job["description"], job["traceback"], job["error"]) == ("Bj\ufffdrk", "", "")


def test_a_job_that_was_dispatched_again_has_not_failed(
    server: RedisServer, client: redis.Redis
) -> None:
    fail(client, "x")
    put(client, "x")  # under the same id, and its old entry is left
    assert held(client) == (["x"], ["x"])
    assert indexer(server.address, "failed", "--json").out == ""
    for command in ("requeue", "drop"):
        assert indexer(server.address, command, "x", check=1).out.startswith("0 jobs")
    assert held(client).queued == ["x"]
    assert client.exists("rq:job:x")


# ---- requeue and drop


def test_a_job_is_requeued_by_its_id(server: RedisServer, client: redis.Redis) -> None:
    fail(client, "x", "y")
    assert indexer(server.address, "requeue", "x").out == "1 job requeued\n"
    assert held(client) == (["x"], ["y"])
    assert Job.fetch("x", client, JobsJson).get_status() == "queued"
    assert indexer(server.address, "requeue", "x", check=1).out == "0 jobs requeued\n"


def test_all_jobs_are_requeued_each_into_its_own_queue(
    server: RedisServer, client: redis.Redis
) -> None:
    fail(client, "x", "y")
    fail(client, "z", queue="insert")
    assert indexer(server.address, "requeue", "--all", "--json").object == {"requeued": 3}
    assert held(client) == (["x", "y"], [])
    assert held(client, "insert") == (["z"], [])


def test_a_dropped_job_leaves_nothing(server: RedisServer, client: redis.Redis) -> None:
    fail(client, "x", "y")
    assert indexer(server.address, "drop", "y", "--json").object == {"dropped": 1}
    assert held(client) == ([], ["x"])
    assert list(client.scan_iter("*:y*")) == []
    assert indexer(server.address, "drop", "--all").out == "1 job dropped\n"
    assert list(client.scan_iter("*:x*")) == []
    assert held(client) == ([], [])


@pytest.mark.parametrize("command", ["requeue", "drop"])
def test_an_unknown_job_is_named_and_the_others_are_done(
    command: str, server: RedisServer, client: redis.Redis
) -> None:
    fail(client, "x")
    ran = indexer(server.address, command, "x", "nothing\n", check=1)
    assert ran.out.startswith("1 job ")
    assert (
        ran.err
        == r"indexer: nothing\n: no failed job has this id; see indexer queues failed" + "\n"
    )
    assert held(client).failed == []


@pytest.mark.parametrize("command", ["requeue", "drop"])
def test_all_of_none_is_no_error(command: str, server: RedisServer, client: redis.Redis) -> None:
    assert client.dbsize() == 0
    assert indexer(server.address, command, "--all").out.startswith("0 jobs ")


@pytest.mark.parametrize("words", [(), ("x", "--all")], ids=["nothing", "both"])
@pytest.mark.parametrize("command", ["requeue", "drop"])
def test_ids_or_all_is_what_it_takes(
    command: str, words: tuple[str, ...], server: RedisServer
) -> None:
    ran = indexer(server.address, command, *words, check=2)
    assert "name the jobs, or give --all" in ran.err


# ---- what is not ours


def test_pickles_are_shown_requeued_and_dropped_but_never_opened(
    server: RedisServer, client: redis.Redis, tmp_path: Path
) -> None:
    bomb = pickle.dumps(Bomb(tmp_path / "unpickled"))
    for job_id in ("x", "y"):
        job = put(client, job_id, about="another program's")
        client.hset(job.key, mapping={"data": bomb, "meta": bomb, "result": bomb})
    work(client)
    assert held(client).failed == ["x", "y"]
    indexer(server.address)
    told = indexer(server.address, "failed", "--json").objects
    assert {job["description"] for job in told} == {"another program's"}
    assert indexer(server.address, "requeue", "x").out == "1 job requeued\n"
    assert held(client).queued == ["x"]
    data, meta = cast("list[bytes]", client.hmget("rq:job:x", "data", "meta"))
    assert (zlib.decompress(data), meta) == (bomb, bomb)
    assert indexer(server.address, "drop", "y").out == "1 job dropped\n"
    assert not (tmp_path / "unpickled").exists()
    pickle.loads(bomb)  # it would have shown
    assert (tmp_path / "unpickled").exists()


def test_a_job_of_which_nothing_is_left_can_only_be_dropped(
    server: RedisServer, client: redis.Redis
) -> None:
    fail(client, "x", "y")
    client.hset("rq:job:x", "timeout", "for ever")
    ran = indexer(server.address, "requeue", "--all", check=3)
    assert ran.out == "1 job requeued\n"
    assert ran.err == "indexer: x: it is incomplete and cannot be requeued; drop it\n"
    assert indexer(server.address, "drop", "x").out == "1 job dropped\n"


# ---- no Redis


@pytest.mark.parametrize("words", ["", "list", "failed", "requeue --all", "drop --all"])
def test_without_an_address_it_says_what_to_set(words: str) -> None:
    ran = run("queues", *words.split(), db=None, check=2)
    assert "set `redis = " in ran.err
    assert "INDEXER_REDIS" in ran.err


@pytest.mark.parametrize("words", ["", "failed", "requeue x", "drop --all"])
def test_a_redis_that_is_away_is_exit_code_3(words: str, tmp_path: Path) -> None:
    ran = indexer(f"unix://{tmp_path}/redis.sock", *words.split(), check=3)
    assert ran.out == ""
    assert "no Redis answers" in ran.err
    assert "Traceback" not in ran.err
