"""Boxes of MP4 files, made by hand, for what no tool here writes.

Sources: ISO 14496-12, 4.2 and 8; QuickTime File Format, "Metadata"; 3GPP TS 26.244, 8.
"""

from __future__ import annotations

import struct

RATE = 44_100
"""Units of a second of the sound, and its sample rate."""


def box(name: bytes, *contents: bytes) -> bytes:
    content = b"".join(contents)
    return (8 + len(content)).to_bytes(4) + name + content


def full(name: bytes, *contents: bytes, version: int = 0, flags: int = 0) -> bytes:
    return box(name, bytes([version]) + flags.to_bytes(3), *contents)


def numbers(*values: int) -> bytes:
    return struct.pack(f">{len(values)}I", *values)


def handler(kind: bytes) -> bytes:
    return full(b"hdlr", bytes(4) + kind + bytes(13))


def track(
    duration: bytes = bytes(4), *beside: bytes, kind: bytes = b"soun", times: bytes = b""
) -> bytes:
    """A track with the id 1 and a duration of 32 or 64 bits; `times` are pairs of an `stts`."""
    version = len(duration) // 8
    dates = bytes(16 if version else 8)
    mdhd = full(b"mdhd", dates, numbers(RATE), duration, bytes(4), version=version)
    entry = box(b"fLaC", struct.pack(">6xH8x2H4xI", 1, 2, 16, RATE << 16), box(b"free"))
    table = full(b"stsd", numbers(1), entry) + full(b"stts", numbers(len(times) // 8), times)
    media = box(b"mdia", mdhd, handler(kind), box(b"minf", box(b"stbl", table)))
    return box(b"trak", full(b"tkhd", numbers(0, 0, 1, 0, 0)), media, *beside)


def movie_header(duration: int = 0, unit: int = 1000) -> bytes:
    return full(b"mvhd", numbers(0, 0, unit, duration), bytes(80))


def mp4(*in_movie: bytes, after: bytes = b"", brand: bytes = b"M4A ") -> bytes:
    return box(b"ftyp", brand + bytes(4)) + box(b"moov", *in_movie) + after


def data(payload: bytes, kind: int = 1) -> bytes:
    return box(b"data", numbers(kind, 0), payload)


def item(name: bytes, payload: bytes, kind: int = 1) -> bytes:
    return box(name, data(payload, kind))


def tagged(*items: bytes, beside: bytes = b"") -> bytes:
    """A file of ten seconds with these items of iTunes, and `beside` in the movie."""
    meta = full(b"meta", handler(b"mdir"), box(b"ilst", *items))
    return mp4(track((10 * RATE).to_bytes(4)), box(b"udta", meta), beside)
