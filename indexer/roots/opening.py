"""A root in the index -> its tree, if the accepted disk is there (rule R8)."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

from indexer import errors
from indexer.disk import filesystem
from indexer.disk.filesystem import Disk, same_disk
from indexer.disk.identity import DiskIdentity, OpenedFolder, join, open_folders, wrong_disk
from indexer.disk.mounts import Mount, has_expired, mounts_below
from indexer.disk.tree import MountPoint, Tree, mount_point_at
from indexer.roots.automounts import fresh_mounts
from indexer.store.roots import MountRow, RootRow


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
    lies under it is left alone while its own disk is not there. One that is not known yet counts
    as offline until `accept_mounts` has accepted it. Those in `resting` are not touched.
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

    A server's disks that lie below another one's are mounted by the kernel on first access.
    """
    mounted = mounts_below(root.path, mounts)
    crosses = not filesystem.reports_changes(accepted[b""].disk.fs_type)
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
    """Raise RootOffline unless the accepted disk is at a root."""
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
    """Whether a disk may replace one on which no file was ever indexed.

    It must be mounted there (a root may lie in it), so that the folder on the system's own disk,
    which shows while nothing is mounted, replaces no disk; or it is the known disk, and the root
    folder was made anew.
    """
    if known.folder:
        return seen.point == join(root.path, known.folder)
    return seen.point != b"/" or same_disk(known.disk, seen.disk)


def close_places(places: Iterable[OpenedFolder]) -> None:
    """Close what `open_folders` has opened."""
    for place in places:
        if place.fd is not None:
            os.close(place.fd)
