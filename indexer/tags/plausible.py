"""A track and the size of its file -> the track without a length that so few bytes cannot hold.

The length comes from a header, which may be damaged, or never have been filled in. A file that is
known to be cut short keeps it, if any file is as long: it is that of the whole.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from msgspec.structs import force_setattr

if TYPE_CHECKING:
    from indexer.model import Track

LEAST: Final = {"aac": 4, "dsd": 75, "mp1": 300, "mp2": 300, "mp3": 300}
"""Codec -> fewest bytes of a second of sound: of silence in AAC at 8000 Hz, of a frame of DST (75 a
second), and of the shortest frames of a free bit rate of MPEG audio. A guess."""
LIKELY: Final = 4000
"""Bytes of a second from which on nothing but PCM is doubted. A guess: 32 kbit/s."""
ANY: Final = 1
"""Of all other codecs. A guess."""
FLAC_FRAME, FLAC_SAMPLES = 10, 65_536
"""Bytes of a frame of silence, and samples of the longest one (RFC 9639, 9.1.1), which `flac --lax`
writes."""
GAPS: Final = 4
"""How many times as long as its sound a container of PCM may be. A guess."""
MOST_S: Final = 1_000_000
"""Maximum seconds of a file of any size: eleven days. A guess."""
FREE: Final = 4096
"""A length that so many bytes could hold is not doubted. A guess."""


def without_impossible(track: Track, size: int) -> None:
    """Take the length, and a bit rate that was computed from it, from a track made a moment ago."""
    length = track.duration
    if length is None:
        return
    least = _least(track)
    if length > MOST_S or (track.short is None and length * least > size + FREE):
        force_setattr(track, "duration", None)
        if track.bitrate is not None and track.bitrate <= 8 * least:
            force_setattr(track, "bitrate", None)


def _least(track: Track) -> int:
    """Bytes of a second at least."""
    rate = track.sample_rate or 0
    if track.codec == "pcm":
        of_sample = (track.channels or 0) * (track.bit_depth or 0)
        return max(rate * of_sample // (8 * GAPS), ANY)
    if track.codec == "flac":
        return max(rate * FLAC_FRAME // FLAC_SAMPLES, ANY)
    return LEAST.get(track.codec, ANY)
