"""The chunk `bext` of a broadcast WAV file -> texts by column, for a file without better ones.

Which text is which follows ffmpeg. Source: EBU Tech 3285, 2.3 (`bext`).
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from indexer.tags import columns, further
from indexer.tags.chunked.chunk_sizes import first
from indexer.tags.code_pages import decoded

if TYPE_CHECKING:
    from indexer.tags.chunked.chunk_sizes import Chunk
    from indexer.tags.window import Window

DESCRIPTION: Final = slice(0, 256)
ORIGINATOR: Final = slice(256, 288)
DATE: Final = slice(320, 330)
SIZE: Final = 330
"""Bytes up to the end of the date; more follow."""
_DATE: Final = re.compile(rb"([0-9]{4})[-_:. ]([0-9]{2})[-_:. ]([0-9]{2})")
"""Any of these separators is allowed."""


def texts_of(window: Window, found: list[Chunk]) -> columns.Values:
    """Texts by column; none without such a chunk, or if it is cut short."""
    begin, size = first(found, b"bext") or (0, 0)
    content = window.peek(begin, SIZE) if size >= SIZE else b""
    if len(content) < SIZE:
        return {}
    texts = [("comment", _text(content[DESCRIPTION]))]
    encoded_by = further.column_of("encodedby", window.keep)
    if encoded_by is not None:
        texts.append((encoded_by, _text(content[ORIGINATOR])))
    date = _DATE.fullmatch(content[DATE])
    if date is not None and any(int(part) for part in date.groups()):
        texts.append(("date", b"-".join(date.groups())))
    return decoded(texts)


def _text(field: bytes) -> bytes:
    return field.partition(b"\0")[0].strip()
