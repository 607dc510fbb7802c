"""A file with an APE tag -> the items of the tag, of which a broken one costs no other.

mutagen (1.48) finds the tag; it refuses the whole file for one item that is not UTF-8, or has a
key that no item can have. Sources: the specifications of APEv1 (texts in Latin-1, filled up with
blanks by old programs, no flags) and APEv2 (texts in UTF-8).
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING, Final, NamedTuple

from mutagen.apev2 import BINARY, TEXT, _APEv2Data, is_valid_apev2_key

from indexer.tags import mutagens_errors
from indexer.tags.code_pages import decoded

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.tags.window import Window

SECOND_VERSION: Final = 2000
LIMIT: Final = 10_000
"""Maximum items. A guess: a file has 20."""
KEY_LIMIT: Final = 255
KIND: Final = 6
"""Bits of an item's flags: 0 text, 2 binary, 4 a link (APEv2, "Ape Tags Flags")."""

_header = Struct("<II")


class Tag(NamedTuple):
    """The items of a tag by their keys in lower case."""

    texts: dict[str, list[str]]
    """The texts of an item are separated by NULs."""
    binaries: dict[str, bytes]


def tag_of(window: Window) -> Tag | None:
    """The APE tag of a file; None if it is absent, or has no item that can be read."""
    window.seek(0)
    try:
        data = _APEv2Data(window)
    except mutagens_errors():
        if window.fault is not None:
            raise
        return None
    if not data.tag:
        return None
    is_second = int.from_bytes(data.version, "little") >= SECOND_VERSION
    texts: dict[str, bytes] = {}
    binaries: dict[str, bytes] = {}
    for key, kind, content in _items(data.tag, min(data.items, LIMIT)):
        if kind == TEXT or not is_second:
            texts[key] = content if is_second else content.rstrip(b" \0")
        elif kind == BINARY:
            binaries[key] = content
    if not texts and not binaries:
        return None
    whole = decoded(list(texts.items()))
    return Tag({key: text.split("\0") for key, (text,) in whole.items()}, binaries)


def _items(content: bytes, count: int) -> Iterator[tuple[str, int, bytes]]:
    """Key, kind and content of each item up to the first that is larger than the tag."""
    at = 0
    for _ in range(count):
        if at + _header.size > len(content):
            return
        size, flags = _header.unpack_from(content, at)
        begin = at + _header.size
        end = content.find(b"\0", begin, begin + KEY_LIMIT + 1)
        at = end + 1 + size
        if end < 0 or at > len(content):
            return
        key = content[begin:end].decode("latin-1")
        if key.isascii() and is_valid_apev2_key(key):
            yield key.lower(), (flags & KIND) >> 1, content[end + 1 : at]
