"""Figures -> what was asked, what was measured, and whether it is enough."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from tests.bench.figures import REBUILD, UNCHANGED, Result
from tests.bench.table import MB

FILES = 10_000
MORE_FILES = 100_000
REBUILD_FILES_PER_S = 3_000
UNCHANGED_S = 0.5
PEAK_PSS_MB = 200
MORE_PSS_MB = 40


class Bar(Struct, frozen=True):
    """One line of the check; `ok` is None where nothing was measured."""

    asked: str
    measured: str
    ok: bool | None


def judge(result: Result) -> Iterator[Bar]:
    """Every bar of the core: two cores, warm cache, the mixed library."""
    libraries = {library.files: library for library in result.libraries}
    base, larger = libraries.get(FILES), libraries.get(MORE_FILES)
    rebuild = base and base.step(REBUILD)
    unchanged = base and base.step(UNCHANGED)
    many = larger and larger.step(REBUILD)

    rate = rebuild and FILES / rebuild.seconds
    yield _bar(
        f"rebuild of {FILES} files: {REBUILD_FILES_PER_S} files/s or more",
        rate and f"{rate:.0f} files/s",
        rate and rate >= REBUILD_FILES_PER_S,
    )
    yield _bar(
        f"unchanged scan of {FILES} files: under {UNCHANGED_S} s",
        unchanged and f"{unchanged.seconds:.3f} s",
        unchanged and unchanged.seconds < UNCHANGED_S,
    )
    yield _bar(
        "unchanged scan: no file opened",
        unchanged and f"{unchanged.opened} opened",
        unchanged and unchanged.opened == 0,
    )
    rows = None if unchanged is None else unchanged.rows
    yield _bar(
        "unchanged scan: no row written but the one in scans",
        None if rows is None else f"{rows or 'none'}",
        None if rows is None else rows == {"scans": 1},
    )
    pss = rebuild and rebuild.peak_pss / MB
    yield _bar(
        f"rebuild of {FILES} files: peak PSS of all processes {PEAK_PSS_MB} MB or less",
        pss and f"{pss:.0f} MB",
        pss and pss <= PEAK_PSS_MB,
    )
    more = pss and many and many.peak_pss / MB - pss
    yield _bar(
        f"rebuild of {MORE_FILES} files: at most {MORE_PSS_MB} MB above that",
        None if more is None else f"{more:+.0f} MB",
        None if more is None else more <= MORE_PSS_MB,
    )


def lines(bars: list[Bar]) -> Iterator[str]:
    """asked / measured / ok."""
    width = max(len(bar.asked) for bar in bars)
    for bar in bars:
        ok = {True: "ok", False: "NOT ENOUGH", None: "not measured"}[bar.ok]
        yield f"{bar.asked.ljust(width)}  {bar.measured.rjust(14)}  {ok}"


def _bar(asked: str, measured: str | None, ok: bool | None) -> Bar:
    return Bar(asked, measured or "", ok)
