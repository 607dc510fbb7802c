from __future__ import annotations

import io
import random

import pytest

from indexer import tags
from indexer.model import Track
from indexer.tags.fast import flac
from indexer.tags.vorbis import damaged
from indexer.tags.window import Window
from tests import corpus

OGG = (".ogg", ".opus", ".oga", ".spx")


def read(content: bytes, suffix: str) -> Track:
    return tags.read_track(io.BytesIO(content), suffix.encode())


def junk(size: int) -> bytes:
    return random.Random(size).randbytes(size)


def pages(content: bytes) -> list[int]:
    """The offset of each page, and the end."""
    found, at = [], 0
    while at < len(content):
        found.append(at)
        segments = content[at + 26]
        at += 27 + segments + sum(content[at + 27 : at + 27 + segments])
    return [*found, at]


@pytest.mark.parametrize("suffix", OGG)
@pytest.mark.parametrize("size", [1, 10, 5000, 65_536])
def test_bytes_between_the_first_pages_are_skipped(suffix: str, size: int) -> None:
    """Refused by mutagen; ffmpeg and ExoPlayer synchronise at the next page."""
    whole = corpus.tagged(suffix, title="Debut")
    track = read(whole, suffix)
    for page in pages(whole)[:3]:
        found = read(whole[:page] + junk(size) + whole[page:], suffix)
        assert (found.title, found.duration) == (track.title, track.duration)


@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
def test_damaged_comments_cost_only_the_comments(suffix: str) -> None:
    whole = corpus.tagged(suffix, title="Debut")
    track = read(whole, suffix)
    _, second, third, *_ = pages(whole)
    mark = whole.index(b"\x03vorbis" if suffix == ".ogg" else b"OpusTags", second)
    for broken in (
        whole[:second] + b"\0" * (third - second) + whole[third:],
        whole[:second] + b"\xff" * 40 + whole[second + 40 :],
        whole[: mark + 8] + b"\xff" * 4 + whole[mark + 12 :],
        whole[:second] + whole[third:],
    ):
        found = read(broken, suffix)
        assert (found.title, found.duration, found.codec) == (None, track.duration, track.codec)
        assert (found.sample_rate, found.channels) == (track.sample_rate, track.channels)


@pytest.mark.parametrize("suffix", [".ogg", ".opus"])
def test_the_last_whole_page_tells_the_length_if_the_end_is_damaged_too(suffix: str) -> None:
    whole = corpus.tagged(suffix, title="Debut")
    second = pages(whole)[1]
    found = read(whole[:second] + junk(9) + whole[second:] + b"OggS\0" + junk(9), suffix)
    assert found.duration == read(whole, suffix).duration


def test_a_file_without_a_page_of_sound_is_refused() -> None:
    whole = corpus.tagged(".ogg", title="Debut")
    second = pages(whole)[1]
    for content in (
        whole[:second] + junk(50),
        whole[second:],
        junk(50) + b"OggS\0",
    ):
        with pytest.raises(tags.Refused):
            read(content, ".ogg")


def test_the_next_page_is_searched_in_bounds() -> None:
    whole = corpus.tagged(".oga", title="Debut")
    second = pages(whole)[1]
    with pytest.raises(tags.Refused):
        read(whole[:second] + bytes(damaged.REACH) + whole[second:], ".oga")


def test_a_file_of_pages_that_are_whole_needs_no_mending() -> None:
    for suffix in OGG:
        assert damaged.mended(Window(io.BytesIO(corpus.tagged(suffix, title="x")))) is None


@pytest.mark.parametrize("picture", [None, 5000])
def test_broken_comments_of_flac_cost_only_what_follows_the_fault(picture: int | None) -> None:
    """Refused by mutagen; TagLib and ffmpeg play it, with the comments before the fault."""
    whole = corpus.tagged(".flac", picture=picture, title="Debut", artist="Björk", album="x" * 50)
    track = read(whole, ".flac")
    at = whole.index(b"ALBUM=")
    broken = whole[: at - 4] + b"\xff\xff\xff\x7f" + whole[at:]
    found = read(broken, ".flac")
    assert (found.title, found.artists, found.album) == ("Debut", ("Björk",), None)
    assert (found.duration, found.bitrate, found.has_picture) == (
        track.duration,
        track.bitrate,
        picture is not None,
    )
    assert (found.essence, found.short) == (track.essence, None)
    count = whole.index(b"TITLE=") - 8
    more = whole[:count] + (99).to_bytes(4, "little") + whole[count + 4 :]
    assert read(more, ".flac").album == "x" * 50


@pytest.mark.parametrize(
    ("media_type", "picture", "is_held"),
    [(b"image/png", b"abc", True), (b"image/png", b"", False), (b"-->", b"cover.jpg", False)],
)
def test_behind_broken_comments_of_flac_no_link_counts_as_a_picture(
    media_type: bytes, picture: bytes, is_held: bool
) -> None:
    whole = corpus.tagged(".flac", title="Debut")
    at = whole.index(b"TITLE=")
    broken = whole[: at - 8] + (99).to_bytes(4, "little") + whole[at - 4 :]
    sized = (len(one).to_bytes(4) + one for one in (media_type, b""))
    content = bytes(4) + b"".join(sized) + bytes(16) + len(picture).to_bytes(4) + picture
    block = b"\x06" + len(content).to_bytes(3) + content
    behind = 4 + 4 + 34  # the mark, and the stream info with its header
    found = read(broken[:behind] + block + broken[behind:], ".flac")
    assert (found.title, found.has_picture) == ("Debut", is_held)


def test_flac_with_zeros_behind_its_comments_is_refused() -> None:
    """Of a download into a file of its full size only the begin is there: nothing can be played."""
    whole = corpus.tagged(".flac", title="Debut")
    at = 4 + 4 + 34  # the mark, and the stream info with its header
    end = at + 4 + int.from_bytes(whole[at + 1 : at + 4])
    begin = whole[:at] + bytes([flac.COMMENTS]) + whole[at + 1 : end]
    assert read(begin, ".flac").title == "Debut"  # cut there, it is told to be short
    with pytest.raises(tags.Refused):
        read(begin + bytes(100_000), ".flac")


def test_flac_whose_blocks_lead_nowhere_behind_broken_comments_is_refused() -> None:
    """There are bytes too many; ffmpeg finds no sound behind it either."""
    whole = corpus.tagged(".flac", title="Debut", album="x")
    at = whole.index(b"ALBUM=") - 4
    with pytest.raises(tags.Refused):
        read(whole[:at] + b"\xff" * 4 + whole[at:], ".flac")
