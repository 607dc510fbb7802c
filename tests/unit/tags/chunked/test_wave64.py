from __future__ import annotations

import io
import struct

import pytest

from indexer import tags
from indexer.model import Track
from tests import corpus
from tests.raw_formats import OF_WAVE, RATE, SUMMARY, wave64, wave64_chunk, with_wave64_chunk


def read(content: bytes, suffix: str = ".w64") -> Track:
    return tags.read_track(io.BytesIO(content), suffix.encode())


def text(key: bytes, value: str, size: int | None = None) -> bytes:
    content = value.encode("utf-16-le")
    return key + struct.pack("<I", len(content) if size is None else size) + content


def summary(*texts: bytes) -> bytes:
    return struct.pack("<I", len(texts)) + b"".join(texts)


def with_texts(*texts: bytes, count: int | None = None) -> bytes:
    number = struct.pack("<I", len(texts) if count is None else count)
    return with_wave64_chunk(wave64(), SUMMARY, number + b"".join(texts))


def test_the_format_is_that_of_wav() -> None:
    track = read(wave64())
    assert (track.codec, track.duration, track.bitrate) == ("pcm", 0.2, 16 * RATE)
    assert (track.sample_rate, track.channels, track.bit_depth) == (RATE, 1, 16)


def test_codecs_have_the_names_that_they_have_in_wav() -> None:
    form = struct.pack("<HHI", 1, 1, RATE)
    assert read(wave64().replace(form, struct.pack("<HHI", 0x55, 1, RATE))).codec == "mp3"


@pytest.mark.parametrize("size", [0, 24, 2**63, 2**64 - 1])
def test_sound_of_a_size_that_was_not_filled_in_goes_on_to_the_end(size: int) -> None:
    assert read(wave64(size)).duration == pytest.approx(0.2, abs=0.001)


def test_texts_of_a_summary_are_read_from_behind_the_sound() -> None:
    content = with_texts(
        text(b"INAM", "Jóga\0"), text(b"IART", "Björk"), text(b"IPRT", "2/10\0"), text(b"????", "x")
    )
    track = read(content)
    assert (track.title, track.artists, track.track, track.track_total) == (
        "Jóga",
        ("Björk",),
        2,
        10,
    )


def test_texts_of_a_summary_are_read_from_before_the_sound() -> None:
    """Ffprobe 5.1 reads this file alike."""
    whole = wave64()
    at = whole.index(b"data" + OF_WAVE)
    chunk = wave64_chunk(SUMMARY, summary(text(b"INAM", "Jóga\0"), text(b"IPRT", "2/10\0")))
    track = read(whole[:at] + chunk + whole[at:])
    assert (track.title, track.track, track.track_total, track.duration) == ("Jóga", 2, 10, 0.2)


def test_texts_that_do_not_fit_are_left_out() -> None:
    assert read(with_texts(text(b"INAM", "x"), count=2**32 - 1)).title == "x"
    assert read(with_texts(text(b"INAM", "x"), text(b"IART", "y", 2**32 - 1))).artists == ()
    assert read(with_texts(text(b"INAM", "x"), text(b"IART", "y"), count=1)).artists == ()


@pytest.mark.parametrize(
    "content",
    [
        wave64()[:40],
        wave64()[:70],
        wave64().replace(b"fmt " + OF_WAVE, b"fmu " + OF_WAVE),
        wave64().replace(b"wave" + OF_WAVE, b"avi " + OF_WAVE),
        wave64()[:40] + bytes(10_000),
    ],
)
def test_a_file_without_its_format_is_refused(content: bytes) -> None:
    with pytest.raises(tags.Refused):
        read(content)


def test_it_is_known_by_its_content() -> None:
    content = corpus.tagged(".w64", title="x")
    for suffix in (".mp3", ".m4a", ".wav"):
        assert read(content, suffix) == read(content)


def test_a_file_that_is_cut_short_is_a_track_as_soon_as_its_format_is_there() -> None:
    whole = wave64()
    for size in range(1, 80):
        with pytest.raises(tags.Refused):
            read(whole[:size])
    for size in range(80, 200):
        assert read(whole[:size]).codec == "pcm"
