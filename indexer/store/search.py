"""The full-text index of the tracks in the view: a question -> track ids, best first.

The index stores folded words, but no text (`content=''`). Measured with 100 000 tracks: 7 MB and 55
MB written; with the folded texts in a table beside it, 15 MB and 75 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final, NamedTuple

import msgspec

from indexer.store.connection import Connection, select
from indexer.store.likeness import EXACT, Likeness
from indexer.store.query import Question, Term, Words
from indexer.store.search_rows import ADD, DROP, Texts, row_of

_ALL_IN_VIEW: Final = "SELECT id FROM tracks WHERE place = 0"
_MATCHING: Final = "SELECT rowid FROM track_search WHERE track_search MATCH ?"
_AND_ITS_TRACK: Final = "AND EXISTS (SELECT 1 FROM tracks WHERE tracks.id = track_search.rowid"
_BEST_FIRST: Final = """
ORDER BY bm25(track_search, 10, 8, 4, 6, 2, 0.5, 0.2, 0.3, 0.3), rowid
"""
"""Weights of the columns, as in `FIELDS`: the last four only fill up what the others found."""
_WITH_WORDS: Final = """
tracks.id IN (SELECT rowid FROM track_search WHERE track_search MATCH ?)
"""
_WITHOUT_WORDS: Final = """
tracks.id NOT IN (SELECT rowid FROM track_search WHERE track_search MATCH ?)
"""
_WEIGHED: Final = 2000
"""Maximum matches that are ranked. Measured: 2 us to rank one, 0.1 us to find it."""
_COMPARED: Final = 60
"""Maximum matches whose names are compared with the question. Measured: 1 ms."""
COUNTED: Final = 10_000
"""Tracks are counted up to one more."""
_NAMED: Final = """
SELECT tracks.id, album, title, artist, albumartist
FROM json_each(?) AS asked CROSS JOIN tracks ON tracks.id = asked.value
"""
_BY_ARTISTS_THAT_BEGIN: Final = """
SELECT DISTINCT catalog_artists.id, catalog_artists.name
FROM track_search JOIN track_artists ON track_artists.track_id = track_search.rowid
    JOIN catalog_artists ON catalog_artists.id = track_artists.artist_id
WHERE track_search MATCH ? ORDER BY length(catalog_artists.name), catalog_artists.id LIMIT ?
"""
_OF_ARTISTS: Final = """
tracks.id IN (SELECT track_id FROM track_artists
    WHERE artist_id IN (SELECT value FROM json_each(?)))
"""
_ARTISTS: Final = ("artist", "albumartist")
_NAMES: Final = ("title", "artist", "albumartist", "album", "genre")
_NO_LIMIT: Final = -1


class Condition(NamedTuple):
    """A condition on a row of `tracks`: SQL and its parameters."""

    sql: str
    values: tuple[object, ...]


def add(connection: Connection, track_id: int, texts: Texts) -> None:
    """Add a track that entered the view."""
    connection.execute(ADD, row_of(track_id, texts))


def drop(connection: Connection, track_id: int, texts: Texts) -> None:
    """Remove a track; `texts` must be exactly those it was added with."""
    connection.execute(DROP, row_of(track_id, texts))


def conditions(question: Question) -> list[Condition]:
    asked = facts_of(question)
    if question.wanted:
        asked.append(Condition(_WITH_WORDS, (_expression(question, question.wanted),)))
    elif question.unwanted:
        asked.append(Condition(_WITHOUT_WORDS, (_any_of(question.unwanted),)))
    return asked


def occurs(connection: Connection, words: Words) -> bool:
    """Whether a track has these words."""
    return bool(_matching(connection, _phrase(words), (), "", 1))


def count(connection: Connection, question: Question) -> int:
    """How many tracks are found, at most one more than `COUNTED`."""
    if question.wanted:
        facts = facts_of(question)
        everywhere = _expression(question, question.wanted)
        return len(_matching(connection, everywhere, facts, "", COUNTED + 1))
    asked = conditions(question)
    statement = " AND ".join((_ALL_IN_VIEW, *(one.sql for one in asked)))
    values = [value for one in asked for value in one.values]
    rows = select(connection, f"{statement} LIMIT ?", (*values, COUNTED + 1))
    return sum(1 for _ in rows)


def best(connection: Connection, question: Question, limit: int | None) -> list[int]:
    """The ids of the tracks for a question with wanted words, the most relevant first.

    Up to 2 000 are ranked: shorter texts and rarer words rank higher, and a title counts most, then
    an artist. Among the best of them, and among the tracks of an artist of just this name, those
    come first whose title or artist is just what was asked for, then those that have all words in
    these. Ranking more would take too long. The
    order is then: artists that begin with the words, then titles that do; then artists, titles and
    albums with all words, then the others. Equals are in the order of ids.
    """
    everywhere = _expression(question, question.wanted)
    facts = facts_of(question)
    if limit is None:
        every = _matching(connection, everywhere, facts, _BEST_FIRST, _NO_LIMIT)
        is_ranked = len(every) <= _WEIGHED
        return _by_likeness(connection, question, every, facts) if is_ranked else every
    weighed = _weighed(connection, everywhere, facts, max(limit, _COMPARED))
    if weighed is not None:
        return _by_likeness(connection, question, weighed, facts)[:limit]
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


def _by_likeness(
    connection: Connection, question: Question, ids: list[int], facts: Sequence[Condition]
) -> list[int]:
    """The likely ones by how like the names of their tracks are, then all others of these ids."""
    named = _of_artists_named(connection, question, ids, facts)
    likely = list(dict.fromkeys([*ids[:_COMPARED], *named]))
    likeness = Likeness(question)
    page = msgspec.json.encode(likely).decode()
    ranks = {one: -likeness.of_track(*names) for one, *names in select(connection, _NAMED, (page,))}
    likely.sort(key=lambda one: ranks.get(one, 0))
    return list(dict.fromkeys([*likely, *ids]))


def _of_artists_named(
    connection: Connection, question: Question, ids: list[int], facts: Sequence[Condition]
) -> list[int]:
    """The best tracks of artists whose own name is just what was asked for.

    Only where more were found than are compared: tracks of artists whose names have the words and
    more may all rank higher. The shortest names are compared, since an equal one is among these.
    """
    if not question.free or len(ids) < _COMPARED:
        return []
    likeness = Likeness(question)
    begins = next(_places(question))
    names = select(connection, _BY_ARTISTS_THAT_BEGIN, (begins, _COMPARED))
    exact = [artist_id for artist_id, name in names if likeness.of_name(name) == EXACT]
    if not exact:
        return []
    theirs = Condition(_OF_ARTISTS, (msgspec.json.encode(exact).decode(),))
    everywhere = _expression(question, question.wanted)
    return _matching(connection, everywhere, [*facts, theirs], _BEST_FIRST, _COMPARED)


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


def facts_of(question: Question) -> list[Condition]:
    """The conditions of a question other than words."""
    asked = []
    for group in question.facts:
        conditions = [_condition(term) for term in group]
        sql = " OR ".join(one.sql for one in conditions)
        asked.append(Condition(f"({sql})", tuple(v for one in conditions for v in one.values)))
    return asked


def _condition(term: Term) -> Condition:
    if isinstance(term, Words):
        is_unwanted = term.negated
        return Condition(_WITHOUT_WORDS if is_unwanted else _WITH_WORDS, (_phrase(term),))
    return Condition(f"coalesce({term.sql}, 0) = 0" if term.negated else term.sql, term.values)


def _places(question: Question) -> Iterator[str]:
    """Narrower forms of a question, the best columns for its words first."""
    free = question.free
    if not free:
        return
    others = [group for group in question.wanted if group[0] not in free]
    together = Words(
        " ".join(words.text for words in free),
        prefix=free[-1].prefix,
        others=free[0].others if len(free) == 1 else (),
    )
    columns: tuple[str, ...]
    for columns in (_ARTISTS, ("title",)):
        yield _expression(question, others, _phrase(together, columns, begins=True))
    for columns in (_ARTISTS, ("title",), ("album",), _NAMES):
        yield _expression(question, others, *(_phrase(words, columns) for words in free))


def _expression(question: Question, wanted: Iterable[Sequence[Words]], *phrases: str) -> str:
    """An FTS5 expression for all of these, without the unwanted words of the question.

    A word that may be missing is an alternative to one that is there anyway: so it counts only for
    the rank.
    """
    groups = list(wanted)
    required = [*phrases, *map(_one_of, (one for one in groups if not one[0].optional))]
    optional = [_one_of(one) for one in groups if one[0].optional]
    every = " AND ".join([*required, *(f"({required[0]} OR {one})" for one in optional)])
    if not question.unwanted:
        return every
    return f"({every}) NOT ({_any_of(question.unwanted)})"


def _any_of(unwanted: Iterable[Words]) -> str:
    return " OR ".join(map(_phrase, unwanted))


def _one_of(group: Sequence[Words]) -> str:
    return _phrase(group[0]) if len(group) == 1 else f"({' OR '.join(map(_phrase, group))})"


def _phrase(words: Words, columns: Sequence[str] = (), *, begins: bool = False) -> str:
    """Adjacent words or another spelling of them, in one of these columns, or in their own column.

    They are quoted, so user input is never syntax. Source: sqlite.org/fts5.html 3.
    """
    among = columns or ((words.field,) if words.field else ())
    place = "{" + " ".join(among) + "} : " if among else ""
    start, end = "^ " if begins else "", " *" if words.prefix else ""
    spelled = [
        start + '"' + text.replace('"', '""') + '"' + end for text in (words.text, *words.others)
    ]
    return f"{place}{spelled[0]}" if len(spelled) == 1 else f"{place}({' OR '.join(spelled)})"
