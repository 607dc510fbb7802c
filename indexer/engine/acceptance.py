"""What stands at a root and below it -> the disks that are accepted there from then on (R8)."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import suppress

from indexer import disks, errors, paths
from indexer.engine.guard import check_disk, fresh_mounts
from indexer.identity import Seen, open_root, seen_at, wrong_disk
from indexer.mounts import Mount, mounts_below, read_mounts
from indexer.store import roots
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import MountRow, RootRow


def learn_mounts(connection: Connection, root: RootRow) -> None:
    """Accept the mount points below a root that are met for the first time.

    Nothing is asked: a disk that was never seen there has no rows to lose. But only while the
    root's own disk is there, and not where nothing can be seen of the new one. And learn the
    subvolumes of disks of which only the UUID is known.
    """
    mounts = read_mounts()
    known = roots.mounts(connection, root.id)
    accepted = {row.folder: row for row in known}
    fresh = fresh_mounts(root, accepted, mounts_below(root.path, mounts))
    vague = [row for row in known if not row.disk.fsid and disks.has_subvolumes(row.disk.fs_type)]
    if not (fresh or vague):
        return
    own = accepted.get(b"")
    if own is None:  # the root was removed a moment ago
        return
    try:
        check_disk(root, own, _look_at(root, b"", mounts))
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
    path = paths.join(root.path, folder) if folder else root.path
    fd = open_root(path)
    try:
        return seen_at(fd, path, mounts)
    finally:
        os.close(fd)
