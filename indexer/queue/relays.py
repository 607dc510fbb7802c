"""`watcher relay` on a machine with a disk <-> the index that has its music by a share.

A relay puts its hints into the queue `scan`, and says in Redis that it lives. The process that
scans the index says there which index it is, and which roots it has. Redis tells how old a sign of
life is, so clocks of two machines are never compared.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from indexer.errors import QueueError
from indexer.queue.jobs import RELAYED_FUNCTION, read_order
from indexer.queue.messages import RelayOrder
from indexer.queue.queues import ALIVE, Queues
from indexer.queue.redis_client import connect
from indexer.report import RelayStatus

if TYPE_CHECKING:
    import redis

    from indexer.settings import Settings

BEAT_S: Final = 10.0
"""Pause between two signs of life."""
SILENT_S: Final = 30.0
"""A relay without a sign of life for so long is lost: it may miss two. A guess."""
LOST_S: Final = 60.0
"""A job that was begun, and is not done after so long, was lost with its worker. A guess."""
MOST_HINTS: Final = 1_000
"""In one job; more become one hint for each root. A guess."""
_KEPT_S: Final = 7 * 86_400
"""For so long `status` tells that there was a relay."""
_COMMAND_S: Final = 10.0
_JOB_S: Final = 600
_INDEX: Final = "music-indexer:index"
_RELAY: Final = "music-indexer:relay:"
"""Before the name of a root: the relay of it."""


class Announcement(Struct, frozen=True):
    """The index that takes the jobs of a Redis."""

    index: str
    """Its identity, which each job has to name."""
    roots: tuple[str, ...]
    """The names of its roots."""


class SignOfLife(Struct, frozen=True):
    """What a relay says of itself."""

    host: str
    ended: bool = False
    """It was stopped."""


class Met(Struct, frozen=True):
    """One answer of Redis."""

    run_id: str
    """Another one after each start of Redis: what it held may be lost."""
    announcement: Announcement | None


class Given(Struct, frozen=True):
    """What became of the jobs that a relay has put."""

    waiting: int
    failed: tuple[str, ...] = ()
    """Ids of jobs that failed, or were refused."""
    lost: int = 0
    """Jobs whose worker was lost."""


def announce(client: redis.Redis, announcement: Announcement) -> None:
    """Say which index takes the jobs of this Redis."""
    client.set(_INDEX, msgspec.json.encode(announcement))


def relay_statuses(client: redis.Redis, names: Collection[str]) -> dict[str, RelayStatus]:
    """Root name -> its relay, of those that had one in the last days. Raises what redis raises."""
    with client.pipeline(transaction=False) as pipeline:
        for name in names:
            pipeline.get(_RELAY + name)
            pipeline.pttl(_RELAY + name)
        told = iter(pipeline.execute())
    found: dict[str, RelayStatus] = {}
    for name, sign, left_ms in zip(names, told, told, strict=True):
        if sign is None:
            continue
        try:
            relay: SignOfLife = read_order(sign, SignOfLife)
        except QueueError:  # of another version: Redis answers all the same
            continue
        silent_s = max(0.0, _KEPT_S - left_ms / 1000)
        alive = not relay.ended and silent_s <= SILENT_S
        found[name] = RelayStatus(host=relay.host, alive=alive, silent_seconds=round(silent_s, 3))
    return found


class RelayLink:
    """A relay's end. Its methods raise what redis raises, and QueueError for what is not ours."""

    def __init__(self, settings: Settings, host: str) -> None:
        self._client = connect(settings, timeout_s=_COMMAND_S)
        self._queues = Queues(self._client)
        self._host = host
        self._asked = ""
        """The job that asks which index this is."""
        self._given: dict[str, float] = {}
        """Job -> when it was put."""

    def close(self) -> None:
        """Close the connection."""
        self._client.close()

    def drop(self) -> None:
        """Connect anew with the next command."""
        self._client.connection_pool.disconnect()

    def meet(self, alive: Iterable[str]) -> Met:
        """Say that the relay of these roots lives, and see which Redis and which index this is."""
        sign = msgspec.json.encode(SignOfLife(self._host))
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.info("server")
            pipeline.get(_INDEX)
            for name in alive:
                pipeline.set(_RELAY + name, sign, ex=_KEPT_S)
            info, told, *_ = pipeline.execute()
        announcement = None
        if told is not None:
            with suppress(QueueError):  # of another version: the answer to a question replaces it
                announcement = read_order(told, Announcement)
        return Met(str(info["run_id"]), announcement)

    def end(self, names: Iterable[str]) -> None:
        """Say that the relay of these roots has been stopped."""
        sign = msgspec.json.encode(SignOfLife(self._host, ended=True))
        for name in names:
            self._client.set(_RELAY + name, sign, ex=_KEPT_S)

    def ask(self) -> None:
        """Have the process that scans say which index it is."""
        self._asked = self._put(RelayOrder(), "a relay asks which index this is")

    def answer(self) -> str:
        """What became of the question: `queued`, `started`, `failed`; empty: it is answered."""
        (state,) = self._queues.states([self._asked])
        return state.status

    def give(self, order: RelayOrder, now: float) -> None:
        """Put hints into the queue."""
        roots = ", ".join(sorted({hint.root for hint in order.hints}))
        job_id = self._put(order, f"{len(order.hints)} hints of {self._host} about {roots}")
        self._given[job_id] = now

    def see_to_given(self, now: float) -> Given:
        """See what became of the jobs that were put; each failure and loss is told once."""
        if not self._given:
            return Given(0)
        ids = list(self._given)
        told: Mapping[str, str] = {
            job_id: state.status
            for job_id, state in zip(ids, self._queues.states(ids), strict=True)
        }
        lost = {
            job_id
            for job_id, status in told.items()
            if status == "started" and now - self._given[job_id] > LOST_S
        }
        self._given = {
            job_id: at
            for job_id, at in self._given.items()
            if told[job_id] in ALIVE and job_id not in lost
        }
        failed = tuple(job_id for job_id, status in told.items() if status == "failed")
        return Given(len(self._given), failed, len(lost))

    def forget(self) -> None:
        """Redis began anew: its jobs are gone."""
        self._given.clear()

    def _put(self, order: RelayOrder, description: str) -> str:
        job_id = f"relayed-{os.urandom(8).hex()}"
        self._queues.put(
            "scan",
            order,
            job_id=job_id,
            description=description,
            timeout_s=_JOB_S,
            function=RELAYED_FUNCTION,
        )
        return job_id
