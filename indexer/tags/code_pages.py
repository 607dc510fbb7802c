"""Texts of a tag -> whether they were decoded with the wrong code page, and which one it was.

Old taggers wrote text in a local code page (cp1251, Shift-JIS, GBK) into tags that declare Latin-1
or UTF-8, and other tools copied the misread text into UTF-8 tags.

- Read as Latin-1, such a text has only characters of Latin-1, in unlikely sequences: no language
  that uses Latin-1 has four different accented letters in a row. The test is a guess, made so that
  a real name is not suspected; a short text (three letters of Russian) is missed.
- Bytes that should be UTF-8 and are not: all texts of a tag are judged together, since one is often
  too short. What is not clear stays Latin-1, by which no byte is lost, and which `misread` tells.

Sources: the tables of cp1251; GB 2312-80 (rows 16 to 55: the 3755 common characters).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_WORTH_A_LOOK = re.compile("[\x80-\xff]{2}|[\x81-\x9f]")
_LATIN_RUN = re.compile("[\x80-\x9f\xa1-\xff]{4,}")  # without the no-break space
_SHIFT_JIS_PAIR = re.compile("[\x81-\x9f][\x40-\x7e\x80-\xfc]")
"""A two-byte character of the first half of JIS X 0208; the lead bytes of the second half are
letters of Latin-1, and prove nothing."""

LATIN: Final = "latin-1"
_RUN = re.compile(rb"[\x80-\xff]+")
_CYRILLIC_RUN = re.compile(rb"[\x80-\x84\x86-\x92\x98-\x9f\xa1-\xaa\xac-\xb8\xba\xbc-\xff]+")
"""Without quotation marks, dashes, the ellipsis, the no-break space and the number sign."""
_CYRILLIC_WORD = re.compile(
    rb"[\xc0-\xdf\xa5\xa8\xaa\xaf\xb2]?[\xe0-\xff\xb3\xb4\xb8\xba\xbf]*"  # Word, word
    rb"|[\xc0-\xdf\xa5\xa8\xaa\xaf\xb2]+"  # WORD
)
"""Russian, Ukrainian and Belarusian letters in cp1251."""
_HAN_PAIR = re.compile(rb"([\xb0-\xd7])[\xa1-\xfe]|[\x81-\xfe][\x40-\x7e\x80-\xfe]")
REACH: Final = 4096
"""Bytes that are judged. A guess: few tags have more text."""
ENOUGH_LETTERS: Final = 4
ENOUGH_PAIRS: Final = 3
"""Minimum letters or characters that prove a code page. Both are guesses."""
LAST_OF_HANGUL: Final = 0xC8
"""The highest first byte of a syllable in EUC-KR: all of them are Chinese characters in GBK."""


def misread(text: str) -> bool:
    """Whether the text looks like cp1251, Shift-JIS, UTF-8 or the like, read as Latin-1."""
    if text.isascii() or not _WORTH_A_LOOK.search(text):
        return False
    try:
        content = text.encode("latin-1")
    except UnicodeEncodeError:
        return False  # not decoded as Latin-1
    return (
        any(_is_foreign(run) for run in _LATIN_RUN.findall(text))
        or is_shift_jis(text)
        or _is_utf_8(content)
    )


def legacy_text(content: bytes) -> str:
    """A text that is not UTF-8, though it should be: of a Windows code page, by its looks of 1252.

    Text that looks like another code page is decoded as Latin-1, by which `misread` knows it.
    """
    latin = content.decode("latin-1")
    try:
        return latin if misread(latin) else content.decode("cp1252")
    except UnicodeDecodeError:
        return latin


def _is_foreign(run: str) -> bool:
    """Whether a run of characters beyond ASCII is a word: not `Jäääär`, not `°º¤ø`."""
    letters = sum(character >= "\xc0" for character in run)
    return len(set(run)) >= 3 and 3 * letters >= len(run)


def is_shift_jis(text: str) -> bool:
    """Whether most of the text is pairs; some lead bytes are quotation marks in cp1252."""
    pairs = _SHIFT_JIS_PAIR.findall(text)
    return len(set(pairs)) >= 2 and 2 * len(pairs) >= 0.75 * len("".join(text.split()))


def _is_utf_8(content: bytes) -> bool:
    return _in_utf_8(content) is not None


def decoded(pairs: Sequence[tuple[str, bytes]]) -> dict[str, list[str]]:
    """The texts of a tag by name: in UTF-8, or all others in the code page that they share."""
    several: dict[str, list[str]] = {}
    others = [content for _, content in pairs if _in_utf_8(content) is None]
    code_page = code_page_of(others) if others else LATIN
    for name, content in pairs:
        text = _in_utf_8(content)
        several.setdefault(name, []).append(content.decode(code_page) if text is None else text)
    return several


def _in_utf_8(content: bytes) -> str | None:
    try:
        return content.decode()
    except UnicodeDecodeError:
        return None


def code_page_of(texts: Iterable[bytes]) -> str:
    """The name of the code page of these texts, of which at least one is not UTF-8."""
    content = b"\n".join(texts)
    head = content[:REACH]
    latin = head.decode(LATIN)
    if not misread(latin):
        return "cp1252" if _fits(content, "cp1252") else LATIN
    if _is_cyrillic(head) and _fits(content, "cp1251"):
        return "cp1251"
    if is_shift_jis(latin) and _fits(content, "cp932"):
        return "cp932"
    return "gbk" if _fits(content, "gbk") and _is_chinese(head) else LATIN


def _fits(content: bytes, code_page: str) -> bool:
    try:
        content.decode(code_page)
    except UnicodeDecodeError:
        return False
    return True


def _is_cyrillic(content: bytes) -> bool:
    """Whether each run beyond ASCII is a word of Cyrillic letters, with a capital only in front."""
    runs = _CYRILLIC_RUN.findall(content)
    return sum(map(len, runs)) >= ENOUGH_LETTERS and all(map(_CYRILLIC_WORD.fullmatch, runs))


def _is_chinese(content: bytes) -> bool:
    """Whether three in four characters are common ones of GB 2312, and cannot all be Korean."""
    pairs = [pair for run in _RUN.findall(content) for pair in _HAN_PAIR.finditer(run)]
    common = [pair[1][0] for pair in pairs if pair[1]]
    return (
        len(common) >= ENOUGH_PAIRS
        and 4 * len(common) >= 3 * len(pairs)
        and max(common) > LAST_OF_HANGUL
    )
