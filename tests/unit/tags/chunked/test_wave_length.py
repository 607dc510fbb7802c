"""Lengths by the standards cited in `chunked.wave_length`; ffprobe and taglib agree."""

from __future__ import annotations

import io
import struct

import pytest

from indexer import tags
from indexer.model import Track
from tests.unit.tags.test_mpeg_header import FRAME_S, frame

RATE = 8000


def chunk(name: bytes, content: bytes) -> bytes:
    return name + struct.pack("<I", len(content)) + content + bytes(len(content) % 2)


def wave(
    code: int,
    sound: bytes,
    *,
    block: int,
    rate: int = 0,
    fact: int | None = None,
    more: bytes = b"",
) -> bytes:
    """A WAV file of two channels; `rate` is that of bytes, and `more` the format's extension."""
    extension = struct.pack("<H", len(more)) + more if more else b""
    form = struct.pack("<HHIIHH", code, 2, RATE, rate, block, 4) + extension
    body = b"WAVE" + chunk(b"fmt ", form)
    if fact is not None:
        body += chunk(b"fact", struct.pack("<I", fact))
    body += chunk(b"data", sound)
    return b"RIFF" + struct.pack("<I", len(body)) + body


def read(content: bytes) -> Track:
    return tags.read_track(io.BytesIO(content), b".wav")


@pytest.mark.parametrize("rate", [0, 1, 2312])
def test_fact_counts_the_samples_of_any_codec(rate: int) -> None:
    found = read(wave(0x72, bytes(19_600), block=37, rate=rate, fact=10 * RATE))
    assert (found.duration, found.bitrate) == (10, 15_680)


@pytest.mark.parametrize("fact", [None, 0, 0x7FFF_F000, 0xFFFF_FFFF])
def test_without_fact_the_bytes_a_second_are_believed(fact: int | None) -> None:
    assert read(wave(0x72, bytes(20_000), block=37, rate=2000, fact=fact)).duration == 10
    assert read(wave(0x72, bytes(20_000), block=37, fact=fact)).duration is None


@pytest.mark.parametrize(
    ("code", "block", "samples"),
    [(0x02, 1024, 1012), (0x11, 1024, 1017), (0x31, 65, 320)],
)
@pytest.mark.parametrize("fact", [None, 0, 10**9])
def test_blocks_of_adpcm_and_gsm_are_counted_where_fact_is_wrong(
    code: int, block: int, samples: int, fact: int | None
) -> None:
    for told in (samples, 0, 0xFFFF):
        more = struct.pack("<H", told)
        content = wave(code, bytes(8 * block), block=block, rate=7, fact=fact, more=more)
        assert read(content).duration == 8 * samples / RATE


def test_fact_says_how_much_of_the_last_block_counts() -> None:
    content = wave(0x11, bytes(2048), block=1024, fact=1500)
    assert read(content).duration == 1500 / RATE


@pytest.mark.parametrize("code", [6, 7])
def test_a_sample_of_the_laws_is_a_byte(code: int) -> None:
    assert read(wave(code, bytes(4 * RATE), block=2, rate=5, fact=3)).duration == 2


@pytest.mark.parametrize("rate", [0, 3])
def test_the_frames_of_mpeg_audio_are_measured_without_fact(rate: int) -> None:
    sound = bytes(9) + frame(9) * 50 + frame(14) * 50
    found = read(wave(0x55, sound, block=1, rate=rate))
    assert found.duration == pytest.approx(100 * FRAME_S)


def test_the_code_of_an_extensible_format_is_in_its_guid() -> None:
    guid = struct.pack("<H", 7) + bytes.fromhex("000000001000800000AA00389B71")
    content = wave(0xFFFE, bytes(RATE), block=2, more=bytes(6) + guid)
    assert (read(content).codec, read(content).duration) == ("mulaw", 0.5)


def test_the_number_of_samples_may_have_64_bits() -> None:
    content = wave(0x72, bytes(100), block=37, fact=0xFFFF_FFFF)
    long = chunk(b"ds64", struct.pack("<QQQI", len(content), 100, 3 * RATE, 0))
    assert read(b"RF64" + content[4:12] + long + content[12:]).duration == 3
