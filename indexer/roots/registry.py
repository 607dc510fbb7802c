"""A folder as the user names it -> its root, added if it is new (rule R8)."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence

from indexer import errors
from indexer.disk import filesystem
from indexer.disk.mounts import overlap, read_mounts
from indexer.roots import acceptance, open_roots
from indexer.settings import Settings
from indexer.shares.hanging import ask_share, is_share, real_path
from indexer.store import roots
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import RootRow


def root_at(
    connection: Connection, settings: Settings, folder: bytes, name: str | None = None
) -> RootRow:
    """The root at a folder; a new one is added, and the disk there accepted.

    Raises UsageError for what cannot be a root, and where a root shares folders with it already.
    """
    watched = roots.watched(connection)
    for spell in (os.path.abspath, real_path):  # the first needs no disk
        spelling = spell(folder)
        for root in watched:
            if root.path == spelling:
                return root
    path = real_root(folder)
    nested = overlap(path, {root.name: root.path for root in watched}, read_mounts())
    if nested is not None:
        raise errors.UsageError(
            f"{os.fsdecode(path)}: shares folders with the root {nested}; "
            f"a root may not hold another: `indexer scan {os.fsdecode(path)}` scans just "
            f"that folder, `indexer roots remove {nested}` makes room for it"
        )
    taken = [root.name for root in watched]
    chosen = name or _configured_name(settings, path) or open_roots.name_for(path, taken)
    if chosen in taken:
        raise errors.UsageError(
            f"a root is named {chosen} already; choose another with --name NAME"
        )
    open_roots.check_not_scanned(settings.db, {chosen: path})
    with write_transaction(connection):
        root = roots.add(connection, chosen, path, time.time_ns() // 1_000_000)
        acceptance.accept_disks(connection, root)
    return root


def named(watched: Sequence[RootRow], name: str) -> RootRow:
    """The root of this name. Raises UsageError where there is none."""
    for root in watched:
        if root.name == name:
            return root
    known = ", ".join(root.name for root in watched) or "none"
    raise errors.UsageError(f"no root is named {name}; known: {known}")


def _configured_name(settings: Settings, path: bytes) -> str | None:
    """The name that `[roots.NAME]` in the settings gives to this folder."""
    for name, folder in settings.roots.items():
        if real_path(os.fsencode(folder)) == path:
            return name
    return None


def real_root(folder: bytes) -> bytes:
    """The real path of a folder that is to be a root. Raises UsageError or RootOffline."""
    real = real_path(folder)
    if is_share(real):
        return ask_share(real, filesystem.real_root, real)
    return filesystem.real_root(folder)
