"""A damaged index -> all of its rows that can still be read.

A table is read from both ends up to the first unreadable page, and the range between is bisected
until nothing more is found. Only tables are read, not their indexes, except for the paths of tracks
and roots, which are in both.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator, Sequence
from contextlib import suppress
from typing import Any, Final

from msgspec import Struct

from indexer.store.recovery.values import Column, columns_of
from indexer.store.schema.views import SHOWN_PATH
from indexer.store.statements import UNREADABLE, Connection, Row, select, select_value

_MOST_PROBES: Final = 200_000
"""Maximum probes of unreadable ranges of one table: some 4 s. A guess."""
_FAR: Final = 10_000
"""The highest id that is probed if the last one is unknown. A guess."""
_SKIPPED: Final = 100_000
"""Ids that are skipped if the last one is unknown, so that none is reused. A guess."""
_FARTHEST: Final = 2**48
"""A higher last id is treated as damage."""
_PLACES: Final = f"""
SELECT id, root_id, CAST({SHOWN_PATH} AS BLOB), gone
FROM tracks INDEXED BY tracks_place ORDER BY root_id, {SHOWN_PATH}, gone
"""  # noqa: S608 - our own names
"""Answered by the index alone."""
_ROOT_PATHS: Final = "SELECT id, path FROM roots ORDER BY path"
_ROOT_NAMES: Final = """
SELECT id, name FROM roots INDEXED BY roots_name WHERE removed_at IS NULL ORDER BY name
"""


class Saved(Struct, frozen=True, gc=False):
    """One row; `is_doubtful` if a value was invalid for its column, and was mended."""

    values: Row
    is_doubtful: bool = False


class Salvage:
    """Reads one damaged index. `gaps` counts the unreadable ranges by table."""

    def __init__(self, connection: Connection) -> None:
        self.gaps: dict[str, int] = {}
        self._connection = connection
        self._probes = 0
        self._sequences = self._read_sequences()

    def shared(self, table: str, columns: Sequence[Column]) -> list[Column]:
        """The columns that the damaged index has; an older one lacks some."""
        try:
            there = {column.name for column in columns_of(self._connection, table)}
        except UNREADABLE:
            return list(columns)
        return [column for column in columns if column.name in there] or list(columns)

    def rows(self, table: str, columns: Sequence[Column], key: str) -> Iterator[Saved]:
        """The readable rows of a table with an integer key, the first of `columns`."""
        self._probes = 0
        reading = _Reading(self._connection, table, columns, key)
        with suppress(*UNREADABLE):
            if not columns_of(self._connection, table):
                self._count_gap(table)
                return
        yield from self._between(reading, -1, self._highest(reading))

    def rows_by(
        self, table: str, columns: Sequence[Column], order: Sequence[str]
    ) -> Iterator[Saved]:
        """The rows readable from both ends of a table without an integer key."""
        listed = ", ".join(column.name for column in columns)
        for way in ("", " DESC"):
            by = ", ".join(name + way for name in order)
            try:
                for row in select(
                    self._connection,
                    f"SELECT {listed} FROM {table} ORDER BY {by}",  # noqa: S608 - our own names
                ):
                    yield _mended(row, columns)
            except UNREADABLE:
                self._count_gap(table)
            else:
                return

    def last_id(self, table: str, highest: int) -> int:
        """The last id that a table has used, at least `highest`, the highest that was read."""
        told = self._sequences.get(table)
        if told is not None and highest <= told:
            return told
        return highest + _SKIPPED

    def places(self) -> Iterator[tuple[Any, ...]]:
        """(track id, root id, path, gone) from the index of places."""
        yield from self._indexed(_PLACES)

    def root_paths(self) -> Iterator[tuple[Any, ...]]:
        """(root id, path) from the index of paths."""
        yield from self._indexed(_ROOT_PATHS)

    def root_names(self) -> Iterator[tuple[int, str]]:
        """(root id, name) of watched roots, from the index of names."""
        yield from self._indexed(_ROOT_NAMES)

    def linked_id(self, question: str, values: Sequence[object]) -> int | None:
        """An id from a link; None if it cannot be read."""
        try:
            found = select_value(self._connection, question, values)
        except UNREADABLE:
            return None
        return found if isinstance(found, int) else None

    def _indexed(self, question: str) -> Iterator[tuple[Any, ...]]:
        """Read from both ends, since the middle may be damaged; may return rows twice."""
        for statement in (question, _turned(question)):
            try:
                yield from select(self._connection, statement)
            except UNREADABLE:
                continue
            return

    def _read_sequences(self) -> dict[str, int]:
        try:
            told = list(select(self._connection, "SELECT name, seq FROM sqlite_sequence"))
        except UNREADABLE:
            return {}
        return {
            name: last
            for name, last in told
            if isinstance(name, str) and isinstance(last, int) and 0 <= last < _FARTHEST
        }

    def _highest(self, reading: _Reading) -> int:
        """An upper bound of the ids."""
        told = self._sequences.get(reading.table)
        try:
            last = reading.last() or 0
        except UNREADABLE:
            return _FAR if told is None else told
        return max(last if last < _FARTHEST else 0, told or 0)

    def _count_gap(self, table: str) -> None:
        self.gaps[table] = self.gaps.get(table, 0) + 1

    def _between(self, reading: _Reading, low: int, high: int) -> Iterator[Saved]:
        """The rows with `low < key <= high`, in any order."""
        waiting = [(low, high)]
        while waiting and self._probes < _MOST_PROBES:
            low, high = waiting.pop()
            self._probes += 1
            low = yield from reading.upwards(low, high)
            if low >= high:
                continue
            self._count_gap(reading.table)
            high = yield from reading.downwards(low, high)
            if high - low > 1:  # neither the row at low + 1 nor that at high is readable
                middle = (low + high) // 2
                waiting += [(low, middle), (middle, high)]


class _Reading:
    """One table with an integer key."""

    def __init__(
        self, connection: Connection, table: str, columns: Sequence[Column], key: str
    ) -> None:
        self.table = table
        self._connection = connection
        self._columns = columns
        listed = ", ".join(column.name for column in columns)
        as_bytes = ", ".join(
            f"CASE typeof({column.name}) WHEN 'text' THEN CAST({column.name} AS BLOB)"
            f" ELSE {column.name} END"
            for column in columns
        )
        span = f"FROM {table} NOT INDEXED WHERE {key} > ? AND {key} <= ? ORDER BY {key}"
        self._up = f"SELECT {key}, {listed} {span}"
        self._down = f"{self._up} DESC"
        self._one_as_bytes = f"SELECT {key}, {as_bytes} {span} LIMIT 1"
        self._last = f"SELECT {key} FROM {table} NOT INDEXED ORDER BY {key} DESC LIMIT 1"  # noqa: S608 - our own names

    def last(self) -> int | None:
        """The highest key."""
        found = select_value(self._connection, self._last)
        return found if isinstance(found, int) else None

    def upwards(self, low: int, high: int) -> Generator[Saved, None, int]:
        """Rows up to the first unreadable one; returns the key up to which all were read."""
        while True:
            try:
                for key, *values in select(self._connection, self._up, (low, high)):
                    if not low < key <= high:
                        return low
                    low = key
                    yield _mended(tuple(values), self._columns)
            except UnicodeDecodeError:
                try:
                    key, *values = next(select(self._connection, self._one_as_bytes, (low, high)))
                except (*UNREADABLE, StopIteration):
                    return low
                if not low < key <= high:
                    return low
                low = key
                yield _mended(tuple(values), self._columns)
            except UNREADABLE:
                return low
            else:
                return high

    def downwards(self, low: int, high: int) -> Generator[Saved, None, int]:
        """Rows down to the first unreadable one; returns the key above which all were read."""
        try:
            for key, *values in select(self._connection, self._down, (low, high)):
                if not low < key <= high:
                    break
                high = key - 1
                yield _mended(tuple(values), self._columns)
            else:
                return low
        except UNREADABLE:
            pass
        return high


def _mended(row: Row, columns: Sequence[Column]) -> Saved:
    """The row with valid values; those that cannot be converted are NULL."""
    if all(column.takes(value) for column, value in zip(columns, row, strict=True)):
        return Saved(row)
    mended = []
    for column, value in zip(columns, row, strict=True):
        if column.takes(value):
            mended.append(value)
        elif column.declared == "TEXT" and isinstance(value, bytes):
            mended.append(value.decode("utf-8", "replace"))
        elif column.declared == "BLOB" and isinstance(value, str):
            mended.append(value.encode())
        else:
            mended.append(None)
    return Saved(tuple(mended), is_doubtful=True)


def _turned(question: str) -> str:
    head, _, order = question.rpartition(" ORDER BY ")
    return f"{head} ORDER BY {', '.join(name + ' DESC' for name in order.split(', '))}"
