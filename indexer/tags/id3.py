"""A file with ID3 tags, at its ends or in a chunk -> its tags as columns.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping").
"""

from __future__ import annotations

import re
from itertools import zip_longest
from typing import TYPE_CHECKING

from mutagen.id3 import APIC, ID3, TCON, UFID, ID3NoHeaderError, ID3TimeStamp, ParseID3v1, TextFrame

from indexer.tags import columns
from indexer.tags.plain_id3 import V24, Tag, Texts, plain_tag

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.window import Window

FRAMES = {
    "TIT2": "title",
    "TPE1": "artist",
    "TPE2": "albumartist",
    "TALB": "album",
    "TCON": "genre",
    "TDRC": "date",
    "TRCK": "track",
    "TPOS": "disc",
    "TCOM": "composer",
    "TBPM": "bpm",
    "TSRC": "isrc",
    "TPUB": "label",
    "TCMP": "compilation",
    "UFID:http://musicbrainz.org": "mb_trackid",
}
USER_TEXTS = {
    "musicbrainz album id": "mb_albumid",
    "musicbrainz artist id": "mb_artistid",
    "musicbrainz album artist id": "mb_albumartistid",
    "musicbrainz release group id": "mb_releasegroupid",
    "replaygain_track_gain": "replaygain_track_gain",
    "replaygain_track_peak": "replaygain_track_peak",
    "replaygain_album_gain": "replaygain_album_gain",
    "replaygain_album_peak": "replaygain_album_peak",
}
"""Descriptions of TXXX frames in lower case: taggers do not agree on the case."""

V1_FRAMES = ("TIT2", "TPE1", "TALB", "TRCK", "TCON")
V1_COMMENT = "COMM:ID3v1 Comment:eng"
"""Where mutagen puts the comment of an ID3v1 tag."""
V1_SIZE = 128
APE_OVERHANG = b"APETAGEX".index(b"TAG")

_YEAR = re.compile(r"([0-9]{4})(-[0-9]{2}-[0-9]{2})?\Z")
_TWO_PAIRS = re.compile(r"([0-9]{2})([0-9]{2})\Z")
_CODED_GENRE = re.compile(r"\(|[^\n]*\n|\d+\Z|CR\Z|RX\Z")


def read_tag(window: Window, *, with_v1: bool = True) -> Tag:
    """The file's ID3 tags, as one: ID3v2 first, ID3v1 for what it lacks, dates upgraded to TDRC."""
    tag = plain_tag(window)
    if tag is None:
        return _mutagen_tag(window, with_v1=with_v1)
    date = "TDRC" if tag.version == V24 else "TYER"
    if with_v1 and (not {date, *V1_FRAMES} <= tag.texts.keys() or not _comment(tag.texts)):
        for key, values in _id3v1(window, tag.version).items():
            tag.texts.setdefault(key, values)
    _upgrade(tag.texts)
    return tag


def tag_of(tags: ID3) -> Tag:
    """What mutagen parsed, in our words."""
    texts: Texts = {}
    has_picture = False
    for key, frame in tags.items():
        if isinstance(frame, TextFrame):
            texts[key] = [str(text) for text in frame.text]
        elif isinstance(frame, UFID):
            texts[key] = [frame.data.decode("utf-8", "replace")]
        elif isinstance(frame, APIC):
            has_picture = has_picture or any(frame.data)
    return Tag(texts, has_picture, getattr(tags, "size", 0))


def track(
    codec: str,
    info: object,
    tag: Tag,
    *others: columns.Values,
    lossless: bool = False,
    has_picture: bool = False,
) -> Track:
    """The track of any file with ID3 tags, and with `others` that fill in what those lack."""
    return columns.track(
        codec,
        info,
        columns.filled(values_of(tag), *others) if others else values_of(tag),
        has_picture=has_picture or tag.has_picture,
        lossless=lossless,
    )


def values_of(tag: Tag) -> columns.Values:
    """The tag's texts by column."""
    values = {column: tag.texts[key] for key, column in FRAMES.items() if key in tag.texts}
    for key, more in tag.texts.items():
        if key.startswith("TXXX:") and columns.texts(more):
            column = USER_TEXTS.get(key[5:].rstrip("\0").lower())
            if column is not None:
                values.setdefault(column, more)
    values["comment"] = _comment(tag.texts)
    return values


def _mutagen_tag(window: Window, *, with_v1: bool) -> Tag:
    window.seek(0)
    try:
        return tag_of(ID3(window, load_v1=with_v1))
    except ID3NoHeaderError:
        return Tag({})


def _comment(texts: Texts) -> list[str]:
    """The comment a person wrote: best one without a description, at last the one of ID3v1.

    iTunes keeps its volume and gapless data in comments (iTunNORM, iTunSMPB, iTunPGAP ...).
    """
    found: dict[int, list[str]] = {}
    for key, values in texts.items():
        if key.startswith("COMM:") and columns.texts(values):
            description = key[5:].rpartition(":")[0].rstrip("\0")
            if not description.lower().startswith("itun"):
                rank = 2 if key == V1_COMMENT else int(bool(description))
                found.setdefault(rank, values)
    return found[min(found)] if found else []


def _id3v1(window: Window, version: int) -> Texts:
    """The frames of the ID3v1 tag at the file's end, found as mutagen finds it."""
    tail = window.tail[-V1_SIZE - APE_OVERHANG :]
    begin = tail.find(b"TAG")
    if begin < 0 or tail.find(b"APETAGEX") == begin - APE_OVERHANG >= 0:
        return {}
    frames = ParseID3v1(tail[begin:], version) or {}
    return {frame.HashKey: [str(text) for text in frame.text] for frame in frames.values()}


def _upgrade(texts: Texts) -> None:
    """Turn genre numbers into names and the dates of older versions into TDRC, as mutagen does."""
    if any(_CODED_GENRE.match(genre) for genre in texts.get("TCON", ())):
        texts["TCON"] = TCON(encoding=3, text=texts["TCON"]).genres
    parts = [texts.pop(key, []) for key in ("TYER", "TDAT", "TIME")]
    if "TDRC" not in texts and (stamps := _timestamps(*parts)):
        texts["TDRC"] = stamps


def _timestamps(years: list[str], days: list[str], times: list[str]) -> list[str]:
    """Time stamps of ID3v2.4 out of TYER (year), TDAT (DDMM) and TIME (HHMM), as mutagen does."""
    stamps = []
    for tyer, tdat, time in zip_longest(years, days, times, fillvalue=""):
        year = _YEAR.match(tyer)
        day = _TWO_PAIRS.match(tdat)
        clock = _TWO_PAIRS.match(time)
        if year:
            date = f"-{day[2]}-{day[1]}" if day else year[2] or ""
            hour = f"T{clock[1]}:{clock[2]}:00" if date and clock else ""
            stamps.append(str(ID3TimeStamp(year[1] + date + hour)))
    return stamps
