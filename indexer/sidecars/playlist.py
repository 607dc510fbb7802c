"""The bytes of an M3U playlist -> its title, and the lines that name files or streams.

Source: there is no standard. Comments begin with `#`; of them only `#PLAYLIST:` counts, which names
the list. `.m3u8` is UTF-8. `.m3u` is in any encoding: each line that is no UTF-8 is taken as that
of Windows (cp1252). With a mark of UTF-16 both are what it says, as Windows' Notepad writes it.
"""

from __future__ import annotations

import codecs
import os
from typing import BinaryIO, Final

from indexer.model import PlaylistFacts
from indexer.sidecars import PlaylistError, text_of

MOST_BYTES: Final = 8_000_000
MOST_ITEMS: Final = 100_000
_MOST_LINE: Final = 16_384
"""Bytes of a line; a path has 4 096 at the most, some addresses of streams more. A guess."""
_UTF16: Final = ((codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))
_M3U8: Final = b".m3u8"
_TITLE: Final = b"#playlist:"


def read_playlist(file: BinaryIO, suffix: bytes) -> PlaylistFacts:
    """What an open playlist says. Raises PlaylistError, and OSError if reading fails."""
    size = file.seek(0, os.SEEK_END)
    if size > MOST_BYTES:
        raise PlaylistError(
            f"the playlist has {size / 1e6:.1f} MB, and playlists above {MOST_BYTES // 10**6} MB"
            " are not read: split it"
        )
    file.seek(0)
    data = file.read(size)
    while len(data) < size and (more := file.read(size - len(data))):
        data += more
    return parse(data, suffix)


def parse(data: bytes, suffix: bytes) -> PlaylistFacts:
    """The title and the items of a text. Raises PlaylistError where it is none, or too long."""
    data = _without_mark(data)
    if b"\0" in data:
        raise PlaylistError("the playlist is no text: it holds binary data")
    title = None
    items: list[bytes] = []
    for line in data.split(b"\n" if b"\n" in data else b"\r"):
        text = line.strip()
        if len(text) > _MOST_LINE:
            raise PlaylistError(f"the playlist is no text: a line has {len(text)} bytes")
        if text[:1] == b"#":
            if title is None and text[: len(_TITLE)].lower() == _TITLE:
                title = line_text(text[len(_TITLE) :].strip(), suffix) or None
        elif text:
            items.append(text)
    if len(items) > MOST_ITEMS:
        raise PlaylistError(
            f"the playlist has {len(items)} items, and those above {MOST_ITEMS} are not read:"
            " split it"
        )
    return PlaylistFacts(title, tuple(items))


def _without_mark(data: bytes) -> bytes:
    """UTF-8 without a byte order mark; a text of UTF-16 is converted."""
    for mark, encoding in _UTF16:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace").encode()
    return data.removeprefix(codecs.BOM_UTF8)


def line_text(line: bytes, suffix: bytes) -> str:
    """A line of a playlist as text; one with the suffix `.m3u8` is UTF-8 by its name."""
    return line.decode("utf-8", "replace") if suffix == _M3U8 else text_of(line)
