"""Figures -> two pictures: where a file's processor time goes, and scans against their size.

Their background is light, so that they can be read on a white page and on a dark one.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

from msgspec import Struct

from tests.bench.figures import (
    BATCH,
    ENCODE,
    EXTRACT,
    FIND,
    INSERT,
    KERNEL,
    KERNEL_TWO,
    MUTAGEN,
    REBUILD,
    SQLITE,
    WALK,
    Library,
)
from tests.bench.peers import first_scan
from tests.bench.svg import bar, dot, line, picture, text

WIDTH, HEIGHT = 560, 436
CARD, EDGE, INK, FAINT, GRID = "#fbfcfe", "#d5dce4", "#24313f", "#5b6b7b", "#e4e9ef"
OURS, LIMIT = "#6aa9e9", "#c3ccd6"
LINES = (
    (REBUILD, "this program", "#3f8fdc"),
    (first_scan("mpd"), "mpd", "#e0903c"),
    (first_scan("minidlna"), "minidlna", "#55a868"),
    (first_scan("beets"), "beets", "#a4679e"),
    (first_scan("supysonic"), "supysonic", "#c4574f"),
)
ROWS = (
    (WALK, "walk", FIND, "find -printf"),
    (EXTRACT, "extract", KERNEL, "open + read 64 KB"),
    (ENCODE, "encode", "", ""),
    (BATCH, "batch", "", ""),
    (INSERT, "insert", SQLITE, "plain SQLite table"),
    (REBUILD, "whole rebuild", KERNEL_TWO, "open + read 64 KB"),
)
BARS_X, BARS_WIDTH, FIRST_ROW, ROW, ROW_WITH_LIMIT = 128, 260, 88, 36, 52
PLOT_X, PLOT_Y, PLOT_WIDTH, PLOT_HEIGHT = 80, 88, 370, 270


class Scale(Struct, frozen=True):
    """A logarithmic axis: values from `low` to `high` on the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)


def stages(libraries: Sequence[Library]) -> str:
    """Processor time a file, stage by stage, of the largest library; empty without figures."""
    staged = [library for library in _mixed(libraries) if library.step(EXTRACT)]
    shapes = [bar((0.5, 0.5), WIDTH - 1, HEIGHT - 1, CARD, EDGE)]
    if staged:
        shapes.extend(_stages(staged[-1]))
        shapes.append(_conditions(staged[-1]))
    return picture(WIDTH, HEIGHT, "Where the processor time of a file goes", iter(shapes))


def sizes(libraries: Sequence[Library]) -> str:
    """Seconds of a first scan by number of files, of each program; empty without figures."""
    mixed = _mixed(libraries)
    shapes = [bar((0.5, 0.5), WIDTH - 1, HEIGHT - 1, CARD, EDGE), *_sizes(mixed)]
    if mixed:
        shapes.append(_conditions(mixed[-1]))
    return picture(
        WIDTH, HEIGHT, "Seconds of a first scan against the number of files", iter(shapes)
    )


def _mixed(libraries: Sequence[Library]) -> list[Library]:
    """Those with covers, smallest first."""
    mixed = (library for library in libraries if not library.tiny)
    return sorted(mixed, key=lambda library: library.files)


def _conditions(library: Library) -> str:
    cores, kernel = library.machine.get("cores", "?"), library.machine.get("kernel", "?")
    words = f"{cores} cores, Linux {kernel}, page cache warm"
    return text((24, HEIGHT - 18), words, FAINT, size=11)


def _stages(library: Library) -> Iterator[str]:
    """Two bars per stage: ours, and the lower bound for any program."""
    files = library.files
    yield text((24, 34), "Processor time of a file, stage by stage", INK, size=15, bold=True)
    yield bar((24, 47), 11, 11, OURS)
    yield text((40, 57), "this program", FAINT, size=12)
    yield bar((128, 47), 11, 11, LIMIT)
    words = f"the least any program does, in the same run; {_spaced(files)} files"
    yield text((144, 57), words, FAINT, size=12)
    most = max(_micros(library, name) or 0 for row in ROWS for name in (row[0], row[2]))
    y = FIRST_ROW
    for ours, label, limit, least in ROWS:
        micros, bound = _micros(library, ours), _micros(library, limit)
        yield text((BARS_X - 10, y + 14), label, INK, anchor="end", bold=ours == REBUILD)
        if micros is not None:
            yield bar((BARS_X, y), _width(micros, most), 18, OURS)
            beside = (BARS_X + _width(micros, most) + 7, y + 14)
            yield text(beside, _us(micros), INK, bold=ours == REBUILD)
        if bound is not None:
            yield bar((BARS_X, y + 20), _width(bound, most), 10, LIMIT)
            beside = (BARS_X + _width(bound, most) + 7, y + 29)
            yield text(beside, f"{_us(bound)}  {least}", FAINT, size=11)
        y += ROW if bound is None else ROW_WITH_LIMIT
    mutagen = _micros(library, MUTAGEN)
    if mutagen is not None:
        words = f"for comparison, mutagen.File alone, which only reads the tags: {_us(mutagen)}"
        yield text((24, y + 20), words, FAINT, size=12)


def _sizes(libraries: list[Library]) -> Iterator[str]:
    """On logarithmic axes."""
    yield text((24, 34), "First scan, seconds", INK, size=15, bold=True)
    yield text((24, 57), "against the number of files; lower is faster", FAINT, size=12)
    seconds = {
        name: [
            (library.files, step.seconds) for library in libraries if (step := library.step(name))
        ]
        for name, _, _ in LINES
    }
    every = [point for points in seconds.values() for point in points]
    if not every:
        return
    files, times = [one for one, _ in every], [one for _, one in every]
    right, bottom = PLOT_X + PLOT_WIDTH, PLOT_Y + PLOT_HEIGHT
    across = Scale(min(files) / 1.3, max(files) * 1.3, PLOT_X, right)
    up = Scale(min(times) / 1.5, max(times) * 1.5, bottom, PLOT_Y)
    yield from _grid(across, up, sorted(set(files)))
    labels: list[float] = []
    for name, words, colour in LINES:
        points = [(across.at(one), up.at(took)) for one, took in seconds[name]]
        if not points:
            continue
        yield line(points, colour, width=2.5)
        yield from (dot(point, colour) for point in points)
        labels.append(_clear_of(labels, points[-1][1] + 4))
        yield text((right + 8, labels[-1]), words, colour, bold=True)


def _grid(across: Scale, up: Scale, files: list[int]) -> Iterator[str]:
    for seconds in _labelled(up):
        y = up.at(seconds)
        yield line([(across.start, y), (across.end, y)], GRID)
        yield text((across.start - 8, y + 4), f"{seconds:g}", FAINT, size=11, anchor="end")
    for number in files:
        x = across.at(number)
        yield line([(x, up.start), (x, up.end)], GRID)
        yield text((x, up.start + 18), _short(number), FAINT, size=11, anchor="middle")


def _labelled(scale: Scale) -> list[float]:
    """The powers of ten within the scale, and their halves."""
    every = (times * 10.0**power for power in range(-4, 9) for times in (1, 5))
    return [one for one in every if scale.low <= one <= scale.high]


def _clear_of(others: list[float], wanted: float) -> float:
    """A position for a label that overlaps no other."""
    while any(abs(wanted - other) < 15 for other in others):
        wanted += 1
    return wanted


def _micros(library: Library, name: str) -> float | None:
    step = library.step(name)
    return None if step is None else step.cpu_s / library.files * 1e6


def _width(micros: float, most: float) -> float:
    return max(1.5, micros / most * BARS_WIDTH)


def _us(micros: float) -> str:
    return f"{micros:.0f} \N{MICRO SIGN}s" if micros >= 10 else f"{micros:.1f} \N{MICRO SIGN}s"


def _spaced(number: int) -> str:
    """A number with separated thousands."""
    return f"{number:,}".replace(",", " ")


def _short(number: int) -> str:
    for unit, suffix in ((1_000_000, " M"), (1000, " k")):
        if number >= unit:
            return f"{number / unit:g}{suffix}"
    return str(number)
