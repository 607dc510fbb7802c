"""The chunks of a WAV file -> codec and stream info (WAVEFORMATEX, WAVEFORMATEXTENSIBLE).

Sources: Multimedia Programming Interface and Data Specifications 1.0 (the chunk `fmt `); RFC 2361
(the codecs).
"""

from __future__ import annotations

from struct import unpack_from
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from indexer.tags.chunked.chunk_sizes import first
from indexer.tags.chunked.wave_length import WaveFormat, compressed_length
from indexer.tags.columns import MOST_BITS, MOST_CHANNELS, mean_bitrate

if TYPE_CHECKING:
    from indexer.tags.chunked.chunk_sizes import Chunk, Layout
    from indexer.tags.window import Window

WAVE_CODECS: Final = {
    0x0001: "pcm",
    0x0002: "adpcm",
    0x0003: "pcm",  # floats
    0x0006: "alaw",
    0x0007: "mulaw",
    0x0011: "adpcm",
    0x000A: "wmavoice",
    0x0031: "gsm",
    0x0050: "mp2",
    0x0055: "mp3",
    0x00FF: "aac",
    0x0160: "wma",
    0x0161: "wma",
    0x0162: "wmapro",
    0x0163: "wmalossless",
    0x0270: "atrac3",
    0x1600: "aac",
    0x1610: "aac",
    0x2000: "ac3",
    0x2001: "dts",
    0xF1AC: "flac",
    0xFFFE: "pcm",  # more than two channels or sixteen bits
}
EXTENSIBLE: Final = 0xFFFE
"""A format whose code is in the first two bytes of a GUID (`WAVEFORMATEXTENSIBLE`)."""
SUBFORMAT: Final = bytes.fromhex("0000 0000 1000 8000 00AA 0038 9B71")
"""The rest of that GUID, if it has a code."""
LEAST: Final = 16
EXTENSIBLE_SIZE: Final = 40
MOST_OF_SAMPLE: Final = MOST_BITS // 8
"""Maximum bytes of a sample of one channel: a float of 64 bits."""
FIELDS: Final = "HHIIHH2xH"
"""Code, channels, rate, bytes a second, bytes of a block, bits, and what a codec has first behind
the size of the extension."""


class Stream(Struct, gc=False):
    """What is known of the sound; the names are mutagen's."""

    length: float
    bitrate: float
    sample_rate: int
    channels: int
    bits_per_sample: int


def wave_stream(window: Window, layout: Layout, found: list[Chunk]) -> tuple[str, Stream]:
    """Codec and stream info of the chunks `fmt `, `data` and `fact`.

    Raises ValueError where the format is missing or cut short.
    """
    begin, size = first(found, b"fmt ") or (0, 0)
    if size < LEAST:
        raise ValueError("no fmt chunk of 16 bytes")
    order = "<" if layout.order == "little" else ">"
    fields = window.peek(begin, min(size, EXTENSIBLE_SIZE)).ljust(EXTENSIBLE_SIZE, b"\0")
    code, channels, rate, byte_rate, block, bits, per_block = unpack_from(order + FIELDS, fields)
    if code == EXTENSIBLE and fields[26:] == SUBFORMAT:
        code = int.from_bytes(fields[24:26], layout.order)
    _, sound = first(found, b"data") or (0, 0)
    codec = WAVE_CODECS.get(code, "wav")
    if codec == "pcm":
        least = bytes_of_sample(channels, bits)
        if least and not least <= block <= MOST_OF_SAMPLE * channels:  # damaged, or never set
            block = least
        length = sound / block / rate if block and rate else 0.0
        return codec, Stream(length, channels * bits * rate, rate, channels, bits)
    wave = WaveFormat(code, channels, rate, byte_rate, block, per_block)  # a block is many samples
    length = compressed_length(window, layout, found, wave)
    mean = round(mean_bitrate(sound, length))
    bitrate = 8 * byte_rate if abs(mean - 8 * byte_rate) <= mean / 10 else mean
    return codec, Stream(length, bitrate, rate, channels, bits)


def bytes_of_sample(channels: int, bits: int) -> int:
    """Fewest bytes of a sample of all channels, uncompressed; 0 if there are none, or too many."""
    if not (0 < channels <= MOST_CHANNELS and 0 < bits <= MOST_BITS):
        return 0
    return channels * ((bits + 7) // 8)
