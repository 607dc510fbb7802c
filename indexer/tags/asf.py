"""An ASF file (Windows Media Audio) -> its track: stream info, and attributes as columns.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping").
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from mutagen.asf import ASF, ASFByteArrayAttribute
from mutagen.asf._objects import StreamPropertiesObject

from indexer.tags import NoAudio, columns, further
from indexer.tags.families import MAY_BE_SOUNDLESS

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
        "WM/AlbumArtistSortOrder": "albumartistsort",
        "WM/ArtistSortOrder": "artistsort",
        "WM/AlbumSortOrder": "albumsort",
        "WM/TitleSortOrder": "titlesort",
        "WM/ComposerSortOrder": "composersort",
        "WM/OriginalReleaseTime": "originaldate",
        "WM/SetSubTitle": "discsubtitle",
        "WM/Media": "media",
        "WM/Work": "work",
        "WM/MovementName": "movement",
        "WM/Conductor": "conductor",
        "WM/Mood": "mood",
        "WM/ContentGroupDescription": "grouping",
        "WM/InitialKey": "key",
        "WM/Lyrics": "has_lyrics",
        "WM/Lyrics_Synchronised": "has_lyrics",
    }.items()
}
"""In lower case: taggers do not agree on the case. A total is often part of the number (`3/12`)."""

OTHER_ATTRIBUTES = {
    **columns.BY_PICARDS_NAME,
    "date": "date",
    "year": "date",
    **columns.COLUMNS_OF_SECOND_NAMES,
}
"""Where a column is looked for when the attribute above is absent or blank: ffmpeg's names, which
are those of the file that it converted. Of several names of a column the first that is not blank
wins."""
OTHER_TITLE = "title"
"""ffmpeg's copy of `Title`, in this case; other programs that write a title leave it as it is."""

ORIGINAL_YEAR = "wm/originalreleaseyear"
"""The date of the first release, where there is no better one."""
ORIGINAL = "+originalyear"
"""Its name among columns."""
OTHER_NAMES = {
    "acoustid/fingerprint": "acoustid_fingerprint",
    "acoustid/id": "acoustid_id",
    "copyright": "copyright",
    "musicbrainz/album release country": "releasecountry",
    "musicbrainz/album status": "releasestatus",
    "musicbrainz/album type": "releasetype",
    "musicbrainz/disc id": "musicbrainz_discid",
    "musicbrainz/release track id": "musicbrainz_releasetrackid",
    "musicbrainz/work id": "musicbrainz_workid",
    "wm/barcode": "barcode",
    "wm/catalogno": "catalognumber",
    "wm/encodedby": "encodedby",
    "wm/encodingsettings": "encodersettings",
    "wm/language": "language",
    "wm/modifiedby": "remixer",
    "wm/producer": "producer",
    "wm/script": "script",
    "wm/subtitle": "subtitle",
    "wm/writer": "lyricist",
}
"""Attributes of no column -> their names among the further tags; others have their own."""

PICTURE = "wm/picture"

SOUND = bytes.fromhex("409e69f8 4d5b cf11 a8fd 00805f5c442b")
"""Type of a stream (ASF specification, 11.1: ASF_Audio_Media)."""
FILM = bytes.fromhex("c0ef19bc 4d5b cf11 a8fd 00805f5c442b")
"""ASF_Video_Media."""
DATA = bytes.fromhex("3626b275 8e66 cf11 a6d9 00aa0062ce6c")
"""ASF_Data_Object."""
DATA_HEADER = 50
"""GUID, size, the file's id, the number of packets and two bytes more."""
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


def read(window: Window, suffix: bytes) -> Track:
    """Raises NoAudio for a film without sound."""
    window.seek(0)
    file = ASF(window)
    _note_sound(window)
    streams = _streams(file)
    is_film = any(stream.startswith(FILM) for stream in streams)
    if is_film and suffix in MAY_BE_SOUNDLESS and not any(map(_is_sound, streams)):
        raise NoAudio("no audio stream")
    values, has_picture = _values(file, window.keep)
    _restore_sound(file, streams)
    return columns.track(_codec(file.info), file.info, values, has_picture=has_picture)


def _values(file: ASF, keep: further.Keep) -> tuple[columns.Values, bool]:
    """Texts by column, and whether there is a picture."""
    own: dict[str, dict[str, None]] = {}
    others: dict[str, dict[str, None]] = {}
    has_picture = False
    for name, attribute in file.tags:
        key = columns.known_name(name.lower())
        if key == PICTURE:
            has_picture |= _is_picture(attribute)
            continue
        column = _column_of(key, attribute, keep)
        if column is not None:
            is_other = key in OTHER_ATTRIBUTES and (key not in ATTRIBUTES or name == OTHER_TITLE)
            several = others.setdefault(key, {}) if is_other else own.setdefault(column, {})
            several.setdefault(str(attribute))  # once: some encoders write each twice
    values: columns.Values = {column: list(several) for column, several in own.items()}
    if ORIGINAL in values:
        values.setdefault("originaldate", values[ORIGINAL])
        if further.column_of("originalyear", keep) is None:
            del values[ORIGINAL]
    for key, column in OTHER_ATTRIBUTES.items():
        if key in others:
            values[column] = columns.better(column, values.get(column, []), list(others[key]))
    return values, has_picture


def _note_sound(window: Window) -> None:
    """Say where the packets are: in the object behind the header (ASF specification, 3 and 5.1)."""
    at = int.from_bytes(window.peek(16, 8), "little")
    head = window.glance(at, 24)
    if head.startswith(DATA):
        end = min(at + int.from_bytes(head[16:], "little"), window.size)
        window.sound = [(at + DATA_HEADER, end)]


def _column_of(key: str, attribute: object, keep: further.Keep) -> str | None:
    """The column of an attribute, in lower case; None for one that is not used."""
    if isinstance(attribute, ASFByteArrayAttribute):
        is_lyrics = ATTRIBUTES.get(key) == "has_lyrics" and any(attribute.value)
        return "has_lyrics" if is_lyrics else None
    if key == ORIGINAL_YEAR:
        return ORIGINAL
    column = ATTRIBUTES.get(key) or OTHER_ATTRIBUTES.get(key)
    return column or further.column_of(OTHER_NAMES.get(key, key), keep)


def _streams(file: ASF) -> list[bytes]:
    """The properties of each stream."""
    objects = file._header.objects  # noqa: SLF001
    return [one.data for one in objects if one.GUID == StreamPropertiesObject.GUID]


def _is_sound(stream: bytes) -> bool:
    return stream.startswith(SOUND)


def _restore_sound(file: ASF, streams: list[bytes]) -> None:
    """Set the stream info anew if a stream that is not sound has replaced it.

    mutagen 1.48 reads each stream as if it were sound, and the last one wins.
    """
    if streams and not _is_sound(streams[-1]):
        sound = next((one for one in reversed(streams) if _is_sound(one)), bytes(66))
        file.info.channels, file.info.sample_rate, rate = _stream(sound, 56)
        file.info.bitrate = 8 * rate


def _is_picture(attribute: object) -> bool:
    """Whether a WM/Picture holds data: one byte for its type, then its size (4 bytes)."""
    return isinstance(attribute, ASFByteArrayAttribute) and any(attribute.value[1:5])


def _codec(info: object) -> str:
    """The codec's name; `wma` if the file has no list of codecs."""
    names = f"{getattr(info, 'codec_type', '')} {getattr(info, 'codec_name', '')}".lower()
    return next((codec for part, codec in CODECS.items() if part in names), "wma")
