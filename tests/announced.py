"""Files whose structure tells how long they are, made by hand -> their bytes.

Headers are those of each format, sound is filler: only what tells the length is real.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from functools import reduce

FRAME = b"\xff\xfb\x90\x64" + bytes(413)
"""Layer III, 128 kbit/s, 44 100 Hz, without padding: 417 bytes."""
FRAMES = 61


def xing(announced: int, frames: int = FRAMES) -> bytes:
    head = FRAME[:36] + struct.pack(">4sIII", b"Info", 3, frames, announced)
    return head.ljust(len(FRAME), b"\0") + FRAME * (frames - 1)


def mp3() -> bytes:
    return xing(FRAMES * len(FRAME))


def vbri() -> bytes:
    head = FRAME[:36] + struct.pack(">4sHHHII", b"VBRI", 1, 0, 75, FRAMES * len(FRAME), FRAMES)
    return head.ljust(len(FRAME), b"\0") + FRAME * (FRAMES - 1)


def crc_8(content: bytes) -> int:
    """Polynomial x^8 + x^2 + x + 1, bit by bit (RFC 9639, 9.1.8)."""

    def step(value: int, _bit: int) -> int:
        return (value << 1 ^ (0x107 if value & 0x80 else 0)) & 0xFF

    return reduce(lambda value, byte: reduce(step, range(8), value ^ byte), content, 0)


def flac_frame(number: int, samples: int = 4096) -> bytes:
    """Fixed block size, stereo of 16 bits, 44 100 Hz; the content is none of a real frame."""
    size_code, told = (12, b"") if samples == 4096 else (7, (samples - 1).to_bytes(2))
    header = bytes((0xFF, 0xF8, size_code << 4 | 9, 0x18)) + chr(number).encode() + told
    return header + bytes([crc_8(header)]) + bytes(range(250)) * 12


def flac(frames: int = 40, last: int = 1000, total: int | None = None) -> bytes:
    samples = 4096 * (frames - 1) + last
    numbers = 44100 << 44 | 1 << 41 | 15 << 36 | (samples if total is None else total)
    info = struct.pack(">HH", 4096, 4096) + bytes(6) + numbers.to_bytes(8) + bytes(16)
    sound = b"".join(map(flac_frame, range(frames - 1))) + flac_frame(frames - 1, last)
    return b"fLaC\x80\0\0\x22" + info + sound


def page(content: bytes, flags: int = 0) -> bytes:
    full, rest = divmod(len(content), 255)
    lacing = b"\xff" * full + bytes([rest])
    return (
        struct.pack("<4sBBqIII", b"OggS", 0, flags, 9, 7, 0, 0)
        + bytes([len(lacing)])
        + (lacing + content)
    )


def ogg() -> bytes:
    return page(b"\x01vorbis", 2) + page(bytes(3000)) * 20 + page(bytes(3000), 4)


def wave(data: int = 20_000, told: int | None = None, riff: int | None = None) -> bytes:
    form = struct.pack("<HHIIHH", 1, 2, 44100, 176_400, 4, 16)
    told = data if told is None else told
    riff = 36 + told if riff is None else riff
    return (
        b"RIFF"
        + struct.pack("<I4s4sI", riff & 0xFFFFFFFF, b"WAVE", b"fmt ", 16)
        + form
        + (b"data" + told.to_bytes(4, "little") + bytes(data))
    )


def rf64() -> bytes:
    plain = wave()
    sizes = struct.pack("<4sIQQQI", b"ds64", 28, len(plain) + 28, 20_000, 5000, 0)
    sound = plain[12:].replace(b"data" + (20_000).to_bytes(4, "little"), b"data" + b"\xff" * 4)
    return b"RF64" + b"\xff" * 4 + b"WAVE" + sizes + sound


def aiff() -> bytes:
    common = struct.pack(">hIh10s", 2, 5000, 16, b"\x40\x0e\xac\x44" + bytes(6))
    sound = b"SSND" + (20_008).to_bytes(4) + bytes(20_008)
    chunks = b"COMM" + len(common).to_bytes(4) + common + sound
    return b"FORM" + (4 + len(chunks)).to_bytes(4) + b"AIFF" + chunks


def mp4() -> bytes:
    return b"".join(
        (8 + len(content)).to_bytes(4) + name + content
        for name, content in ((b"ftyp", b"M4A "), (b"moov", bytes(500)), (b"mdat", bytes(20_000)))
    )


def true_audio() -> bytes:
    sizes = (5000, 5000, 5000, 2500)
    header = b"TTA1" + struct.pack("<HHHIII", 1, 2, 16, 44100, 46080 * 3 + 20_000, 0)
    return header + struct.pack("<4II", *sizes, 0) + bytes(sum(sizes))


def wavpack() -> bytes:
    def block(before: int) -> bytes:
        header = struct.pack(
            "<4sIHBBIIIII", b"wvpk", 24 + 8000, 0x410, 0, 0, 60_000, before, 20_000, 0, 0
        )
        return header + bytes(8000)

    return b"".join(map(block, (0, 20_000, 40_000)))


def asf() -> bytes:
    data = bytes.fromhex("3626b2758e66cf11a6d900aa0062ce6c") + (20_050).to_bytes(8, "little")
    header = bytes.fromhex("3026b2758e66cf11a6d900aa0062ce6c") + (200).to_bytes(8, "little")
    return header.ljust(200, b"\0") + data.ljust(20_050, b"\0")


def dsf() -> bytes:
    whole = 92 + 16_384
    head = b"DSD " + struct.pack("<QQQ", 28, whole, 0) + b"fmt " + struct.pack("<Q", 52)
    return head.ljust(80, b"\0") + b"data" + (12 + 16_384).to_bytes(8, "little") + bytes(16_384)


def monkeys_audio() -> bytes:
    head = struct.pack("<4sHHIIIIIII", b"MAC ", 3990, 0, 52, 24, 4, 0, 20_000, 0, 0)
    return head.ljust(52 + 24 + 4, b"\0") + bytes(20_000)


def matroska() -> bytes:
    return b"\x1aE\xdf\xa3\x84abcd\x18\x53\x80\x67" + (1 << 56 | 20_000).to_bytes(8) + bytes(20_000)


def core_audio() -> bytes:
    form = b"desc" + (32).to_bytes(8) + bytes(32)
    return b"caff\0\1\0\0" + form + b"data" + (20_000).to_bytes(8) + bytes(20_000)


def musepack() -> bytes:
    head = b"MPCKSH\x05\0\0" + b"SO\x05" + bytes((0x80 | 16_000 >> 7, 16_000 & 0x7F))
    return head + b"AP" + bytes(16_000)


WHOLE: dict[str, Callable[[], bytes]] = {
    one.__name__: one
    for one in (
        mp3, vbri, flac, ogg, wave, rf64, aiff, mp4, true_audio, wavpack, asf, dsf, monkeys_audio,
        matroska, core_audio, musepack,
    )
}  # fmt: skip
TELLS_NO_LENGTH = {"ogg"}
