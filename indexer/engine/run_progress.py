"""The scans of a run, and how far they are -> its counts, and the progress that is shown."""

from __future__ import annotations

from indexer.model import Listener, Progress
from indexer.runs.result import Result
from indexer.stages.scan import Scan


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
