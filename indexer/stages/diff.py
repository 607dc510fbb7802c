"""A walk and the rows of the index -> pairs, rows without a file, and unlisted folders."""

from __future__ import annotations

from collections.abc import Container, Generator, Iterable, Iterator
from stat import S_ISREG

from msgspec import Struct

from indexer import paths
from indexer.model import Entry, IndexedFile, RowState
from indexer.store import tracks
from indexer.store.connection import Row
from indexer.store.tracks_below import STAMP_COLUMNS
from indexer.walk import Found, Listed, Run, Unlisted, Unseen, entry_of


class Pair(Struct, frozen=True):
    """A file on the disk, and the row at its path if there is one."""

    entry: Entry
    known: IndexedFile | None


class Vanished(Struct, frozen=True):
    """A row that is not in a complete listing of its folder."""

    known: IndexedFile


class Same(Struct, frozen=True):
    """A number of files that equal their rows: nothing to do."""

    files: int


Compared = Pair | Vanished | Listed | Unlisted | Unseen


class _Rows:
    """Rows of `tracks_below.rows_below`; `next` is the first that is not handled yet."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self.rows = rows
        self.next = next(rows, None)

    def pass_on(self) -> Row | None:
        """Advance by one row; the new `next`."""
        self.next = next(self.rows, None)
        return self.next

    def vanished(self, before: bytes | None = None) -> Iterator[Vanished]:
        """All rows before a path, or all remaining ones."""
        row = self.next
        while row is not None and (before is None or row[STAMP_COLUMNS.path] < before):
            yield Vanished(tracks.known_of(row))
            row = self.pass_on()

    def skip(self, before: bytes) -> None:
        """Skip the rows before a path."""
        while self.next is not None and self.next[STAMP_COLUMNS.path] < before:
            self.pass_on()


def compare(
    found: Iterable[Found],
    rows: Iterator[Row],
    reread: int,
    troubled: Container[bytes],
    *,
    at_once: int,
) -> Iterator[Compared | Same]:
    """Merge a walk and rows of `tracks_below.rows_below`, both in byte order of their paths.

    Unchanged files are only counted, `at_once` of them at a time. Files that must be reread, were
    refused, or are `troubled` are always returned as pairs. Below an `Unlisted` folder nothing is
    compared: rows there neither vanish nor pair. The same holds for the row of an `Unseen` name.
    """
    indexed = _Rows(rows)
    for item in found:
        if isinstance(item, Run):
            same = yield from _compare_run(item, indexed, reread, troubled)
            for start in range(0, same, at_once):
                yield Same(min(same - start, at_once))
            continue
        if isinstance(item, Unlisted):
            low, high = paths.below_range(item.path)
            yield from indexed.vanished(before=low)
            indexed.skip(before=high)
        elif isinstance(item, Unseen):
            yield from indexed.vanished(before=item.path)
            indexed.skip(before=item.path + b"\0")
        yield item
    yield from indexed.vanished()


def _compare_run(
    run: Run, indexed: _Rows, reread: int, troubled: Container[bytes]
) -> Generator[Compared, None, int]:
    """Compare a run of files; returns the number of those that equal their rows."""
    path_at, seen_at, scan_at, version_at = STAMP_COLUMNS
    present, any_troubled = RowState.PRESENT.value, bool(troubled)
    row, rows = indexed.next, indexed.rows
    same = 0
    for path, status, disk_id in run.files:
        if row is not None and row[path_at] < path:
            yield from indexed.vanished(before=path)
            row = indexed.next
        if row is None or row[path_at] != path:
            yield Pair(entry_of(path, status, disk_id), None)
            continue
        now = (
            status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino,
            present, disk_id,
        )  # fmt: skip
        is_same = row[seen_at] == now and S_ISREG(status.st_mode)
        if any_troubled and path in troubled:
            is_same = False
        if is_same and row[version_at] and row[scan_at] >= reread:
            same += 1
        else:
            yield Pair(entry_of(path, status, disk_id), tracks.known_of(row))
        row = indexed.next = next(rows, None)
    return same
