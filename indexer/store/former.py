"""Tracks as they were -> the JSON of `changes.before`, back, and an index of them in memory.

An object of columns by name: any of `tracks.COLUMNS`, so a new column is kept as well. `several`
and `tags` are objects themselves. Of `tags`, only the names that differ are kept, and null is one
that was not there.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

import msgspec
from msgspec import Struct

from indexer import paths
from indexer.store.search import index_rows
from indexer.store.statements import Connection
from indexer.store.tag_sets import TagSets
from indexer.store.tracks import COLUMNS, COLUMNS_OF_TABLE, NOTHING_READ, Columns, in_table

Former = dict[str, Any]

ADDED_AT: Final = "added_at"
"""When a purged track came into the view first, in Unix milliseconds."""
_TAGS: Final = "tags"
_JSON: Final = ("several", _TAGS)
_AT: Final = {name: position for position, name in enumerate(COLUMNS)}
_SEARCHED: Final = tuple(_AT[name] for name in index_rows.FIELDS[:-1])
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


def difference(old: Columns, new: Columns) -> str | None:
    """What of `old` is not in `new`; None without a difference."""
    if old == new:
        return None
    former: Former = {}
    for name, value, now in zip(COLUMNS, old, new, strict=True):
        if value != now:
            former[name] = _unequal_tags(value, now) if name == _TAGS else _value(name, value)
    return msgspec.json.encode(former).decode()


def whole(columns: Columns, added_at: int | None) -> str:
    """All that a row has, for the time when it is deleted."""
    former: Former = {
        name: _value(name, value)
        for name, value in zip(COLUMNS, columns, strict=True)
        if value is not None
    }
    return msgspec.json.encode({**former, ADDED_AT: added_at}).decode()


def decoded(before: str | None) -> Former:
    """The columns of one change; empty without any."""
    return {} if before is None else msgspec.json.decode(before, type=Former)


def is_readable(before: str) -> bool:
    """Whether a text is one of those that `difference` and `whole` give."""
    try:
        former = shown(before) or {}
    except (TypeError, ValueError, AttributeError, OverflowError):
        return False
    nested = {name for name, value in former.items() if isinstance(value, (dict, list))}
    return nested.issubset(_JSON) and not any(isinstance(former[name], list) for name in nested)


def shown(before: str | None) -> Former | None:
    """The columns of one change as other programs get them; None without any."""
    if before is None:
        return None
    former = decoded(before)
    if "guessed" in former:
        former["guessed"] = int(bool(former["guessed"]))
    if ADDED_AT in former:
        from indexer.results.report import iso  # late: a daemon needs none of the reports

        former[ADDED_AT] = iso(former[ADDED_AT])
    return former


def go_back(former: Former, earlier: Former) -> None:
    """Put the columns of an earlier change over those of later ones, in place."""
    tags = {**(former.get(_TAGS) or {}), **(earlier.get(_TAGS) or {})}
    former.update(earlier)
    if tags:
        former[_TAGS] = tags


def columns_then(now: Columns | None, former: Former) -> Columns:
    """The columns of a row as they were, from those that it has now (None: it is purged)."""
    row = dict(zip(COLUMNS, NOTHING_READ if now is None else now, strict=True))
    for name, value in former.items():
        if name == _TAGS:
            kept = {**(_parsed(row[_TAGS]) or {}), **value}
            row[_TAGS] = _stored({tag: kept[tag] for tag in sorted(kept) if kept[tag] is not None})
        elif name in row:
            row[name] = _stored(value) if name in _JSON else value
    return tuple(row.values())


def _unequal_tags(old: object, new: object) -> dict[str, object]:
    before, after = _parsed(old) or {}, _parsed(new) or {}
    names = sorted(before.keys() | after.keys())
    return {name: before.get(name) for name in names if before.get(name) != after.get(name)}


def _value(name: str, value: object) -> object:
    return _parsed(value) if name in _JSON else value


def _parsed(text: object) -> Any:  # noqa: ANN401 - an object of JSON
    return msgspec.json.decode(text) if isinstance(text, str) else None


def _stored(value: object) -> str | None:
    return msgspec.json.encode(value).decode() if value else None


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
    from indexer.store.creation import open_in_memory  # late: few questions are about the past

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
                row.added_at, *in_table(row.columns)[:-1], tag_set,
            ),
        )  # fmt: skip
        if searched:
            texts = index_rows.texts_of(row.path, [row.columns[at] for at in _SEARCHED])
            index_rows.add_all(connection, [(row.id, texts)])
    return connection
