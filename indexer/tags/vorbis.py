"""A FLAC or Ogg file -> its track: stream info, and Vorbis comments as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.tags import columns, comments
from indexer.tags.fast.flac import plain_flac
from indexer.tags.fast.ogg import plain_ogg

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.window import Window

FIRST_PACKET = 28
"""Offset of an Ogg file's first packet, which begins with the codec's name: after a page header of
27 bytes and one lacing value (RFC 3533, 6)."""


def read(window: Window, suffix: bytes) -> Track:
    return _read_flac(window) if suffix == b".flac" else _read_ogg(window, suffix)


def _read_flac(window: Window) -> Track:
    plain = plain_flac(window)
    if plain is not None:
        return comments.track(
            "flac", plain.stream, plain.comments, has_picture=plain.has_picture, lossless=True
        )
    window.leave_to_mutagen()
    from indexer.tags import mutagen_vorbis

    return mutagen_vorbis.read_flac(window)


def _read_ogg(window: Window, suffix: bytes) -> Track:
    packet = window.peek(0, FIRST_PACKET + 8)[FIRST_PACKET:]
    if packet.startswith((b"\x01vorbis", b"OpusHead")):
        plain = plain_ogg(window)
        if plain is not None:
            stream = plain.stream
            stream.bitrate = stream.bitrate or columns.mean_bitrate(window.size, stream.length)
            codec = "opus" if packet == b"OpusHead" else "vorbis"
            return comments.track(codec, stream, plain.comments)
    window.leave_to_mutagen()
    from indexer.tags import mutagen_vorbis

    return mutagen_vorbis.read_ogg(window, suffix, packet)
