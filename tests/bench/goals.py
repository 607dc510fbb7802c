"""Figures -> the goals for a fast index, on two cores of one machine; for information only."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench import growth
from tests.bench.bars import Bar
from tests.bench.figures import (
    COLD_REBUILD,
    EXTRACT,
    FIND,
    MUTAGEN,
    REBUILD,
    SEED,
    UNCHANGED,
    Library,
    Result,
)
from tests.bench.measure import OURS
from tests.bench.peers import MPD_SCAN
from tests.bench.table import MB

FEW, MANY, MOST = 10_000, 100_000, 5_000_000
LIVE = 2
"""Times that a live change, and a search, may take with the most files."""
NOTHING = Library(0, [])


def judge(result: Result) -> list[Bar]:
    """All goals; those without a library or step in this run are not measured."""
    mixed = {library.files: library for library in result.libraries if not library.tiny}
    few, many = mixed.get(FEW, NOTHING), mixed.get(MANY, NOTHING)
    return [
        *_rebuild(few, many),
        *_extract(many if many.steps else few),
        *_habit(mixed),
        *_unchanged(many),
        *_written(many),
        *_growth(result),
        *_cold(mixed),
    ]


def at_most(asked: str, limit: float, measured: float | None, unit: str) -> Bar:
    words = f"{asked}: {limit:g} {unit} or less".replace(" :", ":")
    if measured is None:
        return Bar(words)
    return Bar(words, f"{measured:.3g} {unit}".rstrip(), measured <= limit)


def at_least(asked: str, limit: float, measured: float | None, unit: str) -> Bar:
    words = f"{asked}: {limit:g} {unit} or more"
    if measured is None:
        return Bar(words)
    shown = f"{measured:.3g}" if measured < 100 else f"{measured:.0f}"
    return Bar(words, f"{shown} {unit}", measured >= limit)


def _rebuild(few: Library, many: Library) -> Iterator[Bar]:
    rebuild = many.step(REBUILD)
    yield at_most(f"rebuild of {MANY} files", 6, rebuild.seconds if rebuild else None, "s")
    for files, library, times in ((FEW, few, 9), (MANY, many, 14)):
        ours, mpd = library.step(REBUILD), library.step(MPD_SCAN)
        measured = mpd.seconds / ours.seconds if ours and mpd else None
        yield at_least(f"rebuild of {files} files", times, measured, "times mpd's rate")
    cpu_us = rebuild.cpu_s / MANY * 1e6 if rebuild else None
    yield at_most(f"rebuild of {MANY} files, CPU of all processes for each", 42, cpu_us, "us")
    seed = many.step(SEED)
    busy = seed.busy if seed else None
    yield at_least(f"rebuild of {MANY} files, middle 80 %", 0.9, busy, "of the cores busy")


def _extract(library: Library) -> Iterator[Bar]:
    extract, mutagen = library.step(EXTRACT), library.step(MUTAGEN)
    rate = library.files / extract.seconds if extract else None
    times = mutagen.cpu_s / extract.cpu_s if extract and mutagen else None
    yield at_least("extraction alone on one core", 25_000, rate, "files/s")
    yield at_least("extraction alone on one core", 8, times, "times mutagen.File")


def _habit(mixed: dict[int, Library]) -> Iterator[Bar]:
    """Goals for the largest traced library."""
    traced = [step for files in sorted(mixed) if (step := mixed[files].step(REBUILD))]
    habit = next((step.habit for step in reversed(traced) if step.habit), None)
    each = "each file extracted"
    yield at_most(f"system calls for {each}, median", 6, habit.calls if habit else None, "calls")
    yield at_most(
        f"bytes read of {each}, median", 32, habit.bytes_median / 1024 if habit else None, "KB"
    )
    yield at_most(
        f"bytes read of {each}, 95th percentile",
        64,
        habit.bytes_p95 / 1024 if habit else None,
        "KB",
    )


def _unchanged(many: Library) -> Iterator[Bar]:
    scan, find = many.step(UNCHANGED), many.step(FIND)
    what = f"unchanged scan of {MANY} files"
    yield at_most(what, 0.8, scan.seconds if scan else None, "s")
    yield at_most(f"{what}, opened", 0, scan.opened if scan else None, "files")
    rows = None if scan is None or scan.rows is None else scan.rows
    others = None if rows is None else sum(rows.values()) - rows.get("scans", 0)
    yield at_most(f"{what}, written beside its row in scans", 0, others, "rows")
    cpu = scan.cpu_s / find.cpu_s if scan and find else None
    yield at_most(f"{what}, CPU", 1.4, cpu, "times find's")


def _written(many: Library) -> Iterator[Bar]:
    rebuild = many.step(REBUILD)
    times = None
    if rebuild is not None and rebuild.database_bytes:
        times = rebuild.written_bytes / rebuild.database_bytes
    yield at_most(f"rebuild of {MANY} files, bytes written", 2.4, times, "times the final file")


def _growth(result: Result) -> Iterator[Bar]:
    """Of tiny files."""
    sizes = {size.files: size for size in growth.sizes(result)}
    tiny = {library.files: library for library in result.libraries if library.tiny}
    smallest, largest = sizes.get(MANY), sizes.get(MOST)
    worst = max(largest.grown(smallest)) if smallest and largest else None
    against = f"of {MOST} files, against {MANY}"
    yield at_most(f"time and memory for each {against}", growth.FLAT, worst, "times")
    peak = largest.peak_pss / MB if largest else None
    yield at_most(f"rebuild of {MOST} files, peak memory of all processes", 150, peak, "MB")
    few, most = tiny.get(MANY, NOTHING), tiny.get(MOST, NOTHING)
    one, other = few.watcher(OURS), most.watcher(OURS)
    live = other.median_ms / one.median_ms if one and other else None
    yield at_most(f"a live change {against}", LIVE, live, "times")
    slower = [
        most.searches_ms[kind] / took
        for kind, took in few.searches_ms.items()
        if kind in most.searches_ms
    ]
    yield at_most(f"the slowest kind of search {against}", LIVE, max(slower, default=None), "times")


def _cold(mixed: dict[int, Library]) -> Iterator[Bar]:
    library = mixed[max(mixed)] if mixed else NOTHING
    rebuild, cold = library.step(REBUILD), library.step(COLD_REBUILD)
    habit = rebuild.habit if rebuild else None
    yield at_most("reads of each file, median", 2, habit.reads if habit else None, "reads")
    yield at_least(
        "files opened in the disk's order", 0.95, habit.forward if habit else None, "of steps"
    )
    asked = cold.asked.reads / library.files if cold and cold.asked else None
    yield at_most("requests to the disk for each file, cold", 2, asked, "requests")
