"""A text -> whether it was decoded with the wrong code page.

Old taggers wrote text in a local code page (cp1251, Shift-JIS, GBK) into tags that declare Latin-1,
and other tools copied the misread text into UTF-8 tags. Such a text has only characters of Latin-1,
in unlikely sequences: no language that uses Latin-1 has four different accented letters in a row.
The test is a guess, made so that a real name is not suspected; a short text (three letters of
Russian) is missed.
"""

from __future__ import annotations

import re

_WORTH_A_LOOK = re.compile("[\x80-\xff]{2}|[\x81-\x9f]")
_RUN = re.compile("[\x80-\x9f\xa1-\xff]{4,}")  # without the no-break space
_SHIFT_JIS_PAIR = re.compile("[\x81-\x9f][\x40-\x7e\x80-\xfc]")
"""A two-byte character of the first half of JIS X 0208; the lead bytes of the second half are
letters of Latin-1, and prove nothing."""


def misread(text: str) -> bool:
    """Whether the text looks like cp1251, Shift-JIS, UTF-8 or the like, read as Latin-1."""
    if text.isascii() or not _WORTH_A_LOOK.search(text):
        return False
    try:
        content = text.encode("latin-1")
    except UnicodeEncodeError:
        return False  # not decoded as Latin-1
    return (
        any(_is_foreign(run) for run in _RUN.findall(text))
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
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
