"""A DSF or DSDIFF file (one bit a sample) -> its track: stream info, its ID3 tag, and texts.

Sources: DSF File Format Specification 1.01; DSDIFF 1.5. Sizes that were never filled in are
computed from the file's size.
"""

from __future__ import annotations

from struct import unpack
from typing import TYPE_CHECKING, Final

from indexer.tags import columns
from indexer.tags.chunked.chunk_sizes import LAYOUTS, chunks, chunks_of, first, text_at
from indexer.tags.chunked.wave_format import Stream
from indexer.tags.code_pages import decoded
from indexer.tags.fast.id3 import Tag
from indexer.tags.id3 import id3_tag, mutagen_id3

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.chunked.chunk_sizes import Chunk
    from indexer.tags.window import Window

DSF_STREAM: Final = 28
DSF_SOUND: Final = DSF_STREAM + 52
DSF_HEADERS: Final = DSF_SOUND + 12
"""Offsets of the chunks `fmt ` and `data`, and of the sound itself."""

DSF_BLOCK: Final = 4096
"""Bytes of a block of one channel; the last one of each channel is padded."""

TEXTS: Final = {b"DIAR": "artist", b"DITI": "title"}
"""Chunks within `DIIN` (DSDIFF 1.5, 3.3): four bytes that count those of a text, and the text."""


def read(window: Window, suffix: bytes) -> Track:
    if suffix == b".dsf":
        return _read_dsf(window)
    return _read_dsdiff(window)


def _read_dsf(window: Window) -> Track:
    """Raises ValueError if the headers are not those of a DSF file of version 1."""
    head = window.peek(0, DSF_HEADERS)
    if len(head) < DSF_HEADERS or head[:12] != b"DSD \x1c" + bytes(7):
        raise ValueError("no DSF file")
    if head[DSF_STREAM:][:20] != b"fmt \x34" + bytes(7) + b"\1" + bytes(7):
        raise ValueError("no DSF stream of version 1")
    if head[DSF_SOUND:][:4] != b"data":
        raise ValueError("no sound where a DSF file has it")
    (tag_at,) = unpack("<Q", head[20:28])
    (size,) = unpack("<Q", head[DSF_SOUND + 4 :])
    end = tag_at if DSF_HEADERS <= tag_at <= window.size else window.size
    window.sound = [(DSF_HEADERS, min(end, DSF_SOUND + size) if size > 12 else end)]
    channels, rate, bits, samples = unpack("<IIIQ", head[DSF_STREAM + 24 : DSF_STREAM + 44])
    if samples in {0, 2**64 - 1}:
        sound = min(size - 12, end - DSF_HEADERS) if size > 12 else end - DSF_HEADERS
        is_one_block = sound <= DSF_BLOCK * channels  # an empty recording has one, of padding
        samples = 0 if samples == 0 and is_one_block else sound * 8 // max(channels, 1)
    stream = Stream(samples / rate, rate * bits * channels, rate, channels, bits)
    return _track(window, stream, tag_at or None)


def _read_dsdiff(window: Window) -> Track:
    """Raises ValueError without properties, or without the sound that they announce."""
    layout = LAYOUTS[b"FRM8"]
    if window.peek(0, 4) != b"FRM8":
        raise ValueError("no DSDIFF file")
    found = chunks_of(window, layout)
    begin, size = first(found, b"PROP") or (0, 0)
    if size < 4:
        raise ValueError("no PROP chunk")
    rate = channels = 0
    compression = b""
    if window.peek(begin, 4) == b"SND ":
        for name, at, length in chunks(window, begin + 4, begin + size, layout):
            if name == b"FS  " and length == 4:
                rate = int.from_bytes(window.peek(at, 4))
            elif name == b"CHNL" and length >= 2:
                channels = int.from_bytes(window.peek(at, 2))
            elif name == b"CMPR" and length >= 4:
                compression = window.peek(at, 4)
    seconds, bitrate = 0.0, 0
    if compression == b"DSD ":
        _, sound = _sound(found, compression)
        seconds = sound * 8 / (channels or 1) / rate if rate else 0.0
        bitrate = channels * rate
    elif compression == b"DST ":
        seconds, bitrate = _frames(window, *_sound(found, compression))
    tag_at, _ = first(found, b"ID3 ", b"id3 ") or (None, 0)
    stream = Stream(seconds, bitrate, rate, channels, 1)
    return _track(window, stream, tag_at, _texts(window, found))


def _texts(window: Window, found: list[Chunk]) -> columns.Values:
    """The texts of the edited master information by column."""
    begin, size = first(found, b"DIIN") or (0, 0)
    texts: list[tuple[str, bytes]] = []
    for name, at, length in chunks(window, begin, begin + size, LAYOUTS[b"FRM8"]):
        if name in TEXTS and length > 4:
            count = int.from_bytes(window.peek(at, 4))
            texts.append((TEXTS[name], text_at(window, at + 4, min(count, length - 4))))
    return decoded(texts)


def _sound(found: list[Chunk], name: bytes) -> tuple[int, int]:
    sound = first(found, name)
    if sound is None:
        raise ValueError(f"no {name.decode()} chunk")
    return sound


def _frames(window: Window, begin: int, size: int) -> tuple[float, int]:
    """Seconds and bit rate of compressed sound, of which the chunk FRTE counts the frames.

    Without that chunk both are 0.
    """
    within = chunks(window, begin, begin + size, LAYOUTS[b"FRM8"])
    at, length = next(((at, length) for name, at, length in within if name == b"FRTE"), (0, 0))
    if length < 6:
        return 0.0, 0
    frames, per_second = unpack(">IH", window.peek(at, 6))
    bitrate = int((size - 12 - length - length % 2) / frames * 8 * per_second) if frames else 0
    return frames / per_second if per_second else 0.0, bitrate


def _track(
    window: Window, stream: Stream, tag_at: int | None, texts: columns.Values | None = None
) -> Track:
    tag = Tag([]) if tag_at is None else mutagen_id3.tag_at(window, tag_at)
    return id3_tag.track("dsd", stream, tag, *([texts] if texts else []), lossless=True)
