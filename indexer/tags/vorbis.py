"""A FLAC or Ogg file -> its track: stream info, and Vorbis comments as columns.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping"), with the names that other taggers
use where they differ.
"""

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
from indexer.tags.plain_flac import plain_flac
from indexer.tags.plain_ogg import plain_ogg

if TYPE_CHECKING:
    from collections.abc import Iterable

    from mutagen.ogg import OggFileType

    from indexer.model import Track
    from indexer.tags.window import Window

COLUMNS = {
    "title": "title",
    "artist": "artist",
    "albumartist": "albumartist",
    "album": "album",
    "genre": "genre",
    "date": "date",
    "tracknumber": "track",
    "tracktotal": "track_total",
    "discnumber": "disc",
    "disctotal": "disc_total",
    "composer": "composer",
    "comment": "comment",
    "bpm": "bpm",
    "isrc": "isrc",
    "label": "label",
    "compilation": "compilation",
    "musicbrainz_trackid": "mb_trackid",
    "musicbrainz_albumid": "mb_albumid",
    "musicbrainz_artistid": "mb_artistid",
    "musicbrainz_albumartistid": "mb_albumartistid",
    "musicbrainz_releasegroupid": "mb_releasegroupid",
    "replaygain_track_gain": "replaygain_track_gain",
    "replaygain_track_peak": "replaygain_track_peak",
    "replaygain_album_gain": "replaygain_album_gain",
    "replaygain_album_peak": "replaygain_album_peak",
}
OTHER_KEYS = {
    "albumartist": ("album artist",),
    "date": ("year",),
    "track_total": ("totaltracks",),
    "disc_total": ("totaldiscs",),
    "comment": ("description",),
    "label": ("organization", "publisher"),
}
"""Where a column is looked for when the key above is absent or blank: the first not blank wins."""

PICTURE_KEYS = ("metadata_block_picture", "coverart")
PICTURES = frozenset(PICTURE_KEYS)

KEYS = {
    key.encode(): key
    for key in (*COLUMNS, *PICTURE_KEYS, *(key for keys in OTHER_KEYS.values() for key in keys))
}
"""All keys that matter, as they stand in a file but for their case."""

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
    comments: Iterable[tuple[str, str]],
    *,
    has_picture: bool = False,
    lossless: bool = False,
) -> Track:
    """The track of any file with Vorbis comments: pairs of a key and one text."""
    by_key: dict[str, list[str]] = {}
    for key, text in comments:
        by_key.setdefault(key.lower(), []).append(text)
    return _track(codec, info, by_key, has_picture=has_picture, lossless=lossless)


def _track(
    codec: str,
    info: object,
    by_key: dict[str, list[str]],
    *,
    has_picture: bool = False,
    lossless: bool = False,
) -> Track:
    values = {COLUMNS[key]: texts for key, texts in by_key.items() if key in COLUMNS}
    if len(values) < len(by_key):
        for column, keys in OTHER_KEYS.items():
            for key in keys:
                if key in by_key and not columns.texts(values.get(column, ())):
                    values[column] = by_key[key]
    return columns.track(
        codec,
        info,
        values,
        has_picture=has_picture or any(any(by_key.get(key, ())) for key in PICTURE_KEYS),
        lossless=lossless,
        sample_rate=OPUS_RATE if codec == "opus" else None,
    )


def _read_flac(window: Window) -> Track:
    plain = plain_flac(window, KEYS)
    if plain is not None:
        return _track(
            "flac", plain.stream, plain.comments, has_picture=plain.has_picture, lossless=True
        )
    window.seek(0)
    flac = _Flac(window)
    has_picture = any(picture.picture_size for picture in flac.pictures)
    return track("flac", flac.info, flac.tags or (), has_picture=has_picture, lossless=True)


def _read_ogg(window: Window, suffix: bytes) -> Track:
    """The first packet says which class of mutagen's is asked; an odd one leaves it to the suffix.

    A wrong class would look for its own packet through the whole file.
    """
    window.seek(FIRST_PACKET)
    packet = window.read(8)
    window.seek(0)
    if packet.startswith((b"\x01vorbis", b"OpusHead")):
        plain = plain_ogg(window, KEYS, PICTURES)
        if plain is not None:
            codec = "opus" if packet == b"OpusHead" else "vorbis"
            return _track(codec, plain.stream, plain.comments)
    marker = next((marker for marker in OGG if packet.startswith(marker)), b"\x01vorbis")
    ogg_class, codec = OGG[marker]
    if not packet.startswith(marker):
        ogg_class, codec = OGG_BY_SUFFIX.get(suffix, (ogg_class, codec))
    ogg = ogg_class(window)
    return track(codec, ogg.info, ogg.tags or (), lossless=codec == "flac")
