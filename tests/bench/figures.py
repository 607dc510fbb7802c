"""Costs of runs -> figures of steps; shared by scenario, table and bars."""

from __future__ import annotations

from statistics import median

from msgspec import Struct, field

from tests.bench.cold import Asked
from tests.bench.process import Cost
from tests.bench.strace import Habit

FIND = "kernel's limit: find -printf"
KERNEL = "kernel's limit: open + read 64 KB"
KERNEL_TWO = "kernel's limit: open + read, two threads"
MUTAGEN = "mutagen.File alone"
SQLITE = "plain SQLite insert"
WALK = "stage: walk"
SCAN = "stage: walk and compare"
EXTRACT = "stage: extract, one core"
ENCODE = "stage: encode"
BATCH = "stage: batch"
INSERT = "stage: insert"
STAGES = {
    "walk": WALK, "scan": SCAN, "extract": EXTRACT,
    "encode": ENCODE, "batch": BATCH, "insert": INSERT,
}  # fmt: skip
REBUILD = "rebuild"
UNCHANGED = "scan, nothing changed"
COLD_KERNEL = "kernel's limit, cold: open + read 64 KB"
COLD_REBUILD = "rebuild, cold"
COLD_UNCHANGED = "scan, nothing changed, cold"
RETAGGED = "scan, 3 files retagged"
RENAMED = "scan, album folder renamed"
SEARCH = "search, two words"
VERIFY = "verify"
LIMITS = {
    WALK: FIND,
    SCAN: FIND,
    EXTRACT: KERNEL,
    INSERT: SQLITE,
    REBUILD: KERNEL_TWO,
    UNCHANGED: FIND,
    VERIFY: FIND,
    COLD_REBUILD: COLD_KERNEL,
}
"""Step -> its lower bound for any program, measured in the same run."""
OFTEN = (FIND, KERNEL, KERNEL_TWO, SQLITE)
"""So short that each round runs them several times; all ratios depend on them."""


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
    habit: Habit | None = None
    """The access pattern of that run."""
    asked: Asked | None = None
    """Requests to the disk in a run with a cold cache, by all processes."""
    absent: str = ""
    """Why there are no runs."""

    @property
    def timed(self) -> list[Cost]:
        """The runs without memory sampling, if there are any (peers are always sampled)."""
        return [run for run in self.runs if not run.sampled] or self.runs

    @property
    def seconds(self) -> float:
        """From the start of the process to its end."""
        return median(run.seconds for run in self.timed)

    @property
    def cpu_s(self) -> float:
        """User and system time of all processes."""
        return median(run.cpu_s for run in self.timed)

    @property
    def least_seconds(self) -> float:
        """Of the fastest run: other load can only add time."""
        return min(run.seconds for run in self.timed)

    @property
    def least_cpu_s(self) -> float:
        """Likewise for user and system time."""
        return min(run.cpu_s for run in self.timed)

    @property
    def peak_pss(self) -> int:
        """The maximum of all runs."""
        return max(run.peak_pss for run in self.runs)

    @property
    def written_bytes(self) -> float:
        """To disks, by all processes."""
        return median(run.written_bytes for run in self.runs)


class Library(Struct):
    """All measurements of one library."""

    files: int
    steps: list[Step]
    tiny: bool = False
    """Short files without covers, to measure growth with their number."""

    def step(self, name: str) -> Step | None:
        """One of the steps, if it was run."""
        return next((step for step in self.steps if step.name == name and step.runs), None)

    def limit_of(self, step: Step) -> Step | None:
        """The step that is the lower bound of this one, if it was run."""
        return self.step(LIMITS[step.name]) if step.name in LIMITS else None


class Result(Struct):
    """The output of `--json`."""

    machine: dict[str, str | int | float]
    libraries: list[Library]
