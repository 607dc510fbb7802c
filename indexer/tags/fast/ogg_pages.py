"""An Ogg file's pages -> a packet that spans them, the last page, and where the sound begins.

Of skipped pages only the headers are read. `NotPlain` is raised for anything other than the
consecutive pages of a single stream.

A position counts samples since the beginning of the stream, and a recording of a broadcast begins
in its midst. What the first page holds can be known by decoding only, so up to as much as its
packets can hold it is taken for a stream that begins at 0; beyond, the next page tells how long
packets are.

Sources: RFC 3533, 6 (page header); Vorbis I specification, 4.2.2 and 4.3.8; RFC 7845, 4 and 4.6;
RFC 6716, 3.1; RFC 9639, 8.2; the Speex manual, 5.1.
"""

from __future__ import annotations

from struct import Struct, error
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from indexer.tags.window import Window

CONTINUED, FIRST, LAST = 1, 2, 4
"""Flags of a page."""
HEADER_SIZE = 27
SERIAL_AT = 14
"""Offset of the stream's number in the header of a page."""
LACING_LIMIT = 255
PAGES_LIMIT = 5000
"""Maximum pages of comments. A guess: 300 MB with the page size of libogg."""
TAILS = (8 * 1024, 16 * 1024, 64 * 1024)
"""Bytes from the end in which the last page is searched; mutagen uses the largest. libvorbis begins
a page every 4 KB, opusenc every second. The essence takes the first of them, too."""
NO_POSITION = -1

_header = Struct("<4sBBqII4xB").unpack_from
_continuing = Struct("<5sB8xII").unpack_from

START_PAGES_LIMIT: Final = 256
"""Maximum pages passed over before the sound. A guess: 16 MB of comments."""
OPUS_PACKET: Final = 5760
"""Samples of 120 ms at 48 000 Hz, the longest packet."""
LONGEST_PACKETS: Final = {b"OpusHead": OPUS_PACKET, b"Speex   ": 6400, b"\x7fFLAC": 65_535}
"""Beginning of the first packet -> most samples of a packet. That of Speex is a guess: ten frames
of 640."""
VORBIS_HEAD: Final = b"\x01vorbis"
VORBIS_SIZES_AT: Final = 28
"""Offset in the first packet of the two block sizes, as powers of two in four bits each."""


class NotPlain(Exception):
    """The data is unusual and must be read by mutagen."""


class Packet:
    """The first packet on a page and the following ones, read piece by piece.

    `is_whole`: the packet ends on the current page, which ends at `page_end`.
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
        """Number of lacing values of the page; the next page mostly has as many."""
        self.page_end = at
        flags, self._sequence = self._open()
        if flags & CONTINUED:
            raise NotPlain

    def take(self, size: int) -> bytes:
        """The next bytes. Raises NotPlain if the packet has fewer."""
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
        """The next four bytes as a number."""
        return int.from_bytes(self.take(4), "little")

    def skip(self, size: int) -> None:
        """Skip bytes without reading them."""
        if size > self._left:
            size = self._pass_alike(size - self._left)
            self._turn()
            while size > self._left:
                size -= self._left
                self._turn()
        self._at += size
        self._left -= size

    def ahead(self) -> bytes:
        """The part of the rest of this page that is in memory, not consumed; empty at its end."""
        if not self._left:
            return b""
        block, start = self._window.hold(self._at, min(self._left, 4))
        first = self._at - start
        return block[first : first + self._left]

    def rest(self) -> bytes:
        """The rest of the packet on this page, not consumed."""
        return self._window.peek(self._at, self._left)

    def finish(self) -> int:
        """Skip to the end of the packet; the end offset of its last page."""
        while not self.is_whole:
            self._turn()
        return self.page_end

    def _pass_alike(self, size: int) -> int:
        """Skip whole pages within the next `size` bytes; the number of bytes that then remain.

        Only pages that, like the current one, belong to this packet alone and have as many lacing
        values: libogg and mutagen make all of equal length. Their headers are compared with the
        expected bytes instead of parsed; a cover takes 60 pages. The first that differs is left to
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
        """Begin the next page; its flags and its sequence number.

        One read is enough if it has no more lacing values than this one.
        """
        at = self.page_end
        header = self._window.glance(at, HEADER_SIZE + self._segments)
        if len(header) >= HEADER_SIZE and header[HEADER_SIZE - 1] > self._segments:
            header = self._window.glance(at, HEADER_SIZE + LACING_LIMIT)
        flags, _, serial, sequence, lacing = page_header(header, 0)
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


def page_header(block: bytes, first: int) -> tuple[int, int, int, int, bytes]:
    """Flags, position, serial and sequence number, and lacing values of the page at `first`."""
    oggs, version, flags, position, serial, sequence, segments = _header(block, first)
    first += HEADER_SIZE
    lacing = block[first : first + segments]
    if oggs != b"OggS" or version or len(lacing) != segments or not segments:
        raise NotPlain
    return flags, position, serial, sequence, lacing


def last_position(window: Window, serial: int) -> int:
    """The position of the last page, which must belong to this stream and have the flag `LAST`."""
    data = b""
    end = window.size
    for reach in TAILS:
        at = max(0, window.size - reach)
        data = window.glance(at, end - at) + data
        end = at
        first = data.rfind(b"OggS")
        if first >= 0:
            flags, position, last_serial, _, lacing = page_header(data, first)
            if (
                last_serial != serial
                or not flags & LAST
                or position == NO_POSITION
                or first + HEADER_SIZE + len(lacing) + sum(lacing) > len(data)
            ):
                raise NotPlain
            return position
    raise NotPlain


def ends_with(window: Window, serial: int) -> bool:
    """Whether the last page is of this stream. Without a page near the end that is taken for so."""
    for reach in TAILS:
        at = max(0, window.size - reach)
        data = window.glance(at, window.size - at)
        first = data.rfind(b"OggS\0")
        if first >= 0:
            found = data[first + SERIAL_AT : first + SERIAL_AT + 4]
            return len(found) < 4 or int.from_bytes(found, "little") == serial
    return True


def longest_packet(identity: bytes) -> int:
    """Most samples that a packet of this stream can hold, by its first packet; 0 if unknown."""
    if identity.startswith(VORBIS_HEAD):
        sizes = identity[VORBIS_SIZES_AT : VORBIS_SIZES_AT + 1]
        return (1 << (sizes[0] >> 4)) // 2 if sizes else 0
    return LONGEST_PACKETS.get(identity[:8], LONGEST_PACKETS.get(identity[:5], 0))


def start_of(window: Window, at: int, serial: int, longest: int) -> int:
    """The position at which the sound of a stream begins, by its pages from an offset on."""
    first = held = 0
    for _ in range(START_PAGES_LIMIT if longest else 0):
        block, start = window.hold(at, HEADER_SIZE + LACING_LIMIT)
        try:
            _, position, own, _, lacing = page_header(block, at - start)
        except (NotPlain, error):
            break
        at += HEADER_SIZE + len(lacing) + sum(lacing)
        if own != serial or position <= 0:
            continue
        packets = len(lacing) - lacing.count(b"\xff")
        if first:
            each = (position - first) / packets if packets else longest
            return max(first - round(held * min(max(each, 0), longest)), 0)
        held = packets
        if position <= held * longest:
            return 0
        first = position
    return max(first - held * longest, 0) if first else 0
