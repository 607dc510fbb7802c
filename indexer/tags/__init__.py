"""One open audio file -> the `Track` it says it is.

A reader a family of formats: `bare` (MPEG audio, AAC, AC-3, True Audio), `vorbis` (FLAC and Ogg),
`mp4`, `asf`, `chunks` (WAV, AIFF, DSF, DSDIFF), `apev2` (Monkey's Audio, Musepack, OptimFROG, TAK,
WavPack). What is usual is read by readers of our own, which take a bounded time and memory for any
bytes; all else is parsed by mutagen, which does not. It is imported here and nowhere else, and only
as much of it as the file at hand needs: not at all by `read_plain`.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

from indexer.tags.window import Declined, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexer.model import Track

__all__ = ("READER_VERSION", "SUFFIXES", "Declined", "Refused", "read_plain", "read_track")

READER_VERSION: int = 3
"""Raised whenever a reader's output changes; files that were refused are then tried again."""

SUFFIXES: frozenset[bytes] = frozenset(
    b".mp3 .mp2 .mp1 .m2a .aac .ac3 .eac3 .ec3 .tta"
    b" .flac .ogg .oga .oggflac .opus .spx"
    b" .m4a .m4b .m4p .m4r .mp4"
    b" .wma .asf"
    b" .wav .wave .aif .aiff .aifc .dsf .dff"
    b" .ape .mpc .mp+ .mpp .ofr .ofs .tak .wv".split()
)
"""What is read, in lower case: all that mutagen knows as audio. Left out are MIDI, which has no
tags, and what is nearly always a film (3gp, m4v, mpg, ogv, wmv)."""


class Refused(Exception):
    """The bytes cannot be parsed. Keep the stamp, and do not try again until it changes.

    Its text is the reason, one line.
    """


def read_track(file: BinaryIO, suffix: bytes) -> Track:
    """What the open file says of itself; `suffix` (one of `SUFFIXES`) says which reader begins.

    Raises `Refused` when the bytes are at fault, and the `OSError` itself when the machine is.
    The file is neither opened nor closed here, and no more of it is read than its tags need. One
    whose attribute `ours_only` is true is read as `read_plain` does.
    """
    if getattr(file, "ours_only", False):
        return read_plain(file, suffix)
    return _reader("reader")(Window(file), suffix)


def read_plain(file: BinaryIO, suffix: bytes) -> Track:
    """The same by our own readers alone, in bounded time and memory, whatever the bytes are.

    Raises `Declined` where they leave the file to mutagen; `read_track` is then to be called in a
    process that may take long, or die of it.
    """
    return _reader("fast")(Window(file, ours_only=True), suffix)


@cache
def _reader(module: str) -> Callable[[Window, bytes], Track]:
    """What reads, imported when the first file comes."""
    read: Callable[[Window, bytes], Track] = import_module(f"indexer.tags.{module}").read
    return read
