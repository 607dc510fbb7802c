"""MPEG audio of a variable bit rate that no header counts -> how long it is, by its own frames.

A small file is counted frame by frame. Of a large one pieces from everywhere are counted, and the
mean of their bit rates is taken for that of the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from indexer.tags.fast.mpeg_header import Frame, frame_of

if TYPE_CHECKING:
    from indexer.tags.window import Window

WHOLE_LIMIT: Final = 512 * 1024
"""Maximum bytes of sound that are counted whole. A guess: 20 s at the highest bit rate."""
PIECES: Final = 32
PIECE_SIZE: Final = 16 * 1024
"""Of a larger file, this many pieces of this many bytes. A guess: 20 to 40 frames each, of which
the mean is within a few hundredths for music."""
SYNCS_LIMIT: Final = 4096
"""Maximum places in one piece at which a frame is looked for. A guess."""
HEADER_SIZE: Final = 4

Sum = tuple[int, float]
"""Bytes and seconds of frames."""


def measured(window: Window, begin: int, end: int, like: Frame) -> tuple[float, float]:
    """Seconds and mean bit rate of the frames between two offsets; zeros if none is found.

    `like` is a frame of the stream: all others have its layer and sample rate.
    """
    size = end - begin
    if size <= WHOLE_LIMIT:
        counted, seconds = _counted(window.peek(begin, size), like)
        return seconds, 8 * counted / seconds if seconds else 0.0
    counted, seconds = 0, 0.0
    for piece in range(PIECES):
        at = begin + (2 * piece + 1) * size // (2 * PIECES) - PIECE_SIZE // 2
        more = _counted(window.peek(at, PIECE_SIZE), like)
        counted += more[0]
        seconds += more[1]
    if not counted:
        return 0.0, 0.0
    return size * seconds / counted, 8 * counted / seconds


def first_frame(window: Window, begin: int, end: int) -> Frame | None:
    """The first frame between two offsets that another one of its stream follows."""
    block = window.peek(begin, min(end - begin, PIECE_SIZE))
    at = -1
    for _ in range(SYNCS_LIMIT):
        at = block.find(b"\xff", at + 1)
        if at < 0:
            break
        frame = frame_of(block[at : at + HEADER_SIZE])
        if frame is not None and _follows(block, at + frame.size, frame):
            return frame
    return None


def _counted(block: bytes, like: Frame) -> Sum:
    """The frames in a block that may begin within one."""
    counted = 0
    samples = 0
    at = 0
    for _ in range(SYNCS_LIMIT):
        at = block.find(b"\xff", at)
        if at < 0:
            break
        frame = _frame(block, at, like)
        if frame is None or not _follows(block, at + frame.size, like):
            at += 1
            continue
        while frame is not None:
            counted += frame.size
            samples += frame.samples
            at += frame.size
            frame = _frame(block, at, like)
    return counted, samples / like.sample_rate


def _frame(block: bytes, at: int, like: Frame) -> Frame | None:
    """The frame that begins at this offset, if it belongs to the stream."""
    frame = frame_of(block[at : at + HEADER_SIZE])
    if frame is None or frame.layer != like.layer or frame.sample_rate != like.sample_rate:
        return None
    return frame


def _follows(block: bytes, at: int, like: Frame) -> bool:
    """Whether a frame begins here, or the block ends before."""
    return at + HEADER_SIZE > len(block) or _frame(block, at, like) is not None
