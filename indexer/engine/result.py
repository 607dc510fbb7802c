"""What a run did, as it goes on, by the names of the contract."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from msgspec import Struct

from indexer.stages.outcome import Outcome, Tally


class Result(Struct):
    """What a run did, as it goes on."""

    tally: Tally = msgspec.field(default_factory=Tally)
    seen: int = 0
    unchanged: int = 0
    files_read: int = 0
    bytes_read: int = 0
    pending: int = 0
    seconds: float = 0.0
    interrupted: bool = False
    goes_on: bool = False
    """Interrupted here, while workers go on with it."""

    def count_change(self, kind: str, number: int) -> None:
        """Take a line of the change feed, which is all that is known of another process's work."""
        self.tally[Outcome(kind)] += number

    def take(self, counts: Mapping[str, float | bool]) -> None:
        """Take what a row of `scans` has counted, by the names of `counts`."""
        for outcome in Outcome:
            self.tally[outcome] = int(counts.get(str(outcome), 0))
        self.seen = int(counts.get("seen", 0))
        self.files_read = int(counts.get("files_read", 0))
        self.bytes_read = int(counts.get("bytes_read", 0))
        self.pending = int(counts.get("pending", 0))

    def counts(self) -> dict[str, float | bool]:
        """Everything by the names of the contract."""
        return {
            "seen": self.seen,
            **{str(outcome): self.tally[outcome] for outcome in Outcome},
            "unchanged": self.unchanged + self.tally[Outcome.UNCHANGED],
            "files_read": self.files_read,
            "bytes_read": self.bytes_read,
            "seconds": round(self.seconds, 3),
            "files_per_second": round(self.seen / self.seconds, 1) if self.seconds else 0.0,
            "interrupted": self.interrupted,
            "pending": self.pending,
        }
