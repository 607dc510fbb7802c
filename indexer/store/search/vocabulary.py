"""Words that no track has -> words of the index that hold them, or that they may be meant for."""

from __future__ import annotations

from array import array
from bisect import bisect_right
from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from operator import itemgetter
from typing import Final, NamedTuple

from msgspec import structs

from indexer.store.search import full_text
from indexer.store.search.equivalents import loosened_group, looser, others_of
from indexer.store.search.fewer import fewer, words_of
from indexer.store.search.folding import stands_alone
from indexer.store.search.further_words import in_further_tags
from indexer.store.search.query import Group, Question, Words
from indexer.store.search.spellings import searchable
from indexer.store.statements import Connection

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
_MOST_REPLACED: Final = 20
"""Maximum words of a question that are replaced: measured with the 200 000 words of a million
tracks, 30 ms each. A guess: a text with more of them was pasted by mistake."""
_LONG: Final = 8
"""Letters of a word that may have one error more where other words say which track is meant."""
_NEAR: Final = 3
"""Maximum words that are named where nothing was found."""
_LONGEST_APART: Final = 30
"""Maximum letters of a word that is taken apart: measured, 10 ms. A guess."""
_MOST_APART: Final = 4
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
        for words, *_ in self.question.groups:
            if isinstance(words, Words) and not _is_there(words, there):
                taken.update((words.text, one) for one in words.others if one in there)
        return taken


class _Thought(NamedTuple):
    """What one question may mean."""

    question: Question
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
        self._last: _Thought | None = None

    def meant(self, question: Question) -> Iterator[Meant]:
        """What a question that finds nothing may mean, the likeliest first; at least one.

        Words may stand in further tags. Each word that no track has is replaced by one that some
        have; then each may also be written in other ways, or be missing (`looser`); then each may
        be mistyped, since other tracks may have it; then some may be too many (`fewer`). The last
        ones are remembered: tracks, albums and artists are asked for one by one.
        """
        if self._last is None or self._last.question != question:
            self._last = _Thought(question, [], self._ways(question))
        thought = self._last
        yield from thought.known
        while way := self._next(thought):
            thought.known.append(way)
            yield way

    def _next(self, thought: _Thought) -> Meant | None:
        """What else a question may mean. An error ends the search for it, which begins anew."""
        try:
            return next(thought.rest, None)
        except BaseException:
            self._last = None
            raise

    def _ways(self, question: Question) -> Iterator[Meant]:
        loose = looser(question)
        tagged = in_further_tags(self._connection, loose)
        if tagged != loose:
            yield Meant(tagged, {}, ())
        groups = tuple(self._joined(list(self._in_runs(question.groups))))
        first = self._meant(groups)
        yield first
        other = first._replace(question=looser(first.question))
        if other.question != first.question:
            yield other
        if groups != question.groups and tagged == loose:  # `love to day` may be Love 2 Day
            yield Meant(loose, {}, first.near)
        if len(groups) == 1:
            return  # it was replaced already
        mistyped = self._all_mistyped(groups)
        if mistyped is not None and mistyped not in (first.question, other.question):
            yield Meant(mistyped, {}, first.near, mistyped=True)
        yield from self._fewer(question, tagged, first)

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
        """Each word, or one that is like it; None where a word is needed that is like none."""
        found: list[Group] = []
        for group in groups:
            found.append(self._mistyped(group))
            if found[-1] == group and self._is_missing(loosened_group(group)):
                return None
        return looser(Question(tuple(found)))

    def _is_missing(self, group: Group) -> bool:
        """Whether no track has a word that is needed."""
        words = group[0]
        if len(group) > 1 or not isinstance(words, Words) or words.negated or words.optional:
            return False
        return not full_text.occurs(self._connection, words)

    def _mistyped(self, group: Group) -> Group:
        """A word, or one that is like it."""
        words = group[0]
        if len(group) > 1 or not isinstance(words, Words) or not _may_be_another(words):
            return group
        like = self._like(words.text, _allowed(words.text) + (len(words.text) >= _LONG))
        others = (*words.others, *like, *self._with_part(words.text))
        return (structs.replace(words, others=tuple(dict.fromkeys(others))),)

    def _meant(self, asked: Sequence[Group]) -> Meant:
        instead: dict[str, str] = {}
        near: list[str] = []
        replaced = 0
        groups = list(asked)
        for number, group in enumerate(groups):
            words = group[0]
            if len(group) > 1 or not isinstance(words, Words) or not _may_be_another(words):
                continue
            if full_text.occurs(self._connection, words) or self._is_known(words):
                continue
            replaced += 1
            if replaced > _MOST_REPLACED:
                break
            typed = words.text if " " not in words.text or not words.others else words.others[0]
            allowed = _allowed(typed)
            if parts := self._with_part(typed):
                groups[number] = (structs.replace(words, others=tuple(parts)),)
            elif apart := self._apart(typed):
                groups[number] = (structs.replace(words, text=apart, others=()),)
            elif like := self._like(typed, allowed):
                instead[typed] = like[0]
                groups[number] = (structs.replace(words, text=like[0], others=(), prefix=False),)
            elif allowed:
                near += self._like(typed, allowed + 1)
        return Meant(Question(tuple(groups)), instead, tuple(dict.fromkeys(near))[:_NEAR])

    def _is_known(self, words: Words) -> bool:
        """Whether a word says something else of tracks, or some have another word for it."""
        loosened, *others = loosened_group((words,))
        if not isinstance(loosened, Words) or not loosened.equivalents:
            return bool(others)
        equivalents = structs.replace(loosened, others=loosened.equivalents, prefix=False)
        return bool(others) or full_text.occurs(self._connection, equivalents)

    def _joined(self, groups: Sequence[Group]) -> Iterator[Group]:
        """The groups, with two neighbours as one where the index has them so: `hyper ballad`."""
        before: Group | None = None
        for group in groups:
            if before is not None and (both := self._together(before, group)):
                before = (both,)
                continue
            if before is not None:
                yield before
            before = group
        if before is not None:
            yield before

    def _together(self, one: Group, other: Group) -> Words | None:
        """Two neighbours as one word, also where a number is written otherwise: `ten cc`."""
        first, second = one[0], other[0]
        if len(one) + len(other) > 2 or not (
            isinstance(first, Words) and isinstance(second, Words)
        ):
            return None
        if not all(_may_be_another(words) and words.field is None for words in (first, second)):
            return None
        for text in (first.text, *others_of(first.text)):
            if self._count(text + second.text):
                return Words(text + second.text, prefix=second.prefix)
        return None

    def _in_runs(self, groups: Iterable[Group]) -> Iterator[Group]:
        """The groups, with a run of a script without spaces in two where these are apart."""
        for group in groups:
            words = group[0]
            if len(group) == 1 and isinstance(words, Words) and _is_run(words):
                yield from self._two_runs(words) or (group,)
            else:
                yield group

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
        """Words at most so many typing errors away, the likeliest first.

        An error is a letter too many, too few, another, or two swapped (optimal string alignment).
        """
        if not allowed:
            return []
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
        return [
            word
            for word, *_ in sorted(
                nearest, key=lambda one: (one[1], one[0][0] != typed[0], -self._count(one[0]))
            )
        ]

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


def _may_be_another(words: Words) -> bool:
    return not (words.negated or words.optional or words.quoted)


def _is_there(words: Words, there: Collection[str]) -> bool:
    return words.optional or any(word.startswith(words.text) for word in there)


def _allowed(typed: str) -> int:
    """How many errors a word may have. Guesses: short words are all alike."""
    return bisect_right((4, 6, 12, 15), len(typed))


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
