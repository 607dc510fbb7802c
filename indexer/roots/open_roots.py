"""The roots the index knows -> the roots that are there, with the disks that were accepted (R8)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path

from msgspec import Struct

from indexer import errors, paths
from indexer.disk import filesystem
from indexer.disk.filesystem import Disk, same_disk
from indexer.disk.identity import DiskIdentity, OpenedFolder, join, open_folders, wrong_disk
from indexer.disk.mounts import Mount, has_expired, mounts_below, read_mounts
from indexer.disk.tree import MountPoint, Tree, mount_point_at
from indexer.roots.automounts import (
    Automounts,
    Touches,
    automounts_of,
    fresh_mounts,
    is_ignored,
    resting_places,
    touch_all,
)
from indexer.store import roots, tracks
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import MountRow, RootRow


class OpenRoots(Struct, frozen=True):
    """What came of looking at all roots: the trees that are there, and why others are not."""

    trees: dict[int, Tree]
    """Neither here nor offline is a root behind an automount that was left alone."""
    offline: dict[int, str]
    """Root id -> one line that says what is wrong and what to do."""
    fresh: frozenset[int] = frozenset()
    """Those of them at which a disk was mounted that the next scan accepts by itself."""
    automounts: dict[int, Automounts] = {}
    """Root id -> its places that lie behind automounts, as they are after this look."""

    def away(self, root_id: int) -> dict[bytes, str]:
        """Why mount points below a root that is there are not, a line each, by their folder."""
        tree = self.trees.get(root_id)
        return {} if tree is None else tree.offline

    def close(self) -> None:
        """Let every disk go."""
        for tree in self.trees.values():
            tree.close()


def open_roots(
    connection: Connection,
    watched: Sequence[RootRow],
    *,
    follow_links: bool = False,
    touches: Touches = touch_all,
) -> OpenRoots:
    """Open every root whose disk is the accepted one. Changes no row."""
    mounts = read_mounts()
    trees: dict[int, Tree] = {}
    offline: dict[int, str] = {}
    fresh: set[int] = set()
    automounts: dict[int, Automounts] = {}
    for root in watched:
        known = roots.mounts(connection, root.id)
        automounts[root.id] = behind = automounts_of(root, known, mounts)
        resting = resting_places(root, behind, touches)
        if b"" in resting:
            continue
        try:
            trees[root.id] = open_tree(
                root,
                known,
                mounts,
                resting=resting,
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
        if behind.keys() - resting:
            automounts[root.id] = automounts_of(root, known, read_mounts())
    return OpenRoots(trees, offline, frozenset(fresh), automounts)


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
    resting: Collection[bytes] = (),
    follow_links: bool = False,
    number_of: Callable[[Disk], int] = lambda _disk: 0,
) -> Tree:
    """Open one root. Raises RootOffline unless the accepted disk is there.

    A mount point below it that was accepted is guarded like the root, but only for itself: what
    lies under it is left alone while its own disk is away. One that is not known yet is counted
    as away until `learn_mounts` has accepted it. Those in `resting` are not touched.
    """
    accepted = {row.folder: row for row in known}
    own = accepted[b""]
    opened, mounts = open_folders(root.path, (b"",), mounts)
    try:
        check_place(root, own, opened[0])
        wanted = _to_open(root, accepted, mounts, resting)
        below, mounts = open_folders(root.path, wanted, mounts)
        opened += below
        offline = {
            folder: _not_there(root, folder)
            for folder in accepted
            if folder and folder not in resting
        }
        mount_points: list[MountPoint] = []
        for place in opened:
            row = accepted.get(place.folder)
            if row is not None and place.fd is not None and _is_right(row, place):
                mount_points.append(
                    mount_point_at(row.folder, place.fd, row.disk_id, row.disk.fs_type)
                )
                offline.pop(row.folder, None)
            elif place.trouble is not None and has_expired(join(root.path, place.folder), mounts):
                offline[place.folder] = f"{root.name}: {place.trouble}"
            elif row is None:
                offline[place.folder] = (
                    f"{root.name}: {os.fsdecode(join(root.path, place.folder))}: a disk was "
                    "mounted there; `indexer scan` looks at it"
                )
    except BaseException:
        close_places(opened)
        raise
    close_places(place for place in opened if place.folder in offline)
    return Tree(
        root.id,
        root.name,
        root.path,
        mount_points,
        offline,
        resting=resting,
        follow_links=follow_links,
        number_of=number_of,
    )


def _to_open(
    root: RootRow,
    accepted: Mapping[bytes, MountRow],
    mounts: Sequence[Mount],
    resting: Collection[bytes],
) -> list[bytes]:
    """The mount points below a root at which something is mounted, or is when they are opened.

    A server's disks that lie below another one's are mounted by the kernel as they are met.
    """
    mounted = mounts_below(root.path, mounts)
    crosses = not filesystem.tells_changes(accepted[b""].disk.fs_type)
    known = [
        folder
        for folder in accepted
        if folder and (folder in mounted or crosses or has_expired(join(root.path, folder), mounts))
    ]
    return [
        folder for folder in (*known, *fresh_mounts(accepted, mounted)) if folder not in resting
    ]


def _is_right(row: MountRow, place: OpenedFolder) -> bool:
    return (
        place.seen is not None and wrong_disk(DiskIdentity(row.disk, row.inode), place.seen) is None
    )


def _not_there(root: RootRow, folder: bytes) -> str:
    return (
        f"{root.name}: {os.fsdecode(join(root.path, folder))}: its disk is not "
        "there; not one row below it was changed. Mount it, or take what is there "
        f"now with `indexer roots accept {root.name}`"
    )


def check_place(root: RootRow, own: MountRow, place: OpenedFolder) -> None:
    """Raise RootOffline unless the accepted disk stands at a root."""
    if place.seen is None:
        raise place.trouble or errors.RootOffline(_not_there(root, b""))
    reason = wrong_disk(DiskIdentity(own.disk, own.inode), place.seen)
    if reason is not None:
        raise errors.OtherDisk(
            f"{os.fsdecode(root.path)}: {reason}; not one row was changed. Mount "
            f"the right disk, or take this one with `indexer roots accept {root.name}`",
            may_adopt=may_adopt(root, own, place.seen),
        )


def may_adopt(root: RootRow, known: MountRow, seen: DiskIdentity) -> bool:
    """Whether what is seen may take the place of a disk on which no file was ever indexed.

    It is mounted there (a root may lie in it), so the folder that is on the system's own disk
    while nothing is mounted takes no disk's place; or it is the known disk, and the root was made
    anew.
    """
    if known.folder:
        return seen.point == join(root.path, known.folder)
    return seen.point != b"/" or same_disk(known.disk, seen.disk)


def close_places(places: Iterable[OpenedFolder]) -> None:
    """Let go of what `open_folders` has opened."""
    for place in places:
        if place.fd is not None:
            os.close(place.fd)


def no_music(root: RootRow) -> str:
    """What to tell of a root that never had music: most likely its disk is not mounted."""
    return (
        f"{root.name}: no music in {os.fsdecode(root.path)} yet: is its disk mounted? "
        "The disk that is mounted there next is taken for it"
    )


def check_file_system(database: Path) -> None:
    """Refuse a database where SQLite's WAL is not safe (rule R12)."""
    folder = os.fsencode(os.path.realpath(database.parent))
    fs_type = filesystem.disk_at(folder).fs_type
    if not filesystem.holds_wal(fs_type):
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
