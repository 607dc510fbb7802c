"""An MP4 file -> its track: stream info, and iTunes atoms as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.tags import columns
from indexer.tags.fast.mp4 import media_size, plain_mp4
from indexer.tags.items import LOSSLESS, codec_of

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.window import Window


def read(window: Window, _suffix: bytes) -> Track:
    plain = plain_mp4(window)
    if plain is not None:
        if not plain.stream.bitrate and plain.tracks == 1:
            plain.stream.bitrate = columns.mean_bitrate(media_size(window), plain.stream.length)
        codec = codec_of(plain.stream.codec)
        return columns.made(
            codec,
            plain.stream,
            plain.fields,
            has_picture=plain.has_picture,
            lossless=codec in LOSSLESS,
        )
    window.leave_to_mutagen()
    from indexer.tags import mutagen_mp4

    return mutagen_mp4.read(window)
