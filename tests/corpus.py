"""Tag values and trees as literals -> the bytes of audio files, whole or damaged, and libraries.

The templates are a fifth of a second of a sine tone without tags, made once with ffmpeg. Equal
arguments give equal bytes (under one version of mutagen).
"""

from __future__ import annotations

import base64
import os
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import Any

from mutagen import id3
from mutagen.flac import FLAC, Picture
from mutagen.mp4 import MP4, MP4Cover, MP4FreeForm
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggvorbis import OggVorbis

Value = str | int | Sequence[str]
Tree = Mapping[str | bytes, bytes | None]

TEMPLATES = Path(__file__).with_name("templates")
ALIASES = {".m4b": ".m4a", ".mp4": ".m4a"}

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
"""Where the key is not the column's name in capitals."""
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


@cache
def template(suffix: str) -> bytes:
    """An untagged file: `.mp3 .flac .m4a .m4b .mp4 .alac.m4a .ogg .opus .oga .aac`."""
    return (TEMPLATES / f"tone{ALIASES.get(suffix, suffix)}").read_bytes()


def tagged(
    suffix: str = ".mp3", *, picture: int | None = None, id3_version: int = 4, **tags: Value
) -> bytes:
    """The bytes of a file with these tags, named as the columns of the view `library`.

    A list is several values. `picture` embeds a made-up cover of that many bytes.
    """
    texts = {column: _texts(value) for column, value in tags.items()}
    cover = None if picture is None else _cover(picture)
    file = BytesIO(template(suffix))
    match ALIASES.get(suffix, suffix):
        case ".mp3":
            _tag_mp3(file, texts, cover, id3_version)
        case ".flac":
            _tag_flac(file, texts, cover)
        case ".m4a" | ".alac.m4a":
            _tag_mp4(file, texts, cover)
        case _:
            _tag_ogg(suffix, file, texts, cover)
    return file.getvalue()


def plant(root: Path, tree: Tree) -> None:
    """Write a tree below `root`: content by path, `/` between folders, bytes where it is no UTF-8.

    `None` under a path that ends in `/` is an empty folder.
    """
    base = os.fsencode(root)
    for name, content in tree.items():
        path = os.path.join(base, name if isinstance(name, bytes) else name.encode())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)


def truncated(suffix: str = ".mp3", keep: float = 0.5) -> bytes:
    """A tagged file, of which a copy ended too early."""
    whole = tagged(suffix, picture=2000, title="Human Behaviour", artist="Björk", album="Debut")
    return whole[: int(len(whole) * keep)]


def empty() -> bytes:
    """What is left of a file after some crashes."""
    return b""


def noise(size: int = 4096, seed: int = 1) -> bytes:
    """Random bytes, the same ones every time."""
    return random.Random(seed).randbytes(size)


def id3_claims_256_mb() -> bytes:
    """An MP3 file whose ID3v2 header claims the largest size there is: 2**28 - 1 bytes."""
    return b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + template(".mp3")


def flac_picture_claims_4_gb() -> bytes:
    """A FLAC file with a picture block whose picture claims 2**32 - 1 bytes."""
    whole = tagged(".flac", picture=100, title="Human Behaviour")
    at = whole.index(_cover(100)) - 4
    return whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :]


def mp4_without_moov() -> bytes:
    """An MP4 file of which only type and sound were written: the index comes last."""
    whole = template(".m4a")
    sound = whole.index(b"mdat") - 4
    return whole[:24] + whole[sound : sound + int.from_bytes(whole[sound : sound + 4])]


def ogg_with_broken_crc() -> bytes:
    """An Ogg file whose second page, the one with the tags, fails its checksum."""
    whole = tagged(".ogg", title="Human Behaviour")
    crc = whole.index(b"OggS", 4) + 22
    return whole[:crc] + bytes(byte ^ 0xFF for byte in whole[crc : crc + 4]) + whole[crc + 4 :]


def id3_with_bad_frame_sizes() -> bytes:
    """An MP3 file with an ID3v2.3 tag whose first frame claims to be larger than the tag."""
    whole = tagged(".mp3", id3_version=3, title="Human Behaviour", artist="Björk")
    return whole[:14] + b"\x7f\xff\xff\xff" + whole[18:]


def flac_header_only() -> bytes:
    """A FLAC file of four bytes."""
    return b"fLaC"


DAMAGED: dict[str, Callable[[], bytes]] = {
    "truncated.mp3": truncated,
    "truncated.flac": lambda: truncated(".flac"),
    "truncated.m4a": lambda: truncated(".m4a", 0.2),
    "truncated.ogg": lambda: truncated(".ogg", 0.05),
    "empty.mp3": empty,
    "noise.mp3": noise,
    "noise.flac": lambda: noise(seed=2),
    "id3 claims 256 MB.mp3": id3_claims_256_mb,
    "picture claims 4 GB.flac": flac_picture_claims_4_gb,
    "without moov.m4a": mp4_without_moov,
    "header only.flac": flac_header_only,
}
"""Files that no reader can make a track of, by a name to plant them under."""


def _texts(value: Value) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(int(value))] if isinstance(value, int) else list(value)


@cache
def _cover(size: int) -> bytes:
    """As many bytes, none of them zero, that begin like a JPEG file."""
    return (b"\xff\xd8\xff\xe0" + b"made up " * (size // 8 + 1))[:size]


def _picture(cover: bytes) -> Picture:
    picture = Picture()
    picture.type, picture.mime, picture.data = id3.PictureType.COVER_FRONT, "image/jpeg", cover
    return picture


def _number(texts: Mapping[str, list[str]], column: str) -> str:
    """`3`, `3/12`, `/12` or nothing out of a column and its total."""
    total = texts.get(f"{column}_total")
    return texts.get(column, [""])[0] + (f"/{total[0]}" if total else "")


def _tag_mp3(file: BytesIO, texts: dict[str, list[str]], cover: bytes | None, version: int) -> None:
    tag = id3.ID3()
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
    tag.save(file, v2_version=version, v23_sep=None, padding=_no_padding)


def _frame(column: str, values: list[str]) -> id3.Frame:
    if column == "comment":
        return id3.COMM(encoding=3, lang="eng", desc="", text=values)
    if column == "mb_trackid":
        return id3.UFID(owner="http://musicbrainz.org", data=values[0].encode())
    if column in USER_TEXTS:
        return id3.TXXX(encoding=3, desc=USER_TEXTS[column], text=values)
    return getattr(id3, TEXT_FRAMES[column])(encoding=3, text=values)


def _comments(texts: dict[str, list[str]]) -> list[tuple[str, str]]:
    return [
        (VORBIS_KEYS.get(column, column.upper()), text)
        for column, values in texts.items()
        for text in values
    ]


def _tag_flac(file: BytesIO, texts: dict[str, list[str]], cover: bytes | None) -> None:
    flac = FLAC(file)
    flac.tags.extend(_comments(texts))
    if cover is not None:
        flac.add_picture(_picture(cover))
    file.seek(0)
    flac.save(file, padding=_no_padding)


def _tag_ogg(suffix: str, file: BytesIO, texts: dict[str, list[str]], cover: bytes | None) -> None:
    ogg = {".ogg": OggVorbis, ".opus": OggOpus, ".oga": OggFLAC}[suffix](file)
    ogg.tags.extend(_comments(texts))
    if cover is not None:
        block = base64.b64encode(_picture(cover).write()).decode("ascii")
        ogg.tags.append(("METADATA_BLOCK_PICTURE", block))
    file.seek(0)
    ogg.save(file, padding=_no_padding)


def _tag_mp4(file: BytesIO, texts: dict[str, list[str]], cover: bytes | None) -> None:
    mp4 = MP4(file)
    for column, values in texts.items():
        if column in ATOMS:
            mp4.tags[ATOMS[column]] = values
        elif column in FREEFORM:
            mp4.tags[f"----:com.apple.iTunes:{FREEFORM[column]}"] = [
                MP4FreeForm(value.encode()) for value in values
            ]
        elif column == "bpm":
            mp4.tags["tmpo"] = [int(values[0])]
        elif column == "compilation":
            mp4.tags["cpil"] = values[0] == "1"
        elif column not in NUMBERS:
            raise KeyError(column)
    for column, atom in (("track", "trkn"), ("disc", "disk")):
        pair = tuple(int(texts.get(name, ["0"])[0]) for name in (column, f"{column}_total"))
        if any(pair):
            mp4.tags[atom] = [pair]
    if cover is not None:
        mp4.tags["covr"] = [MP4Cover(cover)]
    file.seek(0)
    mp4.save(file, padding=_no_padding)


def _no_padding(_info: Any) -> int:
    return 0
