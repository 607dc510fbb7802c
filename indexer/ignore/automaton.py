"""Globs -> one automaton that matches a path against all of them at once, byte by byte.

The time does not depend on the globs: a path is read once. (A backtracking expression, as in
Python's `re`, takes unbounded time for ten stars.)
"""

from __future__ import annotations

import sys
from collections.abc import Iterator, Sequence
from typing import Any, Final

from msgspec import Struct

from indexer.ignore.wildmatch import ALL_BYTES, SLASH, Star, Token

_MOST_STATE_BYTES: Final = 1 << 18
"""Maximum bytes of cached states: 100 states. A guess; ten globs have twenty."""


class Glob(Struct, frozen=True):
    """One pattern of an automaton."""

    tokens: Sequence[Token]
    rank: int
    """The result if it matches; later globs have higher ranks."""
    is_path: bool
    """Whether it is matched against the whole path; else against the last name."""
    folders_only: bool


class _Properties(Struct, frozen=True):
    """The properties of a state."""

    places: int
    """A bit for each position in each glob that the path can have reached."""
    file_rank: int
    folder_rank: int


_State = list[Any]
"""For each byte the next state, None until it is computed; and at `_PROPERTIES` a `_Properties`.

A plain list: a step is one index operation, 20 ns.
"""
_PROPERTIES: Final = 256


class Automaton:
    """Matches paths against all of its globs at once.

    A state is a set of positions in the globs, stored as the bits of a number: the next byte
    advances all of them together (Baeza-Yates and Gonnet, "A new approach to text searching",
    1992). States and their transitions are cached up to a bound. Not thread-safe.
    """

    def __init__(self, globs: Sequence[Glob]) -> None:
        """`globs` are in the order of their ranks."""
        table = _Table(sum(len(glob.tokens) + 1 for glob in globs))
        self._ranks = {0: -1}
        for glob in globs:
            self._ranks[table.add(glob) + 1] = glob.rank
        self._moves = table.moves()
        self._stay_in_name = _number(table.stay_in_name)
        self._stay_anywhere = _number(table.stay_anywhere)
        self._skip = _number(table.skip)
        self._file_ends = _number(table.file_ends)
        self._all_ends = _number(table.file_ends) | _number(table.folder_ends)
        self._path_begins = self._skipping(_number(table.path_begins))
        self._name_begins = _number(table.name_begins)
        self._state_bytes = 8 * 300 + len(table.file_ends)
        self._most_states = max(16, _MOST_STATE_BYTES // self._state_bytes)
        self._states: dict[int, _State] = {}
        self._folder: bytes | None = None
        """The folder for which `_begin` is valid; None: no folder."""
        self._begin = self._state_of(self._name_begins)

    @property
    def most_bytes(self) -> int:
        """Estimated maximum memory in bytes, with a full cache."""
        moves = {id(move): sys.getsizeof(move) for move in self._moves}
        return sum(moves.values()) + self._most_states * self._state_bytes

    def last(self, folder: bytes, name: bytes, *, is_folder: bool) -> int:
        """The rank of the last glob that matches a path; -1 if none does.

        The path is given in two parts: up to its last slash, and after it.
        """
        if self._path_begins and folder != self._folder:
            self._enter(folder)
        properties: _Properties = self._walk(self._begin, name)[_PROPERTIES]
        return properties.folder_rank if is_folder else properties.file_rank

    def _enter(self, folder: bytes) -> None:
        """Go to the state at the start of a folder's names; most queries are for one folder."""
        properties: _Properties = self._walk(self._state_of(self._path_begins), folder)[_PROPERTIES]
        self._begin = self._state_of(properties.places | self._name_begins)
        self._folder = folder

    def _walk(self, state: _State, text: bytes) -> _State:
        """The state after some bytes."""
        for byte in text:
            following = state[byte]
            if following is None:
                following = state[byte] = self._step(state, byte)
            state = following
        return state

    def _step(self, state: _State, byte: int) -> _State:
        places = state[_PROPERTIES].places
        stay = self._stay_anywhere if byte == SLASH else self._stay_in_name
        return self._state_of(places & stay | self._skipping((places & self._moves[byte]) << 1))

    def _skipping(self, entered: int) -> int:
        """Add the positions after each `**/` just reached, since it may match nothing."""
        return entered | (entered & self._skip) << 1

    def _state_of(self, places: int) -> _State:
        state = self._states.get(places)
        if state is None:
            if len(self._states) >= self._most_states:
                self._forget()
            file, folder = (
                self._ranks[(places & ends).bit_length()]
                for ends in (self._file_ends, self._all_ends)
            )
            state = self._states[places] = [None] * _PROPERTIES
            state.append(_Properties(places, file, folder))
        return state

    def _forget(self) -> None:
        """Drop all cached states, and the reference cycles between them."""
        for state in self._states.values():
            state[:_PROPERTIES] = [None] * _PROPERTIES
        self._states = {}
        self._folder = None
        self._begin = self._state_of(self._name_begins)


class _Table:
    """Bit sets over all positions of all globs."""

    def __init__(self, places: int) -> None:
        self._bytes = places // 8 + 1
        self._next = 0
        self.stay_in_name = self._none()
        self.stay_anywhere = self._none()
        self.skip = self._none()
        self.file_ends = self._none()
        self.folder_ends = self._none()
        self.path_begins = self._none()
        self.name_begins = self._none()
        self._movers: dict[bytes, list[int]] = {}
        """Bytes -> the positions that any of them advances."""

    def _none(self) -> bytearray:
        return bytearray(self._bytes)

    def add(self, glob: Glob) -> int:
        """Add a glob's positions: one before each byte and one after the last, which it returns."""
        at = self._next
        _set(self.path_begins if glob.is_path else self.name_begins, at)
        for token in glob.tokens:
            if isinstance(token, bytes):
                self._movers.setdefault(token, []).append(at)
                at += 1
                continue
            _set(self.stay_in_name, at)
            if token is not Star.IN_NAME:
                _set(self.stay_anywhere, at)
            if token is Star.FOLDERS:
                _set(self.skip, at)
                self._movers.setdefault(b"/", []).append(at)
                at += 1
        _set(self.folder_ends if glob.folders_only else self.file_ends, at)
        self._next = at + 1
        return at

    def moves(self) -> list[int]:
        """For each byte, the positions that it advances."""
        most = 0  # positions that more than half of all bytes advance
        others = [0] * 256  # for each byte, its differences from `most`
        for places, members in self._alike():
            few = members
            if len(members) > 128:
                few = ALL_BYTES.translate(None, members)
                most |= places
            for byte in few:
                others[byte] |= places
        return [most ^ other for other in others]

    def _alike(self) -> Iterator[tuple[int, bytes]]:
        """Sets of positions that are advanced by the same bytes, with those bytes."""
        for members, places in self._movers.items():
            bits = self._none()
            for at in places:
                _set(bits, at)
            yield _number(bits), members


def _set(bits: bytearray, at: int) -> None:
    bits[at >> 3] |= 1 << (at & 7)


def _number(bits: bytearray) -> int:
    return int.from_bytes(bits, "little")
