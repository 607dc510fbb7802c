"""`watcher relay` on a machine with a disk <-> the index that has its music by a share.

A relay puts its hints into the queue `scan`, and a heartbeat into Redis. The process that scans the
index writes there which index it is, and which roots it has. Redis returns the age of a heartbeat,
so clocks of two machines are never compared.
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
from indexer.queue.orders.keys import INDEX, RELAY
from indexer.queue.orders.messages import RelayOrder
from indexer.queue.orders.queues import ALIVE, Queues
from indexer.queue.redis_client import connect
from indexer.results.status_report import RelayStatus

if TYPE_CHECKING:
    import redis

    from indexer.settings import Settings

HEARTBEAT_S: Final = 10.0
"""Pause between two heartbeats of a relay."""
SILENT_S: Final = 30.0
"""A relay without a heartbeat for so long is lost: it may miss two. A guess."""
LOST_S: Final = 60.0
"""A job that is started, and is not done after so long, was lost with its worker. A guess."""
MOST_HINTS: Final = 1_000
"""In one job; more become one hint for each root. A guess."""
_KEPT_S: Final = 7 * 86_400
"""How long `status` shows a relay after its last heartbeat."""
_COMMAND_S: Final = 10.0
_JOB_S: Final = 600


class Announcement(Struct, frozen=True):
    """The index that takes the jobs of a Redis."""

    index: str
    """Its identity, which each job has to name."""
    roots: tuple[str, ...]
    """The names of its roots."""


class RelayHeartbeat(Struct, frozen=True):
    """A heartbeat of a relay, as Redis keeps it."""

    host: str
    ended: bool = False
    """It was stopped."""
    relay: str = ""
    """The id of the relay: several may serve one root."""


class PeerState(Struct, frozen=True):
    """What Redis holds of the other end."""

    run_id: str
    """Another one after each start of Redis: what it held may be lost."""
    announcement: Announcement | None


class Given(Struct, frozen=True):
    """The states of the jobs that a relay has put."""

    waiting: int
    failed: tuple[str, ...] = ()
    """Ids of jobs that failed, or were refused."""
    lost: int = 0
    """Jobs whose worker was lost."""


def announce(client: redis.Redis, announcement: Announcement) -> None:
    """Write which index takes the jobs of this Redis."""
    client.set(INDEX, msgspec.json.encode(announcement))


def relay_statuses(client: redis.Redis, names: Collection[str]) -> dict[str, RelayStatus]:
    """Root name -> its relay, of those that had one in the last days. Raises what redis raises."""
    with client.pipeline(transaction=False) as pipeline:
        _ask_heartbeats(pipeline, names)
        answers = pipeline.execute()
    found: dict[str, RelayStatus] = {}
    for name, (heartbeat, silent_s) in zip(names, _heartbeats(answers), strict=True):
        if heartbeat is not None:
            alive = not heartbeat.ended and silent_s <= SILENT_S
            found[name] = RelayStatus(
                host=heartbeat.host, alive=alive, silent_seconds=round(silent_s, 3)
            )
    return found


def _ask_heartbeats(pipeline: redis.client.Pipeline, names: Iterable[str]) -> None:
    """Ask for the last heartbeat of each root; `_heartbeats` reads the answers."""
    for name in names:
        pipeline.get(RELAY + name)
        pipeline.pttl(RELAY + name)


def _heartbeats(answers: Sequence[Any]) -> Iterator[tuple[RelayHeartbeat | None, float]]:
    """The last heartbeat of each root, and its age in seconds."""
    for text, left_ms in zip(answers[::2], answers[1::2], strict=True):
        heartbeat = None
        if text is not None:
            with suppress(QueueError):  # of another version: Redis answers all the same
                heartbeat = read_order(text, RelayHeartbeat)
        yield heartbeat, max(0.0, _KEPT_S - left_ms / 1000)


class RelayLink:
    """A relay's end. Its methods raise what redis raises, and QueueError for unreadable values."""

    def __init__(
        self, settings: Settings, host: str, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._client = connect(settings, timeout_s=_COMMAND_S)
        self._queues = Queues(self._client)
        self._host = host
        self._clock = clock
        self._id = f"{host}:{os.getpid()}"
        self._beside: dict[str, float] = {}
        """Root name -> when another live relay of it last had a heartbeat."""
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

    def exchange(self, alive: Iterable[str]) -> PeerState:
        """Write a heartbeat for each of these roots; read which Redis and which index this is."""
        names = list(alive)
        heartbeat = msgspec.json.encode(RelayHeartbeat(self._host, relay=self._id))
        with self._client.pipeline(transaction=False) as pipeline:
            pipeline.info("server")
            pipeline.get(INDEX)
            _ask_heartbeats(pipeline, names)
            for name in names:
                pipeline.set(RELAY + name, heartbeat, ex=_KEPT_S)
            info, announced, *answers = pipeline.execute()
        self._note_beside(names, answers[: 2 * len(names)])
        announcement = None
        if announced is not None:
            with suppress(QueueError):  # of another version: the answer to a question replaces it
                announcement = read_order(announced, Announcement)
        return PeerState(str(info["run_id"]), announcement)

    def end(self, names: Iterable[str]) -> None:
        """Write that the relay of these roots has been stopped, except where another relay lives.

        If that one is stopped within `SILENT_S`, too, the missing heartbeats show it.
        """
        names = list(names)
        with self._client.pipeline(transaction=False) as pipeline:
            _ask_heartbeats(pipeline, names)
            self._note_beside(names, pipeline.execute())
        heartbeat = msgspec.json.encode(RelayHeartbeat(self._host, ended=True, relay=self._id))
        for name in names:
            seen_at = self._beside.get(name)
            if seen_at is None or self._clock() - seen_at > SILENT_S:
                self._client.set(RELAY + name, heartbeat, ex=_KEPT_S)

    def _note_beside(self, names: Sequence[str], answers: Sequence[Any]) -> None:
        """Note which roots have another relay, by the last heartbeat of each root."""
        now = self._clock()
        for name, (heartbeat, silent_s) in zip(names, _heartbeats(answers), strict=True):
            if heartbeat is not None and heartbeat.relay != self._id:
                if not heartbeat.ended and silent_s <= SILENT_S:
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

    def check_given(self, now: float) -> Given:
        """Check the jobs that were put; each failure and loss is returned once."""
        if not self._given:
            return Given(0)
        ids = list(self._given)
        states: Mapping[str, str] = {
            job_id: state.status
            for job_id, state in zip(ids, self._queues.states(ids), strict=True)
        }
        lost = {
            job_id
            for job_id, status in states.items()
            if status == "started" and now - self._given[job_id] > LOST_S
        }
        self._given = {
            job_id: at
            for job_id, at in self._given.items()
            if states[job_id] in ALIVE and job_id not in lost
        }
        failed = tuple(job_id for job_id, status in states.items() if status == "failed")
        return Given(len(self._given), failed, len(lost))

    def drop_given(self) -> None:
        """Drop the record of jobs that were put: a restarted or emptied Redis has lost them."""
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
