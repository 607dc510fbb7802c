"""A suffix -> the family of formats, and the module that reads the file first."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

from indexer.model import Track
from indexer.tags.window import Window

Family = Callable[[Window, bytes], Track]
"""A reader of several formats; the suffix distinguishes them."""

SUFFIXES_OF_FAMILIES = {
    "bare": b".mp3 .mp2 .mp1 .m2a .mpga .aac .adts .ac3 .eac3 .ec3 .tta",
    "mp4": b".m4a .m4b .m4p .m4r .mp4 .f4a .3ga .alac",
    "matroska": b".mka .webm .weba",
    "vorbis": b".flac .ogg .oga .ogx .oggflac .opus .spx .ogv",
    "asf": b".wma .asf",
    "chunks": b".wav .wave .bwf .aif .aiff .aifc .afc",
    "wave64": b".w64",
    "caf": b".caf",
    "dsd": b".dsf .dff",
    "apev2": b".ape .mpc .mp+ .mpp .ofr .ofs .tak .wv",
}
FAMILIES = {
    one: family for family, suffixes in SUFFIXES_OF_FAMILIES.items() for one in suffixes.split()
}
"""Suffix -> the family that is tried first."""

MODULES = {
    "bare": "bare",
    "mp4": "mp4.mp4_file",
    "matroska": "matroska.matroska_file",
    "vorbis": "vorbis.vorbis_file",
    "asf": "asf",
    "chunks": "chunked.wave_aiff",
    "wave64": "chunked.wave64",
    "caf": "chunked.caf",
    "dsd": "chunked.dsd",
    "apev2": "ape.apev2",
}
"""Family -> its module in `indexer.tags`."""

MAY_BE_SOUNDLESS = frozenset({b".mp4", b".webm", b".asf"})
"""Suffixes of films as well: a file of them without sound is no track, and no problem."""

CHANGED_IN = {
    "bare": 10,
    "mp4": 10,
    "matroska": 10,
    "vorbis": 10,
    "asf": 10,
    "chunks": 10,
    "wave64": 10,
    "caf": 10,
    "dsd": 10,
    "apev2": 10,
}
"""The last `READER_VERSION` in which a family got values that it did not read before, or others."""


def least_version(suffix: bytes) -> int:
    """The oldest `READER_VERSION` whose values of a file with this suffix are those of today."""
    return CHANGED_IN.get(FAMILIES.get(suffix, ""), 0)


@cache
def family_of(suffix: bytes) -> Family:
    """The reader that is tried first for files of this suffix.

    It is imported when its first file comes: a library of MP3 files never loads the others.
    """
    family: Family = import_module(f"indexer.tags.{MODULES[FAMILIES[suffix]]}").read
    return family


OF_OURS = frozenset(
    suffix
    for family in ("bare", "caf", "matroska", "mp4", "vorbis")
    for suffix in SUFFIXES_OF_FAMILIES[family].split()
)
"""Suffixes of the formats for which we have our own readers."""
