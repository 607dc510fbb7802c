"""An ASF file (Windows Media Audio) -> its track: stream info, and attributes as columns.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping").
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from mutagen.asf import ASF, ASFByteArrayAttribute
from mutagen.asf._objects import StreamPropertiesObject

from indexer.tags import columns

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.window import Window

ATTRIBUTES = {
    name.lower(): column
    for name, column in {
        "Title": "title",
        "Author": "artist",
        "WM/AlbumArtist": "albumartist",
        "WM/AlbumTitle": "album",
        "WM/Genre": "genre",
        "WM/Year": "date",
        "WM/TrackNumber": "track",
        "WM/PartOfSet": "disc",
        "WM/Composer": "composer",
        "Description": "comment",
        "WM/BeatsPerMinute": "bpm",
        "WM/ISRC": "isrc",
        "WM/Publisher": "label",
        "WM/IsCompilation": "compilation",
        "MusicBrainz/Track Id": "mb_trackid",
        "MusicBrainz/Album Id": "mb_albumid",
        "MusicBrainz/Artist Id": "mb_artistid",
        "MusicBrainz/Album Artist Id": "mb_albumartistid",
        "MusicBrainz/Release Group Id": "mb_releasegroupid",
        "REPLAYGAIN_TRACK_GAIN": "replaygain_track_gain",
        "REPLAYGAIN_TRACK_PEAK": "replaygain_track_peak",
        "REPLAYGAIN_ALBUM_GAIN": "replaygain_album_gain",
        "REPLAYGAIN_ALBUM_PEAK": "replaygain_album_peak",
        "TotalTracks": "track_total",
        "TotalDiscs": "disc_total",
    }.items()
}
"""In lower case: taggers do not agree on the case. A total is often part of the number (`3/12`)."""

PICTURE = "wm/picture"

SOUND = bytes.fromhex("409e69f8 4d5b cf11 a8fd 00805f5c442b")
"""Type of a stream (ASF specification, 11.1: ASF_Audio_Media)."""
_stream = Struct("<H2I").unpack_from
"""Channels, Hz and bytes/s, behind the format of a WAVEFORMATEX."""

CODECS = {
    "lossless": "wmalossless",
    "professional": "wmapro",
    "voice": "wmavoice",
    "windows media audio": "wma",
    "mp3": "mp3",
    "mpeg layer": "mp3",
    "aac": "aac",
    "flac": "flac",
    "pcm": "pcm",
}
"""Part of Microsoft's codec name -> our name; the first match wins."""


def read(window: Window, _suffix: bytes) -> Track:
    window.seek(0)
    file = ASF(window)
    values: columns.Values = {}
    has_picture = False
    for name, attribute in file.tags:
        key = name.lower()
        if key == PICTURE:
            has_picture |= _is_picture(attribute)
        elif key in ATTRIBUTES and not isinstance(attribute, ASFByteArrayAttribute):
            several = values.setdefault(ATTRIBUTES[key], [])
            if (text := str(attribute)) not in several:  # some encoders write each twice
                several.append(text)
    _restore_sound(file)
    return columns.track(_codec(file.info), file.info, values, has_picture=has_picture)


def _restore_sound(file: ASF) -> None:
    """Set the stream info anew if a stream that is not sound has replaced it.

    mutagen 1.48 reads each stream as if it were sound, and the last one wins.
    """
    streams = [
        one.data
        for one in file._header.objects  # noqa: SLF001
        if one.GUID == StreamPropertiesObject.GUID
    ]
    if streams and not streams[-1].startswith(SOUND):
        sound = next((one for one in reversed(streams) if one.startswith(SOUND)), bytes(66))
        file.info.channels, file.info.sample_rate, rate = _stream(sound, 56)
        file.info.bitrate = 8 * rate


def _is_picture(attribute: object) -> bool:
    """Whether a WM/Picture holds data: one byte for its type, then its size (4 bytes)."""
    return isinstance(attribute, ASFByteArrayAttribute) and any(attribute.value[1:5])


def _codec(info: object) -> str:
    """The codec's name; `wma` if the file has no list of codecs."""
    names = f"{getattr(info, 'codec_type', '')} {getattr(info, 'codec_name', '')}".lower()
    return next((codec for part, codec in CODECS.items() if part in names), "wma")
