"""An MP4 file -> its track: stream info, and iTunes atoms as columns."""

from __future__ import annotations

from functools import lru_cache
from typing import TYPE_CHECKING

from indexer.tags import columns
from indexer.tags.plain_mp4 import plain_mp4

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.window import Window

CODECS = {
    "mp4a.69": "mp3",
    "mp4a.6b": "mp3",
    "mp4a.a5": "ac3",
    "mp4a.a6": "eac3",
    "ac-3": "ac3",
    "ec-3": "eac3",
}
"""What is neither AAC nor called by its everyday name: object types of MPEG-4 (RFC 6381 and the
MP4 registration authority), and sample entries."""
LOSSLESS = frozenset({"alac", "flac"})


def read(window: Window, _suffix: bytes) -> Track:
    """The track of an MP4 file."""
    plain = plain_mp4(window)
    if plain is not None:
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


@lru_cache(maxsize=64)
def codec_of(codec: str) -> str:
    """The codec's name; `mp4` if the file has no audio that mutagen knows of."""
    codec = codec.lower()
    if codec in CODECS:
        return CODECS[codec]
    return "aac" if codec.startswith("mp4a") else codec.strip(" .\0") or "mp4"
