"""Words that no track has -> words of the index that hold them, or that they may be meant for."""

from __future__ import annotations

import re
from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from itertools import islice
from operator import itemgetter
from typing import Final, NamedTuple

from msgspec import structs

from indexer.store.search import full_text
from indexer.store.search.equivalents import (
    is_between_names,
    loosened_group,
    looser,
    others_of,
)
from indexer.store.search.fewer import fewer, without_added, words_of
from indexer.store.search.folding import fold, stands_alone
from indexer.store.search.further_words import in_further_tags
from indexer.store.search.number_words import looking_like, number_of
from indexer.store.search.query import Group, Question, Words
from indexer.store.search.spellings import searchable
from indexer.store.statements import Connection, select

_WORDS: Final = "CREATE VIRTUAL TABLE temp.track_words USING fts5vocab (main, track_search, row)"
_DROP_WORDS: Final = "DROP TABLE IF EXISTS temp.track_words"
_ALL: Final = "SELECT CAST(term AS BLOB), doc FROM temp.track_words"
"""As bytes: FTS5 has cut long words of older versions, also within a character."""
_SHORTEST_PART: Final = 3
_MOST_PARTS: Final = 50
"""Maximum words that hold a typed part. A guess."""
_MOST_LIKE: Final = 20
_IN_ONE_BLOCK: Final = 10_000
"""Words that are taken apart at once; so few that they are found fast. A guess."""
_MOST_TYPED: Final = 20
"""Words of a question; with more of them it was pasted. A guess."""
_MOST_COMPARED: Final = 8
"""Words of a question of which each is compared with all of the index: measured with the 200 000
words of a million tracks, 30 ms each. A guess."""
_MOST_OF_LONG: Final = 3
"""Maximum words of a longer question that are compared: a track has all the others. A guess."""
_LONG: Final = 8
"""Letters of a word that may have one error more where other words say which track is meant."""
_REMEMBERED: Final = 2
"""Questions: what was typed, and as other programs take it."""
_NEAR: Final = 3
"""Maximum words that are named where nothing was found."""
_LONGEST_APART: Final = 30
"""Maximum letters of a word that is taken apart: measured, 10 ms. A guess."""
_MOST_APART: Final = 4
_MOST_JOINED: Final = 8
_MOST_LETTERS: Final = 10
"""Maximum words that the index has as one, or letters of a word that it has as words. Guesses."""
_INITIALS: Final = "[a-z]{3,6}"
_OF_ARTISTS: Final = (None, "artist", "albumartist")
_ARTISTS_LIKE: Final = "SELECT name FROM catalog_artists WHERE name LIKE ?"
"""Measured with 25 000 names: 2 ms."""
_MOST_CUTS: Final = 10
"""Maximum ways to take a word apart into as many words, of which it is asked whether they stand
side by side. A guess."""


class Meant(NamedTuple):
    """A question with words that exist, and what was taken for which typed word."""

    question: Question
    instead: dict[str, str]
    near: tuple[str, ...]
    """Where a word is like none: those that are the least unlike it."""
    mistyped: bool = False
    """Whether any word may be one that is like it."""

    def taken(self, names: Iterable[str | None]) -> dict[str, str]:
        """What was taken for which typed word, where the track of these names was found."""
        if not self.mistyped:
            return self.instead
        there = {word for name in names for word in searchable(name or "").split()}
        taken: dict[str, str] = {}
        for group in self.question.groups:
            asked = [one for one in group if isinstance(one, Words)]
            if not any(_is_there(words, there) for words in asked):
                likely = ((words.text, one) for words in asked for one in words.others)
                taken.update((typed, one) for typed, one in likely if one in there)
        return taken


class _Replaced(NamedTuple):
    """A word with what it may be meant for, and what is to be told of it."""

    words: Words
    instead: Mapping[str, str] = {}
    near: tuple[str, ...] = ()


class _Thought(NamedTuple):
    """What one question may mean."""

    known: list[Meant]
    rest: Iterator[Meant]
    """What is found out when it is asked for."""


class _Block(NamedTuple):
    """Some neighbours in the order of all words."""

    first: str
    text: str
    """Each word between line feeds."""
    counts: array[int]

    def words(self) -> list[str]:
        return self.text[1:-1].split("\n")

    def count(self, word: str) -> int:
        """In how many tracks a word is; 0 if it is none of these."""
        at = self.text.find(f"\n{word}\n")
        return 0 if at < 0 else self.counts[self.text.count("\n", 0, at)]

    def holding(self, part: str) -> Iterator[tuple[int, str]]:
        """The words that hold a part, each with its count."""
        end = number = 0
        while (at := self.text.find(part, end)) >= 0:
            begin = self.text.rindex("\n", 0, at) + 1
            number += self.text.count("\n", end, begin)
            end = self.text.index("\n", at)
            yield self.counts[number - 1], self.text[begin:end]


class Vocabulary:
    """All words of the full text, as few long texts. Of a million tracks: 3 MB; as a `dict` 30."""

    def __init__(self, connection: Connection) -> None:
        connection.execute(_DROP_WORDS)
        connection.execute(_WORDS)
        self._blocks: list[_Block] = []
        rows = connection.execute(_ALL)
        try:
            while some := [(_text(word), count) for word, count in islice(rows, _IN_ONE_BLOCK)]:
                text = "\n".join(("", *(word for word, _ in some), ""))
                counts = array("I", (count for _, count in some))
                self._blocks.append(_Block(some[0][0], text, counts))
        finally:
            rows.close(force=True)  # else its table would be in use
            connection.execute(_DROP_WORDS)
        self._firsts = [block.first for block in self._blocks]
        self._connection = connection
        self._thoughts: dict[Question, _Thought] = {}
        """What the last questions may mean; at most `_REMEMBERED`."""
        self._compared: dict[tuple[str, int], list[str]] = {}
        """Words like those of these questions, which are asked in several ways."""

    def meant(self, question: Question) -> Iterator[Meant]:
        """What a question that finds nothing may mean, the likeliest first; at least one.

        Words may stand in further tags. Each word that no track has is replaced by one that some
        have; then each may also be written in other ways, or be missing (`looser`); then each may
        be mistyped, since other tracks may have it; then some may be too many (`fewer`). The last
        ones are remembered: tracks, albums and artists are asked for one by one.
        """
        if question not in self._thoughts:
            if len(self._thoughts) == _REMEMBERED:
                self._forget()
            self._thoughts[question] = _Thought([], self._ways(question))
        thought = self._thoughts[question]
        yield from thought.known
        while way := self._next(thought):
            thought.known.append(way)
            yield way

    def _next(self, thought: _Thought) -> Meant | None:
        """What else a question may mean. An error ends the search for it, which begins anew."""
        try:
            return next(thought.rest, None)
        except BaseException:
            self._forget()
            raise

    def _forget(self) -> None:
        self._thoughts.clear()
        self._compared.clear()

    def _ways(self, question: Question) -> Iterator[Meant]:
        loose = looser(question)
        tagged = in_further_tags(self._connection, loose)
        if tagged != loose:
            yield Meant(tagged, {}, ())
        groups = tuple(self._joined(list(_numbered(list(self._in_runs(question.groups))))))
        first = self._meant(groups)
        yield first
        other = first._replace(question=looser(first.question))
        if other.question != first.question:
            yield other
        if groups != question.groups and tagged == loose:  # `love to day` may be Love 2 Day
            yield Meant(loose, {}, first.near)
        split = _split(question)
        if split != question and len(split.groups) <= _MOST_TYPED:
            yield from self._ways(split)
            return
        if len(groups) == 1:
            return  # it was replaced already
        if (name := self._without_added(question, first)) is not None:
            yield name
        mistyped = self._all_mistyped(groups)
        if mistyped is not None and mistyped not in (first.question, other.question):
            yield Meant(mistyped, {}, first.near, mistyped=True)
        yield from self._fewer(question, tagged, first)

    def _without_added(self, asked: Question, first: Meant) -> Meant | None:
        """Without words that people add to a name, where what is left is one; else None."""
        for question in (first.question, looser(first.question)):
            some = without_added(self._connection, question)
            if some is not None and full_text.count(self._connection, some):
                told = {**first.instead, words_of(asked): words_of(some)}
                return first._replace(question=some, instead=told)
        return None

    def _fewer(self, asked: Question, tagged: Question, first: Meant) -> Iterator[Meant]:
        """Only some of the words, as they were typed; else at least two of the corrected ones."""
        some = fewer(self._connection, tagged)
        instead: dict[str, str] = {}
        if some is None:
            some = fewer(self._connection, looser(first.question), fewest=2)
            instead = first.instead
        if some is not None:
            told = {**instead, words_of(asked): words_of(some)}
            yield first._replace(question=some, instead=told)

    def _all_mistyped(self, groups: tuple[Group, ...]) -> Question | None:
        """Each word, or one that is like it; None where a word is needed that is like none.

        And None for many words, since each is compared with all of the index.
        """
        if sum(map(len, groups)) > _MOST_COMPARED:
            return None
        found: list[Group] = []
        of_words = [group for group in groups if _words_of(group)]
        names = [group for group in of_words if not all(map(_is_number, _words_of(group)))]
        for group in groups:
            if len(names) == 1 < len(of_words) and any(map(self._is_there, _words_of(group))):
                found.append(group)  # numbers do not tell which of the words like it was meant
                continue
            found.append(self._mistyped(group))
            if found[-1] == group and self._is_missing(loosened_group(group)):
                return None
        return looser(Question(tuple(found)))

    def _is_missing(self, group: Group) -> bool:
        """Whether no track has a word of which one is needed."""
        words = [one for one in group if isinstance(one, Words)]
        if len(words) < len(group) or any(one.negated or one.optional for one in words):
            return False
        return not any(full_text.occurs(self._connection, one) for one in words)

    def _mistyped(self, group: Group) -> Group:
        """Each word, or one that is like it."""
        words = _words_of(group)
        return tuple(map(self._or_like, words)) if words else group

    def _or_like(self, words: Words) -> Words:
        like = self._like(words.text, _allowed(words.text) + (len(words.text) >= _LONG))
        others = (*words.others, *like, *self._with_part(words.text))
        return structs.replace(words, others=tuple(dict.fromkeys(others)))

    def _meant(self, asked: Sequence[Group]) -> Meant:
        instead: dict[str, str] = {}
        near: list[str] = []
        replaced = 0
        groups = list(asked)
        most = _MOST_COMPARED if sum(map(len, groups)) <= _MOST_COMPARED else _MOST_OF_LONG
        for number, group in enumerate(groups):
            words = _words_of(group)
            if not words or any(map(self._is_there, words)):
                continue
            replaced += len(words)
            if replaced > most:
                break
            found = [self._replaced(one) for one in words]
            groups[number] = tuple(dict.fromkeys(one.words for one in found))
            for one in found:
                instead |= one.instead
                near += one.near
        return Meant(Question(tuple(groups)), instead, tuple(dict.fromkeys(near))[:_NEAR])

    def _replaced(self, words: Words) -> _Replaced:
        """What a word may be meant for that no track has."""
        typed = words.text if " " not in words.text or not words.others else words.others[0]
        allowed = _allowed(typed)
        if initials := self._by_initials(words):
            meant = structs.replace(words, text=initials, others=(), prefix=False)
            return _Replaced(meant, {typed: initials})
        if parts := self._with_part(typed):
            return _Replaced(structs.replace(words, others=tuple(parts)))
        if apart := self._apart(typed):
            return _Replaced(structs.replace(words, text=apart, others=()))
        if like := self._like(typed, allowed):
            meant = structs.replace(words, text=like[0], others=(), prefix=False)
            return _Replaced(meant, {typed: like[0]})
        return _Replaced(words, near=tuple(self._like(typed, allowed + 1) if allowed else ()))

    def _by_initials(self, words: Words) -> str | None:
        """The words of the artist with most tracks whose initials were typed; else None."""
        if words.field not in _OF_ARTISTS or re.fullmatch(_INITIALS, words.text) is None:
            return None
        likely = "%".join(("", *words.text, ""))
        names = (fold(name) for (name,) in select(self._connection, _ARTISTS_LIKE, (likely,)))
        theirs = dict.fromkeys(name for name in names if words.text in _initials(name))
        tracks = {one: full_text.count(self._connection, _asking(one)) for one in theirs}
        best = max(tracks, key=tracks.__getitem__, default=None)
        return best if best and tracks[best] else None

    def _is_there(self, words: Words) -> bool:
        return full_text.occurs(self._connection, words) or self._is_known(words)

    def _is_known(self, words: Words) -> bool:
        """Whether a word says something else of tracks, or some have another word for it."""
        loosened, *others = loosened_group((words,))
        if not isinstance(loosened, Words) or not loosened.equivalents:
            return bool(others)
        equivalents = structs.replace(loosened, others=loosened.equivalents, prefix=False)
        return bool(others) or full_text.occurs(self._connection, equivalents)

    def _joined(self, groups: Sequence[Group]) -> Iterator[Group]:
        """The groups, with neighbours as one where the index has them so: `hyper ballad`."""
        most = _MOST_JOINED if len(groups) <= _MOST_TYPED else 2
        at = 0
        while at < len(groups):
            for end in range(min(at + most, len(groups)), at + 1, -1):
                if (together := self._together(groups[at:end])) is not None:
                    yield (together,)
                    at = end
                    break
            else:
                yield groups[at]
                at += 1

    def _together(self, groups: Sequence[Group]) -> Words | None:
        """Neighbours as one word, also where the first or last is written otherwise: `ten cc`."""
        words = _one_of_each(groups)
        if not words or any(one.field for one in words):
            return None
        texts = [one.text for one in words]
        if sum(map(len, texts)) > _LONGEST_APART:
            return None
        first, *middle, last = texts
        ways = (*((one, last) for one in (first, *others_of(first))),
                *((first, one) for one in others_of(last)))  # fmt: skip
        for begin, end in ways:
            text = "".join((begin, *middle, end))
            if self._count(text):
                return Words(text, prefix=words[-1].prefix)
        return None

    def _in_runs(self, groups: Iterable[Group]) -> Iterator[Group]:
        """The groups, with a run of a script without spaces in two where these are apart."""
        for group in groups:
            words = group[0]
            if len(group) == 1 and isinstance(words, Words) and _is_run(words):
                yield from self._two_runs(words) or (group,)
            elif (parts := _split_group(group)) != (group,) and self._are_apart(group, parts):
                yield from parts
            else:
                yield group

    def _are_apart(self, group: Group, parts: tuple[Group, ...]) -> bool:
        """Whether tracks have all parts of a group, and none has them side by side."""
        if any(map(self._is_there, _words_of(group))):
            return False
        return full_text.count(self._connection, Question(parts)) > 0

    def _two_runs(self, words: Words) -> tuple[Group, ...]:
        """An artist and a title that were typed without a space; empty if it is none."""
        parts = words.text.split()
        if full_text.occurs(self._connection, words):
            return ()
        for cut in range(1, len(parts)):
            two = (Words(" ".join(parts[:cut])),), (Words(" ".join(parts[cut:])),)
            if full_text.count(self._connection, Question(two)):
                return two
        return ()

    def _apart(self, typed: str) -> str | None:
        """Words of the index that were typed as one and stand side by side: `tiktok`, `op27`."""
        if len(typed) > _LONGEST_APART:
            return None
        letters = " ".join(typed)
        if len(typed) <= _MOST_LETTERS and full_text.occurs(self._connection, Words(letters)):
            return letters
        known: dict[str, bool] = {}
        for parts in range(2, _MOST_APART + 1):
            for words in islice(self._cuts(typed, parts, known), _MOST_CUTS):
                if full_text.occurs(self._connection, Words(" ".join(words))):
                    return " ".join(words)
        return None

    def _cuts(self, typed: str, parts: int, known: dict[str, bool]) -> Iterator[list[str]]:
        """The ways to take a text apart into so many words of the index; long words first."""
        if parts == 1:
            if typed not in known:
                known[typed] = self._count(typed) > 0
            if known[typed]:
                yield [typed]
            return
        middle = len(typed) / parts
        for cut in sorted(range(1, len(typed)), key=lambda cut: abs(cut - middle)):
            for head in self._cuts(typed[:cut], 1, known):
                for rest in self._cuts(typed[cut:], parts - 1, known):
                    yield [*head, *rest]

    def _with_part(self, part: str) -> list[str]:
        """Words that hold a part, the most frequent first."""
        if len(part) < _SHORTEST_PART or "\n" in part:
            return []
        found = [one for block in self._blocks for one in block.holding(part)]
        found.sort(key=itemgetter(0), reverse=True)
        return [word for _, word in found[:_MOST_PARTS]]

    def _like(self, typed: str, allowed: int) -> list[str]:
        """Words at most so many typing errors away, the likeliest first; see `_compare`."""
        asked = typed, allowed
        if asked not in self._compared:
            self._compared[asked] = self._compare(typed, allowed)
        return self._compared[asked]

    def _compare(self, typed: str, allowed: int) -> list[str]:
        """A word compared with each of the index.

        An error is a letter too many, too few, another, or two swapped (optimal string alignment).
        A digit for a letter that looks like it is none.
        """
        alike = [word for word in looking_like(typed) if self._count(word)]
        if not allowed:
            return alike
        from rapidfuzz.distance import OSA  # late: only for words that are not found
        from rapidfuzz.process import extract

        like: list[tuple[str, float]] = []
        for block in self._blocks:
            words = block.words()
            found = extract(
                typed, words, scorer=OSA.distance, score_cutoff=allowed, limit=_MOST_LIKE
            )
            like += [(word, distance) for word, distance, _ in found]
        nearest = sorted(like, key=itemgetter(1))[:_MOST_LIKE]
        nearest.sort(key=lambda one: (one[1], one[0][0] != typed[0], -self._count(one[0])))
        return list(dict.fromkeys((*alike, *(word for word, _ in nearest))))

    def _count(self, word: str) -> int:
        """In how many tracks a word is: those of the block in whose range it is."""
        at = bisect_right(self._firsts, word) - 1
        return self._blocks[at].count(word) if at >= 0 else 0


def _text(word: bytes) -> str:
    return word.decode("utf-8", "replace")


def _is_run(words: Words) -> bool:
    """Whether it is a run of a script without spaces that may be taken apart."""
    if not _may_be_another(words) or words.field or not 2 < len(words.text) <= 2 * _LONGEST_APART:
        return False
    return any(map(stands_alone, words.text))


def _words_of(group: Group) -> tuple[Words, ...]:
    """A word, or several with OR between them, if each may be meant for another; else none."""
    words = tuple(one for one in group if isinstance(one, Words) and _may_be_another(one))
    return words if len(words) == len(group) else ()


def _one_of_each(groups: Sequence[Group]) -> list[Words]:
    """The word that each of these groups is; none if any is something else, or several words."""
    words = [_words_of(group) for group in groups]
    return [one for (one,) in words] if all(len(one) == 1 for one in words) else []


def _split(question: Question) -> Question:
    """The same question, with words that have signs between them each by itself."""
    return Question(tuple(part for group in question.groups for part in _split_group(group)))


def _split_group(group: Group) -> tuple[Group, ...]:
    """The words that were typed with signs between, as `nirvana-nevermind`; else the group."""
    words = _words_of(group)
    if len(words) != 1 or " " not in words[0].text or any(map(stands_alone, words[0].text)):
        return (group,)
    *texts, last = words[0].text.split()
    field = words[0].field
    return (*((Words(text, field),) for text in texts),
            (Words(last, field, prefix=words[0].prefix),))  # fmt: skip


def _numbered(groups: Sequence[Group]) -> Iterator[Group]:
    """The groups, with neighbours that say a number as one: `forty one` may be 41."""
    at = 0
    while at < len(groups):
        for end in range(min(at + _MOST_JOINED, len(groups)), at + 1, -1):
            words = _one_of_each(groups[at:end])
            texts = [one.text for one in words]
            number = None if not words or any(one.field for one in words) else number_of(texts)
            if number is not None:
                yield (Words(str(number), others=(" ".join(texts),)),)
                at = end
                break
        else:
            yield groups[at]
            at += 1


def _initials(name: str) -> set[str]:
    """The initials of a folded name, and those without words such as `and`."""
    words = name.split()
    some = (word for word in words if not is_between_names(word))
    return {"".join(word[0] for word in words), "".join(word[0] for word in some)}


def _asking(name: str) -> Question:
    return Question(((Words(name),),))


def _may_be_another(words: Words) -> bool:
    return not (words.negated or words.optional or words.quoted)


def _is_number(words: Words) -> bool:
    return words.text.isdecimal()


def _is_there(words: Words, there: Collection[str]) -> bool:
    return words.optional or any(word.startswith(words.text) for word in there)


def _allowed(typed: str) -> int:
    """How many errors a word may have. Guesses: short words are all alike, and so are numbers."""
    return 0 if typed.isdecimal() else bisect_right((4, 6, 12, 15), len(typed))


def as_written(word: str, names: Iterable[str | None]) -> str:
    """A word of the index, or one that begins with it, as one of these names has it; lower case."""
    beginning = word
    for chunk in (chunk for name in names for chunk in (name or "").split()):
        there = searchable(chunk).split()
        shown = chunk.strip("\"'.,;:!?()[]").lower()
        if word in there:
            return shown
        if beginning == word and any(one.startswith(word) for one in there):
            beginning = shown
    return beginning
