"""Files beside the music that say something of it: pictures, lyrics and playlists; their names."""

from __future__ import annotations

import unicodedata
from enum import Enum
from typing import Final

from indexer.artwork.model import PICTURE_SUFFIXES
from indexer.model import Stamp
from indexer.paths import name_of, suffix_of

LYRICS_SUFFIX: Final = b".lrc"
PLAYLIST_SUFFIXES: Final = (b".m3u", b".m3u8")
NO_STAMP: Final = Stamp(0, 0, 0, 0)
"""Of a file of lyrics: that it is there is all that is asked of it, so a listing tells enough."""
_FALLBACK: Final = ("cp1252", "latin-1")
"""What older programs on Windows wrote; the second has a letter for each byte."""


class SidecarKind(Enum):
    """What such a file is, by its suffix."""

    PICTURE = "picture"
    LYRICS = "lyrics"
    PLAYLIST = "playlist"


class PlaylistError(Exception):
    """A playlist that is refused: the message says in plain words why.

    It says nothing of any track, and trying again is useless until the stamp changes.
    """


_KINDS: Final = {
    **dict.fromkeys(PICTURE_SUFFIXES, SidecarKind.PICTURE),
    **dict.fromkeys(PLAYLIST_SUFFIXES, SidecarKind.PLAYLIST),
    LYRICS_SUFFIX: SidecarKind.LYRICS,
}

SIDECAR_SUFFIXES: Final = frozenset(_KINDS)


def kind_of(path: bytes) -> SidecarKind:
    """The kind of a file that `PathFilter.sidecar` wants."""
    return _KINDS[path[path.rindex(b".") :].lower()]


def known_kind_of(name: bytes) -> SidecarKind | None:
    """The kind of a file by its name; None: of no kind."""
    return _KINDS.get(suffix_of(name))


def stem_of(path: bytes) -> bytes:
    """The name of a file without its suffix."""
    name = name_of(path)
    return name[: len(name) - len(suffix_of(name))]


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


def folded(name: bytes) -> bytes:
    """What two names have in common that differ in case, or in how their accents are written.

    Accents may be composed or not (NFC, NFD); other systems take such names for one.
    """
    if name.isascii():
        return name.lower()
    text = unicodedata.normalize("NFC", text_of(name)).casefold()
    return unicodedata.normalize("NFC", text).encode()
