"""A FLAC file that ends within its metadata -> its track, from the blocks that are whole.

Comments mostly stand before pictures, in which such a file ends. Without comments it is refused:
nothing of it is there but how long it was. Source: RFC 9639, 8 (metadata blocks).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.tags import leading
from indexer.tags.fast import flac
from indexer.tags.vorbis import comments

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.window import Window


def read(window: Window) -> Track | None:
    """None if it ends elsewhere, or has no comments by then."""
    begin = leading.end_of_tags(window)
    at = begin + len(b"fLaC")
    stream = found = None
    for _ in range(flac.BLOCKS_LIMIT):
        header = window.peek(at, flac.HEADER_SIZE)
        size = int.from_bytes(header[1:])
        content = at + flac.HEADER_SIZE
        at = content + size
        if len(header) < flac.HEADER_SIZE or at > window.size:
            break
        code = header[0] & ~flac.LAST
        if code == flac.STREAM_INFO and size == flac.STREAM_INFO_SIZE:
            stream = flac.stream_of(window.peek(content, size))
        elif code == flac.COMMENTS and size <= flac.COMMENTS_LIMIT:
            found, _ = comments.read_comments(window.peek(content, size), window.keep)
        if header[0] & flac.LAST:
            return None
    else:
        return None
    if stream is None or found is None:
        return None
    return comments.track("flac", stream, found, has_picture=False, lossless=True)
