"""A FLAC or Ogg file -> its essence.

FLAC has a checksum of its samples, also in Ogg; one file of a hundred has none, since its encoder
wrote to a pipe or left it out: then it is the middle of its frames.

Of other Ogg files it is the last bytes of their packets, without the headers of pages.
A program that writes longer comments cuts all pages anew, so an offset in the file tells nothing,
and the number of bytes of all packets is known only by reading each page. The packets at the end
are found from the end. (Silence there is no trouble: it takes few bytes in Vorbis and Opus, so
that these packets hold a minute of it, with the sound before it.)

Sources: RFC 9639, 8.2; RFC 3533, 6.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from indexer.tags import essence
from indexer.tags.essence import UnknownSound
from indexer.tags.fast.ogg_pages import HEADER_SIZE, SERIAL_AT, NotPlain, ends_with, page_header
from indexer.tags.window import end_of_sound

if TYPE_CHECKING:
    from indexer.tags.window import Window

INFO_AT: Final = 8
INFO_SIZE: Final = 34
NUMBERS_AT, MD5_AT = 10, 18
"""Offsets in STREAMINFO: rate, channels, depth and the number of samples; MD5 of the samples."""
NO_MD5: Final = bytes(16)
LAST: Final = 0x80
BLOCKS_LIMIT: Final = 1000
"""Maximum blocks before the sound. A guess: a file has six."""

FIRST_PACKET: Final = 28
FLAC_INFO_AT: Final = FIRST_PACKET + 17
"""Behind 0x7f, `FLAC`, a version, a count, `fLaC` and the header of a block (RFC 9639, 10.1)."""
REACHES: Final = (8 * 1024, 32 * 1024, 160 * 1024)
"""Bytes from the end in which pages are looked for; a page has up to 64 KB."""
MARKS_LIMIT: Final = 64
"""Maximum places from which a row of pages is followed. A guess: the first is real."""


def essence_of_flac(window: Window, codec: str) -> bytes:
    """Raises UnknownSound if there are no frames."""
    head = window.peek(0, INFO_AT + INFO_SIZE)
    digest = of_stream_info(head[INFO_AT:])
    if digest:
        return digest
    begin = _first_frame(window)
    return essence.digest(codec, *essence.middle(window, [(begin, end_of_sound(window))]))


def of_stream_info(info: bytes) -> bytes:
    """The essence from the checksum of STREAMINFO; empty if it has no checksum."""
    md5 = info[MD5_AT:INFO_SIZE]
    if len(info) < INFO_SIZE or md5 == NO_MD5:
        return b""
    return essence.digest("flac", 0, info[NUMBERS_AT:INFO_SIZE])


def _first_frame(window: Window) -> int:
    """The offset behind the last block of metadata."""
    at = 4
    for _ in range(BLOCKS_LIMIT):
        header = window.glance(at, 4)
        if len(header) < 4:
            break
        at += 4 + int.from_bytes(header[1:])
        if header[0] & LAST:
            return at
    raise UnknownSound


def essence_of_ogg(window: Window, codec: str) -> bytes:
    """Raises UnknownSound where the file does not end with pages of its first stream.

    A chain of streams has that of all of them.
    """
    head = window.peek(0, FLAC_INFO_AT + 34)
    serial = int.from_bytes(head[SERIAL_AT : SERIAL_AT + 4], "little")
    own = b""
    if head[FIRST_PACKET:].startswith(b"\x7fFLAC"):
        own = of_stream_info(head[FLAC_INFO_AT:])
    if own and ends_with(window, serial):
        return own
    found = b"" if own else _of_last_pages(window, codec, serial)
    found = found or _of_chain(window, codec) or own
    if not found:
        raise UnknownSound
    return found


def _of_chain(window: Window, codec: str) -> bytes:
    """The essence by the lengths of all streams, and the end of the last; empty for no chain.

    By its end alone, titles that were joined would sound as the last of them does.
    """
    from indexer.tags.fast.ogg_chain import links_of  # late: few files are chains

    try:
        lengths = b",".join(b"%d" % link.samples for link in links_of(window))
    except NotPlain:
        return b""
    return _of_last_pages(window, codec, None, lengths)


def _of_last_pages(window: Window, codec: str, serial: int | None, lengths: bytes = b"") -> bytes:
    """The essence by the pages at the end of this stream, or of any; empty for none."""
    for reach in REACHES:
        at = max(window.size - reach, 0)
        data = window.glance(at, window.size - at)
        sound, is_all = _sound_in(data, serial)
        if is_all or len(sound) >= essence.PIECE:
            return essence.digest(codec, 0, lengths + sound[-essence.PIECE :])
    return b""


def _sound_in(data: bytes, serial: int | None) -> tuple[bytes, bool]:
    """The packets on the pages that end here, and whether they are all of the sound."""
    at = -1
    for _ in range(MARKS_LIMIT):
        at = data.find(b"OggS", at + 1)
        if at < 0:
            break
        try:
            return _followed(data, at, serial)
        except NotPlain:
            continue
    return b"", False


def _followed(data: bytes, at: int, serial: int | None) -> tuple[bytes, bool]:
    """The content of the pages from an offset to the end, behind the last one of headers.

    Raises NotPlain if no row of pages of this stream is there. The position of a page of headers
    is 0 (RFC 3533, 6: the sound has not begun).
    """
    contents: list[bytes] = []
    has_headers = False
    while at < len(data):
        if at + HEADER_SIZE > len(data):
            raise NotPlain
        _, position, own, _, lacing = page_header(data, at)
        begin = at + HEADER_SIZE + len(lacing)
        at = begin + sum(lacing)
        if serial is None:
            serial = own
        if own != serial or at > len(data):
            raise NotPlain
        if position == 0:
            contents.clear()
            has_headers = True
        else:
            contents.append(data[begin:at])
    return b"".join(contents), has_headers
