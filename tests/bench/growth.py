"""Libraries of several sizes -> time and memory per file, and whether they stay flat."""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from tests.bench.figures import REBUILD, UNCHANGED, Library, Result
from tests.bench.table import MB, aligned

FLAT = 1.2
"""Maximum factor per file, compared with the smallest library, that is still flat. A smaller one is
normal: the costs of starting the program are shared by more files."""
HEADS = (
    "files", "rebuild s", "us/file", "grown", "us/more", "CPU us/file", "grown",
    "PSS MB", "KB/file", "grown", "KB/more", "scan s", "us/file", "grown", "us/more", "flat",
)  # fmt: skip
"""`more`: the cost per additional file of the next larger library, without the start."""


class Size(Struct, frozen=True):
    """One library, and the costs per file."""

    files: int
    rebuild_s: float
    cpu_s: float
    peak_pss: int
    scan_s: float

    @classmethod
    def of(cls, library: Library) -> Size | None:
        """The figures of a library; None if it was not rebuilt and scanned."""
        rebuild, scan = library.step(REBUILD), library.step(UNCHANGED)
        if rebuild is None or scan is None:
            return None
        return cls(library.files, rebuild.seconds, rebuild.cpu_s, rebuild.peak_pss, scan.seconds)

    def for_each_file(self) -> tuple[float, float, float, float]:
        """Rebuild, its CPU, its peak memory, unchanged scan."""
        totals = (self.rebuild_s, self.cpu_s, self.peak_pss, self.scan_s)
        one, two, three, four = (total / self.files for total in totals)
        return one, two, three, four

    def grown(self, smallest: Size) -> tuple[float, float, float, float]:
        """The costs per file as factors of those in a smaller library."""
        both = zip(self.for_each_file(), smallest.for_each_file(), strict=True)
        one, two, three, four = (mine / its if its else 1.0 for mine, its in both)
        return one, two, three, four

    def is_flat(self, smallest: Size) -> bool:
        """Whether no cost per file has grown by more than a fifth."""
        return max(self.grown(smallest)) <= FLAT


def sizes(result: Result) -> list[Size]:
    """All comparable libraries, smallest first."""
    measured = (Size.of(library) for library in result.libraries)
    by_files = {size.files: size for size in measured if size is not None}
    return [by_files[files] for files in sorted(by_files)]


def lines(result: Result) -> Iterator[str]:
    """A table with a row for each size; nothing for a single size."""
    every = sizes(result)
    if len(every) < 2:
        return
    yield ""
    yield "growth, each against the smallest library"
    before = [None, *every]
    rows = [_row(size, every[0], smaller) for size, smaller in zip(every, before, strict=False)]
    yield from aligned([HEADS, *rows])


def _row(size: Size, smallest: Size, smaller: Size | None) -> tuple[str, ...]:
    rebuild, cpu, pss, scan = size.for_each_file()
    grown = [f"{times:.2f}" for times in size.grown(smallest)]
    return (
        f"{size.files}",
        f"{size.rebuild_s:.2f}", f"{rebuild * 1e6:.0f}", grown[0],
        "" if smaller is None else f"{_more(size, smaller, 'rebuild_s') * 1e6:.0f}",
        f"{cpu * 1e6:.0f}", grown[1],
        f"{size.peak_pss / MB:.0f}", f"{pss / 1000:.2f}", grown[2],
        "" if smaller is None else f"{_more(size, smaller, 'peak_pss') / 1000:.2f}",
        f"{size.scan_s:.3f}", f"{scan * 1e6:.1f}", grown[3],
        "" if smaller is None else f"{_more(size, smaller, 'scan_s') * 1e6:.1f}",
        "yes" if size.is_flat(smallest) else "NO",
    )  # fmt: skip


def _more(size: Size, smaller: Size, name: str) -> float:
    """The cost per additional file of the larger library."""
    more: float = getattr(size, name) - getattr(smaller, name)
    return more / (size.files - smaller.files)
