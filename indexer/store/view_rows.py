"""Ids of tracks, albums and artists -> their rows of the views."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import msgspec

from indexer import paths
from indexer.store import tag_sets
from indexer.store.changes import as_bytes
from indexer.store.schema import LIBRARY_COLUMNS
from indexer.store.statements import Connection, Row, select, select_one

_PAGE: Final = 500
_ROWS: Final = """
SELECT library.* FROM json_each(?) AS asked CROSS JOIN library ON library.id = asked.value
ORDER BY asked.key
"""
_PLACES: Final = """
SELECT library.id, library.root, library.path
FROM json_each(?) AS asked CROSS JOIN library ON library.id = asked.value
"""

_COLUMNS: Final = "SELECT name FROM pragma_table_info(?)"
_BY_ID: Final[Mapping[str, str]] = {
    "albums": "SELECT * FROM albums WHERE id = ?",
    "artists": "SELECT * FROM artists WHERE id = ?",
}


def places(connection: Connection, track_ids: Sequence[int]) -> Iterator[tuple[int, str, bytes]]:
    """(id, root, path) of tracks of the view, in any order."""
    asked = msgspec.json.encode(list(track_ids)).decode()
    for track_id, root, path in select(connection, _PLACES, (asked,)):
        yield track_id, root, as_bytes(path)


def rows(connection: Connection, track_ids: Sequence[int]) -> Iterator[Row]:
    """Rows of the view `library`, in this order, read page by page.

    So a slow reader holds no snapshot, which would make the WAL grow. Tracks that have left the
    view in the meantime are left out.
    """
    for start in range(0, len(track_ids), _PAGE):
        page = msgspec.json.encode(list(track_ids[start : start + _PAGE])).decode()
        yield from list(select(connection, _ROWS, (page,)))


def library_rows(connection: Connection, track_ids: Sequence[int]) -> Iterator[dict[str, object]]:
    """Rows of the view in this order, as `library_row`, each with its further tags as `tags`."""
    for start in range(0, len(track_ids), _PAGE):
        page = track_ids[start : start + _PAGE]
        tags = tag_sets.of_tracks(connection, page)
        for row in rows(connection, page):
            named = library_row(row)
            if named["id"] in tags:
                named["tags"] = tags[named["id"]]
            yield named


def library_row(row: tuple[object, ...]) -> dict[str, object]:
    """A row of the view as a dictionary that can be encoded as JSON."""
    return _named(LIBRARY_COLUMNS, row)


def columns_of(connection: Connection, view: str) -> tuple[str, ...]:
    """The columns of the view `albums` or `artists`."""
    return tuple(name for (name,) in select(connection, _COLUMNS, (view,)))


def row_of(connection: Connection, view: str, row_id: int) -> dict[str, object] | None:
    """A row of the view `albums` or `artists`, as `library_row`; None if there is none."""
    row = select_one(connection, _BY_ID[view], (row_id,))
    return None if row is None else _named(columns_of(connection, view), row)


def _named(columns: Sequence[str], row: Row) -> dict[str, object]:
    named = dict(zip(columns, row, strict=True))
    for column, value in tuple(named.items()):
        if isinstance(value, bytes):
            named[column], named[f"{column}_b64"] = paths.text_of(value)
    return named
