"""A Redis -> how long its queues are, which workers serve them, and how fast the stages go.

Only keys, counts and times are read: what a job is about is never decoded, let alone unpickled.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import redis
from msgspec.structs import replace
from rq.job import Job
from rq.worker import BaseWorker
from rq.worker_registration import REDIS_WORKER_KEYS, WORKERS_BY_QUEUE_KEY

from indexer.process import percent, spent_by
from indexer.queue import redis_client
from indexer.queue.orders.jobs import failed_jobs, our_queue
from indexer.queue.orders.keys import TOTALS
from indexer.queue.workers.profiles import QUEUES
from indexer.results.status_report import QueueStatus, WorkerStatus
from indexer.runs.throughput import BUCKET_S, WINDOW_S, Bucket, LastMinute, Step, Totals, rates_of
from indexer.settings import Settings

_ANSWER_S: Final = 10.0
"""A guess: a Redis that takes longer for one answer hangs, and a person waits for it."""
_HEAD: Final = 8
"""Jobs at the head of a queue that are looked at for the oldest one: one put back stands before
older ones, and of some nothing but the id may be left. A guess."""


_FIELDS: Final = (
    "hostname", "pid", "queues", "state", "last_heartbeat", "birth", "rss", "cpu_seconds",
    "successful_job_count", "failed_job_count", "readers", "total_working_time",
)  # fmt: skip


_KEY: Final = "music-indexer:rates:"
_DEFERRED_READS: Final = "deferred_reads"
"""A field of `TOTALS`: files that were opened for artwork and playlists."""
_COUNTED: Final = (*(step.value for step in Step), "bytes_read", "cache_hits")
"""The fields of `Totals` that workers count."""
_OTHERS: Final = ("finished", "deferred", "scheduled")
"""States of jobs beside queued, started and failed; RQ has a registry for each."""


@contextmanager
def connected(settings: Settings) -> Iterator[redis.Redis]:
    """A client for a few questions to the Redis in the settings.

    Raises UsageError where they name none, and QueueError for what Redis does not do.
    """
    with (
        redis_client.answering(settings),
        closing(redis_client.connect(settings, timeout_s=_ANSWER_S)) as client,
    ):
        yield client


def queue_statuses(client: redis.Redis, now_s: float) -> list[QueueStatus]:
    """All five queues, in the order of the stages; `now_s` is the time of day (Unix, seconds).

    Raises what redis raises.
    """
    counts = _counts(client, now_s)
    with client.pipeline(transaction=False) as pipeline:
        for head, workers in ((answer[-2], answer[-1]) for answer in counts):
            for job_id in head:
                pipeline.hget(Job.redis_job_namespace_prefix.encode() + job_id, "enqueued_at")
            for key in workers:
                pipeline.exists(key)
        answers = iter(pipeline.execute())
    found = []
    for name, (queued, started, failed, expired, head, workers) in zip(QUEUES, counts, strict=True):
        since = [moment_ms(next(answers)) for _ in head]
        known = [at_ms / 1000 for at_ms in since if at_ms is not None]
        found.append(
            QueueStatus(
                name=name,
                queued=queued,
                started=started,
                failed=failed - expired,
                oldest_seconds=round(max(0.0, now_s - min(known)), 3) if known else None,
                workers=sum(next(answers) for _ in workers),
            )
        )
    return found


def _counts(client: redis.Redis, now_s: float) -> list[list[Any]]:
    """Of each queue: queued, started, failed, those of them that have expired, head, workers.

    A registry keeps entries until they are cleaned away; their score is when they expire, and
    below 0 where they never do.
    """
    with client.pipeline(transaction=False) as pipeline:
        for name in QUEUES:
            queue = our_queue(name, client)
            failed = failed_jobs(queue)
            pipeline.llen(queue.key)
            pipeline.zcount(queue.started_job_registry.key, now_s, "+inf")
            pipeline.zcard(failed.key)
            pipeline.zcount(failed.key, 0, now_s)
            pipeline.lrange(queue.key, 0, _HEAD - 1)
            pipeline.smembers(WORKERS_BY_QUEUE_KEY % name)
        answers = pipeline.execute()
    width = len(answers) // len(QUEUES)
    return [answers[start : start + width] for start in range(0, len(answers), width)]


def other_jobs(client: redis.Redis) -> dict[tuple[str, str], int]:
    """(queue, state) -> number of jobs in the states that our own jobs do not stay in."""
    places = [(name, state) for name in QUEUES for state in _OTHERS]
    with client.pipeline(transaction=False) as pipeline:
        for name, state in places:
            pipeline.zcard(getattr(our_queue(name, client), f"{state}_job_registry").key)
        return dict(zip(places, pipeline.execute(), strict=True))


def moment_ms(text: bytes | None) -> int | None:
    """A time as RQ writes it, in Unix milliseconds; None for what is none."""
    try:
        at = datetime.fromisoformat((text or b"").decode("ascii"))
    except ValueError:
        return None
    return round(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)


def worker_statuses(client: redis.Redis, now_s: float) -> list[WorkerStatus]:
    """All workers that Redis still lists; `now_s` is the time of day. Raises what redis raises."""
    keys: Any = client.smembers(REDIS_WORKER_KEYS)
    with client.pipeline(transaction=False) as pipeline:
        for key in sorted(keys):
            pipeline.hmget(key, *_FIELDS)
        answers = pipeline.execute()
    prefix = BaseWorker.redis_worker_namespace_prefix
    return [
        _worker_status(key.decode(errors="replace").removeprefix(prefix), values, now_s)
        for key, values in zip(sorted(keys), answers, strict=True)
        if values[0] is not None
    ]


def _worker_status(name: str, values: list[bytes | None], now_s: float) -> WorkerStatus:
    fields = {
        field: (value or b"").decode(errors="replace")
        for field, value in zip(_FIELDS, values, strict=True)
    }
    pid = _number(fields["pid"])
    memory, cpu_s = _number(fields["rss"]) or None, _seconds(fields["cpu_seconds"])
    readers = tuple(filter(None, map(_number, fields["readers"].split(","))))
    if fields["hostname"] == socket.gethostname() and pid:
        here = [one for of in (pid, *readers) if (one := spent_by(of)) is not None]
        if here:
            memory, cpu_s = sum(held for held, _ in here), sum(spent_s for _, spent_s in here)
    born_ms, heard_ms = (moment_ms((fields[key]).encode()) for key in ("birth", "last_heartbeat"))
    return WorkerStatus(
        name=name,
        host=fields["hostname"],
        pid=pid,
        queues=tuple(filter(None, fields["queues"].split(","))),
        state=fields["state"],
        readers=readers,
        memory=memory,
        cpu_seconds=cpu_s,
        cpu_percent=None if cpu_s is None else percent(cpu_s, _since(born_ms, now_s)),
        jobs_done=_number(fields["successful_job_count"]),
        jobs_failed=_number(fields["failed_job_count"]),
        silent_seconds=round(_since(heard_ms, now_s), 3),
        working_seconds=round(_seconds(fields["total_working_time"]) or 0.0, 3),
    )


def _since(at_ms: int | None, now_s: float) -> float:
    return 0.0 if at_ms is None else max(0.0, now_s - at_ms / 1000)


def _number(text: str) -> int:
    return int(text) if text.isdecimal() and len(text) < 20 else 0


def _seconds(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


class RedisRates:
    """Counts in hashes that hold some seconds each, and go by themselves."""

    def __init__(self, client: redis.Redis, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._clock = clock

    def count(self, step: Step, files: int, failed: int = 0) -> None:
        """So many files more; `failed` of them had a problem."""
        self.count_all({step: files}, failed)

    def add_totals(self, **numbers: int) -> None:
        """Add to what was done since Redis began, by the names of `Totals`, or `deferred_reads`."""
        self.count_all({}, **numbers)

    def count_all(self, steps: Mapping[Step, int], failed: int = 0, **numbers: int) -> None:
        """All of this in one round trip."""
        counted = {step.value: files for step, files in steps.items() if files}
        totals = {**counted, **{name: number for name, number in numbers.items() if number}}
        if not (totals or failed):
            return
        key = f"{_KEY}{int(self._clock() // BUCKET_S)}"
        with self._client.pipeline(transaction=False) as pipeline:
            for name, number in {**counted, **({"failed": failed} if failed else {})}.items():
                pipeline.hincrby(key, name, number)
                pipeline.expire(key, 2 * WINDOW_S)
            for name, number in totals.items():
                pipeline.hincrby(TOTALS, name, number)
            pipeline.execute()

    def deferred_reads(self) -> int:
        """How many files workers have opened for artwork and playlists since Redis began."""
        return int(self._client.hget(TOTALS, _DEFERRED_READS) or 0)

    def totals(self) -> Totals:
        """What all workers have done since Redis began."""
        fields: Any = self._client.hgetall(TOTALS)
        counted = {name: int(fields.get(name.encode(), 0)) for name in _COUNTED}
        return replace(Totals(), **counted)

    def seen(self) -> LastMinute:
        """What was counted in the last minute."""
        now_s = self._clock()
        newest = int(now_s // BUCKET_S)
        numbers = range(newest - WINDOW_S // BUCKET_S + 1, newest + 1)
        with self._client.pipeline(transaction=False) as pipeline:
            for number in numbers:
                pipeline.hgetall(f"{_KEY}{number}")
            counted: Any = pipeline.execute()
        return rates_of(map(_bucket, numbers, counted), now_s)


def _bucket(number: int, counts: dict[bytes, bytes]) -> Bucket:
    return Bucket(number, **{name: int(counts.get(name.encode(), 0)) for name in (*Step, "failed")})
