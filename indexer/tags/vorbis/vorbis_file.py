"""A FLAC or Ogg file -> its track: stream info, and Vorbis comments as columns."""

from __future__ import annotations

from contextlib import suppress
from typing import TYPE_CHECKING

from msgspec.structs import replace

from indexer.tags import columns, leading, mutagens_errors
from indexer.tags.fast.flac import plain_flac
from indexer.tags.fast.ogg import plain_ogg
from indexer.tags.vorbis import comments

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.window import Window

FIRST_PACKET = 28
"""Offset of an Ogg file's first packet, which begins with the codec's name: after a page header of
27 bytes and one lacing value (RFC 3533, 6)."""

IDENTITY_SIZE = 32
"""Bytes of that packet that are looked at."""


def read(window: Window, suffix: bytes) -> Track:
    return _read_flac(window) if suffix == b".flac" else _read_ogg(window, suffix)


def _read_flac(window: Window) -> Track:
    track = _flac(window)
    if track.duration is not None:
        return track
    from indexer.tags.extent import flac_ogg

    length, size = flac_ogg.sound_without_count(window)
    bitrate = int(columns.mean_bitrate(size, length))
    return replace(track, duration=length, bitrate=bitrate) if length and bitrate else track


def _flac(window: Window) -> Track:
    plain = plain_flac(window)
    if plain is not None:
        return comments.track(
            "flac", plain.stream, plain.comments, has_picture=plain.has_picture, lossless=True
        )
    window.leave_to_mutagen()
    leading.refuse_tags(window)
    from indexer.tags.vorbis import damaged, mutagen_vorbis

    try:
        return mutagen_vorbis.read_flac(window)
    except mutagens_errors():
        if window.fault is None and (track := damaged.read_flac(window)) is not None:
            return track
        raise


def _read_ogg(window: Window, suffix: bytes) -> Track:
    track = _read_pages(window)
    if track is not None:
        return track
    window.leave_to_mutagen()
    leading.refuse_tags(window)
    from indexer.tags.vorbis import mutagen_vorbis

    try:
        return mutagen_vorbis.read_ogg(window, suffix, _packet(window))
    except mutagens_errors():
        if window.fault is None and (track := _read_damaged(window, suffix)) is not None:
            return track
        raise


def _read_pages(window: Window) -> Track | None:
    """The track of Vorbis or Opus, or None if mutagen must read the file."""
    packet = _packet(window)
    if not packet.startswith((b"\x01vorbis", b"OpusHead")):
        return None
    plain = plain_ogg(window)
    if plain is None:
        return None
    window.is_measured = not plain.is_chain  # its last page is whole
    stream = plain.stream
    stream.bitrate = stream.bitrate or columns.mean_bitrate(window.size, stream.length)
    codec = "opus" if packet.startswith(b"OpusHead") else "vorbis"
    return comments.track(codec, stream, plain.comments)


def _read_damaged(window: Window, suffix: bytes) -> Track | None:
    """The track of a file with damaged pages or comments; None if it is beyond repair."""
    from indexer.tags.vorbis import damaged, mutagen_vorbis

    mended = damaged.mended(window)
    if mended is not None:
        if (track := _read_pages(mended)) is not None:
            return track
        with suppress(*mutagens_errors()):
            return mutagen_vorbis.read_ogg(mended, suffix, _packet(mended))
    return damaged.without_comments(mended or window)


def _packet(window: Window) -> bytes:
    """The beginning of the first packet."""
    return window.peek(0, FIRST_PACKET + IDENTITY_SIZE)[FIRST_PACKET:]
