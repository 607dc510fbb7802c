"""Ids of tracks -> rows of the view `library` as dictionaries, with further tags."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from indexer import paths
from indexer.store import tag_sets, view_rows
from indexer.store.connection import Connection
from indexer.store.schema import LIBRARY_COLUMNS

_PAGE: Final = 500


def library_rows(connection: Connection, track_ids: Sequence[int]) -> Iterator[dict[str, object]]:
    """Rows of the view in this order, as `library_row`, each with its further tags as `tags`."""
    for start in range(0, len(track_ids), _PAGE):
        page = track_ids[start : start + _PAGE]
        tags = tag_sets.of_tracks(connection, page)
        for row in view_rows.rows(connection, page):
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
