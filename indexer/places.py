"""Paths on a command line -> places in roots, and hints for them."""

from __future__ import annotations

import os
import re
import stat
from collections.abc import Callable, Sequence
from typing import Final

from msgspec import Struct

from indexer import errors, paths
from indexer.ignore import RULES
from indexer.model import Hint
from indexer.store.roots import RootRow

_ESCAPED: Final = re.compile(rb"\\(x[0-9a-f]{2}|u[0-9a-f]{4}|[nrt])")
_LETTERS: Final = {b"n": b"\n", b"r": b"\r", b"t": b"\t"}
"""As Python's `unicode_escape` and `backslashreplace` write them."""


class Located(Struct, frozen=True):
    """A path inside a root, relative to it."""

    root: RootRow
    path: bytes


def locate(path: bytes, watched: Sequence[RootRow]) -> Located:
    """Find the root that contains a path. Raises UsageError if there is none.

    A path is absolute, or relative to the working directory, or `ROOT/relative` as the lists show
    it; where it may be both of the last, it is the one that exists. Where neither does, escapes are
    taken for the control characters and bytes that the lists show so. Links in parent folders are
    followed, like the shell does; the last name is not resolved.
    """
    found = _on_disk(path, watched)
    listed = _as_listed(path, watched)
    chosen = found if listed is None or (found is not None and exists(found)) else listed
    if b"\\" in path and (chosen is None or not exists(chosen)):
        bare = _ESCAPED.sub(_unescaped, path)
        for shown in (_as_listed(bare, watched), _on_disk(bare, watched)):
            if shown is not None and exists(shown):
                return shown
    if chosen is not None:
        return chosen
    known = ", ".join(os.fsdecode(root.path) for root in watched) or "none yet"
    raise errors.UsageError(
        f"{os.fsdecode(path)}: lies in no root (known: {known}); "
        "add the folder with `indexer rebuild FOLDER`"
    )


def _on_disk(path: bytes, watched: Sequence[RootRow]) -> Located | None:
    absolute = os.path.abspath(path)
    folder, name = os.path.split(absolute)
    spellings: tuple[Callable[[], bytes], ...] = (  # one by one: the first needs no disk
        lambda: absolute,
        lambda: os.path.join(_real(folder), name),
        lambda: _real(path),
    )
    for spelling in spellings:
        whole = spelling()
        for root in watched:
            base = root.path.rstrip(b"/")
            if paths.is_below(whole, base):
                return Located(root, whole[len(base) + 1 :])
    return None


def _real(path: bytes) -> bytes:
    from indexer.shares.hanging import real_path  # late: most commands need no look at a disk

    return real_path(path)


def _status(located: Located, *, follow_links: bool = False) -> os.stat_result | None:
    """What the disk says of a place; None: nothing is there. Raises OSError and RootSilent."""
    from indexer.disk.descent import lstat_at  # late, as above
    from indexer.shares.hanging import ask_at

    root = located.root.path
    return ask_at(root, lstat_at, root, located.path, follow_links)


def _unescaped(escape: re.Match[bytes]) -> bytes:
    word = escape[1]
    if word in _LETTERS:
        return _LETTERS[word]
    if word[:1] == b"x":
        return bytes((int(word[1:], 16),))
    return chr(int(word[1:], 16)).encode("utf-8", "surrogatepass")


def _as_listed(path: bytes, watched: Sequence[RootRow]) -> Located | None:
    """The place that a list of this program shows as `ROOT/relative`."""
    for root in watched:
        name = root.name.encode(errors="surrogateescape")
        if path.rstrip(b"/") == name or path.startswith(name + b"/"):
            inner = os.path.normpath(b"/" + path[len(name) :]).strip(b"/")
            return Located(root, inner)
    return None


def exists(located: Located, *, follow_links: bool = False) -> bool:
    """Whether something bears the name now; true where its disk does not answer.

    `follow_links`: also behind a link to a folder.
    """
    try:
        return _status(located, follow_links=follow_links) is not None
    except (FileNotFoundError, NotADirectoryError):
        return False
    except (OSError, errors.RootSilent):
        return True


def status_of(located: Located) -> os.stat_result | None:
    """What the disk says of the name itself; None where it says nothing."""
    try:
        return _status(located)
    except (OSError, errors.RootSilent):
        return None


def hints_for(places: Sequence[bytes], watched: Sequence[RootRow]) -> list[Hint]:
    """The hints for these paths; without paths, for every root."""
    if not places:
        return [Hint(root.id, recursive=True) for root in watched]
    hints: list[Hint] = []
    for place in places:
        located = locate(place, watched)
        hints.extend(_hints_at(located))
    return [hint for hint in dict.fromkeys(hints) if not _is_covered(hint, hints)]


def _hints_at(located: Located) -> list[Hint]:
    """A folder is scanned recursively, and so is the folder of an ignore file.

    A missing name may have been a file or a folder, and a symbolic link may lead to either.
    """
    root, path = located.root, located.path
    if paths.name_of(path) in RULES:
        path = paths.parent_of(path)
    folder = Hint(root.id, path, recursive=True)
    if not path:
        return [folder]
    one_name = Hint(root.id, paths.parent_of(path), (paths.name_of(path),))
    try:
        status = _status(Located(root, path))
    except (OSError, errors.RootSilent):
        return [one_name, folder]
    if status is None or stat.S_ISLNK(status.st_mode):
        return [one_name, folder]
    return [folder] if stat.S_ISDIR(status.st_mode) else [one_name]


def _is_covered(hint: Hint, hints: Sequence[Hint]) -> bool:
    """Whether another hint of the list covers this one."""
    return any(
        other != hint
        and other.root_id == hint.root_id
        and other.recursive
        and other.names is None
        and paths.is_below(hint.folder, other.folder)
        for other in hints
    )
