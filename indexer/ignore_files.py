"""Settings, and the ignore files of a root's folders -> which of its files are wanted."""

from __future__ import annotations

import os
import stat
import threading
from collections import OrderedDict
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.artwork.model import PICTURE_SUFFIXES
from indexer.disk.descent import FolderChain
from indexer.disk.identity import FOLDER_FLAGS
from indexer.disk.tree import MountPoint, Tree
from indexer.evidence import coarse_now_ns, tick_left_ns
from indexer.ignore import IGNORE_FILE, NO_MEDIA
from indexer.ignore.gitignore import MOST_BYTES, Patterns
from indexer.ignore.path_filter import NO_RULES, IgnoreFile, IgnoreRules, PathFilter
from indexer.model import Stamp, StampFields
from indexer.settings import Settings, check_picture_names, check_suffixes
from indexer.sidecars import LYRICS_SUFFIX, PLAYLIST_SUFFIXES
from indexer.tags import SUFFIXES

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_KEPT_BYTES: Final = 8 << 20
"""Of ignore files that were read, and of their parsed rules. A guess: 20 with globs."""


def path_filter_of(settings: Settings) -> PathFilter:
    """The filter that the settings give.

    Raises SettingsError for a suffix without a reader, and for a picture's name that has one.
    """
    check_picture_names(settings, PICTURE_SUFFIXES)
    return PathFilter(
        check_suffixes(settings, SUFFIXES),
        settings.ignored_names,
        hidden=settings.hidden,
        follow_links=settings.follow_links,
        sidecars=frozenset(
            (
                LYRICS_SUFFIX,
                *(PICTURE_SUFFIXES if settings.artwork else ()),
                *(PLAYLIST_SUFFIXES if settings.playlists else ()),
            )
        ),
    )


def rules_above(tree: Tree, folder: bytes, path_filter: PathFilter) -> IgnoreRules | None:
    """The rules of the ignore files in all folders above this one; None where they exclude it."""
    rules = NO_RULES
    if not path_filter.folders(folder):
        return None
    names = folder.split(b"/") if folder else []
    with tree.folder_chain() as folders:
        for depth, name in enumerate(names):
            above = b"/".join(names[:depth])
            own = _rules_in(tree, folders, above, rules)
            if own is None or own.ignore(paths.join(above, name), is_folder=True):
                return None
            rules = own
    return rules


def rules_in(tree: Tree, folder: bytes, rules: IgnoreRules) -> IgnoreRules | None:
    """Rules, with those of a folder itself; None where these exclude all of it."""
    with tree.folder_chain() as folders:
        return _rules_in(tree, folders, folder, rules)


def _rules_in(
    tree: Tree, folders: FolderChain, folder: bytes, rules: IgnoreRules
) -> IgnoreRules | None:
    fd = folders.open(folder, FOLDER_FLAGS)
    if fd is None:
        return rules
    if has_no_media(fd):
        return None
    file = ignore_file(tree, fd, folder)
    return rules if file is None else with_file(rules, file)[0]


def with_file(rules: IgnoreRules, file: IgnoreFile) -> tuple[IgnoreRules, tuple[str, ...]]:
    """Rules with those of a deeper file; and its lines that are not obeyed."""
    refusal = rules.refusal(file)
    if refusal is not None:
        return rules, (refusal,)
    return rules.and_(file), file.patterns.bad_lines


def has_no_media(fd: int) -> bool:
    """Whether an open folder holds an empty `.nomedia`."""
    try:
        status = os.stat(NO_MEDIA, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


def ignore_file(tree: Tree, fd: int, folder: bytes) -> IgnoreFile | None:
    """The `.indexignore` of an open folder, if it has one.

    One that was read is not read again while its stamp holds, nor parsed while its text does.
    """
    try:
        status = os.stat(IGNORE_FILE, dir_fd=fd, follow_symlinks=False)
        if not stat.S_ISREG(status.st_mode):
            return None
        known = _memory.of(status)
        if known is not None and known.is_lasting and known.stamp == Stamp.of(status):
            return IgnoreFile(folder, known.patterns)
        file = os.open(IGNORE_FILE, _FLAGS, dir_fd=fd)
    except FileNotFoundError:
        return None
    try:
        status = os.fstat(file)
        if not stat.S_ISREG(status.st_mode):
            return None
        known = _memory.of(status)
        is_lasting = _changes_with_stamp(status, tree.mount_point_of(folder))
        text = _text_of(file)
    finally:
        os.close(file)
    is_same = known is not None and known.text == text
    patterns = known.patterns if known is not None and is_same else Patterns(text)
    _memory.keep(status, _Known(Stamp.of(status), text, patterns, is_lasting))
    return IgnoreFile(folder, patterns)


def _changes_with_stamp(status: os.stat_result, mount_point: MountPoint) -> bool:
    """Whether any later write to a file changes the stamp that was just seen."""
    left_ns = tick_left_ns(status.st_ctime_ns, coarse_now_ns(), mount_point.granularity_ns)
    return left_ns == 0 and mount_point.fields is StampFields.ALL


def _text_of(file: int) -> bytes:
    """As much of an open ignore file as is obeyed, and one byte more."""
    text = b""
    while len(text) <= MOST_BYTES and (more := os.read(file, MOST_BYTES + 1 - len(text))):
        text += more
    return text


class _Known(Struct, frozen=True):
    """An ignore file that was read."""

    stamp: Stamp
    text: bytes
    patterns: Patterns
    is_lasting: bool
    """Whether its stamp changes whenever its text does."""


class _Memory(threading.local):
    """The ignore files that were read last, by device and inode; each thread has its own."""

    def __init__(self) -> None:
        self._files: OrderedDict[tuple[int, int], _Known] = OrderedDict()
        self._bytes_held = 0

    def of(self, status: os.stat_result) -> _Known | None:
        """What was read of this file, whatever its stamp was."""
        key = (status.st_dev, status.st_ino)
        known = self._files.get(key)
        if known is not None:
            self._files.move_to_end(key)
        return known

    def keep(self, status: os.stat_result, known: _Known) -> None:
        """Keep what was read, and drop the least recently used."""
        key = (status.st_dev, status.st_ino)
        if before := self._files.pop(key, None):
            self._bytes_held -= _bytes_of(before)
        self._files[key] = known
        self._bytes_held += _bytes_of(known)
        while self._bytes_held > _MOST_KEPT_BYTES and len(self._files) > 1:
            _, oldest = self._files.popitem(last=False)
            self._bytes_held -= _bytes_of(oldest)


def _bytes_of(known: _Known) -> int:
    return len(known.text) + known.patterns.most_bytes


_memory: Final = _Memory()
