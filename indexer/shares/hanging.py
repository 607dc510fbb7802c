"""A path -> whether access to it may wait for ever, and the access, by a helper if it may."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Final, TypeVar

from indexer import errors
from indexer.disk.mounts import is_share, may_hang, read_mounts
from indexer.disk.tree import Arguments, Tree

_MOST_NAMES: Final = 4096
"""Limit of symbolic links in a path: one that has more is a loop."""

T = TypeVar("T")


def ask_at(path: bytes, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Run a function that accesses `path`: in a helper if that may hang. Raises RootSilent."""
    if is_share(path):
        return ask_share(path, function, *arguments)
    return function(*arguments)


def ask_share(path: bytes, function: Callable[[*Arguments], T], *arguments: *Arguments) -> T:
    """Run a function that accesses the share `path` in its helper. Raises RootSilent."""
    from indexer.shares.registry import shares  # late: takes 10 ms, and most roots need no helper

    return shares.ask(path, function, *arguments)


def check_answers(tree: Tree) -> None:
    """Raise RootSilent where the server of a share does not answer now."""
    from indexer.shares.registry import look_at  # late, as above

    try:
        ask_share(tree.path, look_at, tree.path)
    except OSError:  # an error is an answer, too
        return
    except errors.RootSilent as error:
        error.root_id = tree.root_id
        raise


def real_path(path: bytes) -> bytes:
    """The same as `os.path.realpath`, name by name, so that no share is accessed from here.

    Raises RootSilent where one does not answer.
    """
    mounts = read_mounts()
    real = b"/"
    whole = path if os.path.isabs(path) else os.path.join(os.getcwdb(), path)
    names = whole.split(b"/")[::-1]
    for _ in range(_MOST_NAMES):
        if not names:
            return real
        name = names.pop()
        if name in (b"", b"."):
            continue
        if name == b"..":
            real = os.path.dirname(real)
            continue
        whole = os.path.join(real, name)
        if may_hang(whole, mounts, lambda _below: True):
            rest = os.path.join(whole, *reversed(names))
            return ask_share(whole, os.path.realpath, rest)
        try:
            link = os.readlink(whole)
        except OSError:
            real = whole
            continue
        real = b"/" if link.startswith(b"/") else real
        names += link.split(b"/")[::-1]
    return os.path.abspath(path)
