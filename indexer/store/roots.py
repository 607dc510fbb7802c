"""Roots, and the accepted disks at them and at the mount points below them."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from indexer.paths import fits_utf8
from indexer.store.statements import Connection, select, select_value

if TYPE_CHECKING:  # most commands only ask for the names and paths of roots
    from indexer.disk.filesystem import Disk  # noqa: TC004 - no row is decoded by msgspec

_SELECT: Final = "SELECT id, name, path FROM roots WHERE removed_at IS NULL ORDER BY id"
_BY_PATH: Final = "SELECT id FROM roots WHERE path = ?"
_ADD: Final = """
INSERT INTO roots (name, path, path_is_text, added_at, reader_version) VALUES (?, ?, ?, ?, ?)
RETURNING id
"""
_REVIVE: Final = """
UPDATE roots SET name = ?, removed_at = NULL, reader_version = 0 WHERE id = ?
"""
_RENAME: Final = "UPDATE roots SET name = ? WHERE id = ?"
_REMOVE: Final = "UPDATE roots SET removed_at = ? WHERE id = ?"
_MOUNTS: Final = """
SELECT mounts.folder, mounts.disk_id, mounts.inode,
       disks.uuid, disks.fsid, disks.fs_type, disks.source
FROM mounts JOIN disks ON disks.id = mounts.disk_id
WHERE mounts.root_id = ? ORDER BY mounts.folder
"""
_DISKS_OF_ROOTS: Final = "SELECT root_id, disk_id FROM mounts"
_DISKS: Final = "SELECT id, uuid, fsid, fs_type, source FROM disks"
_ADD_DISK: Final = """
INSERT INTO disks (uuid, fsid, fs_type, source) VALUES (?, ?, ?, ?) RETURNING id
"""
_KEEP_MOUNT: Final = """
INSERT OR REPLACE INTO mounts (root_id, folder, disk_id, inode) VALUES (?, ?, ?, ?)
"""
_DELETE_MOUNTS: Final = "DELETE FROM mounts WHERE root_id = ?"
_FORGET_MOUNT: Final = "DELETE FROM mounts WHERE root_id = ? AND folder = ? AND folder <> x''"
_HAS_NOTHING: Final = """
SELECT 1 FROM roots WHERE id = ?1 AND last_day > 0
    AND NOT EXISTS (SELECT 1 FROM tracks WHERE root_id = ?1)
    AND NOT EXISTS (SELECT 1 FROM problems WHERE root_id = ?1 AND is_picture = 0)
    AND NOT EXISTS (SELECT 1 FROM pending WHERE root_id = ?1)
"""
_IS_WATCHED: Final = "SELECT 1 FROM roots WHERE id = ? AND removed_at IS NULL"
_NAME_OF: Final = "SELECT name FROM roots WHERE id = ?"


class RootRow(Struct, frozen=True):
    """One watched root: its id, its name (unique among watched ones) and its real path."""

    id: int
    name: str
    path: bytes


class MountRow(Struct, frozen=True):
    """The disk that was accepted at a folder of a root; the root itself is `b""`."""

    folder: bytes
    disk_id: int
    inode: int
    disk: Disk


def watched(connection: Connection) -> list[RootRow]:
    """The roots that are watched, in the order they were added."""
    return [RootRow(*row) for row in select(connection, _SELECT)]


def is_watched(connection: Connection, root_id: int) -> bool:
    """Whether a root has not been removed."""
    return select_value(connection, _IS_WATCHED, (root_id,)) is not None


def never_had_music(connection: Connection, root_id: int) -> bool:
    """Whether a root was scanned, and has no track, no problem and no hint."""
    return select_value(connection, _HAS_NOTHING, (root_id,)) is not None


def add(connection: Connection, name: str, path: bytes, now_ms: int) -> RootRow:
    """Watch a root; one that was removed before returns with its rows and their ids."""
    from indexer.store.sidecars import (
        playlists,  # late, as in the functions below: few commands need it
    )
    from indexer.tags import READER_VERSION

    playlists.place_anew(connection)
    known = select_value(connection, _BY_PATH, (path,))
    if known is not None:
        connection.execute(_REVIVE, (name, known))
        return RootRow(int(known), name, path)
    row = (name, path, fits_utf8(path), now_ms, READER_VERSION)
    return RootRow(int(select_value(connection, _ADD, row)), name, path)


def rename(connection: Connection, root_id: int, name: str) -> None:
    """Give a root another name, which no watched one has."""
    connection.execute(_RENAME, (name, root_id))


def remove(connection: Connection, root_id: int, now_ms: int) -> None:
    """Stop watching a root. The caller marks its rows missing."""
    from indexer.store.sidecars import playlists

    playlists.place_anew(connection)
    connection.execute(_REMOVE, (now_ms, root_id))
    connection.execute(_DELETE_MOUNTS, (root_id,))


def mounts(connection: Connection, root_id: int) -> list[MountRow]:
    """The accepted disks at the root and at mount points below it."""
    from indexer.disk.filesystem import Disk

    return [
        MountRow(folder, disk_id, inode, Disk(uuid=uuid, fsid=fsid, fs_type=fs_type, source=source))
        for folder, disk_id, inode, uuid, fsid, fs_type, source in select(
            connection, _MOUNTS, (root_id,)
        )
    ]


def disks_of_roots(connection: Connection) -> dict[int, set[int]]:
    """Root id -> the ids of the disks at it and below it."""
    disks: dict[int, set[int]] = {}
    for root_id, disk_id in select(connection, _DISKS_OF_ROOTS):
        disks.setdefault(root_id, set()).add(disk_id)
    return disks


def own_mount(mounts: Iterable[MountRow]) -> MountRow | None:
    """The row of the root itself; None: it was removed meanwhile, or its row is lost."""
    return next((row for row in mounts if not row.folder), None)


def accept(connection: Connection, root_id: int, folder: bytes, disk: Disk, inode: int) -> int:
    """Accept `disk` as the right one at a folder; returns the disk's id."""
    disk_id = disk_id_of(connection, disk)
    connection.execute(_KEEP_MOUNT, (root_id, folder, disk_id, inode))
    return disk_id


def find_disk(connection: Connection, disk: Disk) -> int | None:
    """The id of a known disk, or None."""
    from indexer.disk.filesystem import Disk, same_inodes

    for disk_id, uuid, fsid, fs_type, source in list(select(connection, _DISKS)):
        if same_inodes(Disk(uuid=uuid, fsid=fsid, fs_type=fs_type, source=source), disk):
            return int(disk_id)
    return None


def disk_id_of(connection: Connection, disk: Disk) -> int:
    """The id of a disk, which is added if unknown."""
    known = find_disk(connection, disk)
    if known is not None:
        return known
    row = (disk.uuid, disk.fsid, disk.fs_type, disk.source)
    return int(select_value(connection, _ADD_DISK, row))


def delete_mounts(connection: Connection, root_id: int) -> None:
    """Delete the accepted disks of a root, before others are accepted."""
    connection.execute(_DELETE_MOUNTS, (root_id,))


def forget_mount(connection: Connection, root_id: int, folder: bytes) -> None:
    """Expect no disk any more at a folder below a root."""
    connection.execute(_FORGET_MOUNT, (root_id, folder))


def name_of(connection: Connection, root_id: int) -> str:
    """The name of any root, even if it is no longer watched."""
    return str(select_value(connection, _NAME_OF, (root_id,)))
