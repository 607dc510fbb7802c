"""Pending rows, and what Redis knows of them -> what to dispatch, retry or split. Pure (R5).

A key names one unit of dispatch: all hints of a generation together, or one chunk. Its lease runs
by the clock of the dispatcher; a heartbeat renews it. Nothing of this is stored, so the leases of
another run are void.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from indexer.store.work.pending import Outline
from indexer.store.work.trials import MOST_TRIES

FAILING_CHUNKS: Final = 12
"""If so many chunks lost their workers, and none was completed in between, the machine is at fault,
not the files. A guess."""
_CHECKS_A_LEASE: Final = 3
"""Checks of Redis within one lease."""
_JITTER: Final = 0.25
"""The fraction by which a pause may be longer, so that not all retries come at once."""


class DispatchKey(Struct, frozen=True, gc=False):
    """The key of one unit of dispatch."""

    generation: int
    row: int = 0
    """The row of a chunk; 0: the hints of the generation."""


class DispatchState(Struct, frozen=True):
    """The state of the jobs of one key, taken together."""

    waits: bool = False
    """A job of it is in a queue."""
    heartbeat: bytes = b""
    """A value that changes with each heartbeat of its worker; empty: no worker has it."""
    reading: bool = False
    """Its files were given to a reader: if the whole worker is lost now, they may be at fault."""
    failed: bool = False
    """A job has failed, and none is queued or started."""
    files: int = 1


class Action(Enum):
    """What is to be done about a key."""

    WAIT = auto()
    DISPATCH = auto()
    SPLIT = auto()
    """Its whole worker was lost too often: have it read file by file (rule R9)."""
    CONDEMN = auto()
    """The file that causes the losses was found."""


class DispatchLease(Struct):
    """The lease of one key."""

    until: float
    """When it counts as lost, without a heartbeat before."""
    ask_at: float
    turn: int = 0
    attempts: int = 0
    """The attempts of its row when it was dispatched; more mean answered, but incomplete."""
    heartbeat: bytes = b""
    failures: int = 0
    losses: int = 0
    """How often a whole worker was lost while its files were being read."""
    retry_at: float | None = None
    """It failed, and waits for its next try."""
    fresh: bool = False
    """Enqueued by this dispatcher, not dispatched yet: no job of it exists."""
    held: bool = False
    """Not to be dispatched: a debouncer watches its files, and will leave a new hint."""


class DispatchLeases:
    """The leases of one run of the dispatcher, by key."""

    def __init__(
        self,
        lease_s: float,
        retries: int,
        first_s: float,
        longest_s: float,
        chance: Callable[[], float],
    ) -> None:
        """`chance` returns a number from 0 to 1; a test passes its own."""
        self._lease_s = lease_s
        self._retries = retries
        self._first_s = first_s
        self._longest_s = longest_s
        self._chance = chance
        self._leases: dict[DispatchKey, DispatchLease] = {}
        self._is_synced = False
        self._failing: set[DispatchKey] = set()
        self._split: set[int] = set()
        """Rows of a single file each that replace a chunk."""

    def sync(self, outlines: Iterable[Outline], now: float) -> list[Outline]:
        """Register all pending rows, drop the leases of others; the rows answered but incomplete.

        Rows that existed when this run began are checked at once, as are hints from other
        processes, and the rows of a split. Any other chunk that comes later was just made by a
        scan, which dispatches it itself.
        """
        seen: set[DispatchKey] = set()
        left: list[Outline] = []
        for outline in outlines:
            single = outline.is_chunk or outline.attempts > 0
            key = DispatchKey(outline.generation, outline.id if single else 0)
            seen.add(key)
            lease = self._leases.get(key)
            if lease is None:
                lease = self._leases[key] = DispatchLease(now, now, attempts=0 if single else -1)
                if single and self._is_synced and outline.id not in self._split:
                    lease.until = now + self._lease_s
                    lease.ask_at = now + self._lease_s / _CHECKS_A_LEASE
            if single and outline.attempts > lease.attempts:
                lease.attempts = outline.attempts
                lease.failures = lease.losses = 0
                left.append(outline)
        self._is_synced = True
        for key in self._leases.keys() - seen:
            del self._leases[key]
            self._failing.clear()
        return left

    def register(self, key: DispatchKey, now: float) -> None:
        """Register a new key: it is dispatched without a check for existing jobs."""
        self._leases[key] = DispatchLease(now, now, attempts=-1, fresh=True)

    def is_fresh(self, key: DispatchKey) -> bool:
        """Whether it was never dispatched."""
        return self._leases[key].fresh

    def hold(self, key: DispatchKey) -> None:
        """Do not dispatch a key until its row is complete."""
        self._leases.setdefault(key, DispatchLease(0.0, 0.0)).held = True

    def try_again(self, key: DispatchKey, at: float) -> None:
        """Dispatch an incomplete key once more at this time."""
        lease = self._leases[key]
        lease.retry_at = lease.ask_at = at

    def void(self, now: float) -> None:
        """All jobs are lost: Redis began anew."""
        for lease in self._leases.values():
            lease.heartbeat = b""
            if lease.retry_at is None:
                lease.until = lease.ask_at = now

    def due(self, now: float) -> list[DispatchKey]:
        """The keys to check now."""
        return [
            key for key, lease in self._leases.items() if not lease.held and lease.ask_at <= now
        ]

    def put_off(self, key: DispatchKey, now: float) -> None:
        """Nothing can be done about a key now: check it later."""
        self._leases[key].ask_at = now + self._lease_s / _CHECKS_A_LEASE

    def next_at(self) -> float | None:
        """When the next one is due."""
        return min((one.ask_at for one in self._leases.values() if not one.held), default=None)

    def turn_of(self, key: DispatchKey) -> int:
        """The turn in which a key was last dispatched."""
        return self._leases[key].turn

    def has_chunks(self, generation: int) -> bool:
        """Whether chunks of a generation are being worked on, so that its hints wait for them."""
        return any(
            key.generation == generation and key.row and not lease.held and lease.attempts <= 0
            for key, lease in self._leases.items()
        )

    def judge(self, key: DispatchKey, state: DispatchState, now: float) -> Action:
        """What to do about a key; also sets when to check it next."""
        lease = self._leases[key]
        lease.ask_at = now + self._lease_s / _CHECKS_A_LEASE
        if lease.retry_at is not None:
            if now < lease.retry_at:
                lease.ask_at = lease.retry_at
                return Action.WAIT
            return Action.DISPATCH
        if state.failed:
            return self._judge_failed(lease, now)
        if state.waits or (state.heartbeat and state.heartbeat != lease.heartbeat):
            lease.heartbeat = state.heartbeat
            lease.until = now + self._lease_s
            return Action.WAIT
        if now < lease.until:
            return Action.WAIT
        return self._judge_lost(key, lease, state, now) if state.reading else Action.DISPATCH

    def dispatched(self, key: DispatchKey, turn: int, now: float) -> None:
        """Note that a key was dispatched."""
        lease = self._leases[key]
        lease.turn = turn
        lease.retry_at = None
        lease.fresh = False
        lease.heartbeat = b""
        lease.until = now + self._lease_s
        lease.ask_at = now + self._lease_s / _CHECKS_A_LEASE

    def split(self, rows: Collection[int]) -> None:
        """Note rows, each of a single file, that replace a chunk whose workers were lost."""
        self._split.update(rows)

    def _judge_lost(
        self, key: DispatchKey, lease: DispatchLease, state: DispatchState, now: float
    ) -> Action:
        """Its files were being read and no heartbeat came: the whole worker is lost.

        A reader that dies is not handled here: its worker lives, and finds the file by itself.
        """
        lease.losses += 1
        lease.retry_at = now  # if Redis does not accept it, it is not one more loss
        self._failing.add(key)
        if len(self._failing) >= FAILING_CHUNKS:
            return Action.DISPATCH
        if state.files > 1:
            return Action.SPLIT if lease.losses > self._retries else Action.DISPATCH
        return Action.CONDEMN if lease.losses >= MOST_TRIES else Action.DISPATCH

    def _judge_failed(self, lease: DispatchLease, now: float) -> Action:
        lease.failures += 1
        lease.retry_at = lease.ask_at = now + self._pause_s(lease.failures)
        return Action.WAIT

    def _pause_s(self, failures: int) -> float:
        pause_s = min(self._first_s * 2.0 ** min(failures - 1, 32), self._longest_s)
        return pause_s * (1 + _JITTER * self._chance())
