from __future__ import annotations

import io

import pytest

from indexer import tags
from indexer.tags.fast.mp4 import plain_mp4
from indexer.tags.mp4.boxes import ALIKE_LIMIT
from indexer.tags.window import Window
from tests.mp4_files import RATE, box, full, item, mp4, track

SECOND = RATE.to_bytes(4)


def test_the_sound_is_found_behind_other_tracks() -> None:
    film = track((9 * RATE).to_bytes(4), kind=b"vide")
    found = tags.read_track(io.BytesIO(mp4(film, track(SECOND))), b".mp4")
    assert (found.codec, found.duration, found.channels) == ("flac", 1, 2)


def test_a_sample_entry_that_mutagen_refuses_tells_what_its_header_does() -> None:
    content = mp4(track(SECOND))
    at = content.index(b"fLaC") + 4 + 28
    broken = content[:at] + bytes(8) + content[at + 8 :]
    found = tags.read_track(io.BytesIO(broken), b".m4a")
    assert (found.codec, found.sample_rate, found.channels) == ("flac", RATE, 2)


def test_a_file_that_ends_in_its_movie_behind_the_sound_is_read() -> None:
    content = mp4(track(SECOND), box(b"free", bytes(100)))
    assert tags.read_track(io.BytesIO(content[:-50]), b".m4a").duration == 1


@pytest.mark.parametrize("content", [mp4(box(b"udta"))[:16], mp4(track(SECOND))[:120]])
def test_a_file_without_its_movie_or_sound_is_refused(content: bytes) -> None:
    with pytest.raises(tags.Refused):
        tags.read_track(io.BytesIO(content), b".m4a")


def test_no_more_than_so_many_tracks_and_lists_are_looked_at() -> None:
    film = track(SECOND, kind=b"vide")
    sound = track(bytes(4))  # of unknown length, so the boxes are looked at one by one
    assert tags.read_track(io.BytesIO(mp4(*[film] * (ALIKE_LIMIT - 1), sound)), b".mp4").channels
    with pytest.raises(tags.Refused, match="no audio track"):
        tags.read_track(io.BytesIO(mp4(*[film] * ALIKE_LIMIT, sound)), b".mp4")
    lists = [full(b"meta", box(b"ilst", item(b"\xa9nam", b" ")))] * ALIKE_LIMIT
    named = full(b"meta", box(b"ilst", item(b"\xa9nam", b"x")))
    for metas, title in ((lists[1:], "x"), (lists, None)):
        content = mp4(sound, box(b"udta", *metas, named))
        assert tags.read_track(io.BytesIO(content), b".m4a").title == title


@pytest.mark.parametrize(
    ("brand", "suffix", "promises"),
    [
        (b"isom", b".mp4", False),
        (b"isom", b".m4a", True),
        (b"M4A ", b".mp4", True),
        (b"isom", b".m4b", True),
    ],
)
def test_a_film_without_sound_is_refused_only_where_it_promises_some(
    brand: bytes, suffix: bytes, *, promises: bool
) -> None:
    film = io.BytesIO(mp4(track(SECOND, kind=b"vide"), brand=brand))
    with pytest.raises(tags.Refused, match="no audio track") as refused:
        tags.read_track(film, suffix)
    assert isinstance(refused.value, tags.NoAudio) is not promises


def test_unusual_files_need_no_mutagen() -> None:
    unusual = io.BytesIO(mp4(track(bytes(4)), box(b"mvex")))
    assert plain_mp4(Window(unusual)) is None
    assert tags.read_plain(unusual, b".m4a").channels == 2
