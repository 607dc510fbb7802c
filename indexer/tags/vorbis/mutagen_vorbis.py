"""A FLAC or Ogg file that our own readers decline -> its track, parsed by mutagen."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, BinaryIO, ClassVar

from mutagen.flac import FLAC, CueSheet, MetadataBlock, Picture, SeekTable
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggtheora import OggTheora
from mutagen.oggvorbis import OggVorbis

from indexer.tags import columns
from indexer.tags.fast.flac import LINK
from indexer.tags.fast.ogg import OPUS_RATE
from indexer.tags.fast.ogg_pages import NotPlain, ends_with, longest_packet, start_of
from indexer.tags.vorbis import comments

if TYPE_CHECKING:
    from mutagen import StreamInfo
    from mutagen.ogg import OggFileType

    from indexer.model import Track
    from indexer.tags.window import Window


class _SteppedOver(Picture):
    """A picture block that is skipped; only its size is kept."""

    picture_size = 0

    def load(self, data: BinaryIO) -> None:
        """Skip MIME type, description and picture; read its last byte, as a size can be wrong."""
        data.seek(4, os.SEEK_CUR)
        length = _length(data)
        media_type = data.read(min(length, len(LINK)))
        data.seek(length - len(media_type), os.SEEK_CUR)
        data.seek(_length(data) + 16, os.SEEK_CUR)
        size = _length(data)
        if size:
            data.seek(size - 1, os.SEEK_CUR)
            data.read(1)
        is_link = length == len(LINK) and media_type == LINK
        self.picture_size = 0 if is_link else size


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
"""Beginning of the first packet -> mutagen's class, and our name of the codec."""

RATES_IN: dict[bytes, slice] = {b"\x7fFLAC": slice(27, 30), b"Speex   ": slice(36, 40)}
"""Beginning of the first packet -> where its sample rate is (RFC 9639, 8.2 and 10.1; the Speex
manual, 5.1)."""

OGG_BY_SUFFIX: dict[bytes, tuple[type[OggFileType], str]] = {
    b".oggflac": (OggFLAC, "flac"),
    b".opus": (OggOpus, "opus"),
    b".spx": (OggSpeex, "speex"),
    b".ogv": (OggTheora, "theora"),
}
"""For files of several streams whose first is not audio; the default is Vorbis."""


def read_flac(window: Window) -> Track:
    window.seek(0)
    flac = _Flac(window)
    has_picture = any(picture.picture_size for picture in flac.pictures)
    found = comments.comments_of(flac.tags or (), window.keep)
    return comments.track("flac", flac.info, found, has_picture=has_picture, lossless=True)


def read_ogg(window: Window, suffix: bytes, packet: bytes) -> Track:
    """The track of an Ogg file whose first packet begins with `packet`.

    The packet selects mutagen's class, or the suffix does for an unknown packet. A wrong class
    would search the whole file for its own packet.
    """
    marker = next((marker for marker in OGG if packet.startswith(marker)), b"\x01vorbis")
    ogg_class, codec = OGG[marker]
    if not packet.startswith(marker):
        ogg_class, codec = OGG_BY_SUFFIX.get(suffix, (ogg_class, codec))
    window.seek(0)
    ogg = ogg_class(window)
    if not getattr(ogg.info, "total_samples", 0):
        _begin_at_start(window, ogg.info, packet)
    if marker in RATES_IN and not ends_with(window, ogg.info.serial):
        _add_up(window, ogg.info, marker)
    if codec != "theora" and not getattr(ogg.info, "bitrate", 0):
        ogg.info.bitrate = columns.mean_bitrate(window.size, ogg.info.length)
    return comments.track(
        codec, ogg.info, comments.comments_of(ogg.tags or (), window.keep), lossless=codec == "flac"
    )


def _begin_at_start(window: Window, info: StreamInfo, packet: bytes) -> None:
    """Correct the length of a stream that was recorded in its midst, and the bit rate with it."""
    start = start_of(window, 0, info.serial, longest_packet(packet))
    if start:
        rate = getattr(info, "sample_rate", OPUS_RATE)
        length = (round(info.length * rate) - start) / rate
        if length <= 0:  # a damaged position
            return
        if packet.startswith(b"OpusHead"):  # mutagen's is the mean
            info.bitrate = round(info.bitrate * info.length / length)
        info.length = length


def _add_up(window: Window, info: StreamInfo, marker: bytes) -> None:
    """Make a stream as long as all that follow each other, if they are alike."""
    from indexer.tags.fast.ogg_chain import links_of  # late: few files are chains

    try:
        links = links_of(window)
    except NotPlain:
        return
    kinds = {(link.identity[: len(marker)], link.identity[RATES_IN[marker]]) for link in links}
    samples = sum(link.samples for link in links)
    if len(kinds) == 1 and samples > 0:
        info.length = samples / info.sample_rate
