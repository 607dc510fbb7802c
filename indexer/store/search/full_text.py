"""The full-text index of the tracks in the view: a question -> track ids, best first.

The index stores folded words, but no text (`content=''`). Measured with 100 000 tracks: 7 MB and 55
MB written; with the folded texts in a table beside it, 15 MB and 75 MB.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import TYPE_CHECKING, Final, NamedTuple

import msgspec
from msgspec import structs

from indexer.store.search import lengths
from indexer.store.search.index_rows import row_of, texts_of
from indexer.store.search.query import EXACT, Group, Likeness, Question, Term, Words
from indexer.store.statements import Connection, select, select_value

if TYPE_CHECKING:
    from typing import TypeGuard

_ALL_IN_VIEW: Final = "SELECT id FROM tracks WHERE place = 0"
_MATCHING: Final = "SELECT rowid FROM track_search WHERE track_search MATCH ?"
_AND_ITS_TRACK: Final = "AND EXISTS (SELECT 1 FROM tracks WHERE tracks.id = track_search.rowid"
_BEST_FIRST: Final = """
ORDER BY bm25(track_search, 10, 8, 4, 6, 2, 0.5, 0.2, 0.3, 0.3), rowid
"""
"""Weights of the columns, as in `FIELDS`: the last four only fill up what the others found."""
_AMONG: Final = "tracks.id IN (SELECT value FROM json_each(?))"
_WITH_WORDS: Final = """
tracks.id IN (SELECT rowid FROM track_search WHERE track_search MATCH ?)
"""
_WITHOUT_WORDS: Final = """
tracks.id NOT IN (SELECT rowid FROM track_search WHERE track_search MATCH ?)
"""
_HAS_WORDS: Final = """
EXISTS (SELECT 1 FROM track_search WHERE track_search MATCH ? AND track_search.rowid = tracks.id)
"""
"""The same of one row: 25 us each, where `_WITH_WORDS` first takes 0.2 us for each match."""
_ONE_TRACK: Final = "SELECT EXISTS (SELECT 1 FROM tracks WHERE tracks.id = ? AND ({any_of}))"
_WEIGHED: Final = 2000
"""Maximum matches that are ranked. Measured: 2 us to rank one, 0.1 us to find it."""
_COMPARED: Final = 60
"""Maximum matches whose names are compared with the question. Measured: 1 ms."""
_LOOKED_THROUGH: Final = 500
"""Maximum tracks that are looked through for a letter. Measured: 20 us each."""
_A_PAGE: Final = 100
COUNTED: Final = 10_000
"""Tracks are counted up to one more."""
_NAMED: Final = """
SELECT tracks.id, album, title, artist, albumartist
FROM json_each(?) AS asked CROSS JOIN tracks ON tracks.id = asked.value
"""
_TEXTS: Final = """
SELECT tracks.id, tracks.path, title, artist, albumartist, album, genre, composer, comment, label
FROM json_each(?) AS asked CROSS JOIN tracks ON tracks.id = asked.value
ORDER BY asked.key
"""
_BY_ARTISTS_THAT_BEGIN: Final = """
SELECT DISTINCT catalog_artists.id, catalog_artists.name
FROM track_search JOIN catalog_track_artists AS link ON link.track_id = track_search.rowid
    JOIN catalog_artists ON catalog_artists.id = link.artist_id
WHERE track_search MATCH ? ORDER BY length(catalog_artists.name), catalog_artists.id LIMIT ?
"""
_OF_ARTISTS: Final = """
tracks.id IN (SELECT track_id FROM catalog_track_artists
    WHERE artist_id IN (SELECT value FROM json_each(?)))
"""
_ARTISTS: Final = ("artist", "albumartist")
_NAMES: Final = ("title", "artist", "albumartist", "album", "genre")
_NO_LIMIT: Final = -1


class Sought(NamedTuple):
    """Two FTS5 expressions with the same matches."""

    every: str
    """What they must have."""
    ranked: str
    """With what makes some of them better than others."""


class Condition(NamedTuple):
    """A condition on a row of `tracks`: SQL and its parameters."""

    sql: str
    values: tuple[object, ...]


def conditions(connection: Connection, question: Question) -> list[Condition]:
    asked = facts_of(question)
    if question.wanted:
        asked.append(Condition(_WITH_WORDS, (_sought(question, question.wanted).every,)))
        return asked
    if question.unwanted:
        asked.append(Condition(_WITHOUT_WORDS, (_any_of(question.unwanted),)))
    if question.spans and (few := lengths.few(connection, question.spans, COUNTED)) is not None:
        asked.append(Condition(_AMONG, (msgspec.json.encode(few).decode(),)))
    return asked


def conditions_of_row(question: Question) -> list[Condition]:
    """The same as `conditions`, for a question without wanted words that is asked of a few rows."""
    asked = facts_of(question, of_row=True)
    if question.unwanted:
        asked.append(Condition(f"NOT {_HAS_WORDS}", (_any_of(question.unwanted),)))
    return asked


def occurs(connection: Connection, words: Words) -> bool:
    """Whether a track has these words."""
    return bool(_matching(connection, _phrase(words), (), "", 1))


def has(connection: Connection, track_id: int, group: Group) -> bool:
    """Whether one of these terms holds for a track."""
    asked = [_condition(term, of_row=True) for term in group]
    statement = _ONE_TRACK.format(any_of=" OR ".join(one.sql for one in asked))
    values = [value for one in asked for value in one.values]
    return bool(select_value(connection, statement, (track_id, *values)))


def names_of_best(connection: Connection, question: Question) -> list[str]:
    """Album, title and artists of the best track."""
    found = msgspec.json.encode(best(connection, question, 1)).decode()
    return [name for _, *track in select(connection, _NAMED, (found,)) for name in track if name]


def count(connection: Connection, question: Question) -> int:
    """How many tracks are found, at most one more than `COUNTED`."""
    if question.wanted:
        everywhere = _sought(question, question.wanted)
        statement, values = _for_matching(everywhere.every, facts_of(question))
    else:
        asked = conditions(connection, question)
        statement = " AND ".join((_ALL_IN_VIEW, *(one.sql for one in asked)))
        values = [value for one in asked for value in one.values]
    counting = f"SELECT count(*) FROM ({statement} LIMIT ?)"  # noqa: S608 - our own texts
    return int(select_value(connection, counting, (*values, COUNTED + 1)))


def best(connection: Connection, question: Question, limit: int | None) -> list[int]:
    """The ids of the tracks for a question with wanted words, the most relevant first.

    Up to 2 000 are ranked: shorter texts and rarer words rank higher, and a title counts most, then
    an artist. Among the best of them, and among the tracks of an artist of just this name, those
    come first whose title or artist is just what was asked for, then those that have all words in
    these. Ranking more would take too long. The
    order is then: artists that begin with the words, then titles that do; then artists, titles and
    albums with all words, then the others. Equals are in the order of ids.
    """
    everywhere = _sought(question, question.wanted)
    facts = facts_of(question)
    if limit is None:
        every = _matching(connection, everywhere.ranked, facts, _BEST_FIRST, _NO_LIMIT)
        is_ranked = len(every) <= _WEIGHED
        return _ordered(connection, question, every, facts) if is_ranked else every
    if (ids := _by_other_words(connection, question, limit)) is not None:
        return _by_likeness(connection, question, ids, ids)[:limit]
    if _is_letter(question.groups[-1][0]) and (first := next(_places(question), None)):
        found_first, is_ranked = _weighed(connection, first, facts, limit)
        if not is_ranked and len(found_first) >= limit:
            return found_first  # as below, without having counted all others
    weighed, is_ranked = _weighed(connection, everywhere, facts, max(limit, _COMPARED))
    if is_ranked:
        return _ordered(connection, question, weighed, facts)[:limit]
    found: dict[int, None] = {}
    for sought in (*_places(question), everywhere):
        wanted = limit + len(found)
        ids, _ = _weighed(connection, sought, facts, wanted)
        found.update(dict.fromkeys(ids))
        if len(found) >= limit:
            break
    return list(found)[:limit]


def _ordered(
    connection: Connection, question: Question, ids: list[int], facts: Sequence[Condition]
) -> list[int]:
    """The best of these ids by likeness, and tracks of artists of just this name; then the rest."""
    named = _of_artists_named(connection, question, ids, facts)
    return _by_likeness(connection, question, [*ids[:_COMPARED], *named], ids)


def _by_likeness(
    connection: Connection, question: Question, likely: list[int], ids: list[int]
) -> list[int]:
    """The likely ones by how like the names of their tracks are, then all others of these ids."""
    likely = list(dict.fromkeys(likely))
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
    begins = next(_places(question)).every
    names = select(connection, _BY_ARTISTS_THAT_BEGIN, (begins, _COMPARED))
    exact = [artist_id for artist_id, name in names if likeness.of_name(name) == EXACT]
    if not exact:
        return []
    theirs = Condition(_OF_ARTISTS, (msgspec.json.encode(exact).decode(),))
    everywhere = _sought(question, question.wanted).ranked
    return _matching(connection, everywhere, [*facts, theirs], _BEST_FIRST, _COMPARED)


def _weighed(
    connection: Connection, sought: Sought, facts: Sequence[Condition], limit: int
) -> tuple[list[int], bool]:
    """(the best matches, True), or, if these are too many to rank, (the first by id, False)."""
    found = _matching(connection, sought.every, facts, "", max(_WEIGHED + 1, limit))
    if len(found) > _WEIGHED:
        return found[:limit], False
    if len(found) > 1:
        found = _matching(connection, sought.ranked, facts, _BEST_FIRST, limit)
    return found, True


def _by_other_words(connection: Connection, question: Question, limit: int) -> list[int] | None:
    """The best tracks for a question whose last word is one letter; None where this is no way.

    The full text has to join the matches of all words that begin with a letter, for each ranking
    anew: measured with 1 000 000 tracks, 70 ms each time. Half of the tracks have such a word. So
    the best tracks for the other words are looked through for one; a digit is also asked for as a
    word, which is quick, and the tracks that have it come first.
    """
    letter = question.groups[-1]
    rest = Question(question.groups[:-1])
    if not _is_letter(letter[0]) or not any(not one[0].optional for one in rest.wanted):
        return None
    wanted = max(limit, _COMPARED)
    whole: list[int] = []
    for number in _whole_number((letter[0],)):
        whole = best(connection, Question((*rest.groups, (number,))), wanted)
    if len(whole) >= wanted:
        return whole
    ids = best(connection, rest, _LOOKED_THROUGH)
    found = dict.fromkeys(whole)
    for begin in range(0, len(ids), _A_PAGE):
        page = msgspec.json.encode(ids[begin : begin + _A_PAGE]).decode()
        for track_id, path, *words in select(connection, _TEXTS, (page,)):
            texts = row_of(track_id, texts_of(path, words))[1:]
            if any(f" {letter[0].text}" in f" {text}" for text in texts if text):
                found[track_id] = None
        if len(found) >= wanted:
            return list(found)
    return list(found) if len(ids) < _LOOKED_THROUGH else None


def _is_letter(term: Term) -> TypeGuard[Words]:
    """Whether it is a word of one letter that may be the beginning of any other."""
    return (
        isinstance(term, Words)
        and term.prefix
        and len(term.text) == 1
        and not (term.field or term.others or term.equivalents or term.optional)
    )


def _matching(
    connection: Connection, expression: str, facts: Sequence[Condition], order: str, limit: int
) -> list[int]:
    statement, values = _for_matching(expression, facts)
    rows = select(connection, f"{statement} {order} LIMIT ?", (*values, limit))
    return [track_id for (track_id,) in rows]


def _for_matching(expression: str, facts: Sequence[Condition]) -> tuple[str, list[object]]:
    """A statement for the ids of all tracks that match, and its values."""
    statement = [_MATCHING]
    if facts:
        statement += [_AND_ITS_TRACK, *("AND " + fact.sql for fact in facts), ")"]
    values = [expression, *(value for fact in facts for value in fact.values)]
    return " ".join(statement), values


def facts_of(question: Question, *, of_row: bool = False) -> list[Condition]:
    """The conditions of a question other than words; `of_row`: for being asked of a few rows."""
    asked = []
    for group in question.facts:
        conditions = [_condition(term, of_row=of_row) for term in group]
        sql = " OR ".join(one.sql for one in conditions)
        asked.append(Condition(f"({sql})", tuple(v for one in conditions for v in one.values)))
    return asked


def _condition(term: Term, *, of_row: bool) -> Condition:
    if isinstance(term, Words):
        if of_row:
            return Condition(f"{'NOT' * term.negated} {_HAS_WORDS}", (_phrase(term),))
        return Condition(_WITHOUT_WORDS if term.negated else _WITH_WORDS, (_phrase(term),))
    sql, values = term.sql, term.values
    if of_row and term.of_row is not None:
        sql, values = term.of_row, values[-1:]
    return Condition(f"coalesce({sql}, 0) = 0" if term.negated else sql, values)


def _places(question: Question) -> Iterator[Sought]:
    """Narrower forms of a question, the best columns for its words first."""
    free = question.free
    if not free:
        return
    others = [group for group in question.wanted if group[0] not in free]
    together = Words(
        " ".join(words.text for words in free),
        prefix=free[-1].prefix,
        others=free[0].others if len(free) == 1 else (),
        equivalents=free[0].equivalents if len(free) == 1 else (),
    )
    columns: tuple[str, ...]
    for columns in (_ARTISTS, ("title",)):
        yield _sought(question, others, _phrase(together, columns, begins=True))
    for columns in (_ARTISTS, ("title",), ("album",), _NAMES):
        yield _sought(question, others, *(_phrase(words, columns) for words in free))


def _sought(question: Question, wanted: Iterable[Sequence[Words]], *phrases: str) -> Sought:
    """The FTS5 expressions for all of these, without the unwanted words of the question.

    A word that may be missing is an alternative to one that is there anyway: so it counts only for
    the rank. So does a number that is no beginning of another.
    """
    groups = list(wanted)
    required = [*phrases, *map(_one_of, (one for one in groups if not one[0].optional))]
    optional = [_one_of(one) for one in groups if one[0].optional]
    optional += [_phrase(whole) for group in groups for whole in _whole_number(group)]
    every = " AND ".join(required)
    ranked = " AND ".join([*required, *(f"({required[0]} OR {one})" for one in optional)])
    if question.unwanted:
        without = _any_of(question.unwanted)
        return Sought(f"({every}) NOT ({without})", f"({ranked}) NOT ({without})")
    return Sought(every, ranked)


def _whole_number(group: Sequence[Words]) -> Iterator[Words]:
    """A number that is typed last, as a word: `no 5` is rather No. 5 than K. 550."""
    words = group[0]
    if len(group) == 1 and words.prefix and words.text[-1:].isdecimal():
        yield structs.replace(words, prefix=False)


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
    spelled = [f"{start}{_quoted(text)}{end}" for text in (words.text, *words.others)]
    spelled += [f"{start}{_quoted(text)}" for text in words.equivalents]
    return f"{place}{spelled[0]}" if len(spelled) == 1 else f"{place}({' OR '.join(spelled)})"


def _quoted(text: str) -> str:
    doubled = text.replace('"', '""')
    return f'"{doubled}"'
