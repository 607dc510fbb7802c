"""An open audio file -> how much of it is there, by what its structure announces.

Nothing is decoded: headers tell how long a file is, or its end shows that it goes on. What its
format does not tell, or what contradicts itself, is None, as is a file that is whole: a size that
was never filled in, a header of another program's edit, a stream that was recorded from its midst.
One module for each way of announcing; each reads a few bytes at the head, and once at the end.
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

MEASURES: Final = {
    b".flac": "flac",
    b".ogg": "ogg",
    b".wav": "chunks",
    b".aiff": "chunks",
    b".dff": "chunks",
    b".dsf": "sized",
    b".w64": "chunks",
    b".caf": "chunks",
    b".wma": "sized",
    b".ape": "sized",
    b".mka": "sized",
    b".mpc": "frames",
    b".tta": "frames",
    b".wv": "frames",
}
"""Suffix of a format, as `BEGINNINGS` has it -> the module that measures it."""
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
    module = _module_of(head)
    if begin and not module:
        begin = end_of_tags(window)
        module = _module_of(window.glance(begin, HEADER_SIZE))
    share = _measure(module)(window, begin) if module else None
    return None if share is None else round(min(max(share, 0.0), MOST), 4)


@cache
def _measure(module: str) -> Measure:
    """Import the module when its first file comes."""
    measure: Measure = import_module(f"indexer.tags.extent.{module}").share_there
    return measure


def _module_of(head: bytes) -> str:
    """The module for a format that begins so; empty if none can tell."""
    if head[:1] == b"\xff":
        return "mpeg"
    if head[4:8] in {b"ftyp", b"moov", b"mdat", b"wide", b"styp"}:
        return "boxes"
    for size in (4, 3, LONGEST):
        suffix = BEGINNINGS.get(head[:size])
        if suffix is not None:
            return MEASURES.get(suffix, "")
    return ""
