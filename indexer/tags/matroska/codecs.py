"""A codec of Matroska, with its private data -> the codec's name, and what the data tells.

Sources: the Matroska Codec Specifications (draft-ietf-cellar-codec); RFC 9639, 8.2 (STREAMINFO);
the ALAC magic cookie description of Apple's open source decoder.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from indexer.tags.chunked.wave_format import WAVE_CODECS
from indexer.tags.vorbis.comments import OPUS_RATE

if TYPE_CHECKING:
    from indexer.tags.chunked.wave_format import Stream

CODECS: Final = {
    "A_MPEG/L1": "mp1",
    "A_MPEG/L2": "mp2",
    "A_MPEG/L3": "mp3",
    "A_TTA1": "tta",
    "A_WAVPACK4": "wavpack",
    "A_MPC": "musepack",
}
"""Codecs whose name is not the first word of their ID."""

LOSSLESS: Final = frozenset({"alac", "flac", "mlp", "pcm", "truehd", "tta", "wavpack"})

PRIVATE_LIMIT: Final = 64
"""Bytes read of a codec's private data."""


def codec_of(codec_id: str, private: bytes) -> str:
    """The name of a codec: `A_AAC/MPEG4/LC` is aac, `A_PCM/INT/LIT` is pcm."""
    codec_id = codec_id.upper()
    if codec_id == "A_MS/ACM":  # a WAVEFORMATEX
        return WAVE_CODECS.get(int.from_bytes(private[:2], "little"), "wav")
    if codec_id in CODECS:
        return CODECS[codec_id]
    name = codec_id.removeprefix("A_").partition("/")[0].lower()
    return name if name.isascii() and name.isidentifier() else "matroska"


def refine(stream: Stream, codec: str, private: bytes) -> None:
    """Correct the rate, channels and depth of a stream by what its codec tells."""
    match codec:
        case "opus":
            stream.sample_rate = OPUS_RATE
        case "flac" if private[:4] == b"fLaC" and len(private) >= 8 + 18:
            bits = int.from_bytes(private[8 + 10 : 8 + 18])
            stream.sample_rate = bits >> 44 or stream.sample_rate
            stream.channels = (bits >> 41 & 7) + 1
            stream.bits_per_sample = (bits >> 36 & 31) + 1
        case "alac" if len(private) >= 24:
            stream.bits_per_sample = private[5]
            stream.channels = private[9] or stream.channels
            stream.sample_rate = int.from_bytes(private[20:24]) or stream.sample_rate
