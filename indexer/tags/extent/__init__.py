"""An open audio file -> how much of it is there, by what its structure announces.

Nothing is decoded: headers tell how long a file is, or its end shows that it goes on. What its
format does not tell, or what contradicts itself, is None, as is a file that is whole: a size that
was never filled in, a header of another program's edit, a stream that was recorded from its midst.
A function for each way of announcing; each reads a few bytes at the head, and once at the end.
"""

from __future__ import annotations

from functools import cache
from importlib import import_module
from typing import TYPE_CHECKING, Final

from indexer.tags.leading import BEGINNINGS, HEADER_SIZE, end_of_tags, size_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexer.tags.window import Window

    Measure = Callable[[Window, int], float | None]

Place = tuple[str, str]
"""A module here, and its function that measures."""
FLAC: Final = ("flac_ogg", "share_of_flac")
OGG: Final = ("flac_ogg", "share_of_ogg")
CHUNKS: Final = ("chunks", "share_of_chunks")
BOXES: Final = ("chunks", "share_of_boxes")
SIZED: Final = ("sized", "share_there")
FRAMES: Final = ("frames", "share_there")
MPEG: Final = ("mpeg", "share_there")
MEASURES: Final = {
    b".flac": FLAC,
    b".ogg": OGG,
    b".wav": CHUNKS,
    b".aiff": CHUNKS,
    b".dff": CHUNKS,
    b".dsf": SIZED,
    b".w64": CHUNKS,
    b".caf": CHUNKS,
    b".wma": SIZED,
    b".ape": SIZED,
    b".mka": SIZED,
    b".mpc": FRAMES,
    b".tta": FRAMES,
    b".wv": FRAMES,
}
"""Suffix of a format, as `BEGINNINGS` has it -> what measures it."""
LONGEST: Final = 8
MOST: Final = 0.9999
"""Shares are less than one, and show as such."""


def share_there(window: Window) -> float | None:
    """The share of the file that is there, 0 to 1; None: it is whole, or that is not known.

    Raises OSError as the window does.
    """
    if window.is_measured:
        return None
    head = window.peek(0, HEADER_SIZE)
    begin = size_of(head)
    if begin:
        head = window.glance(begin, HEADER_SIZE)
    place = _place_of(head)
    if begin and place is None:
        begin = end_of_tags(window)
        place = _place_of(window.glance(begin, HEADER_SIZE))
    share = _measure(*place)(window, begin) if place else None
    return None if share is None else round(min(max(share, 0.0), MOST), 4)


@cache
def _measure(module: str, function: str) -> Measure:
    """Import the module when its first file comes."""
    measure: Measure = getattr(import_module(f"indexer.tags.extent.{module}"), function)
    return measure


def _place_of(head: bytes) -> Place | None:
    """What measures a format that begins so; None if nothing can."""
    if head[:1] == b"\xff":
        return MPEG
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"styp"}:
        return BOXES
    for size in (4, 3, LONGEST):
        suffix = BEGINNINGS.get(head[:size])
        if suffix is not None:
            return MEASURES.get(suffix)
    return None
