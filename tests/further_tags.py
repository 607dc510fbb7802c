"""Further tags by their names in MusicBrainz Picard -> a file with them, as Picard writes it.

Source: MusicBrainz Picard, Appendix B, "Tag mapping".
"""

from __future__ import annotations

import struct
from collections.abc import Mapping, Sequence
from io import BytesIO
from typing import Any

from mutagen import id3
from mutagen.aiff import AIFF
from mutagen.apev2 import APENoHeaderError, APEv2
from mutagen.asf import ASF, ASFUnicodeAttribute
from mutagen.dsdiff import DSDIFF
from mutagen.dsf import DSF
from mutagen.flac import FLAC
from mutagen.mp4 import MP4, MP4FreeForm
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from tests import corpus, raw_formats, raw_matroska, taggers

Tags = Mapping[str, Sequence[str]]

FRAMES = {
    "albumartistsort": "TSO2",
    "artistsort": "TSOP",
    "albumsort": "TSOA",
    "titlesort": "TSOT",
    "composersort": "TSOC",
    "originaldate": "TDOR",
    "discsubtitle": "TSST",
    "media": "TMED",
    "movement": "MVNM",
    "conductor": "TPE3",
    "mood": "TMOO",
    "grouping": "TIT1",
    "key": "TKEY",
    "encodedby": "TENC",
}
ATOMS = {
    "albumartistsort": "soaa",
    "artistsort": "soar",
    "albumsort": "soal",
    "titlesort": "sonm",
    "composersort": "soco",
    "work": "\xa9wrk",
    "movement": "\xa9mvn",
    "grouping": "\xa9grp",
    "lyrics": "\xa9lyr",
    "encodedby": "\xa9too",
}
ATTRIBUTES = {
    "albumartistsort": "WM/AlbumArtistSortOrder",
    "artistsort": "WM/ArtistSortOrder",
    "albumsort": "WM/AlbumSortOrder",
    "titlesort": "WM/TitleSortOrder",
    "composersort": "WM/ComposerSortOrder",
    "originaldate": "WM/OriginalReleaseTime",
    "discsubtitle": "WM/SetSubTitle",
    "media": "WM/Media",
    "work": "WM/Work",
    "movement": "WM/MovementName",
    "conductor": "WM/Conductor",
    "mood": "WM/Mood",
    "grouping": "WM/ContentGroupDescription",
    "key": "WM/InitialKey",
    "lyrics": "WM/Lyrics",
    "encodedby": "WM/EncodedBy",
    "barcode": "WM/Barcode",
}
INFO = {"media": b"IMED", "encodedby": b"ITCH"}
HEADS = (".mp3", ".mp2", ".aac", ".tta")
CHUNKS = {".wav": WAVE, ".aiff": AIFF, ".dsf": DSF, ".dff": DSDIFF}
OGG = {".ogg": OggVorbis, ".oga": OggFLAC, ".opus": OggOpus, ".spx": OggSpeex}
APE = (".ape", ".mpc", ".ofr", ".tak", ".wv", ".ac3")
SUFFIXES = (*HEADS, *CHUNKS, *OGG, ".flac", ".m4a", ".alac.m4a", *APE, ".wma", ".mka", ".caf")
"""Formats that can hold all of the tags."""


def with_tags(suffix: str, tags: Tags, *, id3_version: int = 4, **columns: Any) -> bytes:
    """A file with these further tags, and with columns as `corpus.tagged` writes them."""
    content = corpus.tagged(suffix, id3_version=id3_version, **columns)
    if suffix == ".mka":
        return _matroska(tags, columns)
    if suffix == ".caf":
        return _caf(tags)
    file = BytesIO(content)
    if suffix in HEADS:
        _head(file, tags, id3_version)
    elif suffix in CHUNKS:
        _chunk(file, CHUNKS[suffix], tags, id3_version)
    elif suffix in OGG or suffix == ".flac":
        _vorbis(file, OGG.get(suffix, FLAC), tags)
    elif suffix.endswith(".m4a"):
        _mp4(file, tags)
    elif suffix == ".wma":
        _asf(file, tags)
    else:
        _apev2(file, tags)
    return file.getvalue()


def key(name: str) -> str:
    """A name as a key of Vorbis comments or APE items."""
    return "MOVEMENTNAME" if name == "movement" else name.upper()


def _head(file: BytesIO, tags: Tags, version: int) -> None:
    try:
        tag = id3.ID3(file)
    except id3.ID3NoHeaderError:
        tag = id3.ID3()
    _id3(tag, tags)
    file.seek(0)
    tag.save(file, v2_version=version, v23_sep=None, padding=taggers.no_padding)


def _chunk(file: BytesIO, kind: Any, tags: Tags, version: int) -> None:
    whole = kind(file)
    if whole.tags is None:
        whole.add_tags()
    _id3(whole.tags, tags)
    file.seek(0)
    whole.tags.save(file, v2_version=version, v23_sep=None, padding=taggers.no_padding)


def _vorbis(file: BytesIO, kind: Any, tags: Tags) -> None:
    whole = kind(file)
    whole.tags.extend((key(name), text) for name, texts in tags.items() for text in texts)
    file.seek(0)
    whole.save(file, padding=taggers.no_padding)


def _asf(file: BytesIO, tags: Tags) -> None:
    whole = ASF(file)
    for name, texts in tags.items():
        whole.tags[ATTRIBUTES.get(name, name)] = [ASFUnicodeAttribute(text) for text in texts]
    file.seek(0)
    whole.save(file, padding=taggers.no_padding)


def _apev2(file: BytesIO, tags: Tags) -> None:
    try:
        tag = APEv2(file)
    except APENoHeaderError:
        tag = APEv2()
    file.seek(0)
    for name, texts in tags.items():
        tag[key(name).title()] = list(texts)
    tag.save(file)


def _id3(tag: id3.ID3, tags: Tags) -> None:
    for name, texts in tags.items():
        if name == "lyrics":
            tag.add(id3.USLT(encoding=3, lang="eng", desc="", text=texts[0]))
        elif name in FRAMES:
            tag.add(getattr(id3, FRAMES[name])(encoding=3, text=list(texts)))
        else:
            tag.add(id3.TXXX(encoding=3, desc=name.upper(), text=list(texts)))


def _mp4(file: BytesIO, tags: Tags) -> None:
    whole = MP4(file)
    for name, texts in tags.items():
        if name in ATOMS:
            whole.tags[ATOMS[name]] = list(texts)
        else:
            written = "initialkey" if name == "key" else name.upper()
            whole.tags[f"----:com.apple.iTunes:{written}"] = [
                MP4FreeForm(text.encode()) for text in texts
            ]
    file.seek(0)
    whole.save(file, padding=taggers.no_padding)


def _matroska(tags: Tags, columns: Mapping[str, Any]) -> bytes:
    found = [(30, column.upper(), str(text)) for column, text in columns.items()]
    found += [(30, key(name), text) for name, texts in tags.items() for text in texts]
    return raw_matroska.with_parts(corpus.template(".mka"), raw_matroska.tags(found))


def _caf(tags: Tags) -> bytes:
    names = {"key": "key signature", "movement": "movementname"}
    pairs = [(names.get(name, name), text) for name, texts in tags.items() for text in texts]
    strings = "".join(f"{name}\0{text}\0" for name, text in pairs).encode()
    body = len(pairs).to_bytes(4) + strings
    return corpus.template(".caf") + b"info" + len(body).to_bytes(8) + body


def wave_with_info(tags: Tags) -> bytes:
    """A WAV file with a list INFO."""
    items = b"".join(
        INFO[name] + struct.pack("<I", len(text) + 1) + text + b"\0" + b"\0" * (len(text) % 2 == 0)
        for name, texts in tags.items()
        for text in [texts[0].encode()]
    )
    chunk = b"LIST" + struct.pack("<I", len(items) + 4) + b"INFO" + items
    content = corpus.template(".wav") + chunk
    return content[:4] + struct.pack("<I", len(content) - 8) + content[8:]


def wave64_with_info(tags: Tags) -> bytes:
    """A Wave64 file with a summary list."""
    items = [(INFO[name], f"{text}\0".encode("utf-16-le")) for name, (text, *_) in tags.items()]
    body = struct.pack("<I", len(items))
    body += b"".join(code + struct.pack("<I", len(text)) + text for code, text in items)
    return raw_formats.with_wave64_chunk(corpus.template(".w64"), raw_formats.SUMMARY, body)
