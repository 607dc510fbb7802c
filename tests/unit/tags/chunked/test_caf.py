from __future__ import annotations

import io
import struct

import pytest

from indexer import tags
from indexer.model import Track
from tests import corpus
from tests.raw_formats import RATE, caf, caf_chunk


def read(content: bytes, suffix: str = ".caf") -> Track:
    return tags.read_plain(io.BytesIO(content), suffix.encode())


def sound(
    code: bytes,
    *chunks: bytes,
    packet: tuple[int, int] = (0, 0),
    flags: int = 0,
    rate: float = 44_100.0,
    bits: int = 0,
) -> bytes:
    """A file of two channels with ten thousand bytes of sound; a packet is bytes and frames."""
    stream = struct.pack(">d4s5I", rate, code, flags, *packet, 2, bits)
    data = caf_chunk(b"data", bytes(10_004))
    return b"caff\0\1\0\0" + caf_chunk(b"desc", stream) + b"".join(chunks) + data


def table(packets: int, frames: int) -> bytes:
    return caf_chunk(b"pakt", struct.pack(">2q2i", packets, frames, 2112, 0) + bytes(packets))


def strings(*words: str, count: int | None = None) -> bytes:
    """Keys and texts in turn."""
    body = "".join(f"{word}\0" for word in words).encode()
    number = len(words) // 2 if count is None else count
    return caf_chunk(b"info", number.to_bytes(4) + body)


def test_pcm_is_as_long_as_its_bytes() -> None:
    track = read(caf())
    assert (track.codec, track.duration, track.bitrate) == ("pcm", 0.2, 16 * RATE)
    assert (track.sample_rate, track.channels, track.bit_depth) == (RATE, 1, 16)


@pytest.mark.parametrize("size", [2**64 - 1, 0, 2**63, 10**6])
def test_sound_of_a_size_that_was_not_filled_in_goes_on_to_the_end(size: int) -> None:
    assert read(caf(size=size)).duration == 0.2


def test_packets_of_different_sizes_are_counted_by_their_table() -> None:
    """Its valid frames are without those that prime the decoder."""
    track = read(sound(b"aac ", table(44, 44_100), packet=(0, 1024)))
    assert (track.codec, track.duration, track.bitrate) == ("aac", 1, 80_000)
    assert read(sound(b"aac ", table(44, 0), packet=(0, 1024))).duration == 44 * 1024 / 44_100
    assert read(sound(b"aac ", packet=(0, 1024))).duration is None


def test_packets_of_one_size_are_counted_by_their_bytes() -> None:
    track = read(sound(b"ima4", packet=(68, 64)))
    assert (track.codec, track.duration) == ("adpcm", 10_000 // 68 * 64 / 44_100)


@pytest.mark.parametrize(
    ("code", "codec"),
    [
        (b"alac", "alac"),
        (b"flac", "flac"),
        (b"opus", "opus"),
        (b"ulaw", "mulaw"),
        (b"alaw", "alaw"),
        (b".mp3", "mp3"),
        (b"aach", "aac"),
        (b"ac-3", "ac3"),
        (b"ec-3", "eac3"),
        (b"\x1b[2J", "caf"),
    ],
)
def test_codecs_have_the_names_that_they_have_in_other_files(code: bytes, codec: str) -> None:
    assert read(sound(code)).codec == codec


def test_alac_tells_its_depth_in_the_flags_or_in_its_cookie() -> None:
    assert read(sound(b"alac", flags=3)).bit_depth == 24
    cookie = bytes([0, 0, 16, 0, 0, 20]) + bytes(18)
    wrapped = b"\0\0\0\x0cfrmaalac\0\0\0\x24alac" + bytes(4) + cookie
    for content in (cookie, wrapped):
        assert read(sound(b"alac", caf_chunk(b"kuki", content))).bit_depth == 20
    assert read(sound(b"alac")).bit_depth is None


def test_the_keys_of_apple_and_of_other_programs_are_read_in_any_case() -> None:
    words = ("Title", "Jóga", "artist", "Björk", "album", "Homogenic", "track number", "2/10")
    track = read(caf(strings(*words, "year", "1997", "tempo", "90", "comments", "x")))
    assert (track.title, track.artists, track.album) == ("Jóga", ("Björk",), "Homogenic")
    assert (track.track, track.track_total, track.year) == (2, 10, 1997)
    assert (track.bpm, track.comment) == ("90", "x")
    track = read(caf(strings("album_artist", "B", "track", "3", "disc", "1/2")))
    assert (track.albumartists, track.track, track.disc_total) == (("B",), 3, 2)


def test_no_more_texts_are_read_than_are_counted_or_ended() -> None:
    assert read(caf(strings("title", "x", "artist", "y", count=1))).artists == ()
    assert read(caf(strings("title", "x", count=2**32 - 1))).title == "x"
    assert read(caf(caf_chunk(b"info", b"\0\0\0\1title\0cut of"))).title is None


@pytest.mark.parametrize("rate", [0.0, -1.0, float("nan"), float("inf"), 1e300, 5e-324])
def test_a_rate_that_cannot_be_is_not_known(rate: float) -> None:
    track = read(sound(b"lpcm", packet=(4, 1), bits=16, rate=rate))
    assert track.sample_rate is None
    assert track.bitrate is None


@pytest.mark.parametrize(
    "content", [b"caff\0\1\0\0", caf()[:40], caf().replace(b"desc", b"desk"), b"cafe" + caf()[4:]]
)
def test_a_file_without_its_description_is_refused(content: bytes) -> None:
    with pytest.raises(tags.Refused):
        tags.read_track(io.BytesIO(content), b".caf")


def test_it_is_known_by_its_content() -> None:
    content = corpus.tagged(".caf", title="x")
    for suffix in (b".mp3", b".m4a", b".alac", b".wav"):
        assert tags.read_track(io.BytesIO(content), suffix) == read(content)


def test_a_file_that_is_cut_short_is_a_track_as_soon_as_its_description_is_there() -> None:
    whole = caf(strings("title", "Jóga"))
    for size in range(1, 52):
        with pytest.raises(tags.Refused):
            tags.read_track(io.BytesIO(whole[:size]), b".caf")
    for size in range(52, 200):
        assert read(whole[:size]).codec == "pcm"
