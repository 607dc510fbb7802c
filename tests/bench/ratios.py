"""Figures of one run -> ratios, comparable between machines, and whether they got worse."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from tests.bench.bars import Bar
from tests.bench.figures import (
    EXTRACT,
    FIND,
    INSERT,
    KERNEL,
    KERNEL_TWO,
    MUTAGEN,
    REBUILD,
    SQLITE,
    UNCHANGED,
    WALK,
    Library,
    Result,
    Step,
)
from tests.bench.kernel import HEAD
from tests.bench.peers import MPD_SCAN

FILE = Path(__file__).with_name("ratios.json")
TOLERANCE = 1.25
"""A ratio that is worse by more than a quarter is a regression; less is noise."""
QUIET_LOAD = 1.0
"""Load before a run above which seconds are not compared: other load affects a long run more than a
short one. CPU time was measured to vary by less than a tenth with a load of 8."""
LEAST_CALLS = 3
"""Open, read, close."""
SECONDS, CPU_S = "seconds", "CPU"
COMPARED = (
    (REBUILD, SECONDS, KERNEL_TWO),
    (REBUILD, CPU_S, KERNEL_TWO),
    (REBUILD, CPU_S, MUTAGEN),
    (REBUILD, SECONDS, MPD_SCAN),
    (UNCHANGED, CPU_S, FIND),
    (WALK, CPU_S, FIND),
    (EXTRACT, CPU_S, KERNEL),
    (EXTRACT, CPU_S, MUTAGEN),
    (INSERT, CPU_S, SQLITE),
)


class Ratio(Struct, frozen=True):
    """Our value and its lower bound, each from the fastest run."""

    name: str
    ours: float
    limit: float
    is_of_seconds: bool = False

    @property
    def value(self) -> float:
        """Our value as a factor of the bound."""
        return self.ours / self.limit


class Kept(Struct):
    """The stored ratios by number of files, and the machine of the last run."""

    machine: dict[str, str | int | float] = {}
    libraries: dict[int, dict[str, float]] = {}


def of(library: Library) -> Iterator[Ratio]:
    """All measured ratios; none for steps that were not run."""
    for ours, what, limit in COMPARED:
        one, other = library.step(ours), library.step(limit)
        if one is not None and other is not None:
            name = f"{ours}: {what} / {limit}"
            yield Ratio(name, _cost(one, what), _cost(other, what), what == SECONDS)
    rebuild, mutagen = library.step(REBUILD), library.step(MUTAGEN)
    if rebuild is not None:
        yield from _of_rebuild(rebuild, mutagen)
    scan = library.step(UNCHANGED)
    if scan is not None and scan.opened is not None and scan.rows is not None:
        yield Ratio(f"{UNCHANGED}: files opened / 1", scan.opened, 1)
        yield Ratio(f"{UNCHANGED}: rows written / 1", sum(scan.rows.values()), 1)
    if scan is not None and scan.calls:
        yield Ratio(f"{UNCHANGED}: system calls / files", sum(scan.calls.values()), library.files)


def _of_rebuild(rebuild: Step, mutagen: Step | None) -> Iterator[Ratio]:
    if rebuild.database_bytes:
        written = rebuild.written_bytes
        yield Ratio(f"{REBUILD}: bytes written / final file", written, rebuild.database_bytes)
    if mutagen is not None and mutagen.peak_pss and rebuild.peak_pss:
        yield Ratio(f"{REBUILD}: memory / {MUTAGEN}", rebuild.peak_pss, mutagen.peak_pss)
    if rebuild.habit is not None:
        habit = rebuild.habit
        yield Ratio(f"{REBUILD}: calls a file / open, read, close", habit.calls, LEAST_CALLS)
        yield Ratio(f"{REBUILD}: bytes a file / 64 KB", habit.bytes_median, HEAD)


def _cost(step: Step, what: str) -> float:
    return step.least_seconds if what == SECONDS else step.least_cpu_s


def load(file: Path) -> Kept:
    """The stored ratios; empty if there is no file."""
    return msgspec.json.decode(file.read_bytes(), type=Kept) if file.exists() else Kept()


def keep(file: Path, result: Result) -> None:
    """Replace the stored ratios of libraries of the same sizes by those of this run.

    On a busy machine, ratios of seconds are not replaced.
    """
    kept = load(file)
    for library in result.libraries:
        ratios = kept.libraries.setdefault(library.files, {})
        for one in of(library):
            if is_quiet(result) or not one.is_of_seconds:
                ratios[one.name] = round(one.value, 3)
    libraries = dict(sorted(kept.libraries.items()))
    text = msgspec.json.format(msgspec.json.encode(Kept(result.machine, libraries)))
    file.write_bytes(text + b"\n")


def is_quiet(result: Result) -> bool:
    """Whether the machine was nearly idle at the start of the run."""
    return float(result.machine.get("load before", 0)) < QUIET_LOAD


def judge(result: Result, kept: Kept) -> Iterator[Bar]:
    """One bar per ratio; ratios that only the run or only the file has are not measured."""
    for library in result.libraries:
        before: Mapping[str, float] = kept.libraries.get(library.files, {})
        now = {one.name: one for one in of(library)}
        for name in {**before, **now}:
            one = now.get(name)
            if one is not None and one.is_of_seconds and not is_quiet(result):
                yield Bar(
                    f"{library.files} files, {name}: the machine was busy", f"{one.value:.2f}"
                )
            else:
                yield _bar(library.files, name, one, before.get(name))


def _bar(files: int, name: str, now: Ratio | None, before: float | None) -> Bar:
    what = f"{files} files, {name}"
    if before is None:
        return Bar(f"{what}: nothing kept", "" if now is None else f"{now.value:.2f}")
    asked = f"{what}: at most {TOLERANCE} x {before:g}"
    if now is None:
        return Bar(asked)
    return Bar(asked, f"{now.value:.2f}", now.value <= before * TOLERANCE)
