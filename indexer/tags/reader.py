"""A window on a file and its suffix -> a track; what mutagen cannot parse -> `Refused`."""

from __future__ import annotations

import struct
from typing import TYPE_CHECKING, BinaryIO

from mutagen import File, MutagenError

from indexer.tags import Refused
from indexer.tags.window import Window

if TYPE_CHECKING:
    from collections.abc import Callable

    from mutagen import FileType

    from indexer.model import Track

UNREADABLE = (
    MutagenError,
    OSError,  # mutagen's own, without an errno: a tag that is longer than the file
    struct.error,
    ArithmeticError,
    AssertionError,
    AttributeError,
    EOFError,
    LookupError,
    MemoryError,
    RuntimeError,  # RecursionError and NotImplementedError too
    TypeError,
    ValueError,  # UnicodeError too
)
"""What mutagen is known to throw at bad bytes."""

REASON_LIMIT = 300
"""Characters of a reason: some of mutagen's messages quote the file."""

NO_STREAM = frozenset({"APEv2File", "ID3FileType"})
"""Types of mutagen's that know a file by its tag alone; no audio was found in it."""

ADTS_SYNC = 0xFFF0
"""Twelve bits of sync, one of MPEG version, two of layer: 0 where MPEG audio has 1 to 3."""
ADTS_MASK = 0xFFF6


def read(file: BinaryIO, suffix: bytes) -> Track:
    """See `indexer.tags.read_track`."""
    family = FAMILIES[suffix]
    window = Window(file)
    verdict = _judge(window, suffix, family)
    if window.fault is not None:
        raise window.fault
    if isinstance(verdict, Refused):
        raise verdict
    return verdict


def _judge(
    window: Window, suffix: bytes, family: Callable[[Window, bytes], Track]
) -> Track | Refused:
    """The suffix says who looks first; only what nobody can read is refused, in the first's words.

    Where the window has a fault the answer means nothing.
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


def _by_content(window: Window) -> Track | Refused | None:
    """The track of a file whose suffix does not say what it is; None if nobody knows it."""
    if window.peek(4, 4) == b"ftyp":  # not to mutagen's own: see the test of a cover that hangs
        return _mp4(window)
    adts = _adts(window)
    if adts is not None:
        return adts
    window.seek(0)
    found = File(window)
    return None if found is None or type(found).__name__ in NO_STREAM else _track_of(found)


def _track_of(found: FileType) -> Track | Refused:
    """The track of what mutagen recognised: all stream info, and the tags that we can map."""
    from mutagen._vorbis import VComment
    from mutagen.id3 import ID3Tags
    from mutagen.mp4 import MP4

    from indexer.tags import columns, id3, mp4, vorbis

    if isinstance(found, MP4):
        return mp4.track(found)
    kind = type(found).__name__
    layer = getattr(found.info, "layer", None)
    codec = f"mp{layer}" if layer else kind.lower().removeprefix("ogg")
    match found.tags:
        case ID3Tags():
            return id3.track(codec, found.info, id3.tag_of(found.tags), lossless=True)
        case VComment():
            pictures = bool(getattr(found, "pictures", ()))
            return vorbis.track(codec, found.info, found.tags, has_picture=pictures, lossless=True)
        case None | []:
            return columns.track(codec, found.info, {}, lossless=True)
        case _:
            return Refused(f"{kind}: the tags of this format are not read yet")


def _adts(window: Window) -> Track | None:
    """The track of AAC without a container, which mutagen knows by its suffix only."""
    from mutagen.aac import AAC

    from indexer.tags import id3

    tag = id3.read_tag(window)
    window.seek(tag.size)
    if int.from_bytes(window.read(2)) & ADTS_MASK != ADTS_SYNC:
        return None
    window.seek(0)
    return id3.track("aac", AAC(window).info, tag)


def _id3(window: Window, _suffix: bytes) -> Track:
    from indexer.tags import id3

    return id3.read(window)


def _mp4(window: Window, _suffix: bytes = b".mp4") -> Track:
    from indexer.tags import mp4

    return mp4.read(window)


def _vorbis(window: Window, suffix: bytes) -> Track:
    from indexer.tags import vorbis

    return vorbis.read(window, suffix)


FAMILIES: dict[bytes, Callable[[Window, bytes], Track]] = {
    b".mp3": _id3,
    b".m4a": _mp4,
    b".m4b": _mp4,
    b".mp4": _mp4,
    b".flac": _vorbis,
    b".ogg": _vorbis,
    b".oga": _vorbis,
    b".opus": _vorbis,
}
"""Who looks first. Each imports its part of mutagen when its first file comes: a library of MP3
never pays for the others."""


def _reason(error: BaseException) -> str:
    """The error's class and text on one line."""
    kind = type(error).__name__
    if kind == "error":  # each module of mutagen's has one
        kind = f"{type(error).__module__.removeprefix('mutagen.').partition('.')[0]} error"
    text = " ".join(str(error).split()) or "the file ends before what it announces"
    return f"{kind}: {text}"[:REASON_LIMIT]
