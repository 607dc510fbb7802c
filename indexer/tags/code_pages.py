"""Texts that should be UTF-8 and are not -> the code page in which they were written.

Old programs for Windows wrote the local code page of their user into tags that have no field for
it. All texts of a tag are judged together, since one is often too short. What is not clear stays
Latin-1, by which no byte is lost, and which `misread` then tells.

Sources: the tables of cp1251; GB 2312-80 (rows 16 to 55: the 3755 common characters).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from indexer.tags.misread import is_shift_jis, misread

if TYPE_CHECKING:
    from collections.abc import Iterable

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
