"""Figures -> a picture for the README: stage by stage, and against the number of files.

`python -m tests.bench.chart RESULT.json CHART.svg` draws the output of `--json`. The background is
light, so that it can be read on a white page and on a dark one.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Iterator
from pathlib import Path

import msgspec
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
    Result,
)
from tests.bench.peers import MINIDLNA_SCAN, MPD_SCAN
from tests.bench.svg import bar, dot, line, picture, text

WIDTH, HEIGHT = 920, 436
CARD, EDGE, INK, FAINT, GRID = "#fbfcfe", "#d5dce4", "#24313f", "#5b6b7b", "#e4e9ef"
OURS, LIMIT = "#6aa9e9", "#c3ccd6"
LINES = (
    (REBUILD, "this program", "#3f8fdc"),
    (MPD_SCAN, "mpd", "#e0903c"),
    (MINIDLNA_SCAN, "minidlna", "#55a868"),
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
PLOT_X, PLOT_Y, PLOT_WIDTH, PLOT_HEIGHT = 570, 88, 230, 270


class Scale(Struct, frozen=True):
    """A logarithmic axis: values from `low` to `high` on the pixels from `start` to `end`."""

    low: float
    high: float
    start: float
    end: float

    def at(self, value: float) -> float:
        share = math.log(value / self.low) / math.log(self.high / self.low)
        return self.start + share * (self.end - self.start)


def draw(result: Result) -> str:
    """The picture; a panel without figures is empty."""
    return picture(WIDTH, HEIGHT, "What indexing a file costs", _shapes(result))


def _shapes(result: Result) -> Iterator[str]:
    yield bar((0.5, 0.5), WIDTH - 1, HEIGHT - 1, CARD, EDGE)
    mixed = [library for library in result.libraries if not library.tiny]
    staged = [library for library in mixed if library.step(EXTRACT)]
    if staged:
        yield from _stages(max(staged, key=lambda library: library.files))
    yield from _sizes(mixed)
    cores, kernel = result.machine.get("cores", "?"), result.machine.get("kernel", "?")
    words = f"{cores} cores, Linux {kernel}, page cache warm; all of it measured in one go"
    yield text((24, HEIGHT - 18), words, FAINT, size=11)


def _stages(library: Library) -> Iterator[str]:
    """Two bars per stage: ours, and the lower bound for any program."""
    files = library.files
    yield text((24, 34), "CPU for each file, stage by stage", INK, size=15, bold=True)
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
    """Files per second of a first scan by number of files, on logarithmic axes."""
    yield text((PLOT_X - 46, 34), "First scan, files a second", INK, size=15, bold=True)
    yield text((PLOT_X - 46, 57), "against the number of files", FAINT, size=12)
    rates = {
        name: [
            (library.files, library.files / step.seconds)
            for library in sorted(libraries, key=lambda library: library.files)
            if (step := library.step(name))
        ]
        for name, _, _ in LINES
    }
    every = [point for points in rates.values() for point in points]
    if not every:
        return
    files, speeds = [one for one, _ in every], [one for _, one in every]
    right, bottom = PLOT_X + PLOT_WIDTH, PLOT_Y + PLOT_HEIGHT
    across = Scale(min(files) / 1.3, max(files) * 1.3, PLOT_X, right)
    up = Scale(min(speeds) / 1.5, max(speeds) * 1.5, bottom, PLOT_Y)
    yield from _grid(across, up, sorted(set(files)))
    labels: list[float] = []
    for name, words, colour in LINES:
        points = [(across.at(one), up.at(speed)) for one, speed in rates[name]]
        if not points:
            continue
        yield line(points, colour, width=2.5)
        yield from (dot(point, colour) for point in points)
        labels.append(_clear_of(labels, points[-1][1] + 4))
        yield text((right + 8, labels[-1]), words, colour, bold=True)


def _grid(across: Scale, up: Scale, files: list[int]) -> Iterator[str]:
    for speed in _labelled(up):
        y = up.at(speed)
        yield line([(across.start, y), (across.end, y)], GRID)
        yield text((across.start - 8, y + 4), _short(speed), FAINT, size=11, anchor="end")
    for number in files:
        x = across.at(number)
        yield line([(x, up.start), (x, up.end)], GRID)
        yield text((x, up.start + 18), _short(number), FAINT, size=11, anchor="middle")


def _labelled(scale: Scale) -> list[int]:
    """1, 2 and 5 times the powers of ten within the scale."""
    powers = [10**power for power in range(9)]
    every = sorted(times * power for times in (1, 2, 5) for power in powers)
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


def main() -> int:
    """Draw the figures of an earlier run."""
    source, target = (Path(word) for word in sys.argv[1:])
    result = msgspec.json.decode(source.read_bytes(), type=Result)
    target.write_text(draw(result), encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
