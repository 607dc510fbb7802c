"""What others have put in the places of our queues and notes -> nothing there, and their names.

A program that shares our Redis, or a person at `redis-cli`, may set a key of ours to another type.
Redis then refuses each command on it, for ever: no job is taken from such a queue, and jobs whose
work is done fail at their end. What was there is in `pending` too, and is dispatched again.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from rq.worker_registration import REDIS_WORKER_KEYS, WORKERS_BY_QUEUE_KEY

from indexer.queue.orders.jobs import OurQueue, our_queue
from indexer.queue.orders.keys import HASHES
from indexer.queue.workers.profiles import QUEUES

if TYPE_CHECKING:
    from collections.abc import Iterator

    import redis


def drop_foreign(client: redis.Redis) -> list[str]:
    """Delete the keys of ours that have a type of others; their names. Raises redis errors."""
    types = dict(_types(client))
    with client.pipeline(transaction=False) as pipeline:
        for key in types:
            pipeline.type(key)
        found = zip(types.items(), pipeline.execute(), strict=True)
    foreign = [key for (key, own), there in found if there.decode() not in (own, "none")]
    if foreign:
        client.delete(*foreign)
    return foreign


def _types(client: redis.Redis) -> Iterator[tuple[str, str]]:
    """Each key that more than one job needs, and the type that it has to have."""
    for key in HASHES:
        yield key, "hash"
    yield OurQueue.redis_queues_keys, "set"
    yield REDIS_WORKER_KEYS, "set"
    for name in QUEUES:
        queue = our_queue(name, client)
        yield queue.key, "list"
        yield queue.intermediate_queue_key, "list"
        yield queue.started_job_registry.key, "zset"
        yield queue.failed_job_registry.key, "zset"
        yield WORKERS_BY_QUEUE_KEY % name, "set"
