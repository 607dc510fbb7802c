"""Text -> its folded words, the same for indexed text and for queries.

The full-text index contains folded text, and a track is removed from it by folding its texts again:
any change here needs a migration that fills the index again (a test detects this). A newer Python
is safe, since Unicode never changes decomposition and case of an assigned character.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Callable
from functools import lru_cache
from typing import Final

_LETTERS: Final = {
    "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th", "ħ": "h", "ŧ": "t",
    "ŋ": "n", "ƒ": "f", "\N{LATIN SMALL LETTER DOTLESS I}": "i", "ĸ": "k",
    "\N{MODIFIER LETTER TURNED COMMA}": "",      # the Hawaiian okina: Hawai'i is typed hawaii
    "\N{MODIFIER LETTER APOSTROPHE}": " ",       # as the apostrophe that is not a letter
}  # fmt: skip
"""Letters that Unicode neither decomposes nor folds to the ones that people type instead."""

_WITHOUT_SPACES: Final = (
    (0x0E00, 0x0EFF),    # Thai, Lao
    (0x1000, 0x109F), (0x1780, 0x17FF),    # Burmese, Khmer
    (0x3005, 0x3007), (0x3021, 0x3035), (0x303B, 0x303B),    # Han repeated, and as numbers
    (0x3040, 0x312F), (0x31A0, 0x31BF), (0x31F0, 0x31FF),    # Hiragana, Katakana, Bopomofo
    (0x3400, 0x4DBF), (0x4E00, 0xA4CF),    # Han, Yi
    (0x1100, 0x11FF), (0xAC00, 0xD7A3),    # Hangul
    (0x1B000, 0x1B16F), (0x20000, 0x3FFFF),    # older Kana, rarer Han
)  # fmt: skip
"""Scripts without spaces between words."""
_EMOJI: Final = (0x1F000, 0x1FBFF)
"""Symbols, including those that this Python does not know yet."""


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
    script without spaces is a word by itself, so that it is found inside a run of them. A text of
    symbols only (the band `!!!`) keeps them, ASCII ones in their full-width form.
    """
    if text.isascii():
        words = text.encode("ascii").translate(_ASCII_WORDS).decode("ascii")
    else:
        composed = unicodedata.normalize("NFC", _bare(text).casefold())
        words = composed.translate(_WORDS)
    return " ".join(words.split()) or " ".join(_bare(text).translate(_WIDE).split())


def of_symbols(folded: str) -> bool:
    """Whether a folded text has only symbols, no letter and no digit."""
    return bool(folded) and _WORDS[ord(folded[0])] == " "


def stands_alone(character: str) -> bool:
    """Whether a character is always a word by itself, never a prefix of a longer one."""
    return any(first <= ord(character) <= last for first, last in _WITHOUT_SPACES)


def _bare(text: str) -> str:
    return unicodedata.normalize("NFKD", text).translate(_BARE)


def _bared(character: str) -> str:
    """Empty for diacritics and invisible characters, a space for what is not text.

    Combining classes, Unicode Standard Annex 44, table 15: 1 strikes through, 10 to 36 are the
    points of Hebrew and Arabic, from 200 on are accents. The others (vowels of Thai, the dots that
    distinguish ga from ka) make another letter. Enclosing marks and variation selectors have none.
    """
    category = unicodedata.category(character)
    if category in {"Cc", "Cs"}:
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
    if stands_alone(character):
        return f" {character} "
    return _LETTERS.get(character, character)


_BARE: Final = _Table(_bared)
_WORDS: Final = _Table(_worded)
_ASCII_WORDS: Final = bytes(
    ord(chr(code).lower()) if code < 128 and chr(code).isalnum() else ord(" ")
    for code in range(256)
)
"""For `bytes.translate`, which takes half the time of `str.translate`."""
_WIDE: Final = {code: code + 0xFEE0 for code in range(0x21, 0x7F)}
"""Full-width forms: SQLite's tokenizer `ascii` treats any character beyond ASCII as a letter."""
