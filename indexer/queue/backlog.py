"""The queues of a Redis -> how much stands in each, since when, and how many work on it.

Only keys, counts and times are read: what a job is about is never decoded, let alone unpickled.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import UTC, datetime
from typing import Any, Final

import redis
from msgspec import Struct
from rq.job import Job
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from indexer.queue import redis_client
from indexer.queue.jobs import failed_jobs, our_queue
from indexer.queue.profiles import QUEUES
from indexer.settings import Settings

_ANSWER_S: Final = 10.0
"""A guess: a Redis that takes longer for one answer hangs, and a person waits for it."""
_HEAD: Final = 8
"""Jobs at the head of a queue that are looked at for the oldest one: one put back stands before
older ones, and of some nothing but the id may be left. A guess."""


class Backlog(Struct, frozen=True, kw_only=True):
    """One queue at one moment."""

    queue: str
    queued: int
    started: int
    failed: int
    oldest_s: float | None
    """How long the job that is next has waited; None: none waits."""
    workers: int
    """Processes that take jobs from it and have shown life lately."""


@contextmanager
def asked(settings: Settings) -> Iterator[redis.Redis]:
    """A client for a few questions to the Redis in the settings.

    Raises UsageError where they name none, and QueueError for what Redis does not do.
    """
    with (
        redis_client.answering(settings),
        closing(redis_client.connect(settings, timeout_s=_ANSWER_S)) as client,
    ):
        yield client


def backlogs(client: redis.Redis, now_s: float) -> list[Backlog]:
    """All five queues, in the order of the stages; `now_s` is the time of day (Unix, seconds).

    Raises what redis raises.
    """
    told = _counts(client, now_s)
    with client.pipeline(transaction=False) as pipeline:
        for head, workers in ((answer[-2], answer[-1]) for answer in told):
            for job_id in head:
                pipeline.hget(Job.redis_job_namespace_prefix.encode() + job_id, "enqueued_at")
            for key in workers:
                pipeline.exists(key)
        answers = iter(pipeline.execute())
    found = []
    for name, (queued, started, failed, expired, head, workers) in zip(QUEUES, told, strict=True):
        since = [moment_ms(next(answers)) for _ in head]
        known = [at_ms / 1000 for at_ms in since if at_ms is not None]
        found.append(
            Backlog(
                queue=name,
                queued=queued,
                started=started,
                failed=failed - expired,
                oldest_s=max(0.0, now_s - min(known)) if known else None,
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


def moment_ms(text: bytes | None) -> int | None:
    """A time as RQ writes it, in Unix milliseconds; None for what is none."""
    try:
        at = datetime.fromisoformat((text or b"").decode("ascii"))
    except ValueError:
        return None
    return round(at.replace(tzinfo=at.tzinfo or UTC).timestamp() * 1000)
