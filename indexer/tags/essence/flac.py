"""A FLAC file -> its essence: the checksum of its samples, else the middle of its frames.

One file of a hundred has no checksum, since its encoder wrote to a pipe or left it out.
Source: RFC 9639, 8.2.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from indexer.tags import essence
from indexer.tags.essence.bounds import end_of_sound
from indexer.tags.essence.unknown import UnknownSound

if TYPE_CHECKING:
    from indexer.tags.window import Window

INFO_AT: Final = 8
INFO_SIZE: Final = 34
NUMBERS_AT, MD5_AT = 10, 18
"""Offsets in STREAMINFO: rate, channels, depth and the number of samples; MD5 of the samples."""
NO_MD5: Final = bytes(16)
LAST: Final = 0x80
BLOCKS_LIMIT: Final = 1000
"""Maximum blocks before the sound. A guess: a file has six."""


def essence_of(window: Window, codec: str) -> bytes:
    """Raises UnknownSound if there are no frames."""
    head = window.peek(0, INFO_AT + INFO_SIZE)
    told = of_stream_info(head[INFO_AT:])
    if told:
        return told
    begin = _first_frame(window)
    return essence.digest(codec, *essence.middle(window, [(begin, end_of_sound(window))]))


def of_stream_info(info: bytes) -> bytes:
    """The essence that STREAMINFO tells; empty if it has no checksum."""
    md5 = info[MD5_AT:INFO_SIZE]
    if len(info) < INFO_SIZE or md5 == NO_MD5:
        return b""
    return essence.digest("flac", 0, info[NUMBERS_AT:INFO_SIZE])


def _first_frame(window: Window) -> int:
    """The offset behind the last block of metadata."""
    at = 4
    for _ in range(BLOCKS_LIMIT):
        header = window.glance(at, 4)
        if len(header) < 4:
            break
        at += 4 + int.from_bytes(header[1:])
        if header[0] & LAST:
            return at
    raise UnknownSound
