"""Tag values and trees as literals -> the bytes of audio files, whole or damaged, and libraries.

The templates are a fifth of a second of a sine tone without tags, made once with ffmpeg, or by hand
if ffmpeg cannot. Equal arguments give equal bytes (with one version of mutagen).
"""

from __future__ import annotations

import os
import random
from collections.abc import Callable, Mapping, Sequence
from functools import cache
from io import BytesIO
from pathlib import Path

from mutagen.aiff import AIFF
from mutagen.dsdiff import DSDIFF
from mutagen.dsf import DSF
from mutagen.oggflac import OggFLAC
from mutagen.oggopus import OggOpus
from mutagen.oggspeex import OggSpeex
from mutagen.oggvorbis import OggVorbis
from mutagen.wave import WAVE

from tests import taggers
from tests.raw_formats import HANDMADE

Value = str | int | Sequence[str]
Tree = Mapping[str | bytes, bytes | None]

TEMPLATES = Path(__file__).with_name("templates")
ALIASES = {
    **dict.fromkeys([".m4b", ".m4p", ".m4r", ".mp4", ".f4a", ".3ga"], ".m4a"),
    **dict.fromkeys([".aif", ".aifc", ".afc"], ".aiff"),
    **dict.fromkeys([".webm", ".weba"], ".mka"),
    **dict.fromkeys([".wave", ".bwf"], ".wav"),
    **dict.fromkeys([".m2a", ".mpga"], ".mp2"),
    ".adts": ".aac",
    ".alac": ".alac.m4a",
    ".ogx": ".ogg",
    **dict.fromkeys([".mp+", ".mpp"], ".mpc"),
    ".asf": ".wma",
    ".ec3": ".eac3",
    ".ofs": ".ofr",
    ".oggflac": ".oga",
}
AT_THE_HEAD = (".mp3", ".mp2", ".mp1", ".aac", ".tta")
CHUNKS = {".wav": WAVE, ".aiff": AIFF, ".dsf": DSF, ".dff": DSDIFF}
OGG = {".ogg": OggVorbis, ".oga": OggFLAC, ".opus": OggOpus, ".spx": OggSpeex}
AT_THE_END = (".ac3", ".eac3", ".ape", ".mpc", ".sv8.mpc", ".ofr", ".tak", ".wv")
OTHERS = {
    ".flac": taggers.flac,
    ".m4a": taggers.mp4,
    ".alac.m4a": taggers.mp4,
    ".wma": taggers.asf,
    ".mka": taggers.matroska,
    **dict.fromkeys(AT_THE_END, taggers.apev2),
}
STREAMS = (*AT_THE_HEAD, *CHUNKS, *OGG, *OTHERS)
"""Suffixes with a template, all different."""
WITHOUT_PICTURES = {".caf": taggers.caf, ".w64": taggers.wave64}
"""Suffixes with a template whose format has no pictures; `.w64` has but few columns as well."""


@cache
def template(suffix: str) -> bytes:
    """An untagged file; the suffix is one of `STREAMS`, or another one for the same format."""
    name = ALIASES.get(suffix, suffix)
    return HANDMADE[name]() if name in HANDMADE else (TEMPLATES / f"tone{name}").read_bytes()


def tagged(
    suffix: str = ".mp3", *, picture: int | bytes | None = None, id3_version: int = 4, **tags: Value
) -> bytes:
    """The bytes of a file with these tags, by columns of the view `library`.

    A list means several values. `picture` embeds these bytes as a cover, or a made-up one of so
    many bytes, which nothing can decode.
    """
    if strange := tags.keys() - taggers.COLUMNS:
        raise KeyError(*strange)
    texts = {column: _texts(value) for column, value in tags.items()}
    cover = _cover(picture) if isinstance(picture, int) else picture
    file = BytesIO(template(suffix))
    _tagger(ALIASES.get(suffix, suffix), id3_version)(file, texts, cover)
    return file.getvalue()


def plant(root: Path, tree: Tree) -> None:
    """Write a tree below `root`: path (bytes if not UTF-8) -> content.

    `None` for a path that ends in `/` is an empty folder.
    """
    base = os.fsencode(root)
    for name, content in tree.items():
        path = os.path.join(base, name if isinstance(name, bytes) else name.encode())
        os.makedirs(os.path.dirname(path), exist_ok=True)
        if content is not None:
            with open(path, "wb") as file:
                file.write(content)


def truncated(suffix: str = ".mp3", keep: float = 0.5) -> bytes:
    """A truncated copy of a tagged file."""
    whole = tagged(suffix, picture=2000, title="Human Behaviour", artist="Björk", album="Debut")
    return whole[: int(len(whole) * keep)]


def empty() -> bytes:
    """An empty file, as after some crashes."""
    return b""


def noise(size: int = 4096, seed: int = 1) -> bytes:
    """Random bytes, the same ones every time."""
    return random.Random(seed).randbytes(size)


def id3_claims_256_mb() -> bytes:
    """An MP3 file whose ID3v2 header claims the maximum size: 2**28 - 1 bytes."""
    return b"ID3\x04\x00\x00\x7f\x7f\x7f\x7f" + template(".mp3")


def flac_picture_claims_4_gb() -> bytes:
    """A FLAC file with a picture block whose picture claims 2**32 - 1 bytes."""
    whole = tagged(".flac", picture=100, title="Human Behaviour")
    at = whole.index(_cover(100)) - 4
    return whole[:at] + b"\xff\xff\xff\xff" + whole[at + 4 :]


def mp4_without_moov() -> bytes:
    """An MP4 file with only `ftyp` and `mdat` written: the index comes last."""
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
    "truncated.flac": lambda: truncated(".flac", 0.01),
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
"""File name -> content from which no reader can make a track."""


def _tagger(name: str, id3_version: int) -> taggers.Tagger:
    if name in AT_THE_HEAD:
        return taggers.id3_at_the_head(id3_version)
    if name in CHUNKS:
        return taggers.id3_in_a_chunk(CHUNKS[name], id3_version)
    return taggers.vorbis_in_ogg(OGG[name]) if name in OGG else (OTHERS | WITHOUT_PICTURES)[name]


def _texts(value: Value) -> list[str]:
    if isinstance(value, str):
        return [value]
    return [str(int(value))] if isinstance(value, int) else list(value)


@cache
def _cover(size: int) -> bytes:
    """`size` bytes, none of them zero, that begin like a JPEG file."""
    return (b"\xff\xd8\xff\xe0" + b"made up " * (size // 8 + 1))[:size]
