"""The files beside the music that a scan has listed, and their rows -> rows as they are to stand.

Pictures, playlists and lyrics are inputs as music is: their stamps decide (rule R1), nothing is
judged where a listing failed (R6), and what is written is looked at once more in its transaction
(R3). With it stands what is due from then on.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Collection, Container, Iterable, Iterator, Mapping, Sequence
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.disk.tree import Folders, Tree
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint, PictureFacts, Stamp
from indexer.sidecars import NO_STAMP, SIDECAR_SUFFIXES, SidecarKind, kind_of
from indexer.store import problems, roots
from indexer.store.connection import Connection, Row, write_transaction
from indexer.store.sidecars import artwork, lyrics, pictures, playlists, sidecar_rows
from indexer.store.sidecars.artwork import Due
from indexer.store.sidecars.playlists import KnownPlaylist
from indexer.walk import Listed, Unlisted, look_at_sidecar

_AT_ONCE: Final = 2000
"""Files per transaction, so that no other writer waits for long. A guess: 20 ms of work."""

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


def write_changes(
    connection: Connection,
    trees: Mapping[int, Tree],
    path_filter: PathFilter,
    changes: Sequence[SidecarChange],
) -> int:
    """Bring rows to what is there now, with what that makes due; the number of changed rows.

    Nothing is written if nothing changed after all (rule R14). A picture or a playlist that was
    moved with its stamp keeps what is known of it, if its old place is among the changes.
    """
    written = 0
    ordered = sorted(changes, key=_turn)
    moved: dict[tuple[int, Stamp], PictureFacts] = {}
    for start in range(0, len(ordered), _AT_ONCE):
        part = ordered[start : start + _AT_ONCE]
        by_root: dict[int, list[SidecarChange]] = {}
        for change in part:
            by_root.setdefault(change.root_id, []).append(change)
        with write_transaction(connection):
            due = Due()
            for root_id, own in by_root.items():
                if root_id in trees and roots.is_watched(connection, root_id):
                    writer = _Writer(connection, trees, root_id, path_filter, due, moved)
                    written += writer.write(own)
            due.write(connection)
    return written


def _turn(change: SidecarChange) -> int:
    """The order: pictures that left (`moved` keeps their facts), arrivals, lists that left."""
    if change.stamp is not None:
        return 1
    return 0 if kind_of(change.path) is SidecarKind.PICTURE else 2


def write_in(
    connection: Connection, tree: Tree, path_filter: PathFilter, changes: Sequence[SidecarChange]
) -> int:
    """The same for files of one root, in the caller's transaction."""
    due = Due()
    trees = {tree.root_id: tree}
    written = _Writer(connection, trees, tree.root_id, path_filter, due, {}).write(changes)
    due.write(connection)
    return written


def is_still(
    connection: Connection,
    tree: Tree,
    path_filter: PathFilter,
    path: bytes,
    stamps: Sequence[Stamp | None],
) -> bool:
    """Whether a file is what was read (rule R3): its stamp now is each of these.

    Where it is another file now, or gone, its row is then as it stands now.
    """
    status = tree.lstat(path)
    now = Stamp.of(status) if status is not None and stat.S_ISREG(status.st_mode) else None
    fields = tree.mount_point_of(path).fields
    if now is not None and all(one is not None and fields.same(now, one) for one in stamps):
        return True
    if path_filter.sidecar(paths.name_of(path)):
        change = SidecarChange(tree.root_id, path, now)
        write_in(connection, tree, path_filter, [change])
    return False


def try_again(connection: Connection, root_id: int) -> None:
    """Make due what the machine could not read of pictures and playlists: rights, disk, memory.

    None of that changes the stamp of a file when it is mended.
    """
    try_these(connection, root_id, problems.of_pictures_by_machine(connection, root_id))


def try_these(connection: Connection, root_id: int, files: Collection[bytes]) -> None:
    """The same for some of them, by their paths."""
    if not files:
        return
    with write_transaction(connection):
        due = Due()
        for path in files:
            problems.reopen_picture(connection, root_id, path)
            playlist = playlists.get(connection, root_id, path)
            if playlist is not None:
                playlists.reopen(connection, playlist.id)
            else:
                due.folders.add((root_id, paths.parent_of(path)))
        due.write(connection)


class _Writer:
    """Writes changes of one root in the caller's transaction."""

    def __init__(
        self,
        connection: Connection,
        trees: Mapping[int, Tree],
        root_id: int,
        path_filter: PathFilter,
        due: Due,
        moved: dict[tuple[int, Stamp], PictureFacts],
    ) -> None:
        self._connection = connection
        self._trees = trees
        self._tree = trees[root_id]
        self._path_filter = path_filter
        self._due = due
        self._moved = moved
        """(disk id, stamp) -> facts of pictures that have left their place."""

    def write(self, changes: Iterable[SidecarChange]) -> int:
        changes = list(changes)
        with self._tree.folders([one.path for one in changes]) as folders:
            return sum(self._write(change, folders) for change in changes)

    def _write(self, change: SidecarChange, folders: Folders) -> bool:
        """Write one change as it stands now (rule R3); whether anything was written."""
        path = change.path
        known = sidecar_rows.stamp_of(self._connection, self._tree.root_id, path)
        try:
            stamp = self._stamp_now(change, folders)
        except OSError:  # unknown: the next scan finds the same, or its folder's problem
            return False
        if stamp is None and known is None:
            return False
        fields = self._tree.mount_point_of(path).fields
        if stamp is not None and known is not None and fields.same(known, stamp):
            return False
        match kind_of(path):
            case SidecarKind.PICTURE:
                self._write_picture(path, stamp, is_new=known is None)
            case SidecarKind.PLAYLIST:
                self._write_playlist(path, stamp)
            case SidecarKind.LYRICS:
                self._write_lyrics(path, stamp)
        return True

    def _stamp_now(self, change: SidecarChange, folders: Folders) -> Stamp | None:
        if change.stamp is None:
            return look_at_sidecar(self._tree, change.path, self._path_filter)
        status = folders.lstat(change.path)
        if status is None or not stat.S_ISREG(status.st_mode):
            return None
        return NO_STAMP if change.stamp == NO_STAMP else Stamp.of(status)

    def _write_picture(self, path: bytes, stamp: Stamp | None, *, is_new: bool) -> None:
        """What was known and chosen of this picture holds no more; of a new one nothing was."""
        root_id, mount_point = self._tree.root_id, self._tree.mount_point_of(path)
        if stamp is None:
            known = pictures.get(self._connection, root_id, path)
            if known is not None and known.facts is not None:
                self._moved[mount_point.disk_id, known.stamp] = known.facts
            pictures.delete(self._connection, root_id, path)
        else:
            facts = None
            if mount_point.fields.stable_inodes:
                facts = self._moved.get((mount_point.disk_id, stamp))
            pictures.put(self._connection, root_id, path, stamp, facts)
        if not is_new:
            problems.clear_of_picture(self._connection, root_id, path)
            artwork.unchoose_file(self._connection, root_id, path)
        self._due.folders.add((root_id, paths.parent_of(path)))

    def _write_playlist(self, path: bytes, stamp: Stamp | None) -> None:
        """Its items stand as they were until it is read again."""
        root_id = self._tree.root_id
        problems.clear_of_picture(self._connection, root_id, path)
        known = playlists.get(self._connection, root_id, path)
        if stamp is None:
            if known is not None:
                self._due.playlists.discard(known.id)
                playlists.delete(self._connection, known.id)
            return
        moved = None if known is not None else self._moved_playlist(path, stamp)
        if moved is not None:
            if problems.clear_of_picture(self._connection, moved.root_id, moved.path):
                playlists.reopen(self._connection, moved.id)
            playlists.move(self._connection, moved.id, root_id, path)
            if moved.stamp != stamp:
                playlists.put(self._connection, root_id, path, stamp)
            self._due.playlists.add(moved.id)
        else:
            self._due.playlists.add(playlists.put(self._connection, root_id, path, stamp))

    def _moved_playlist(self, path: bytes, stamp: Stamp) -> KnownPlaylist | None:
        """The playlist that stands here now, and was elsewhere on the same disk (rule R7).

        None if there are several. One that was renamed itself is read again, and keeps its id.
        """
        mount_point = self._tree.mount_point_of(path)
        if not mount_point.fields.stable_inodes:
            return None
        found = [
            one
            for one in playlists.alike(self._connection, stamp)
            if self._has_left(one, mount_point.disk_id)
        ]
        return found[0] if len(found) == 1 else None

    def _has_left(self, playlist: KnownPlaylist, disk_id: int) -> bool:
        tree = self._trees.get(playlist.root_id)
        if tree is None or tree.is_offline(playlist.path):
            return False
        try:
            return (
                tree.mount_point_of(playlist.path).disk_id == disk_id
                and look_at_sidecar(tree, playlist.path, self._path_filter) is None
            )
        except OSError:
            return False

    def _write_lyrics(self, path: bytes, stamp: Stamp | None) -> None:
        root_id = self._tree.root_id
        if stamp is None:
            lyrics.delete(self._connection, root_id, path)
        else:
            lyrics.put(self._connection, root_id, path)
        self._due.folders.add((root_id, paths.parent_of(path)))
