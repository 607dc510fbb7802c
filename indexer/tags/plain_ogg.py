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
from typing import TYPE_CHECKING, NamedTuple

from indexer.tags.comments import KEYS, PICTURE_KEYS, comment_of, read_comments, together

if TYPE_CHECKING:
    from indexer.tags.comments import Comments
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
TAILS = (16 * 1024, 64 * 1024)
"""Where the last page is looked for, from the end: mutagen looks in the second."""
NO_POSITION = -1

OPUS_RATE = 48_000
VORBIS_HEAD, VORBIS_TAGS = b"\x01vorbis", b"\x03vorbis"
OPUS_HEAD, OPUS_TAGS = b"OpusHead", b"OpusTags"

_page_header = Struct("<4sBBqIIiB").unpack
_vorbis = Struct("<BI3i").unpack_from
_opus = Struct("<BBHIhB").unpack_from


class NotPlain(Exception):
    """Something here is for mutagen to judge."""


class Stream(NamedTuple):
    """What is known of the sound; the names are mutagen's."""

    length: float
    bitrate: int
    sample_rate: int
    channels: int


class Ogg(NamedTuple):
    """What an Ogg file says of itself."""

    stream: Stream
    comments: Comments


class Page(NamedTuple):
    """One page's header."""

    flags: int
    position: int
    serial: int
    sequence: int
    begin: int
    """Where its first packet begins."""
    first_size: int
    """Bytes of its first packet that stand in it."""
    is_whole: bool
    """Whether its first packet ends in it."""
    end: int
    segments: int
    """How many lacing values it has: the next page mostly has as many."""


class Packet:
    """The first packet on a page and the ones after, read piece by piece."""

    def __init__(self, window: Window, at: int) -> None:
        self._window = window
        self.page = _page(window, at)
        if self.page.flags & CONTINUED:
            raise NotPlain
        self._at = self.page.begin
        self._left = self.page.first_size
        self._pages = 0

    def take(self, size: int) -> bytes:
        """The next bytes; NotPlain where the packet has not as many."""
        if size <= self._left:
            self._left -= size
            self._at += size
            return self._window.peek(self._at - size, size)
        data = b""
        while size > self._left:
            data += self._window.peek(self._at, self._left)
            size -= self._left
            self._turn()
        data += self._window.peek(self._at, size)
        self._at += size
        self._left -= size
        return data

    def number(self) -> int:
        """The next four bytes."""
        return int.from_bytes(self.take(4), "little")

    def skip(self, size: int) -> None:
        """Pass bytes without a look at them."""
        while size > self._left:
            size -= self._left
            self._turn()
        self._at += size
        self._left -= size

    def rest(self) -> bytes:
        """All that is left of it on this page, without passing it."""
        return self._window.peek(self._at, self._left)

    def finish(self) -> Page:
        """The page on which the packet ends."""
        while not self.page.is_whole:
            self._turn()
        return self.page

    def _turn(self) -> None:
        before = self.page
        self._pages += 1
        if before.is_whole or self._pages > PAGES_LIMIT:
            raise NotPlain
        self.page = page = _page(self._window, before.end, before.segments)
        if (
            not page.flags & CONTINUED
            or page.serial != before.serial
            or page.sequence != before.sequence + 1
        ):
            raise NotPlain
        self._at = page.begin
        self._left = page.first_size


def plain_ogg(window: Window) -> Ogg | None:
    """The sound and its comments, or None if mutagen must read it.

    Of a long comment that is a picture there is only that it is not empty.
    """
    try:
        return _read(window)
    except (NotPlain, error):
        return None


def _read(window: Window) -> Ogg:
    window.hold(0, HEADER_SIZE)
    head = Packet(window, 0)
    page = head.finish()
    if page.first_size != page.end - page.begin or not page.flags & FIRST:
        raise NotPlain
    identity = head.take(min(page.first_size, 64))
    tags = Packet(window, page.end)
    if tags.page.serial != page.serial:
        raise NotPlain
    if identity.startswith(VORBIS_HEAD):
        comments = _comments(tags, VORBIS_TAGS)
        if not tags.take(1)[0] & 1:
            raise NotPlain  # the framing bit
        tags.finish()
        stream = _vorbis_stream(identity, _last_position(window, page.serial))
    else:
        comments = _comments(tags, OPUS_TAGS)
        sound_size = window.size - tags.finish().end
        stream = _opus_stream(identity, _last_position(window, page.serial), sound_size)
    return Ogg(stream, comments)


def _comments(packet: Packet, marker: bytes) -> Comments:
    """The comments behind this marker; the packet is then read up to their end."""
    if packet.take(len(marker)) != marker:
        raise NotPlain
    if packet.page.is_whole:
        content = packet.rest()
        comments, end = read_comments(content)
        packet.skip(end)
        return comments
    packet.skip(packet.number())  # the vendor
    count = packet.number()
    if count > COUNT_LIMIT:
        raise NotPlain
    found = []
    for _ in range(count):
        size = packet.number()
        content = packet.take(size if size <= LONG else KEY_REACH)
        if size > LONG:
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
        found.append(comment_of(content))
    return together(found)


def _page(window: Window, at: int, likely: int = LACING_LIMIT) -> Page:
    """The header there, read at once if it has no more than the likely number of lacing values."""
    header = window.glance(at, HEADER_SIZE + likely)
    if len(header) >= HEADER_SIZE and header[HEADER_SIZE - 1] > likely:
        header = window.glance(at, HEADER_SIZE + LACING_LIMIT)
    oggs, version, flags, position, serial, sequence, _, segments = _page_header(
        header[:HEADER_SIZE]
    )
    begin = HEADER_SIZE + segments
    lacing = header[HEADER_SIZE:begin]
    end = at + begin + sum(lacing)
    if oggs != b"OggS" or version or len(lacing) != segments or not segments or end > window.size:
        raise NotPlain
    full = len(lacing) - len(lacing.lstrip(b"\xff"))
    is_whole = full < segments
    first_size = 255 * full + (lacing[full] if is_whole else 0)
    return Page(flags, position, serial, sequence, at + begin, first_size, is_whole, end, segments)


def _last_position(window: Window, serial: int) -> int:
    """The position on the last page, which must be this stream's and say that it is the last."""
    for size in TAILS:
        at = max(0, window.size - size)
        index = window.peek(at, window.size - at).rfind(b"OggS")
        if index >= 0:
            page = _page(window, at + index)
            if page.serial != serial or not page.flags & LAST or page.position == NO_POSITION:
                raise NotPlain
            return page.position
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
