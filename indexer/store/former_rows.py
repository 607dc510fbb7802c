"""Tracks as they were -> rows of an index in memory, which is read and searched like any other."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.store import search_rows
from indexer.store.connection import Connection, open_in_memory
from indexer.store.tag_sets import TagSets
from indexer.store.tracks import COLUMNS, COLUMNS_OF_TABLE, Columns

_AT: Final = {name: position for position, name in enumerate(COLUMNS)}
_SEARCHED: Final = tuple(_AT[name] for name in search_rows.FIELDS[:-1])
_NOT_KEPT: Final = ("disk_id", "size", "mtime_ns", "ctime_ns", "inode", "scan_id", "reader_version")
_ADD_ROOT: Final = """
INSERT INTO roots (id, name, path, path_is_text, added_at) VALUES (?, ?, ?, 0, 0)
"""
_WRITTEN: Final = (
    "id", "root_id", "path", "gone", "place", "path_is_text", "added_at", *COLUMNS_OF_TABLE,
    *_NOT_KEPT,
)  # fmt: skip
_ADD: Final = (
    f"INSERT INTO tracks ({', '.join(_WRITTEN)}) "  # noqa: S608 - our own names
    f"VALUES ({', '.join('?' * (len(_WRITTEN) - len(_NOT_KEPT)))}{', 0' * len(_NOT_KEPT)})"
)


class FormerRow(Struct, frozen=True):
    """A track as it was in the view; `added_at` in Unix milliseconds."""

    id: int
    root: str
    path: bytes
    added_at: int | None
    columns: Columns


def in_memory(
    rows: Iterable[FormerRow], root_ids: Mapping[str, int], *, searched: bool
) -> Connection:
    """An index with these rows in its view, under their own ids.

    A root has its id of `root_ids`, by its name, and otherwise a higher one. `searched`: with full
    text. What is not kept (`_NOT_KEPT`, albums, artwork) is 0 or nothing.
    """
    connection = open_in_memory()
    tag_sets = TagSets(connection)
    ids: dict[str, int] = {}
    for row in rows:
        if row.root not in ids:
            highest = max((*root_ids.values(), *ids.values()), default=0)
            ids[row.root] = root_ids.get(row.root, highest + 1)
            connection.execute(_ADD_ROOT, (ids[row.root], row.root, row.root.encode()))
        tag_set = tag_sets.find(row.columns[-1])  # type: ignore[arg-type]  # JSON
        connection.execute(
            _ADD,
            (
                row.id, ids[row.root], row.path, row.id, 0, paths.fits_utf8(row.path),
                row.added_at, *row.columns[:-1], tag_set,
            ),
        )  # fmt: skip
        if searched:
            texts = search_rows.texts_of(row.path, [row.columns[at] for at in _SEARCHED])
            search_rows.add_all(connection, [(row.id, texts)])
    return connection
