"""A text -> whether it was written in another code page than the one it was read in.

Old taggers wrote the code page of their country into tags that claim Latin-1: cp1251, Shift-JIS,
GBK. And tools that did not know copied what they read of it into tags of UTF-8. Such a text has
only characters of Latin-1, and of the wrong kind: no language that Latin-1 was made for writes
four different accented letters in a row. A guess, made so that a real name is not suspected; a
short one (three letters of Russian) is not found.
"""

from __future__ import annotations

import re

_WORTH_A_LOOK = re.compile("[\x80-\xff]{2}|[\x81-\x9f]")
_RUN = re.compile("[\x80-\x9f\xa1-\xff]{4,}")  # without the space that does not break
_SHIFT_JIS_PAIR = re.compile("[\x81-\x9f][\x40-\x7e\x80-\xfc]")
"""A character of two bytes of JIS X 0208, first half; the second half begins like a letter of
Latin-1 and proves nothing."""


def misread(text: str) -> bool:
    """Whether the text looks like cp1251, Shift-JIS, UTF-8 or the like, read as Latin-1."""
    if text.isascii() or not _WORTH_A_LOOK.search(text):
        return False
    try:
        content = text.encode("latin-1")
    except UnicodeEncodeError:
        return False  # it has other characters than Latin-1's: it was read as something else
    return (
        any(_is_foreign(run) for run in _RUN.findall(text))
        or _is_shift_jis(text)
        or _is_utf_8(content)
    )


def _is_foreign(run: str) -> bool:
    """Whether a row of characters beyond ASCII is a word: not `Jäääär`, not `°º¤ø`."""
    letters = sum(character >= "\xc0" for character in run)
    return len(set(run)) >= 3 and 3 * letters >= len(run)


def _is_shift_jis(text: str) -> bool:
    """Whether most of the text is pairs; cp1252 has its quotation marks among the first bytes."""
    pairs = _SHIFT_JIS_PAIR.findall(text)
    return len(set(pairs)) >= 2 and 2 * len(pairs) >= 0.75 * len("".join(text.split()))


def _is_utf_8(content: bytes) -> bool:
    try:
        content.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True
