"""Costs of runs -> figures of a step: the words that scenario, table and bars share."""

from __future__ import annotations

from statistics import median

from msgspec import Struct, field

from tests.bench.process import Cost

KERNEL = "kernel's limit: open + read 64 KB"
FIND = "kernel's limit: find -printf"
MUTAGEN = "mutagen.File alone"
REBUILD = "rebuild"
UNCHANGED = "scan, nothing changed"
RETAGGED = "scan, 3 files retagged"
RENAMED = "scan, album folder renamed"
SEARCH = "search, two words"
VERIFY = "verify"


class Step(Struct):
    """One row of the table; figures are medians of the runs."""

    name: str
    runs: list[Cost] = field(default_factory=list)
    opened: int | None = None
    read_bytes: int | None = None
    database_bytes: int | None = None
    rows: dict[str, int] | None = None
    """Rows written, by table."""
    calls: dict[str, int] = field(default_factory=dict)
    """System calls of one run, by name."""
    absent: str = ""
    """Why there are no runs."""

    @property
    def _timed(self) -> list[Cost]:
        """The runs that nobody disturbed, if there are any (peers are looked at in all)."""
        return [run for run in self.runs if not run.sampled] or self.runs

    @property
    def seconds(self) -> float:
        """From the start of the process to its end."""
        return median(run.seconds for run in self._timed)

    @property
    def cpu_s(self) -> float:
        """User and system time of all processes."""
        return median(run.cpu_s for run in self._timed)

    @property
    def peak_pss(self) -> int:
        """The highest of all runs: a peak that was seen once is there."""
        return max(run.peak_pss for run in self.runs)

    @property
    def written_bytes(self) -> float:
        """To disks, by all processes."""
        return median(run.written_bytes for run in self.runs)


class Library(Struct):
    """All that was measured on one library."""

    files: int
    steps: list[Step]


class Result(Struct):
    """What `--json` writes."""

    machine: dict[str, str | int | float]
    libraries: list[Library]
