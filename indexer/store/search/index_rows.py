"""The texts of a track -> its row of the full-text index; all rows again when folding changed.

The index keeps only words (`content=''`), so a row is removed by repeating what was inserted. The
versions of all that folds are kept beside it: with others, all rows are made again first.

It serves the program (apsw) and migrations (the standard library), so it imports neither.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable, Iterator, Sequence
from functools import lru_cache
from typing import Any, Final, Protocol

from indexer import paths
from indexer.remembered import forget_by
from indexer.store.search.folding import fold
from indexer.store.search.spellings import searchable

Texts = tuple[
    str | None, str | None, str | None, str | None, str | None,
    str | None, str | None, str | None, str | None,
]  # fmt: skip
"""The texts of one track in the order of `FIELDS`; the last is its folder."""

FIELDS: Final = (
    "title", "artist", "albumartist", "album", "genre", "composer", "comment", "label", "path",
)  # fmt: skip
"""The columns of the full-text index, in their order."""

RULES: Final = "6"
"""Version of this module, `folding` and `spellings`: raise it when any of their output changes."""

_OF_RULES: Final = f", rules {RULES}"

ADD: Final = """
INSERT INTO track_search(rowid,title,artist,albumartist,album,genre,composer,comment,label,path)
VALUES(?,?,?,?,?,?,?,?,?,?)"""
DROP: Final = """
INSERT INTO track_search (track_search, rowid,
    title, artist, albumartist, album, genre, composer, comment, label, path)
VALUES ('delete', ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
"""
_SET: Final = "INSERT INTO track_search (track_search, rank) VALUES (?, ?)"
_CRISIS: Final = "SELECT v FROM track_search_config WHERE k = 'crisismerge'"
_SELDOM: Final = 32
_STEADILY: Final = (("automerge", 4), ("crisismerge", 256))
"""The first is FTS5's own default. At so many segments of a size, a change waits until they are
one: with steps in between there never are."""
_DROP_ALL: Final = "INSERT INTO track_search (track_search) VALUES ('delete-all')"
TEXTS_IN_ROWS: Final = """
SELECT id, path, title, artist, albumartist, album, genre, composer, comment, label
FROM tracks WHERE place = 0 ORDER BY id
"""
_HAS_TAGS: Final = "SELECT 1 FROM sqlite_schema WHERE name = 'tag_words'"
_DROP_TAG_WORDS: Final = "DELETE FROM tag_words"
_TAGS: Final = "SELECT set_id, name, value FROM tag_values"
_ADD_TAG_WORDS: Final = "INSERT OR IGNORE INTO tag_words (name, words, set_id) VALUES (?, ?, ?)"
_FOLDED_BY: Final = "SELECT search_folding FROM identity"
_NOTE: Final = "UPDATE identity SET search_folding = ?"
_COMMENT: Final = 500
"""Maximum characters of a comment that are searched. A guess: some hold a whole review."""


class Writing(Protocol):
    """A connection of apsw or of the standard library."""

    def execute(self, statement: str, values: Sequence[Any] = ..., /) -> Any: ...  # noqa: ANN401
    def executemany(self, statement: str, rows: Iterable[Sequence[Any]], /) -> Any: ...  # noqa: ANN401


def texts_of(path: bytes, words: Sequence[object]) -> Texts:
    """The texts of a track from its path, and its title to its label as in `FIELDS`."""
    return (*words, shown_folder(paths.parent_of(path)))  # type: ignore[return-value]


def shown_folder(folder: bytes) -> str:
    """The folder of a track as the last of its texts."""
    return folder.decode("utf-8", "replace")


def row_of(track_id: int, texts: Texts) -> tuple[int | str | None, ...]:
    """The row of a track: its id, and its texts as they are searched.

    Of the folder, only words that artist and album have not: they are found anyway, and folders are
    mostly named after both.
    """
    title, artist, albumartist, album, genre, composer, comment, label, folder = texts
    return (
        track_id,
        None if title is None else searchable(title),
        None if artist is None else searchable(artist),
        None if albumartist is None else searchable(albumartist),
        None if album is None else searchable(album),
        None if genre is None else searchable(genre),
        None if composer is None else searchable(composer),
        None if comment is None else searchable(comment[:_COMMENT]),
        None if label is None else searchable(label),
        _rest(folder, artist, albumartist, album) if folder else None,
    )


@lru_cache(maxsize=64)
def _rest(folder: str, *named: str | None) -> str | None:
    known = {word for name in named if name for word in searchable(name).split()}
    words = dict.fromkeys(searchable(folder).split())
    return " ".join(word for word in words if word not in known) or None


forget_by(_rest.cache_clear)


def tag_words(value: str) -> str:
    """The value of a further tag as it is searched."""
    return searchable(value[:_COMMENT])


def texts_in_rows(connection: Writing) -> Iterator[tuple[int, Texts]]:
    """The id and the texts of each track in the view, from its row."""
    for track_id, path, *words in connection.execute(TEXTS_IN_ROWS):
        yield track_id, texts_of(path, words)


def add(connection: Writing, track_id: int, texts: Texts) -> None:
    """Add a track that entered the view."""
    connection.execute(ADD, row_of(track_id, texts))


def drop(connection: Writing, track_id: int, texts: Texts) -> None:
    """Remove a track; `texts` must be exactly those it was added with."""
    connection.execute(DROP, row_of(track_id, texts))


def add_all(connection: Writing, tracks: Iterable[tuple[int, Texts]]) -> None:
    """Add tracks that entered the view, in the order of their ids."""
    connection.executemany(ADD, _rows_of(tracks))


def _rows_of(tracks: Iterable[tuple[int, Texts]]) -> Iterator[tuple[int | str | None, ...]]:
    """`row_of` each: the tracks of an album share all but the title, and that is folded once."""
    shared: tuple[str | None, ...] | None = None
    folded: tuple[int | str | None, ...] = ()
    for track_id, texts in tracks:
        title, others = texts[0], texts[1:]
        if others != shared:
            shared, folded = others, row_of(track_id, texts)[2:]
        yield track_id, None if title is None else searchable(title), *folded


def keep_current(connection: Writing) -> None:
    """Make all rows again if other versions made them. First in a write transaction, if at all."""
    if not is_current(connection):
        refill(connection)


def is_current(connection: Writing) -> bool:
    """Whether this version made all rows. Others may have other words, which are no damage."""
    stored = connection.execute(_FOLDED_BY).fetchone()
    return stored is None or bool(stored[0] == versions())


def has_these_rules(connection: Writing) -> bool:
    """Whether the rules of this version made all rows; told without a library."""
    stored = connection.execute(_FOLDED_BY).fetchone()
    return stored is None or str(stored[0]).endswith(_OF_RULES)


def merge_seldom(connection: Writing) -> None:
    """Let a new full text keep up to 32 segments of a size, not 4, before they become one.

    Each transaction of a seed adds one. Measured with a seed of 100 000 files: 204 MB written in
    place of 222 by 16 and 218 by 4; a word is looked up in 30 us in place of 22 by 4. The scan that
    seeds ends with `merge_steadily`: until then, the change that adds the last of 32 segments would
    wait until all of them are one.
    """
    for limit in ("automerge", "crisismerge"):
        connection.execute(_SET, (limit, _SELDOM))


def merges_seldom(connection: Writing) -> bool:
    """Whether the full text is one of a seed that has not ended."""
    return bool(connection.execute(_CRISIS).fetchone() == (_SELDOM,))


def merge_steadily(connection: Writing) -> None:
    """Let every 64th change or so merge a little, and none of them all that there is.

    So the segments of a seed become one in small steps of the changes that follow.
    """
    for limit, segments in _STEADILY:
        connection.execute(_SET, (limit, segments))


def refill(connection: Writing) -> None:
    """Make all rows again, in a write transaction."""
    merge_seldom(connection)  # the table may be new
    connection.execute(_DROP_ALL)
    add_all(connection, texts_in_rows(connection))
    merge_steadily(connection)  # no end of a scan may follow
    refill_tags(connection)
    note_versions(connection)


def refill_tags(connection: Writing) -> None:
    """Make the words of all further tags again, in a write transaction."""
    if connection.execute(_HAS_TAGS).fetchone() is None:
        return  # the index is being migrated, and has none yet
    connection.execute(_DROP_TAG_WORDS)
    rows = connection.execute(_TAGS).fetchall()
    connection.executemany(
        _ADD_TAG_WORDS, [(name, tag_words(value), set_id) for set_id, name, value in rows]
    )


def note_versions(connection: Writing) -> None:
    """Keep which versions made the rows."""
    connection.execute(_NOTE, (versions(),))


def versions() -> str:
    """The versions of all that decides which words a text has."""
    import anyascii  # late: a process that only reads needs none of it

    return f"unicode {unicodedata.unidata_version}, anyascii {anyascii.__version__}{_OF_RULES}"


@lru_cache(maxsize=64)
def in_folder(folder: bytes, phrase: str) -> bool:
    """Whether these folded words stand side by side in the name of a folder and those above it."""
    text = folder.decode("utf-8", "replace")
    sought = f" {phrase} "
    return sought in f" {fold(text)} " or sought in f" {searchable(text)} "


forget_by(in_folder.cache_clear)
