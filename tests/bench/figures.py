"""Costs of runs -> figures of a step: the words that scenario, table and bars share."""

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
"""What each is held against: the least that any program does for it, measured in the same run."""
OFTEN = (FIND, KERNEL, KERNEL_TWO, SQLITE)
"""So short that each round has several of them; all ratios hang on them."""


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
    """How that run read the tracks."""
    asked: Asked | None = None
    """What the disk was asked for in a run with a cold cache: by us, and by all else that ran."""
    absent: str = ""
    """Why there are no runs."""

    @property
    def timed(self) -> list[Cost]:
        """The runs that nobody disturbed, if there are any (peers are looked at in all)."""
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
        """Of the run that was disturbed least: what else a machine does can only add."""
        return min(run.seconds for run in self.timed)

    @property
    def least_cpu_s(self) -> float:
        """The same, for user and system time."""
        return min(run.cpu_s for run in self.timed)

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
    tiny: bool = False
    """Short files without covers: what grows with their number, and little else."""

    def step(self, name: str) -> Step | None:
        """One of the steps, if it was run."""
        return next((step for step in self.steps if step.name == name and step.runs), None)

    def limit_of(self, step: Step) -> Step | None:
        """The step that this one is held against, if there is one and it was run."""
        return self.step(LIMITS[step.name]) if step.name in LIMITS else None


class Result(Struct):
    """What `--json` writes."""

    machine: dict[str, str | int | float]
    libraries: list[Library]
