"""An open audio file -> its `Track`.

One reader per family of formats: `bare` (MPEG audio, AAC, AC-3, True Audio), `vorbis` (FLAC and
Ogg), `mp4`, `asf`, `chunks` (WAV, AIFF, DSF, DSDIFF), `apev2` (Monkey's Audio, Musepack, OptimFROG,
TAK, WavPack). Common files are read by our own readers, in bounded time and memory for any bytes;
all others are parsed by mutagen, which has no such bounds. Only this package imports mutagen, and
only the modules that the current file needs; `read_plain` imports none of it.
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

READER_VERSION: int = 4
"""Raised whenever a reader's output changes; files that were refused are then tried again."""

SUFFIXES: frozenset[bytes] = frozenset(
    b".mp3 .mp2 .mp1 .m2a .aac .ac3 .eac3 .ec3 .tta"
    b" .flac .ogg .oga .oggflac .opus .spx"
    b" .m4a .m4b .m4p .m4r .mp4"
    b" .wma .asf"
    b" .wav .wave .aif .aiff .aifc .dsf .dff"
    b" .ape .mpc .mp+ .mpp .ofr .ofs .tak .wv".split()
)
"""Suffixes that are read, in lower case: all that mutagen knows as audio, except MIDI, which has no
tags, and those that nearly always belong to films (3gp, m4v, mpg, ogv, wmv)."""


class Refused(Exception):
    """The bytes cannot be parsed. Keep the stamp, and do not try again until it changes.

    Its text is the reason, one line.
    """


def read_track(file: BinaryIO, suffix: bytes) -> Track:
    """Read tags and stream info; `suffix` (one of `SUFFIXES`) selects the reader tried first.

    Raises `Refused` when the bytes are invalid, and the `OSError` itself when reading fails. The
    file is neither opened nor closed here, and no more of it is read than its tags need. If its
    attribute `ours_only` is true, it is read as by `read_plain`.
    """
    if getattr(file, "ours_only", False):
        return read_plain(file, suffix)
    return _reader("reader")(Window(file), suffix)


def read_plain(file: BinaryIO, suffix: bytes) -> Track:
    """Like `read_track`, by our own readers only: bounded time and memory for any bytes.

    Raises `Declined` if the file needs mutagen; call `read_track` then, in a process that may run
    for a long time or crash.
    """
    return _reader("fast")(Window(file, ours_only=True), suffix)


@cache
def _reader(module: str) -> Callable[[Window, bytes], Track]:
    """Import the reading module when its first file comes."""
    read: Callable[[Window, bytes], Track] = import_module(f"indexer.tags.{module}").read
    return read
