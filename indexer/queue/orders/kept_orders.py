"""The orders of jobs `batch`, which stay in Redis until their chunks are inserted, by their rows.

What was read stands in them. So a chunk that is dispatched again finds it there, and what a killed
process has left can be deleted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct
from rq.job import Job, JobStatus

from indexer.queue.orders.jobs import KEPT_TTL_S, kept_argument, kept_for

if TYPE_CHECKING:
    import redis

    from indexer.queue.orders.messages import Origin

_ORDERS: Final = "music-indexer:batch-orders"
"""A hash: row of `pending` -> token of its index, and id of the newest job of `batch` for it."""


class KeptOrder(Struct, frozen=True):
    """The order of a job of `batch`, and what became of the job."""

    job_id: str
    is_done: bool
    order: msgspec.Raw


def note_order(pipeline: Any, origin: Origin, job_id: str) -> None:  # noqa: ANN401 - redis' type
    """Note the order of a job that is being enqueued."""
    pipeline.hset(_ORDERS, str(origin.row), f"{origin.index} {job_id}")
    pipeline.expire(_ORDERS, KEPT_TTL_S)


def forget_order(pipeline: Any, insert_id: str) -> None:  # noqa: ANN401 - redis' type
    """Forget the order that was kept for a job of `insert`, which is done."""
    if kept_for(insert_id) is not None:
        pipeline.hdel(_ORDERS, insert_id.split("-")[1])


def find_order(client: redis.Redis, index: str, row: int) -> KeptOrder | None:
    """The newest order for a row. Raises QueueError for an odd one, and what redis raises."""
    noted: Any = client.hget(_ORDERS, str(row))
    token, job_id = _noted(noted or b"")
    if not job_id or token != index:
        return None
    fields: Any = client.hmget(Job.key_for(job_id), ["data", "status"])
    data, status = fields
    if data is None:
        return None
    return KeptOrder(job_id, _is_done(status), kept_argument(job_id, data))


def drop_spent(client: redis.Redis, token: str, is_pending: Callable[[int], bool]) -> int:
    """Delete the orders that no insert needs any more: of rows that are pending no more.

    A process that is killed between its commit and the end of its job leaves one. How many there
    were. Raises what redis raises.
    """
    noted: Any = client.hgetall(_ORDERS)
    spent = [
        (row, job_id)
        for row, value in noted.items()
        for index, job_id in [_noted(value)]
        if index == token and row.isdigit() and not is_pending(int(row))
    ]
    for row, job_id in spent:
        key = Job.key_for(job_id)
        if _is_done(client.hget(key, "status")):  # else its job comes, and ends it
            client.delete(key)
        client.hdel(_ORDERS, row)
    return len(spent)


def kept_bytes(client: redis.Redis) -> int:
    """How much the orders take. Raises what redis raises."""
    noted: Any = client.hvals(_ORDERS)
    with client.pipeline(transaction=False) as pipeline:
        for _, job_id in map(_noted, noted):
            pipeline.hstrlen(Job.key_for(job_id), "data")
        return sum(pipeline.execute())


def _noted(value: bytes) -> tuple[str, str]:
    token, _, job_id = value.decode(errors="replace").partition(" ")
    return token, job_id


def _is_done(status: Any) -> bool:  # noqa: ANN401 - redis' type
    return bool(status == JobStatus.FINISHED.value.encode())
