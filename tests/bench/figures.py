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
SEED = "rebuild without artwork"
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
    busy: float | None = None
    """Fraction of the cores that it kept busy over the middle of a run (cores.py)."""
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


class Watcher(Struct):
    """A program that watches a library: at rest, and when a file is closed."""

    name: str
    latencies_ms: list[float] = field(default_factory=list)
    """From the close of a new file to the answer that has it."""
    unseen: int = 0
    """Files that it did not show in time."""
    rest_pss: int = 0
    rest_cpu_s: float = 0.0
    rest_s: float = 0.0
    """For which its processor time was counted."""
    absent: str = ""

    @property
    def median_ms(self) -> float:
        return median(self.latencies_ms)

    @property
    def worst_ms(self) -> float:
        return max(self.latencies_ms)

    @property
    def rest_ms_a_minute(self) -> float:
        """Of processor time at rest."""
        return self.rest_cpu_s / self.rest_s * 60_000


class Library(Struct):
    """All measurements of one library."""

    files: int
    steps: list[Step]
    tiny: bool = False
    """Short files without covers, to measure growth with their number."""
    watchers: list[Watcher] = field(default_factory=list)
    searches_ms: dict[str, float] = field(default_factory=dict)
    """Kind of question -> median, inside a process that has the index open."""
    machine: dict[str, str | int | float] = field(default_factory=dict)
    """The conditions of these measurements."""

    def step(self, name: str) -> Step | None:
        """One of the steps, if it was run."""
        return next((step for step in self.steps if step.name == name and step.runs), None)

    def watcher(self, name: str) -> Watcher | None:
        """One of the watchers, if it showed anything."""
        return next((one for one in self.watchers if one.name == name and one.latencies_ms), None)

    def limit_of(self, step: Step) -> Step | None:
        """The step that is the lower bound of this one, if it was run."""
        return self.step(LIMITS[step.name]) if step.name in LIMITS else None


class Result(Struct):
    """The output of `--json`."""

    machine: dict[str, str | int | float]
    libraries: list[Library]
