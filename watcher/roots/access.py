"""The roots of an index -> which of them are there now, held open with their disks for a look."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator
from contextlib import contextmanager

from indexer import errors, paths
from indexer.disk.descent import lstat_at
from indexer.disk.mounts import is_share
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint
from indexer.readers.artwork import purge
from indexer.roots import acceptance, open_roots
from indexer.roots.automounts import Touches
from indexer.roots.open_roots import OpenRoots
from indexer.settings import Settings
from indexer.shares.hanging import ask_at
from indexer.store import problems, roots, upkeep
from indexer.store.connection import Connection, read_transaction
from indexer.store.problems import InIndex, in_index
from indexer.store.roots import RootRow
from watcher.log import EventLog
from watcher.roots.root import RootCheck


class RootAccess:
    """Opens watched roots. What it knows of them is from the last call of `root_checks`."""

    def __init__(
        self, connection: Connection, settings: Settings, path_filter: PathFilter, log: EventLog
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._path_filter = path_filter
        self._log = log
        self._watched: list[RootRow] = []
        self._shares: set[bytes] = set()
        """The paths of roots that may hang."""

    def root_checks(self, touches: Touches) -> list[RootCheck]:
        """Look which roots are there, with their disks.

        What may be accepted without asking is accepted.
        """
        watched = roots.watched(self._connection)
        self._end_helpers(watched)
        for row in watched:
            for one in acceptance.accept_mounts(self._connection, row, touches):
                place = os.fsdecode(paths.join(row.path, one.folder))
                self._log.info("disk taken", root=row.name, path=place, disk=one.disk.identity)
        with self.opened(touches) as (watched, open_trees):
            self._watched = watched
            mounts = {row.id: tuple(roots.mounts(self._connection, row.id)) for row in watched}
            return [
                RootCheck(
                    row,
                    mounts[row.id],
                    open_trees.offline.get(row.id),
                    open_trees.away(row.id),
                    open_trees.automounts[row.id],
                )
                for row in watched
                if roots.own_mount(mounts[row.id]) is not None  # else it was just removed
            ]

    def _end_helpers(self, watched: Iterable[RootRow]) -> None:
        """End what looked at roots that may hang, and that are gone, or mounted no more."""
        paths = {row.path for row in watched if is_share(row.path)}
        if self._shares - paths:
            from indexer.shares.registry import shares  # late: most daemons have none

            shares.keep(paths)
        self._shares = paths

    def why_empty(self, root: RootRow) -> str | None:
        """What to log of a root in which there never was music; None of any other."""
        if not roots.never_had_music(self._connection, root.id):
            return None
        return open_roots.no_music(root).removeprefix(f"{root.name}: ")

    def roots_changed(self) -> bool:
        """Whether a command has added or removed a root since the last `root_checks`."""
        return roots.watched(self._connection) != self._watched

    @contextmanager
    def opened(
        self, touches: Touches, about: Collection[int] | None = None, *, lazily: bool = False
    ) -> Iterator[tuple[list[RootRow], OpenRoots]]:
        """The watched roots, held open for as long as the `with` lasts: see `open_roots`.

        What is known of those that are opened now is read at one moment, since commands add and
        remove roots.
        """
        with read_transaction(self._connection):
            watched = roots.watched(self._connection)
            open_trees = open_roots.open_roots(
                self._connection,
                watched,
                follow_links=self._path_filter.follow_links,
                touches=touches,
                about=about,
                lazily=lazily,
            )
        try:
            yield watched, open_trees
        finally:
            open_trees.close()

    def count_days(self, root_ids: Iterable[int]) -> None:
        """Once a day: count it for these roots, and forget what left long ago."""
        now_ms = time.time_ns() // 1_000_000
        settings = self._settings
        root_ids = tuple(root_ids)
        is_new = any(upkeep.is_new_day(self._connection, one, now_ms) for one in root_ids)
        upkeep.count_days(
            self._connection, root_ids, now_ms, settings.keep_missing, settings.keep_changes
        )
        if is_new:
            purge(self._connection, settings)

    def in_index(self, away: Collection[int]) -> InIndex:
        """What is not well according to the index; `away` are the ids of roots that are offline."""
        return in_index(self._connection, away, time.time_ns() // 1_000_000)

    def unreadable(self, is_expired: Callable[[int, bytes], bool]) -> set[Hint]:
        """The places in which the machine, and not their bytes, kept files from being read.

        But not those that rest (by root id and path), since asking for them mounts their disk.
        """
        watched = {row.id: row for row in self._watched}
        places = set()
        for root_id, path, has_stamp in problems.unreadable(self._connection):
            if root_id not in watched or is_expired(root_id, path):
                continue
            if has_stamp:
                places.add(Hint(root_id, paths.parent_of(path)))
            elif not path or self._may_be_folder(watched[root_id], path):
                places.add(Hint(root_id, path, recursive=True))
            else:  # by its name: a look at its folder takes it for a folder, and leaves it be
                places.add(Hint(root_id, paths.parent_of(path), (paths.name_of(path),)))
        return places

    def _may_be_folder(self, root: RootRow, path: bytes) -> bool:
        """Whether a folder is there, or that is unknown: no rights above it, or a disk error.

        By the time it is looked at it may be open again, and a look for a file would see no folder.
        """
        try:
            status = ask_at(root.path, lstat_at, root.path, path, self._path_filter.follow_links)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, errors.RootSilent):
            return True
        return status is not None and stat.S_ISDIR(status.st_mode)
