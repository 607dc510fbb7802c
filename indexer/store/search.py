"""The full-text index: the words of the tracks in the view, and questions -> tracks, best first."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from indexer.store.connection import Connection, select

Words = tuple[str | None, str | None, str | None, str | None, str | None]
"""title, artist, albumartist, album, genre of one track."""

_ADD: Final = """
INSERT INTO track_search (rowid, title, artist, albumartist, album, genre)
VALUES (?, ?, ?, ?, ?, ?)
"""
_DROP: Final = """
INSERT INTO track_search (track_search, rowid, title, artist, albumartist, album, genre)
VALUES ('delete', ?, ?, ?, ?, ?, ?)
"""
_FIND: Final = """
SELECT library.* FROM track_search JOIN library ON library.id = track_search.rowid
WHERE track_search MATCH ? ORDER BY bm25(track_search, 10, 8, 4, 6, 2), library.id LIMIT ?
"""


def add(connection: Connection, track_id: int, words: Words) -> None:
    """Make a track that entered the view findable."""
    connection.execute(_ADD, (track_id, *words))


def drop(connection: Connection, track_id: int, words: Words) -> None:
    """Take a track out; `words` must be exactly those it was added with."""
    connection.execute(_DROP, (track_id, *words))


def question(words: Sequence[str]) -> str:
    """What a person typed as an FTS5 expression: all words, the last one as a prefix.

    Every word is quoted, so nothing that is typed can be syntax. Source: sqlite.org/fts5.html 3.1.
    """
    typed = [word for text in words for word in text.replace("\x00", " ").split()]
    quoted = ['"' + word.replace('"', '""') + '"' for word in typed]
    return " AND ".join(quoted) + " *" if quoted else '""'


def find(connection: Connection, words: Sequence[str], limit: int) -> Iterator[tuple[object, ...]]:
    """Rows of the view `library`, best first."""
    yield from select(connection, _FIND, (question(words), limit))
