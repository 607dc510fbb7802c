"""A suffix -> the module that reads the file first."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module

from indexer.model import Track
from indexer.tags.window import Window

Family = Callable[[Window, bytes], Track]
"""A reader of several formats; the suffix distinguishes them."""

SUFFIXES_OF_FAMILIES = {
    "bare": b".mp3 .mp2 .mp1 .m2a .aac .ac3 .eac3 .ec3 .tta",
    "mp4": b".m4a .m4b .m4p .m4r .mp4",
    "vorbis": b".flac .ogg .oga .oggflac .opus .spx .ogv",
    "asf": b".wma .asf",
    "chunks": b".wav .wave .aif .aiff .aifc",
    "dsd": b".dsf .dff",
    "apev2": b".ape .mpc .mp+ .mpp .ofr .ofs .tak .wv",
}
FAMILIES = {
    one: family for family, suffixes in SUFFIXES_OF_FAMILIES.items() for one in suffixes.split()
}
"""Suffix -> the module that is tried first."""


@cache
def family_of(suffix: bytes) -> Family:
    """The reader that is tried first for files of this suffix.

    It is imported when its first file comes: a library of MP3 files never loads the others.
    """
    family: Family = import_module(f"indexer.tags.{FAMILIES[suffix]}").read
    return family


OF_OURS = frozenset(
    suffix
    for family in ("bare", "mp4", "vorbis")
    for suffix in SUFFIXES_OF_FAMILIES[family].split()
)
"""Suffixes of the formats for which we have our own readers."""
