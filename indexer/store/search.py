"""The full-text index of the tracks in the view: a question -> track ids, best first.

The index stores folded words, but no text (`content=''`). Measured with 100 000 tracks: 7 MB and 55
MB written; with the folded texts in a table beside it, 15 MB and 75 MB.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from indexer.store.connection import Connection, select, select_value
from indexer.store.folding import fold
from indexer.store.query import Question, Words

Texts = tuple[str | None, str | None, str | None, str | None, str | None]
"""title, artist, albumartist, album, genre of one track."""

_ADD: Final = """INSERT INTO track_search(rowid,title,artist,albumartist,album,genre)
VALUES(?,?,?,?,?,?)"""
_DROP: Final = """
INSERT INTO track_search (track_search, rowid, title, artist, albumartist, album, genre)
VALUES ('delete', ?, ?, ?, ?, ?, ?)
"""
_CHECK_BUCKETS: Final = 262_139
"""A prime below 2^18: the squares of 134 million positions of a word still fit in 64 bits."""
_VOCABULARY: Final = """
CREATE VIRTUAL TABLE temp.track_search_words USING fts5vocab (main, track_search, instance)
"""
_FORGET_VOCABULARY: Final = "DROP TABLE IF EXISTS temp.track_search_words"
_PLACES_INDEXED: Final = """
SELECT term, sum(place * place) FROM (
    SELECT term, (doc * 8191 + offset * 64 + CASE col WHEN 'title' THEN 0 WHEN 'artist' THEN 1
        WHEN 'albumartist' THEN 2 WHEN 'album' THEN 3 ELSE 4 END) % ?1 AS place
    FROM temp.track_search_words WHERE doc NOT IN (SELECT value FROM json_each(?2))
) GROUP BY term ORDER BY term
"""
_TOLD: Final = "SELECT id, title, artist, albumartist, album, genre FROM tracks WHERE place = 0"
_TOLD_WITH_LENGTHS: Final = """
SELECT tracks.id, sz, title, artist, albumartist, album, genre
FROM tracks LEFT JOIN track_search_docsize AS lengths ON lengths.id = tracks.id WHERE place = 0
"""
_TOTALS: Final = "SELECT block FROM track_search_data WHERE id = 1"
"""Number of tracks, and of words in each column: row 1 of FTS5's data."""
_ONE_BYTE: Final = 0x80
_MATCHING: Final = "SELECT rowid FROM track_search WHERE track_search MATCH ?"
_AND_ITS_TRACK: Final = "AND EXISTS (SELECT 1 FROM tracks WHERE tracks.id = track_search.rowid"
_BEST_FIRST: Final = "ORDER BY bm25(track_search, 10, 8, 4, 6, 2), rowid"
_WITH_WORDS: Final = """
tracks.id IN (SELECT rowid FROM track_search WHERE track_search MATCH ?)
"""
_WITHOUT_WORDS: Final = """
tracks.id NOT IN (SELECT rowid FROM track_search WHERE track_search MATCH ?)
"""
_IN_YEARS: Final = "coalesce(tracks.year BETWEEN ? AND ?, 0) = ?"
_IN_CODEC: Final = "coalesce(tracks.codec = ? COLLATE NOCASE, 0) = ?"

_WEIGHED: Final = 2000
"""Maximum matches that are ranked. Measured: 2 us to rank one, 0.1 us to find it."""
_ARTISTS: Final = ("artist", "albumartist")
_NO_LIMIT: Final = -1


class Condition(NamedTuple):
    """A condition on a row of `tracks`: SQL and its parameters."""

    sql: str
    values: tuple[object, ...]


def add(connection: Connection, track_id: int, texts: Texts) -> None:
    """Add a track that entered the view."""
    connection.execute(_ADD, (track_id, *_folded(texts)))


def add_all(connection: Connection, tracks: Iterable[tuple[int, Texts]]) -> None:
    """Add tracks that entered the view, in the order of their ids."""
    rows = (
        (
            track_id,
            None if title is None else fold(title),
            None if artist is None else fold(artist),
            None if albumartist is None else fold(albumartist),
            None if album is None else fold(album),
            None if genre is None else fold(genre),
        )
        for track_id, (title, artist, albumartist, album, genre) in tracks
    )
    connection.executemany(_ADD, rows)


def drop(connection: Connection, track_id: int, texts: Texts) -> None:
    """Remove a track; `texts` must be exactly those it was added with."""
    connection.execute(_DROP, (track_id, *_folded(texts)))


def _folded(texts: Texts) -> list[str | None]:
    return [None if text is None else fold(text) for text in texts]


def conditions(question: Question) -> list[Condition]:
    asked = _facts(question)
    if question.wanted:
        asked.append(Condition(_WITH_WORDS, (_expression(question, question.wanted),)))
    elif question.unwanted:
        asked.append(Condition(_WITHOUT_WORDS, (_any_of(question.unwanted),)))
    return asked


def best(connection: Connection, question: Question, limit: int | None) -> list[int]:
    """The ids of the tracks for a question with wanted words, the most relevant first.

    Up to 2 000 are ranked: shorter texts and rarer words rank higher, and a title counts most, then
    an artist. Ranking more would take too long. The order is: artists that begin with the words,
    then titles that do; then artists, titles and albums with all words, then the others. Equals are
    in the order of ids.
    """
    everywhere = _expression(question, question.wanted)
    facts = _facts(question)
    if limit is None:
        return _matching(connection, everywhere, facts, _BEST_FIRST, _NO_LIMIT)
    weighed = _weighed(connection, everywhere, facts, limit)
    if weighed is not None:
        return weighed
    found: dict[int, None] = {}
    for expression in (*_places(question), everywhere):
        wanted = limit + len(found)
        ids = _weighed(connection, expression, facts, wanted)
        if ids is None:
            ids = _matching(connection, expression, facts, "", wanted)
        found.update(dict.fromkeys(ids))
        if len(found) >= limit:
            break
    return list(found)[:limit]


def _weighed(
    connection: Connection, expression: str, facts: Sequence[Condition], limit: int
) -> list[int] | None:
    """The best matches; None if there are too many to rank."""
    found = _matching(connection, expression, facts, "", _WEIGHED + 1)
    if len(found) < 2:
        return found
    if len(found) > _WEIGHED:
        return None
    return _matching(connection, expression, facts, _BEST_FIRST, limit)


def _matching(
    connection: Connection, expression: str, facts: Sequence[Condition], order: str, limit: int
) -> list[int]:
    statement = [_MATCHING]
    if facts:
        statement += [_AND_ITS_TRACK, *("AND " + fact.sql for fact in facts), ")"]
    statement += [order, "LIMIT ?"]
    values = [expression, *(value for fact in facts for value in fact.values), limit]
    return [track_id for (track_id,) in select(connection, " ".join(statement), values)]


def _facts(question: Question) -> list[Condition]:
    """The conditions of a question other than words."""
    return [
        *(Condition(_IN_YEARS, (one.first, one.last, not one.negated)) for one in question.years),
        *(Condition(_IN_CODEC, (one.name, not one.negated)) for one in question.codecs),
    ]


def _places(question: Question) -> Iterator[str]:
    """Narrower forms of a question, the best columns for its words first."""
    free = [words for words in question.wanted if words.field is None]
    if not free:
        return
    bound = [words for words in question.wanted if words.field is not None]
    together = Words(" ".join(words.text for words in free), prefix=free[-1].prefix)
    for columns in (_ARTISTS, ("title",)):
        yield _expression(question, bound, _phrase(together, columns, begins=True))
    for columns in (_ARTISTS, ("title",), ("album",)):
        yield _expression(question, bound, *(_phrase(words, columns) for words in free))


def _expression(question: Question, wanted: Iterable[Words], *phrases: str) -> str:
    """An FTS5 expression for all of these, without the unwanted words of the question."""
    every = " AND ".join([*phrases, *map(_phrase, wanted)])
    if not question.unwanted:
        return every
    return f"({every}) NOT ({_any_of(question.unwanted)})"


def _any_of(unwanted: Iterable[Words]) -> str:
    return " OR ".join(map(_phrase, unwanted))


def _phrase(words: Words, columns: Sequence[str] = (), *, begins: bool = False) -> str:
    """Adjacent words, in one of these columns, or in the column that they require.

    They are quoted, so user input is never syntax. Source: sqlite.org/fts5.html 3.
    """
    among = columns or ((words.field,) if words.field else ())
    place = "{" + " ".join(among) + "} : " if among else ""
    text = words.text.replace('"', '""')
    return f'{place}{"^ " if begins else ""}"{text}"{" *" if words.prefix else ""}'


def told(connection: Connection) -> Iterator[tuple[int, Texts]]:
    """The id and the texts of each track in the view, from its row."""
    for track_id, *texts in select(connection, _TOLD + " ORDER BY id"):
        yield track_id, tuple(texts)


def count_wrong_words(connection: Connection, without: Collection[int] = ()) -> int:
    """How many words or lengths of texts differ between the index and the rows of the view.

    Those of the tracks `without` are not compared.

    The positions of a word (track, column, offset) are compared by one sum of squares, which SQLite
    computes from the index without sorting it; lengths affect the ranking. Measured with 100 000
    tracks: 1.4 s for 1.2 million words.
    """
    connection.execute(_FORGET_VOCABULARY)
    connection.execute(_VOCABULARY)
    try:
        expected, wrong = _places_told(connection, without)
        values = (_CHECK_BUCKETS, msgspec.json.encode(sorted(without)).decode())
        for word, places in select(connection, _PLACES_INDEXED, values):
            wrong += expected.pop(word, None) != places
        return wrong + len(expected)
    finally:
        connection.execute(_FORGET_VOCABULARY)


def _places_told(connection: Connection, without: Collection[int]) -> tuple[dict[str, int], int]:
    """(word -> the sum of the squares of its positions, number of wrong lengths)."""
    sums: dict[str, int] = {}
    get = sums.get
    totals = [0] * 6
    wrong = 0
    for track_id, told_lengths, *texts in select(connection, _TOLD_WITH_LENGTHS):
        if track_id in without:
            continue
        lengths = [0] * 5
        for column, text in enumerate(texts):
            if text is None:
                continue
            place = track_id * 8191 + column
            words = fold(text).split()
            for word in words:
                at = place % _CHECK_BUCKETS
                sums[word] = get(word, 0) + at * at
                place += 64
            lengths[column] = len(words)
            totals[column + 1] += lengths[column]
        totals[0] += 1
        if max(lengths) < _ONE_BYTE:
            wrong += told_lengths != bytes(lengths)
        else:
            wrong += told_lengths != b"".join(map(_varint, lengths))
    if totals[0] and not without:
        wrong += select_value(connection, _TOTALS) != b"".join(map(_varint, totals))
    return sums, wrong


def _varint(number: int) -> bytes:
    """A number as FTS5 writes it: seven bits a byte, the highest first (fileformat2 1.6)."""
    text = bytes((number & 0x7F,))
    while number := number >> 7:
        text = bytes((number & 0x7F | _ONE_BYTE,)) + text
    return text
