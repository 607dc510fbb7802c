"""A WavPack file -> its essence: its number of samples, and what its first blocks hold.

A remuxer leaves out the blocks behind the sound and the header of the WAV file, so the length is
not stable. Silence takes hardly a byte, so `REACH` bytes hold many seconds of it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from indexer.tags import essence, leading
from indexer.tags.ape.wavpack import HEADER_SIZE, block_of, first_block, samples_of

if TYPE_CHECKING:
    from indexer.tags.window import Window

REACH: Final = 16 * 1024
"""Bytes of blocks. A guess."""


def essence_of(window: Window, codec: str) -> bytes:
    """Raises ValueError if there is no block."""
    first = first_block(window, leading.end_of_tags(window))
    data = window.glance(first.at, min(REACH, window.size - first.at))
    contents = []
    at = 0
    while (block := block_of(data[at : at + HEADER_SIZE], at)) is not None and block.samples:
        contents.append(data[at + HEADER_SIZE : block.end])
        at = block.end
    return essence.digest(codec, samples_of(window, first), b"".join(contents))
