"""The work of one process in the last minute, as the lock file passes it to `status`."""

from __future__ import annotations

from collections.abc import Iterable
from enum import StrEnum

from msgspec import Struct

BUCKET_S = 5
WINDOW_S = 60


class Step(StrEnum):
    """What is counted."""

    DISCOVERY = "discovery"
    """Files seen by scans."""
    EXTRACTION = "extraction"
    """Files opened and read."""
    INSERTION = "insertion"
    """Files written to the index, or found unchanged there."""


class Rates(Struct, frozen=True):
    """Files a second over the last minute, and the share of the files read that had a problem."""

    files_per_second: dict[Step, float]
    error_rate: float


class Bucket(Struct, frozen=True, array_like=True):
    """A span of seconds, by number, and the files of each step in it."""

    number: int
    discovery: int = 0
    extraction: int = 0
    insertion: int = 0
    failed: int = 0


class Throughput:
    """Adds up; keeps the buckets of one minute."""

    def __init__(self) -> None:
        self._buckets: list[Bucket] = []

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The buckets that are kept, oldest first."""
        return tuple(self._buckets)

    def add(
        self, now_s: float, *, discovery: int, extraction: int, insertion: int, failed: int
    ) -> None:
        """Add counts of files at `now_s` (Unix seconds)."""
        if not (discovery or extraction or insertion or failed):
            return
        number = int(now_s // BUCKET_S)
        last = Bucket(number)
        if self._buckets and self._buckets[-1].number == number:
            last = self._buckets.pop()
        self._buckets.append(
            Bucket(
                number,
                last.discovery + discovery,
                last.extraction + extraction,
                last.insertion + insertion,
                last.failed + failed,
            )
        )
        del self._buckets[: -WINDOW_S // BUCKET_S]


def rates_of(buckets: Iterable[Bucket], now_s: float) -> Rates:
    """Files a second over the minute before `now_s` (Unix seconds)."""
    newest = int(now_s // BUCKET_S)
    recent = [one for one in buckets if newest - WINDOW_S // BUCKET_S < one.number <= newest]
    read = sum(one.extraction for one in recent)
    failed = sum(one.failed for one in recent)
    totals = {
        Step.DISCOVERY: sum(one.discovery for one in recent),
        Step.EXTRACTION: read,
        Step.INSERTION: sum(one.insertion for one in recent),
    }
    return Rates(
        {step: round(total / WINDOW_S, 1) for step, total in totals.items()},
        round(min(1.0, failed / read), 4) if read else 0.0,
    )
