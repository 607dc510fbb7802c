"""Failed jobs -> their subject and error; put back into their queue, or dropped.

Redis may hold anything. The subject of a job is taken from its description; its data is passed on
unchanged, and never decoded.
"""

from __future__ import annotations

import base64
import binascii
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final

import redis
from msgspec import Struct
from rq.exceptions import InvalidJobOperation, NoSuchJobError, TimeoutFormatError
from rq.job import Job
from rq.results import Result

from indexer.queue.monitoring.monitor import moment_ms
from indexer.queue.orders.jobs import JobsJson, OurJob, OurQueue, failed_jobs, kept_for, our_queue
from indexer.queue.workers.profiles import QUEUES
from indexer.results.report import FailedJob, iso

_AT_ONCE: Final = 200
"""Jobs in one request: a traceback takes some kilobytes."""
_TRACEBACK_BYTES: Final = 1 << 20
"""Longer texts are cut: a few compressed kilobytes in a Redis can claim to be gigabytes."""
_JOB: Final = Job.redis_job_namespace_prefix.encode()
_RESULTS: Final = Result.get_key("").encode()  # type: ignore[no-untyped-call]
"""Prefixes of a job's id: the keys of its hash, and of its result."""
_FAILED: Final = (b"failed", b"stopped")
"""States of a job that no worker will run any more; another was dispatched meanwhile."""
_ODD: Final = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    AssertionError,
    TimeoutFormatError,
)
"""What RQ 3.0 raises for a job whose fields it did not write."""


class ActedOn(Struct, frozen=True, kw_only=True):
    """The outcome for the jobs that were to be requeued or dropped."""

    done: int
    unknown: tuple[str, ...]
    """Ids without a failed job."""
    unreadable: tuple[str, ...]
    """Ids of jobs of which too little is left to run them again."""


class _Unreadable(Exception):
    """Too little is left of a job to run it again."""


def list_failed(client: redis.Redis) -> list[FailedJob]:
    """The jobs that failed, the latest first. Raises what redis raises."""
    found = [
        failure
        for name in QUEUES
        for ids in _parts(_failed_ids(our_queue(name, client)))
        for failure in _read(client, name, ids)
    ]
    return sorted(found, key=lambda failure: failure.failed_at or "", reverse=True)


def requeue(client: redis.Redis, job_ids: Sequence[str] | None) -> ActedOn:
    """Put failed jobs back into their queues; None: all of them. Raises what redis raises."""
    return _each(client, job_ids, _requeue)


def drop(client: redis.Redis, job_ids: Sequence[str] | None) -> ActedOn:
    """Delete failed jobs; None: all of them. Raises what redis raises."""
    return _each(client, job_ids, _drop)


def _each(
    client: redis.Redis,
    job_ids: Sequence[str] | None,
    act: Callable[[OurQueue, bytes], bool],
) -> ActedOn:
    done = 0
    left: list[str] = []
    unreadable: list[str] = []
    wanted = None if job_ids is None else dict.fromkeys(job_id.encode() for job_id in job_ids)
    places = _places(client)
    for job_id in places if wanted is None else wanted:
        try:
            if job_id in places and act(places[job_id], job_id):
                done += 1
            elif wanted is not None:
                left.append(_text(job_id))
        except _Unreadable:
            unreadable.append(_text(job_id))
    return ActedOn(done=done, unknown=tuple(left), unreadable=tuple(unreadable))


def _places(client: redis.Redis) -> dict[bytes, OurQueue]:
    queues = [our_queue(name, client) for name in QUEUES]
    return {job_id: queue for queue in queues for job_id in _failed_ids(queue)}


def _requeue(queue: OurQueue, job_id: bytes) -> bool:
    """Whether the job was there, and is queued now."""
    try:
        job = OurJob.fetch(job_id.decode(), connection=queue.connection, serializer=JobsJson)
        if job.get_status(refresh=False).value.encode() not in _FAILED:
            return False
        job.origin = queue.name
        failed_jobs(queue).requeue(job)
    except (NoSuchJobError, InvalidJobOperation):  # another process was quicker
        return False
    except _ODD as error:
        raise _Unreadable from error
    return True


def _drop(queue: OurQueue, job_id: bytes) -> bool:
    """Whether the job was there, and is gone now; the process that unlists it deletes it.

    So it does with the order that was kept for it.
    """
    key = _JOB + job_id
    with queue.connection.pipeline() as pipeline:
        pipeline.zrem(failed_jobs(queue).key, job_id)
        pipeline.hget(key, "status")
        was_listed, status = pipeline.execute()
    if not was_listed or status not in _FAILED:
        return False
    kept = kept_for(_text(job_id))
    needless = () if kept is None else (_JOB + kept.encode(),)
    queue.connection.delete(key, key + b":dependents", _RESULTS + job_id, *needless)
    return True


def _failed_ids(queue: OurQueue) -> list[bytes]:
    answer: Any = queue.connection.zrange(failed_jobs(queue).key, 0, -1)
    return list(answer)


def _parts(ids: Sequence[bytes]) -> Iterator[Sequence[bytes]]:
    for start in range(0, len(ids), _AT_ONCE):
        yield ids[start : start + _AT_ONCE]


def _read(client: redis.Redis, name: str, ids: Sequence[bytes]) -> Iterator[FailedJob]:
    with client.pipeline(transaction=False) as pipeline:
        for job_id in ids:
            key = _JOB + job_id
            pipeline.hmget(key, "status", "description", "ended_at")
            pipeline.xrevrange(_RESULTS + job_id, count=1)
        answers = iter(pipeline.execute())
    for job_id in ids:
        (status, description, ended_at), results = next(answers), next(answers)
        if status not in _FAILED:
            continue
        number, result = results[0] if results else (b"", {})
        at_ms = number.partition(b"-")[0]
        failed_at_ms = int(at_ms) if at_ms.isdigit() else moment_ms(ended_at)
        text = _traceback(result)
        yield FailedJob(
            id=_text(job_id),
            queue=name,
            description=_text(description or b""),
            failed_at=None if failed_at_ms is None else iso(failed_at_ms),
            error=next((line.strip() for line in reversed(text.split("\n")) if line.strip()), ""),
            traceback=text,
        )


def _traceback(result: Mapping[bytes, bytes]) -> str:
    """What `rq.results.Result` keeps: base64 of a compressed text."""
    try:
        packed = base64.b64decode(result.get(b"exc_string", b""))
        return _text(zlib.decompressobj().decompress(packed, _TRACEBACK_BYTES))
    except (binascii.Error, zlib.error):
        return ""


def _text(data: bytes) -> str:
    return data.decode("utf-8", "replace")
