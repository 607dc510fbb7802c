"""Open folders of a root -> the rules that their ignore files make (see `wanted`)."""

from __future__ import annotations

import os
import stat
from typing import Final

from indexer import paths
from indexer.tree import Tree
from indexer.wanted import IGNORE_FILE, NO_MEDIA, NO_RULES, IgnoreFile, Rules, Wanted

_FLAGS: Final = os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC
_MOST_BYTES: Final = 1 << 20
"""Of an ignore file; more is no ignore file."""


def rules_above(tree: Tree, folder: bytes, wanted: Wanted) -> Rules | None:
    """What the ignore files of all folders above this one say; None where they do not want it."""
    rules = NO_RULES
    if not wanted.folders(folder):
        return None
    names = folder.split(b"/") if folder else []
    for depth, name in enumerate(names):
        above = b"/".join(names[:depth])
        own = rules_in(tree, above, rules)
        if own is None or own.ignore(paths.join(above, name), is_folder=True):
            return None
        rules = own
    return rules


def rules_in(tree: Tree, folder: bytes, rules: Rules) -> Rules | None:
    """Rules, and those of a folder itself; None where it wants nothing."""
    fd = tree.open_folder(folder)
    if fd is None:
        return rules
    try:
        if has_no_media(fd):
            return None
        file = ignore_file(fd, folder)
    finally:
        os.close(fd)
    return rules if file is None else rules.and_(file)


def has_no_media(fd: int) -> bool:
    """Whether an empty `.nomedia` stands in an open folder."""
    try:
        status = os.stat(NO_MEDIA, dir_fd=fd, follow_symlinks=False)
    except FileNotFoundError:
        return False
    return stat.S_ISREG(status.st_mode) and status.st_size == 0


def ignore_file(fd: int, folder: bytes) -> IgnoreFile | None:
    """The `.indexignore` of an open folder, if it has one; at most 1 MB of it."""
    try:
        if not stat.S_ISREG(os.stat(IGNORE_FILE, dir_fd=fd, follow_symlinks=False).st_mode):
            return None
        file = os.open(IGNORE_FILE, _FLAGS, dir_fd=fd)
    except FileNotFoundError:
        return None
    try:
        return IgnoreFile.parse(folder, os.read(file, _MOST_BYTES))
    finally:
        os.close(file)
