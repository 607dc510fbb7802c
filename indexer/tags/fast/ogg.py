"""An Ogg file of Vorbis or Opus -> its stream info and comments, if its pages are regular.

mutagen reads whole pages, and with them the pictures in the comments (base64, and most of the bytes
read): 300 us and 150 KB a file. Here a comment that is a picture is skipped page by page, reading
only the page headers, and the length is taken from the last page. For anything else (multiplexed
streams, a missing page) the result is None, and mutagen reads the file. A result equals mutagen's;
a property test compares both.

Sources: Vorbis I specification, 4.2.2 and 5.2; RFC 7845, 4 and 5.
"""

from __future__ import annotations

from struct import Struct, error
from typing import TYPE_CHECKING

import msgspec

from indexer.tags.fast.ogg_pages import (
    CONTINUED,
    FIRST,
    HEADER_SIZE,
    LACING_LIMIT,
    NotPlain,
    Packet,
    last_position,
    longest_packet,
    page_header,
    start_of,
)
from indexer.tags.vorbis.comments import (
    COUNT_LIMIT,
    KEPT,
    KEYS,
    NO_MATTER,
    PICTURE_KEYS,
    Comments,
    comment_of,
    other_comment,
    read_comments,
    together,
)

if TYPE_CHECKING:
    from collections.abc import Callable

    from indexer.tags.further import Keep
    from indexer.tags.vorbis.comments import Comment
    from indexer.tags.window import Window

KEY_REACH = 48
"""Bytes of a long comment that contain its key, if it is one of ours, and whether it is a link."""
LONG = 1024
"""Minimum bytes of a comment that is not read at once. A guess."""
LONGEST = 2**20
"""Maximum bytes of a comment that is read here. A guess: 4 KB of it are kept."""
OPUS_RATE = 48_000
POSITION_AT = 6
"""Offset of the position in the header of a page."""
EARLY = OPUS_RATE
"""Maximum position of a first page that is taken for one of a stream that begins at 0. A guess:
encoders make pages of a second at most."""
VORBIS_HEAD, VORBIS_TAGS = b"\x01vorbis", b"\x03vorbis"
OPUS_HEAD, OPUS_TAGS = b"OpusHead", b"OpusTags"
LONGEST_HEAD = 7
"""Bytes of a first packet that tell Vorbis from Opus."""

_number = Struct("<I").unpack_from
_vorbis = Struct("<BI3i").unpack_from
_opus = Struct("<BBHIhB").unpack_from


class Stream(msgspec.Struct, gc=False):
    """What is known of the sound; the names are mutagen's."""

    length: float
    bitrate: float
    sample_rate: int
    channels: int


class Ogg(msgspec.Struct):
    """Stream info and comments of an Ogg file."""

    stream: Stream
    comments: Comments
    is_chain: bool = False
    """Whether it has several streams, one behind the other. The comments are the first one's."""


def plain_ogg(window: Window) -> Ogg | None:
    """The stream info and comments, or None if mutagen must read the file.

    Of a long comment that is a picture, only the fact that it is not empty is kept.
    """
    try:
        return _read(window)
    except (NotPlain, error):
        return None


def _read(window: Window) -> Ogg:
    identity, end, serial = _first_page(window)
    packet = Packet(window, end, serial)
    if identity.startswith(VORBIS_HEAD):
        comments = _comments(packet, VORBIS_TAGS, window.keep)
        if not packet.take(1)[0] & 1:
            raise NotPlain  # the framing bit
    else:
        comments = _comments(packet, OPUS_TAGS, window.keep)
    end = packet.finish()
    try:
        position = last_position(window, serial)
    except NotPlain:
        return Ogg(_chained(window, identity), comments, is_chain=True)
    start = _start(window, end, serial, identity)
    return Ogg(_stream(identity, position - start, window.size - end), comments)


def _stream(identity: bytes, samples: int, sound_size: int) -> Stream:
    """The stream info of Vorbis or Opus from its first packet."""
    if identity.startswith(VORBIS_HEAD):
        return _vorbis_stream(identity, samples)
    return _opus_stream(identity, samples, sound_size)


def _chained(window: Window, identity: bytes) -> Stream:
    """The first stream, as long as all of them."""
    from indexer.tags.fast.ogg_chain import links_of  # late: few files are chains

    links = links_of(window)
    if any(link.identity[:LONGEST_HEAD] != identity[:LONGEST_HEAD] for link in links):
        raise NotPlain
    stream = _stream(identity, 0, 0)
    stream.length = sum(_stream(link.identity, link.samples, 0).length for link in links)
    if identity.startswith(OPUS_HEAD):
        stream.bitrate = round(window.size * 8 / stream.length) if stream.length > 0 else 0
    return stream


def _start(window: Window, at: int, serial: int, identity: bytes) -> int:
    """The position at which the sound begins, whose first page mostly begins at this offset."""
    position = int.from_bytes(window.glance(at + POSITION_AT, 8), "little")
    if 0 < position <= EARLY:  # nearly always
        return 0
    return start_of(window, at, serial, longest_packet(identity))


def _first_page(window: Window) -> tuple[bytes, int, int]:
    """The only packet of the first page, the page's end, and the stream's serial number."""
    block, _ = window.hold(0, HEADER_SIZE + LACING_LIMIT)
    flags, _, serial, _, lacing = page_header(block, 0)
    begin = HEADER_SIZE + 1
    if flags & (FIRST | CONTINUED) != FIRST or len(lacing) != 1 or lacing[0] == LACING_LIMIT:
        raise NotPlain
    end = begin + lacing[0]
    return block[begin:end], end, serial


def stream_alone(window: Window, position_of: Callable[[Window, int], int]) -> Stream | None:
    """The stream info of Vorbis or Opus without its comments; None if mutagen must read it.

    `position_of` finds the position of the last page of the stream with this serial number.
    """
    try:
        identity, end, serial = _first_page(window)
        return _stream(identity, position_of(window, serial), window.size - end)
    except (NotPlain, error):
        return None


def _comments(packet: Packet, marker: bytes, keep: Keep) -> Comments:
    """The comments after this marker; consumes the packet up to their end."""
    if packet.take(len(marker)) != marker:
        raise NotPlain
    if packet.is_whole:
        content = packet.rest()
        comments, end = read_comments(content, keep)
        packet.skip(end)
        return comments
    packet.skip(packet.number())  # the vendor
    count = packet.number()
    if count > COUNT_LIMIT:
        raise NotPlain
    found = []
    content, at = b"", 0
    for _ in range(count):
        if at + 4 > len(content):
            packet.skip(at)
            content, at = packet.ahead(), 0
        if at + 4 <= len(content):
            (size,) = _number(content, at)
            begin = at + 4
            end = begin + size
            if size <= LONG and end <= len(content):
                item = content[begin:end]
                found.append(KEPT.get(item) or comment_of(item))
                if keep and found[-1] is NO_MATTER:
                    found[-1] = other_comment(item, keep)
                at = end
                continue
        packet.skip(at)
        found.append(_comment(packet, keep))
        content, at = b"", 0
    packet.skip(at)
    return together(found)


def _comment(packet: Packet, keep: Keep) -> Comment:
    """The next comment, of any length."""
    size = packet.number()
    if size <= LONG:
        content = packet.take(size)
        return _other_or(comment_of(content), content, keep)
    content = packet.take(KEY_REACH)
    key, separator, _ = content.partition(b"=")
    name = KEYS.get(key.lower())
    if not separator:
        raise NotPlain
    is_other = name is None and bool(keep) and separator and size <= LONGEST
    if (name is None and not is_other) or name in PICTURE_KEYS:
        packet.skip(size - KEY_REACH)
    elif size > LONGEST:
        raise NotPlain
    else:
        content += packet.take(size - KEY_REACH)
    return _other_or(comment_of(content), content, keep)


def _other_or(comment: Comment, content: bytes, keep: Keep) -> Comment:
    """The comment; if it is of no column, that of another tag."""
    return other_comment(content, keep) if keep and comment is NO_MATTER else comment


def _vorbis_stream(identity: bytes, position: int) -> Stream:
    if len(identity) < 28:
        raise NotPlain
    channels, sample_rate, highest, nominal, lowest = _vorbis(identity, 11)
    if not sample_rate:
        raise NotPlain
    highest, nominal, lowest = max(0, highest), max(0, nominal), max(0, lowest)
    bitrate = nominal
    if not nominal:
        bitrate = (highest + lowest) // 2
    elif highest and highest < nominal:
        bitrate = highest
    elif lowest > nominal:
        bitrate = lowest
    return Stream(position / float(sample_rate), bitrate, sample_rate, channels)


def _opus_stream(identity: bytes, position: int, sound_size: int) -> Stream:
    if not identity.startswith(OPUS_HEAD):
        raise NotPlain
    version, channels, pre_skip, _, _, _ = _opus(identity, len(OPUS_HEAD))
    if version >> 4:
        raise NotPlain
    length = (position - pre_skip) / float(OPUS_RATE)
    bitrate = round(sound_size * 8 / length) if length else 0
    return Stream(length, bitrate, OPUS_RATE, channels)
