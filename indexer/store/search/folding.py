"""Text -> its folded words, the same for indexed text and for queries.

The full-text index contains folded text, and a track is removed from it by folding its texts again:
any change here needs a new number of `index_rows.RULES` (a test detects this), with which the
index is filled again.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import Final

from indexer.remembered import forget_by

_LETTERS: Final = {
    "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŧ": "t",
    "ŋ": "n", "ƒ": "f", "\N{LATIN SMALL LETTER DOTLESS I}": "i", "ĸ": "k",
    "\N{MODIFIER LETTER TURNED COMMA}": "",      # the Hawaiian okina: Hawai'i is typed hawaii
    "\N{MODIFIER LETTER APOSTROPHE}": " ",       # as the apostrophe that is not a letter
}  # fmt: skip
"""Letters that Unicode neither decomposes nor folds to the ones that people type instead."""
_ARABIC: Final = {
    "\u0640": "",                                   # tatweel, which only stretches a word
    "\u0649": "\u064a", "\u06cc": "\u064a",        # alef maksura, Persian yeh: yeh
    "\u0629": "\u0647", "\u06c1": "\u0647", "\u06be": "\u0647",    # teh marbuta, Urdu hehs: heh
    "\u06a9": "\u0643", "\u0671": "\u0627",        # keheh: kaf; alef wasla: alef
}  # fmt: skip
"""Letters that Arabic, Persian and Urdu keyboards have for one another."""
_KATAKANA: Final = (0x30A1, 0x30F6)
_TO_HIRAGANA: Final = 0x60

_WITHOUT_SPACES: Final = (
    (0x0E00, 0x0EFF),    # Thai, Lao
    (0x1000, 0x109F), (0x1780, 0x17FF),    # Burmese, Khmer
    (0x3005, 0x3007), (0x3021, 0x3035), (0x303B, 0x303B),    # Han repeated, and as numbers
    (0x3040, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF),    # Hiragana, Katakana, Bopomofo
    (0x3400, 0x4DBF), (0x4E00, 0xA4CF), (0xF900, 0xFAFF),    # Han, Yi, Han of older standards
    (0x1100, 0x11FF), (0xAC00, 0xD7A3),    # Hangul
    (0x1B000, 0x1B16F), (0x20000, 0x3FFFF),    # older Kana, rarer Han
)  # fmt: skip
"""Scripts without spaces between words."""
_SIMPLER: Final = {**_LETTERS, **_ARABIC}
_FIRST_HAN: Final = 0x3400
_EMOJI: Final = (0x1F000, 0x1FBFF)
"""Symbols, including those that this Python does not know yet."""


_STANDING: Final = (
    r"(?<![^\s\x00-\x1f\x7f])([&+]|[^\w\s\x00-\x1f\x7f.~=|/\\\u00b7\u2010-\u2026\u2022-]{3,})"
    r"(?![^\s\x00-\x1f\x7f])"
)
"""Symbols by themselves: `&`, `+`, and three or more (`!!!`) that draw no line."""
_PLAIN: Final = re.compile("[A-Za-z0-9 ]*")
"""Most texts: told at once."""
AND: Final = "and"
"""The word for `&` and `+` between others."""


class _Table(dict[int, str]):
    """For `str.translate`: a rule for single characters with a cache."""

    def __init__(self, rule: Callable[[str], str]) -> None:
        super().__init__()
        self._rule = rule

    def __missing__(self, code: int) -> str:
        said = self[code] = self._rule(chr(code))
        return said


@lru_cache(maxsize=64)  # the tracks of an album share most of their texts
def fold(text: str) -> str:
    """The words of a text in their simplest spelling, separated by spaces.

    Case and diacritics are removed, ligatures and full-width forms decomposed. A character of a
    script without spaces is a word by itself, so that it is found inside a run of them; katakana
    become hiragana, Han characters those of simplified Chinese, digits of any script those of
    ASCII. `&` and `+` by themselves are `and`. Symbols are kept in a text of symbols only, and
    where three or more stand by themselves (the band `!!!`), ASCII ones in their full-width form.
    """
    if _PLAIN.fullmatch(text):
        return " ".join(text.lower().split())
    bare = text if text.isascii() else _bare(text)
    if _standing().search(bare) is not None:
        return " ".join(" ".join(_apart(bare)).split())
    return " ".join(_words(bare).split()) or " ".join(_bare(text).translate(_WIDE).split())


forget_by(fold.cache_clear)


@cache  # late: plain texts, as most queries are, need none of it
def _standing() -> re.Pattern[str]:
    return re.compile(_STANDING)


def _words(bare: str) -> str:
    if bare.isascii():
        return bare.encode("ascii").translate(_ASCII_WORDS).decode("ascii")
    return unicodedata.normalize("NFC", bare.casefold()).translate(_WORDS)


def _apart(bare: str) -> Iterator[str]:
    """The words of a text, and the symbols that stand by themselves in it."""
    begin = 0
    for match in _standing().finditer(bare):
        yield _words(bare[begin : match.start()])
        yield AND if match[1] in "&+" else match[1].translate(_WIDE)
        begin = match.end()
    yield _words(bare[begin:])


def of_symbols(folded: str) -> bool:
    """Whether a folded text has only symbols, no letter and no digit."""
    return bool(folded) and _WORDS[ord(folded[0])] == " "


def is_lost_between_words(folded: str) -> bool:
    """Whether these symbols are kept only in a text of symbols: a dash, an exclamation mark."""
    return of_symbols(folded) and not of_symbols(fold(f"{folded} a"))


def stands_alone(character: str) -> bool:
    """Whether a character is always a word by itself, never a prefix of a longer one."""
    code = ord(character)
    if code < _WITHOUT_SPACES[0][0]:
        return False
    return any(first <= code <= last for first, last in _WITHOUT_SPACES)


def _bare(text: str) -> str:
    return unicodedata.normalize("NFKD", text).translate(_BARE)


def _bared(character: str) -> str:
    """Empty for diacritics and invisible characters, a space for what is not text.

    Combining classes, Unicode Standard Annex 44, table 15: 1 strikes through, 10 to 36 are the
    points of Hebrew and Arabic, from 200 on are accents. The others (vowels of Thai, the dots that
    distinguish ga from ka) make another letter. Enclosing marks and variation selectors have none.
    """
    category = unicodedata.category(character)
    if category in {"Cc", "Cs"} or character in _NO_CHARACTERS:
        return " "
    combining = unicodedata.combining(character)
    mark = combining == 1 or 10 <= combining <= 36 or combining >= 200
    return "" if mark or category in {"Cf", "Me"} or _selects(ord(character)) else character


def _selects(code: int) -> bool:
    """A variation selector, or the joiner of graphemes."""
    return 0xFE00 <= code <= 0xFE0F or 0xE0100 <= code <= 0xE01EF or code == 0x034F


def _worded(character: str) -> str:
    code = ord(character)
    if unicodedata.category(character)[0] in "PSZ" or _EMOJI[0] <= code <= _EMOJI[1]:
        return " "
    if _KATAKANA[0] <= code <= _KATAKANA[1]:
        character = chr(code - _TO_HIRAGANA)  # one syllable, which names have in either
    if stands_alone(character):
        return f" {_simplified(character) if code >= _FIRST_HAN else character} "
    if (digit := unicodedata.decimal(character, None)) is not None:
        return str(digit)
    return _SIMPLER.get(character, character)


def _simplified(character: str) -> str:
    from indexer.store.search.han import simplified  # late: most libraries have no such name

    return simplified(character)


_BARE: Final = _Table(_bared)
_WORDS: Final = _Table(_worded)
forget_by(_BARE.clear)
forget_by(_WORDS.clear)
_ASCII_WORDS: Final = bytes(
    ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else ord(" ")
    for code in range(256)
)
"""For `bytes.translate`, which takes half the time of `str.translate`."""
_WIDE: Final = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
"""Full-width forms: to the tokenizer any character beyond ASCII is part of a word."""
_NO_CHARACTERS: Final = "\ufffe\uffff"
"""SQLite reads them as U+FFFD."""
