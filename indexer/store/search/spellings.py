"""Text -> other spellings of its words, by which people look for them.

`AC/DC` is also `acdc`, `Ke$ha` also `kesha`, `Die Ärzte` also `aerzte`, and `Кино` also `kino`. The
index has them behind the words of a text, and a query asks for each of them.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Iterator
from functools import cache, lru_cache
from typing import Final

from indexer.remembered import forget_by
from indexer.store.search.folding import fold, stands_alone

_OF_ASCII: Final = (
    r"[^\s26-9A-Za-z](?:(?<=[0-9A-Za-z][^\s0-9A-Za-z])[^\s0-9A-Za-z]*[0-9A-Za-z]|(?<=[!$@])[A-Za-z]"
    r"|(?<=[A-Za-z]\$)|(?<=[A-Za-z][01345])(?:[A-Za-z]|(?<=[A-Za-z]{3}[35])(?![0-9A-Za-z])))"
)
"""What another spelling is due for: marks between letters or digits, `!$@` before a letter, `$` or
a digit behind one. Most texts have none of it, and are not taken apart.

It begins with one class of characters, so that all others are skipped at once: 0.6 us in place of 6
for a title with brackets.
"""
_PLAIN: Final = re.compile("[A-Za-z ]*")
"""Most texts: told at once."""
_SIGN: Final = (
    r"(?<=[a-z])[!@\u00a1\u2020](?=[a-z])|^!(?=[a-z]{2})|[$\u20ac](?=[a-z$])|(?<=[a-z$])[$\u20ac]"
    r"|(?<=[a-z])[01345](?=[a-z])|(?<=[a-z]{3})[35](?![0-9a-z])"
    r"|[^\x00-\xa1\u2020\u20ac]"
)
_SIGNS: Final = {
    "!": "i", "\u00a1": "i", "@": "a", "$": "s", "\u20ac": "e", "\u2020": "t",
    "0": "o", "1": "i", "3": "e", "4": "a", "5": "s",
    "\u2206": "a", "\u03b4": "a", "\u03bb": "a", "\u03b1": "a", "\u028c": "a", "\u2c6f": "a",
    "\u03be": "e", "\u03c3": "e", "\u03c2": "e", "\u03b5": "e", "\u01dd": "e", "\u0454": "e",
    "\u044d": "e", "\u03c9": "o", "\u03b8": "o", "\u25cb": "o", "\u25cf": "o", "\u262e": "o",
    "\u0438": "n", "\u044f": "r", "\u0448": "w", "\u00a2": "c", "\u00a3": "l", "\u00a5": "y",
    "\u03bc": "mu", "\u00d7": "x",
}  # fmt: skip
"""Signs, and letters of other scripts, that stylized Latin names have for a letter: P!nk, M@tt,
Ke$ha, deadmau5, S3RL, CHVRCH\u039eS, V\u2206LVE, Ko\u042fn, \u00b5-Ziq, 4\u00d74=12. Lower case; a
table of our own."""
_UMLAUTS: Final = {
    ord("ä"): "ae", ord("ö"): "oe", ord("ü"): "ue", ord("å"): "aa", ord("ø"): "oe",
}  # fmt: skip
"""As they are written where a keyboard lacks them, in German and the Nordic languages."""
_YO: Final = {ord("\u0451"): "yo", ord("\u0457"): "yi"}
"""Cyrillic letters that lose a sound with their dots."""
_STRONG: Final = r"[/;,&+|\\]"
"""Marks between two names, as in `JAY-Z/Linkin Park`."""
_LATIN: Final = "[a-z\u00d7]"
"""With the sign for times, which is an x also between digits, and by itself."""
_HAN: Final = (
    (0x2E80, 0x2FDF), (0x3005, 0x3007), (0x3021, 0x303B), (0x3100, 0x312F), (0x31A0, 0x31BF),
    (0x3400, 0xA4CF), (0xF900, 0xFAFF), (0x20000, 0x3FFFF),
)  # fmt: skip
"""Han and Yi: how they are read depends on the language, so they are not transliterated."""
_DOUBLED: Final = "\N{HIRAGANA LETTER SMALL TU}"
_SMALL: Final = {
    "\u3083": "ya", "\u3085": "yu", "\u3087": "yo", _DOUBLED: _DOUBLED,
    "\u3041": "a", "\u3043": "i", "\u3045": "u", "\u3047": "e", "\u3049": "o",
}  # fmt: skip
"""Small hiragana, to which katakana are folded; in Hepburn's romanization."""
_PALATAL: Final = ("sh", "ch", "j")
_LONGEST_WORD: Final = 1000
"""Characters of a word that are indexed: as many as are read of a question. Beyond 32 768 bytes
FTS5 would cut it, even within a character (FTS5_MAX_TOKEN_SIZE in fts5Int.h)."""
_LONGEST: Final = 60
"""Maximum characters of a word with other spellings. A guess."""
_MOST: Final = 50
"""Maximum other spellings of one text. A guess."""


@cache  # late: it takes as long to compile as a search for a plain word, which needs none of it
def _due() -> re.Pattern[str]:
    return re.compile(_OF_ASCII)


@lru_cache(maxsize=128)  # as `fold`; there are more kinds of texts here
def searchable(text: str) -> str:
    """A text as it is in the index: its folded words, then their other spellings."""
    if len(text) <= _LONGEST_WORD and _PLAIN.fullmatch(text):
        return " ".join(text.lower().split())  # as `fold` does it, which need not remember it
    folded = fold(text)
    if len(folded) > _LONGEST_WORD:
        folded = " ".join(word[:_LONGEST_WORD] for word in folded.split(" "))
    if text.isascii() and _due().search(text) is None:
        return folded
    words = folded.split()
    more = [word for word in other_spellings(text) if word not in words]
    return " ".join([folded, *more[:_MOST]]) if more else folded


forget_by(searchable.cache_clear)


def other_spellings(text: str) -> tuple[str, ...]:
    """The other spellings of all words of a text, each one word."""
    found: list[str] = []
    for chunk in text.split():
        if not chunk.isascii() or (not chunk.isalpha() and _due().search(chunk)):
            found += _of_word(chunk)
    return tuple(dict.fromkeys(found))


@lru_cache(maxsize=2048)  # a few words make up most texts; 0.5 MB
def _of_word(chunk: str) -> tuple[str, ...]:
    if len(chunk) > _LONGEST:
        return ()
    folded = fold(chunk)
    if folded and stands_alone(folded[0]):
        return tuple(_transliterated(folded))
    return tuple(_of(chunk, folded))


forget_by(_of_word.cache_clear)


def _of(chunk: str, folded: str) -> Iterator[str]:
    signed = _without_signs(chunk)
    if signed is None:
        yield from _joined(chunk, folded)
    else:
        yield from _new(signed, folded)
    if "&" in chunk:
        yield fold(chunk.replace("&", "n")).replace(" ", "")
    if chunk.isascii():
        return
    composed = unicodedata.normalize("NFC", chunk).casefold()
    written_out = composed.translate(_UMLAUTS)
    if written_out != composed:
        yield from _new(written_out, folded)
    if not folded.isascii():
        yield from _transliterated(folded)
        if (sounded := composed.translate(_YO)) != composed:
            yield from _transliterated(fold(sounded))


def _joined(chunk: str, folded: str) -> Iterator[str]:
    """The parts of a word between its marks as one: `acdc`, `rem`, `10000`, `dont`."""
    parts = folded.split()
    if len(parts) < 2 or (not folded.isascii() and any(map(stands_alone, folded))):
        return
    yield "".join(parts)
    names = re.split(_STRONG, chunk)
    if len(names) > 1:
        for name in names:
            yield from _joined("", fold(name))


def _new(written: str, folded: str) -> Iterator[str]:
    """The words of another way to write it that the folded text has not, and these as one."""
    parts = fold(written).split()
    if any(stands_alone(part[0]) for part in parts):
        return
    before = set(folded.split())
    yield from (part for part in parts if part not in before)
    if len(parts) > 1:
        yield "".join(parts)


def _without_signs(chunk: str) -> str | None:
    """A Latin word with letters in place of its signs; None if it has none."""
    low = unicodedata.normalize("NFC", chunk.casefold())
    if re.search(_LATIN, low) is None:
        return None
    written = re.sub(_SIGN, lambda sign: _SIGNS.get(sign[0], sign[0]), low)
    return None if written == low else written


def _transliterated(folded: str) -> Iterator[str]:
    """The words in Latin letters, a run of a script without spaces as one."""
    from anyascii import anyascii  # late: a library of Latin names needs none of it

    if not any(_is_han(letter) for letter in folded):
        words = [folded.replace(" ", "")] if stands_alone(folded[0]) else folded.split()
        for word in words:
            if not word.isascii() and (latin := _letters(_joined_syllables(word, anyascii))):
                yield latin


def _joined_syllables(word: str, latin_of: Callable[[str], str]) -> str:
    """A word in Latin letters, where small kana change the syllable before: `kya`, `sha`, `fa`.

    Small tsu doubles the consonant that follows.
    """
    if not any(letter in _SMALL for letter in word):
        return latin_of(word)
    latin = ""
    for letter in word:
        small = _SMALL.get(letter)
        after = latin_of(letter) if small is None else small
        if latin.endswith(_DOUBLED):
            latin = latin.removesuffix(_DOUBLED) + after[:1]
        if small and small != _DOUBLED and latin[-1:].isalpha():
            after = small[1:] if latin[:-1].endswith(_PALATAL) else small
            latin = latin[:-1]
        latin += after
    return latin.removesuffix(_DOUBLED)


def _letters(text: str) -> str:
    return "".join(letter for letter in text.lower() if letter.isalnum())


def _is_han(letter: str) -> bool:
    return any(first <= ord(letter) <= last for first, last in _HAN)
