"""Search text -> a question: words, years and codecs of the wanted tracks.

Any text is valid. Parts that are not understood (`foo:bar`, an unclosed quote) are searched as
words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from msgspec import Struct

from indexer.store.folding import fold, of_symbols, stands_alone

FIELDS: Final = ("title", "artist", "albumartist", "album", "genre")
"""The columns that are searched, in the order of the full-text index."""

_TERM: Final = re.compile(
    r"""
    (?P<minus>-?)
    (?:(?P<field>[A-Za-z]+):)?
    (?:"(?P<phrase>[^"]*)"|(?P<word>\S+))
    """,
    re.VERBOSE,
)
_READ: Final = 1000
"""Maximum characters of a question: far more than people type, few enough to be quick."""
_YEAR: Final = re.compile(r"\d{1,4}")
_LAST_YEAR: Final = 9999


class Words(Struct, frozen=True):
    """One word, or several adjacent ones, folded; never empty."""

    text: str
    field: str | None = None
    """The only column to search; None: all."""
    negated: bool = False
    prefix: bool = False
    """Whether the last word may be the beginning of a longer one."""


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
    """Terms that must all hold for a track. An empty question finds every track."""

    words: tuple[Words, ...] = ()
    years: tuple[Years, ...] = ()
    codecs: tuple[Codec, ...] = ()

    @property
    def wanted(self) -> tuple[Words, ...]:
        """The words that must occur."""
        return tuple(words for words in self.words if not words.negated)

    @property
    def unwanted(self) -> tuple[Words, ...]:
        """The words that must not occur."""
        return tuple(words for words in self.words if words.negated)


def parse(typed: str) -> Question:
    """Parse a search text.

    A term is `word`, `"several words"`, `artist:word`, `album:"several words"`, `year:1997`,
    `year:1990-1999`, `year:-1979`, `year:2020-` or `codec:flac`, or one of these after a `-`, which
    excludes it. The last term, if it is a plain word, may be the beginning of a longer word.
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
    """The term of `field:value`; None if the field or the value is unknown."""
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
    """Whether it is a dash or an ampersand between words, which titles use inconsistently."""
    return isinstance(term, Words) and term.field is None and of_symbols(term.text)
