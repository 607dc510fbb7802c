"""A folder of a root -> its wanted files with their stamps, in byte order of whole paths."""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from operator import itemgetter

from msgspec import Struct

from indexer import paths
from indexer.model import Entry, Stamp
from indexer.tree import Tree, special_kind


class Unlisted(Struct, frozen=True):
    """A folder of which nothing can be said now: nothing below it may be judged."""

    path: bytes
    reason: str | None
    """What the kernel said, for `problems`; None where a disk is offline, which is no problem."""


class Listed(Struct, frozen=True):
    """A folder that was listed whole, before its entries."""

    path: bytes


Found = Entry | Listed | Unlisted


def walk(
    tree: Tree, folder: bytes, suffixes: frozenset[bytes], *, recursive: bool = True
) -> Iterator[Found]:
    """List a folder, and the folders below it.

    A folder that is gone (or ignored, or reached through a symbolic link) yields nothing: what
    the index has below it has left. One that cannot be read yields `Unlisted`.
    """
    if any(paths.is_ignored_folder(name) for name in folder.split(b"/") if name):
        return
    stack: list[Iterator[Entry | bytes]] = [iter((folder,))]
    while stack:
        found = next(stack[-1], None)
        if found is None:
            stack.pop()
        elif isinstance(found, Entry):
            yield found
        elif tree.is_offline(found):
            yield Unlisted(found, None)
        elif recursive or found == folder:
            try:
                listing = _listing(tree, found, suffixes)
            except OSError as error:
                yield Unlisted(found, explain(error))
                continue
            if listing is not None:
                yield Listed(found)
                stack.append(iter(listing))


def _listing(tree: Tree, folder: bytes, suffixes: frozenset[bytes]) -> list[Entry | bytes] | None:
    """The wanted files and the paths of the folders in a folder, in order; None: no such folder."""
    fd = tree.open_folder(folder)
    if fd is None:
        return None
    keyed: list[tuple[bytes, Entry | bytes]] = []
    disk_id = tree.spot_of(folder).disk_id
    try:
        with os.scandir(fd) as entries:
            for entry in entries:
                name = os.fsencode(entry.name)
                if entry.is_dir(follow_symlinks=False):
                    if not paths.is_ignored_folder(name):
                        keyed.append(
                            (paths.order_key(name, is_folder=True), paths.join(folder, name))
                        )
                elif paths.is_wanted(name, suffixes) and not entry.is_symlink():
                    found = _entry(entry, paths.join(folder, name), disk_id)
                    if found is not None:
                        keyed.append((name, found))
    finally:
        os.close(fd)
    keyed.sort(key=itemgetter(0))
    return [found for _, found in keyed]


def _entry(entry: os.DirEntry[str], path: bytes, disk_id: int) -> Entry | None:
    try:
        status = entry.stat(follow_symlinks=False)
    except FileNotFoundError:
        return None
    special = None if stat.S_ISREG(status.st_mode) else special_kind(status.st_mode)
    return Entry(path, Stamp.of(status), disk_id, special)


def look(tree: Tree, path: bytes, suffixes: frozenset[bytes]) -> Entry | None:
    """One path as a listing would show it; None where nothing wanted bears that name now."""
    ignored = any(paths.is_ignored_folder(name) for name in paths.parent_of(path).split(b"/"))
    if ignored or not paths.is_wanted(paths.name_of(path), suffixes):
        return None
    status = tree.lstat_in_folder(path)
    if status is None:
        return None
    special = special_kind(status.st_mode)
    if special is None and not stat.S_ISREG(status.st_mode):
        return None
    return Entry(path, Stamp.of(status), tree.spot_of(path).disk_id, special)


def explain(error: OSError) -> str:
    """What the kernel said of a folder, in words a person can act on."""
    name = errno.errorcode.get(error.errno or 0, "?")
    return f"{error.strerror} ({name})"
