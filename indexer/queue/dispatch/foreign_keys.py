"""What others have put in the places of our queues and notes -> other keys that keep it.

A program that shares our Redis, or a person at `redis-cli`, may set a key of ours to another type.
Redis then refuses each command on it, for ever: no job is taken from such a queue, and jobs whose
work is done fail at their end. What it replaced is in `pending` too, and is dispatched again. What
others put there may be all that they have of it, so it is renamed, and kept for a while.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from rq.worker_registration import REDIS_WORKER_KEYS, WORKERS_BY_QUEUE_KEY

from indexer.queue.orders.jobs import FAILED_TTL_S, OurQueue, our_queue
from indexer.queue.orders.keys import HASHES, INDEX, RELAY
from indexer.queue.workers.profiles import QUEUES

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    import redis

_REGISTRIES: Final = ("started", "failed", "finished", "deferred", "scheduled", "ready")
"""Those that our upkeep and our numbers ask for; RQ puts nothing of ours into the last four."""
_KEPT_AS: Final = "music-indexer:foreign:"
"""Before the name that the key had."""


def set_aside_foreign(client: redis.Redis, root_names: Iterable[str]) -> list[tuple[str, str]]:
    """Rename the keys of ours that have a type of others; their old and new names.

    Raises redis errors.
    """
    types = dict(_types(client, root_names))
    with client.pipeline(transaction=False) as pipeline:
        for key in types:
            pipeline.type(key)
        found = zip(types.items(), pipeline.execute(), strict=True)
    foreign = [key for (key, own), there in found if there.decode() not in (own, "none")]
    renamed = [(key, _KEPT_AS + key) for key in foreign]
    for key, kept_as in renamed:
        with client.pipeline() as pipeline:
            pipeline.rename(key, kept_as)
            pipeline.expire(kept_as, FAILED_TTL_S)
            pipeline.execute()
    return renamed


def _types(client: redis.Redis, root_names: Iterable[str]) -> Iterator[tuple[str, str]]:
    """Each key that more than one job needs, and the type that it has to have."""
    for key in HASHES:
        yield key, "hash"
    yield INDEX, "string"
    for name in root_names:
        yield RELAY + name, "string"
    yield OurQueue.redis_queues_keys, "set"
    yield REDIS_WORKER_KEYS, "set"
    for name in QUEUES:
        queue = our_queue(name, client)
        yield queue.key, "list"
        yield queue.intermediate_queue_key, "list"
        for name_of_registry in _REGISTRIES:
            yield getattr(queue, f"{name_of_registry}_job_registry").key, "zset"
        yield WORKERS_BY_QUEUE_KEY % name, "set"
