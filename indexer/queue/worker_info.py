"""The workers that a Redis knows -> who they are, and what they take (memory, processor time)."""

from __future__ import annotations

import socket
from typing import TYPE_CHECKING, Any, Final

from msgspec import Struct
from rq.worker import BaseWorker
from rq.worker_registration import REDIS_WORKER_KEYS

from indexer.process import spent_by
from indexer.queue.backlog import moment_ms

if TYPE_CHECKING:
    import redis

_FIELDS: Final = (
    "hostname", "pid", "queues", "state", "last_heartbeat", "birth", "rss", "cpu_seconds",
    "successful_job_count", "failed_job_count", "readers",
)  # fmt: skip


class WorkerInfo(Struct, frozen=True, kw_only=True):
    """One process of a worker."""

    name: str
    host: str
    pid: int
    queues: tuple[str, ...]
    state: str
    readers: tuple[int, ...]
    """The processes that read files for it."""
    memory: int | None
    """Bytes held, with those of its readers; None where it never told."""
    cpu_s: float | None
    age_s: float
    done: int
    failed: int
    silent_s: float


def workers(client: redis.Redis, now_s: float) -> list[WorkerInfo]:
    """All that have shown life lately; `now_s` is the time of day. Raises what redis raises."""
    keys: Any = client.smembers(REDIS_WORKER_KEYS)
    with client.pipeline(transaction=False) as pipeline:
        for key in sorted(keys):
            pipeline.hmget(key, *_FIELDS)
        answers = pipeline.execute()
    prefix = BaseWorker.redis_worker_namespace_prefix
    return [
        _hand(key.decode(errors="replace").removeprefix(prefix), told, now_s)
        for key, told in zip(sorted(keys), answers, strict=True)
        if told[0] is not None
    ]


def _hand(name: str, told: list[bytes | None], now_s: float) -> WorkerInfo:
    fields = {
        field: (value or b"").decode(errors="replace")
        for field, value in zip(_FIELDS, told, strict=True)
    }
    pid = _number(fields["pid"])
    memory, cpu_s = _number(fields["rss"]) or None, _seconds(fields["cpu_seconds"])
    readers = tuple(filter(None, map(_number, fields["readers"].split(","))))
    if fields["hostname"] == socket.gethostname() and pid:
        here = [one for of in (pid, *readers) if (one := spent_by(of)) is not None]
        if here:
            memory, cpu_s = sum(held for held, _ in here), sum(spent_s for _, spent_s in here)
    born_ms, heard_ms = (moment_ms((fields[key]).encode()) for key in ("birth", "last_heartbeat"))
    return WorkerInfo(
        name=name,
        host=fields["hostname"],
        pid=pid,
        queues=tuple(filter(None, fields["queues"].split(","))),
        state=fields["state"],
        readers=readers,
        memory=memory,
        cpu_s=cpu_s,
        age_s=_since(born_ms, now_s),
        done=_number(fields["successful_job_count"]),
        failed=_number(fields["failed_job_count"]),
        silent_s=_since(heard_ms, now_s),
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
