"""Handmade files of formats that no tool here writes: a fifth of a second, headers without sound.

Sources: Apple Core Audio Format Specification 1.0; Sony's Wave64 file format; the Musepack SV7 and
SV8 specifications; Monkey's Audio 3.99 (MACLib.h); OptimFROG and TAK as mutagen reads them; DSF
File Format Specification 1.01; DSDIFF 1.5; ISO 11172-3 (layer I).
"""

from __future__ import annotations

import struct

from tests.raw_matroska import matroska

OF_WAVE = bytes.fromhex("f3acd3118cd100c04f8edb8a")
"""End of the GUIDs of Wave64 but for that of the whole; the beginning is a name in ASCII."""
SUMMARY = bytes.fromhex("bc945f925a52d21186dc00c04f8edb8a")
"""GUID of a list of texts in Wave64."""

RATE = 22050
SAMPLES = 4410


def musepack_7() -> bytes:
    """Frames of 1152 samples, 44 100 Hz; peaks and gains are zero."""
    return struct.pack("<3sBII", b"MP+", 0x17, 8, 0) + bytes(20)


def musepack_8() -> bytes:
    """A stream header, a ReplayGain packet and the end; sizes are of seven bits a byte."""
    header = (
        bytes(4) + b"\x08" + b"\xc4\x74" + b"\x00" + b"\x1a\x0b"
    )  # 8820 samples, 44 100 Hz, mono
    gain = b"\x01" + bytes(8)
    return b"MPCK" + b"SH" + bytes([len(header) + 3]) + header + b"RG\x0c" + gain + b"SE\x03"


def monkeys_audio() -> bytes:
    """A descriptor of 52 bytes (its last 16 are an MD5) and a header of 24; one frame, 16 bits."""
    descriptor = struct.pack("<4sHHIIIIIII", b"MAC ", 3990, 0, 52, 24, 4, 44, 0, 0, 0) + bytes(16)
    return descriptor + struct.pack("<HHIIIHHI", 2000, 0, 73728, SAMPLES, 1, 16, 1, RATE)


def optimfrog() -> bytes:
    """One block of 15 bytes: samples of all channels, 16 bits signed, channels less one."""
    return struct.pack("<4sIIHBBIHB", b"OFR ", 15, SAMPLES, 0, 3, 0, RATE, 0, 0) + bytes(64)


def tak() -> bytes:
    """Stream info (80 bits, the least significant first, and a CRC of three bytes) and the end."""
    bits = at = 0
    for value, width in (
        *((2, 6), (2, 4), (3, 4), (SAMPLES, 35)),  # codec, profile, frame duration, samples
        *((0, 3), (RATE - 6000, 18), (16 - 8, 5), (1 - 1, 4), (0, 1)),
    ):
        bits |= value << at
        at += width
    info = bits.to_bytes(10, "little") + bytes(3)
    return b"tBaK" + b"\x01" + len(info).to_bytes(3, "little") + info + bytes(4)


def dsf() -> bytes:
    """One bit a sample, DSD64, one channel; the block of sound is empty."""
    sizes = struct.pack("<4sQQQ", b"DSD ", 28, 28 + 52 + 12, 0)
    stream = struct.pack("<4sQIIIIIIQII", b"fmt ", 52, 1, 0, 1, 1, 2822400, 1, 564480, 4096, 0)
    return sizes + stream + struct.pack("<4sQ", b"data", 12)


def dsdiff() -> bytes:
    """DSD64, one channel, compressed as DST: 15 frames of 1/75 second, all absent."""

    def chunk(name: bytes, content: bytes) -> bytes:
        return name + len(content).to_bytes(8) + content + bytes(len(content) % 2)

    properties = b"SND " + chunk(b"FS  ", (2822400).to_bytes(4))
    properties += chunk(b"CHNL", b"\0\x01C000") + chunk(b"CMPR", b"DST \x0bDST Encoded")
    sound = chunk(b"DST ", chunk(b"FRTE", (15).to_bytes(4) + (75).to_bytes(2)))
    version = chunk(b"FVER", b"\x01\x05\0\0")
    return chunk(b"FRM8", b"DSD " + version + chunk(b"PROP", properties) + sound)


def mpeg_layer_1() -> bytes:
    """Seventeen frames of 384 samples: 32 kbit/s, 32 000 Hz, mono."""
    return (b"\xff\xff\x18\xc0" + bytes(44)) * 17


def caf(*more: bytes, size: int | None = None) -> bytes:
    """PCM of 16 bits, one channel; `size` is what the sound says, which begins with edits."""
    stream = struct.pack(">d4s5I", RATE, b"lpcm", 0, 2, 1, 1, 16)
    sound = bytes(4 + 2 * SAMPLES)
    return b"".join(
        [
            b"caff\0\1\0\0",
            caf_chunk(b"desc", stream),
            *more,
            b"data" + (len(sound) if size is None else size).to_bytes(8) + sound,
        ]
    )


def caf_chunk(name: bytes, content: bytes) -> bytes:
    return name + len(content).to_bytes(8) + content


def wave64(size: int | None = None) -> bytes:
    """PCM of 16 bits, one channel. Sizes count the headers of 24 bytes; `size` is the sound's."""
    form = wave64_chunk(b"fmt " + OF_WAVE, struct.pack("<HHIIHH", 1, 1, RATE, 2 * RATE, 2, 16))
    sound = bytes(2 * SAMPLES)
    data = b"data" + OF_WAVE + struct.pack("<Q", 24 + len(sound) if size is None else size) + sound
    content = b"wave" + OF_WAVE + form + data + bytes(-len(data) % 8)
    whole = b"riff" + bytes.fromhex("2e91cf11a5d628db04c10000")
    return whole + struct.pack("<Q", 24 + len(content)) + content


def wave64_chunk(guid: bytes, content: bytes) -> bytes:
    return guid + struct.pack("<Q", 24 + len(content)) + content + bytes(-len(content) % 8)


def with_wave64_chunk(whole: bytes, guid: bytes, content: bytes) -> bytes:
    """A Wave64 file with one more chunk behind its sound."""
    more = whole[24:] + wave64_chunk(guid, content)
    return whole[:16] + struct.pack("<Q", 24 + len(more)) + more


HANDMADE = {
    ".mka": matroska,
    ".caf": caf,
    ".w64": wave64,
    ".mp1": mpeg_layer_1,
    ".mpc": musepack_7,
    ".sv8.mpc": musepack_8,
    ".ape": monkeys_audio,
    ".ofr": optimfrog,
    ".tak": tak,
    ".dsf": dsf,
    ".dff": dsdiff,
}
"""Name of the template -> its content."""
