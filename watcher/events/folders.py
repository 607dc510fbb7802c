"""Watch descriptors <-> the folders they stand for, as a tree, so that a move costs its own size.

With flat tables a renamed album would cost a pass over every folder of the library. The tree stands
in arrays of numbers: a library of a million files has 100 000 folders, all of which a daemon knows
while it is at rest. Measured: 60 bytes for each, where an object with a dictionary takes 270.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterator
from typing import Final

from indexer import paths

_NONE: Final = -1
"""No folder, no descriptor, an empty slot."""
_GONE: Final = -2
"""In place of a parent: this number stands for no folder any more."""
_ROOT: Final = 0
_LEAST_SLOTS: Final = 64
_SLOTS_EACH: Final = 3
"""Slots for each folder when the tables are made; they are made anew before more than three in five
are full."""
_FEW: Final = 1000
"""So many numbers may stand for nothing, in any case."""


class Folders:
    """Which folder each descriptor watches; folders are relative to one root, `b""` is the root.

    A folder has one descriptor at the most, and a descriptor one folder. Not safe for threads.

    Each folder, and each step on the way to one (then without a descriptor), is a number, which
    counts up: the number of a parent is less than those of its children. The two hash tables hold
    such numbers, in the first free slot from that of the hash on (open addressing). Those of
    folders that left stay in them, and match nothing, until all is made anew.
    """

    def __init__(self) -> None:
        self._clear(_LEAST_SLOTS)

    def _clear(self, slots: int) -> None:
        """Begin with the root alone, and tables of so many slots (a power of two)."""
        self._parents = array("i", [_NONE])
        self._watches = array("i", [_NONE])
        self._firsts = array("i", [_NONE])  # the first child
        self._nexts = array("i", [_NONE])  # the next and the last child of the same parent
        self._lasts = array("i", [_NONE])
        self._starts = array("I", [0])  # where the name begins
        self._names = bytearray(b"\0")  # each ends with a zero byte, which no name has
        self._by_name = array("i", [_NONE]) * slots
        self._by_watch = array("i", [_NONE]) * slots
        self._watch_slots = 0  # how many of the latter are full
        self._watched = 0
        self._gone = 0

    def __len__(self) -> int:
        return self._watched

    def __iter__(self) -> Iterator[bytes]:
        return (self._path_of(one) for one, watch in enumerate(self._watches) if watch != _NONE)

    def folder_of(self, watch: int) -> bytes | None:
        """The folder of a descriptor; None for one that is not (or no longer) here."""
        one = self._with_watch(watch)
        return None if one == _NONE else self._path_of(one)

    def put(self, folder: bytes, watch: int) -> None:
        """Add a folder. Neither it nor the descriptor may be here already: `cut` it first."""
        names = folder.split(b"/") if folder else []
        self._make_room(len(names) + 1)
        one = _ROOT
        for name in names:
            child = self._child(one, name)
            one = self._add(one, name) if child == _NONE else child
        if self._watches[one] != _NONE or self._with_watch(watch) != _NONE:
            raise ValueError(f"{folder!r} or descriptor {watch} is here already")
        self._set_watch(one, watch)

    def forget(self, watch: int) -> None:
        """Take one descriptor out, if it is here, and leave what lies below its folder."""
        one = self._with_watch(watch)
        if one != _NONE:
            self._watches[one] = _NONE
            self._watched -= 1
            self._prune(one)

    def cut(self, folder: bytes) -> list[int]:
        """Remove a folder with all below it; returns their descriptors, if any."""
        top = _ROOT
        for name in folder.split(b"/") if folder else ():
            top = self._child(top, name)
            if top == _NONE:
                return []
        watches = []
        unlinked = [top]
        for one in unlinked:  # which grows meanwhile
            if self._watches[one] != _NONE:
                watches.append(self._watches[one])
                self._watches[one] = _NONE
            unlinked.extend(self._children(one))
        for one in unlinked[1:]:
            self._parents[one] = _GONE
        self._firsts[top] = _NONE
        self._gone += len(unlinked) - 1
        self._watched -= len(watches)
        self._prune(top)
        return watches

    def _child(self, parent: int, name: bytes) -> int:
        """The child of this name, or `_NONE`."""
        slots, parents, starts, names = self._by_name, self._parents, self._starts, self._names
        last = len(slots) - 1
        ended = name + b"\0"
        at = hash((parent, name)) & last
        while (one := slots[at]) != _NONE:
            if parents[one] == parent and names.startswith(ended, starts[one]):
                return one
            at = (at + 1) & last
        return _NONE

    def _children(self, parent: int) -> Iterator[int]:
        child = self._firsts[parent]
        while child != _NONE:
            yield child
            child = self._nexts[child]

    def _with_watch(self, watch: int) -> int:
        """The number of the folder with this descriptor, or `_NONE`."""
        if watch < 0:  # the kernel's own word for none, with an overflow
            return _NONE
        slots, watches = self._by_watch, self._watches
        last = len(slots) - 1
        at = _spread(watch) & last
        while (one := slots[at]) != _NONE:
            if watches[one] == watch:
                return one
            at = (at + 1) & last
        return _NONE

    def _add(self, parent: int, name: bytes) -> int:
        """A new child; there is none of this name."""
        one = len(self._parents)
        first = self._firsts[parent]
        if first != _NONE:
            self._lasts[first] = one
        self._firsts[parent] = one
        self._parents.append(parent)
        self._watches.append(_NONE)
        self._firsts.append(_NONE)
        self._nexts.append(first)
        self._lasts.append(_NONE)
        self._starts.append(len(self._names))
        self._names += name
        self._names.append(0)
        _fill(self._by_name, hash((parent, name)), one)
        return one

    def _set_watch(self, one: int, watch: int) -> None:
        self._watches[one] = watch
        _fill(self._by_watch, _spread(watch), one)
        self._watch_slots += 1
        self._watched += 1

    def _prune(self, one: int) -> None:
        """Remove what stands for nothing any more, and the steps that led to it."""
        while one != _ROOT and self._watches[one] == _NONE and self._firsts[one] == _NONE:
            parent, after, before = self._parents[one], self._nexts[one], self._lasts[one]
            if before == _NONE:
                self._firsts[parent] = after
            else:
                self._nexts[before] = after
            if after != _NONE:
                self._lasts[after] = before
            self._parents[one] = _GONE
            self._gone += 1
            one = parent
        if self._gone > max(_FEW, len(self._parents) // 2):
            self._make_anew(0)

    def _make_room(self, more: int) -> None:
        full = max(len(self._parents), self._watch_slots) + more
        if full * 5 > len(self._by_name) * 3:
            self._make_anew(more)

    def _make_anew(self, more: int) -> None:
        """Give the folders that are here new numbers, and tables with room for `more`."""
        parents, watches, starts, names = self._parents, self._watches, self._starts, self._names
        wanted = (len(parents) - self._gone + more) * _SLOTS_EACH
        self._clear(max(_LEAST_SLOTS, 1 << wanted.bit_length()))
        new = array("i", [_ROOT]) * len(parents)
        for one, parent in enumerate(parents):
            if one != _ROOT and parent != _GONE:
                name = bytes(names[starts[one] : names.index(0, starts[one])])
                new[one] = self._add(new[parent], name)
            if watches[one] != _NONE:
                self._set_watch(new[one], watches[one])

    def _path_of(self, one: int) -> bytes:
        path = self._name_of(one)
        while (one := self._parents[one]) > _ROOT:
            path = paths.join(self._name_of(one), path)
        return path

    def _name_of(self, one: int) -> bytes:
        start = self._starts[one]
        return bytes(self._names[start : self._names.index(0, start)])


def _spread(watch: int) -> int:
    """The hash of a descriptor.

    Not the number itself: the kernel counts up, so new ones would in time fall into the full slots
    of a long row of old ones, and a search pass over all of these. Measured with 20 000 folders:
    2.4 ms in place of 1 us.
    """
    return hash((watch,))


def _fill(slots: array[int], hashed: int, one: int) -> None:
    """Put a number into the first free slot from that of a hash on."""
    last = len(slots) - 1
    at = hashed & last
    while slots[at] != _NONE:
        at = (at + 1) & last
    slots[at] = one
