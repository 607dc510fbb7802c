"""A file of chunks (WAV, AIFF, DSF, DSDIFF) -> its track: stream info, ID3 in a chunk, RIFF INFO.

Sources: Multimedia Programming Interface and Data Specifications 1.0 (RIFF, INFO); RFC 2361 (the
codecs of WAV); Audio Interchange File Format AIFF-C, draft of 1991.
"""

from __future__ import annotations

from codecs import utf_8_decode
from contextlib import suppress
from itertools import islice
from typing import TYPE_CHECKING, Literal

from indexer.tags import columns, id3, mutagen_id3
from indexer.tags.fast.id3 import Tag
from indexer.tags.misread import misread

if TYPE_CHECKING:
    from collections.abc import Iterator

    from mutagen import FileType
    from mutagen.wave import WaveStreamInfo

    from indexer.model import Track
    from indexer.tags.window import Window

INFO = {
    b"INAM": "title",
    b"IART": "artist",
    b"IPRD": "album",
    b"IGNR": "genre",
    b"ICRD": "date",
    b"ITRK": "track",
    b"IMUS": "composer",
    b"ICMT": "comment",
    b"IBPM": "bpm",
}
OTHER_INFO = {b"IPRT": "track", b"YEAR": "date"}
"""Keys that some taggers write instead. (Not ISRC: in RIFF it means the source.)"""

INFO_LIMIT = 64 * 1024
"""Maximum bytes read of one INFO text. A guess; fewer are kept of a comment."""

CHUNKS_LIMIT = 1000
"""Maximum chunks read in one file or list: a damaged file may hold only empty chunks. A guess."""

WAVE_CODECS = {
    0x0001: "pcm",
    0x0002: "adpcm",
    0x0003: "pcm",  # floats
    0x0006: "alaw",
    0x0007: "mulaw",
    0x0011: "adpcm",
    0x0031: "gsm",
    0x0050: "mp2",
    0x0055: "mp3",
    0x2000: "ac3",
    0xFFFE: "pcm",  # more than two channels or sixteen bits
}
AIFC_CODECS = {b"ulaw": "mulaw", b"alaw": "alaw", b"ima4": "adpcm"}
"""Compression types that are not PCM; any other is PCM of some byte order."""


def read(window: Window, suffix: bytes) -> Track:
    window.seek(0)
    match suffix:
        case b".wav" | b".wave":
            return _read_wave(window)
        case b".dsf":
            from mutagen.dsf import DSF

            return _track("dsd", DSF(window, translate=False))
        case b".dff":
            from mutagen.dsdiff import DSDIFF

            return _track("dsd", DSDIFF(window, translate=False))
        case _:
            from mutagen.aiff import AIFF

            file = AIFF(window, translate=False)
            return _track(_aiff_codec(window), file)


def _read_wave(window: Window) -> Track:
    from mutagen.wave import WAVE

    file = WAVE(window, translate=False)
    codec = WAVE_CODECS.get(file.info.audio_format, "wav")
    if codec != "pcm":
        _measure(window, file.info)
    return _track(codec, file, *_info_lists(window))


def _measure(window: Window, info: WaveStreamInfo) -> None:
    """Compute the length from bytes per second: mutagen treats a block as one sample, as in PCM."""
    found = {
        name: (begin, size) for name, begin, size in _chunks(window, 12, window.size, "little")
    }
    (begin, _), (_, size) = (found.get(name, (0, 0)) for name in (b"fmt ", b"data"))
    rate = int.from_bytes(window.peek(begin + 8, 4), "little")
    info.bitrate = 8 * rate
    info.length = size / rate if rate else 0.0


def _track(codec: str, file: FileType, *others: columns.Values) -> Track:
    tag = Tag([]) if file.tags is None else mutagen_id3.tag_of(file.tags)
    return id3.track(codec, file.info, tag, *others, lossless=codec in {"pcm", "dsd"})


def _info_lists(window: Window) -> list[columns.Values]:
    """The texts of a WAV file's INFO lists by column, and those of `OTHER_INFO`, in this order."""
    values: columns.Values = {}
    others: columns.Values = {}
    for name, begin, size in _chunks(window, 12, window.size, "little"):
        if name == b"LIST" and window.peek(begin, 4) == b"INFO":
            for key, at, length in _chunks(window, begin + 4, begin + size, "little"):
                for names, found in ((INFO, values), (OTHER_INFO, others)):
                    if key in names:
                        text = _decode(window.peek(at, min(length, INFO_LIMIT)))
                        found.setdefault(names[key], []).append(text)
    return [values, others]


def _decode(content: bytes) -> str:
    """An INFO text up to its NUL. The encoding is not declared: UTF-8, else a Windows code page."""
    text, nul, _ = content.partition(b"\0")
    whole = bool(nul) or len(content) < INFO_LIMIT
    with suppress(UnicodeDecodeError):
        return utf_8_decode(text, "strict", whole)[0]
    latin = text.decode("latin-1")
    with suppress(UnicodeDecodeError):
        return latin if misread(latin) else text.decode("cp1252")
    return latin


def _aiff_codec(window: Window) -> str:
    """The codec of an AIFF file; only AIFF-C can hold anything other than PCM."""
    if window.peek(8, 4) == b"AIFC":
        for name, begin, _ in _chunks(window, 12, window.size, "big"):
            if name == b"COMM":
                return AIFC_CODECS.get(window.peek(begin + 18, 4).lower(), "pcm")
    return "pcm"


def _chunks(
    window: Window, at: int, end: int, order: Literal["little", "big"]
) -> Iterator[tuple[bytes, int, int]]:
    """Name, offset and size of the first chunks from `at` on; `end` may truncate the last."""
    return islice(_every_chunk(window, at, end, order), CHUNKS_LIMIT)


def _every_chunk(
    window: Window, at: int, end: int, order: Literal["little", "big"]
) -> Iterator[tuple[bytes, int, int]]:
    end = min(end, window.size)
    while at + 8 <= end:
        header = window.peek(at, 8)
        begin = at + 8
        size = int.from_bytes(header[4:], order)
        yield header[:4], begin, min(size, end - begin)
        at = begin + size + size % 2
