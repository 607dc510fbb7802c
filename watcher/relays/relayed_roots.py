"""Folders that are roots of an index on another machine -> watches, and hints to be given."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import suppress
from itertools import islice
from typing import Final

from msgspec import Struct

from indexer import errors, paths
from indexer.disk import filesystem
from indexer.disk.descent import OpenFolders
from indexer.disk.mounts import Mount, mounts_below, passes_share, read_mounts
from indexer.ignore import RULES
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint
from indexer.queue.relays import HEARTBEAT_S
from indexer.roots.open_roots import name_for
from indexer.roots.registry import real_root
from indexer.settings import Settings
from indexer.store.roots import MountRow, RootRow
from watcher.debounce.debouncer import Debouncer
from watcher.debounce.folder_buffer import Delays
from watcher.events.fs_event import FsEvent, FsEventKind, remedy
from watcher.events.watch_manager import Observers, WatchManager
from watcher.log import EventLog
from watcher.roots.root import Root, RootCheck

_FENCE_EVERY: Final = 6
"""Signs of life between two proofs that the watching threads answer."""
_FENCE_S: Final = 5.0
_MOST_LISTED: Final = 1_000
"""Files of a new folder that are looked at here; others wait at the index until they are still. A
guess."""


class Place(Struct):
    """A folder of this machine that is a root of the index there."""

    root: Root
    """`root.row.name` is its name there; the id is one of this run."""
    seen: tuple[object, ...] = ()
    """What stood at it, and was mounted below it, when its watches were added."""
    is_there: bool = False
    why_away: str = ""
    """Why it is not watched, as it was last logged."""


def relayed_folders(words: Sequence[bytes], settings: Settings) -> dict[str, bytes]:
    """Name of a root in the index -> its real path on this machine.

    A word is FOLDER or NAME=FOLDER; without words they are the [roots.NAME] of the settings.
    Raises UsageError and RootOffline.
    """
    if not words:
        given = [(name, os.fsencode(folder)) for name, folder in settings.roots.items()]
        if not given:
            raise errors.UsageError(
                "no root is named: `watcher relay NAME=FOLDER`, with the name that `indexer roots`"
                " shows where the index is, or [roots.NAME] path = ... in the config here"
            )
    else:
        given = [_named(word) for word in words]
    known = {os.path.realpath(os.fsencode(path)): name for name, path in settings.roots.items()}
    found: dict[str, bytes] = {}
    for given_name, folder in given:
        _check_local(os.path.abspath(folder))
        path = real_root(folder)
        name = given_name or known.get(path) or name_for(path, ())
        if name in found:
            raise errors.UsageError(
                f"two folders are named {name}: tell them apart with NAME=FOLDER"
            )
        for other, its_path in found.items():
            if paths.is_below(path, its_path) or paths.is_below(its_path, path):
                raise errors.UsageError(
                    f"{name} and {other} share folders; roots of an index do not"
                )
        found[name] = path
    return found


def _named(word: bytes) -> tuple[str, bytes]:
    """NAME=FOLDER in its parts; the name is empty where there is none. `./a=b` is a folder."""
    name, equals, folder = word.partition(b"=")
    if not equals or b"/" in name:
        return "", word
    if not name or not folder:
        raise errors.UsageError(f"{os.fsdecode(word)}: expected NAME=FOLDER")
    return os.fsdecode(name), folder


def _check_local(path: bytes) -> None:
    """Raise UsageError for a folder of which the kernel hears nothing here either."""
    if passes_share(path, read_mounts()):
        raise errors.UsageError(
            f"{os.fsdecode(path)}: is a share here, too, of whose changes the kernel is not told;"
            " run `watcher relay` on the machine that has the disk"
        )


class RelayedRoots:
    """Watches the folders. What happens there, or was perhaps missed, is offered to `debouncer`."""

    def __init__(
        self,
        settings: Settings,
        folders: dict[str, bytes],
        path_filter: PathFilter,
        log: EventLog,
        wake: Callable[[], None],
    ) -> None:
        """`folders` are those of `relayed_folders`; `wake` is called when there are events."""
        self.debouncer = Debouncer(Delays.of(settings))
        self.places = {
            number: Place(_root(RootRow(number, name, path)))
            for number, (name, path) in enumerate(folders.items(), 1)
        }
        self.tend_at = -float("inf")
        """When `tend` is due."""
        self._path_filter = path_filter
        self._log = log
        self._observers = Observers(wake)
        self._manager = WatchManager(self._observers, path_filter, lambda: None)
        self._rounds = 0

    def close(self) -> None:
        """End the watches."""
        self._observers.close()

    @property
    def names(self) -> list[str]:
        """The names of all roots, in the index."""
        return [place.root.row.name for place in self.places.values()]

    @property
    def watched_names(self) -> list[str]:
        """The names of those that are there."""
        return [place.root.row.name for place in self.places.values() if place.is_there]

    def drain(self, now: float) -> None:
        """Take in what the watches saw, and what they may have missed."""
        drained = self._observers.drain()
        for fault in drained.faults:
            place = self.places[fault.root_id]
            self._log.warning(
                str(fault.kind), root=place.root.row.name, detail=fault.detail, action="rescan"
            )
            self._arm(place, now)
        for event in drained.events:
            self._offer(event, now)
        for root_id, folder in drained.begun:
            self.debouncer.note_writer(root_id, folder, now)

    def _offer(self, event: FsEvent, now: float) -> None:
        if event.name is not None and event.name in RULES:
            self.debouncer.offer_hint(Hint(event.root_id, event.folder, recursive=True), now)
            return
        self.debouncer.offer(event, now)
        if event.kind is FsEventKind.FOLDER_CAME:
            self._offer_files(event.root_id, event.folder, now)

    def _offer_files(self, root_id: int, folder: bytes, now: float) -> None:
        """Have the files of a new folder looked at here, where the kernel knows their writers.

        No event tells of what was in it before it was watched.
        """
        root = self.places[root_id].root
        wanted = _files_in(root.row.path, folder, self._path_filter)
        for path in islice(wanted, _MOST_LISTED):
            above, name = paths.parent_of(path), paths.name_of(path)
            self.debouncer.offer(FsEvent(root_id, above, name, FsEventKind.WRITING), now)

    def tend(self, now: float) -> None:
        """See whether each folder is the one that is watched, and whether its watcher lives."""
        self.tend_at = now + HEARTBEAT_S
        for place in self.places.values():
            if not place.is_there or place.seen != _what_is_at(place.root.row.path):
                self._arm(place, now)
        self._rounds += 1
        if self._rounds % _FENCE_EVERY == 0:
            self._observers.fence(_FENCE_S)

    def _arm(self, place: Place, now: float) -> None:
        """Watch all of a folder anew; then all of it is to be looked at (rule R10)."""
        row = place.root.row
        place.seen = _what_is_at(row.path)
        self._manager.arm(place.root)
        unwatched = place.root.armed.unwatched
        if b"" in unwatched:
            place.is_there = False
            self._log_away(place, unwatched[b""])
            return
        place.is_there, place.why_away = True, ""
        self._log.info(
            "watching", root=row.name, path=paths.shell_word(row.path),
            folders=place.root.armed.watched,
        )  # fmt: skip
        for error in set(unwatched.values()):
            number = sum(one == error for one in unwatched.values())
            self._log.warning(
                "unwatched", root=row.name, folders=number, why=os.strerror(error),
                mend=remedy(error, place.root.armed.watched + number),
                detail="changes there are found by polling alone",
            )  # fmt: skip
        self.debouncer.offer_hint(Hint(row.id, recursive=True), now)

    def _log_away(self, place: Place, error: int) -> None:
        why = os.strerror(error)
        if why != place.why_away:
            place.why_away = why
            is_gone = error in (errno.ENOENT, errno.ENOTDIR)
            self._log.warning(
                "offline", root=place.root.row.name, path=paths.shell_word(place.root.row.path),
                reason=why, mend="mount its disk" if is_gone else remedy(error, 1),
            )  # fmt: skip

    def offer_all(self, now: float, names: Collection[str] | None = None) -> None:
        """What was given may be lost: of all roots, or of those with these names."""
        for place in self.places.values():
            if names is None or place.root.row.name in names:
                self.debouncer.offer_hint(Hint(place.root.row.id, recursive=True), now)


def _root(row: RootRow) -> Root:
    """A root as the daemon keeps it. Raises UsageError where its disk does not answer."""
    try:
        disk = filesystem.disk_at(row.path)
    except OSError as error:
        raise errors.UsageError(f"{os.fsdecode(row.path)}: {error.strerror}") from error
    return Root(RootCheck(row, (MountRow(b"", 0, 0, disk),)), is_polled=False)


def _what_is_at(path: bytes) -> tuple[object, ...]:
    """What stands at a path, and what is mounted below it: another value after another mount."""
    try:
        status = os.stat(path)
    except OSError as error:
        return (error.errno,)
    below = {folder: _mark(mount) for folder, mount in mounts_below(path, read_mounts()).items()}
    return (status.st_dev, status.st_ino, below)


def _mark(mount: Mount) -> tuple[int, str]:
    return mount.id, mount.device


def _files_in(root: bytes, folder: bytes, path_filter: PathFilter) -> Iterator[bytes]:
    """The wanted files below a folder of a root, by their paths in it; none if it is gone."""
    with suppress(OSError), OpenFolders.at(root, follow_links=False) as folders:
        top = folders.of(folder)
        for below, names, files, _ in os.fwalk(b".", dir_fd=top):
            here = paths.join(folder, below[2:]) if below[2:] else folder
            names[:] = [one for one in names if path_filter.folders(paths.join(here, one))]
            yield from (paths.join(here, one) for one in files if path_filter.file(one))
