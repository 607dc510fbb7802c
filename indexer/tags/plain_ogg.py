"""An Ogg file of Vorbis or Opus -> its stream info and comments, if every page is as it should be.

mutagen reads whole pages, and so every picture among the comments (which are base64, and most of
such a file that is read), 300 us and 150 KB a file. Here a comment that is a picture is stepped
over, page by page of which only the headers are read, and the length is taken from the last page.
At anything else (streams in one another, a page that is missing) the answer is None: then mutagen
decides. Where there is an answer it is mutagen's, and a property test holds the two against each
other.

Sources: RFC 3533, 6 (page header); Vorbis I specification, 4.2.2 and 5.2; RFC 7845, 4 and 5.
"""

from __future__ import annotations

from struct import Struct, error
from typing import TYPE_CHECKING

import msgspec

from indexer.tags.comments import (
    KEPT,
    KEYS,
    PICTURE_KEYS,
    Comments,
    comment_of,
    read_comments,
    together,
)

if TYPE_CHECKING:
    from indexer.tags.comments import Comment
    from indexer.tags.window import Window

CONTINUED, FIRST, LAST = 1, 2, 4
"""Flags of a page."""
HEADER_SIZE = 27
LACING_LIMIT = 255
PAGES_LIMIT = 5000
"""Pages of comments that are walked. A guess: 300 MB, where libogg made the pages."""
KEY_REACH = 32
"""Bytes of a long comment in which its key ends, if it is one of ours."""
LONG = 1024
"""Bytes of a comment that is read at once. A guess."""
LONGEST = 2**20
"""Bytes of a comment that is read here at all. A guess: of them 4 KB are kept."""
COUNT_LIMIT = 10_000
TAILS = (4 * 1024, 16 * 1024, 64 * 1024)
"""Where the last page is looked for, from the end: mutagen looks in the last. libvorbis begins a
page every 4 KB, opusenc every second."""
NO_POSITION = -1

OPUS_RATE = 48_000
VORBIS_HEAD, VORBIS_TAGS = b"\x01vorbis", b"\x03vorbis"
OPUS_HEAD, OPUS_TAGS = b"OpusHead", b"OpusTags"

_page_header = Struct("<4sBBqII4xB").unpack_from
_continuing = Struct("<5sB8xII").unpack_from
_number = Struct("<I").unpack_from
_vorbis = Struct("<BI3i").unpack_from
_opus = Struct("<BBHIhB").unpack_from


class NotPlain(Exception):
    """Something here is for mutagen to judge."""


class Stream(msgspec.Struct, gc=False):
    """What is known of the sound; the names are mutagen's."""

    length: float
    bitrate: int
    sample_rate: int
    channels: int


class Ogg(msgspec.Struct):
    """What an Ogg file says of itself."""

    stream: Stream
    comments: Comments


class Packet:
    """The first packet on a page and the ones after, read piece by piece.

    `is_whole` says that it ends on the present page, which itself ends at `page_end`.
    """

    __slots__ = (
        "_at",
        "_left",
        "_pages",
        "_segments",
        "_sequence",
        "_serial",
        "_window",
        "is_whole",
        "page_end",
    )

    def __init__(self, window: Window, at: int, serial: int) -> None:
        self._window = window
        self._serial = serial
        self._pages = 0
        self._segments = LACING_LIMIT
        """How many lacing values the page has: the next mostly has as many."""
        self.page_end = at
        flags, self._sequence = self._open()
        if flags & CONTINUED:
            raise NotPlain

    def take(self, size: int) -> bytes:
        """The next bytes; NotPlain where the packet has not as many."""
        data = b""
        while size > self._left:
            data += self._window.glance(self._at, self._left)
            size -= self._left
            self._turn()
        data += self._window.glance(self._at, size)
        self._at += size
        self._left -= size
        return data

    def number(self) -> int:
        """The next four bytes."""
        return int.from_bytes(self.take(4), "little")

    def skip(self, size: int) -> None:
        """Pass bytes without a look at them."""
        if size > self._left:
            size = self._pass_alike(size - self._left)
            self._turn()
            while size > self._left:
                size -= self._left
                self._turn()
        self._at += size
        self._left -= size

    def ahead(self) -> bytes:
        """What is at hand of the rest on this page, without passing it; nothing where it ends."""
        if not self._left:
            return b""
        block, start = self._window.hold(self._at, min(self._left, 4))
        first = self._at - start
        return block[first : first + self._left]

    def rest(self) -> bytes:
        """All that is left of it on this page, without passing it."""
        return self._window.peek(self._at, self._left)

    def finish(self) -> int:
        """Where the page ends on which the packet ends."""
        while not self.is_whole:
            self._turn()
        return self.page_end

    def _pass_alike(self, size: int) -> int:
        """Pass pages of which these next bytes take more than all; how many bytes are then left.

        Pages that are this packet's alone, as the present one, and have as many lacing values:
        libogg and mutagen make one as long as the other. They are compared with what they should
        be instead of taken apart, 60 pages of a cover. The first that is otherwise is left to
        `_turn`.
        """
        segments, end, window = self._segments, self.page_end, self._window
        header_size = HEADER_SIZE + segments
        full = LACING_LIMIT * segments
        length = header_size + full
        alike = min((size - 1) // full, (window.size - end) // length, PAGES_LIMIT)
        if alike <= 0 or self.is_whole:
            return size
        lacing = bytes([segments]) + b"\xff" * segments
        own = self._serial
        first = following = self._sequence + 1
        for header in window.glances(range(end, end + alike * length, length), header_size):
            oggs, flags, serial, sequence = _continuing(header)
            if (
                sequence != following
                or serial != own
                or not flags & CONTINUED
                or oggs != b"OggS\0"
                or not header.endswith(lacing)
            ):
                break
            following += 1
        passed = following - first
        self._pages += passed
        self._sequence += passed
        self.page_end = end + passed * length
        return size - passed * full

    def _turn(self) -> None:
        """Go on to the next page."""
        self._pages += 1
        if self.is_whole or self._pages > PAGES_LIMIT:
            raise NotPlain
        flags, sequence = self._open()
        self._sequence += 1
        if not flags & CONTINUED or sequence != self._sequence:
            raise NotPlain

    def _open(self) -> tuple[int, int]:
        """Begin the page behind this one; its flags and its number.

        Its header is read at once if it has no more lacing values than this one.
        """
        at = self.page_end
        header = self._window.glance(at, HEADER_SIZE + self._segments)
        if len(header) >= HEADER_SIZE and header[HEADER_SIZE - 1] > self._segments:
            header = self._window.glance(at, HEADER_SIZE + LACING_LIMIT)
        flags, _, serial, sequence, lacing = _page(header, 0)
        segments = len(lacing)
        content_size = sum(lacing)
        begin = at + HEADER_SIZE + segments
        if serial != self._serial or begin + content_size > self._window.size:
            raise NotPlain
        full = segments - len(lacing.lstrip(b"\xff"))
        self.is_whole = full < segments
        self._at = begin
        self._left = LACING_LIMIT * full + (lacing[full] if self.is_whole else 0)
        self._segments = segments
        self.page_end = begin + content_size
        return flags, sequence


def plain_ogg(window: Window) -> Ogg | None:
    """The sound and its comments, or None if mutagen must read it.

    Of a long comment that is a picture there is only that it is not empty.
    """
    try:
        return _read(window)
    except (NotPlain, error):
        return None


def _read(window: Window) -> Ogg:
    block, _ = window.hold(0, HEADER_SIZE + LACING_LIMIT)
    flags, _, serial, _, lacing = _page(block, 0)
    begin = HEADER_SIZE + 1
    if flags & (FIRST | CONTINUED) != FIRST or len(lacing) != 1 or lacing[0] == LACING_LIMIT:
        raise NotPlain
    end = begin + lacing[0]
    identity = block[begin:end]
    packet = Packet(window, end, serial)
    if identity.startswith(VORBIS_HEAD):
        comments = _comments(packet, VORBIS_TAGS)
        if not packet.take(1)[0] & 1:
            raise NotPlain  # the framing bit
        packet.finish()
        stream = _vorbis_stream(identity, _last_position(window, serial))
    else:
        comments = _comments(packet, OPUS_TAGS)
        sound_size = window.size - packet.finish()
        stream = _opus_stream(identity, _last_position(window, serial), sound_size)
    return Ogg(stream, comments)


def _comments(packet: Packet, marker: bytes) -> Comments:
    """The comments behind this marker; the packet is then read up to their end."""
    if packet.take(len(marker)) != marker:
        raise NotPlain
    if packet.is_whole:
        content = packet.rest()
        comments, end = read_comments(content)
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
                at = end
                continue
        packet.skip(at)
        found.append(_comment(packet))
        content, at = b"", 0
    packet.skip(at)
    return together(found)


def _comment(packet: Packet) -> Comment:
    """The next comment, wherever it ends."""
    size = packet.number()
    if size <= LONG:
        return comment_of(packet.take(size))
    content = packet.take(KEY_REACH)
    key, separator, _ = content.partition(b"=")
    name = KEYS.get(key.lower())
    if not separator:
        raise NotPlain
    if name is None or name in PICTURE_KEYS:
        packet.skip(size - KEY_REACH)
    elif size > LONGEST:
        raise NotPlain
    else:
        content += packet.take(size - KEY_REACH)
    return comment_of(content)


def _page(block: bytes, first: int) -> tuple[int, int, int, int, bytes]:
    """Flags, position, serial and sequence number of the page there, and its lacing values."""
    oggs, version, flags, position, serial, sequence, segments = _page_header(block, first)
    first += HEADER_SIZE
    lacing = block[first : first + segments]
    if oggs != b"OggS" or version or len(lacing) != segments or not segments:
        raise NotPlain
    return flags, position, serial, sequence, lacing


def _last_position(window: Window, serial: int) -> int:
    """The position on the last page, which must be this stream's and say that it is the last."""
    data = b""
    end = window.size
    for reach in TAILS:
        at = max(0, window.size - reach)
        data = window.glance(at, end - at) + data
        end = at
        first = data.rfind(b"OggS")
        if first >= 0:
            flags, position, last_serial, _, lacing = _page(data, first)
            if (
                last_serial != serial
                or not flags & LAST
                or position == NO_POSITION
                or first + HEADER_SIZE + len(lacing) + sum(lacing) > len(data)
            ):
                raise NotPlain
            return position
    raise NotPlain


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
