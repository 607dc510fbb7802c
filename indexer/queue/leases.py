"""What waits, and what Redis knows of it -> what to dispatch, to try again, to split. Pure (R5).

A case is one thing to be dispatched: all hints of a generation together, or one chunk. Its lease
runs by the clock of whoever dispatches; a sign of life renews it. Nothing of this is stored, so the
leases of another run are void.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from enum import Enum, auto
from typing import Final

from msgspec import Struct

from indexer.store.pending import Outline
from indexer.store.trials import MOST_TRIES

FAILING_CASES: Final = 12
"""So many chunks took their workers with them and none was answered in between: the machine is at
fault, not the files. A guess."""
_LOOKS_A_LEASE: Final = 3
"""How often Redis is asked within one lease."""
_JITTER: Final = 0.25
"""By which part a pause may be longer, so that not all tries come at once."""


class DispatchKey(Struct, frozen=True, gc=False):
    """What is dispatched as one."""

    generation: int
    row: int = 0
    """Of a chunk; 0: the hints of the generation."""


class JobState(Struct, frozen=True):
    """What is known of the jobs of a case."""

    waits: bool = False
    """One stands in a queue."""
    pulse: bytes = b""
    """Another one each time that whoever works on it shows life; empty: nobody does."""
    reading: bool = False
    """A reader has got its files: if the whole worker is lost now, they may be at fault."""
    failed: bool = False
    """One has failed, and none is queued or started."""
    files: int = 1


class Action(Enum):
    """What is to be done about a case."""

    WAIT = auto()
    DISPATCH = auto()
    SPLIT = auto()
    """Its whole worker was lost too often: have it read file by file (rule R9)."""
    CONDEMN = auto()
    """That file was found."""


class DispatchLease(Struct):
    """One case that was dispatched."""

    until: float
    """When it is lost, if it shows no life before."""
    ask_at: float
    turn: int = 0
    attempts: int = 0
    """Those of its row when it was dispatched; more mean that it was answered, and is not whole."""
    pulse: bytes = b""
    failures: int = 0
    losses: int = 0
    """How often the whole worker was lost that had its files read."""
    retry_at: float | None = None
    """It failed, and waits for its next try."""
    fresh: bool = False
    """It was left a moment ago by whoever dispatches: nobody can have heard of it."""
    held: bool = False
    """Not to be dispatched: somebody watches over its files, and will leave a new hint."""


class DispatchLeases:
    """All cases of one run of whoever dispatches."""

    def __init__(
        self,
        lease_s: float,
        retries: int,
        first_s: float,
        longest_s: float,
        chance: Callable[[], float],
    ) -> None:
        """`chance` answers with a number from 0 to 1; a test gives its own."""
        self._lease_s = lease_s
        self._retries = retries
        self._first_s = first_s
        self._longest_s = longest_s
        self._chance = chance
        self._leases: dict[DispatchKey, DispatchLease] = {}
        self._has_met = False
        self._failing: set[DispatchKey] = set()
        self._split: set[int] = set()
        """Rows of a single file that stand for a chunk."""

    def meet(self, outlines: Iterable[Outline], now: float) -> list[Outline]:
        """Take in everything that waits. Rows that were answered and are not whole come back.

        What stood there when this run began is asked for at once, as are hints that somebody else
        has left, and what was split. Another chunk that comes later was made by a scan a moment
        ago, which hands it out.
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
        """A case that is new to everybody: it is dispatched without asking for it first."""
        self._leases[case] = DispatchLease(now, now, attempts=-1, fresh=True)

    def is_fresh(self, case: DispatchKey) -> bool:
        """Whether it was never given out."""
        return self._leases[case].fresh

    def hold(self, case: DispatchKey) -> None:
        """Leave a case alone until its row is settled."""
        self._leases.setdefault(case, DispatchLease(0.0, 0.0)).held = True

    def try_again(self, case: DispatchKey, at: float) -> None:
        """Dispatch a case that is not whole once more at this time."""
        lease = self._leases[case]
        lease.retry_at = lease.ask_at = at

    def void(self, now: float) -> None:
        """All jobs are lost: Redis began anew."""
        for lease in self._leases.values():
            lease.pulse = b""
            if lease.retry_at is None:
                lease.until = lease.ask_at = now

    def due(self, now: float) -> list[DispatchKey]:
        """The cases to ask about now."""
        return [
            case for case, lease in self._leases.items() if not lease.held and lease.ask_at <= now
        ]

    def put_off(self, case: DispatchKey, now: float) -> None:
        """Nothing can be done about a case now: ask for it later."""
        self._leases[case].ask_at = now + self._lease_s / _LOOKS_A_LEASE

    def next_at(self) -> float | None:
        """When the next one is due."""
        return min((one.ask_at for one in self._leases.values() if not one.held), default=None)

    def turn_of(self, case: DispatchKey) -> int:
        """How often a case was dispatched."""
        return self._leases[case].turn

    def has_chunks(self, generation: int) -> bool:
        """Whether chunks of a generation are in work, so that its hints wait for them."""
        return any(
            case.generation == generation and case.row and not lease.held and lease.attempts <= 0
            for case, lease in self._leases.items()
        )

    def judge(self, case: DispatchKey, sign: JobState, now: float) -> Action:
        """What to do about a case, and when to ask for it next."""
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
        """A case was given out."""
        lease = self._leases[case]
        lease.turn = turn
        lease.retry_at = None
        lease.fresh = False
        lease.pulse = b""
        lease.until = now + self._lease_s
        lease.ask_at = now + self._lease_s / _LOOKS_A_LEASE

    def split(self, rows: Collection[int]) -> None:
        """These rows, each of a single file, stand for one whose workers were lost."""
        self._split.update(rows)

    def _judge_lost(
        self, case: DispatchKey, lease: DispatchLease, sign: JobState, now: float
    ) -> Action:
        """Its files were being read and nothing shows life: the whole worker is gone.

        A reader that dies is no matter of ours: its worker lives, and finds the file by itself.
        """
        lease.losses += 1
        lease.retry_at = now  # if Redis does not take it, it is not one more loss
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
