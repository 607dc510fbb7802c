"""Pending rows, and what Redis knows of them -> what to dispatch, retry or split. Pure (R5).

A case is one thing to be dispatched: all hints of a generation together, or one chunk. Its lease
runs by the clock of the dispatcher; a heartbeat renews it. Nothing of this is stored, so the leases
of another run are void.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from indexer.store.work.pending import Outline
from indexer.store.work.trials import MOST_TRIES

FAILING_CASES: Final = 12
"""So many chunks lost their workers and none was answered in between: the machine is at fault, not
the files. A guess."""
_LOOKS_A_LEASE: Final = 3
"""Checks of Redis within one lease."""
_JITTER: Final = 0.25
"""The fraction by which a pause may be longer, so that not all retries come at once."""


class DispatchKey(Struct, frozen=True, gc=False):
    """The key of one case."""

    generation: int
    row: int = 0
    """The row of a chunk; 0: the hints of the generation."""


class JobState(Struct, frozen=True):
    """What is known of the jobs of a case."""

    waits: bool = False
    """A job of the case is in a queue."""
    pulse: bytes = b""
    """A value that changes with each heartbeat of its worker; empty: no worker has it."""
    reading: bool = False
    """A reader has got its files: if the whole worker is lost now, they may be at fault."""
    failed: bool = False
    """A job has failed, and none is queued or started."""
    files: int = 1


class Action(Enum):
    """What is to be done about a case."""

    WAIT = auto()
    DISPATCH = auto()
    SPLIT = auto()
    """Its whole worker was lost too often: have it read file by file (rule R9)."""
    CONDEMN = auto()
    """The file that causes the losses was found."""


class DispatchLease(Struct):
    """One case that was dispatched."""

    until: float
    """When it counts as lost, without a heartbeat before."""
    ask_at: float
    turn: int = 0
    attempts: int = 0
    """The attempts of its row when it was dispatched; more mean answered, but incomplete."""
    pulse: bytes = b""
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
    """All cases of one run of the dispatcher."""

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
        self._has_met = False
        self._failing: set[DispatchKey] = set()
        self._split: set[int] = set()
        """Rows of a single file each that replace a chunk."""

    def meet(self, outlines: Iterable[Outline], now: float) -> list[Outline]:
        """Register all pending rows. Returns those that were answered and are incomplete.

        Rows that existed when this run began are checked at once, as are hints from other
        processes, and the rows of a split. Any other chunk that comes later was just made by a
        scan, which dispatches it itself.
        """
        met: set[DispatchKey] = set()
        left: list[Outline] = []
        for outline in outlines:
            single = outline.is_chunk or outline.attempts > 0
            case = DispatchKey(outline.generation, outline.id if single else 0)
            met.add(case)
            lease = self._leases.get(case)
            if lease is None:
                lease = self._leases[case] = DispatchLease(now, now, attempts=0 if single else -1)
                if single and self._has_met and outline.id not in self._split:
                    lease.until = now + self._lease_s
                    lease.ask_at = now + self._lease_s / _LOOKS_A_LEASE
            if single and outline.attempts > lease.attempts:
                lease.attempts = outline.attempts
                lease.failures = lease.losses = 0
                left.append(outline)
        self._has_met = True
        for case in self._leases.keys() - met:
            del self._leases[case]
            self._failing.clear()
        return left

    def register(self, case: DispatchKey, now: float) -> None:
        """Register a new case: it is dispatched without a check for existing jobs."""
        self._leases[case] = DispatchLease(now, now, attempts=-1, fresh=True)

    def is_fresh(self, case: DispatchKey) -> bool:
        """Whether it was never dispatched."""
        return self._leases[case].fresh

    def hold(self, case: DispatchKey) -> None:
        """Leave a case alone until its row is complete."""
        self._leases.setdefault(case, DispatchLease(0.0, 0.0)).held = True

    def try_again(self, case: DispatchKey, at: float) -> None:
        """Dispatch an incomplete case once more at this time."""
        lease = self._leases[case]
        lease.retry_at = lease.ask_at = at

    def void(self, now: float) -> None:
        """All jobs are lost: Redis began anew."""
        for lease in self._leases.values():
            lease.pulse = b""
            if lease.retry_at is None:
                lease.until = lease.ask_at = now

    def due(self, now: float) -> list[DispatchKey]:
        """The cases to check now."""
        return [
            case for case, lease in self._leases.items() if not lease.held and lease.ask_at <= now
        ]

    def put_off(self, case: DispatchKey, now: float) -> None:
        """Nothing can be done about a case now: check it later."""
        self._leases[case].ask_at = now + self._lease_s / _LOOKS_A_LEASE

    def next_at(self) -> float | None:
        """When the next one is due."""
        return min((one.ask_at for one in self._leases.values() if not one.held), default=None)

    def turn_of(self, case: DispatchKey) -> int:
        """How often a case was dispatched."""
        return self._leases[case].turn

    def has_chunks(self, generation: int) -> bool:
        """Whether chunks of a generation are being worked on, so that its hints wait for them."""
        return any(
            case.generation == generation and case.row and not lease.held and lease.attempts <= 0
            for case, lease in self._leases.items()
        )

    def judge(self, case: DispatchKey, sign: JobState, now: float) -> Action:
        """What to do about a case; also sets when to check it next."""
        lease = self._leases[case]
        lease.ask_at = now + self._lease_s / _LOOKS_A_LEASE
        if lease.retry_at is not None:
            if now < lease.retry_at:
                lease.ask_at = lease.retry_at
                return Action.WAIT
            return Action.DISPATCH
        if sign.failed:
            return self._judge_failed(lease, now)
        if sign.waits or (sign.pulse and sign.pulse != lease.pulse):
            lease.pulse = sign.pulse
            lease.until = now + self._lease_s
            return Action.WAIT
        if now < lease.until:
            return Action.WAIT
        return self._judge_lost(case, lease, sign, now) if sign.reading else Action.DISPATCH

    def dispatched(self, case: DispatchKey, turn: int, now: float) -> None:
        """Note that a case was dispatched."""
        lease = self._leases[case]
        lease.turn = turn
        lease.retry_at = None
        lease.fresh = False
        lease.pulse = b""
        lease.until = now + self._lease_s
        lease.ask_at = now + self._lease_s / _LOOKS_A_LEASE

    def split(self, rows: Collection[int]) -> None:
        """Note rows, each of a single file, that replace a chunk whose workers were lost."""
        self._split.update(rows)

    def _judge_lost(
        self, case: DispatchKey, lease: DispatchLease, sign: JobState, now: float
    ) -> Action:
        """Its files were being read and no heartbeat came: the whole worker is lost.

        A reader that dies is not handled here: its worker lives, and finds the file by itself.
        """
        lease.losses += 1
        lease.retry_at = now  # if Redis does not accept it, it is not one more loss
        self._failing.add(case)
        if len(self._failing) >= FAILING_CASES:
            return Action.DISPATCH
        if sign.files > 1:
            return Action.SPLIT if lease.losses > self._retries else Action.DISPATCH
        return Action.CONDEMN if lease.losses >= MOST_TRIES else Action.DISPATCH

    def _judge_failed(self, lease: DispatchLease, now: float) -> Action:
        lease.failures += 1
        lease.retry_at = lease.ask_at = now + self._pause_s(lease.failures)
        return Action.WAIT

    def _pause_s(self, failures: int) -> float:
        pause_s = min(self._first_s * 2.0 ** min(failures - 1, 32), self._longest_s)
        return pause_s * (1 + _JITTER * self._chance())
