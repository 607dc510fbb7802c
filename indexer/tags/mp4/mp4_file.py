"""An MP4 file -> its track: stream info, and metadata as columns."""

from __future__ import annotations

from typing import TYPE_CHECKING

from indexer.tags import NoAudio, columns
from indexer.tags.families import MAY_BE_SOUNDLESS
from indexer.tags.fast.mp4 import media_size, plain_mp4
from indexer.tags.mp4.item_columns import LOSSLESS, codec_of

if TYPE_CHECKING:
    from indexer.model import Track
    from indexer.tags.fast.mp4 import Stream
    from indexer.tags.mp4.boxes import Box
    from indexer.tags.window import Window


SOUND_BRANDS = frozenset({b"M4A ", b"M4B ", b"M4P ", b"F4A ", b"F4B "})
"""Major brands of files that hold nothing but sound (mp4ra.org)."""


def read(window: Window, suffix: bytes) -> Track:
    """Raises ValueError for a file that is cut short, or that has no sound and should.

    Raises NoAudio for one that has no sound and need not.
    """
    plain = plain_mp4(window)
    if plain is None:
        return _read_boxes(window, suffix)
    if not plain.stream.bitrate:
        _complete(window, plain.stream, plain.tracks)
    codec = codec_of(plain.stream.codec)
    return columns.made(
        codec,
        plain.stream,
        plain.fields,
        has_picture=plain.has_picture,
        lossless=codec in LOSSLESS,
    )


def _read_boxes(window: Window, suffix: bytes) -> Track:
    """The track of an unusual file."""
    from indexer.tags.mp4.boxes import movie_of
    from indexer.tags.mp4.sound import is_film, sound_of, stream_of, tracks_of

    movie, is_whole = movie_of(window)
    tracks = tracks_of(window, movie)
    sound = sound_of(window, tracks)
    if sound is None and not is_whole:
        raise ValueError("the file ends before its sound is described")
    if sound is None:
        may_be_soundless = suffix in MAY_BE_SOUNDLESS and window.peek(8, 4) not in SOUND_BRANDS
        if may_be_soundless and is_film(window, tracks):
            raise NoAudio("no audio track")
        raise ValueError("no audio track")
    stream = stream_of(window, movie, sound)
    _complete(window, stream, len(tracks))
    values, has_picture = _metadata(window, movie, sound)
    codec = codec_of(stream.codec)
    return columns.track(codec, stream, values, has_picture=has_picture, lossless=codec in LOSSLESS)


def _metadata(window: Window, movie: Box, sound: Box) -> tuple[columns.Values, bool]:
    """Texts by column, and whether there is a picture; what is closest to iTunes is asked first."""
    from indexer.tags.mp4.boxes import Box
    from indexer.tags.mp4.metadata import sources_of

    values: columns.Values = {}
    has_picture = False
    for holder in (movie, Box(b"", 0, window.size), sound):
        for found in sources_of(window, holder):
            values = columns.filled(values, found.values, found.others)
            has_picture |= found.has_picture
    return values, has_picture


def _complete(window: Window, stream: Stream, tracks: int) -> None:
    """Reckon the bit rate from the size of the media, if it is that of the sound alone."""
    if not stream.bitrate and tracks == 1:
        stream.bitrate = columns.mean_bitrate(media_size(window), stream.length)
