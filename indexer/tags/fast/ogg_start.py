"""The first pages of sound in an Ogg file -> the position at which it begins.

A position counts samples since the beginning of the stream, and a recording of a broadcast begins
in its midst. What the first page holds can be known by decoding only, so up to as much as its
packets can hold it is taken for a stream that begins at 0; beyond, the next page tells how long
packets are.

Sources: RFC 3533, 6; Vorbis I specification, 4.2.2 and 4.3.8; RFC 7845, 4 and 4.6; RFC 6716, 3.1;
RFC 9639, 8.2; the Speex manual, 5.1.
"""

from __future__ import annotations

from struct import error
from typing import TYPE_CHECKING, Final

from indexer.tags.fast.ogg_pages import HEADER_SIZE, LACING_LIMIT, NotPlain, page_header

if TYPE_CHECKING:
    from indexer.tags.window import Window

PAGES_LIMIT: Final = 256
"""Maximum pages passed over before the sound. A guess: 16 MB of comments."""
OPUS_PACKET: Final = 5760
"""Samples of 120 ms at 48 000 Hz, the longest packet."""
LONGEST_PACKETS: Final = {b"OpusHead": OPUS_PACKET, b"Speex   ": 6400, b"\x7fFLAC": 65_535}
"""Beginning of the first packet -> most samples of a packet. That of Speex is a guess: ten frames
of 640."""
VORBIS_HEAD: Final = b"\x01vorbis"
VORBIS_SIZES_AT: Final = 28
"""Offset in the first packet of the two block sizes, as powers of two in four bits each."""


def longest_packet(identity: bytes) -> int:
    """Most samples that a packet of this stream can hold, by its first packet; 0 if unknown."""
    if identity.startswith(VORBIS_HEAD):
        sizes = identity[VORBIS_SIZES_AT : VORBIS_SIZES_AT + 1]
        return (1 << (sizes[0] >> 4)) // 2 if sizes else 0
    return LONGEST_PACKETS.get(identity[:8], LONGEST_PACKETS.get(identity[:5], 0))


def start_of(window: Window, at: int, serial: int, longest: int) -> int:
    """The position at which the sound of a stream begins, by its pages from an offset on."""
    first = held = 0
    for _ in range(PAGES_LIMIT if longest else 0):
        block, start = window.hold(at, HEADER_SIZE + LACING_LIMIT)
        try:
            _, position, own, _, lacing = page_header(block, at - start)
        except (NotPlain, error):
            break
        at += HEADER_SIZE + len(lacing) + sum(lacing)
        if own != serial or position <= 0:
            continue
        packets = len(lacing) - lacing.count(b"\xff")
        if first:
            each = (position - first) / packets if packets else longest
            return max(first - round(held * min(max(each, 0), longest)), 0)
        held = packets
        if position <= held * longest:
            return 0
        first = position
    return max(first - held * longest, 0) if first else 0
