"""A window on a file and its suffix -> a track, or `Refused` if mutagen cannot parse it."""

from __future__ import annotations

import errno

from mutagen import File

from indexer.model import Track
from indexer.tags import NoAudio, Refused, leading, mpeg_search, mutagens_errors
from indexer.tags.families import FAMILIES, SUFFIXES_OF_FAMILIES, Family, family_of
from indexer.tags.id3 import id3_tag, id3v1
from indexer.tags.window import Window, window_on

__all__ = ("FAMILIES", "Family", "family_of", "read")

REASON_LIMIT = 300
"""Maximum characters of a reason: some of mutagen's messages quote the file."""


def read(window: Window, suffix: bytes) -> Track:
    """See `indexer.tags.read_track`."""
    try:
        verdict = _judge(window, suffix, family_of(suffix))
    except NoAudio as no_audio:
        verdict = no_audio
    if window.fault is not None:
        raise window.fault
    if isinstance(verdict, Refused):
        raise verdict
    return verdict


def _judge(window: Window, suffix: bytes, family: Family) -> Track | Refused:
    """Try the suffix's reader, then the content; refuse with the first reader's message.

    Raises `NoAudio` as these do.

    If the window has a fault, the result is meaningless.
    """
    if window.size == 0:
        return Refused("the file is empty")
    try:
        return family(window, suffix)
    except mutagens_errors() as error:
        _check_is_of_bytes(error)
        refused = Refused(_reason(error))
    if window.fault is not None:
        return refused
    window.sound = []
    window.is_bare = False
    try:
        return _by_content(window, suffix) or refused
    except mutagens_errors() as error:
        _check_is_of_bytes(error)
        return refused


def _check_is_of_bytes(error: Exception) -> None:
    """Raise an error of the machine again: a module is loaded when a file needs it.

    Those of `mutagens_errors` have no errno, but for that of a place before the start of the file.
    """
    if isinstance(error, OSError) and error.errno not in (None, errno.EINVAL):
        raise error


def _by_content(window: Window, suffix: bytes) -> Track | None:
    """The track of a file whose suffix is wrong, or that begins with a foreign tag.

    None if no reader recognizes the content.
    """
    begin = leading.end_of_tags(window)
    if begin and (track := _behind_tags(window, begin, suffix)) is not None:
        return track
    marked = leading.suffix_at(window, 0)
    if marked and marked not in UNSURE:  # not mutagen's class, which has none of our limits
        suffix = marked
    elif _is_adts(window):
        suffix = b".aac"
    else:
        window.seek(0)
        suffix = SUFFIX_OF.get(type(File(window)).__name__, b"")
        if not suffix and mpeg_search.is_mpeg(window, begin):
            suffix = b".mp3"
    return family_of(suffix)(window, suffix) if suffix else None


def _behind_tags(window: Window, begin: int, suffix: bytes) -> Track | None:
    """The track of a format that knows no ID3v2 tags, but has some before it.

    They fill what its own tags lack. None if no such format begins there, or it is unreadable.
    """
    inside = leading.suffix_at(window, begin)
    if not inside:
        return None
    if inside in SKIPPING_TAGS:
        return _track_or_none(window, inside)
    if inside == b".ogg" and suffix in OF_OGG:
        inside = suffix
    tail = id3v1.SIZE if window.tail[-id3v1.SIZE :].startswith(id3v1.MARK) else 0
    sound = window_on(window, (begin, window.size - tail))
    track = _track_or_none(sound, inside)
    if track is None:
        return None
    window.sound = [(begin + start, begin + end) for start, end in sound.sound]
    return id3_tag.completed(track, window)


def _track_or_none(window: Window, suffix: bytes) -> Track | None:
    """The track of a file of this format; None if it is unreadable as such."""
    try:
        return family_of(suffix)(window, suffix)
    except mutagens_errors() as error:
        if window.fault is not None:
            raise
        _check_is_of_bytes(error)
        return None


def _is_adts(window: Window) -> bool:
    from indexer.tags import bare

    return bare.is_adts(window)


UNSURE = frozenset({b".ogg", b".ac3"})
"""Formats of which the first bytes do not tell enough: Ogg holds many, and the mark of AC-3 is two
bytes."""
OF_OGG = frozenset(SUFFIXES_OF_FAMILIES["vorbis"].split()) - {b".flac"}
SKIPPING_TAGS = frozenset({b".aac", b".tta"})
"""Formats whose readers expect ID3v2 tags before them."""

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
