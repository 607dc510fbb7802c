"""An open file -> what mutagen may see of it: no read beyond the end, and no error is lost."""

from __future__ import annotations

import errno
import os
import sys
from collections.abc import Callable, Iterator
from functools import partial
from typing import BinaryIO

BLOCK = 8 * 1024
"""Bytes fetched at once. A guess: it holds most tags without their pictures, and little more."""

TAIL = 160
"""Bytes at a file's end where an ID3v1 tag stands (128), and before it the footer of an APEv2 tag
(32)."""

MUCH = 2**20
"""Bytes that are all a file has, where someone asks for all. mutagen means the file's last pages
then (64 KB), or subtracted from a size that lies."""

SEEKS = 2**17
"""How often anyone may move about in one file, so that a loop which comes back to where it was has
an end. A guess: WavPack without a length takes one for each block, 18 hours of music."""


BUDGET = 3 * 2**20
"""Bytes of one file that our own readers fetch where nothing else may read it. A guess: a comment
of megabytes is among them, and the walk over a file that is all headers ends after 0.1 s."""


class Declined(Exception):
    """Our own readers leave this file to mutagen, which has no bounds of its own."""


ReadAt = Callable[[int, int], bytes]
"""Given a place and a size, the bytes there: `pread`, where a file offers it as `read_at`."""


class Window:
    """A readable, seekable view of a file that mutagen takes for a file object.

    Four reasons not to hand over the file itself. mutagen asks for as many bytes as a tag claims
    (`read(4 GB)`), and Python allocates them before it looks. mutagen turns an `OSError` into a
    parse error, or swallows it: `fault` remembers it. And mutagen's many small reads are one
    system call each on an unbuffered file. And some sizes send mutagen back for ever.
    """

    __slots__ = (
        "_at",
        "_block",
        "_budget",
        "_read_at",
        "_seeks",
        "_start",
        "_tail",
        "fault",
        "name",
        "ours_only",
        "size",
    )

    def __init__(self, file: BinaryIO, *, ours_only: bool = False) -> None:
        """`ours_only`: mutagen may not see it, and no more than `BUDGET` is fetched of it."""
        self.ours_only = ours_only
        self._budget = BUDGET if ours_only else sys.maxsize
        self._read_at: ReadAt = getattr(file, "read_at", None) or partial(_seek_and_read, file)
        self._at = 0
        self._seeks = 0
        self._start = 0
        self._block = b""
        self._tail: bytes | None = None
        self.size = file.seek(0, os.SEEK_END)
        self.fault: OSError | None = None
        """What the machine said, whatever became of it on the way up."""
        self.name = "the file"
        """mutagen puts it into its messages. No suffix: the bytes alone decide what the file is."""

    def leave_to_mutagen(self) -> None:
        """To be called before mutagen, or a part of it, gets to see the file.

        Raises Declined where it may not.
        """
        if self.ours_only:
            raise Declined

    def tell(self) -> int:
        """Where the next read begins."""
        return self._at

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move; before the start is EINVAL, as with a real file (mutagen counts on it).

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
        """Up to `size` bytes from here on, fewer only at the file's end; without a size `MUCH`."""
        data = self.peek(self._at, MUCH if size < 0 else size)
        self._at += len(data)
        return data

    def peek(self, at: int, size: int) -> bytes:
        """The same at any place, without moving; never asks the file for more than it has left."""
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
            if size >= BLOCK:
                return self._fetch(at, size)
            self._block = self._fetch(at, BLOCK if left > BLOCK else left)
            self._start = at
            first = 0
        return self._block[first : first + size]

    def glance(self, at: int, size: int) -> bytes:
        """The same without a block around it: for who steps over much to the next header."""
        first = at - self._start
        if first >= 0 and (
            first + size <= len(self._block) or self._start + len(self._block) >= self.size
        ):
            return self._block[first : first + size]
        left = self.size - at
        if size > left:
            size = left
        return self._fetch(at, size) if size > 0 else b""

    def glances(self, places: range, size: int) -> Iterator[bytes]:
        """The same at each of these places, all within the file, as they are asked for.

        For who knows where the next headers should be; two thirds of the time of a `glance` each.
        """
        try:
            for at in places:
                data = self._read_at(at, size)
                yield data if len(data) == size else self._fetch(at, size)
        except OSError as error:
            self.fault = error
            raise

    def hold(self, at: int, size: int) -> tuple[bytes, int]:
        """A block in which these bytes stand, as far as the file has them, and where it begins.

        For who reads many small things: a slice of a block is cheaper than a `peek`.
        """
        end = self._start + len(self._block)
        if at < self._start or (at + size > end and end < self.size):
            left = self.size - at
            wanted = size if size > BLOCK else BLOCK
            self._block = self._fetch(at, wanted if wanted < left else left) if left > 0 else b""
            self._start = at
        return self._block, self._start

    @property
    def tail(self) -> bytes:
        """The last `TAIL` bytes, fetched once and beside the block, which holds the file's head."""
        if self._tail is None:
            at = self.size - TAIL if self.size > TAIL else 0
            if at >= self._start and self._start + len(self._block) >= self.size:
                self._tail = self._block[at - self._start :]
            else:
                self._tail = self._fetch(at, self.size - at)
        return self._tail

    def _fetch(self, at: int, size: int) -> bytes:
        """The bytes at a place; an unbuffered file may give them in pieces."""
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
