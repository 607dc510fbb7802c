"""Figures -> a table for people."""

from __future__ import annotations

from collections.abc import Iterator

from tests.bench.figures import OFTEN, SEARCH, Library, Result, Step

HEADS = (
    "", "seconds", "limit s", "ratio", "files/s", "CPU us/file", "limit us", "ratio", "PSS MB",
    "opened", "read MB", "db MB", "written MB", "rows", "calls/file",
)  # fmt: skip
"""`limit`: the lower bound for any program, measured in the same run (figures.LIMITS)."""
MB = 1_000_000


def lines(result: Result) -> Iterator[str]:
    """One block per library."""
    yield ", ".join(f"{name} {value}" for name, value in result.machine.items())
    for library in result.libraries:
        yield ""
        runs = max(len(step.timed) for step in library.steps if step.name not in OFTEN)
        kind = "tiny files" if library.tiny else "files"
        yield f"{library.files} {kind}, medians of {runs} runs"
        yield from aligned([HEADS, *(_row(step, library) for step in library.steps)])
        yield from _habits(library)


def _row(step: Step, library: Library) -> tuple[str, ...]:
    if not step.runs:
        return (step.name, step.absent)
    files = library.files
    limit = library.limit_of(step)
    per_file = step.name != SEARCH
    return (
        step.name,
        f"{step.seconds:.3f}",
        "" if limit is None else f"{limit.seconds:.3f}",
        "" if limit is None else f"{step.seconds / limit.seconds:.1f}",
        f"{files / step.seconds:.0f}" if per_file else "",
        f"{step.cpu_s / files * 1e6:.1f}" if per_file else "",
        "" if limit is None else f"{limit.cpu_s / files * 1e6:.1f}",
        "" if limit is None else f"{step.cpu_s / limit.cpu_s:.1f}",
        f"{step.peak_pss / MB:.0f}" if step.peak_pss else "",
        _number(step.opened),
        _number(step.read_bytes, MB),
        _number(step.database_bytes, MB),
        f"{step.written_bytes / MB:.1f}",
        "" if step.rows is None else f"{sum(step.rows.values())}",
        f"{sum(step.calls.values()) / files:.1f}" if step.calls else "",
    )


def _habits(library: Library) -> Iterator[str]:
    """The access pattern of one traced run, and the requests to the disk with a cold cache."""
    for step in library.steps:
        if (habit := step.habit) is not None:
            median_kb, p95_kb = habit.bytes_median / 1024, habit.bytes_p95 / 1024
            yield (
                f"{step.name}, a file: {habit.calls:g} system calls at the median, "
                f"{habit.reads:g} of them reads; {median_kb:.1f} KB, {p95_kb:.1f} at the 95th "
                f"percentile; {habit.forward:.1%} of steps go on to a higher inode, and a folder "
                f"is come to {habit.folder_visits:.2f} times"
            )
        if (asked := step.asked) is not None:
            yield (
                f"{step.name}: the disk was asked {asked.reads / library.files:.2f} times a file, "
                f"for {asked.read_bytes / library.files / 1024:.1f} KB"
            )


def _number(value: int | None, unit: int = 1) -> str:
    if value is None:
        return ""
    return str(value) if unit == 1 else f"{value / unit:.1f}"


def aligned(rows: list[tuple[str, ...]]) -> Iterator[str]:
    """Aligned columns; a row of two cells is a name and a remark."""
    full = [row for row in rows if len(row) > 2]
    widths = [max(len(cell) for cell in column) for column in zip(*full, strict=True)]
    widths[0] = max(len(row[0]) for row in rows)
    for row in rows:
        cells = [cell.rjust(width) for cell, width in zip(row[1:], widths[1:], strict=False)]
        yield "  ".join([row[0].ljust(widths[0]), *(cells if len(row) > 2 else row[1:])]).rstrip()
