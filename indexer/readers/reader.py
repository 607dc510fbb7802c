"""Frames with chunks on stdin -> frames with readings on stdout: the program of a reader process.

With the words `sidecars FOLDER SIZE` before all others it reads pictures and playlists, with their
facts in place of tags: the folder of the thumbnails, and their size in pixels.

A frame is four bytes, the length of what follows (big-endian), and then that many bytes of
msgpack. An empty frame is a heartbeat: the first says that this process works at all, a later one
that it is busy with a slow disk. The index of the file that is being read stands in memory shared
with the parent: it is known there when this process is killed, and no frame is sent for it.
"""

from __future__ import annotations

import mmap
import os
import signal
import struct
import sys
import time
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, BinaryIO

from indexer.evidence import ignore_lease_signal
from indexer.model import Chunk
from indexer.process import collector_relaxed, die_with_parent, let_go_of_output, limit_memory
from indexer.sidecars import PLAYLIST_SUFFIXES
from indexer.stages.extract import Read, chunk_to_readings
from indexer.tags import read_track

if TYPE_CHECKING:
    from indexer.artwork.cache import ThumbnailCache
    from indexer.model import PictureFacts, PlaylistFacts

HEADER = struct.Struct(">I")
AT_HAND = struct.Struct("=II")
"""How many chunks were answered, and the index of the current file in the next one, from 1 on;
0: none."""
NICE = 10
"""Niceness of a reader: behind its parent, which alone writes and so must never wait for a
processor, and behind all other programs. Measured with two processors and 100 000 files: 6.9 s in
place of 7.6."""
SIDECAR_NICE = 19
"""That of a reader of pictures and playlists: behind readers of tags, too."""
SIDECARS = "sidecars"
ALIVE_EVERY_S = 1.0


def read_sidecar(
    file: BinaryIO, suffix: bytes, cache: ThumbnailCache, size: int
) -> PictureFacts | PlaylistFacts | None:
    """What an open file says, by its suffix: a playlist, a picture, or a track with a picture."""
    if suffix in PLAYLIST_SUFFIXES:
        from indexer.sidecars.playlist import read_playlist  # late: readers of tags need neither

        return read_playlist(file, suffix)
    from indexer.artwork.thumbnail import read_picture  # late: it loads what decodes pictures

    return read_picture(file, suffix, cache, size)


def main_of_sidecars(folder: str, size: str) -> None:
    """`main` for pictures and playlists."""
    from indexer.artwork.cache import ThumbnailCache  # late: readers of tags do without

    os.nice(SIDECAR_NICE)
    main(partial(read_sidecar, cache=ThumbnailCache(Path(folder)), size=int(size)))


def main(read: Read = read_track) -> None:
    """Answer every chunk that comes on stdin, in order, until it ends.

    The last arguments on the command line: the id of the parent, to die with (0: none); how many
    megabytes this process may take (0: no limit); the descriptor of the shared memory (-1: it is
    shared with none). Ctrl-C is left to the parent: a terminal sends it to both.
    """
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})  # blocked while we started
    os.nice(NICE)
    ignore_lease_signal()
    parent, memory_mb, shared = map(int, sys.argv[-3:])
    if parent and not die_with_parent(parent):  # the end of stdin does it for a reader that waits
        return
    if memory_mb:
        limit_memory(memory_mb)
    at_hand = mmap.mmap(shared, AT_HAND.size)
    chunks, answers = _take_over_stdio()
    answered = 0

    def beat(place: int) -> None:
        AT_HAND.pack_into(at_hand, 0, answered, place + 1)
        answers.send_heartbeat_if_due()

    try:
        answers.send_heartbeat()
        with collector_relaxed():
            while (block := _receive(chunks)) is not None:
                answer = chunk_to_readings(block, read, beat, _before)
                AT_HAND.pack_into(at_hand, 0, answered, 0)
                answers.send(answer)
                answered += 1
    except BrokenPipeError:
        return  # the parent has gone


def _before(chunk: Chunk) -> None:
    """What a reader may be left behind with is no output of its parent."""
    if chunk.may_hang:
        let_go_of_output()


class _Answers:
    """The frames to the parent, and when the last one was sent."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._sent_s = 0.0

    def send(self, block: bytes) -> None:
        self._file.write(HEADER.pack(len(block)))
        self._file.write(block)
        self._file.flush()
        self._sent_s = time.monotonic()

    def send_heartbeat(self) -> None:
        self.send(b"")

    def send_heartbeat_if_due(self) -> None:
        if time.monotonic() - self._sent_s > ALIVE_EVERY_S:
            self.send_heartbeat()


def _receive(file: BinaryIO) -> bytes | None:
    """The next frame, or None when the parent has closed the pipe."""
    header = file.read(HEADER.size)
    if len(header) < HEADER.size:
        return None
    (length,) = HEADER.unpack(header)
    block = file.read(length)
    return block if len(block) == length else None


def _take_over_stdio() -> tuple[BinaryIO, _Answers]:
    """Keep the two pipes for frames; what a library prints goes to stderr and breaks none."""
    chunks = os.fdopen(os.dup(0), "rb")
    answers = os.fdopen(os.dup(1), "wb")
    nothing = os.open(os.devnull, os.O_RDONLY)
    os.dup2(nothing, 0)
    os.close(nothing)
    os.dup2(2, 1)
    return chunks, _Answers(answers)


if __name__ == "__main__":
    if sys.argv[1] == SIDECARS:
        main_of_sidecars(*sys.argv[2:4])
    else:
        main()
