"""A MusicBrainz id in text -> its form in the table `tracks`, and SQL that shows the text again.

A UUID as MusicBrainz writes it (RFC 9562, lower case: 36 characters) is stored as its 16 bytes, and
every other text, such as several ids in one tag, as it is. So each text has one form, and each form
one text. Measured with 20 000 files that MusicBrainz Picard has tagged: a tenth of the index.

The ids of recordings (`mb_trackid`) stay text. They differ from file to file, and other programs
look for them, so each would be converted by itself, and converted back for an index of its text:
measured with the same files, that takes 1.6 % more processor time of a first scan, for 4 %.
"""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING, Final

from indexer.remembered import forget_by

if TYPE_CHECKING:  # its library is not loaded where apsw's serves
    import sqlite3

COLUMNS: Final = ("mb_albumid", "mb_artistid", "mb_albumartistid", "mb_releasegroupid")
"""The columns of `tracks` that hold such ids, in its order."""
BYTES: Final = 16
"""Length of a stored UUID."""

_GROUPS: Final = (4, 2, 2, 2, 6)
"""Bytes between hyphens."""
_CHARACTERS: Final = 2 * BYTES + len(_GROUPS) - 1
_GLOB: Final = "-".join("[0-9a-f]" * (2 * count) for count in _GROUPS)
_ALBUMS: Final = 64
"""How many albums' ids are kept: files of an album, which share them, are stored one after the
other."""

_SHORT_TEXT: Final = "{0} = CASE typeof({0}) WHEN 'text' THEN id_stored({0}) ELSE {0} END"
_SHORTEN: Final = f"""
UPDATE tracks SET {", ".join(map(_SHORT_TEXT.format, COLUMNS))}
WHERE {" OR ".join(f"{column} IS NOT NULL" for column in COLUMNS)}
"""  # noqa: S608 - our own names


def stored(text: str) -> bytes | str:
    """The stored form of one id, which compares equal to that of the same text only."""
    if len(text) != _CHARACTERS:
        return text
    try:
        value = bytes.fromhex(text.replace("-", ""))
    except ValueError:
        return text
    return value if _text_of(value) == text else text


def _text_of(value: bytes) -> str:
    digits = value.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


@lru_cache(maxsize=_ALBUMS)
def stored_ids(ids: tuple[object, ...]) -> tuple[object, ...]:
    """The stored forms of the ids of one track: texts, or None, in the order of `COLUMNS`."""
    return tuple([stored(one) if isinstance(one, str) else None for one in ids])


forget_by(stored_ids.cache_clear)


def shown(column: str) -> str:
    """An expression of SQL: the text of a stored id.

    The outer CAST gives it the affinity of a TEXT column, with which SQLite compares it.
    """
    groups, first = [], 1
    for count in _GROUPS:
        groups.append(f"hex(substr({column}, {first}, {count}))")
        first += count
    text = " || '-' || ".join(groups)
    return f"CAST(CASE typeof({column}) WHEN 'blob' THEN lower({text}) ELSE {column} END AS TEXT)"


def wrong(column: str) -> str:
    """A condition of SQL: a value, not NULL, that `stored` gives for no text."""
    size = f"length(CAST({column} AS BLOB))"  # that of a text ends at its first NUL
    return (
        f"CASE typeof({column}) WHEN 'blob' THEN {size} <> {BYTES}"
        f" WHEN 'text' THEN {size} = {_CHARACTERS} AND {column} GLOB '{_GLOB}' ELSE TRUE END"
    )


def shorten(connection: sqlite3.Connection) -> None:
    """Give all ids of an older index their stored form, in the caller's transaction.

    A step of `migrate`, so it uses the standard library's SQLite.
    """
    connection.create_function("id_stored", 1, stored, deterministic=True)
    connection.execute(_SHORTEN)
