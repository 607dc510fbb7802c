"""A window on a file and its suffix -> a track, or `Refused` if mutagen cannot parse it."""

from __future__ import annotations

import struct

from mutagen import File, MutagenError

from indexer.model import Track
from indexer.tags import Refused
from indexer.tags.families import FAMILIES, Family, family_of
from indexer.tags.window import Window

__all__ = ("FAMILIES", "Family", "family_of", "read")

UNREADABLE = (
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
"""Exceptions that mutagen is known to raise for bad bytes."""

REASON_LIMIT = 300
"""Maximum characters of a reason: some of mutagen's messages quote the file."""


def read(window: Window, suffix: bytes) -> Track:
    """See `indexer.tags.read_track`."""
    verdict = _judge(window, suffix, family_of(suffix))
    if window.fault is not None:
        raise window.fault
    if isinstance(verdict, Refused):
        raise verdict
    return verdict


def _judge(window: Window, suffix: bytes, family: Family) -> Track | Refused:
    """Try the suffix's reader, then the content; refuse with the first reader's message.

    If the window has a fault, the result is meaningless.
    """
    if window.size == 0:
        return Refused("the file is empty")
    try:
        return family(window, suffix)
    except UNREADABLE as error:
        refused = Refused(_reason(error))
    if window.fault is not None:
        return refused
    try:
        return _by_content(window) or refused
    except UNREADABLE:
        return refused


def _by_content(window: Window) -> Track | None:
    """The track of a file whose suffix is wrong; None if no reader recognizes the content."""
    if window.peek(4, 4) == b"ftyp":  # not mutagen's class: see the test of a cover that hangs
        suffix = b".m4a"
    elif _is_adts(window):
        suffix = b".aac"
    else:
        window.seek(0)
        suffix = SUFFIX_OF.get(type(File(window)).__name__, b"")
    return family_of(suffix)(window, suffix) if suffix else None


def _is_adts(window: Window) -> bool:
    from indexer.tags import bare

    return bare.is_adts(window)


SUFFIX_OF = {
    "AAC": b".aac",
    "AC3": b".ac3",
    "AIFF": b".aiff",
    "ASF": b".wma",
    "DSDIFF": b".dff",
    "DSF": b".dsf",
    "FLAC": b".flac",
    "MP3": b".mp3",
    "MP4": b".m4a",
    "MonkeysAudio": b".ape",
    "Musepack": b".mpc",
    "OggFLAC": b".oggflac",
    "OggOpus": b".opus",
    "OggSpeex": b".spx",
    "OggTheora": b".ogv",
    "OggVorbis": b".ogg",
    "OptimFROG": b".ofr",
    "TAK": b".tak",
    "TrueAudio": b".tta",
    "WAVE": b".wav",
    "WavPack": b".wv",
}
"""mutagen's class -> the suffix of its format. Without the classes that recognize a file by its tag
alone, without audio (APEv2File, ID3FileType), and without SMF, which has no tags."""


def _reason(error: BaseException) -> str:
    """The error's class and text on one line."""
    kind = type(error).__name__
    if kind == "error":  # each module of mutagen has a class of this name
        kind = f"{type(error).__module__.removeprefix('mutagen.').partition('.')[0]} error"
    text = " ".join(str(error).split()) or "the file ends before what it announces"
    return f"{kind}: {text}"[:REASON_LIMIT]
