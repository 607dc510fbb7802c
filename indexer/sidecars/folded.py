"""Names on the disk, or in a playlist -> what is equal where only their spelling differs.

Case, and accents that are composed or not (NFC, NFD): other systems take such names for one.
"""

from __future__ import annotations

import unicodedata
from typing import Final

_FALLBACK: Final = ("cp1252", "latin-1")
"""What older programs on Windows wrote; the second has a letter for each byte."""

_M3U8: Final = b".m3u8"


def text_of(name: bytes) -> str:
    """A name as text: UTF-8, else the code page of Western Europe."""
    try:
        return name.decode("utf-8")
    except UnicodeDecodeError:
        pass
    for encoding in _FALLBACK:
        try:
            return name.decode(encoding)
        except UnicodeDecodeError:
            continue
    raise AssertionError("unreachable: Latin-1 has a letter for each byte")


def line_text(line: bytes, suffix: bytes) -> str:
    """A line of a playlist as text; one with the suffix `.m3u8` is UTF-8 by its name."""
    return line.decode("utf-8", "replace") if suffix == _M3U8 else text_of(line)


def folded(name: bytes) -> bytes:
    """What two names have in common that differ in case, or in how their accents are written."""
    if name.isascii():
        return name.lower()
    text = unicodedata.normalize("NFC", text_of(name)).casefold()
    return unicodedata.normalize("NFC", text).encode()
