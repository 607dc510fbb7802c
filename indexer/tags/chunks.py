"""A file of chunks (WAV, AIFF) -> its track: stream info, ID3 in a chunk, texts in others.

Sources: Multimedia Programming Interface and Data Specifications 1.0 (RIFF, INFO); RFC 2361 (the
codecs of WAV); Audio Interchange File Format AIFF-C, draft of 1991.
"""

from __future__ import annotations

from codecs import utf_8_decode
from contextlib import suppress
from struct import unpack
from typing import TYPE_CHECKING

from msgspec import Struct

from indexer.tags import columns, id3, mutagen_id3
from indexer.tags.chunk_sizes import LAYOUTS, UNFILLED, chunks, chunks_of, first
from indexer.tags.fast.id3 import Tag
from indexer.tags.misread import misread

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.chunk_sizes import Chunk, Layout
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

TEXT_CHUNKS = {b"NAME": "title", b"AUTH": "artist", b"ANNO": "comment"}
"""Text chunks of AIFF; of the last, a file may have several. (`(c) ` has no column.)"""

INFO_LIMIT = 64 * 1024
"""Maximum bytes read of one INFO text or text chunk. A guess; fewer are kept of a comment."""

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


UNCOMPRESSED = frozenset({*b"none twos sowt in16 in24 in32 23ni 42ni fl32 fl64".split(), b"raw "})
"""Compression types of PCM in lower case: a sample takes whole bytes."""


class Stream(Struct, gc=False):
    """What is known of the sound; the names are mutagen's."""

    length: float
    bitrate: int
    sample_rate: int
    channels: int
    bits_per_sample: int


def read(window: Window, suffix: bytes) -> Track:
    if suffix in {b".wav", b".wave"}:
        return _read_wave(window)
    return _read_aiff(window)


def _read_wave(window: Window) -> Track:
    """The track of a file that begins with RIFF, RIFX, RF64 or BW64, and then WAVE.

    Raises ValueError for any other, and for one whose format is missing or cut short.
    """
    layout = LAYOUTS.get(window.peek(0, 4))
    if layout is None or window.peek(8, 4) != b"WAVE":
        raise ValueError("no RIFF file of the type WAVE")
    found = chunks_of(window, layout)
    begin, size = first(found, b"fmt ") or (0, 0)
    if size < 16:
        raise ValueError("no fmt chunk of 16 bytes")
    order = "<" if layout.order == "little" else ">"
    code, channels, rate, byte_rate, block, bits = unpack(order + "HHIIHH", window.peek(begin, 16))
    _, sound = first(found, b"data") or (0, 0)
    codec = WAVE_CODECS.get(code, "wav")
    if codec == "pcm":
        bitrate = channels * bits * rate
        length = sound / block / rate if block and rate else 0.0
    else:  # a block is many samples
        bitrate = 8 * byte_rate
        length = sound / byte_rate if byte_rate else 0.0
    stream = Stream(length, bitrate, rate, channels, bits)
    others = _info_lists(window, found, layout)
    return _track(window, codec, stream, found, *others)


def _read_aiff(window: Window) -> Track:
    """The track of a file that begins with FORM.

    Raises ValueError for any other, and for one whose format is missing or cut short, and
    OverflowError for an infinite sample rate.
    """
    from mutagen.aiff import read_float

    layout = LAYOUTS[b"FORM"]
    if window.peek(0, 4) != b"FORM":
        raise ValueError("no FORM file")
    found = chunks_of(window, layout)
    begin, size = first(found, b"COMM") or (0, 0)
    if size < 18:
        raise ValueError("no COMM chunk of 18 bytes")
    channels, frames, bits, extended = unpack(">hIh10s", window.peek(begin, 18))
    rate = int(read_float(extended))
    if rate < 0:
        raise ValueError("a sample rate below zero")
    compression = window.peek(begin + 18, 4) if window.peek(8, 4) == b"AIFC" else b"NONE"
    codec = AIFC_CODECS.get(compression.lower(), "pcm")
    if frames == 0 or frames >= UNFILLED:
        _, sound = first(found, *layout.sound) or (0, 0)
        frames = _frames_in(max(sound - 8, 0), compression.lower(), channels, bits) or frames
    stream = Stream(frames / rate if rate else 0.0, channels * bits * rate, rate, channels, bits)
    texts = _text_chunks(window, found)
    return _track(window, codec, stream, found, *([texts] if texts else []))


def _frames_in(sound: int, compression: bytes, channels: int, bits: int) -> int:
    """How many samples of all channels are in so many bytes of sound; 0 if that is not known."""
    if channels <= 0 or bits <= 0:
        return 0
    match compression:
        case b"ulaw" | b"alaw":
            return sound // channels
        case b"ima4":  # packets of 34 bytes
            return sound // (34 * channels) * 64
        case _ if compression in UNCOMPRESSED:
            return sound // (channels * ((bits + 7) // 8))
        case _:
            return 0


def _track(
    window: Window, codec: str, stream: Stream, found: list[Chunk], *others: columns.Values
) -> Track:
    chunk = first(found, b"ID3 ", b"id3 ")
    tag = Tag([]) if chunk is None else mutagen_id3.tag_at(window, chunk[0])
    return id3.track(codec, stream, tag, *others, lossless=codec == "pcm")


def _info_lists(window: Window, found: list[Chunk], layout: Layout) -> list[columns.Values]:
    """The texts of a WAV file's INFO lists by column, and those of `OTHER_INFO`, in this order."""
    values: columns.Values = {}
    others: columns.Values = {}
    for name, begin, size in found:
        if name == b"LIST" and window.peek(begin, 4) == b"INFO":
            for key, at, length in chunks(window, begin + 4, begin + size, layout):
                for names, texts in ((INFO, values), (OTHER_INFO, others)):
                    if key in names:
                        text = _decode(window.peek(at, min(length, INFO_LIMIT)))
                        texts.setdefault(names[key], []).append(text)
    return [values, others]


def _text_chunks(window: Window, found: list[Chunk]) -> columns.Values:
    """The texts of an AIFF file's own chunks by column."""
    values: columns.Values = {}
    for name, begin, size in found:
        if name in TEXT_CHUNKS:
            text = _decode(window.peek(begin, min(size, INFO_LIMIT)))
            values.setdefault(TEXT_CHUNKS[name], []).append(text)
    return values


def _decode(content: bytes) -> str:
    """A text up to its NUL. The encoding is not declared: UTF-8, else a Windows code page."""
    text, nul, _ = content.partition(b"\0")
    whole = bool(nul) or len(content) < INFO_LIMIT
    with suppress(UnicodeDecodeError):
        return utf_8_decode(text, "strict", whole)[0]
    latin = text.decode("latin-1")
    with suppress(UnicodeDecodeError):
        return latin if misread(latin) else text.decode("cp1252")
    return latin
