"""A line of a playlist -> the places in roots that it may mean, the likeliest first.

Nothing is asked of the disk: which of the places holds a track is for the index to say.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.sidecars import folded

_SCHEME: Final = re.compile(rb"([A-Za-z][A-Za-z0-9+.-]+):(?://|(?=/))")
"""Of two letters at least: one is the drive of a path of Windows."""
_LOCAL: Final = re.compile(rb"file:(?://(?:localhost(?=/))?)?", re.IGNORECASE)
_ESCAPED: Final = re.compile(rb"%([0-9A-Fa-f]{2})")
_DRIVE: Final = re.compile(rb"/?[A-Za-z]:[\\/]")
_LEAST: Final = 2
"""Components that the end of a path of another machine must have in common with one here: a name
alone is found too often."""
_MOST_PARTS: Final = 32
"""Components of such a path that are tried. A guess; few folders are nested so deep."""


class Target(Struct, frozen=True):
    """A place that a line may mean: a root, and a path in it."""

    root_id: int
    path: bytes


Group = tuple[Target, ...]
"""Places of one rank: where more than one holds a track, it is not known which one is meant."""


class Meaning(Struct, frozen=True):
    """What a line means. A stream has no places, nor has a file outside all roots."""

    is_stream: bool = False
    groups: tuple[Group, ...] = ()
    """The likeliest places first."""
    parents: frozenset[bytes] = frozenset()
    """The folded names of the folders that hold these places (`parent_key`), two at the most."""


def meaning_of(
    line: bytes, root_id: int, folder: bytes, root_paths: Mapping[int, bytes]
) -> Meaning:
    """What a line of a playlist in this folder of a root means.

    `root_paths` are the absolute paths of all watched roots. Relative paths start at the folder,
    and may lead into another root. Backslashes are tried as slashes, since Windows writes them, and
    `%20` as a space, since VLC writes paths as in an address. Of an absolute path outside all roots
    the beginning is that of another machine, or of a link or a container: its end counts.
    """
    scheme = _SCHEME.match(line)
    if scheme is not None:
        local = _LOCAL.match(line)
        if local is None:
            return Meaning(is_stream=True)
        line = _ESCAPED.sub(_byte, line[local.end() :])
        line = line if line.startswith(b"/") else b"//" + line  # the share of a server
    if not line or b"\0" in line:
        return Meaning()
    groups: list[Group]
    if drive := _DRIVE.match(line):
        groups = _by_end(line[drive.end() :], root_paths)
    else:
        above = paths.join(root_paths[root_id].rstrip(b"/"), folder)
        spellings = _spellings(line, is_decoded=scheme is not None)
        found = (_in_root(posixpath.join(above, one), root_paths) for one in spellings)
        groups = [(one,) for one in found if one is not None]
        if not groups and line.startswith((b"/", b"\\")):
            groups = _by_end(line, root_paths)
    parents = {parent_key(one.path, root_paths[one.root_id]) for group in groups for one in group}
    return Meaning(groups=tuple(groups), parents=frozenset(parents))


def _spellings(line: bytes, *, is_decoded: bool) -> Iterable[bytes]:
    """A path as it is written, and as it may be meant."""
    slashed = line.replace(b"\\", b"/")
    decoded = line if is_decoded else _ESCAPED.sub(_byte, line)
    other = slashed if b"\\" in line or b"\0" in decoded else decoded
    return dict.fromkeys((slashed if line.startswith(b"\\") else line, other))


def _byte(escaped: re.Match[bytes]) -> bytes:
    return bytes.fromhex(escaped[1].decode())


def parent_key(path: bytes, root_path: bytes) -> bytes:
    """The folded name of the folder that holds a path of a root; of the root its own last name."""
    return folder_key(paths.parent_of(path), root_path)


def folder_key(folder: bytes, root_path: bytes) -> bytes:
    """The folded name of a folder of a root."""
    return folded(paths.name_of(folder) if folder else paths.name_of(root_path))


def _in_root(path: bytes, root_paths: Mapping[int, bytes]) -> Target | None:
    """An absolute path as a place in the root that holds it; None: it is outside of all."""
    plain = posixpath.normpath(path)
    plain = b"/" + plain.lstrip(b"/")
    for root_id, root_path in root_paths.items():
        below = root_path.rstrip(b"/") + b"/"
        if plain.startswith(below) and len(plain) > len(below):
            return Target(root_id, plain[len(below) :])
    return None


def _by_end(line: bytes, root_paths: Mapping[int, bytes]) -> list[Group]:
    """Where the end of a path of another machine may be: the more of it is there, the better.

    A name alone counts only after a folder that is named as a root is.
    """
    parts = [one for one in line.replace(b"\\", b"/").split(b"/") if one not in {b"", b"."}]
    if b".." in parts or len(parts) > _MOST_PARTS:
        return []
    groups: list[Group] = []
    for start in range(len(parts)):
        end = b"/".join(parts[start:])
        is_long = len(parts) - start >= _LEAST
        before = folded(parts[start - 1]) if start else None
        group = tuple(
            Target(root_id, end)
            for root_id, root_path in root_paths.items()
            if is_long or before == folder_key(b"", root_path)
        )
        if group:
            groups.append(group)
    return groups
