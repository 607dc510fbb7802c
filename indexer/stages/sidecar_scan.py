"""The files beside the music that a scan has listed, and their rows -> those that differ.

Pictures, playlists and lyrics are inputs as music is: their stamps decide (rule R1), and nothing is
judged where a listing failed (R6).
"""

from __future__ import annotations

import os
from collections.abc import Container, Iterable, Iterator, Sequence

from msgspec import Struct

from indexer import paths
from indexer.disk.tree import Tree
from indexer.ignore.path_filter import PathFilter
from indexer.look import look_at_sidecar
from indexer.model import Hint, Stamp
from indexer.sidecars import NO_STAMP, SIDECAR_SUFFIXES
from indexer.store.connection import Connection, Row
from indexer.store.sidecars import sidecar_rows
from indexer.walk import Listed, Unlisted

_Rows = Iterator[Row]


class SidecarChange(Struct, frozen=True, gc=False):
    """A file beside the music whose row differs from what was listed."""

    root_id: int
    path: bytes
    stamp: Stamp | None
    """As it was listed; None: it is not there, or not wanted."""


class SidecarScan:
    """The files beside the music of one hint's scan, merged with their rows in walk order.

    Tell it what the walk yields: `listed` and `unlisted`, and `end` when that was complete; or
    `look` at each one that is named. `take` the changes. Where none is wanted it does nothing.
    """

    def __init__(
        self,
        connection: Connection,
        tree: Tree,
        hint: Hint,
        path_filter: PathFilter,
        unfinished: Container[bytes] = frozenset(),
    ) -> None:
        """`unfinished` are files that are being written: they are left as they were."""
        self.changes: list[SidecarChange] = []
        self._connection = connection
        self._tree = tree
        self._hint = hint
        self._path_filter = path_filter
        self._unfinished = unfinished
        self._rows = self._below()
        self._next: Row | None = None
        self._is_begun = False

    def take(self) -> list[SidecarChange]:
        """The changes since the last call."""
        changes, self.changes = self.changes, []
        return changes

    def note(self, item: object) -> None:
        """Take in what concerns them of all that a walk, or its comparison, yields."""
        if isinstance(item, Listed):
            self.listed(item)
        elif isinstance(item, Unlisted):
            self.unlisted(item)

    def listed(self, item: Listed) -> None:
        """Compare those of a folder with their rows."""
        listed = item.sidecars
        if listed is None:
            return
        key = paths.folder_key(item.path)
        row = self._next
        if not self._is_begun or (row is not None and row[0] < key):
            self._pass_gone(key)
            row = self._next
        same = 0
        for name, status in listed:  # nearly always all are as they were
            if row is None or row[0] != key or row[1:] != (name, *_numbers(status)):
                break
            same += 1
            row = self._next = next(self._rows, None)
        own: list[Row] = []
        while row is not None and row[0] == key:
            own.append(row)
            row = self._pass_on()
        if own or same < len(listed):
            self._compare(item, listed[same:], own)

    def unlisted(self, item: Unlisted) -> None:
        """Pass the rows below a folder that could not be listed: they may not be judged."""
        if not self._path_filter.sidecars or self._hint.names is not None:
            return
        low, high = paths.below_range(item.path)
        self._pass_gone(low)
        while self._next is not None and self._next[0] < high:
            self._pass_on()

    def end(self) -> None:
        """The walk, if there was one, is complete: the folders of all further rows are gone."""
        if self._path_filter.sidecars and self._hint.names is None:
            self._pass_gone(None)

    def look(self, path: bytes) -> None:
        """Compare one that was named with its row. Raises OSError as `lstat` does."""
        if path in self._unfinished or self._tree.is_offline(path):
            return
        known = sidecar_rows.stamp_of(self._connection, self._hint.root_id, path)
        stamp = look_at_sidecar(self._tree, path, self._path_filter)
        if stamp is None and known is None:
            return
        if stamp is None or known is None or not self._same(path, known, stamp):
            self._change(path, stamp)

    def _compare(
        self,
        item: Listed,
        listed: Iterable[tuple[bytes, os.stat_result | None]],
        rows: Sequence[Row],
    ) -> None:
        """Compare some of one folder with the rows that may be theirs."""
        known = {row[1]: row for row in rows}
        for name, status in listed:
            row = known.pop(name, None)
            if row is not None and row[2:] == _numbers(status):
                continue
            path = paths.join(item.path, name)
            stamp = NO_STAMP if status is None else Stamp.of(status)
            if row is not None and self._same(path, Stamp(*row[2:]), stamp):
                continue
            self._change(path, stamp)
        for name in known:
            if name not in item.unseen:
                self._change(paths.join(item.path, name), None)

    def _same(self, path: bytes, one: Stamp, other: Stamp) -> bool:
        return self._tree.mount_point_of(path).fields.same(one, other)

    def _change(self, path: bytes, stamp: Stamp | None) -> None:
        if path not in self._unfinished:
            self.changes.append(SidecarChange(self._hint.root_id, path, stamp))

    def _pass_gone(self, before: bytes | None) -> None:
        """Of rows before a folder, none was listed: their folders are gone, or not wanted now."""
        if not self._is_begun:
            self._is_begun = True
            self._next = next(self._rows, None)
        row = self._next
        while row is not None and (before is None or row[0] < before):
            self._change(row[0] + row[1], None)
            row = self._pass_on()

    def _pass_on(self) -> Row | None:
        self._next = next(self._rows, None)
        return self._next

    def _below(self) -> _Rows:
        hint = self._hint
        rows = sidecar_rows.rows_below(
            self._connection, hint.root_id, hint.folder, recursive=hint.recursive
        )
        wanted = self._path_filter.sidecars
        if not wanted.issuperset(SIDECAR_SUFFIXES):  # of the others nothing is known, or it goes
            rows = (row for row in rows if paths.suffix_of(row[1]) in wanted)
        if self._tree.is_whole:
            return rows
        return (row for row in rows if not self._tree.is_offline(row[0] + row[1]))


def _numbers(status: os.stat_result | None) -> tuple[int, int, int, int]:
    """The stamp as a row has it, where no number is out of range."""
    if status is None:
        return 0, 0, 0, 0
    return status.st_size, status.st_mtime_ns, status.st_ctime_ns, status.st_ino
