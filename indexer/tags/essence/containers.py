"""A Matroska, WavPack or MP4 file -> its essence; a module of a format is imported when it comes.

- Matroska: the first frames of its blocks, without their headers; of equal ones, as in silence, the
  first. A remuxer makes other clusters, so neither offsets nor the length are stable. Source:
  RFC 9559, 10.
- WavPack: its number of samples, and what its first blocks hold. A remuxer leaves out the blocks
  behind the sound and the header of the WAV file, so the length is not stable. Silence takes hardly
  a byte, so `BLOCKS_REACH` bytes hold many seconds of it.
- MP4: the middle of its `mdat`, wherever that stands. Source: ISO 14496-12, 4.2 and 8.1.1.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from indexer.tags import essence, leading
from indexer.tags.essence import UnknownSound

if TYPE_CHECKING:
    from indexer.tags.window import Window

REACH: Final = 16 * 1024
"""Bytes of frames. More than of other formats, since a silent beginning is among them."""
ELEMENTS_LIMIT: Final = 4000
"""Maximum elements looked at. A guess: frames of 4 bytes, which are silence."""
EQUAL_LIMIT: Final = 256
"""Maximum frames that are passed since they came before: 6 s of silence in MP3. A guess."""
EQUAL_REACH: Final = 256 * 1024
"""Maximum bytes of them, which are read: as many at 320 kbit/s, 1.5 s of a compact disc's sound. A
guess."""
BLOCK_HEAD: Final = 3
"""Bytes of a block behind the number of its track: a time and flags."""

BLOCKS_REACH: Final = 16 * 1024
"""Bytes of blocks. A guess."""


def essence_of_matroska(window: Window, codec: str) -> bytes:
    """Raises UnknownSound if no cluster was met."""
    from indexer.tags.matroska.blocks import BLOCK, BLOCK_GROUP, CLUSTER, SIMPLE_BLOCK
    from indexer.tags.matroska.ebml import Elements, integer_in

    if not window.sound:
        raise UnknownSound
    at, end = window.sound[0]
    elements = Elements(window)
    contents: dict[bytes, None] = {}
    left, equal, passed = REACH, 0, 0
    for _ in range(ELEMENTS_LIMIT):
        window.hold(at, 16)
        element = elements.at(at, end) if at < end else None
        if element is None or left <= 0 or equal >= EQUAL_LIMIT or passed >= EQUAL_REACH:
            break
        if element.id in {CLUSTER, BLOCK_GROUP}:
            at = element.begin
            continue
        if element.id in {SIMPLE_BLOCK, BLOCK}:
            content = window.peek(element.begin, min(element.end - element.begin, left + 16))
            frame = content[integer_in(content, 0)[1] + BLOCK_HEAD :][:left]
            if frame in contents:
                equal += 1
                passed += element.end - element.begin
            else:
                contents[frame] = None
                left -= len(frame)
        at = element.end
    return essence.digest(codec, 0, b"".join(contents))


def essence_of_wavpack(window: Window, codec: str) -> bytes:
    """Raises ValueError if there is no block."""
    from indexer.tags.ape.wavpack import HEADER_SIZE, block_of, first_block, samples_of

    first = first_block(window, leading.end_of_tags(window))
    data = window.glance(first.at, min(BLOCKS_REACH, window.size - first.at))
    contents = []
    at = 0
    while (block := block_of(data[at : at + HEADER_SIZE], at)) is not None and block.samples:
        contents.append(data[at + HEADER_SIZE : block.end])
        at = block.end
    return essence.digest(codec, samples_of(window, first), b"".join(contents))


def essence_of_mp4(window: Window, codec: str) -> bytes:
    """Raises UnknownSound without any `mdat`."""
    from indexer.tags.fast.mp4 import media_parts

    return essence.digest(codec, *essence.middle(window, window.sound or media_parts(window)))
