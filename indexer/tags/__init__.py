"""An open audio file -> its `Track`.

One reader per family of formats: `bare` (MPEG audio, AAC, AC-3, True Audio), `vorbis` (FLAC and
Ogg), `mp4`, `matroska`, `asf`, `chunks` (WAV, AIFF), `wave64`, `caf`, `dsd` (DSF, DSDIFF), `apev2`
(Monkey's Audio, Musepack, OptimFROG, TAK, WavPack). Common files are read by our own readers, in
bounded time and memory for any bytes; all others are parsed by mutagen, which has no such bounds.
Only this package imports mutagen, and only the modules that the current file needs; `read_plain`
imports none of it.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, BinaryIO

from msgspec.structs import force_setattr

from indexer.tags.extent import share_there
from indexer.tags.families import OF_OURS, Family, family_of
from indexer.tags.plausible import LIKELY, without_impossible
from indexer.tags.window import Declined, Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexer.model import Track

__all__ = (
    "READER_VERSION",
    "SUFFIXES",
    "Declined",
    "NoAudio",
    "Refused",
    "mutagens_errors",
    "read_plain",
    "read_track",
)

READER_VERSION: int = 10
"""Raised whenever a reader's output changes; files that were refused are then tried again.

What was read before is read again where its family may tell something else now: see `CHANGED_IN`
in `families`."""

SUFFIXES: frozenset[bytes] = frozenset(
    b".mp3 .mp2 .mp1 .m2a .mpga .aac .adts .ac3 .eac3 .ec3 .tta"
    b" .flac .ogg .oga .ogx .oggflac .opus .spx"
    b" .m4a .m4b .m4p .m4r .mp4 .f4a .3ga .alac"
    b" .mka .webm .weba"
    b" .wma .asf"
    b" .wav .wave .bwf .w64 .caf .aif .aiff .aifc .afc .dsf .dff"
    b" .ape .mpc .mp+ .mpp .ofr .ofs .tak .wv".split()
)
"""Suffixes that are read, in lower case: all that mutagen knows as audio, Matroska, CAF and Wave64.
Without MIDI and trackers, which hold notes, and those that nearly always belong to films (3gp, m4v,
mkv, mpg, ogv, wmv)."""


class Refused(Exception):
    """The bytes cannot be parsed. Keep the stamp, and do not try again until it changes.

    Its text is the reason, one line.
    """


class NoAudio(Refused):
    """The file is sound in its bytes and has no sound, which its suffix does not promise either."""


def read_track(file: BinaryIO, suffix: bytes) -> Track:
    """Read tags and stream info; `suffix` (one of `SUFFIXES`) selects the reader tried first.

    Raises `Refused` when the bytes are invalid, `NoAudio` when they are a film without sound or the
    like, and the `OSError` itself when reading fails. The
    file is neither opened nor closed here, and no more of it is read than its tags need. If its
    attribute `ours_only` is true, it is read as by `read_plain`; its attribute `keep_tags` names
    other tags to read (`further.Keep`).
    """
    if getattr(file, "ours_only", False):
        return read_plain(file, suffix)
    return _read(_with_mutagen(), Window(file), suffix)


def read_plain(file: BinaryIO, suffix: bytes) -> Track:
    """Like `read_track`, by our own readers only: bounded time and memory for any bytes.

    Raises `Declined` if the file needs mutagen; call `read_track` then, in a process that may run
    for a long time or crash.
    """
    return _read(_by_ours, Window(file, ours_only=True), suffix)


def _by_ours(window: Window, suffix: bytes) -> Track:
    if window.size == 0:
        raise Refused("the file is empty")
    if suffix not in OF_OURS:
        raise Declined
    try:
        return family_of(suffix)(window, suffix)
    except Declined:
        raise
    except Exception as error:
        if window.fault is not None:
            raise window.fault from error
        raise Declined from error


def _read(read: Family, window: Window, suffix: bytes) -> Track:
    """The track that is read, with the essence of its sound, and the share that is there."""
    track = read(window, suffix)
    # Made a moment ago, and not handed out yet: a copy would take as long as the essence itself.
    if not window.is_measured:
        force_setattr(track, "short", share_there(window))
    length = track.duration
    if length is not None and (length * LIKELY > window.size or track.codec == "pcm"):
        without_impossible(track, window.size)
    force_setattr(track, "essence", _essence()(window, track.codec))
    return track


@cache
def _essence() -> Callable[[Window, str], bytes]:
    essence_of: Callable[[Window, str], bytes] = import_module("indexer.tags.essence").essence_of
    return essence_of


@cache
def _with_mutagen() -> Family:
    """The reader of all other files, imported when the first one comes."""
    read: Family = import_module("indexer.tags.reader").read
    return read


@cache
def mutagens_errors() -> tuple[type[Exception], ...]:
    """The exceptions that mutagen is known to raise for bad bytes."""
    import struct

    from mutagen import MutagenError

    return (
        MutagenError,
        OSError,  # mutagen's own, without an errno: a tag that is longer than the file
        struct.error,
        ArithmeticError,
        AssertionError,
        AttributeError,
        EOFError,
        LookupError,
        RuntimeError,  # RecursionError and NotImplementedError too
        TypeError,
        ValueError,  # UnicodeError too
    )
