"""A folder of a root -> its wanted files with their stamps, in byte order of whole paths."""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Iterable, Iterator, Sequence
from operator import itemgetter
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.disk.descent import FolderChain
from indexer.disk.identity import FOLDER_FLAGS
from indexer.disk.tree import Tree, special_kind
from indexer.faults import FaultStreak, explain, problem_of
from indexer.ignore import IGNORE_FILE, NO_MEDIA, RULE_NAMES
from indexer.ignore.path_filter import IgnoreRules, PathFilter
from indexer.ignore_files import has_no_media, ignore_file, rules_above, with_file
from indexer.model import Entry, Problem, ProblemKind, Stamp, folded_ns
from indexer.sidecars import SidecarKind, kind_of


class Unlisted(Struct, frozen=True):
    """A folder that cannot be listed now: nothing below it may be judged."""

    path: bytes
    reason: str | None
    """The kernel's error, for `problems`; None where a disk is offline, which is no problem."""


class Unseen(Struct, frozen=True):
    """A name in a listing that cannot be examined: its own row may not be judged, nor changed.

    A damaged inode (EBADMSG, EUCLEAN, EIO), or one that is listed and then is not there, each time.
    Its neighbours are examined as usual. Also an ignore file with lines that match nothing.
    """

    path: bytes
    problem: Problem


class Listed(Struct, frozen=True):
    """A folder that was listed whole, before its entries."""

    path: bytes
    sidecars: tuple[Sidecar, ...] | None = None
    """Its wanted pictures, lyrics and playlists, in order of their names; None: none is wanted, or
    nothing is known of them."""
    unseen: frozenset[bytes] = frozenset()
    """Names in it that cannot be examined: their rows may not be judged."""
    changed_ns: int = 0
    """When it last changed (`folder_time_ns`), as it was before it was listed."""


def folder_time_ns(status: os.stat_result) -> int:
    """When a folder last changed (Unix, folded): the later of its two times.

    Tools that copy set the mtime back to what it was, and only the ctime of a folder that took the
    place of another one tells that. Where a server has no ctime, it is the mtime, or older.
    """
    return folded_ns(max(status.st_mtime_ns, status.st_ctime_ns))


class Run(Struct, frozen=True):
    """Files of one folder that are adjacent: no folder's path lies between theirs.

    Each is (path, what `lstat` says of it, id of its disk).
    """

    files: list[File]


File = tuple[bytes, os.stat_result, int]
Sidecar = tuple[bytes, os.stat_result | None]
"""The name of a file beside the music, and what `lstat` says of it; None of lyrics, of which the
listing tells enough."""
Found = Run | Listed | Unlisted | Unseen
_Kept = File | Unlisted | Unseen | bytes
"""Contents of a listing: files, folders by their paths, and what could not be examined."""
_Item = Run | Unlisted | Unseen | bytes
_OF_THE_FOLDER: Final = frozenset({errno.EACCES, errno.EPERM})
"""Errors for a name that come from the folder that it is in: without the right to search it,
nothing in it can be seen."""
_ENCODING: Final = (sys.getfilesystemencoding(), sys.getfilesystemencodeerrors())
"""As `os.fsencode` does it; its own checks of every name cost as much as all else here."""


def walk(
    tree: Tree, folder: bytes, path_filter: PathFilter, *, recursive: bool = True
) -> Iterator[Found]:
    """List a folder, and the folders below it; files come in runs, as they were listed.

    A folder that is gone (or ignored, or reached through a symbolic link, or listed with another
    spelling) yields nothing: what the index has below it is no longer there. One that cannot be
    read yields `Unlisted`.
    """
    return tree.each(_walked, folder, path_filter, recursive)


def _walked(
    tree: Tree,
    folder: bytes,
    path_filter: PathFilter,
    recursive: bool,  # noqa: FBT001 - as it is passed on
) -> Iterator[Found]:
    try:
        rules = rules_above(tree, folder, path_filter)
        if folder and not tree.lists(folder):
            return
    except OSError as error:
        yield Unlisted(folder, explain(error))
        return
    if rules is None:
        return
    streak = FaultStreak()
    stack: list[tuple[IgnoreRules, Iterator[_Item]]] = [(rules, iter((folder,)))]
    with tree.folder_chain() as folders:
        while stack:
            rules, listing = stack[-1]
            found = next(listing, None)
            if found is None:
                stack.pop()
            elif not isinstance(found, bytes):
                yield found
            elif recursive or found == folder:
                lister = _Lister(tree, folders, found, path_filter, rules, streak)
                yield from lister.found
                if lister.entries is not None:
                    stack.append((lister.rules, iter(lister.entries)))


class _Lister:
    """One folder, listed whole: its wanted `entries` in order, and the `rules` that hold in it.

    `found` is what concerns the folder itself. `entries` is None where its contents are unknown: it
    is gone, or could not be listed.
    """

    def __init__(
        self,
        tree: Tree,
        folders: FolderChain,
        folder: bytes,
        path_filter: PathFilter,
        rules: IgnoreRules,
        streak: FaultStreak,
    ) -> None:
        self.rules = rules
        self.entries: list[_Item] | None = None
        self.found: list[Listed | Unlisted] = []
        self._bad_lines: list[tuple[bytes, _Kept]] = []
        self._tree = tree
        self._folder = folder
        self._path_filter = path_filter
        self._streak = streak
        self._unseen: list[Unseen] = []
        self._sidecars: list[Sidecar] = []
        self._refused: list[OSError] = []
        """The kernel's error for each name that could not be examined."""
        self._spot = tree.mount_point_of(folder)
        if tree.is_offline(folder):
            self.found.append(Unlisted(folder, None))
            return
        try:
            self.entries = self._list(folders)
        except OSError as error:
            self.found.append(Unlisted(folder, explain(error)))

    def _list(self, folders: FolderChain) -> list[_Item] | None:
        fd = folders.open(self._folder, FOLDER_FLAGS)
        if fd is None:
            return None
        changed_ns = folder_time_ns(os.fstat(fd))  # first: what comes later changes it
        with os.scandir(fd) as listing:
            entries = list(listing)
        self.found.append(Listed(self._folder, changed_ns=changed_ns))
        rule_names = [one.name for one in entries if one.name in RULE_NAMES]
        if rule_names and not self._take_rules(fd, rule_names):
            if self._path_filter.sidecars:
                self.found[0] = Listed(self._folder, (), changed_ns=changed_ns)
            return []
        files, others = self._keep_all(entries, fd)
        if self._path_filter.sidecars:
            self.found[0] = self._with_sidecars(changed_ns)
        others += self._bad_lines
        for unseen in self._unseen:  # it may be a file or a folder
            below = paths.order_key(unseen.path, is_folder=True)
            others += [(unseen.path, unseen), (below, Unlisted(unseen.path, None))]
        if not others:
            files.sort(key=itemgetter(0))
            return [Run(files)] if files else []
        keyed = [(file[0], file) for file in files] + others
        keyed.sort(key=itemgetter(0))
        return _in_runs(kept for _, kept in keyed)

    def _with_sidecars(self, changed_ns: int) -> Listed:
        self._sidecars.sort(key=itemgetter(0))
        if not self._unseen:  # nearly always
            return Listed(self._folder, tuple(self._sidecars), changed_ns=changed_ns)
        unseen = frozenset([paths.name_of(one.path) for one in self._unseen])
        return Listed(self._folder, tuple(self._sidecars), unseen, changed_ns)

    def _take_rules(self, fd: int, names: Sequence[str]) -> bool:
        """Add the folder's own rules; False where they exclude all of it."""
        if os.fsdecode(NO_MEDIA) in names and has_no_media(fd):
            return False
        if os.fsdecode(IGNORE_FILE) in names:
            file = ignore_file(self._tree, fd, self._folder)
            if file is not None:
                self.rules, bad_lines = with_file(self.rules, file)
                if bad_lines:
                    place = paths.join(self._folder, IGNORE_FILE)
                    problem = Problem(ProblemKind.CONTENT, "; ".join(bad_lines))
                    self._bad_lines.append((place, Unseen(place, problem)))
        return True

    def _keep_all(  # noqa: C901, PLR0912 - a call a name costs
        self, entries: Iterable[os.DirEntry[str]], fd: int
    ) -> tuple[list[File], list[tuple[bytes, _Kept]]]:
        """The wanted files, and (order key, what to yield) of all else that is wanted.

        Raises OSError where not one name could be examined: then the folder is at fault.
        """
        files: list[File] = []
        others: list[tuple[bytes, _Kept]] = []
        before_name = paths.join(self._folder, b"")
        is_wanted, rules = self._path_filter.file, self.rules
        is_sidecar = self._path_filter.sidecar if self._path_filter.sidecars else _is_none
        disk_id, device = self._spot.disk_id, self._spot.device
        gone: list[os.DirEntry[str]] = []
        well = 0
        for entry in entries:
            name = entry.name.encode(*_ENCODING)
            path = before_name + name
            try:
                if entry.is_file(follow_symlinks=False):  # nearly always
                    pass
                elif entry.is_dir(follow_symlinks=False):
                    others += self._keep_folder(name, path)
                    continue
                elif entry.is_symlink():
                    others += self._keep_link(name, path) if self._path_filter.follow_links else ()
                    continue
                if is_wanted(name) and not (rules.files and rules.ignore(path)):
                    status = entry.stat(follow_symlinks=False)
                    is_own = status.st_dev == device
                    disk = disk_id if is_own else self._tree.disk_id_of(path, status)
                    files.append((path, status, disk))
                elif is_sidecar(name) and not (rules.files and rules.ignore(path)):
                    self._keep_sidecar(name, entry)
            except FileNotFoundError:
                gone.append(entry)
            except OSError as error:
                if is_wanted(name) or self._path_filter.folder(name):
                    self._refuse(path, error)
            except Exception as error:  # noqa: BLE001 - an exception of one name concerns it alone (R9)
                self._unseen.append(Unseen(path, problem_of(error, "walk", path)))
                if len(files) > well:
                    self._streak.count(path, None)
                well = len(files)
                self._streak.count(path, self._unseen[-1].problem)
        if len(files) > well:
            self._streak.count(self._folder, None)
        if gone:
            self._look_again(gone, fd, before_name)
        if self._refused and not (files or any(status for _, status in self._sidecars)):
            self._check_folder([kept for _, kept in others])
        return files, others

    def _keep_sidecar(self, name: bytes, entry: os.DirEntry[str]) -> None:
        if kind_of(name) is SidecarKind.LYRICS:
            if entry.is_file(follow_symlinks=False):
                self._sidecars.append((name, None))
            return
        status = entry.stat(follow_symlinks=False)
        if stat.S_ISREG(status.st_mode):
            self._sidecars.append((name, status))

    def _check_folder(self, others: Sequence[_Kept]) -> None:
        """Raise the kernel's error for the names, where all of them have it."""
        if any(isinstance(one, tuple) for one in others):
            return
        is_shut = all(error.errno in _OF_THE_FOLDER for error in self._refused)
        has_folders = any(isinstance(one, bytes) for one in others)
        if is_shut or (len(self._refused) > 1 and not has_folders):
            raise self._refused[0]

    def _look_again(self, gone: Sequence[os.DirEntry[str]], fd: int, before_name: bytes) -> None:
        """Tell files that went since the listing from names that are listed and never found.

        The second are still listed, and still not there.
        """
        listed = set(os.listdir(fd))
        for entry in gone:
            if entry.name in listed:
                try:
                    os.stat(entry.name, dir_fd=fd, follow_symlinks=False)
                except OSError as error:
                    if entry.name in os.listdir(fd):
                        self._refuse(before_name + entry.name.encode(*_ENCODING), error)

    def _refuse(self, path: bytes, error: OSError) -> None:
        self._refused.append(error)
        self._unseen.append(Unseen(path, Problem(ProblemKind.ENVIRONMENT, explain(error))))

    def _keep_folder(self, name: bytes, path: bytes) -> Sequence[tuple[bytes, _Kept]]:
        if not self._path_filter.folder(name) or self.rules.ignore(path, is_folder=True):
            return ()
        return ((paths.order_key(path, is_folder=True), path),)

    def _keep_link(self, name: bytes, path: bytes) -> Sequence[tuple[bytes, _Kept]]:
        """A symbolic link is its target, if that lies in the root and not above the link."""
        if self._tree.is_offline(path):  # its target is offline, and may be a file or a folder
            return self._keep_folder(name, path)
        status = self._tree.lstat(path)
        if status is None or stat.S_ISLNK(status.st_mode):
            return ()
        if stat.S_ISDIR(status.st_mode):
            return self._keep_folder(name, path) if self._tree.may_enter(path) else ()
        if self.rules.ignore(path):
            return ()
        if self._path_filter.sidecar(name) and stat.S_ISREG(status.st_mode):
            is_lyrics = kind_of(name) is SidecarKind.LYRICS
            self._sidecars.append((name, None if is_lyrics else status))
        if not self._path_filter.file(name):
            return ()
        return ((path, (path, status, self._tree.disk_id_of(path, status))),)


def _is_none(_name: bytes) -> bool:
    return False


def _in_runs(listing: Iterable[_Kept]) -> list[_Item]:
    """A listing in order, with adjacent files put together in runs."""
    found: list[_Item] = []
    files: list[File] = []
    for kept in listing:
        if isinstance(kept, tuple):
            files.append(kept)
            continue
        if files:
            found.append(Run(files))
            files = []
        found.append(kept)
    if files:
        found.append(Run(files))
    return found


def entries_of(files: Iterable[File]) -> list[Entry]:
    """Listed files as entries; takes half of the time of `entry_of` for each."""
    stamp_of = Stamp.of
    return [
        Entry(
            path,
            stamp_of(status),
            disk_id,
            None if stat.S_ISREG(status.st_mode) else special_kind(status.st_mode),
        )
        for path, status, disk_id in files
    ]


def entry_of(path: bytes, status: os.stat_result, disk_id: int) -> Entry:
    special = None if stat.S_ISREG(status.st_mode) else special_kind(status.st_mode)
    return Entry(path, Stamp.of(status), disk_id, special)


def folders_in(
    tree: Tree, folders: Iterable[bytes], path_filter: PathFilter
) -> list[tuple[bytes, ...]]:
    """The wanted folders in each of these folders; none in one that cannot be listed now."""
    return tree.ask(_folders_in, tuple(folders), path_filter.without_files())


def _folders_in(
    tree: Tree, folders: Sequence[bytes], path_filter: PathFilter
) -> list[tuple[bytes, ...]]:
    return [_folders_of(tree, folder, path_filter) for folder in folders]


def _folders_of(tree: Tree, folder: bytes, path_filter: PathFilter) -> tuple[bytes, ...]:
    try:
        rules = rules_above(tree, folder, path_filter)
    except OSError:
        return ()
    if rules is None:
        return ()
    with tree.folder_chain() as folders:
        entries = _Lister(tree, folders, folder, path_filter, rules, FaultStreak()).entries or ()
    return tuple(one for one in entries if isinstance(one, bytes))
