"""One open audio file -> the `Track` it says it is.

A reader a family of formats: `id3` (MP3), `vorbis` (FLAC, Ogg Vorbis, Ogg FLAC, Opus), `mp4`.
mutagen parses; it is imported here and nowhere else, and only as much of it as the file at hand
needs. Whoever wants only `SUFFIXES` imports none of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from indexer.model import Track

READER_VERSION: int = 1
"""Raised whenever a reader's output changes; files that were refused are then tried again."""

SUFFIXES: frozenset[bytes] = frozenset(
    {b".mp3", b".flac", b".m4a", b".m4b", b".mp4", b".ogg", b".oga", b".opus"}
)
"""What is read, in lower case."""


class Refused(Exception):
    """The bytes cannot be parsed. Keep the stamp, and do not try again until it changes.

    Its text is the reason, one line.
    """


def read_track(file: BinaryIO, suffix: bytes) -> Track:
    """What the open file says of itself; `suffix` (one of `SUFFIXES`) says which reader begins.

    Raises `Refused` when the bytes are at fault, and the `OSError` itself when the machine is.
    The file is neither opened nor closed here, and no more of it is read than its tags need.
    """
    from indexer.tags import reader  # late: it imports mutagen

    return reader.read(file, suffix)
