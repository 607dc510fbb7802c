"""Kept figures -> the tables of this folder's README, between its markers.

`<!-- figures: NAME -->` begins what `SECTIONS[NAME]` says, and `<!-- end -->` ends it.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import TypeVar

from msgspec import Struct

from tests.bench import growth
from tests.bench.figures import (
    FIND,
    REBUILD,
    SEARCH,
    SEED,
    UNCHANGED,
    Library,
    Result,
    Step,
    Watcher,
)
from tests.bench.measure import OURS
from tests.bench.peers import ALL, first_scan, unchanged_scan
from tests.bench.ratios import QUIET_LOAD
from tests.bench.table import MB

_SECTION = re.compile(r"(<!-- figures: (\w+) -->\n).*?(<!-- end -->)", re.DOTALL)
Measured = TypeVar("Measured", Step, Watcher)
NONE = "-"
BUSY = "**Provisional: other work kept the machine busy where its load before is 1 or more.**"
LEAST_COMPARED = 10_000
"""Files of a library of which the programs' tables are shown: a smaller one times their starts."""


class Figure(Struct, frozen=True):
    """One row of the table of programs; the lower value is the better one."""

    name: str
    value: float | None
    shown: str


def fill(page: str, libraries: Sequence[Library]) -> str:
    """The page with these figures. Raises KeyError for a section that is not known."""

    def section(found: re.Match[str]) -> str:
        text = "\n".join(SECTIONS[found[2]](libraries)).strip()
        return f"{found[1]}\n{text}\n\n{found[3]}"

    return _SECTION.sub(section, page)


def _machines(libraries: Sequence[Library]) -> Iterator[str]:
    """The conditions of each library: a later run may be of other ones."""
    rows = []
    for library in _ordered(libraries):
        its = library.machine
        rebuild = library.step(REBUILD)
        runs = 0 if rebuild is None else len(rebuild.timed)
        versions = ", ".join(f"{name} {its[name]}" for name in ALL if name in its) or NONE
        rows.append(
            (
                _named(library),
                f"{its.get('cores')} of {its.get('of')}, {its.get('machine')}",
                f"{its.get('kernel')}",
                f"{its.get('Python')}",
                f"{its.get('load before')}",
                f"{runs}",
                versions,
            )
        )
    heads = ("library", "cores", "Linux", "Python", "load before", "runs", "other programs")
    yield from _table(heads, rows)
    loads = (float(library.machine.get("load before", 0)) for library in libraries)
    if max(loads, default=0) >= QUIET_LOAD:
        yield ""
        yield BUSY


def _programs(libraries: Sequence[Library]) -> Iterator[str]:
    """A table for each size, and where each program is better than ours."""
    for library in _ordered(libraries):
        if library.tiny or library.files < LEAST_COMPARED:
            continue
        columns = {name: figures(library, name) for name in (OURS, *ALL)}
        rows = [
            (ours.name, *(columns[name][number].shown for name in columns))
            for number, ours in enumerate(columns[OURS])
        ]
        yield from _table((f"{_spaced(library.files)} files", *columns), rows)
        yield ""
        for name in ALL:
            yield f"- {_better(library, name, columns[OURS], columns[name])}"
        yield ""


def _better(library: Library, name: str, ours: list[Figure], its: list[Figure]) -> str:
    if library.step(first_scan(name)) is None:
        steps = (step for step in library.steps if step.name == first_scan(name))
        return f"{name}: {next((step.absent for step in steps), 'not measured')}"
    won = [
        f"{one.name} ({one.shown}, this program {our.shown})"
        for one, our in zip(its, ours, strict=True)
        if one.value is not None and our.value is not None and one.value < our.value
    ]
    return f"{name} is better in: {'; '.join(won) or 'none of these'}"


def figures(library: Library, name: str) -> list[Figure]:
    """What is compared of a program; the rows have the same order for all."""
    first = library.step(REBUILD if name == OURS else first_scan(name))
    again = library.step(UNCHANGED if name == OURS else unchanged_scan(name))
    watcher = library.watcher(name)
    files = library.files
    return [
        _of(first, "first scan, s", lambda step: step.seconds, _seconds),
        _of(first, "first scan, us of a processor a file", lambda s: s.cpu_s / files * 1e6, _whole),
        _of(first, "first scan, memory of all processes, MB", lambda s: s.peak_pss / MB, _whole),
        _of(first, "first scan, written, MB", lambda step: step.written_bytes / MB, _tenth),
        _of(again, "nothing changed, s", lambda step: step.seconds, _seconds),
        _of(again, "nothing changed, s of a processor", lambda step: step.cpu_s, _seconds),
        _of(watcher, "closed file to its row, median ms", lambda one: one.median_ms, _tenth),
        _of(watcher, "closed file to its row, worst ms", lambda one: one.worst_ms, _tenth),
        _of(watcher, "at rest, MB", lambda one: one.rest_pss / MB, _whole),
        _of(watcher, "at rest, ms of a processor a minute", lambda w: w.rest_ms_a_minute, _whole),
    ]


def _of(
    measured: Measured | None,
    name: str,
    take: Callable[[Measured], float],
    show: Callable[[float], str],
) -> Figure:
    if measured is None:
        return Figure(name, None, NONE)
    value = take(measured)
    return Figure(name, value, show(value))


def _steps(libraries: Sequence[Library]) -> Iterator[str]:
    """All steps of our program with the largest library, each with its lower bound."""
    mixed = [library for library in _ordered(libraries) if not library.tiny]
    if not mixed:
        return
    library = mixed[-1]
    heads = (
        f"{_spaced(library.files)} files", "seconds", "at least", "times", "us a file", "at least",
        "times", "MB", "opened", "read MB", "written MB",
    )  # fmt: skip
    others = {scan(name) for name in ALL for scan in (first_scan, unchanged_scan)}
    steps = [step for step in library.steps if step.name not in others]
    yield from _table(heads, [_step(library, step) for step in steps])
    yield ""
    yield from _ratios(library)


def _step(library: Library, step: Step) -> tuple[str, ...]:
    if not step.runs:
        return (f"{step.name}: {step.absent}", *[NONE] * 10)
    limit, files = library.limit_of(step), library.files
    per_file = step.name != SEARCH
    return (
        step.name,
        _seconds(step.seconds),
        NONE if limit is None else _seconds(limit.seconds),
        NONE if limit is None else _tenth(step.seconds / limit.seconds),
        _tenth(step.cpu_s / files * 1e6) if per_file else NONE,
        NONE if limit is None else _tenth(limit.cpu_s / files * 1e6),
        NONE if limit is None else _tenth(step.cpu_s / limit.cpu_s),
        _whole(step.peak_pss / MB) if step.peak_pss else NONE,
        NONE if step.opened is None else str(step.opened),
        NONE if step.read_bytes is None else _whole(step.read_bytes / MB),
        _tenth(step.written_bytes / MB),
    )


def _ratios(library: Library) -> Iterator[str]:
    """What was asked for as a ratio."""
    rebuild, unchanged = library.step(REBUILD), library.step(UNCHANGED)
    mpd, find = library.step(first_scan("mpd")), library.step(FIND)
    seed = library.step(SEED)
    if seed is not None and seed.busy is not None:
        yield f"- cores busy over the middle 80 % of a rebuild without artwork: {seed.busy:.0%}"
    if rebuild is not None and rebuild.database_bytes:
        times = rebuild.written_bytes / rebuild.database_bytes
        size = rebuild.database_bytes / MB
        yield f"- bytes written by a rebuild, of the final file of {size:.0f} MB: {times:.2f} times"
    if rebuild is not None and mpd is not None:
        yield f"- rate of a rebuild against mpd's: {mpd.seconds / rebuild.seconds:.1f} times"
    if unchanged is not None and find is not None:
        times = unchanged.cpu_s / find.cpu_s
        yield f"- processor time of an unchanged scan against `find -printf`: {times:.2f} times"


def _growth(libraries: Sequence[Library]) -> Iterator[str]:
    """Costs a file of tiny files against the smallest library of them."""
    tiny = [library for library in _ordered(libraries) if library.tiny]
    every = growth.sizes(Result({}, tiny))
    if not every:
        yield "No library of tiny files was measured."
        return
    heads = (
        "tiny files", "first scan, s", "us a file", "times", "us of a processor", "times",
        "peak MB", "nothing changed, s", "us a file", "times", "busy cores",
    )  # fmt: skip
    rows = []
    for size in every:
        grown = [f"{times:.2f}" for times in size.grown(every[0])]
        rebuild, cpu, _, scan = (each * 1e6 for each in size.for_each_file())
        step = next(one for one in tiny if one.files == size.files).step(SEED)
        busy = NONE if step is None or step.busy is None else f"{step.busy:.0%}"
        rows.append(
            (
                _spaced(size.files),
                _seconds(size.rebuild_s), _tenth(rebuild), grown[0], _tenth(cpu), grown[1],
                _whole(size.peak_pss / MB),
                _seconds(size.scan_s), _tenth(scan), grown[3], busy,
            )
        )  # fmt: skip
    yield from _table(heads, rows)
    yield ""
    yield from _live_growth(tiny)


def _live_growth(tiny: Sequence[Library]) -> Iterator[str]:
    """A live change, a daemon at rest and searches, which should not depend on the size."""
    rows = []
    kinds = list(dict.fromkeys(kind for library in tiny for kind in library.searches_ms))
    for library in tiny:
        watcher, search = library.watcher(OURS), library.step(SEARCH)
        rows.append(
            (
                _spaced(library.files),
                NONE if watcher is None else _tenth(watcher.median_ms),
                NONE if watcher is None else _tenth(watcher.worst_ms),
                NONE if watcher is None else _whole(watcher.rest_pss / MB),
                NONE if search is None else _seconds(search.seconds),
                *(
                    _tenth(library.searches_ms[kind]) if kind in library.searches_ms else NONE
                    for kind in kinds
                ),
            )
        )
    heads = (
        "tiny files", "closed file to its row, median ms", "worst ms", "daemon at rest, MB",
        "`indexer search`, s", *(f"search in a process: {kind}, ms" for kind in kinds),
    )  # fmt: skip
    yield from _table(heads, rows)


def _ordered(libraries: Sequence[Library]) -> list[Library]:
    """Mixed ones first, then by size."""
    return sorted(libraries, key=lambda library: (library.tiny, library.files))


def _named(library: Library) -> str:
    return f"{_spaced(library.files)} {'tiny ' if library.tiny else ''}files"


def _table(heads: Sequence[str], rows: Iterable[Sequence[str]]) -> Iterator[str]:
    for row in (heads, ["---", *["---:"] * (len(heads) - 1)], *rows):
        yield f"| {' | '.join(row)} |"


def _spaced(number: int) -> str:
    return f"{number:,}".replace(",", " ")


def _seconds(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.3g}"


def _tenth(value: float) -> str:
    return f"{value:.0f}" if value >= 100 else f"{value:.1f}"


def _whole(value: float) -> str:
    return f"{value:.0f}"


SECTIONS: dict[str, Callable[[Sequence[Library]], Iterable[str]]] = {
    "machines": _machines,
    "programs": _programs,
    "steps": _steps,
    "growth": _growth,
}
