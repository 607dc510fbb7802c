"""Compressed sound in a WAV file -> how long it is.

The chunk `fact` has the number of samples of each channel, and is required for all but PCM. Where
it is absent or was never filled in, blocks of a known size are counted, or frames of MPEG audio;
the mean bytes a second, which many programs set to 0 or guess, come last.

Sources: Multimedia Data Standards Update 3.0 of 1994 (`fact`, and `wSamplesPerBlock` of ADPCM and
GSM 6.10); RFC 2361; EBU Tech 3306 (`ds64`).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, NamedTuple

from indexer.tags.chunked.chunk_sizes import UNFILLED, first

if TYPE_CHECKING:
    from indexer.tags.chunked.chunk_sizes import Chunk, Layout
    from indexer.tags.window import Window

MS_ADPCM, ALAW, MULAW, IMA_ADPCM, GSM, MPEG, MP3 = 2, 6, 7, 0x11, 0x31, 0x50, 0x55
LAWS: Final = frozenset({ALAW, MULAW})
GSM_BLOCK: Final = (65, 320)
"""Bytes and samples of a block of GSM 6.10."""
LONG_COUNT: Final = 16
"""Offset in `ds64` of the number of samples in 64 bits."""


class WaveFormat(NamedTuple):
    """The fields of a `fmt ` chunk that state lengths."""

    code: int
    channels: int
    rate: int
    """Samples of one channel in a second."""
    byte_rate: int
    """Mean bytes in a second; 0 or wrong in some files."""
    block: int
    """Bytes of a block."""
    block_samples: int
    """Samples of one channel in a block, as the format's extension says; 0 if it does not."""


def compressed_length(
    window: Window, layout: Layout, found: list[Chunk], form: WaveFormat
) -> float:
    """Seconds of the chunk `data`; 0 if nothing tells them."""
    begin, sound = first(found, b"data") or (0, 0)
    if not form.rate or not sound:
        return 0.0
    if form.code in LAWS and form.channels:
        return sound / form.channels / form.rate
    count = _count(window, layout, found)
    block, samples = _block(form)
    if block and samples:
        most = -(-sound // block) * samples
        return min(count or sound // block * samples or samples * sound // block, most) / form.rate
    if count:
        return count / form.rate
    length = _mpeg_length(window, begin, sound) if form.code in {MPEG, MP3} else 0.0
    return length or (sound / form.byte_rate if form.byte_rate else 0.0)


def _count(window: Window, layout: Layout, found: list[Chunk]) -> int:
    """The samples of each channel by `fact`; 0 if it is absent or was never filled in."""
    begin, size = first(found, b"fact") or (0, 0)
    count = int.from_bytes(window.peek(begin, 4), layout.order) if size >= 4 else 0
    if count == 0xFFFF_FFFF:
        begin, size = first(found, b"ds64") or (0, 0)
        if size >= LONG_COUNT + 8:
            return int.from_bytes(window.peek(begin + LONG_COUNT, 8), layout.order)
    return 0 if count >= UNFILLED else count


def _block(form: WaveFormat) -> tuple[int, int]:
    """Bytes of a block, and the samples of each channel in it; zeros if they are not known.

    A block of ADPCM begins with one or two whole samples of each channel, and has four bits for
    each of the others.
    """
    block, channels = form.block, form.channels
    if form.code == GSM:
        return GSM_BLOCK if block in {0, GSM_BLOCK[0]} else (block, form.block_samples)
    if form.code not in {MS_ADPCM, IMA_ADPCM} or not channels or not block:
        return 0, 0
    if form.code == MS_ADPCM:
        most = (block - 7 * channels) * 2 // channels + 2
    else:
        most = (block - 4 * channels) * 2 // channels + 1
    return block, form.block_samples if 0 < form.block_samples <= most else max(most, 0)


def _mpeg_length(window: Window, begin: int, sound: int) -> float:
    """Seconds of MPEG audio, of a constant bit rate or not."""
    from indexer.tags.fast.mpeg_header import first_frame, measured

    frame = first_frame(window, begin, begin + sound)
    return 0.0 if frame is None else measured(window, begin, begin + sound, frame)[0]
