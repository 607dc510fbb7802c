"""The roots the index knows -> the roots that are there, with the disks that were accepted (R8)."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Final

from msgspec import Struct

from indexer import errors, paths
from indexer.disk import filesystem
from indexer.disk.filesystem import Disk
from indexer.disk.mounts import is_share, read_mounts
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


class OpenRoots(Struct, frozen=True):
    """The result of opening all roots: the trees that are there, and why others are not."""

    trees: dict[int, Tree]
    """A root behind an automount that was left alone is neither here nor in `offline`."""
    offline: dict[int, str]
    """Root id -> one line that says what is wrong and what to do."""
    fresh: frozenset[int] = frozenset()
    """Those of them at which a disk was mounted that the next scan accepts by itself."""
    automounts: dict[int, Automounts] = {}
    """Root id -> its folders that lie behind automounts, as they are now."""

    def away(self, root_id: int) -> dict[bytes, str]:
        """Why mount points below an open root are not there: one line each, by folder."""
        tree = self.trees.get(root_id)
        return {} if tree is None else tree.offline

    def lose(self, error: errors.RootSilent) -> None:
        """Move a root whose server stopped answering to `offline`."""
        tree = self.trees.pop(error.root_id, None)
        if tree is not None:
            tree.close()
            self.offline[error.root_id] = f"{tree.name}: {error}"
        elif error.root_id not in self.offline:
            raise error

    def close(self) -> None:
        """Close every tree."""
        for tree in self.trees.values():
            tree.close()


def open_roots(
    connection: Connection,
    watched: Sequence[RootRow],
    *,
    follow_links: bool = False,
    touches: Touches = touch_all,
    about: Collection[int] | None = None,
    patience_s: float | None = None,
) -> OpenRoots:
    """Open every root whose disk is the accepted one. Changes no row.

    A root that was removed since `watched` was read is left out.

    `about` are the ids of the roots that are needed: a root that may hang is left alone unless it
    is one of them, or shares a disk with one, from which a file may have moved. Roots that do not
    answer take `patience_s` at the most, together.
    """
    mounts = read_mounts()
    trees: dict[int, Tree] = {}
    offline: dict[int, str] = {}
    fresh: set[int] = set()
    automounts: dict[int, Automounts] = {root.id: {} for root in watched}
    until = None if patience_s is None else time.monotonic() + patience_s
    all_known = {root.id: roots.mounts(connection, root.id) for root in watched}
    near = None if about is None else _near(all_known, about)
    for root in watched:
        known = all_known[root.id]
        if _lacks_disk(connection, root, known, offline):
            continue
        automounts[root.id] = behind = automounts_of(root, known, mounts)
        resting = resting_places(root, behind, touches)
        if b"" in resting:
            continue
        hangs = is_share(root.path, mounts)
        if hangs and near is not None and root.id not in near:
            continue
        opens: Callable[..., Tree] = open_tree
        if hangs:
            from indexer.roots.share_tree import open_share  # late: it takes 10 ms to load

            left_s = None if until is None else max(_LEAST_S, until - time.monotonic())
            opens = partial(open_share, patience_s=left_s)
        try:
            trees[root.id] = opens(
                root,
                known,
                mounts,
                resting=resting,
                follow_links=follow_links,
                number_of=partial(_number_of, connection),
            )
        except errors.OtherDisk as error:
            offline[root.id] = f"{root.name}: {error}"
            if error.may_adopt and tracks_below.was_never_at(connection, root.id, b""):
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


def _near(known: Mapping[int, Sequence[MountRow]], about: Collection[int]) -> set[int]:
    """The roots that share a disk with one of these."""
    disk_ids = {row.disk_id for root_id in about for row in known.get(root_id, ())}
    return {
        root_id for root_id, rows in known.items() if disk_ids & {row.disk_id for row in rows}
    } | set(about)


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
