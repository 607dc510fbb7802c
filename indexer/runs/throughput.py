"""The work of one process in the last minute, as the lock file passes it to `status`."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from enum import StrEnum
from typing import TYPE_CHECKING, NamedTuple

from msgspec import Struct, structs

if TYPE_CHECKING:
    from indexer.results.status_report import Rates

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
    ARTWORK = "artwork"
    """Albums and artists whose picture was chosen."""


class LastMinute(NamedTuple):
    """The work of the last minute, as a `Status` has it."""

    rates: Rates
    error_rate: float
    """Share of the files read that had a problem."""


class Bucket(Struct, frozen=True, array_like=True):
    """A span of seconds, by number, and the files of each step in it."""

    number: int
    discovery: int = 0
    extraction: int = 0
    insertion: int = 0
    failed: int = 0
    artwork: int = 0


class Totals(Struct, frozen=True):
    """What was done since the count began: each number only grows."""

    discovery: int = 0
    extraction: int = 0
    insertion: int = 0
    artwork: int = 0
    bytes_read: int = 0
    """Of the files that were read, for tags and for artwork."""
    cache_hits: int = 0
    """Files that were looked at and not opened, since the stamp in the index is theirs."""
    bytes_written: int = 0
    """What the process had written to disks, the index above all."""
    changes: dict[str, int] = {}
    """Kind -> number of changes of the view."""


class Throughput:
    """Adds up; keeps the buckets of one minute."""

    def __init__(self) -> None:
        self.totals = Totals()
        self._buckets: list[Bucket] = []

    @property
    def buckets(self) -> tuple[Bucket, ...]:
        """The buckets that are kept, oldest first."""
        return tuple(self._buckets)

    def add(
        self, now_s: float, *, discovery: int, extraction: int, insertion: int, failed: int
    ) -> None:
        """Add counts of files at `now_s` (Unix seconds)."""
        self._add(now_s, discovery, extraction, insertion, failed, 0)
        self.add_totals(discovery=discovery, extraction=extraction, insertion=insertion)

    def add_artwork(self, now_s: float, chosen: int) -> None:
        """Add albums and artists whose picture was chosen."""
        self._add(now_s, 0, 0, 0, 0, chosen)
        self.add_totals(artwork=chosen)

    def add_totals(self, **numbers: int) -> None:
        """Add to `totals` alone, by their names."""
        if any(numbers.values()):
            sums = {name: getattr(self.totals, name) + more for name, more in numbers.items()}
            self.totals = structs.replace(self.totals, **sums)

    def add_changes(self, counted: Mapping[str, int]) -> None:
        """Add changes of the view, by their kind."""
        sums = dict(self.totals.changes)
        for kind, number in counted.items():
            sums[kind] = sums.get(kind, 0) + number
        self.totals = structs.replace(self.totals, changes=sums)

    def _add(self, now_s: float, *counts: int) -> None:
        """Add to the bucket of this moment, in the order of its fields."""
        if not any(counts):
            return
        number = int(now_s // BUCKET_S)
        last = Bucket(number)
        if self._buckets and self._buckets[-1].number == number:
            last = self._buckets.pop()
        before = structs.astuple(last)[1:]
        sums = (one + more for one, more in zip(before, counts, strict=True))
        self._buckets.append(Bucket(number, *sums))
        del self._buckets[: -WINDOW_S // BUCKET_S]


def rates_of(buckets: Iterable[Bucket], now_s: float) -> LastMinute:
    """Files a second in that part of the minute before `now_s` (Unix seconds) which had work.

    The rate of a short burst is that of 5 s at the least. Artwork, which follows files for a while,
    has a time of its own.
    """
    newest = int(now_s // BUCKET_S)
    recent = [one for one in buckets if newest - WINDOW_S // BUCKET_S < one.number <= newest]
    read = sum(one.extraction for one in recent)
    failed = sum(one.failed for one in recent)
    had_files = (one for one in recent if one.discovery or one.extraction or one.insertion)
    busy_s = dict.fromkeys(Step, _seconds(had_files))
    busy_s[Step.ARTWORK] = _seconds(one for one in recent if one.artwork)
    totals = {
        Step.DISCOVERY: sum(one.discovery for one in recent),
        Step.EXTRACTION: read,
        Step.INSERTION: sum(one.insertion for one in recent),
        Step.ARTWORK: sum(one.artwork for one in recent),
    }
    from indexer.results.status_report import Rates  # late: each command imports this module

    return LastMinute(
        Rates(**{step: round(total / busy_s[step], 1) for step, total in totals.items()}),
        round(min(1.0, failed / read), 4) if read else 0.0,
    )


def _seconds(buckets: Iterable[Bucket]) -> int:
    """Their time; that of several processes at once counts once. One bucket's at the least."""
    return BUCKET_S * max(1, len({one.number for one in buckets}))
