"""A FLAC or Ogg file that is damaged at its head -> its track, from the parts that are whole.

A player of Ogg synchronises again at the next page (RFC 3533, 5: "capture pattern"). So bytes that
belong to no page are left out up to the first page of sound; if the comments are lost, or cannot be
parsed, the stream info is read without them.

In FLAC, comments mostly stand before pictures, in which a file ends that was cut there. Without
comments it is refused: nothing of it is there but how long it was. Where comments themselves are
broken, those before the fault are read, as the sound can be played. Source: RFC 9639, 8 (metadata
blocks).
"""

from __future__ import annotations

from struct import error
from typing import TYPE_CHECKING, Final

from indexer.tags import columns, leading
from indexer.tags.fast import flac, ogg, ogg_pages
from indexer.tags.fast.ogg_pages import HEADER_SIZE, LACING_LIMIT, NO_POSITION, NotPlain
from indexer.tags.vorbis import comments
from indexer.tags.window import window_on

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.further import Keep
    from indexer.tags.window import Piece, Window

REACH: Final = 2**16 + 512
"""Bytes in which the next page is searched: a little more than the largest page (65 307)."""
PAGES_LIMIT: Final = 300
"""Maximum pages before the sound. A guess: a cover of a few MB, in pages of 64 KB."""
GAPS_LIMIT: Final = 3
"""Maximum places without a page, which cost two searches each. A guess."""
MARK: Final = b"OggS\0"
"""The beginning of each page: capture pattern and version."""


def mended(window: Window) -> Window | None:
    """A window on the pages, without what is between them; None if nothing is."""
    pieces: list[Piece] = []
    at = gaps = 0
    for _ in range(PAGES_LIMIT):
        end, position = _page_at(window, at)
        if not end:
            gaps += 1
            following = _next_page(window, at + 1)
            if following is None or gaps > GAPS_LIMIT:
                break
            at = following
            continue
        if position > 0:
            break
        inside = None
        if gaps < GAPS_LIMIT and _page_at(window, end) == (0, 0):
            inside = _next_page(window, at + 1)
        if inside is None or inside >= end:
            pieces.append((at, end))  # what follows is damaged, not this page
            at = end
        else:
            gaps += 1
            at = inside
    pieces.append((at, window.size))
    whole = sum(end - begin for begin, end in pieces) == window.size
    return None if whole else window_on(window, *pieces)


def without_comments(window: Window) -> Track | None:
    """The track of Vorbis or Opus by its first page alone; None for another file, or no sound."""
    stream = ogg.stream_alone(window, _last_position)
    if stream is None or stream.length <= 0:
        return None
    codec = "vorbis" if ogg.VORBIS_HEAD in window.peek(0, HEADER_SIZE + LACING_LIMIT) else "opus"
    stream.bitrate = stream.bitrate or columns.mean_bitrate(window.size, stream.length)
    return comments.track(codec, stream, comments.together(()))


def _page_at(window: Window, at: int) -> tuple[int, int]:
    """The end of the page at an offset, and its position; zeros if no page is there."""
    header = window.peek(at, HEADER_SIZE + LACING_LIMIT)
    try:
        _, position, _, _, lacing = ogg_pages.page_header(header, 0)
    except (NotPlain, error):
        return 0, 0
    end = at + HEADER_SIZE + len(lacing) + sum(lacing)
    return (end, position) if end <= window.size else (0, 0)


def _next_page(window: Window, at: int) -> int | None:
    found = window.peek(at, REACH).find(MARK)
    return None if found < 0 else at + found


def _last_position(window: Window, serial: int) -> int:
    """The position of the last whole page of the stream near the end. Raises NotPlain without."""
    begin = max(0, window.size - ogg_pages.TAILS[-1])
    data = window.peek(begin, window.size - begin)
    at = data.rfind(MARK)
    while at >= 0:
        try:
            _, position, own, _, lacing = ogg_pages.page_header(data, at)
        except (NotPlain, error):
            own, position = serial, NO_POSITION
        else:
            if at + HEADER_SIZE + len(lacing) + sum(lacing) > len(data):
                position = NO_POSITION
        if own == serial and position > 0:
            return position
        at = data.rfind(MARK, 0, at)
    raise NotPlain


def read_flac(window: Window) -> Track | None:
    """The track of a file that ends in its metadata, or whose comments cannot be parsed.

    None if something else or both is wrong with it, or if it ends before its comments.
    """
    begin = leading.end_of_tags(window)
    at = begin + len(b"fLaC")
    stream = found = None
    is_whole = is_last = has_picture = False
    for _ in range(flac.BLOCKS_LIMIT):
        header = window.peek(at, flac.HEADER_SIZE)
        size = int.from_bytes(header[1:])
        content = at + flac.HEADER_SIZE
        if len(header) < flac.HEADER_SIZE or content + size > window.size:
            break
        at = content + size
        code = header[0] & ~flac.LAST
        is_last = header[0] >= flac.LAST
        if code == flac.STREAM_INFO and size == flac.STREAM_INFO_SIZE:
            stream = flac.stream_of(window.peek(content, size))
        elif code == flac.COMMENTS and size <= flac.COMMENTS_LIMIT:
            found, is_whole = _comments_in(window.peek(content, size), window.keep)
        elif code == flac.PICTURE:
            has_picture |= _holds_picture(window, content, size)
        if is_last:
            break
    else:  # zeros, where a download has not come to yet, are empty blocks without end
        return None
    if stream is None or found is None or is_last == is_whole:
        return None
    if is_last:
        stream.bitrate = int(columns.mean_bitrate(window.size - at, stream.length))
    return comments.track("flac", stream, found, has_picture=has_picture, lossless=True)


def _holds_picture(window: Window, begin: int, size: int) -> bool:
    """Whether a picture block of this size holds one; not where it links to one."""
    try:
        return flac.picture_size(window.peek(begin, min(size, flac.PICTURE_HEAD)), size) > 0
    except flac.NotPlain:  # its sizes are odd, or its description is long
        return True


def _comments_in(content: bytes, keep: Keep) -> tuple[comments.Comments, bool]:
    """The comments up to the first one that is not whole, and whether all of them are there."""
    count_at = 4 + int.from_bytes(content[:4], "little")
    count = int.from_bytes(content[count_at : count_at + 4], "little")
    pairs: list[tuple[str, str]] = []
    at = count_at + 4
    while len(pairs) < min(count, comments.COUNT_LIMIT) and at + 4 <= len(content):
        begin = at + 4
        at = begin + int.from_bytes(content[at:begin], "little")
        if at > len(content):
            break
        key, _, text = content[begin:at].partition(b"=")
        pairs.append((key.decode("ascii", "replace"), text.decode("utf-8", "replace")))
    return comments.comments_of(pairs, keep), len(pairs) == count and at <= len(content)
