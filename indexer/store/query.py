"""What a person typed -> a question: the words, the years and the codecs of the tracks wanted.

Nothing that is typed is wrong. What is not understood (`foo:bar`, a quote that is never closed)
is looked for as words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from indexer.store.folding import fold, of_symbols, stands_alone

FIELDS: Final = ("title", "artist", "albumartist", "album", "genre")
"""The columns in which words are looked for, in the order of the full-text index."""

_TERM: Final = re.compile(
    r"""
    (?P<minus>-?)
    (?:(?P<field>[A-Za-z]+):)?
    (?:"(?P<phrase>[^"]*)"|(?P<word>\S+))
    """,
    re.VERBOSE,
)
_READ: Final = 1000
"""Characters of a question that are read: far more than people type, few enough to be quick."""
_YEAR: Final = re.compile(r"\d{1,4}")
_LAST_YEAR: Final = 9999


class Words(Struct, frozen=True):
    """One word, or several that stand side by side, folded; never empty."""

    text: str
    field: str | None = None
    """The only column they may stand in."""
    negated: bool = False
    prefix: bool = False
    """The last of them may be the beginning of a longer one."""


class Years(Struct, frozen=True):
    """The years from `first` to `last`, both included."""

    first: int
    last: int
    negated: bool = False


class Codec(Struct, frozen=True):
    """One codec by its name in the view, in any case."""

    name: str
    negated: bool = False


Term = Words | Years | Codec


class Question(Struct, frozen=True):
    """What a track must be to be found: all of it. An empty question finds every track."""

    words: tuple[Words, ...] = ()
    years: tuple[Years, ...] = ()
    codecs: tuple[Codec, ...] = ()

    @property
    def wanted(self) -> tuple[Words, ...]:
        """The words that must be there."""
        return tuple(words for words in self.words if not words.negated)

    @property
    def unwanted(self) -> tuple[Words, ...]:
        """The words that must not be there."""
        return tuple(words for words in self.words if words.negated)


def parse(typed: str) -> Question:
    """Read what was typed.

    A term is `word`, `"several words"`, `artist:word`, `album:"several words"`, `year:1997`,
    `year:1990-1999`, `year:-1979`, `year:2020-` or `codec:flac`, or one of these with a `-` before
    it for what is not wanted. The last one, if it is a word and no more, may be the beginning of
    a longer word.
    """
    typed = typed[:_READ].rstrip()
    found = (term for match in _TERM.finditer(typed) for term in _terms(match, len(typed)))
    terms = list(dict.fromkeys(found))
    words = [term for term in terms if isinstance(term, Words)]
    if any(not _is_noise(term) for term in terms):
        words = [term for term in words if not _is_noise(term)]
    return Question(
        tuple(words),
        tuple(term for term in terms if isinstance(term, Years)),
        tuple(term for term in terms if isinstance(term, Codec)),
    )


def _terms(match: re.Match[str], end: int) -> Iterator[Term]:
    negated = bool(match["minus"])
    field = (match["field"] or "").lower()
    value = match["word"] if match["phrase"] is None else match["phrase"]
    if understood := _about(field, value, negated=negated):
        yield understood
        return
    beginning = not negated and match["phrase"] is None and match.end() == end
    for text, prefix in ((fold(field), False), (fold(value), beginning)):
        if text:
            yield Words(text, None, negated, prefix and not stands_alone(text[-1]))


def _about(field: str, value: str, *, negated: bool) -> Term | None:
    """What `field:value` asks for; None if there is no such field, or no such value of it."""
    if field == "year":
        return _years(value, negated=negated)
    if field == "codec" and value.isascii() and fold(value):
        return Codec(value, negated)
    if field in FIELDS and (text := fold(value)):
        return Words(text, field, negated)
    return None


def _years(value: str, *, negated: bool) -> Years | None:
    first, dash, last = value.replace("\N{EN DASH}", "-").partition("-")
    given = [year for year in (first, last) if year]
    if not given or not all(_YEAR.fullmatch(year) for year in given):
        return None
    low = int(first) if first else 0
    high = int(last) if last else _LAST_YEAR if dash else low
    return Years(min(low, high), max(low, high), negated)


def _is_noise(term: Term) -> bool:
    """Whether it is a dash or an ampersand among words, which stand in titles as they please."""
    return isinstance(term, Words) and term.field is None and of_symbols(term.text)
