"""Changes of files beside the music -> their rows as they are to stand, and what is due then.

What is written is looked at once more in its transaction (rule R3).
"""

from __future__ import annotations

import stat
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Final

from indexer import paths
from indexer.disk.tree import Folders, Tree
from indexer.ignore.path_filter import PathFilter
from indexer.look import look_at_sidecar
from indexer.model import PictureFacts, Stamp
from indexer.sidecars import NO_STAMP, SidecarKind, kind_of
from indexer.stages.sidecar_scan import SidecarChange
from indexer.store import problems, roots
from indexer.store.connection import Connection, write_transaction
from indexer.store.sidecars import artwork, lyrics, pictures, playlists, sidecar_rows
from indexer.store.sidecars.artwork import Due
from indexer.store.sidecars.playlists import KnownPlaylist

_AT_ONCE: Final = 2000
"""Files per transaction, so that no other writer waits for long. A guess: 20 ms of work."""


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
