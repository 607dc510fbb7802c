"""The roots the index knows -> the roots that are there, with the disks that were accepted (R8)."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from pathlib import Path

from msgspec import Struct

from indexer import disks, errors, paths
from indexer.store import roots
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import MountRow, RootRow
from indexer.tree import Seen, Spot, Tree, open_root, seen_at, spot_at, wrong_disk


class Guarded(Struct, frozen=True):
    """What came of looking at all roots: the trees that are there, and why others are not."""

    trees: dict[int, Tree]
    offline: dict[int, str]
    """Root id -> one line that says what is wrong and what to do."""

    def away(self, root_id: int) -> list[str]:
        """Why mount points below a root that is there are not, a line each."""
        tree = self.trees.get(root_id)
        return [] if tree is None else list(tree.offline.values())

    def close(self) -> None:
        """Let every disk go."""
        for tree in self.trees.values():
            tree.close()


def look_at_roots(
    connection: Connection, watched: Sequence[RootRow], *, follow_links: bool = False
) -> Guarded:
    """Open every root whose disk is the accepted one. Changes no row."""
    mounts = disks.read_mounts()
    trees: dict[int, Tree] = {}
    offline: dict[int, str] = {}
    for root in watched:
        try:
            known = roots.mounts(connection, root.id)
            trees[root.id] = open_tree(root, known, mounts, follow_links=follow_links)
        except errors.RootOffline as error:
            offline[root.id] = f"{root.name}: {error}"
    return Guarded(trees, offline)


def open_tree(
    root: RootRow,
    known: Sequence[MountRow],
    mounts: Sequence[disks.Mount],
    *,
    follow_links: bool = False,
) -> Tree:
    """Open one root. Raises RootOffline unless the accepted disk is there.

    A mount point below it that was accepted is guarded like the root, but only for itself: what
    lies under it is left alone while its own disk is away. One that is not known yet is counted
    as away until `learn_mounts` has accepted it.
    """
    accepted = {row.folder: row for row in known}
    own = accepted[b""]
    fd = open_root(root.path)
    spots = [spot_at(b"", fd, own.disk_id, own.disk.fs_type)]
    try:
        _check_disk(root, own, seen_at(fd, root.path, mounts))
        mounted = disks.mounts_below(root.path, mounts)
        offline: dict[bytes, str] = {}
        for folder, row in accepted.items():
            if not folder:
                continue
            spot = None
            if folder in mounted:
                spot = _open_spot(root, row, mounts)
            if spot is None:
                offline[folder] = (
                    f"{root.name}: {os.fsdecode(paths.join(root.path, folder))}: its disk is not "
                    "there; not one row below it was changed. Mount it, or take what is there "
                    f"now with `indexer roots accept {root.name}`"
                )
            else:
                spots.append(spot)
        for folder in _fresh(root, accepted, mounted):
            offline[folder] = (
                f"{root.name}: {os.fsdecode(paths.join(root.path, folder))}: a disk was mounted "
                "there; `indexer scan` looks at it"
            )
    except BaseException:
        for spot in spots:
            os.close(spot.fd)
        raise
    return Tree(root.id, root.name, root.path, spots, offline, follow_links=follow_links)


def _check_disk(root: RootRow, own: MountRow, seen: Seen) -> None:
    """Raise RootOffline unless the accepted disk is the one that is seen."""
    reason = wrong_disk(Seen(own.disk, own.inode), seen)
    if reason is not None:
        raise errors.RootOffline(
            f"{os.fsdecode(root.path)}: {reason}; not one row was changed. Mount "
            f"the right disk, or take this one with `indexer roots accept {root.name}`"
        )


def _fresh(root: RootRow, accepted: Collection[bytes], mounted: Collection[bytes]) -> list[bytes]:
    """Mount points below a root that nobody has met yet; a file that is mounted is but a file."""
    return [
        folder
        for folder in mounted
        if folder not in accepted
        and not _is_ignored(folder)
        and not os.path.isfile(paths.join(root.path, folder))
    ]


def _open_spot(root: RootRow, row: MountRow, mounts: Sequence[disks.Mount]) -> Spot | None:
    """A mount point below a root, held open; None unless its accepted disk is there."""
    path = paths.join(root.path, row.folder)
    try:
        fd = open_root(path)
    except errors.RootOffline:
        return None
    try:
        right = wrong_disk(Seen(row.disk, row.inode), seen_at(fd, path, mounts)) is None
    except errors.RootOffline:
        right = False
    if not right:
        os.close(fd)
        return None
    return spot_at(row.folder, fd, row.disk_id, row.disk.fs_type)


def learn_mounts(connection: Connection, root: RootRow) -> None:
    """Accept the mount points below a root that are met for the first time.

    Nothing is asked: a disk that was never seen there has no rows to lose. But only while the
    root's own disk is there, and not where nothing can be seen of the new one.
    """
    mounts = disks.read_mounts()
    accepted = {row.folder: row for row in roots.mounts(connection, root.id)}
    fresh = _fresh(root, accepted, disks.mounts_below(root.path, mounts))
    if not fresh:
        return
    own = accepted.get(b"")
    if own is None:  # the root was removed a moment ago
        return
    try:
        _check_disk(root, own, _look_at(root, b"", mounts))
    except errors.RootOffline:
        return
    with write_transaction(connection):
        for folder in fresh:
            with suppress(errors.RootOffline):
                seen = _look_at(root, folder, mounts)
                roots.accept(connection, root.id, folder, seen.disk, seen.inode)


def accept_disks(connection: Connection, root: RootRow) -> None:
    """Take what stands at a root and below it now as right, inside the caller's transaction."""
    mounts = disks.read_mounts()
    roots.forget_mounts(connection, root.id)
    for folder in (b"", *_fresh(root, (), disks.mounts_below(root.path, mounts))):
        seen = _look_at(root, folder, mounts)
        roots.accept(connection, root.id, folder, seen.disk, seen.inode)


def _look_at(root: RootRow, folder: bytes, mounts: Sequence[disks.Mount]) -> Seen:
    """What stands at a folder of a root. Raises RootOffline where that cannot be told."""
    path = paths.join(root.path, folder) if folder else root.path
    fd = open_root(path)
    try:
        return seen_at(fd, path, mounts)
    finally:
        os.close(fd)


def _is_ignored(folder: bytes) -> bool:
    return any(paths.is_hidden(name) for name in folder.split(b"/") if name)


def check_file_system(database: Path) -> None:
    """Refuse a database where SQLite's WAL is not safe (rule R12)."""
    folder = os.fsencode(os.path.realpath(database.parent))
    fs_type = disks.disk_at(folder, disks.read_mounts()).fs_type
    if not disks.holds_wal(fs_type):
        raise errors.DatabaseError(
            f"{database}: lies on {fs_type}, where SQLite's WAL is not safe; "
            "name a place on a local disk with --db FILE"
        )


def check_not_scanned(database: Path, watched: Mapping[str, bytes]) -> None:
    """Refuse a database in a folder of a root that is scanned; a hidden one is fine (rule R12)."""
    folder = os.fsencode(os.path.realpath(database.parent))
    for name, path in watched.items():
        base = path.rstrip(b"/")
        if paths.is_below(folder, base) and not _is_ignored(folder[len(base) :]):
            raise errors.UsageError(
                f"{database}: lies in the root {name} ({os.fsdecode(path)}), which is scanned; "
                "name a place outside with --db FILE (a hidden folder inside would do)"
            )


def name_for(path: bytes, taken: Sequence[str]) -> str:
    """A root's name: its last component, with -2, -3 ... where that is taken."""
    base = os.path.basename(path.rstrip(b"/")).decode("utf-8", "replace") or "root"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name
