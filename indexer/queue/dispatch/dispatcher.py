"""Pending rows -> jobs in the queues, again and again until they are complete (rule R5).

One process at a time does this: the daemon, or a command that found none. `pending` is the truth;
Redis may lose everything at any time.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from indexer import errors, paths
from indexer.model import Entry, Hint, Problem, ProblemKind, Reading
from indexer.queue.dispatch.foreign_keys import set_aside_foreign
from indexer.queue.dispatch.leases import Action, DispatchKey, DispatchLeases, DispatchState
from indexer.queue.orders.messages import (
    BatchOrder,
    FactsText,
    FileText,
    Origin,
    PathText,
    ScanOrder,
)
from indexer.queue.orders.queues import (
    LostJobs,
    Queues,
    chunk_job,
    files_in,
    put_due_artwork,
    scan_job,
)
from indexer.queue.redis_client import answering, connect, state_of
from indexer.queue.relays import relay_statuses
from indexer.runs import run_counts
from indexer.runs.result import EventFacts
from indexer.settings import Settings
from indexer.shares.hanging import ask_at
from indexer.stages.extract import stamp_at
from indexer.store import roots
from indexer.store.connection import Connection, token_of, write_transaction
from indexer.store.sidecars.artwork import kinds_wanted
from indexer.store.work import pending
from indexer.store.work.pending import Outline, PendingRow
from indexer.store.work.trials import MOST_TRIES
from indexer.tags import READER_VERSION

if TYPE_CHECKING:
    from indexer.results.status_report import RelayStatus
    from indexer.store.roots import RootRow

Say = Callable[[int, str, dict[str, object]], None]
"""(level of logging, event, fields of the event)."""

_COMMAND_S: Final = 10.0
"""Time limit for one command of Redis. A guess."""
_FIRST_PAUSE_S: Final = 0.25
_JITTER: Final = 0.5
_CHECKS_A_LEASE: Final = 3
_JOB_S: Final = 600
_CHUNK_QUEUES: Final = ("extract", "batch", "insert")
_NO_FACTS: Final = EventFacts()


class TickResult(Struct, frozen=True):
    """The result of one pass over `pending`."""

    left: tuple[tuple[int, bytes], ...] = ()
    """(root id, path) of files that were answered and are incomplete."""
    generations: frozenset[int] = frozenset()
    """Generations with open rows other than those of incomplete files."""


class Dispatcher:
    """Dispatches one index's work. `tick` is one pass; `next_turn` says when the next is due."""

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        *,
        say: Say,
        patient: bool = False,
        clock: Callable[[], float] = time.monotonic,
        chance: Callable[[], float] = random.random,
    ) -> None:
        """With `patient` it requests incomplete files again by itself, after growing pauses."""
        self.is_there: Callable[[int], bool] = lambda _root_id: True
        """Whether a root's disk is there; rows of other roots are not dispatched."""
        self._connection = connection
        self._settings = settings
        self._say = say
        self._patient = patient
        self._clock = clock
        self._chance = chance
        self._client = connect(settings, timeout_s=_COMMAND_S)
        self._queues = Queues(self._client)
        self._lost_artwork = LostJobs(self._queues, settings.lease)
        self._leases = DispatchLeases(
            settings.lease,
            settings.queue_retries,
            settings.queue_retry_first,
            settings.queue_retry_longest,
            chance,
        )
        self._turn = int(chance() * 900_000_000) + 100_000_000
        """Turn of the next job: no other run of a dispatcher has the same."""
        self._facts: dict[int, EventFacts] = {}
        self._run_id = ""
        self.trouble: str | None = None
        """Why nothing can be dispatched now."""
        self._try_at = 0.0
        self._check_at = 0.0
        self._pause_s = 0.0
        self._warned = ""

    def close(self) -> None:
        """Close the connection to Redis."""
        self._client.close()

    @property
    def queues(self) -> Queues:
        return self._queues

    @property
    def _token(self) -> str:
        """Of the index as it is now: a repair with losses gives it another one."""
        return token_of(self._connection)

    def enqueue(
        self, hints: Sequence[Hint], facts: EventFacts = _NO_FACTS, *, scan_id: int = 0
    ) -> int:
        """Make hints durable that are to be scanned together; their generation.

        They are dispatched by the next `tick`. 0: none of their roots is watched any more.
        """
        now_ms = time.time_ns() // 1_000_000
        with write_transaction(self._connection):
            rows = pending.enqueue_all(self._connection, hints, now_ms, scan_id=scan_id)
        if not rows:
            return 0
        generation = rows[0].generation
        if facts.closed or facts.unfinished:
            self._facts[generation] = facts
        self._leases.register(DispatchKey(generation), self._clock())
        return generation

    def put_artwork(self, now: float) -> None:
        """Have artwork chosen that is due, where no job for it is waiting or running."""
        if self.trouble is None or now >= self._try_at:
            with self._reaching(now):
                self._lost_artwork.drop(now)
                put_due_artwork(
                    self._connection, self._queues, self._token, kinds_wanted(self._settings)
                )

    def relays(self, names: Collection[str]) -> Mapping[str, RelayStatus] | None:
        """The relays of these roots; None where Redis does not say."""
        if self.trouble is not None:
            return None
        with suppress(errors.QueueError), answering(self._settings):
            return relay_statuses(self._client, names)
        return None

    def hold(self, rows: Iterable[PendingRow]) -> None:
        """Do not dispatch these rows in this run: what they say is known already."""
        for row in rows:
            self._leases.hold(
                DispatchKey(row.generation, row.id if row.is_chunk or row.attempts else 0)
            )

    def next_turn(self) -> float | None:
        """When something is due, if nothing happens before."""
        due_at = self._leases.next_at()
        if self.trouble is None:
            return due_at
        return self._try_at if due_at is None else max(due_at, self._try_at)

    def tick(self, now: float) -> TickResult:
        """Check all pending rows; dispatch what is new or lost.

        Trouble is tried again also where nothing is left to dispatch: it may be over.
        """
        outlines = pending.outlines(self._connection)
        left = self._take_left(self._leases.sync(outlines, now), now)
        there: list[DispatchKey] = []
        covering = _newest_of_everything(outlines)
        for key in self._leases.due(now):
            if self._may_go(key, outlines, covering):
                there.append(key)
            else:
                self._leases.put_off(key, now)
        if now >= self._try_at if self.trouble is not None else there:
            with self._reaching(now):
                if self.trouble is not None:
                    self._set_aside_foreign()
                is_checked = self._check_redis(now)
                self._dispatch(there, now)
                if is_checked:  # behind the jobs, since a change may wait for them
                    self._set_aside_foreign()
        for generation in self._facts.keys() - {outline.generation for outline in outlines}:
            del self._facts[generation]
        in_work = {one.generation for one in outlines if not one.attempts}
        return TickResult(tuple(left), frozenset(in_work))

    # Incomplete files

    def _take_left(self, outlines: Iterable[Outline], now: float) -> Iterator[tuple[int, bytes]]:
        for outline in outlines:
            key = DispatchKey(outline.generation, outline.id)
            row = pending.get(self._connection, outline.id)
            if row is None:
                continue
            if self._patient or row.hint.reread:  # only this row says that it is to be read again
                settings = self._settings
                pause_s = settings.retry_first * 2.0 ** min(outline.attempts, 32)
                self._leases.try_again(key, now + min(pause_s, settings.retry_longest))
            else:
                self._leases.hold(key)
            for name in row.hint.names or ():
                yield row.hint.root_id, paths.join(row.hint.folder, name)

    # Redis

    @contextmanager
    def _reaching(self, now: float) -> Iterator[None]:
        """Anything that Redis does not accept is dispatched later; a warning is logged once."""
        try:
            with answering(self._settings):
                yield
        except errors.QueueError as error:
            if self.trouble is None:
                self._pause_s = _FIRST_PAUSE_S
                self._say(logging.WARNING, "redis away", {"detail": str(error)})
            else:
                self._pause_s = min(self._pause_s * 2, self._settings.reconnect_longest)
            self.trouble = str(error)
            self._try_at = now + self._pause_s * (1 + _JITTER * self._chance())
            self._client.connection_pool.disconnect()
        else:
            if self.trouble is not None:
                self._say(logging.INFO, "redis back", {"action": "dispatch what is pending"})
            self.trouble = None

    def _check_redis(self, now: float) -> bool:
        """Check whether it is the same Redis, and whether it keeps what it is given.

        Not before each job: one that Redis loses is found when its lease ends. Whether it was due.
        """
        if self.trouble is None and now < self._check_at:
            return False
        self._check_at = now + self._settings.lease / _CHECKS_A_LEASE
        state = state_of(self._client)
        if state.run_id != self._run_id:
            if self._run_id:
                self._say(logging.WARNING, "redis restarted", {"action": "dispatch all again"})
            self._run_id = state.run_id
            self._leases.void(now)
        warning = state.warning or ""
        if warning and warning != self._warned:
            self._say(logging.WARNING, state.warned_as, {"detail": warning})
        self._warned = warning
        return True

    def _set_aside_foreign(self) -> None:
        names = [root.name for root in roots.watched(self._connection)]
        for key, kept_as in set_aside_foreign(self._client, names):
            advice = "give other programs a Redis, or a database number, of their own"
            fields: dict[str, object] = {"key": key, "kept_as": kept_as, "action": advice}
            self._say(logging.WARNING, "foreign key renamed", fields)

    # Jobs

    def _may_go(
        self, key: DispatchKey, outlines: Sequence[Outline], covering: Mapping[int, int]
    ) -> bool:
        """Whether to dispatch a key now.

        Not where its disk is not there; and not a key older than a pending full scan of its root,
        since that scan will answer it. After a crash that may be thousands of rows. Rows that a run
        counts are answered by that run.
        """
        mine = [
            one for one in outlines if one.generation == key.generation and key.row in (0, one.id)
        ]
        return any(self.is_there(one.root_id) for one in mine) and not all(
            one.generation < covering.get(one.root_id, 0) and not (one.reread or one.scan_id)
            for one in mine
        )

    def _dispatch(self, keys: Sequence[DispatchKey], now: float) -> None:
        """The oldest first: requests of a command before later events of a daemon."""
        keys = sorted(keys, key=lambda key: key.generation)
        if all(self._leases.is_fresh(key) for key in keys):
            for key in keys:
                self._put(key, now)
            return
        waiting = self._queues.waiting()
        parked = {generation for generation, _, _ in self._queues.parked()}
        for key in keys:
            if self._leases.is_fresh(key):
                self._put(key, now)
                continue
            row = pending.get(self._connection, key.row) if key.row else None
            if key.row and row is None:
                continue  # completed meanwhile
            if row is None:
                state = self._state_of_hints(key, waiting, parked)
            else:
                state = self._state_of_chunk(row, self._leases.turn_of(key), waiting)
            self._act(key, row, state, now)

    def _act(
        self, key: DispatchKey, row: PendingRow | None, state: DispatchState, now: float
    ) -> None:
        verdict = self._leases.judge(key, state, now)
        if verdict is Action.DISPATCH:
            if row is None:
                self._queues.unpark(key.generation)  # the scan begins anew
            self._put(key, now)
        elif verdict is Action.SPLIT and row is not None:
            self._split(row)
        elif verdict is Action.CONDEMN and row is not None:
            self._condemn(key, row, now)

    def _state_of_hints(
        self, key: DispatchKey, waiting: set[str], parked: set[int]
    ) -> DispatchState:
        begins = f"scan-{key.generation}-0-"
        waits = any(one.startswith(begins) for one in waiting)
        if key.generation in parked and any(map(files_in, waiting)):
            waits = True  # for space; the worker of the last of these files resumes the scan
        if not waits and self._leases.has_chunks(key.generation):
            waits = True  # the last of these chunks requests the next pass
        seen, planned = self._queues.scan_noted(key.generation)
        return DispatchState(waits, f"{seen} {planned}".encode() if seen or planned else b"")

    def _state_of_chunk(self, row: PendingRow, turn: int, waiting: set[str]) -> DispatchState:
        files = len(row.hint.names or ())
        ids = [chunk_job(queue, row.id, files, turn) for queue in _CHUNK_QUEUES]
        ids.append(scan_job(row.generation, row.id, turn, 0))
        if any(job_id in waiting for job_id in ids):
            return DispatchState(waits=True, files=files)
        states = self._queues.states(ids)
        started = [one for one in states if one.status == "started"]
        if started:
            heartbeat = max(one.heartbeat for one in started)
            return DispatchState(
                heartbeat=heartbeat, reading=any(one.reading for one in started), files=files
            )
        return DispatchState(failed=any(one.status == "failed" for one in states), files=files)

    def _put(self, key: DispatchKey, now: float) -> None:
        turn = self._turn
        self._turn += 1
        facts = self._facts_of(key)
        order = ScanOrder(
            index=self._token,
            generation=key.generation,
            row=key.row,
            turn=turn,
            closed=facts.closed,
            unfinished=facts.unfinished,
        )
        self._queues.put(
            "scan",
            order,
            job_id=scan_job(key.generation, key.row, turn, 0),
            description=self._description(key),
            timeout_s=_JOB_S,
        )
        self._leases.dispatched(key, turn, now)

    def _facts_of(self, key: DispatchKey) -> FactsText:
        """What events said of its files, here or on the server of a share (a relay)."""
        if key.row:
            return FactsText()
        facts = self._facts.get(key.generation)
        if facts is not None:
            return FactsText(_as_texts(facts.closed), _as_texts(facts.unfinished))
        if self._leases.is_fresh(key):
            return FactsText()
        return self._queues.facts_noted(key.generation)

    def _description(self, key: DispatchKey) -> str:
        rows = (
            [
                row
                for row in pending.of_generation(self._connection, key.generation)
                if not row.is_chunk
            ]
            if not key.row
            else [row for row in [pending.get(self._connection, key.row)] if row is not None]
        )
        if not rows:
            return "scan"
        first = rows[0].hint
        place = PathText.of(first.folder).path or _name(self._connection, first.root_id)
        what = (
            "all of " if first.recursive else f"{len(first.names)} names in " if first.names else ""
        )
        more = f" and {len(rows) - 1} more" if len(rows) > 1 else ""
        return f"scan {what}{place}{more}"

    def _split(self, row: PendingRow) -> None:
        with write_transaction(self._connection):
            parts = pending.split(self._connection, row, time.time_ns() // 1_000_000)
            if row.attempts:
                run_counts.count_waiting(self._connection, row, -len(row.hint.names or ()))
        self._leases.split([part.id for part in parts])

    def _condemn(self, key: DispatchKey, row: PendingRow, now: float) -> None:
        """Record a problem for a single file whose whole worker was lost repeatedly (R9)."""
        (name,) = row.hint.names or (b"",)
        path = paths.join(row.hint.folder, name)
        root = _root(self._connection, row.hint.root_id)
        follow_links = self._settings.follow_links
        stamp = None
        if root is not None:
            with suppress(errors.RootSilent):
                stamp = ask_at(root.path, stamp_at, root.path, path, follow_links)
        mount = max(
            (
                mount
                for mount in roots.mounts(self._connection, row.hint.root_id)
                if paths.is_below(path, mount.folder)
            ),
            key=lambda mount: len(mount.folder),
            default=None,
        )
        if root is None or stamp is None or mount is None:
            self._put(key, now)  # it is gone meanwhile: a scan will find that
            return
        reason = f"the whole worker that read it was lost {MOST_TRIES} times in a row"
        problem = Problem(ProblemKind.CONTENT, reason)
        turn = self._turn
        self._turn += 1
        origin = Origin(
            index=self._token,
            row=row.id,
            generation=row.generation,
            root=root.name,
            root_id=root.id,
            files=1,
            turn=turn,
            reread=row.hint.reread,
            scan=row.scan_id,
        )
        self._say(logging.WARNING, "condemned", {"path": f"{root.name}/{PathText.of(path).path}"})
        self._queues.put_batch(
            BatchOrder(
                origin=origin,
                files=(FileText.of_entry(Entry(path, stamp, mount.disk_id)),),
                readings=(Reading(path=b"", stamp=stamp, problem=problem, opened=True),),
                reader=READER_VERSION,
            ),
            which=" that crashes the worker",
        )
        self._leases.dispatched(key, turn, now)


def _newest_of_everything(outlines: Iterable[Outline]) -> dict[int, int]:
    """Root id -> the newest generation that scans all of it."""
    newest: dict[int, int] = {}
    for one in outlines:
        if one.is_everything and not one.is_chunk:
            newest[one.root_id] = max(newest.get(one.root_id, 0), one.generation)
    return newest


def _as_texts(files: Iterable[tuple[int, bytes]]) -> tuple[tuple[int, PathText], ...]:
    return tuple((root_id, PathText.of(path)) for root_id, path in sorted(files))


def _root(connection: Connection, root_id: int) -> RootRow | None:
    return next((root for root in roots.watched(connection) if root.id == root_id), None)


def _name(connection: Connection, root_id: int) -> str:
    root = _root(connection, root_id)
    return str(root_id) if root is None else root.name
