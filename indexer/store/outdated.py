"""Rows that an older reader has read -> the files to be read again, a few at a time."""

from __future__ import annotations

from typing import Final

from msgspec import Struct

from indexer.paths import suffix_of
from indexer.store.statements import Connection, select, select_value
from indexer.tags import READER_VERSION
from indexer.tags.families import least_version

_IS_CURRENT: Final = "SELECT reader_version >= ? FROM roots WHERE id = ?"
_NOTE_CURRENT: Final = "UPDATE roots SET reader_version = ? WHERE id = ?"
_NEXT: Final = """
SELECT id, root_id, path, place, reader_version, essence IS NULL
FROM tracks WHERE id > ? ORDER BY id LIMIT ?
"""
_AT_ONCE: Final = 1000
"""Rows that are looked at in one query. A guess: 10 ms on a slow card."""


class Outdated(Struct, frozen=True):
    """A part of a root's rows, in the order of their ids."""

    names: tuple[bytes, ...]
    """Files whose rows are outdated, relative to the root."""
    after: int
    """Where the next part begins."""
    is_last: bool


def is_current(connection: Connection, root_id: int) -> bool:
    """Whether no row of a root is known to be outdated."""
    return bool(select_value(connection, _IS_CURRENT, (READER_VERSION, root_id)))


def note_current(connection: Connection, root_id: int) -> None:
    """Record that all rows of a root were looked at with this reader."""
    connection.execute(_NOTE_CURRENT, (READER_VERSION, root_id))


def outdated_after(connection: Connection, root_id: int, after: int, most: int) -> Outdated:
    """The first outdated rows of a root behind an id, at most so many, of the next 1000 rows."""
    names: list[bytes] = []
    rows = 0
    for track_id, root, path, place, version, lacks_essence in list(
        select(connection, _NEXT, (after, _AT_ONCE))
    ):
        rows += 1
        after = track_id
        if root != root_id or place != 0 or not version:
            continue
        if lacks_essence or version < least_version(suffix_of(path)):
            names.append(path)
            if len(names) == most:
                return Outdated(tuple(names), after, is_last=False)
    return Outdated(tuple(names), after, is_last=rows < _AT_ONCE)
