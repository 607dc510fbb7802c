"""An open file, or pieces of one -> a bounded view no lost error, no read past the end.

Also where its sound ends, before the tags that follow it. Sources: ID3v1; the APEv2 specification
(footer of 32 bytes); Lyrics3 v2.00 and v1; ID3v2.4.0, 3.4 (footer).
"""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import TYPE_CHECKING, BinaryIO, Final, cast

from indexer.tags.further import NOTHING, Keep

if TYPE_CHECKING:
    from collections.abc import Sequence

BLOCK = 8 * 1024
"""Bytes per read. A guess: enough for most tags without their pictures, and little more."""

TAIL = 160
"""Bytes at a file's end: an ID3v1 tag (128), and before it the footer of an APEv2 tag (32)."""

MUCH = 2**20
"""Maximum bytes of a read without a size. mutagen uses it for the last pages (64 KB), or after
subtracting from a wrong size."""

SEEKS = 2**17
"""Maximum seeks in one file, so that an endless loop ends. A guess: WavPack without a length needs
one for each block, so this is 18 hours of music."""

BUDGET = 3 * 2**20
"""Maximum bytes of one file that are read with `ours_only`. A guess: enough for a comment of
megabytes, and a file of headers only ends after 0.1 s."""


ID3V1: Final = 128
FOOTER: Final = 32
"""Bytes at the end of a tag that state its size; the longest, that of APEv2."""
HAS_HEADER: Final = 1 << 31
TAGS_LIMIT: Final = 4
"""Maximum tags one behind the other. A guess: there are three kinds."""
LYRICS_REACH: Final = 5120 + 20
"""Maximum bytes of Lyrics3 v1, which does not state its size."""

Part = tuple[int, int]
"""Offsets of the beginning and the end of a piece of a file."""
ReadAt = Callable[[int, int], bytes]
"""(offset, size) -> the bytes there: `pread`, if the file offers it as `read_at`."""
Piece = tuple[int, int]
"""Begin and end in the file."""


class Declined(Exception):
    """Our own readers leave this file to mutagen, which has no bounds of its own."""


class Window:
    """A readable, seekable view of a file that mutagen accepts as a file object.

    The file itself is not handed over for four reasons: mutagen reads as many bytes as a tag claims
    (`read(4 GB)`), and Python allocates them first; mutagen turns an `OSError` into a parse error,
    or swallows it (`fault` keeps it); mutagen's many small reads are one system call each on an
    unbuffered file; and some sizes make mutagen loop for ever.
    """

    __slots__ = (
        "_at",
        "_behind",
        "_block",
        "_budget",
        "_head",
        "_read_at",
        "_seeks",
        "_start",
        "_tail",
        "fault",
        "is_bare",
        "is_measured",
        "keep",
        "name",
        "ours_only",
        "size",
        "sound",
    )

    def __init__(self, file: BinaryIO, *, ours_only: bool = False) -> None:
        """`ours_only`: mutagen may not read it, and at most `BUDGET` bytes of it are read."""
        self.ours_only = ours_only
        self.keep: Keep = getattr(file, "keep_tags", NOTHING)
        """Names of other tags to read."""
        self._budget = BUDGET if ours_only else sys.maxsize
        self._read_at: ReadAt = getattr(file, "read_at", None) or partial(_seek_and_read, file)
        self._at = 0
        self._seeks = 0
        self._start = 0
        self._block = b""
        self._head = b""
        """The first block, when there is another one: the format is asked for there again."""
        self._tail: bytes | None = None
        self._behind: list[tuple[int, bytes]] | None = None
        self.size = file.seek(0, os.SEEK_END)
        self.is_measured = False
        """Set by a reader that met the end which the file announces, or that met no announcement:
        `extent.share_there` need not look."""
        self.fault: OSError | None = None
        """The error of a read, even if mutagen swallowed it."""
        self.sound: list[Part] = []
        """Where a reader met the sound: see `indexer.tags.essence`. Empty: it did not say."""
        self.is_bare = False
        """Whether that is MPEG audio in no container, which goes on to the tags at the end."""
        self.name = "the file"
        """For mutagen's messages. It has no suffix: the format is decided by the bytes alone."""

    def leave_to_mutagen(self) -> None:
        """Call this before mutagen, or a part of it, reads the file.

        Raises Declined if mutagen may not read it.
        """
        if self.ours_only:
            raise Declined

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Seek. Before the start it raises EINVAL, like a real file (mutagen relies on it).

        Raises RuntimeError after `SEEKS` of them.
        """
        self._seeks += 1
        if self._seeks > SEEKS:
            raise RuntimeError("its sizes lead round in circles")
        if whence == os.SEEK_CUR:
            offset += self._at
        elif whence == os.SEEK_END:
            offset += self.size
        if offset < 0:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        self._at = offset
        return offset

    def read(self, size: int = -1) -> bytes:
        """Read up to `size` bytes (default `MUCH`); fewer only at the file's end."""
        data = self.peek(self._at, MUCH if size < 0 else size)
        self._at += len(data)
        return data

    def peek(self, at: int, size: int) -> bytes:
        """Read at any offset without moving; never requests bytes beyond the end."""
        first = at - self._start
        last = first + size
        if 0 <= first < last <= len(self._block):  # nearly always
            return self._block[first:last]
        left = self.size - at
        if size > left:
            size = left
        if size <= 0:
            return b""
        if first < 0 or first + size > len(self._block):
            if at + size <= len(self._head):
                return self._head[at : at + size]
            if size >= BLOCK:
                return self.fetch(at, size)
            self._fill(at, BLOCK if left > BLOCK else left)
            first = 0
        return self._block[first : first + size]

    def glance(self, at: int, size: int) -> bytes:
        """Like `peek`, without reading a whole block: for headers that are far apart.

        At the end of the file it does: what is asked for next mostly stands there, too.
        """
        first = at - self._start
        if first >= 0 and (
            first + size <= len(self._block) or self._start + len(self._block) >= self.size
        ):
            return self._block[first : first + size]
        if at + size <= len(self._head):
            return self._head[at : at + size]
        left = self.size - at
        if 0 < left <= BLOCK:
            self._fill(at, left)
            return self._block[:size]
        if size > left:
            size = left
        return self.fetch(at, size) if size > 0 else b""

    def glances(self, places: range, size: int) -> Iterator[bytes]:
        """Like `glance`, lazily for each of these offsets, which must all be within the file.

        For headers at predictable offsets; each takes two thirds of the time of a `glance`.
        """
        try:
            for at in places:
                data = self._read_at(at, size)
                yield data if len(data) == size else self.fetch(at, size)
        except OSError as error:
            self.fault = error
            raise

    def hold(self, at: int, size: int) -> tuple[bytes, int]:
        """A block that contains these bytes, up to the file's end, and the block's offset.

        For many small reads: a slice of a block is cheaper than a `peek`.
        """
        end = self._start + len(self._block)
        if at < self._start or (at + size > end and end < self.size):
            if at + size <= len(self._head):
                return self._head, 0
            left = self.size - at
            wanted = size if size > BLOCK else BLOCK
            self._fill(at, wanted if wanted < left else left)
        return self._block, self._start

    def _fill(self, at: int, size: int) -> None:
        """Replace the block."""
        if not self._start:
            self._head = self._block
        self._block = self.fetch(at, size) if size > 0 else b""
        self._start = at

    @property
    def tail(self) -> bytes:
        """The last `TAIL` bytes, read once and kept apart from the block, which holds the head."""
        if self._tail is None:
            at = self.size - TAIL if self.size > TAIL else 0
            if at >= self._start and self._start + len(self._block) >= self.size:
                self._tail = self._block[at - self._start :]
            else:
                self._tail = self.fetch(at, self.size - at)
        return self._tail

    @property
    def behind(self) -> list[tuple[int, bytes]]:
        """Where each tag at the file's end begins, the last one first, and its last bytes.

        They are looked for once: of a tag with a picture, each part is a read.
        """
        if self._behind is None:
            self._behind = _tags_behind(self)
        return self._behind

    def fetch(self, at: int, size: int) -> bytes:
        """Read at an offset; an unbuffered file may return fewer bytes per call."""
        self._budget -= size
        if self._budget < 0:
            raise Declined
        try:
            data = self._read_at(at, size)
            while len(data) < size and (more := self._read_at(at + len(data), size - len(data))):
                data += more
        except OSError as error:
            self.fault = error
            raise
        return data


def _seek_and_read(file: BinaryIO, at: int, size: int) -> bytes:
    file.seek(at)
    return file.read(size)


class _Pieces:
    """The part of a file that a `Window` needs, made of pieces; all bounds are the first window's.

    An error of a read is also that window's `fault`.
    """

    def __init__(self, window: Window, pieces: Sequence[Piece]) -> None:
        self._window = window
        self._pieces = pieces
        self.keep_tags = window.keep

    def seek(self, _offset: int, _whence: int) -> int:
        """The size of all pieces: a `Window` seeks to the end only."""
        return sum(end - begin for begin, end in self._pieces)

    def read_at(self, at: int, size: int) -> bytes:
        """The bytes there; fewer at the end of a piece."""
        for begin, end in self._pieces:
            if at < end - begin:
                return self._window.fetch(begin + at, min(size, end - begin - at))
            at -= end - begin
        return b""


def window_on(window: Window, *pieces: Piece) -> Window:
    """A window on these pieces, one behind the other; each is within the file."""
    return Window(cast("BinaryIO", _Pieces(window, pieces)), ours_only=window.ours_only)


def end_of_sound(window: Window) -> int:
    """The offset of the first of the tags at the file's end; its size without any."""
    return window.behind[-1][0] if window.behind else window.size


def id3v2_behind(window: Window) -> int | None:
    """The offset of an ID3v2 tag among the tags at the file's end; None without one."""
    for at, foot in window.behind:
        if foot[-10:-7] == b"3DI" and window.glance(at, 3) == b"ID3":
            return at
    return None


def _tags_behind(window: Window) -> list[tuple[int, bytes]]:
    """See `Window.behind`."""
    found: list[tuple[int, bytes]] = []
    end = window.size
    tail = window.tail
    if tail[-ID3V1:].startswith(b"TAG") and len(tail) >= ID3V1:
        end -= ID3V1
        found.append((end, b""))
        tail = tail[:-ID3V1]
    for _ in range(TAGS_LIMIT):
        foot = tail[-FOOTER:]
        size = _size_of(window, foot, end)
        if not 0 < size <= end:
            break
        end -= size
        found.append((end, foot))
        tail = window.glance(max(end - FOOTER, 0), min(FOOTER, end))
    return found


def _size_of(window: Window, foot: bytes, end: int) -> int:
    """The size of the tag that ends with these bytes; 0 for none."""
    if foot.startswith(b"APETAGEX"):
        size = int.from_bytes(foot[12:16], "little")
        return size + (FOOTER if int.from_bytes(foot[20:24], "little") & HAS_HEADER else 0)
    if foot.endswith(b"LYRICS200") and foot[-15:-9].isdigit():
        return int(foot[-15:-9]) + 15
    if foot.endswith(b"LYRICSEND"):
        at = max(end - LYRICS_REACH, 0)
        found = window.glance(at, end - at).rfind(b"LYRICSBEGIN")
        return 0 if found < 0 else end - at - found
    if foot[-10:-7] == b"3DI" and not any(byte & 0x80 for byte in foot[-4:]):
        size = 0
        for byte in foot[-4:]:
            size = size << 7 | byte
        return size + 20
    return 0
