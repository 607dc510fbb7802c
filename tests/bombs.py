"""Files that make mutagen take gigabytes or minutes, in a few lines each."""

from __future__ import annotations

import zlib

from tests.corpus import template

MB = 2**20


def id3(*frames: bytes, version: int = 4) -> bytes:
    """An MP3 file with these frames in its tag."""
    body = b"".join(frames)
    return b"ID3" + bytes([version, 0, 0]) + synchsafe(len(body)) + body + template(".mp3")


def frame(name: bytes, content: bytes, flags: int = 0) -> bytes:
    """A frame of ID3v2.4."""
    return name + synchsafe(len(content)) + flags.to_bytes(2) + content


def synchsafe(number: int) -> bytes:
    """Four bytes of seven bits each."""
    return bytes(number >> shift & 0x7F for shift in (21, 14, 7, 0))


def inflating(megabytes: int) -> bytes:
    """An MP3 file whose title inflates to so many megabytes, from a thousandth of that."""
    packer = zlib.compressobj(9)
    packed = packer.compress(b"\3")
    for _ in range(megabytes):
        packed += packer.compress(b"A" * MB)
    packed += packer.flush()
    compressed = synchsafe(1) + packed
    return id3(frame(b"TPE1", b"\3Bomber"), frame(b"TIT2", compressed, 0x09))


def tiny_frames(size: int, name: bytes = b"TXXX") -> bytes:
    """An MP3 file whose tag has `size` bytes of frames of a few bytes each."""
    each = frame(name, b"\3a\0b")
    return id3(frame(b"TIT2", b"\3Tiny"), each * (size // len(each)))


def large_tag(size: int) -> bytes:
    """An MP3 file with a picture of `size` bytes, which mutagen reads completely."""
    title = frame(b"TIT2", b"\3Large")
    return id3(title, title, frame(b"APIC", b"\0image/png\0\3\0" + bytes(size)))


def many_blocks(size: int) -> bytes:
    """A FLAC file with `size` bytes of empty blocks, for each of which mutagen makes an object."""
    whole = template(".flac")
    head = whole[:4] + b"\0" + whole[5:42]
    return head + b"\1\0\0\0" * (size // 4) + b"\x81\0\0\0" + whole[200:]
