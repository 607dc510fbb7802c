"""A name below a root -> what a listing of its folder would show of it now."""

from __future__ import annotations

import errno
import os
import stat

from indexer import paths
from indexer.disk.tree import Tree, special_kind
from indexer.faults import explain
from indexer.ignore.path_filter import PathFilter
from indexer.ignore_files import rules_above, rules_in
from indexer.model import Entry, Problem, ProblemKind, Stamp
from indexer.sidecars import NO_STAMP, SidecarKind, kind_of
from indexer.walk import Unseen


def look(tree: Tree, path: bytes, path_filter: PathFilter) -> Entry | None:
    """One path as a listing would show it; None where nothing wanted has that name now."""
    return tree.ask(_look, path, path_filter)


def look_at_sidecar(tree: Tree, path: bytes, path_filter: PathFilter) -> Stamp | None:
    """The stamp of a file beside the music as a listing would show it; None where there is none."""
    return tree.ask(_look_at_sidecar, path, path_filter)


def _look_at_sidecar(tree: Tree, path: bytes, path_filter: PathFilter) -> Stamp | None:
    if not path_filter.sidecar(paths.name_of(path)):
        return None
    entry = _look_at(tree, path, path_filter)
    if entry is None or entry.special is not None or not tree.lists(path):
        return None
    return NO_STAMP if kind_of(path) is SidecarKind.LYRICS else entry.stamp


def _look(tree: Tree, path: bytes, path_filter: PathFilter) -> Entry | None:
    return _look_at(tree, path, path_filter) if path_filter.file(paths.name_of(path)) else None


def _look_at(tree: Tree, path: bytes, path_filter: PathFilter) -> Entry | None:
    folder = paths.parent_of(path)
    above = rules_above(tree, folder, path_filter)
    rules = None if above is None else rules_in(tree, folder, above)
    if rules is None or rules.ignore(path):
        return None
    status = tree.lstat(path)
    if status is None:
        return None
    special = special_kind(status.st_mode)
    if special is None and not stat.S_ISREG(status.st_mode):
        return None
    return Entry(path, Stamp.of(status), tree.disk_id_of(path, status), special)


def names_in(tree: Tree, folder: bytes) -> frozenset[bytes]:
    """Every name in a folder; none where there is no such folder."""
    return tree.ask(_names_in, folder)


def _names_in(tree: Tree, folder: bytes) -> frozenset[bytes]:
    fd = tree.open_folder(folder)
    if fd is None:
        return frozenset()
    try:
        return frozenset(os.fsencode(name) for name in os.listdir(fd))
    finally:
        os.close(fd)


def unseen(tree: Tree, path: bytes) -> Unseen | None:
    """A name that its folder lists and that is never found; None for any other."""
    return tree.ask(_unseen, path)


def _unseen(tree: Tree, path: bytes) -> Unseen | None:
    if tree.lstat(path) is not None:
        return None
    if paths.name_of(path) not in _names_in(tree, paths.parent_of(path)):
        return None
    error = OSError(errno.ENOENT, os.strerror(errno.ENOENT))
    return Unseen(path, Problem(ProblemKind.ENVIRONMENT, explain(error)))
