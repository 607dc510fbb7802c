"""The columns of a track as they were -> the JSON of `changes.before`, and back.

An object of columns by name: any of `tracks.COLUMNS`, so a new column is kept as well. `several`
and `tags` are objects themselves. Of `tags`, only the names that differ are kept, and null is one
that was not there.
"""

from __future__ import annotations

from typing import Any, Final

import msgspec

from indexer.report import iso
from indexer.store.tracks import COLUMNS, NOTHING_READ, Columns

Former = dict[str, Any]

ADDED_AT: Final = "added_at"
"""When a purged track came into the view first, in Unix milliseconds."""
_TAGS: Final = "tags"
_JSON: Final = ("several", _TAGS)


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


def shown(before: str | None) -> Former | None:
    """The columns of one change as other programs get them; None without any."""
    if before is None:
        return None
    former = decoded(before)
    if "guessed" in former:
        former["guessed"] = int(bool(former["guessed"]))
    if ADDED_AT in former:
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
