"""Texts by column -> a file with these tags, as taggers write them in its format.

Each tagger takes the file (a template, open), the texts of each column, and the bytes of a cover or
None. The names are those of MusicBrainz Picard's Appendix B, "Tag mapping".
"""

from __future__ import annotations

import base64
import struct
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any

from mutagen import id3
from mutagen.aiff import AIFF
from mutagen.apev2 import APEv2
from mutagen.asf import ASF, ASFByteArrayAttribute, ASFUnicodeAttribute
from mutagen.dsdiff import DSDIFF
from mutagen.dsf import DSF
from mutagen.flac import FLAC, Picture
from mutagen.mp4 import MP4, MP4Cover, MP4FreeForm
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from tests import raw_formats, raw_matroska

Texts = dict[str, list[str]]
Tagger = Callable[[BytesIO, Texts, bytes | None], None]

TEXT_FRAMES = {
    "title": "TIT2",
    "artist": "TPE1",
    "albumartist": "TPE2",
    "album": "TALB",
    "genre": "TCON",
    "date": "TDRC",
    "composer": "TCOM",
    "bpm": "TBPM",
    "isrc": "TSRC",
    "label": "TPUB",
    "compilation": "TCMP",
}
NUMBERS = {"track", "track_total", "disc", "disc_total"}
USER_TEXTS = {
    "mb_albumid": "MusicBrainz Album Id",
    "mb_artistid": "MusicBrainz Artist Id",
    "mb_albumartistid": "MusicBrainz Album Artist Id",
    "mb_releasegroupid": "MusicBrainz Release Group Id",
    "replaygain_track_gain": "REPLAYGAIN_TRACK_GAIN",
    "replaygain_track_peak": "REPLAYGAIN_TRACK_PEAK",
    "replaygain_album_gain": "REPLAYGAIN_ALBUM_GAIN",
    "replaygain_album_peak": "REPLAYGAIN_ALBUM_PEAK",
}
VORBIS_KEYS = {
    "track": "TRACKNUMBER",
    "track_total": "TRACKTOTAL",
    "disc": "DISCNUMBER",
    "disc_total": "DISCTOTAL",
    "mb_trackid": "MUSICBRAINZ_TRACKID",
    "mb_albumid": "MUSICBRAINZ_ALBUMID",
    "mb_artistid": "MUSICBRAINZ_ARTISTID",
    "mb_albumartistid": "MUSICBRAINZ_ALBUMARTISTID",
    "mb_releasegroupid": "MUSICBRAINZ_RELEASEGROUPID",
}
"""Keys that are not the column's name in upper case."""
APE_KEYS = {
    "albumartist": "Album Artist",
    "date": "Year",
    "bpm": "BPM",
    "isrc": "ISRC",
    **{name: VORBIS_KEYS[name] for name in VORBIS_KEYS if name not in NUMBERS},
    **{name: key for name, key in USER_TEXTS.items() if name.startswith("replaygain")},
}
"""Keys that are not the capitalized name of the column."""
ATOMS = {
    "title": "\xa9nam",
    "artist": "\xa9ART",
    "albumartist": "aART",
    "album": "\xa9alb",
    "genre": "\xa9gen",
    "date": "\xa9day",
    "composer": "\xa9wrt",
    "comment": "\xa9cmt",
}
FREEFORM = {
    **USER_TEXTS,
    "isrc": "ISRC",
    "label": "LABEL",
    "mb_trackid": "MusicBrainz Track Id",
    **{name: name for name in USER_TEXTS if name.startswith("replaygain")},
}
ATTRIBUTES = {
    "title": "Title",
    "artist": "Author",
    "albumartist": "WM/AlbumArtist",
    "album": "WM/AlbumTitle",
    "genre": "WM/Genre",
    "date": "WM/Year",
    "composer": "WM/Composer",
    "comment": "Description",
    "bpm": "WM/BeatsPerMinute",
    "isrc": "WM/ISRC",
    "label": "WM/Publisher",
    "compilation": "WM/IsCompilation",
    "mb_trackid": "MusicBrainz/Track Id",
    **{name: key.replace("MusicBrainz ", "MusicBrainz/", 1) for name, key in USER_TEXTS.items()},
}
MATROSKA = {
    "title": (30, "TITLE"),
    "album": (50, "TITLE"),
    "albumartist": (50, "ARTIST"),
    "date": (50, "DATE_RELEASED"),
    "label": (50, "LABEL"),
    "track": (30, "PART_NUMBER"),
    "track_total": (50, "TOTAL_PARTS"),
    "disc": (50, "PART_NUMBER"),
    "disc_total": (60, "TOTAL_PARTS"),
    "replaygain_track_gain": (30, "REPLAYGAIN_GAIN"),
    "replaygain_track_peak": (30, "REPLAYGAIN_PEAK"),
    "replaygain_album_gain": (50, "REPLAYGAIN_GAIN"),
    "replaygain_album_peak": (50, "REPLAYGAIN_PEAK"),
}
"""Level and name, where they are not 30 and those of Vorbis comments (Matroska Tags, 4)."""
CAF_KEYS = {"track": "track number", "comment": "comments", "bpm": "tempo", "date": "year"}
"""Keys that are not the name of the column (Core Audio Format, "Information Chunk")."""
INFO_KEYS = {
    "title": b"INAM",
    "artist": b"IART",
    "album": b"IPRD",
    "genre": b"IGNR",
    "date": b"ICRD",
    "track": b"ITRK",
    "composer": b"IMUS",
    "comment": b"ICMT",
    "bpm": b"IBPM",
}
"""Of RIFF, in Wave64."""
COLUMNS = {*TEXT_FRAMES, *NUMBERS, *USER_TEXTS, "comment", "mb_trackid"}
"""Columns that every tagger can write."""


def id3_at_the_head(version: int) -> Tagger:
    """A tagger of MPEG audio, AAC and True Audio."""

    def tag(file: BytesIO, texts: Texts, cover: bytes | None) -> None:
        _id3_tag(id3.ID3(), texts, cover, version).save(
            file, v2_version=version, v23_sep=None, padding=no_padding
        )

    return tag


def id3_in_a_chunk(kind: type[WAVE | AIFF | DSF | DSDIFF], version: int) -> Tagger:
    def tag(file: BytesIO, texts: Texts, cover: bytes | None) -> None:
        whole = kind(file)
        whole.add_tags()
        _id3_tag(whole.tags, texts, cover, version)
        file.seek(0)
        whole.tags.save(file, v2_version=version, v23_sep=None, padding=no_padding)

    return tag


def vorbis_in_ogg(kind: type[OggVorbis | OggOpus | OggFLAC | OggSpeex]) -> Tagger:
    def tag(file: BytesIO, texts: Texts, cover: bytes | None) -> None:
        ogg = kind(file)
        ogg.tags.extend(_comments(texts))
        if cover is not None:
            block = base64.b64encode(_picture(cover).write()).decode("ascii")
            ogg.tags.append(("METADATA_BLOCK_PICTURE", block))
        file.seek(0)
        ogg.save(file, padding=no_padding)

    return tag


def flac(file: BytesIO, texts: Texts, cover: bytes | None) -> None:
    whole = FLAC(file)
    whole.tags.extend(_comments(texts))
    if cover is not None:
        whole.add_picture(_picture(cover))
    file.seek(0)
    whole.save(file, padding=no_padding)


def mp4(file: BytesIO, texts: Texts, cover: bytes | None) -> None:
    whole = MP4(file)
    for column, values in texts.items():
        if column in ATOMS:
            whole.tags[ATOMS[column]] = values
        elif column in FREEFORM:
            whole.tags[f"----:com.apple.iTunes:{FREEFORM[column]}"] = [
                MP4FreeForm(value.encode()) for value in values
            ]
        elif column == "bpm":
            whole.tags["tmpo"] = [int(values[0])]
        elif column == "compilation":
            whole.tags["cpil"] = values[0] == "1"
    for column, atom in (("track", "trkn"), ("disc", "disk")):
        pair = tuple(int(texts.get(name, ["0"])[0]) for name in (column, f"{column}_total"))
        if any(pair):
            whole.tags[atom] = [pair]
    if cover is not None:
        whole.tags["covr"] = [MP4Cover(cover)]
    file.seek(0)
    whole.save(file, padding=no_padding)


def apev2(file: BytesIO, texts: Texts, cover: bytes | None) -> None:
    """A tagger of all formats with an APEv2 tag at their end."""
    tag = APEv2()
    for column, values in texts.items():
        if column not in NUMBERS:
            tag[APE_KEYS.get(column, column.title())] = values
    for column in ("track", "disc"):
        if number := _number(texts, column):
            tag[column.title()] = number
    if cover is not None:
        tag["Cover Art (Front)"] = b"cover.jpg\0" + cover
    tag.save(file)


def asf(file: BytesIO, texts: Texts, cover: bytes | None) -> None:
    whole = ASF(file)
    for column, values in texts.items():
        if column not in NUMBERS:
            whole.tags[ATTRIBUTES[column]] = [ASFUnicodeAttribute(value) for value in values]
    for column, name in (("track", "WM/TrackNumber"), ("disc", "WM/PartOfSet")):
        if number := _number(texts, column):
            whole.tags[name] = number
    if cover is not None:
        head = struct.pack("<bI", 3, len(cover)) + "image/jpeg\0\0".encode("utf-16-le")
        whole.tags["WM/Picture"] = [ASFByteArrayAttribute(head + cover)]
    file.seek(0)
    whole.save(file, padding=no_padding)


def matroska(file: BytesIO, texts: Texts, cover: bytes | None) -> None:
    """Each text at its level: 30 is the track, 50 the album, 60 the set of discs."""
    found = [
        (*MATROSKA.get(column, (30, VORBIS_KEYS.get(column, column.upper()))), text)
        for column, values in texts.items()
        for text in values
    ]
    parts = [raw_matroska.tags(found)]
    if cover is not None:
        parts.append(raw_matroska.attachments(raw_matroska.attachment(cover)))
    _rewrite(file, raw_matroska.with_parts(file.getvalue(), *parts))


def caf(file: BytesIO, texts: Texts, cover: bytes | None) -> None:
    """Raises KeyError for a picture."""
    if cover is not None:
        raise KeyError("picture")
    pairs = [
        (CAF_KEYS.get(name, name), text) for name, several in texts.items() for text in several
    ]
    strings = "".join(f"{key}\0{text}\0" for key, text in pairs).encode()
    chunk = b"info" + (4 + len(strings)).to_bytes(8) + len(pairs).to_bytes(4) + strings
    _rewrite(file, file.getvalue() + chunk)


def wave64(file: BytesIO, texts: Texts, cover: bytes | None) -> None:
    """Raises KeyError for a picture, and for a column that RIFF INFO has no key for."""
    if cover is not None:
        raise KeyError("picture")
    items = [(INFO_KEYS[name], text) for name, several in texts.items() for text in several]
    encoded = [(key, f"{text}\0".encode("utf-16-le")) for key, text in items]
    body = struct.pack("<I", len(items))
    body += b"".join(key + struct.pack("<I", len(text)) + text for key, text in encoded)
    _rewrite(file, raw_formats.with_wave64_chunk(file.getvalue(), raw_formats.SUMMARY, body))


def _rewrite(file: BytesIO, content: bytes) -> None:
    file.seek(0)
    file.truncate()
    file.write(content)


def no_padding(_info: Any) -> int:
    """The padding for mutagen: none."""
    return 0


def _id3_tag(tag: id3.ID3, texts: Texts, cover: bytes | None, version: int) -> id3.ID3:
    for column, values in texts.items():
        if column not in NUMBERS:
            tag.add(_frame(column, values))
    if number := _number(texts, "track"):
        tag.add(id3.TRCK(encoding=3, text=number))
    if number := _number(texts, "disc"):
        tag.add(id3.TPOS(encoding=3, text=number))
    if cover is not None:
        tag.add(id3.APIC(encoding=0, mime="image/jpeg", type=3, desc="", data=cover))
    if version == 3:
        tag.update_to_v23()
    return tag


def _frame(column: str, values: list[str]) -> id3.Frame:
    if column == "comment":
        return id3.COMM(encoding=3, lang="eng", desc="", text=values)
    if column == "mb_trackid":
        return id3.UFID(owner="http://musicbrainz.org", data=values[0].encode())
    if column in USER_TEXTS:
        return id3.TXXX(encoding=3, desc=USER_TEXTS[column], text=values)
    return getattr(id3, TEXT_FRAMES[column])(encoding=3, text=values)


def _comments(texts: Texts) -> list[tuple[str, str]]:
    return [
        (VORBIS_KEYS.get(column, column.upper()), text)
        for column, values in texts.items()
        for text in values
    ]


def _picture(cover: bytes) -> Picture:
    picture = Picture()
    picture.type, picture.mime, picture.data = id3.PictureType.COVER_FRONT, "image/jpeg", cover
    return picture


def _number(texts: Mapping[str, list[str]], column: str) -> str:
    """`3`, `3/12`, `/12` or nothing, from a column and its total."""
    total = texts.get(f"{column}_total")
    return texts.get(column, [""])[0] + (f"/{total[0]}" if total else "")
