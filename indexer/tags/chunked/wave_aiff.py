"""A file of chunks (WAV, AIFF) -> its track: stream info, ID3 in a chunk, texts in others.

Sources: Multimedia Programming Interface and Data Specifications 1.0 (RIFF, INFO); Audio
Interchange File Format AIFF-C, draft of 1991.
"""

from __future__ import annotations

from struct import unpack
from typing import TYPE_CHECKING

from indexer.tags import columns, further
from indexer.tags.chunked import broadcast
from indexer.tags.chunked.chunk_sizes import (
    LAYOUTS,
    UNFILLED,
    chunks,
    chunks_of,
    first,
    text_at,
)
from indexer.tags.chunked.wave_format import Stream, wave_stream
from indexer.tags.code_pages import decoded
from indexer.tags.fast.id3 import Tag
from indexer.tags.id3 import id3_tag, mutagen_id3

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.chunked.chunk_sizes import Chunk, Layout
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
    b"IMED": "media",
}
OTHER_INFO = {b"IPRT": "track", b"YEAR": "date"}
"""Keys that some taggers write instead. (Not ISRC: in RIFF it means the source.)"""

OTHER_NAMES = {
    b"ICNT": "releasecountry",
    b"ICOP": "copyright",
    b"IENG": "engineer",
    b"ILNG": "language",
    b"IPRO": "producer",
    b"ISFT": "encodersettings",
    b"ITCH": "encodedby",
    b"IWRI": "lyricist",
}
"""Keys of no column -> their names among the further tags; others have that of the key."""

TEXT_CHUNKS = {b"NAME": "title", b"AUTH": "artist", b"ANNO": "comment"}
"""Text chunks of AIFF; of the last, a file may have several. (`(c) ` has no column.)"""

AIFC_CODECS = {
    b"ulaw": "mulaw",
    b"alaw": "alaw",
    b"ima4": "adpcm",
    b"agsm": "gsm",
    b"gsm ": "gsm",
    **dict.fromkeys((b"mac3", b"mac6"), "mace"),
}
"""Compression types that are not PCM, in lower case."""

PACKET_SIZE, PACKET_FRAMES = 34, 64
"""Bytes and samples of a packet of `ima4`, of one channel. QuickTime and ffmpeg state the number of
packets, not of samples."""
BITS_OF_CODECS = {"mulaw": 8, "alaw": 8, "adpcm": 8 * PACKET_SIZE / PACKET_FRAMES}
"""Bits of a sample in the file: the depth that is stated is often that of the decoded one."""

UNCOMPRESSED = frozenset({*b"none twos sowt in16 in24 in32 23ni 42ni fl32 fl64".split(), b"raw "})
"""Compression types of PCM in lower case: a sample takes whole bytes."""


def read(window: Window, suffix: bytes) -> Track:
    if suffix in {b".wav", b".wave", b".bwf"}:
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
    codec, stream = wave_stream(window, layout, found)
    others = _info_lists(window, found, layout)
    return _track(window, codec, stream, found, *others, broadcast.texts_of(window, found))


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
    codec = _codec_of(compression.lower())
    _, sound = first(found, *layout.sound) or (0, 0)
    there = _frames_in(max(sound - 8, 0), compression.lower(), channels, bits)
    if frames == 0 or frames >= UNFILLED:
        frames = there or frames
    elif compression.lower() == b"ima4" and frames * PACKET_FRAMES <= there:
        frames *= PACKET_FRAMES
    length = frames / rate if rate else 0.0
    if codec == "pcm" or codec in BITS_OF_CODECS:
        bitrate = int(channels * BITS_OF_CODECS.get(codec, bits) * rate)
    else:
        bitrate = int(columns.mean_bitrate(max(sound - 8, 0), length))
    stream = Stream(length, bitrate, rate, channels, bits)
    texts = _text_chunks(window, found)
    return _track(window, codec, stream, found, *([texts] if texts else []))


def _codec_of(compression: bytes) -> str:
    """The codec of a compression type in lower case; most of those that are not known are names."""
    if compression in UNCOMPRESSED or not compression.strip().isalnum():
        return "pcm"
    return AIFC_CODECS.get(compression) or compression.decode("ascii").strip()


def _frames_in(sound: int, compression: bytes, channels: int, bits: int) -> int:
    """How many samples of all channels are in so many bytes of sound; 0 if that is not known."""
    if channels <= 0 or bits <= 0:
        return 0
    match compression:
        case b"ulaw" | b"alaw":
            return sound // channels
        case b"ima4":
            return sound // (PACKET_SIZE * channels) * PACKET_FRAMES
        case _ if compression in UNCOMPRESSED:
            return sound // (channels * ((bits + 7) // 8))
        case _:
            return 0


def _track(
    window: Window, codec: str, stream: Stream, found: list[Chunk], *others: columns.Values
) -> Track:
    chunk = first(found, b"ID3 ", b"id3 ")
    tag = Tag([]) if chunk is None else mutagen_id3.tag_at(window, chunk[0])
    return id3_tag.track(codec, stream, tag, *others, lossless=codec == "pcm")


def _info_lists(window: Window, found: list[Chunk], layout: Layout) -> list[columns.Values]:
    """The texts of a WAV file's INFO lists by column, those of `OTHER_INFO`, and further tags."""
    values: list[tuple[str, bytes]] = []
    others: list[tuple[str, bytes]] = []
    further_tags: list[tuple[str, bytes]] = []
    for name, begin, size in found:
        if name == b"LIST" and window.peek(begin, 4) == b"INFO":
            for key, at, length in chunks(window, begin + 4, begin + size, layout):
                if key in INFO:
                    values.append((INFO[key], text_at(window, at, length)))
                elif key in OTHER_INFO:
                    others.append((OTHER_INFO[key], text_at(window, at, length)))
                elif (column := column_of_other(key, window.keep)) is not None:
                    further_tags.append((column, text_at(window, at, length)))
    return [decoded(texts) for texts in (values, others, further_tags)]


def column_of_other(key: bytes, keep: further.Keep) -> str | None:
    """How a text of INFO stands among columns that is of none; None if it is not to be kept."""
    if not keep or key in INFO or key in OTHER_INFO:
        return None
    return further.column_of(OTHER_NAMES.get(key, key.decode("latin-1")), keep)


def _text_chunks(window: Window, found: list[Chunk]) -> columns.Values:
    """The texts of an AIFF file's own chunks by column."""
    return decoded(
        [
            (TEXT_CHUNKS[name], text_at(window, begin, size))
            for name, begin, size in found
            if name in TEXT_CHUNKS
        ]
    )
