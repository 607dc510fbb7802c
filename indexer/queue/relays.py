"""`watcher relay` on a machine with a disk <-> the index that has its music by a share.

A relay puts its hints into the queue `scan`, and says in Redis that it lives. The process that
scans the index says there which index it is, and which roots it has. Redis tells how old a sign of
life is, so clocks of two machines are never compared.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct

from indexer.errors import QueueError
from indexer.queue.orders.jobs import RELAYED_FUNCTION, read_order
from indexer.queue.orders.messages import RelayOrder
from indexer.queue.orders.queues import ALIVE, Queues
from indexer.queue.redis_client import connect
from indexer.results.status_report import RelayStatus

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
    relay: str = ""
    """Which one it is: several may tell of one root."""


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
        _ask_signs(pipeline, names)
        told = pipeline.execute()
    found: dict[str, RelayStatus] = {}
    for name, (sign, silent_s) in zip(names, _signs(told), strict=True):
        if sign is not None:
            alive = not sign.ended and silent_s <= SILENT_S
            found[name] = RelayStatus(
                host=sign.host, alive=alive, silent_seconds=round(silent_s, 3)
            )
    return found


def _ask_signs(pipeline: redis.client.Pipeline, names: Iterable[str]) -> None:
    """Ask for the last sign of life of each root; `_signs` reads the answers."""
    for name in names:
        pipeline.get(_RELAY + name)
        pipeline.pttl(_RELAY + name)


def _signs(told: Sequence[Any]) -> Iterator[tuple[SignOfLife | None, float]]:
    """The last sign of life of each root, and how many seconds ago it was given."""
    for text, left_ms in zip(told[::2], told[1::2], strict=True):
        sign = None
        if text is not None:
            with suppress(QueueError):  # of another version: Redis answers all the same
                sign = read_order(text, SignOfLife)
        yield sign, max(0.0, _KEPT_S - left_ms / 1000)


class RelayLink:
    """A relay's end. Its methods raise what redis raises, and QueueError for what is not ours."""

    def __init__(
        self, settings: Settings, host: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = connect(settings, timeout_s=_COMMAND_S)
        self._queues = Queues(self._client)
        self._host = host
        self._clock = clock
        self._id = f"{host}:{os.getpid()}"
        self._beside: dict[str, float] = {}
        """Root name -> when another relay of it was last met that lives."""
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
        names = list(alive)
        sign = msgspec.json.encode(SignOfLife(self._host, relay=self._id))
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.info("server")
            pipeline.get(_INDEX)
            _ask_signs(pipeline, names)
            for name in names:
                pipeline.set(_RELAY + name, sign, ex=_KEPT_S)
            info, told, *signs = pipeline.execute()
        self._note_beside(names, signs[: 2 * len(names)])
        announcement = None
        if told is not None:
            with suppress(QueueError):  # of another version: the answer to a question replaces it
                announcement = read_order(told, Announcement)
        return Met(str(info["run_id"]), announcement)

    def end(self, names: Iterable[str]) -> None:
        """Say that the relay of these roots has been stopped, but of none that has another one.

        Where that is stopped, too, within `SILENT_S`, silence tells it then.
        """
        names = list(names)
        with self._client.pipeline(transaction=False) as pipeline:
            _ask_signs(pipeline, names)
            self._note_beside(names, pipeline.execute())
        sign = msgspec.json.encode(SignOfLife(self._host, ended=True, relay=self._id))
        for name in names:
            met_at = self._beside.get(name)
            if met_at is None or self._clock() - met_at > SILENT_S:
                self._client.set(_RELAY + name, sign, ex=_KEPT_S)

    def _note_beside(self, names: Sequence[str], told: Sequence[Any]) -> None:
        """Note which roots have another relay, by the last signs of life of each root."""
        now = self._clock()
        for name, (sign, silent_s) in zip(names, _signs(told), strict=True):
            if sign is not None and sign.relay != self._id:
                if not sign.ended and silent_s <= SILENT_S:
                    self._beside[name] = now - silent_s
                else:
                    self._beside.pop(name, None)

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
