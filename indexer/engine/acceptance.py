"""What stands at a root and below it -> the disks that are accepted there from then on (R8)."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress

from msgspec import Struct

from indexer import disks, errors, paths
from indexer.disks import Disk
from indexer.engine.guard import check_disk, fresh_mounts, may_adopt
from indexer.identity import Seen, open_root, seen_at, wrong_disk
from indexer.mounts import Mount, mounts_below, read_mounts
from indexer.store import roots, tracks
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import MountRow, RootRow


class Adopted(Struct, frozen=True):
    """A disk that took the place of one on which no file was ever indexed."""

    folder: bytes
    """Where in the root; the root itself is `b""`."""
    disk: Disk


def learn_mounts(connection: Connection, root: RootRow) -> list[Adopted]:
    """Accept what may be accepted without asking, since no row can be lost by it.

    A disk that is mounted at a place of which no file was ever indexed: mostly it was accepted
    before its disk was mounted. A mount point below the root that is met for the first time, but
    only while the root's own disk is there. And a subvolume of which only the UUID is known.
    """
    mounts = read_mounts()
    known = roots.mounts(connection, root.id)
    if not known:  # the root was removed a moment ago
        return []
    adopted = [
        found
        for row in known
        if tracks.was_never_at(connection, root.id, row.folder)
        for found in _adopt(connection, root, row, mounts)
    ]
    _learn_others(connection, root, mounts)
    return adopted


def _adopt(
    connection: Connection, root: RootRow, row: MountRow, mounts: Sequence[Mount]
) -> list[Adopted]:
    """Accept another disk at one place, if it may be. Its descriptor keeps it there meanwhile."""
    with suppress(errors.RootOffline), _opened(root, row.folder) as fd:
        seen = seen_at(fd, _path(root, row.folder), mounts)
        if wrong_disk(Seen(row.disk, row.inode), seen) is None or not may_adopt(row, seen):
            return []
        with write_transaction(connection):
            if not _is_as_before(connection, root, row):
                return []
            roots.accept(connection, root.id, row.folder, seen.disk, seen.inode)
        return [Adopted(row.folder, seen.disk)]
    return []


def _is_as_before(connection: Connection, root: RootRow, row: MountRow) -> bool:
    """Whether still no file was indexed there, and nothing else was accepted."""
    return row in roots.mounts(connection, root.id) and tracks.was_never_at(
        connection, root.id, row.folder
    )


def _learn_others(connection: Connection, root: RootRow, mounts: Sequence[Mount]) -> None:
    known = roots.mounts(connection, root.id)
    accepted = {row.folder: row for row in known}
    fresh = fresh_mounts(root, accepted, mounts_below(root.path, mounts))
    vague = [row for row in known if not row.disk.fsid and disks.has_subvolumes(row.disk.fs_type)]
    if not (fresh or vague):
        return
    try:
        check_disk(root, accepted[b""], _look_at(root, b"", mounts))
    except errors.RootOffline:
        return
    with write_transaction(connection):
        for folder in fresh:
            with suppress(errors.RootOffline):
                seen = _look_at(root, folder, mounts)
                roots.accept(connection, root.id, folder, seen.disk, seen.inode)
        for row in vague:
            with suppress(errors.RootOffline):
                _learn_subvolume(connection, root, row, mounts)


def _learn_subvolume(
    connection: Connection, root: RootRow, row: MountRow, mounts: Sequence[Mount]
) -> None:
    seen = _look_at(root, row.folder, mounts)
    if seen.disk.fsid and wrong_disk(Seen(row.disk, row.inode), seen) is None:
        roots.accept(connection, root.id, row.folder, seen.disk, seen.inode)


def accept_disks(connection: Connection, root: RootRow) -> None:
    """Take what stands at a root and below it now as right, inside the caller's transaction."""
    mounts = read_mounts()
    roots.forget_mounts(connection, root.id)
    for folder in (b"", *fresh_mounts(root, (), mounts_below(root.path, mounts))):
        seen = _look_at(root, folder, mounts)
        roots.accept(connection, root.id, folder, seen.disk, seen.inode)


def _look_at(root: RootRow, folder: bytes, mounts: Sequence[Mount]) -> Seen:
    """What stands at a folder of a root. Raises RootOffline where that cannot be told."""
    with _opened(root, folder) as fd:
        return seen_at(fd, _path(root, folder), mounts)


@contextmanager
def _opened(root: RootRow, folder: bytes) -> Iterator[int]:
    fd = open_root(_path(root, folder))
    try:
        yield fd
    finally:
        os.close(fd)


def _path(root: RootRow, folder: bytes) -> bytes:
    return paths.join(root.path, folder) if folder else root.path
