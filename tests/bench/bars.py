"""Figures -> required value, measured value, and whether it is enough."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from tests.bench.figures import REBUILD, UNCHANGED, Result, Step
from tests.bench.table import MB

FILES = 10_000
MORE_FILES = 100_000
REBUILD_FILES_PER_S = 3_000
UNCHANGED_S = 0.5
PEAK_PSS_MB = 200
MORE_PSS_MB = 40


class Bar(Struct, frozen=True):
    """One line of the check; `ok` is None if nothing was measured."""

    asked: str
    measured: str = ""
    ok: bool | None = None


def judge(result: Result) -> list[Bar]:
    """All bars for two cores, a warm cache and the mixed library."""
    steps = {
        (library.files, step.name): step for library in result.libraries for step in library.steps
    }
    rebuild, larger = steps.get((FILES, REBUILD)), steps.get((MORE_FILES, REBUILD))
    return [
        _rate(rebuild),
        _peak(rebuild),
        _more(rebuild, larger),
        *_unchanged(steps.get((FILES, UNCHANGED))),
    ]


def _rate(rebuild: Step | None) -> Bar:
    asked = f"rebuild of {FILES} files: {REBUILD_FILES_PER_S} files/s or more"
    if rebuild is None:
        return Bar(asked)
    rate = FILES / rebuild.seconds
    return Bar(asked, f"{rate:.0f} files/s", rate >= REBUILD_FILES_PER_S)


def _peak(rebuild: Step | None) -> Bar:
    asked = f"rebuild of {FILES} files: peak PSS of all processes {PEAK_PSS_MB} MB or less"
    if rebuild is None:
        return Bar(asked)
    peak = rebuild.peak_pss / MB
    return Bar(asked, f"{peak:.0f} MB", peak <= PEAK_PSS_MB)


def _more(rebuild: Step | None, larger: Step | None) -> Bar:
    asked = f"rebuild of {MORE_FILES} files: at most {MORE_PSS_MB} MB above that"
    if rebuild is None or larger is None:
        return Bar(asked)
    more = (larger.peak_pss - rebuild.peak_pss) / MB
    return Bar(asked, f"{more:+.0f} MB", more <= MORE_PSS_MB)


def _unchanged(scan: Step | None) -> Iterator[Bar]:
    soon = f"unchanged scan of {FILES} files: under {UNCHANGED_S} s"
    unopened = "unchanged scan: no file opened"
    unwritten = "unchanged scan: no row written but the one in scans"
    if scan is None:
        yield from (Bar(soon), Bar(unopened), Bar(unwritten))
        return
    yield Bar(soon, f"{scan.seconds:.3f} s", scan.seconds < UNCHANGED_S)
    yield Bar(unopened, f"{scan.opened} opened", scan.opened == 0)
    written = ", ".join(f"{count} in {table}" for table, count in (scan.rows or {}).items())
    yield Bar(unwritten, written or "none", scan.rows == {"scans": 1})


def lines(bars: list[Bar]) -> Iterator[str]:
    """Required value, measured value, ok or not."""
    width = max(len(bar.asked) for bar in bars)
    for bar in bars:
        unjudged = "not judged" if bar.measured else "not measured"
        ok = {True: "ok", False: "NOT ENOUGH", None: unjudged}[bar.ok]
        yield f"{bar.asked.ljust(width)}  {bar.measured.rjust(14)}  {ok}"
