"""How much of an audio file is there, by its structure alone."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from io import BytesIO

import pytest

from indexer import tags
from indexer.tags.extent import share_there
from indexer.tags.window import Window
from tests import corpus
from tests.announced import (
    FRAME,
    FRAMES,
    TELLS_NO_LENGTH,
    WHOLE,
    core_audio,
    flac,
    matroska,
    mp3,
    mp4,
    ogg,
    page,
    wave,
    wavpack,
    xing,
)
from tests.corpus import tagged


def short(content: bytes) -> float | None:
    return share_there(Window(BytesIO(content)))


@pytest.mark.parametrize("name", WHOLE)
def test_a_whole_file_is_not_short(name: str) -> None:
    assert short(WHOLE[name]()) is None


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("share", [0.11, 0.35, 0.52, 0.77, 0.9])
def test_a_file_that_was_cut_is_short_by_as_much(name: str, share: float) -> None:
    whole = WHOLE[name]()
    found = short(whole[: int(share * len(whole))])
    assert found is not None
    if name in TELLS_NO_LENGTH:
        assert share <= found < 1
    else:
        assert found == pytest.approx(share, abs=0.06)


@pytest.mark.parametrize("name", ["mp3", "flac", "true_audio", "monkeys_audio"])
def test_a_tag_at_the_head_does_not_hide_that_a_file_was_cut(name: str) -> None:
    tag = b"ID3\x04\0\0\0\0\x07\x76" + bytes(1014)
    whole = tag + WHOLE[name]()
    assert short(whole) is None
    assert short(whole[: len(whole) // 2]) == pytest.approx(0.5, abs=0.05)


def ape_tag(size: int) -> bytes:
    footer = b"APETAGEX" + struct.pack("<IIII", 2000, size + 32, 1, 0x8000_0000) + bytes(8)
    return footer + bytes(size) + footer


TRAILING = {
    "ID3v1": b"TAG" + bytes(125),
    "APEv2": ape_tag(20_000),
    "APEv2 and ID3v1": ape_tag(20_000) + b"TAG" + bytes(125),
    "Lyrics3": b"LYRICSBEGIN" + bytes(9989) + b"010000LYRICS200" + b"TAG" + bytes(125),
}


@pytest.mark.parametrize("name", TRAILING)
def test_tags_behind_the_sound_are_not_taken_for_it(name: str) -> None:
    whole = mp3()
    assert short(whole + TRAILING[name]) is None
    assert short(whole[:12_500] + TRAILING[name]) == pytest.approx(0.5, abs=0.02)


@pytest.mark.parametrize("name", WHOLE)
@pytest.mark.parametrize("behind", [b"TAGDebut".ljust(128, b"\0"), b"\r\n<!-- a page -->\r\n", b""])
def test_what_follows_a_whole_file_does_not_make_it_short(name: str, behind: bytes) -> None:
    whole = WHOLE[name]()
    assert short(whole + (behind or whole)) is None


def innocent() -> Iterator[tuple[str, bytes]]:
    whole = mp3()
    yield "an MP3 that an editor cut between frames", whole[: 20 * len(FRAME)]
    yield "the same with a tag behind it", whole[: 20 * len(FRAME)] + TRAILING["APEv2 and ID3v1"]
    yield "two MP3 joined", whole + whole
    yield "an MP3 whose header counts no bytes", xing(0)
    yield "an MP3 whose header counts a frame too many", xing((FRAMES + 1) * len(FRAME))
    yield "an MP3 that goes on as NULs", whole[:9000] + bytes(9000)
    yield "an MP3 without a header", FRAME * 20 + FRAME[:100]
    yield "a FLAC that knows no total", flac(total=0)
    yield "a FLAC with a tag behind it", flac() + TRAILING["ID3v1"]
    yield "an Ogg stream that was recorded", page(b"\x01vorbis", 2) + page(bytes(3000)) * 20
    yield "two Ogg streams joined", ogg() + ogg()
    yield "an Ogg with a tag behind it", ogg() + TRAILING["ID3v1"]
    for size in (0, 0x7FFF_F000, 0x7FFF_FFD8, 0xFFFF_FFFF):
        yield f"a WAV written to a pipe: {size:x}", wave(told=size)
    yield "a WAV that counts its header as sound", wave(told=20_044)
    yield "a WAV whose whole is less than its sound", wave(told=900_000, riff=20_036)
    yield (
        "a Matroska file that was sent",
        matroska().replace((1 << 56 | 20_000).to_bytes(8), b"\x01" + b"\xff" * 7),
    )
    yield "an MP4 with padding that is not there", mp4() + (5000).to_bytes(4) + b"free"
    yield "an MP4 whose last box has no size", mp4()[:520] + bytes(4) + mp4()[524:]
    yield (
        "a CAF that is being recorded",
        core_audio().replace(b"data" + (20_000).to_bytes(8), b"data" + b"\xff" * 8),
    )
    yield "WavPack cut between blocks", wavpack()[: 2 * 8032]


@pytest.mark.parametrize("content", [pytest.param(one, id=name) for name, one in innocent()])
def test_what_only_looks_cut_short_is_not(content: bytes) -> None:
    assert short(content) is None


@pytest.mark.parametrize("suffix", [*corpus.STREAMS, *corpus.WITHOUT_PICTURES])
@pytest.mark.parametrize("title", ["", "x" * 500])
def test_no_template_is_short(suffix: str, title: str) -> None:
    name = "." + suffix.rpartition(".")[2]
    track = tags.read_track(BytesIO(tagged(suffix, title=title)), name.encode())
    assert track.short is None


def test_a_flac_that_ends_in_its_picture_keeps_its_tags() -> None:
    whole = tagged(".flac", picture=50_000, title="Hyperballad")
    track = tags.read_track(BytesIO(whole[:30_000]), b".flac")
    assert (track.title, track.short, track.sample_rate) == ("Hyperballad", 0.0, 22050)


def test_a_flac_that_ends_before_its_tags_is_refused() -> None:
    with pytest.raises(tags.Refused):
        tags.read_track(BytesIO(tagged(".flac", title="Hyperballad")[:60]), b".flac")


@pytest.mark.parametrize("name", WHOLE)
def test_no_place_to_cut_raises_anything(name: str) -> None:
    whole = WHOLE[name]()
    for size in {*range(130), *range(0, len(whole), 997)}:
        found = short(whole[:size])
        assert found is None or 0 <= found < 1
