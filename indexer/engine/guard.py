"""The roots the index knows -> the roots that are there, with the disks that were accepted (R8)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from msgspec import Struct

from indexer import disks, errors, paths
from indexer.disks import Disk, same_disk
from indexer.identity import Seen, open_root, seen_at, wrong_disk
from indexer.mounts import Mount, mounts_below, read_mounts
from indexer.store import roots, tracks
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import MountRow, RootRow
from indexer.tree import Spot, Tree, spot_at


class Guarded(Struct, frozen=True):
    """What came of looking at all roots: the trees that are there, and why others are not."""

    trees: dict[int, Tree]
    offline: dict[int, str]
    """Root id -> one line that says what is wrong and what to do."""
    fresh: frozenset[int] = frozenset()
    """Those of them at which a disk was mounted that the next scan accepts by itself."""

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
    mounts = read_mounts()
    trees: dict[int, Tree] = {}
    offline: dict[int, str] = {}
    fresh: set[int] = set()
    for root in watched:
        try:
            known = roots.mounts(connection, root.id)
            trees[root.id] = open_tree(
                root,
                known,
                mounts,
                follow_links=follow_links,
                number_of=partial(_number_of, connection),
            )
        except errors.OtherDisk as error:
            offline[root.id] = f"{root.name}: {error}"
            if error.may_adopt and tracks.was_never_at(connection, root.id, b""):
                fresh.add(root.id)
                offline[root.id] = (
                    f"{root.name}: {os.fsdecode(root.path)}: a disk was mounted there; "
                    "`indexer scan` looks at it"
                )
        except errors.RootOffline as error:
            offline[root.id] = f"{root.name}: {error}"
    return Guarded(trees, offline, frozenset(fresh))


def _number_of(connection: Connection, disk: Disk) -> int:
    """The id of a disk that is met below a root; a new one is written down, where that may be."""
    known = roots.find_disk(connection, disk)
    if known is not None or connection.readonly("main"):
        return known or 0
    with nullcontext() if connection.in_transaction else write_transaction(connection):
        return roots.disk_id_of(connection, disk)


def open_tree(
    root: RootRow,
    known: Sequence[MountRow],
    mounts: Sequence[Mount],
    *,
    follow_links: bool = False,
    number_of: Callable[[Disk], int] = lambda _disk: 0,
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
        check_disk(root, own, seen_at(fd, root.path, mounts))
        mounted = mounts_below(root.path, mounts)
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
        for folder in fresh_mounts(root, accepted, mounted):
            offline[folder] = (
                f"{root.name}: {os.fsdecode(paths.join(root.path, folder))}: a disk was mounted "
                "there; `indexer scan` looks at it"
            )
    except BaseException:
        for spot in spots:
            os.close(spot.fd)
        raise
    return Tree(
        root.id,
        root.name,
        root.path,
        spots,
        offline,
        follow_links=follow_links,
        number_of=number_of,
    )


def check_disk(root: RootRow, own: MountRow, seen: Seen) -> None:
    """Raise OtherDisk unless the accepted disk is the one that is seen."""
    reason = wrong_disk(Seen(own.disk, own.inode), seen)
    if reason is not None:
        raise errors.OtherDisk(
            f"{os.fsdecode(root.path)}: {reason}; not one row was changed. Mount "
            f"the right disk, or take this one with `indexer roots accept {root.name}`",
            may_adopt=may_adopt(own, seen),
        )


def may_adopt(known: MountRow, seen: Seen) -> bool:
    """Whether what is seen may take the place of a disk on which no file was ever indexed.

    It is mounted there, or above, so the folder that is on the system's own disk while nothing is
    mounted takes no disk's place; or it is the known disk, and the folder was made anew.
    """
    return seen.is_mounted or same_disk(known.disk, seen.disk)


def no_music(root: RootRow) -> str:
    """What to tell of a root that never had music: most likely its disk is not mounted."""
    return (
        f"{root.name}: no music in {os.fsdecode(root.path)} yet: is its disk mounted? "
        "The disk that is mounted there next is taken for it"
    )


def fresh_mounts(
    root: RootRow, accepted: Collection[bytes], mounted: Collection[bytes]
) -> list[bytes]:
    """Mount points below a root that nobody has met yet; a file that is mounted is but a file."""
    return [
        folder
        for folder in mounted
        if folder not in accepted
        and not is_ignored(folder)
        and not os.path.isfile(paths.join(root.path, folder))
    ]


def _open_spot(root: RootRow, row: MountRow, mounts: Sequence[Mount]) -> Spot | None:
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


def is_ignored(folder: bytes) -> bool:
    """Whether a folder is hidden or lies in a hidden one, so that no file in it is indexed."""
    return any(paths.is_hidden(name) for name in folder.split(b"/") if name)


def check_file_system(database: Path) -> None:
    """Refuse a database where SQLite's WAL is not safe (rule R12)."""
    folder = os.fsencode(os.path.realpath(database.parent))
    fs_type = disks.disk_at(folder).fs_type
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
        if paths.is_below(folder, base) and not is_ignored(folder[len(base) :]):
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
