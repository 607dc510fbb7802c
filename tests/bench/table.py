"""Figures -> the table that a person reads."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.figures import SEARCH, Library, Result, Step

HEADS = (
    "", "seconds", "files/s", "CPU s", "CPU us/file", "PSS MB", "opened", "read MB", "db MB",
    "written MB", "rows", "calls/file",
)  # fmt: skip
MB = 1_000_000


def lines(result: Result) -> Iterator[str]:
    """One block a library."""
    yield ", ".join(f"{name} {value}" for name, value in result.machine.items())
    for library in result.libraries:
        yield ""
        yield f"{library.files} files, medians of {max(len(s.runs) for s in library.steps)} runs"
        yield from _aligned([HEADS, *(_row(step, library) for step in library.steps)])


def _row(step: Step, library: Library) -> tuple[str, ...]:
    if not step.runs:
        return (step.name, step.absent)
    files = library.files
    return (
        step.name,
        f"{step.seconds:.3f}",
        "" if step.name == SEARCH else f"{files / step.seconds:.0f}",
        f"{step.cpu_s:.2f}",
        "" if step.name == SEARCH else f"{step.cpu_s / files * 1e6:.0f}",
        f"{step.peak_pss / MB:.0f}",
        _number(step.opened),
        _number(step.read_bytes, MB),
        _number(step.database_bytes, MB),
        f"{step.written_bytes / MB:.1f}",
        "" if step.rows is None else f"{sum(step.rows.values())}",
        f"{sum(step.calls.values()) / files:.1f}" if step.calls else "",
    )


def _number(value: int | None, unit: int = 1) -> str:
    if value is None:
        return ""
    return str(value) if unit == 1 else f"{value / unit:.1f}"


def _aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Columns as wide as their widest cell; a row of two cells is a name and a remark."""
    full = [row for row in rows if len(row) > 2]
    widths = [max(len(cell) for cell in column) for column in zip(*full, strict=True)]
    widths[0] = max(len(row[0]) for row in rows)
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False)]
        yield "  ".join([row[0].ljust(widths[0]), *(cells if len(row) > 2 else row[1:])]).rstrip()
