"""A file with ID3 tags, at its ends or in a chunk -> its tags as columns.

The mapping is MusicBrainz Picard's (Appendix B, "Tag mapping").
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING

from mutagen.id3 import APIC, ID3, TCON, UFID, ID3NoHeaderError, ID3TimeStamp, ParseID3v1, TextFrame
from mutagen.id3._specs import EncodedTextSpec, MultiSpec, SpecError

from indexer.tags import columns
from indexer.tags.plain_id3 import KNOWN_STAMP, TEXT_LIMIT, VALUES_LIMIT, Tag, Texts, plain_tag

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

V1_MARK = b"TAG"
V1_COMMENT = "COMM:ID3v1 Comment:eng"
"""Where mutagen puts the comment of an ID3v1 tag."""
V1_SIZE = 128
APE_OVERHANG = b"APETAGEX".index(b"TAG")

_YEAR = re.compile(r"([0-9]{4})(-[0-9]{2}-[0-9]{2})?\Z")
_TWO_PAIRS = re.compile(r"([0-9]{2})([0-9]{2})\Z")
_CODED_GENRE = re.compile(r"\(|[^\n]*\n|\d+\Z|CR\Z|RX\Z")


def _read_texts(spec: MultiSpec, header: object, frame: object, data: bytes) -> object:
    """A list of texts as mutagen reads it, unless that would take for ever.

    It copies the rest of the frame for each text. What is too much is dropped, as any other frame
    that mutagen cannot parse.
    """
    terminator = b"\0\0" if getattr(frame, "encoding", 0) in WIDE else b"\0"
    if len(data) > TEXT_LIMIT or data.count(terminator) > VALUES_LIMIT:
        raise SpecError("more text than any tag has")
    return _mutagens_texts(spec, header, frame, data)


def _read_text(spec: EncodedTextSpec, header: object, frame: object, data: bytes) -> object:
    """One text before others or a picture; the end of one in UTF-16 is looked for byte by byte."""
    if len(data) > TEXT_LIMIT and getattr(frame, "encoding", 0) in WIDE:
        head = data[:TEXT_LIMIT].decode("utf-16-le", "replace")
        if "\0" not in head:
            raise SpecError("more text than any tag has")
    return _mutagens_text(spec, header, frame, data)


WIDE = (1, 2)
"""Encodings of two bytes a letter (ID3v2.4.0-structure, 4)."""

_mutagens_texts, MultiSpec.read = MultiSpec.read, _read_texts
_mutagens_text, EncodedTextSpec.read = EncodedTextSpec.read, _read_text
"""Until mutagen (1.48) has limits of its own: see the test of text frames of megabytes."""


def read_tag(window: Window, *, with_v1: bool = True) -> Tag:
    """The file's ID3 tags, as one: ID3v2 first, ID3v1 for what it lacks, dates upgraded to TDRC."""
    tag = plain_tag(window)
    if tag is None:
        return _mutagen_tag(window, with_v1=with_v1)
    if with_v1 and V1_MARK in window.tail:
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
    values: columns.Values = {}
    comments: Texts = {}
    for key, texts in tag.texts.items():
        column = FRAMES.get(key)
        if column is not None:
            values[column] = texts
        elif key.startswith("TXXX:"):
            column = USER_TEXTS.get(key[5:].rstrip("\0").lower())
            if column is not None and column not in values and columns.texts(texts):
                values[column] = texts
        elif key.startswith("COMM:"):
            comments[key] = texts
    if comments:
        values["comment"] = _comment(comments)
    return values


def _mutagen_tag(window: Window, *, with_v1: bool) -> Tag:
    window.seek(0)
    try:
        return tag_of(ID3(window, load_v1=with_v1))
    except ID3NoHeaderError:
        return Tag({})


def _comment(comments: Texts) -> list[str]:
    """The comment a person wrote: best one without a description, at last the one of ID3v1.

    iTunes keeps its volume and gapless data in comments (iTunNORM, iTunSMPB, iTunPGAP ...).
    """
    found: dict[int, list[str]] = {}
    for key, values in comments.items():
        if columns.texts(values):
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
    for genre in texts.get("TCON", ()):
        if _CODED_GENRE.match(genre):
            texts["TCON"] = TCON(encoding=3, text=texts["TCON"]).genres
            break
    years, days, times = texts.pop("TYER", []), texts.pop("TDAT", []), texts.pop("TIME", [])
    if years and "TDRC" not in texts and (stamps := _timestamps(years, days, times)):
        texts["TDRC"] = stamps


def _timestamps(years: list[str], days: list[str], times: list[str]) -> list[str]:
    """Time stamps of ID3v2.4 out of TYER (year), TDAT (DDMM) and TIME (HHMM), as mutagen does."""
    stamps = [
        (_known_timestamp if len(tyer) <= KNOWN_STAMP else _timestamp)(tyer, tdat[:5], time[:5])
        for tyer, tdat, time in zip_longest(years, days, times, fillvalue="")
    ]
    return [stamp for stamp in stamps if stamp]


def _timestamp(tyer: str, tdat: str, time: str) -> str:
    """One of them; empty where there is no year."""
    year = _YEAR.match(tyer)
    if not year:
        return ""
    day = _TWO_PAIRS.match(tdat)
    clock = _TWO_PAIRS.match(time)
    date = f"-{day[2]}-{day[1]}" if day else year[2] or ""
    hour = f"T{clock[1]}:{clock[2]}:00" if date and clock else ""
    return str(ID3TimeStamp(year[1] + date + hour))


_known_timestamp = lru_cache(maxsize=1024)(_timestamp)
"""The same, kept: an album's files have one date."""
