"""The folders of a disk that tells no changes, and their times -> which have changed since.

A folder has another time when a name came into it or left it. Where that is not so (a file system
that keeps no such times, a file whose tags were written in place) only a look at every file finds
what has changed. So times never replace that look: they tell where to look first.
"""

from __future__ import annotations

import os
import stat
import zlib
from array import array
from bisect import bisect_right
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from heapq import merge
from itertools import chain
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.disk.tree import Folders, Tree
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint
from indexer.walk import Listed, folder_time_ns, folders_in, walk

_PART: Final = 512
"""Folders whose paths are compressed together. A guess: half as much memory as with 64."""
_MOST: Final = 1000
"""Maximum folders of one pass; the next pass has the rest. A guess: a look at them takes some
seconds on a share."""
_MOST_YOUNG: Final = 100
"""The same of folders that are only to be looked at once more. More of them were new at the first
look; a look at all files, which takes less time for them, settles the rest. A guess."""
_AT_ONCE: Final = 64
"""Changed folders that are listed in one request."""
_LONG_AGO_NS: Final = 3600 * 1_000_000_000
"""A time before that is taken for an old one where it is met for the first time: more than the
clocks of two machines differ. A guess."""

_UNKNOWN: Final = 0
"""The time of a folder that cannot be looked at now, or has none: nothing follows from it."""


class _Part(Struct):
    """Some folders that follow each other in a walk."""

    first: bytes
    """The order key of the first."""
    packed: bytes
    """Their paths, which hold no zero bytes."""
    times: array[int]
    young: bytearray
    """For each 1 if it is young."""

    @property
    def folders(self) -> list[bytes]:
        return zlib.decompress(self.packed).split(b"\0")


class FolderTimes:
    """Each folder of a place, and its time when it was last seen; some 20 bytes for each.

    A time is *young* while one more change may carry it: within a tick of the clock of the server,
    or of the disk (2 s on FAT). How late it is there is not known here, and clocks differ. So a
    time is young until it was met twice, some seconds apart.
    """

    def __init__(
        self, before: FolderTimes | None = None, *, settles: bool = False, now_ns: int = 0
    ) -> None:
        """For a look at all of the place; `before` is what was known until now.

        `settles`: that was some seconds ago at least. Where nothing was known, a time of long
        before `now_ns` (Unix) is not young.
        """
        self._before = _Lookup(before) if before else None  # nothing is known of an absent disk
        self._settles = settles
        self._old_ns = now_ns - _LONG_AGO_NS
        self._parts: list[_Part] = []
        self._tail: list[bytes] = []
        self._times = array("q")
        self._young = bytearray()

    def __len__(self) -> int:
        return sum(len(part.times) for part in self._parts) + len(self._tail)

    def add(self, folder: bytes, changed_ns: int) -> None:
        """Take in a folder that is listed now; they come in the order of a walk."""
        if self._before is None:
            is_young = changed_ns >= self._old_ns
        else:
            known = self._before.of(folder)
            is_young = known is None or known[0] != changed_ns or (known[1] and not self._settles)
        self._put(folder, changed_ns, is_young)

    def end(self) -> None:
        """All of the place was listed."""
        self._pack()
        self._before = None

    @property
    def parts(self) -> Sequence[_Part]:
        """All of it, in the order of a walk; times may be noted there."""
        return self._parts

    def merged(self, gone: Sequence[bytes], new: Mapping[bytes, int]) -> FolderTimes:
        """The same without some folders, and all below them, and with others, all young."""
        found = FolderTimes()
        came = [(_key(folder), folder, new[folder], True) for folder in new]
        for _, folder, changed_ns, is_young in merge(self._all_but(gone), sorted(came)):
            found._put(folder, changed_ns, is_young)
        found.end()
        return found

    def _all_but(self, gone: Sequence[bytes]) -> Iterator[tuple[bytes, bytes, int, bool]]:
        out = sorted(gone, key=_key, reverse=True)
        for part in self._parts:
            for folder, changed_ns, is_young in zip(
                part.folders, part.times, part.young, strict=True
            ):
                while len(out) > 1 and _key(out[-2]) <= _key(folder):
                    out.pop()
                if not (out and paths.is_below(folder, out[-1])):
                    yield _key(folder), folder, changed_ns, bool(is_young)

    def _put(self, folder: bytes, changed_ns: int, is_young: bool) -> None:  # noqa: FBT001 - of a folder
        self._tail.append(folder)
        self._times.append(changed_ns)
        self._young.append(is_young)
        if len(self._tail) == _PART:
            self._pack()

    def _pack(self) -> None:
        if self._tail:
            packed = zlib.compress(b"\0".join(self._tail), 1)
            self._parts.append(_Part(_key(self._tail[0]), packed, self._times, self._young))
            self._tail, self._times, self._young = [], array("q"), bytearray()


class _Lookup:
    """Single folders of a place; quick if they are asked for in the order of a walk."""

    def __init__(self, times: FolderTimes) -> None:
        self._parts = times.parts
        self._opened: tuple[int, dict[bytes, int]] = -1, {}

    def of(self, folder: bytes) -> tuple[int, bool] | None:
        """The time of a folder, and whether it is young; None of one that is not known."""
        number = bisect_right(self._parts, _key(folder), key=_first) - 1
        if number < 0:
            return None
        part = self._parts[number]
        if self._opened[0] != number:
            self._opened = number, {path: index for index, path in enumerate(part.folders)}
        index = self._opened[1].get(folder)
        return None if index is None else (part.times[index], bool(part.young[index]))


class Pass(Struct):
    """What a look at the times of all folders of a place has found."""

    times: FolderTimes
    """To be kept in the place of those that were given."""
    changed: list[bytes] = []
    """Into which a name came, or from which one went."""
    young: list[bytes] = []
    """With the time that was met before, and another change may have that as well."""
    came: list[bytes] = []
    """Folders that were not known, without those below them."""
    went: list[bytes] = []
    """Folders that are not there any more, without those below them."""

    @property
    def count(self) -> int:
        return len(self.changed) + len(self.came) + len(self.went)

    def hints(self, root_id: int) -> list[Hint]:
        """Where to look now."""
        whole = [Hint(root_id, folder, recursive=True) for folder in (*self.came, *self.went)]
        return [*(Hint(root_id, folder) for folder in (*self.changed, *self.young)), *whole]


def look_at_times(
    tree: Tree,
    times: FolderTimes,
    path_filter: PathFilter,
    *,
    settles: bool,
    goes_on: Callable[[], bool],
    most: int = _MOST,
) -> Pass:
    """Ask for the time of each known folder, and list those that have another one.

    `settles`: times that were young some seconds ago, and are the same now, are not young any more.
    `goes_on` is asked now and then; False ends it early. What is not looked at, or is beyond `most`
    folders, is found by the next pass, or by the look at every file that follows.
    """
    found = Pass(times)
    for part in times.parts:
        if not goes_on() or found.count >= most:
            break
        _compare(found, part, tree.ask(_times_of, part.folders), settles=settles, most=most)
    new = _new_below(tree, found, path_filter, goes_on)
    if found.went or new:
        found.times = times.merged(found.went, new)
    return found


def _new_below(
    tree: Tree, found: Pass, path_filter: PathFilter, goes_on: Callable[[], bool]
) -> dict[bytes, int]:
    """Add the folders that came into changed ones; all that are new, with their times."""
    known = _Lookup(found.times)
    new: dict[bytes, int] = {}
    listed = [*found.changed, *found.young]
    for start in range(0, len(listed), _AT_ONCE):
        some = listed[start : start + _AT_ONCE]
        for folder in chain.from_iterable(folders_in(tree, some, path_filter)):
            if known.of(folder) is None:
                found.came.append(folder)
                for one in walk(tree, folder, path_filter.without_files()):
                    if not goes_on():
                        return new
                    if isinstance(one, Listed):
                        new[one.path] = one.changed_ns
    return new


def _compare(
    found: Pass, part: _Part, seen: Iterable[int | None], *, settles: bool, most: int
) -> None:
    for index, (folder, changed_ns) in enumerate(zip(part.folders, seen, strict=True)):
        if found.count >= most:
            return
        if changed_ns is None:
            if not (found.went and paths.is_below(folder, found.went[-1])):
                found.went.append(folder)
        elif changed_ns == _UNKNOWN:
            continue
        elif changed_ns != part.times[index]:
            found.changed.append(folder)
            part.times[index], part.young[index] = changed_ns, True
        elif part.young[index] and len(found.young) < _MOST_YOUNG:
            found.young.append(folder)
            part.young[index] = not settles


def _times_of(tree: Tree, folders: Sequence[bytes]) -> list[int | None]:
    """The time of each folder; None where none is there, and 0 where that is unknown."""
    with tree.folders() as opened:
        return [_time_of(tree, opened, folder) for folder in folders]


def _time_of(tree: Tree, opened: Folders, folder: bytes) -> int | None:
    if tree.is_offline(folder):
        return _UNKNOWN
    try:
        status = opened.lstat(folder) if folder else os.fstat(tree.fd)
    except OSError:
        return _UNKNOWN
    if status is None or not stat.S_ISDIR(status.st_mode):
        return None
    return folder_time_ns(status)


def _key(folder: bytes) -> bytes:
    return paths.order_key(folder, is_folder=True) if folder else b""


def _first(part: _Part) -> bytes:
    return part.first
