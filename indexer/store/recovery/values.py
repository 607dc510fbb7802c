"""The declarations of tables -> which values their rows may hold, whatever SQLite would take.

SQLite stores a value of any class in nearly any column, so a flipped byte can make a number of a
text. What writes rows keeps to the declarations; what reads them relies on it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Final

from msgspec import Struct

from indexer.sidecars import SidecarKind, known_kind_of
from indexer.store.schema import musicbrainz_ids
from indexer.store.statements import Connection, select

_COLUMNS: Final = 'SELECT name, type, "notnull", pk FROM pragma_table_info(?)'
_TYPES: Final[Mapping[str, tuple[type, ...]]] = {
    "INTEGER": (int,), "TEXT": (str,), "BLOB": (bytes,), "REAL": (float, int),
}  # fmt: skip
_WRONG: Final = {
    "INTEGER": "<> 'integer'", "TEXT": "<> 'text'", "BLOB": "<> 'blob'",
    "REAL": "NOT IN ('real', 'integer')",
}  # fmt: skip
"""What SQLite's function typeof says of all others."""
_SIDECARS: Final = {
    "pictures": SidecarKind.PICTURE, "playlist_files": SidecarKind.PLAYLIST,
    "lyrics_files": SidecarKind.LYRICS,
}  # fmt: skip
TIMES: Final = frozenset({
    "at", "since", "added_at", "indexed_at", "missing_at", "removed_at", "started_at", "ended_at",
    "good_at", "checked_at", "received_at", "disabled_at",
})  # fmt: skip
"""Columns of Unix milliseconds."""
_FIRST_MS: Final = -62_135_596_800_000
_LAST_MS: Final = 253_402_300_799_999
"""The years 1 to 9999, which can be shown."""


class Column(Struct, frozen=True):
    """A declared column."""

    name: str
    declared: str
    may_be_null: bool

    def takes(self, value: object) -> bool:
        """Whether this program can have written this value."""
        if value is None:
            return self.may_be_null
        if self.name in musicbrainz_ids.COLUMNS and isinstance(value, bytes):
            return len(value) == musicbrainz_ids.BYTES
        kinds = _TYPES.get(self.declared)
        if self.name in TIMES and isinstance(value, int):
            return _FIRST_MS <= value <= _LAST_MS
        return kinds is None or isinstance(value, kinds)

    @property
    def wrong(self) -> str | None:
        """An expression of SQL that is true for a value that it does not take; None: it takes all.

        But for NULL, of which SQLite's own check tells.
        """
        wrong = _WRONG.get(self.declared)
        if wrong is None:
            return None
        is_wrong = f"typeof({self.name}) {wrong}"
        if self.name in musicbrainz_ids.COLUMNS:
            is_wrong = musicbrainz_ids.wrong(self.name)
        if self.name in TIMES:
            is_wrong += f" OR {self.name} NOT BETWEEN {_FIRST_MS} AND {_LAST_MS}"
        return f"{self.name} NOTNULL AND ({is_wrong})"


def columns_of(connection: Connection, table: str) -> list[Column]:
    """The columns of a table, in its order; empty if there is no such table."""
    rows = select(connection, _COLUMNS, (table,))
    return [Column(name, kind, not (not_null or pk)) for name, kind, not_null, pk in rows]


def count_of_wrong(connection: Connection, table: str) -> str | None:
    """A statement that counts the rows of a table with values that their columns do not take."""
    wrong = [column.wrong for column in columns_of(connection, table)]
    conditions = " OR ".join(one for one in wrong if one is not None)
    if not conditions:
        return None
    return f"SELECT count(*) FROM {table} WHERE {conditions}"  # noqa: S608 - our own names


def strange_sidecars(connection: Connection) -> Iterator[tuple[str, tuple[int, bytes, bytes]]]:
    """Table, and (root id, folder, name), of files beside the music with names of other files."""
    for table, kind in _SIDECARS.items():
        statement = f"SELECT root_id, folder, name FROM {table}"  # noqa: S608 - our own names
        for root_id, folder, name in list(select(connection, statement)):
            is_folder = not folder or (folder.endswith(b"/") and not folder.startswith(b"/"))
            if not is_folder or b"/" in name or known_kind_of(name) is not kind:
                yield table, (root_id, folder, name)
