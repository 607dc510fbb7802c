"""A walk and the rows of the index -> pairs, rows without a file, and unlisted folders."""

from __future__ import annotations

from collections.abc import Collection, Generator, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.model import Entry, IndexedFile
from indexer.store import tracks
from indexer.store.connection import Row
from indexer.store.tracks import TOLD
from indexer.walk import File, Found, Listed, Run, Unlisted, Unseen, entry_of

_AHEAD: Final = 512
"""Rows that are taken ahead of those that are asked for. A guess."""


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
    """Rows of `tracks.rows_below`, read some at a time; `next` is the first not handled yet."""

    def __init__(self, rows: Iterator[Row]) -> None:
        self._rows = rows
        self._read: list[Row] = []
        self._at = 0

    def ahead(self, count: int) -> list[Row]:
        """The next rows, so many or all that are left."""
        at = self._at
        if len(self._read) < at + count:
            self._read = [*self._read[at:], *islice(self._rows, count + _AHEAD)]
            self._at = at = 0
        return self._read[at : at + count]

    @property
    def next(self) -> Row | None:
        """The first that is not handled yet; None at the end."""
        return next(iter(self.ahead(1)), None)

    def pass_on(self, count: int = 1) -> None:
        """Advance by some rows, which are there."""
        self._at += count

    def vanished(self, before: bytes | None = None) -> Iterator[Vanished]:
        """All rows before a path, or all remaining ones."""
        while (row := self.next) is not None and (before is None or row[TOLD.path] < before):
            self.pass_on()
            yield Vanished(tracks.known_of(row))

    def skip(self, before: bytes) -> None:
        """Skip the rows before a path."""
        while (row := self.next) is not None and row[TOLD.path] < before:
            self.pass_on()


def compare(
    found: Iterable[Found],
    rows: Iterator[Row],
    reread: int,
    troubled: Collection[bytes],
    *,
    at_once: int,
) -> Iterator[Compared | Same]:
    """Merge a walk and rows of `tracks.rows_below`, both in byte order of their paths.

    Unchanged files are only counted, `at_once` of them at a time. Files that must be reread, were
    refused, or are `troubled` are always returned as pairs. Below an `Unlisted` folder nothing is
    compared: rows there neither vanish nor pair. The same holds for the row of an `Unseen` name.
    """
    indexed = _Rows(rows)
    for item in found:
        if isinstance(item, Run):
            for start in range(0, len(item.files), at_once):
                files = item.files[start : start + at_once]
                same = yield from _compare_some(files, indexed, reread, troubled)
                if same:
                    yield Same(same)
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


def _compare_some(
    files: Sequence[File], indexed: _Rows, reread: int, troubled: Collection[bytes]
) -> Generator[Compared, None, int]:
    """Compare adjacent files of a folder; returns the number of those that equal their rows."""
    if not reread:
        rows = indexed.ahead(len(files))
        is_same = list(map(_seen, rows)) == files  # nearly always
        if is_same and not (troubled and any(file[0] in troubled for file in files)):
            indexed.pass_on(len(rows))
            return len(rows)
    same = 0
    for file in files:
        path = file[0]
        row = indexed.next
        if row is not None and row[TOLD.path] < path:
            yield from indexed.vanished(before=path)
            row = indexed.next
        if row is None or row[TOLD.path] != path:
            yield Pair(entry_of(file), None)
            continue
        indexed.pass_on()
        if row[TOLD.seen] == file and row[TOLD.scan_id] >= reread and path not in troubled:
            same += 1
        else:
            yield Pair(entry_of(file), tracks.known_of(row))
    return same


_seen = itemgetter(TOLD.seen)
