"""The disks at a root and below it -> the disks that are accepted there from then on (R8)."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress

from msgspec import Struct

from indexer import errors
from indexer.disk import filesystem
from indexer.disk.filesystem import Disk
from indexer.disk.identity import DiskIdentity, OpenedFolder, join, open_folders, wrong_disk
from indexer.disk.mounts import (
    AUTOMOUNT,
    Mount,
    has_expired,
    is_share,
    mounts_below,
    read_mounts,
)  # fmt: skip
from indexer.roots.automounts import (
    Touches,
    automounts_of,
    fresh_mounts,
    resting_places,
    touch_all,
)
from indexer.roots.opening import check_place, close_places, may_adopt
from indexer.store import roots, tracks_below
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import MountRow, RootRow


class Adopted(Struct, frozen=True):
    """A disk that replaced one on which no file was ever indexed."""

    folder: bytes
    """The mount point, relative to the root; the root itself is `b""`."""
    disk: Disk


def accept_mounts(
    connection: Connection, root: RootRow, touches: Touches = touch_all
) -> list[Adopted]:
    """Accept what may be accepted without asking, since no row can be lost by it.

    That is: a disk at a mount point of which no file was ever indexed, since usually the folder was
    accepted before its disk was mounted; a mount point below the root that is seen for the first
    time, but only while the root's own disk is there; and a subvolume of which only the UUID is
    known. For the same reason a disk is forgotten that was mounted over files of the root, and
    none of whose own is in the index, once it is mounted no more: they show again.
    """
    mounts = read_mounts()
    known = roots.mounts(connection, root.id)
    if roots.own_mount(known) is None:
        return []
    with suppress(errors.RootSilent):
        return _accept_mounts(connection, root, known, mounts, touches)
    return []


def _accept_mounts(
    connection: Connection,
    root: RootRow,
    known: Sequence[MountRow],
    mounts: Sequence[Mount],
    touches: Touches,
) -> list[Adopted]:
    resting = resting_places(root, automounts_of(root, known, mounts), touches)
    adopted = [
        found
        for row in known
        if row.folder not in resting and _may_be_replaced(connection, root, row)
        for found in _adopt(connection, root, row, mounts)
    ]
    if b"" not in resting:
        _accept_other_mounts(connection, root, mounts, resting)
    return adopted


def _open(
    root: RootRow, folders: Collection[bytes], mounts: Sequence[Mount]
) -> tuple[list[OpenedFolder], Sequence[Mount]]:
    """As `open_folders`. Of a root that may hang nothing is held open here. Raises RootSilent."""
    if is_share(root.path, mounts):
        from indexer.roots.share_tree import look_at_places  # late, as in `guard`

        return look_at_places(root, folders, mounts)
    return open_folders(root.path, folders, mounts)


def _may_be_replaced(connection: Connection, root: RootRow, row: MountRow) -> bool:
    """Whether no row is lost with a disk: an automount is none, though it was accepted as one."""
    return row.disk.fs_type == AUTOMOUNT or tracks_below.was_never_at(
        connection, root.id, row.folder
    )


def _adopt(
    connection: Connection, root: RootRow, row: MountRow, mounts: Sequence[Mount]
) -> list[Adopted]:
    """Accept another disk at one mount point, if allowed; its descriptor keeps it mounted."""
    places, _ = _open(root, (row.folder,), mounts)
    try:
        for seen in (place.seen for place in places if place.seen is not None):
            if wrong_disk(DiskIdentity(row.disk, row.inode), seen) and may_adopt(root, row, seen):
                with write_transaction(connection):
                    if row not in roots.mounts(connection, root.id):
                        return []
                    if not _may_be_replaced(connection, root, row):
                        return []
                    roots.accept(connection, root.id, row.folder, seen.disk, seen.inode)
                return [Adopted(row.folder, seen.disk)]
        return []
    finally:
        close_places(places)


def _accept_other_mounts(
    connection: Connection, root: RootRow, mounts: Sequence[Mount], resting: Collection[bytes]
) -> None:
    accepted = {row.folder: row for row in roots.mounts(connection, root.id)}
    if b"" not in accepted:  # the root was removed meanwhile
        return
    vague = [
        folder
        for folder, row in accepted.items()
        if not row.disk.fsid
        and filesystem.has_subvolumes(row.disk.fs_type)
        and folder not in resting
    ]
    covers = _former_covers(connection, root, accepted, mounts)
    if not (vague or covers or _fresh(root, accepted, mounts, resting)):
        return
    opened, mounts = _open(root, (b"",), mounts)
    try:
        with suppress(errors.RootOffline):
            check_place(root, accepted[b""], opened[0])
            fresh = _fresh(root, accepted, mounts, resting)
            below, _ = _open(root, [*fresh, *(one for one in vague if one)], mounts)
            opened += below
            with write_transaction(connection):
                for place in opened:
                    _accept_mount(connection, root, accepted.get(place.folder), place)
                for folder in covers:
                    if tracks_below.are_all_missing(connection, root.id, folder):
                        roots.forget_mount(connection, root.id, folder)
    finally:
        close_places(opened)


def _fresh(
    root: RootRow,
    accepted: Collection[bytes],
    mounts: Sequence[Mount],
    resting: Collection[bytes],
) -> list[bytes]:
    fresh = fresh_mounts(accepted, mounts_below(root.path, mounts))
    return [folder for folder in fresh if folder not in resting]


def _former_covers(
    connection: Connection,
    root: RootRow,
    accepted: Mapping[bytes, MountRow],
    mounts: Sequence[Mount],
) -> list[bytes]:
    """Where a disk may have covered files of the root, and is mounted no more.

    A disk that access mounts (an automount, one of a server below another one's) is not away.
    """
    if not filesystem.reports_changes(accepted[b""].disk.fs_type):
        return []
    return [
        folder
        for folder in accepted.keys() - mounts_below(root.path, mounts).keys() - {b""}
        if not has_expired(join(root.path, folder), mounts)
        and tracks_below.are_all_missing(connection, root.id, folder)
    ]


def _accept_mount(
    connection: Connection, root: RootRow, known: MountRow | None, place: OpenedFolder
) -> None:
    """Accept one mount point, if it is new, or if more is known of its disk than before."""
    seen = place.seen
    if seen is None:
        return
    if known is None:
        if seen.point == join(root.path, place.folder):
            roots.accept(connection, root.id, place.folder, seen.disk, seen.inode)
    elif (
        not known.disk.fsid
        and seen.disk.fsid
        and filesystem.has_subvolumes(seen.disk.fs_type)
        and wrong_disk(DiskIdentity(known.disk, known.inode), seen) is None
    ):
        roots.accept(connection, root.id, place.folder, seen.disk, seen.inode)


def accept_disks(connection: Connection, root: RootRow) -> None:
    """Accept the disks that are at a root and below it now, inside the caller's transaction.

    Raises RootOffline where the root's own disk cannot be identified. A mount point below, where
    that fails, is learned later.
    """
    opened, mounts = _open(root, (b"",), read_mounts())
    try:
        own = opened[0]
        if own.seen is None:
            raise own.trouble or errors.RootOffline(f"{root.name}: nothing is known of its disk")
        roots.delete_mounts(connection, root.id)
        roots.accept(connection, root.id, b"", own.seen.disk, own.seen.inode)
        below, _ = _open(root, _fresh(root, (), mounts, ()), mounts)
        opened += below
        for place in below:
            _accept_mount(connection, root, None, place)
    finally:
        close_places(opened)
