"""A FLAC or Ogg file -> its track: stream info, and Vorbis comments as columns."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from mutagen.flac import FLAC, CueSheet, MetadataBlock, Picture, SeekTable
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggtheora import OggTheora
from mutagen.oggvorbis import OggVorbis

from indexer.tags import columns, comments
from indexer.tags.plain_flac import plain_flac
from indexer.tags.plain_ogg import plain_ogg

if TYPE_CHECKING:
    from mutagen.ogg import OggFileType

    from indexer.model import Track
    from indexer.tags.comments import Comments
    from indexer.tags.window import Window

OPUS_RATE = 48_000
"""What every Opus decoder gives (RFC 7845, 5.1); the header's rate is that of the recording."""

FIRST_PACKET = 28
"""Where an Ogg file's first packet begins, and with it the name of its codec: behind a page header
of 27 bytes and one lacing value (RFC 3533, 6)."""


class _SteppedOver(Picture):
    """A picture block of which only the size is kept."""

    picture_size = 0

    def load(self, data: BinaryIO) -> None:
        """Pass MIME type, description and picture; its last byte is read, as sizes can lie."""
        data.seek(4, os.SEEK_CUR)
        data.seek(_length(data), os.SEEK_CUR)
        data.seek(_length(data) + 16, os.SEEK_CUR)
        self.picture_size = _length(data)
        if self.picture_size:
            data.seek(self.picture_size - 1, os.SEEK_CUR)
            data.read(1)


def _length(data: BinaryIO) -> int:
    return int.from_bytes(data.read(4))


class _Flac(FLAC):
    """mutagen's reader without what no column needs: pictures' data, seek tables, cue sheets."""

    METADATA_BLOCKS: ClassVar[list[type[MetadataBlock] | None]] = [
        {Picture: _SteppedOver, SeekTable: None, CueSheet: None}.get(block, block)
        for block in FLAC.METADATA_BLOCKS
    ]


OGG: dict[bytes, tuple[type[OggFileType], str]] = {
    b"\x01vorbis": (OggVorbis, "vorbis"),
    b"OpusHead": (OggOpus, "opus"),
    b"\x7fFLAC": (OggFLAC, "flac"),
    b"Speex   ": (OggSpeex, "speex"),
}
"""mutagen's class and our name of the codec, by the beginning of the first packet."""

OGG_BY_SUFFIX: dict[bytes, tuple[type[OggFileType], str]] = {
    b".oggflac": (OggFLAC, "flac"),
    b".opus": (OggOpus, "opus"),
    b".spx": (OggSpeex, "speex"),
    b".ogv": (OggTheora, "theora"),
}
"""The same for files of several streams, of which the first has no sound; else it is Vorbis."""


def read(window: Window, suffix: bytes) -> Track:
    """The track of a FLAC or Ogg file."""
    return _read_flac(window) if suffix == b".flac" else _read_ogg(window, suffix)


def track(
    codec: str,
    info: object,
    found: Comments,
    *,
    has_picture: bool = False,
    lossless: bool = False,
) -> Track:
    """The track of any file with Vorbis comments."""
    sample_rate = OPUS_RATE if codec == "opus" else None
    if found.fields is not None:
        return columns.made(
            codec,
            info,
            found.fields,
            has_picture=has_picture,
            lossless=lossless,
            sample_rate=sample_rate,
        )
    texts = found.texts()
    return columns.track(
        codec,
        info,
        comments.values_of(texts),
        has_picture=has_picture or comments.has_picture(texts),
        lossless=lossless,
        sample_rate=sample_rate,
    )


def _read_flac(window: Window) -> Track:
    plain = plain_flac(window)
    if plain is not None:
        return track(
            "flac", plain.stream, plain.comments, has_picture=plain.has_picture, lossless=True
        )
    window.seek(0)
    flac = _Flac(window)
    has_picture = any(picture.picture_size for picture in flac.pictures)
    found = comments.comments_of(flac.tags or ())
    return track("flac", flac.info, found, has_picture=has_picture, lossless=True)


def _read_ogg(window: Window, suffix: bytes) -> Track:
    """The first packet says which class of mutagen's is asked; an odd one leaves it to the suffix.

    A wrong class would look for its own packet through the whole file.
    """
    packet = window.peek(0, FIRST_PACKET + 8)[FIRST_PACKET:]
    if packet.startswith((b"\x01vorbis", b"OpusHead")):
        plain = plain_ogg(window)
        if plain is not None:
            codec = "opus" if packet == b"OpusHead" else "vorbis"
            return track(codec, plain.stream, plain.comments)
    marker = next((marker for marker in OGG if packet.startswith(marker)), b"\x01vorbis")
    ogg_class, codec = OGG[marker]
    if not packet.startswith(marker):
        ogg_class, codec = OGG_BY_SUFFIX.get(suffix, (ogg_class, codec))
    window.seek(0)
    ogg = ogg_class(window)
    return track(codec, ogg.info, comments.comments_of(ogg.tags or ()), lossless=codec == "flac")
