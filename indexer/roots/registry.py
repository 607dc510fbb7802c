"""A folder as the user names it -> its root, added if it is new (rule R8)."""

from __future__ import annotations

import os
import time
from collections.abc import Collection, Iterable, Sequence

from indexer import errors, paths
from indexer.disk import filesystem
from indexer.disk.mounts import is_share, overlap, read_mounts
from indexer.roots import acceptance, open_roots
from indexer.settings import Settings
from indexer.shares.hanging import ask_share, real_path
from indexer.store import roots
from indexer.store.beside import check_is_file
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import RootRow


def root_at(
    connection: Connection, settings: Settings, folder: bytes, name: str | None = None
) -> RootRow:
    """The root at a folder; a new one is added, and the disk there accepted.

    Raises UsageError for what cannot be a root, where a root shares folders with it already, and
    where it is a root of another name.
    """
    watched = roots.watched(connection)
    for spell in (os.path.abspath, real_path):  # the first needs no disk
        spelling = spell(folder)
        for root in watched:
            if root.path == spelling:
                _check_same_name(root, name)
                return root
    if not os.path.lexists(folder):
        for root in watched:
            if os.fsencode(root.name) == folder.rstrip(b"/"):
                _check_same_name(root, name)
                return root
    path = real_root(folder)
    nested = overlap(path, {root.name: root.path for root in watched}, read_mounts())
    if nested is not None:
        raise errors.UsageError(_shared(path, named(watched, nested)))
    taken = [root.name for root in watched]
    chosen = name or _configured_name(settings, path) or open_roots.name_for(path, taken)
    if chosen in taken:
        raise errors.UsageError(
            f"a root is named {chosen} already; choose another with --name NAME"
        )
    if name is not None:  # that of a folder may be anything
        check_name(name, taken)
    open_roots.check_not_scanned(settings.db, {chosen: path})
    with write_transaction(connection):
        root = roots.add(connection, chosen, path, time.time_ns() // 1_000_000)
        acceptance.accept_disks(connection, root)
    return root


def _check_same_name(root: RootRow, name: str | None) -> None:
    """Raise UsageError where a root is to be added that is one already, with another name."""
    if name not in {None, root.name}:
        raise errors.UsageError(
            f"{os.fsdecode(root.path)} is the root {root.name} already; to call it so: "
            f"`indexer roots rename {_word(root.name)} {_word(name or '')}`"
        )


def check_first_roots(settings: Settings, folders: Sequence[bytes], command: str) -> None:
    """Raise UsageError for the folders of a command before it makes a database, if there is none.

    So wrong use leaves no empty index behind. `command`: such as `watcher run`.
    """
    check_is_file(settings.db)
    if settings.db.exists():
        return
    if not folders:
        raise no_root(command)
    for folder in folders:
        path = real_root(folder)
        open_roots.check_not_scanned(settings.db, {open_roots.name_for(path, ()): path})


def no_root(command: str) -> errors.UsageError:
    """The error of a command that needs a root, where there is none."""
    return errors.UsageError(
        f"no root is known yet; name the folder that holds the music: `{command} FOLDER`"
    )


def check_name(name: str, taken: Iterable[str]) -> None:
    """Raise UsageError for what cannot be the name of a root: it begins paths in every list."""
    if name in {".", ".."}:
        raise errors.UsageError(f"{name!r}: this is a folder in a path, and so no name of a root")
    if not paths.may_name_root(name):
        raise errors.UsageError(f"{name!r}: a name has no slash and no control character")
    if name in taken:
        raise errors.UsageError(f"a root is named {name} already; choose another name")


def named(watched: Sequence[RootRow], name: str) -> RootRow:
    """The root of this name, or at this path. Raises UsageError where there is none."""
    for root in watched:
        if root.name == name:
            return root
    path = os.path.abspath(os.fsencode(name))
    for root in watched:
        if "/" in name and root.path == path:
            return root
    known = ", ".join(root.name for root in watched) or "none"
    raise errors.UsageError(f"no root is named {name}; known: {known}")


def _shared(path: bytes, root: RootRow) -> str:
    """Why a folder cannot be a root beside this one, and commands that work."""
    folder, word = os.fsdecode(path), paths.shell_word(path)
    remove = f"`indexer roots remove {_word(root.name)}`"
    if path.startswith(root.path.rstrip(b"/") + b"/"):
        return (
            f"{folder}: lies in the root {root.name}, which is indexed with all that is in it; "
            f"`indexer scan {word}` looks at just that folder"
        )
    how = "holds" if root.path.startswith(path.rstrip(b"/") + b"/") else "shares folders with"
    return (
        f"{folder}: {how} the root {root.name}, and a root may not hold another; to index all of "
        f"it, {remove}, then `indexer rebuild {word}`"
    )


def _word(name: str) -> str:
    """The name of a root as one word of a command line."""
    return paths.shell_word(name.encode(errors="surrogateescape"))


def contradictions(watched: Sequence[RootRow], settings: Settings) -> list[str]:
    """What the settings say of roots that the index knows otherwise, and what to do: a line each.

    Only on the machine of the index: elsewhere a root may be mounted anywhere.
    """
    found = []
    by_name = {root.name: root.path for root in watched}
    by_path = {root.path: root.name for root in watched}
    for name, folder in settings.roots.items():
        path = os.fsencode(folder)
        said = settings.said(f"roots.{name}")
        here = {os.path.abspath(path), real_path(path)}
        known = by_name.get(name)
        if known is not None and known not in here:
            found.append(
                f"{said} is {os.fsdecode(path)}, but the index knows {name} as "
                f"{os.fsdecode(known)}: correct the line; or, to have it there, "
                f"`indexer roots remove {_word(name)}`, then "
                f"`indexer rebuild {paths.shell_word(path)}`"
            )
        other = next((by_path[one] for one in here if one in by_path), name)
        if known is None and other != name:
            found.append(
                f"{said} is {os.fsdecode(path)}, which the index knows as {other}: correct the "
                f"line, or `indexer roots rename {_word(other)} {_word(name)}`"
            )
    return found + _unknown_names(by_name.keys() | settings.roots.keys(), settings)


def _unknown_names(known: Collection[str], settings: Settings) -> list[str]:
    """The names of roots in other settings that no root has: a line for each setting."""
    named = {settings.said("polled"): settings.polled}
    for hook in settings.hooks:
        where = f"{settings.said('hooks')} ({hook.name})"
        named |= {f"{where}: roots": hook.roots, f"{where}: map": tuple(hook.map)}
    are = ", ".join(sorted(known)) or "none yet"
    return [
        f"{where} names {', '.join(unknown)}, which no root is called: the roots are {are}"
        for where, names in named.items()
        if (unknown := [name for name in names if name not in known])
    ]


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
