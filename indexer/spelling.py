"""Names and titles in any spelling -> one plain spelling, and the key of an album.

Two spellings are alike if a reader sees the same: `Björk` composed or decomposed (NFC, NFD), with a
blank at its end, a no-break space, or a byte order mark.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import Final

from indexer import paths
from indexer.remembered import forget_by

VARIOUS_ARTISTS: Final = "Various Artists"
"""The album artist of a compilation without one, so that it stays one album."""

_BLANKS: Final = re.compile(r"[\s\x00-\x1f\x7f-\x9f]+")
"""With `str`, `\\s` has every space of Unicode, so no-break ones, too."""
_INVISIBLE: Final = dict.fromkeys(
    (0x00AD, 0x200B, *range(0x200E, 0x2010), *range(0x202A, 0x202F), 0x2060, *range(0x2066, 0x206A),
     0xFEFF)
)  # fmt: skip
"""Soft hyphen, zero width space, marks of direction, word joiner and byte order mark. Not the
joiners of Arabic and Indic scripts and of emoji: they change what is seen."""


@lru_cache(maxsize=256)  # the tracks of an album share most of their texts
def plain(text: str) -> str:
    """The plain spelling of a text: NFC, nothing invisible, single blanks, none at the ends.

    A text of nothing else is left as it is.
    """
    if text.isascii() and text.isprintable() and "  " not in text and text == text.strip(" "):
        return text
    bare = unicodedata.normalize("NFC", text.translate(_INVISIBLE))
    return _BLANKS.sub(" ", bare).strip(" ") or text


forget_by(plain.cache_clear)


def letters_of(text: str) -> str:
    """What two names have in common that differ in signs only: `AC/DC` and the folder `ac-dc`.

    Letters and digits without accents and case; the whole caseless text where it has none (`!!!`).
    """
    caseless = _caseless(text).decode()
    apart = unicodedata.normalize("NFKD", caseless)
    return "".join(filter(str.isalnum, apart)) or caseless


def album_key(
    release: object,
    albumartist: object,
    compilation: object,
    album: object,
    root_id: int,
    path: bytes,
) -> bytes:
    """The identity of an album: its release id, else (album artist, album, root and folder).

    The values are as in the columns of `tracks`; None is a missing one. Spellings that look alike
    are equal here, as are upper and lower case: within one folder they mean one album.
    """
    if isinstance(release, str):
        return b"release\x00" + release.encode()
    if albumartist is None:
        albumartist = VARIOUS_ARTISTS if compilation else ""
    place = b"%d/%s" % (root_id, paths.album_folder(path))
    names = (_caseless(str(albumartist)), _caseless(str(album or "")))
    return b"\x00".join((b"folder", *names, place))


def _caseless(text: str) -> bytes:
    folded = plain(text).casefold()
    return (folded if folded.isascii() else unicodedata.normalize("NFC", folded)).encode()
