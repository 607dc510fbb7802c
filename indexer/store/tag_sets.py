"""Further tags of tracks -> rows: one set for all tracks that have the same, as those of an album.

Tags are JSON here, {name: [values]} in the order of the names. `track_tags` shows them by track;
`tag_words` has them by name, in the words that a search asks for.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final
from zlib import crc32

import msgspec

from indexer.store.names import remember
from indexer.store.search.index_rows import keep_current, tag_words
from indexer.store.statements import Connection, select, select_value

Values = dict[str, list[str]]

_FIND: Final = "SELECT id FROM tag_sets WHERE checksum = ?"
_ADD: Final = "INSERT INTO tag_sets (checksum) VALUES (?)"
_ALL: Final = "SELECT id, checksum FROM tag_sets ORDER BY id"
_ALL_VALUES: Final = """
SELECT set_id, name, position, value FROM tag_values ORDER BY set_id, name, position
"""
_ALL_WORDS: Final = "SELECT name, words, set_id FROM tag_words"
_ADD_VALUE: Final = "INSERT INTO tag_values (set_id, name, position, value) VALUES (?, ?, ?, ?)"
_ADD_WORDS: Final = "INSERT OR IGNORE INTO tag_words (name, words, set_id) VALUES (?, ?, ?)"
_VALUES: Final = "SELECT name, value FROM tag_values WHERE set_id = ? ORDER BY name, position"
_UNUSED: Final = "SELECT NOT EXISTS (SELECT 1 FROM tracks WHERE tag_set = ?)"
_END_WORDS: Final = "DELETE FROM tag_words WHERE name = ? AND words = ? AND set_id = ?"
_END_VALUES: Final = "DELETE FROM tag_values WHERE set_id = ?"
_HAS_NAME: Final = "SELECT EXISTS (SELECT 1 FROM tag_words WHERE name = ?)"
_END_SET: Final = "DELETE FROM tag_sets WHERE id = ?"
_ALL_UNUSED: Final = """
SELECT id FROM tag_sets
WHERE NOT EXISTS (SELECT 1 FROM tracks WHERE tracks.tag_set = tag_sets.id)
"""
_DELETE_MISSING: Final = """
UPDATE tracks SET tag_set = NULL, reader_version = 0
WHERE tag_set IS NOT NULL AND tag_set NOT IN (SELECT id FROM tag_sets)
"""
_DROP_UNUSED: Final = (
    f"DELETE FROM tag_values WHERE set_id IN ({_ALL_UNUSED})",  # noqa: S608 - our own text
    "DELETE FROM tag_values WHERE set_id NOT IN (SELECT id FROM tag_sets)",
    f"DELETE FROM tag_sets WHERE id IN ({_ALL_UNUSED})",  # noqa: S608 - our own text
)
_SETS_OF: Final = """
SELECT tracks.id, tag_set FROM json_each(?) AS asked CROSS JOIN tracks ON tracks.id = asked.value
WHERE tag_set IS NOT NULL
"""
_SET_OF: Final = "SELECT tag_set FROM tracks WHERE id = ?"


class TagSets:
    """The sets of one connection, with a cache of their ids.

    Use it inside write transactions: call `forget` at the beginning of each, since others delete
    sets, too, and `end_unused` before each commit.
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._ids: dict[str, int] = {}
        self._left: set[int] = set()

    def find(self, tags: str | None) -> int | None:
        """The id of the set with these tags, created if missing; None without tags."""
        if tags is None:
            return None
        known = self._ids.get(tags)
        if known is None:
            known = self._find_or_add(tags)
            remember(self._ids, tags, known)
        return known

    def _find_or_add(self, tags: str) -> int:
        checksum = checksum_of(tags)
        values = msgspec.json.decode(tags, type=Values)
        for (set_id,) in list(select(self._connection, _FIND, (checksum,))):
            if values_of(self._connection, set_id) == values:
                return int(set_id)
        self._connection.execute(_ADD, (checksum,))
        set_id = self._connection.last_insert_rowid()
        self._fill(set_id, values)
        return set_id

    def release(self, tags: str | None) -> None:
        """A track has these tags no longer; a set without a track is deleted at the end."""
        set_id = self.find(tags)
        if set_id is not None:
            self._left.add(set_id)

    def end_unused(self) -> None:
        """Delete the sets that lost their last track in this transaction."""
        for set_id in sorted(self._left):
            if select_value(self._connection, _UNUSED, (set_id,)):
                _end(self._connection, set_id)
                self._ids.clear()
        self._left.clear()

    def forget(self) -> None:
        """Clear the cache, and the list of sets that may be unused."""
        self._ids.clear()
        self._left.clear()

    def forget_ids(self) -> None:
        """Clear the cached ids after a part of the transaction was rolled back."""
        self._ids.clear()

    def _fill(self, set_id: int, values: Values) -> None:
        rows = [
            (set_id, name, position, value)
            for name, several in values.items()
            for position, value in enumerate(several)
        ]
        self._connection.executemany(_ADD_VALUE, rows)
        self._connection.executemany(
            _ADD_WORDS, [(name, tag_words(value), set_id) for _, name, _, value in rows]
        )


def without_tracks(connection: Connection, names: Sequence[str]) -> tuple[str, ...]:
    """Those of these further tags that no track in the index has."""
    return tuple(name for name in names if not select_value(connection, _HAS_NAME, (name,)))


def end_all_unused(connection: Connection) -> None:
    """Delete every set without a track, in a write transaction."""
    unused = list(select(connection, _ALL_UNUSED))
    if unused:
        keep_current(connection)
    for (set_id,) in unused:
        _end(connection, set_id)


def _end(connection: Connection, set_id: int) -> None:
    """Delete a set; its words are those of this version (`index_rows.keep_current`)."""
    for name, several in values_of(connection, set_id).items():
        words = [(name, tag_words(value), set_id) for value in several]
        connection.executemany(_END_WORDS, words)
    connection.execute(_END_VALUES, (set_id,))
    connection.execute(_END_SET, (set_id,))


def checksum_of(tags: str) -> int:
    """What tells a set from nearly all others (not `hashlib`, which loads 3 MB of OpenSSL)."""
    return crc32(tags.encode())


def encoded(values: Values) -> str | None:
    """Tags as JSON; None without any."""
    return msgspec.json.encode(values).decode() if values else None


def values_of(connection: Connection, set_id: int | None) -> Values:
    """The tags of a set by name, several values in their order."""
    values: Values = {}
    if set_id is not None:
        for name, value in select(connection, _VALUES, (set_id,)):
            values.setdefault(name, []).append(value)
    return values


def of_track(connection: Connection, track_id: int) -> Values:
    """The further tags of a track."""
    return values_of(connection, select_value(connection, _SET_OF, (track_id,)))


def of_tracks(connection: Connection, track_ids: Sequence[int]) -> dict[int, Values]:
    """The further tags of these tracks by their ids, without those that have none."""
    asked = msgspec.json.encode(list(track_ids)).decode()
    sets: dict[int, int] = dict(list(select(connection, _SETS_OF, (asked,))))
    values = {set_id: values_of(connection, set_id) for set_id in set(sets.values())}
    return {track_id: values[set_id] for track_id, set_id in sets.items()}


def drop_broken(connection: Connection) -> int:
    """Take sets that are broken or missing from their tracks, whose files are to be read again.

    The number of these tracks. Sets without a track are deleted; the words are made again later.
    """
    for set_id in _wrong_sets(connection):
        connection.execute(_END_VALUES, (set_id,))
        connection.execute(_END_SET, (set_id,))
    connection.execute(_DELETE_MISSING)
    lost = int(connection.changes())
    for statement in _DROP_UNUSED:
        connection.execute(statement)
    return lost


def count_wrong_sets(connection: Connection) -> int:
    """How many sets have other values than when they were written, or values in no order."""
    return len(_wrong_sets(connection))


def _wrong_sets(connection: Connection) -> set[int]:
    by_set: dict[int, Values] = {}
    wrong: set[int] = set()
    for set_id, name, position, value in select(connection, _ALL_VALUES):
        several = by_set.setdefault(set_id, {}).setdefault(name, [])
        if position != len(several):
            wrong.add(set_id)
        several.append(value)
    for set_id, checksum in select(connection, _ALL):
        tags = encoded(by_set.pop(set_id, {}))
        if tags is None or checksum_of(tags) != checksum:
            wrong.add(set_id)
    return wrong | by_set.keys()


def count_wrong_words(connection: Connection) -> int:
    """How many words of further tags are missing, or are not those of their values."""
    expected = {
        (name, tag_words(value), set_id)
        for set_id, name, _, value in select(connection, _ALL_VALUES)
    }
    return len(expected.symmetric_difference(select(connection, _ALL_WORDS)))
