"""Ids of tracks -> their rows of the view `library`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

import msgspec

from indexer import paths
from indexer.store import tag_sets
from indexer.store.changes import as_bytes
from indexer.store.schema import LIBRARY_COLUMNS
from indexer.store.statements import Connection, Row, select

_PAGE: Final = 500
_ROWS: Final = """
SELECT library.* FROM json_each(?) AS asked CROSS JOIN library ON library.id = asked.value
ORDER BY asked.key
"""
_PLACES: Final = """
SELECT library.id, library.root, library.path
FROM json_each(?) AS asked CROSS JOIN library ON library.id = asked.value
"""


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
    named = dict(zip(LIBRARY_COLUMNS, row, strict=True))
    for column in ("path", "file"):
        path = named[column]
        if isinstance(path, bytes):
            named[column], named[f"{column}_b64"] = paths.text_of(path)
    return named
