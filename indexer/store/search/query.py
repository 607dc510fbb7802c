"""Search text -> a question: what must hold for the wanted tracks, and how well a name fits it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from typing import Final

from msgspec import Struct, structs

from indexer.errors import UsageError
from indexer.store.search.fields import NAMES, Fact, column_asked, decade_of, fact_of, years_of
from indexer.store.search.folding import AND, fold, is_lost_between_words, of_symbols, stands_alone
from indexer.store.search.index_rows import FIELDS
from indexer.store.search.lengths import Span
from indexer.store.search.spellings import other_spellings, searchable

_TERM: Final = re.compile(
    r"""
    (?P<minus>-*)
    (?:(?P<field>[A-Za-z_]+):(?=\S))?
    (?:"(?P<phrase>[^"]*)"|(?P<word>(?<=[Tt][Aa][Gg]:)[^\s"=]+="[^"]*"|\S+))
    """,
    re.VERBOSE,
)
READ: Final = 1000
"""Maximum characters of a question: far more than people type, few enough to be quick."""
_SHORT: Final = 8
"""Maximum terms of a question in which a repeated letter counts. A guess."""
_TOLD: Final = 40
"""Characters of a text in which nothing can be looked for that are repeated."""
_LONE_SURROGATE: Final = "[\ud800-\udfff]"
"""Python has them for the bytes of a path that are not UTF-8; SQLite takes none."""
_AS_FIELD: Final = r"(?<![^\s(-])({})\s*(?:[:=]\s*|([<>]=?)\s*)(?=[^\s:=<>])"
_NOT: Final = r"(?<=\s)NOT\s+(?=[^\s-])"
_OR: Final = "OR"
_ANDS: Final = (AND, "und", "et", "y", "n")
"""Words for `&`, which names have in any of these ways, or not at all."""
_LINES: Final = frozenset(fold(sign) for sign in "-~=|/\\_.,:;\u00b7\u2022\u2010\u2013\u2014\u2026")
"""Signs that people type between names, as they are folded."""
EXACT: Final = 2
ALL: Final = 1


class Words(Struct, frozen=True):
    """One word, or several adjacent ones, folded; never empty."""

    text: str
    field: str | None = None
    """The only column to search; None: all."""
    negated: bool = False
    prefix: bool = False
    """Whether the last word may be the beginning of a longer one."""
    others: tuple[str, ...] = ()
    """Other spellings that will do as well."""
    equivalents: tuple[str, ...] = ()
    """Whole words that will do as well: never the beginning of a longer one."""
    quoted: bool = False
    """Only these very words will do."""
    optional: bool = False
    """It may be missing, but a track that has it is better."""


Term = Words | Fact
Group = tuple[Term, ...]
"""Terms of which one must hold: those with OR between them."""


class Question(Struct, frozen=True):
    """Groups that must all hold for a track. An empty question finds every track."""

    groups: tuple[Group, ...] = ()

    @property
    def wanted(self) -> tuple[tuple[Words, ...], ...]:
        """The groups of words of which one must occur."""
        return tuple(
            group  # type: ignore[misc]  # all of them are words
            for group in self.groups
            if all(isinstance(term, Words) and not term.negated for term in group)
        )

    @property
    def unwanted(self) -> tuple[Words, ...]:
        """The words that must not occur."""
        return tuple(
            group[0]
            for group in self.groups
            if len(group) == 1 and isinstance(group[0], Words) and group[0].negated
        )

    @property
    def tags(self) -> tuple[str, ...]:
        """The further tags that a track must have."""
        named = (group[0] for group in self.facts if len(group) == 1 and not group[0].negated)
        return tuple(term.tag for term in named if isinstance(term, Fact) and term.tag)

    @property
    def spans(self) -> tuple[Span, ...]:
        """Where an index of durations and bitrates has all tracks that are found."""
        needed = (group[0] for group in self.facts if len(group) == 1 and not group[0].negated)
        return tuple(term.span for term in needed if isinstance(term, Fact) and term.span)

    @property
    def facts(self) -> tuple[Group, ...]:
        """The other groups."""
        words = {*self.wanted, *((one,) for one in self.unwanted)}
        return tuple(group for group in self.groups if group not in words)

    @property
    def free(self) -> tuple[Words, ...]:
        """The words that must occur, by themselves and in any column."""
        return tuple(
            group[0]
            for group in self.wanted
            if len(group) == 1 and group[0].field is None and not group[0].optional
        )


def parse(typed: str, now: datetime | None = None) -> Question:
    """Parse a search text.

    A term is `word`, `"several words"` or `field:value` (see `fields`), or one of these after a
    `-`, which excludes it. `OR` stands between two terms of which one is enough. The last term, if
    it is a plain word, may be the beginning of a longer word. `now` (see `fact_of`; default: the
    clock) is what the age in `added:7d` is counted from. Raises UsageError for an unknown
    field, a value that it cannot have, and a text of nothing that can be looked for.
    """
    typed = typed[:READ].rstrip()
    if not typed.isascii():
        typed = re.sub(_LONE_SURROGATE, "\ufffd", typed)
    now = now or datetime.now(UTC).astimezone().replace(tzinfo=None)
    groups: list[Group] = []
    joins = False
    for match in _TERM.finditer(typed):
        if match[0] == _OR and groups and match.end() < len(typed):
            joins = True
            continue
        for group in _groups(match, len(typed), now):
            if joins:
                groups[-1] = tuple(dict.fromkeys(map(_required, (*groups[-1], *group))))
            else:
                groups.append(group)
        joins = False  # also behind a term of which nothing is left: `a OR "" b` has no choice
    if typed and not groups:
        raise UsageError(f"there is no word in {typed[:_TOLD]!a} to look for")
    return Question(_without_noise(_each_once(groups)))


def rewritten(typed: str, now: datetime | None = None) -> tuple[str, Question] | None:
    """A question as other programs take it: `artist: x`, `artist=x`, `year > 1990`, `x NOT y`.

    With what it would be here; None where that is the same. Only for one that finds nothing as it
    is, since titles have such words, too.
    """
    asked = typed[:READ]
    written = re.sub(_AS_FIELD.format("|".join(NAMES)), r"\1:\2", asked, flags=re.IGNORECASE)
    written = re.sub(_NOT, "-", written)
    if written == asked:
        return None
    with suppress(UsageError):  # a value that it cannot have
        return written, parse(written, now)
    return None


def _each_once(groups: Sequence[Group]) -> list[Group]:
    """The groups without repetitions, but for single letters of a short question: `m g m t`."""
    once = list(dict.fromkeys(groups))
    return once if len(groups) > _SHORT or not any(map(_is_one_letter, groups)) else list(groups)


def _is_one_letter(group: Group) -> bool:
    return isinstance(group[0], Words) and len(group[0].text) == 1


def asking(groups: Iterable[Group]) -> Question:
    """The question of these groups; words that may be missing are needed if there are no others."""
    question = Question(tuple(groups))
    if any(not one.optional for group in question.wanted for one in group):
        return question
    return Question(tuple(tuple(map(_required, group)) for group in question.groups))


def asking_loosely(groups: Iterable[Group]) -> Question:
    """The same, but words that may be missing are left out beside words that may be conditions.

    They only rank what other words find; `the` of `the karl böhm` is needed nowhere.
    """
    question = Question(tuple(groups))
    is_ranked = any(not one.optional for group in question.wanted for one in group)
    if not is_ranked and any(map(_has_needed_word, question.facts)):
        return Question(tuple(group for group in question.groups if not may_be_missing(group)))
    return asking(question.groups)


def _has_needed_word(group: Group) -> bool:
    return any(
        isinstance(one, Words) and not (one.negated or one.optional or one.field) for one in group
    )


def may_be_missing(group: Group) -> bool:
    return all(isinstance(one, Words) and one.optional for one in group)


def _required(term: Term) -> Term:
    """A term of which one must hold, even a word that may be missing elsewhere."""
    if isinstance(term, Words) and term.optional:
        return structs.replace(term, optional=False)
    return term


def _groups(match: re.Match[str], end: int, now: datetime) -> Iterator[Group]:
    field = (match["field"] or "").lower()
    value = match["word"] if match["phrase"] is None else match["phrase"]
    is_line = not field and match["phrase"] is None and set(fold(value)) <= _LINES
    negated = bool(match["minus"]) and not is_line  # `--` leaves out nothing
    if field == "tag":
        value = value.replace('"', "")
    if field and match["phrase"] == "":
        raise UsageError(f'{field}:"" has nothing to look for; write {field}:word')
    if field and value:
        term = _about(field, value, now, negated=negated)
        if isinstance(term, Words) and match["phrase"] is not None:
            term = structs.replace(term, quoted=True)
        yield (term,)
        return
    is_word = match["phrase"] is None
    if is_word and (years := years_of(value)):
        yield (structs.replace(years, negated=negated),)
        return
    text = fold(value or field)
    if not text:
        return
    prefix = not negated and is_word and match.end() == end and not stands_alone(text[-1])
    others = tuple(word for word in other_spellings(value) if word != text) if is_word else ()
    if is_word and not negated and text in _ANDS[:-1]:
        others = tuple(word for word in _ANDS if word != text)
        yield (Words(text, None, negated, prefix, others, optional=True),)
        return
    words = Words(text, None, negated, prefix, others, quoted=not is_word)
    if others and of_symbols(text):  # an emoji is the word for it, and not what begins with this
        words = structs.replace(words, others=(), equivalents=others)
    decade = decade_of(value) if is_word and not negated else None
    yield (words,) if decade is None else (words, decade)


def _about(field: str, value: str, now: datetime, *, negated: bool) -> Term:
    if field == "tag" and (of_column := column_asked(value)):
        return _about(*of_column, now, negated=negated)
    text = fold(value)
    if field == "path" and text:
        return _in_folder(text, negated=negated)
    if field in FIELDS and text:
        others = tuple(word for word in other_spellings(value) if word != text)
        return Words(text, field, negated, others=others if " " not in value else ())
    return fact_of(field, value, now, negated=negated)


def _in_folder(text: str, *, negated: bool) -> Fact:
    """Words of the folders: the full text has each of them in one of these columns."""
    among = " AND ".join(f'"{word}"' for word in text.split())
    among = f"{{artist albumartist album path}} : ({among})"
    sql = (
        "(tracks.id IN (SELECT rowid FROM track_search WHERE track_search MATCH ?)"
        " AND in_folder(tracks.path, ?))"
    )
    return Fact(sql, (among, text), negated, of_row="in_folder(tracks.path, ?)")


def _without_noise(groups: list[Group]) -> tuple[Group, ...]:
    """Without a dash between words; another sign there, and a word for `&`, may be missing."""
    if any(not _is_noise(group) for group in groups):
        groups = [group for group in groups if not _is_line(group)]
        groups = [_all_optional(group) if _is_noise(group) else group for group in groups]
    return asking(groups).groups


def _all_optional(group: Group) -> Group:
    return tuple(
        structs.replace(one, optional=True) if isinstance(one, Words) else one for one in group
    )


def _is_line(group: Group) -> bool:
    """Whether it is a dash, a slash or the like, which says nothing, or is excluded."""
    return _is_noise(group) and all(
        isinstance(one, Words) and (one.negated or set(one.text) <= _LINES) for one in group
    )


def _is_noise(group: Group) -> bool:
    """Whether it is a dash between words, or another sign that titles use inconsistently."""
    return all(
        isinstance(term, Words) and term.field is None and is_lost_between_words(term.text)
        for term in group
    )


class Likeness:
    """Compares names with the free words of one question."""

    def __init__(self, question: Question) -> None:
        self._free = question.free
        texts = [one.text for one in self._free]
        self._phrases = {" ".join(texts), "".join(texts)}
        if len(self._free) == 1:
            self._phrases.update(self._free[0].others, self._free[0].equivalents)
        self._phrases.discard("")

    def of_name(self, name: str | None) -> int:
        """2 for a name that is what was asked for, 1 for one with all its words, 0 for another."""
        if not name or not self._phrases:
            return 0
        if not self._phrases.isdisjoint(_spelled(name)):
            return EXACT
        return ALL if self._has_all([name]) else 0

    def of_track(self, album: str | None, *names: str | None) -> int:
        """The same for a track: 2 if one of its names is what was asked for.

        Its names are title, artist and album artist.
        """
        if any(self.of_name(name) == EXACT for name in names):
            return EXACT
        return ALL if self._has_all([name for name in (album, *names) if name]) else 0

    def _has_all(self, names: Sequence[str]) -> bool:
        plain = [f" {fold(name)} " for name in names]
        if all(any(_is_in(words, one) for one in plain) for words in self._free):
            return True  # told without their other spellings, which may need a library
        text = " " + " ".join(searchable(name) for name in names) + " "
        return all(_is_in(words, text) for words in self._free)


def _spelled(name: str) -> set[str]:
    """A name in each spelling: its words, these as one, and for a single word its others."""
    folded = fold(name)
    spelled = {folded, folded.replace(" ", "")}
    if len(name.split()) == 1:
        spelled.update(searchable(name).split())
    return spelled


def _is_in(words: Words, text: str) -> bool:
    end = "" if words.prefix else " "
    begins = any(f" {one}{end}" in text for one in (words.text, *words.others))
    return begins or any(f" {one} " in text for one in words.equivalents)
