"""A run: its counts by the names of the contract, its progress, the facts of a daemon, its end."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec import Struct

from indexer.model import Listener, Progress
from indexer.stages.moves import Outcome, Tally
from indexer.store.connection import Connection
from indexer.store.work import counted, scans

if TYPE_CHECKING:
    from indexer.stages.scan import Scan

_EVIDENCE_MARGIN_S: Final = 0.5
"""Margin over `still`, since a file's time begins with the kernel's last tick, and another process
has to scan it. A guess."""
_END_S: Final = 1.0
"""When nothing of a run is pending, the process that did the last of it ends it at once; if it was
killed at that moment, no process will. A guess."""


class Result(Struct):
    """The counts of a run while it goes on."""

    tally: Tally = msgspec.field(default_factory=Tally)
    seen: int = 0
    unchanged: int = 0
    files_read: int = 0
    bytes_read: int = 0
    damaged: int = 0
    pending: int = 0
    deferred_reads: int = 0
    """Files that were opened for artwork after the run; not among `files_read`."""
    deferred_seconds: float = 0.0
    """How long that took; not among `seconds`."""
    seconds: float = 0.0
    interrupted: bool = False
    goes_on: bool = False
    """Interrupted here, while the daemon or workers continue it."""

    def take(self, counts: Mapping[str, float | bool]) -> None:
        """Take over the counts of a row of `scans`, by the names of `counts`."""
        for outcome in Outcome:
            self.tally[outcome] = int(counts.get(str(outcome), 0))
        self.seen = int(counts.get("seen", 0))
        self.files_read = int(counts.get("files_read", 0))
        self.bytes_read = int(counts.get("bytes_read", 0))
        self.damaged = int(counts.get("damaged", 0))
        self.pending = int(counts.get("pending", 0))

    @property
    def has_changes(self) -> bool:
        """Whether anything was found that the index did not have."""
        return any(self.tally[one] for one in Outcome if one is not Outcome.UNCHANGED)

    def numbers(self) -> dict[str, int]:
        """All whole numbers, by the names of the contract."""
        return {
            "seen": self.seen,
            **{str(outcome): self.tally[outcome] for outcome in Outcome},
            "unchanged": self.unchanged + self.tally[Outcome.UNCHANGED],
            "files_read": self.files_read,
            "bytes_read": self.bytes_read,
            "damaged": self.damaged,
            "pending": self.pending,
        }

    def counts(self) -> dict[str, float | bool]:
        """Everything by the names of the contract."""
        return {
            **self.numbers(),
            "seconds": round(self.seconds, 3),
            "files_per_second": round(self.seen / self.seconds, 1) if self.seconds else 0.0,
            "interrupted": self.interrupted,
        }


class RunProgress:
    """What a run has listed so far, in `result`, and in what a listener gets."""

    def __init__(self, result: Result, listener: Listener | None) -> None:
        self.result = result
        self.phase = "listing"
        self.expected: int | None = None
        """About how many files there are, if known."""
        self.scans: list[Scan] = []
        self.more_scans: list[Scan] = []
        """Scans of files that were incomplete."""
        self._listener = listener

    def report(self, root: str) -> None:
        """Sum up all scans; `root` is the name of the root at hand."""
        self.result.seen = sum(scan.seen for scan in self.scans)
        self.result.unchanged = sum(scan.unchanged for scan in (*self.scans, *self.more_scans))
        if self._listener is not None:
            self._listener(
                Progress(
                    phase=self.phase,
                    root=root,
                    seen=self.result.seen,
                    to_read=sum(scan.to_read for scan in self.scans),
                    read=self.result.files_read,
                    expected=self.expected,
                )
            )


class EventFacts(Struct, frozen=True):
    """What a daemon knows of files and a command does not. Paths come with their root's id."""

    closed: frozenset[tuple[int, bytes]] = frozenset()
    """Closed or moved in since their last write."""
    unfinished: frozenset[tuple[int, bytes]] = frozenset()
    """Being written now: not to be read, to stay pending."""

    def of_root(self, paths_of: frozenset[tuple[int, bytes]], root_id: int) -> frozenset[bytes]:
        """The paths of one root."""
        return frozenset(path for root, path in paths_of if root == root_id)


def follow(
    connection: Connection,
    scan_id: int,
    *,
    still_s: float,
    pause: Callable[[], object],
    keep_on: Callable[[], bool],
    step: Callable[[], bool] = lambda: False,
) -> bool:
    """Wait until a run has ended; False when `keep_on` becomes false before.

    Incomplete files are waited for as long as a command without a daemon would: `still`.
    `step` is called at each check, and returns whether there is more to do; `pause` between them.
    """
    ended_at: float | None = None
    whole_until: float | None = None
    while keep_on():
        is_busy = step()
        now = time.monotonic()
        if is_busy or counted.waits_for(connection, scan_id):
            ended_at = None
        elif ended_at is None:
            ended_at = now
        if ended_at is not None and (
            scans.has_ended(connection, scan_id) or now - ended_at > _END_S
        ):
            if whole_until is None:
                whole_until = now + still_s + _EVIDENCE_MARGIN_S
            if not counted.left_of(connection, scan_id) or now >= whole_until:
                return True
        pause()
    return False
