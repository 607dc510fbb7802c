"""A question that no track answers whole -> the most important of its words that tracks have.

`dj tiesto` asks for Tiësto, and `beatles abbey road 2009 remaster` for Abbey Road.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Final

from msgspec import structs

from indexer.store.search import full_text
from indexer.store.search.equivalents import is_suffix, without_article
from indexer.store.search.query import (
    EXACT,
    Group,
    Likeness,
    Question,
    Words,
    asking_loosely,
    may_be_missing,
)
from indexer.store.statements import Connection

_MOST_WORDS: Final = 20
"""Maximum words of a question that is asked in part. A guess: more were pasted by mistake."""
_RANKED: Final = 2000
"""Maximum tracks with any of the rare words, so that these are ranked in 4 ms; see `full_text`."""
_SHORTEST: Final = 3
_ADDED: Final = (
    "band singer dj mc album lp ep single cd vinyl song songs track music video clip audio lyrics"
    " official original full version edition deluxe bonus remaster remastered live hd hq ost"
    " by from play greatest hits best"
)
"""Words that people add to a name: tracks that have one of them alone are not what is meant."""
_ALL_ADDED: Final = frozenset(_ADDED.split())


def fewer(connection: Connection, question: Question, *, fewest: int = 1) -> Question | None:
    """The same question without words that no track has beside the others; None: too few are left.

    At least half of those in names are kept, and at least `fewest`. A word that no track has is
    left out first. If no track has the others together, either, the track is decisive that has the
    best of the rarer ones.
    """
    question = Question(tuple(map(_whole_if_short, question.groups)))
    words = [group for group in question.groups if _may_be_missing(group)]
    if not 2 <= len(words) <= _MOST_WORDS:
        return None
    counts = {group: _count(connection, group) for group in words}
    kept = [group for group in words if counts[group]]
    found = _with(question, words, kept)
    if not kept or not full_text.count(connection, found):
        others = [one for one in question.groups if one not in words and not may_be_missing(one)]
        kept = _of_best(connection, others, kept, counts)
        found = _with(question, words, kept)
    is_enough = fewest <= len(kept) < len(words) and _names(words) <= 2 * _names(kept)
    return found if is_enough and any(map(_says_something, kept)) else None


def without_added(connection: Connection, question: Question) -> Question | None:
    """The same question without words that people add to a name, if what is left is one.

    Or if it is words of fields. None: it is not, or there is no such word.
    """
    kept = [one for one in question.groups if not (_may_be_missing(one) and _is_added(one))]
    found = asking_loosely(kept)
    if not found.wanted or len(kept) == len(question.groups):
        return None
    likeness = Likeness(found)
    names = full_text.names_of_best(connection, found) if found.free else []
    whole = [*names, *map(without_article, names)]
    is_name = any(likeness.of_name(name) == EXACT for name in whole)
    return found if is_name or not found.free else None


def words_of(question: Question) -> str:
    """The words of a question that may be missing, as they were typed but for case and accents.

    And those that are needed beside them, if these are all that is left.
    """
    free = " ".join(_word(group) for group in question.groups if _may_be_missing(group))
    return free or " ".join(filter(None, map(_as_typed, question.groups)))


def _as_typed(group: Group) -> str:
    """Words of a field, in quotes, or with OR between them; empty for what is no word."""
    asked = [one for one in group if isinstance(one, Words) and not one.negated]
    return " OR ".join(map(_of_field, asked))


def _of_field(words: Words) -> str:
    text = f'"{words.text}"' if words.quoted else words.text
    return f"{words.field}:{text}" if words.field else text


def _of_best(
    connection: Connection,
    others: Sequence[Group],
    words: Sequence[Group],
    counts: Mapping[Group, int],
) -> list[Group]:
    """Those words that the best track for the rarer ones has; `others` must hold for it."""
    rare: list[Words] = []
    tracks = 0
    for group in sorted(words, key=counts.__getitem__):
        tracks += counts[group]
        if len(group) == 1 and tracks <= _RANKED and _says_something(group):
            rare += (term for term in group if isinstance(term, Words))
    if not rare:
        return []
    best = full_text.best(connection, Question((tuple(rare), *others)), 1)
    return [group for group in words if best and full_text.has(connection, best[0], group)]


def _count(connection: Connection, group: Group) -> int:
    """How many tracks have a word; 1 for one that may be said by other columns, too."""
    return full_text.count(connection, Question((group,))) if len(group) == 1 else 1


def _with(question: Question, words: Iterable[Group], kept: Sequence[Group]) -> Question:
    without = [group for group in words if group not in kept]
    return asking_loosely(group for group in question.groups if group not in without)


def _whole_if_short(group: Group) -> Group:
    """A short word is no beginning where it may be all that is kept: `fac` is not `factor`."""
    words, *others = group
    if _may_be_missing(group) and isinstance(words, Words) and len(words.text) <= _SHORTEST:
        return (structs.replace(words, prefix=False), *others)
    return group


def _may_be_missing(group: Group) -> bool:
    """Whether it is a word by itself, beside which there may be conditions that are as good."""
    words, *others = group
    if not isinstance(words, Words) or any(isinstance(other, Words) for other in others):
        return False
    return not (words.field or words.negated or words.quoted or words.optional)


def _names(words: Iterable[Group]) -> int:
    """How many of these words names may have."""
    return sum(not _is_added(group) for group in words)


def _is_added(group: Group) -> bool:
    return _word(group) in _ALL_ADDED


def _says_something(group: Group) -> bool:
    """Whether this word alone makes an answer: no number, no syllable, no name of a format."""
    word = _word(group)
    if word.isdecimal() or word in _ALL_ADDED or is_suffix(word):
        return False
    return len(word) >= _SHORTEST or not word.isascii()


def _word(group: Group) -> str:
    words = group[0]
    return words.text if isinstance(words, Words) else ""
