"""The roots the index knows -> the roots that are there, with the disks that were accepted (R8)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from indexer import errors, paths
from indexer.disk import filesystem
from indexer.disk.filesystem import Disk
from indexer.disk.mounts import Mount, has_waiting, is_share, read_mounts
from indexer.disk.tree import Tree
from indexer.roots.automounts import (
    Automounts,
    Touches,
    automounts_of,
    resting_places,
    touch_all,
)
from indexer.roots.opening import open_tree
from indexer.store import roots, tracks_below
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import MountRow, RootRow

_LEAST_S: Final = 0.1


class Trees(Mapping[int, Tree]):
    """The roots that are there, by id. Some are opened only when they are asked for, and stay so.

    Iterating gives those that are open.
    """

    def __init__(self, opened: Callable[[int], Tree | None], later: Iterable[int]) -> None:
        """`opened` opens one of the roots that may be asked for `later`."""
        self._opened = opened
        self._later = set(later)
        self._trees: dict[int, Tree] = {}

    def __getitem__(self, root_id: int) -> Tree:
        if root_id in self._later:
            self._later.remove(root_id)
            tree = self._opened(root_id)
            if tree is not None:
                self._trees[root_id] = tree
        return self._trees[root_id]

    def __iter__(self) -> Iterator[int]:
        return iter(self._trees)

    def __len__(self) -> int:
        return len(self._trees)

    def lose(self, root_id: int) -> Tree | None:
        """Take out one that is open; it is not opened again."""
        return self._trees.pop(root_id, None)

    def close(self) -> None:
        """Close all that are open. No other is opened from then on."""
        self._later.clear()
        for tree in self._trees.values():
            tree.close()


class OpenRoots(Struct, frozen=True):
    """The roots that are there, and why others are not, of those that were opened."""

    trees: Trees
    """A root behind an automount that was left alone is neither here nor in `offline`."""
    offline: dict[int, str] = {}
    """Root id -> one line that says what is wrong and what to do."""
    fresh: set[int] = set()
    """Those of them at which a disk was mounted that the next scan accepts by itself."""
    automounts: dict[int, Automounts] = {}
    """Root id -> its folders that lie behind automounts, as they are now."""

    def away(self, root_id: int) -> dict[bytes, str]:
        """Why mount points below an open root are not there: one line each, by folder."""
        tree = self.trees.get(root_id)
        return {} if tree is None else tree.offline

    def lose(self, error: errors.RootSilent) -> None:
        """Move a root whose server stopped answering to `offline`."""
        tree = self.trees.lose(error.root_id)
        if tree is not None:
            tree.close()
            self.offline[error.root_id] = f"{tree.name}: {error}"
        elif error.root_id not in self.offline:
            raise error

    def close(self) -> None:
        """Close every tree. No other is opened from then on."""
        self.trees.close()


def open_roots(
    connection: Connection,
    watched: Sequence[RootRow],
    *,
    follow_links: bool = False,
    touches: Touches = touch_all,
    about: Collection[int] | None = None,
    patience_s: float | None = None,
    lazily: bool = False,
) -> OpenRoots:
    """Open every root whose disk is the accepted one. Changes no row.

    A root that was removed since `watched` was read is left out.

    `about` are the ids of the roots that are needed. Any other is opened when it is asked for, as
    one from which a file may have moved; but one that may hang is opened now if it shares a disk
    with one of these, and else left alone. Without `about` all are needed; `lazily`: now only those
    that may hang, any other when it is asked for. Roots that do not answer take `patience_s` at the
    most, together.
    """
    mounts = read_mounts()
    by_id = {root.id: root for root in watched}
    may_hang = set[int]()
    if has_waiting(mounts):
        may_hang = {root.id for root in watched if is_share(root.path, mounts)}
    if about is None:
        now = may_hang if lazily else by_id.keys()
    else:
        now = {*about, *(may_hang & _near(connection, about))} if may_hang else set(about)
    opening = _Opening(
        connection,
        by_id,
        follow_links=follow_links,
        touches=touches,
        until=None if patience_s is None else time.monotonic() + patience_s,
        mounts=mounts,
    )
    trees = Trees(opening.opened, by_id.keys() - (may_hang - now))
    open_trees = OpenRoots(trees, opening.offline, opening.fresh, opening.automounts)
    try:
        for root_id in sorted(now):
            trees.get(root_id)
        opening.mounts = None
    except BaseException:
        open_trees.close()
        raise
    return open_trees


class _Opening:
    """Opens roots one by one, and notes why some are not there."""

    def __init__(
        self,
        connection: Connection,
        watched: Mapping[int, RootRow],
        *,
        follow_links: bool,
        touches: Touches,
        until: float | None,
        mounts: Sequence[Mount],
    ) -> None:
        """`mounts` were read just now."""
        self.mounts: Sequence[Mount] | None = mounts
        """Those for the root that is opened next; None: they must be read."""
        self.offline: dict[int, str] = {}
        self.fresh: set[int] = set()
        self.automounts: dict[int, Automounts] = {}
        self._connection = connection
        self._watched = watched
        self._follow_links = follow_links
        self._touches = touches
        self._until = until

    def opened(self, root_id: int) -> Tree | None:
        """One root; None where it is not there, or is left alone."""
        root = self._watched[root_id]
        mounts = read_mounts() if self.mounts is None else self.mounts
        self.mounts = None  # opening may take a while, or mount a disk
        known = roots.mounts(self._connection, root.id)
        self.automounts[root.id] = {}
        if _lacks_disk(self._connection, root, known, self.offline):
            return None
        self.automounts[root.id] = behind = automounts_of(root, known, mounts)
        resting = resting_places(root, behind, self._touches)
        if b"" in resting:
            return None
        tree = self._tree(root, known, mounts, resting)
        if behind.keys() - resting:
            self.automounts[root.id] = automounts_of(root, known, read_mounts())
        return tree

    def _tree(
        self,
        root: RootRow,
        known: Sequence[MountRow],
        mounts: Sequence[Mount],
        resting: Collection[bytes],
    ) -> Tree | None:
        opens: Callable[..., Tree] = open_tree
        if is_share(root.path, mounts):
            from indexer.roots.share_tree import open_share  # late: it takes 10 ms to load

            left_s = None
            if self._until is not None:
                left_s = max(_LEAST_S, self._until - time.monotonic())
            opens = partial(open_share, patience_s=left_s)
        try:
            return opens(
                root,
                known,
                mounts,
                resting=resting,
                follow_links=self._follow_links,
                number_of=partial(_number_of, self._connection),
            )
        except errors.OtherDisk as error:
            self.offline[root.id] = f"{root.name}: {error}"
            if error.may_adopt and tracks_below.was_never_at(self._connection, root.id, b""):
                self.fresh.add(root.id)
                self.offline[root.id] = (
                    f"{root.name}: {os.fsdecode(root.path)}: a disk was mounted there; "
                    "`indexer scan` looks at it"
                )
        except errors.RootOffline as error:
            self.offline[root.id] = f"{root.name}: {error}"
        return None


def _lacks_disk(
    connection: Connection, root: RootRow, known: Sequence[MountRow], offline: dict[int, str]
) -> bool:
    """Whether no disk was accepted at a root; it is offline then, unless it was just removed."""
    if roots.own_mount(known) is not None:
        return False
    if roots.is_watched(connection, root.id):
        accept = f"`indexer roots accept {paths.shell_word(os.fsencode(root.name))}`"
        offline[root.id] = (
            f"{root.name}: nothing is known of the disk of {os.fsdecode(root.path)}; not one row"
            f" was changed. Mount it, and accept it with {accept}"
        )
    return True


def _near(connection: Connection, about: Collection[int]) -> set[int]:
    """The roots that share a disk with one of these."""
    disks = roots.disks_of_roots(connection)
    near = {disk_id for root_id in about for disk_id in disks.get(root_id, ())}
    return {root_id for root_id, disk_ids in disks.items() if near & disk_ids}


def _number_of(connection: Connection, disk: Disk) -> int:
    """The id of a disk that is found below a root; a new one is recorded, where that is allowed."""
    known = roots.find_disk(connection, disk)
    if known is not None or connection.readonly("main"):
        return known or 0
    with nullcontext() if connection.in_transaction else write_transaction(connection):
        return roots.disk_id_of(connection, disk)


def no_music(root: RootRow) -> str:
    """The message for a root without any: most likely its disk is not mounted."""
    return (
        f"{root.name}: no music in {os.fsdecode(root.path)}: is its disk mounted? "
        "The next disk that is mounted there is accepted as its disk"
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


def check_not_scanned(
    database: Path,
    watched: Mapping[str, bytes],
    remedy: str = "name a place outside with --db FILE",
    *,
    is_folder: bool = False,
) -> None:
    """Refuse a database in a folder of a root that is scanned; a hidden one is fine (rule R12).

    `is_folder`: it is a folder for several files, not a file.
    """
    folder = os.fsencode(os.path.realpath(database if is_folder else database.parent))
    for name, path in watched.items():
        base = path.rstrip(b"/")
        if paths.is_below(folder, base) and not paths.is_ignored(folder[len(base) :]):
            raise errors.UsageError(
                f"{database}: lies in the root {name} ({os.fsdecode(path)}), which is "
                f"scanned; {remedy} (a hidden folder inside would do)"
            )


def name_for(path: bytes, taken: Sequence[str]) -> str:
    """A root's name: its last component, with -2, -3 ... where that is taken."""
    base = os.path.basename(path.rstrip(b"/")).decode("utf-8", "replace") or "root"
    name, number = base, 1
    while name in taken:
        number += 1
        name = f"{base}-{number}"
    return name
