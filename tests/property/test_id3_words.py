"""Genres, times and LAME versions are read as by mutagen."""

from __future__ import annotations

import datetime as dt
import re
from io import BytesIO

import pytest
from hypothesis import given
from hypothesis import strategies as st
from mutagen._constants import GENRES
from mutagen.id3 import TCON, ID3TimeStamp
from mutagen.mp3._util import LAMEError, LAMEHeader

from indexer.tags.fast.mpeg_frames import has_lame_tag
from indexer.tags.id3 import frames, id3_dates, id3v1
from tests.property.effort import tries

genre_parts = st.sampled_from(
    ["(", ")", "((", "17", "255", "256", "0007", "191", "192", "CR", "RX", "Rock", " ", "\n", "٣"]
)
genres = st.lists(genre_parts, max_size=6).map("".join)
time_parts = st.sampled_from([*"0123456789-T:/. x+_٣²", "\t\n", "1993"])
times = st.lists(time_parts, max_size=24).map("".join)
versions = st.lists(
    st.sampled_from(
        [b"LAME", b"L3.99", *(bytes([one]) for one in b"LAE3.90r(\0x"), b"100", b"89", b" (alpha)"]
    ),
    max_size=14,
).map(b"".join)


def test_genres_have_mutagens_names() -> None:
    assert list(id3v1.GENRES) == list(GENRES)


@tries(300)
@given(st.lists(genres, min_size=1, max_size=3))
def test_numbers_of_genres_are_read_as_mutagen_reads_them(texts: list[str]) -> None:
    if any(frames.is_coded(text) for text in texts):
        assert frames.genres(texts) == list(TCON(encoding=3, text=texts).genres)
    else:
        assert frames.genres(texts) == texts


def test_a_number_of_thousands_of_digits_is_no_genre() -> None:
    assert frames.genres(["9" * 5000, "(17)"]) == ["9" * 5000, "Rock"]


@pytest.mark.parametrize("encoding", [0, 1, 3])
@pytest.mark.parametrize("text", ["", "a"])
def test_a_text_may_be_padded_with_thousands_of_nuls(encoding: int, text: str) -> None:
    names = {0: "latin-1", 1: "utf-16", 3: "utf-8"}
    assert frames.decode(encoding, (text + "\0" * 2000).encode(names[encoding])) == [text]


@tries(300)
@given(times)
def test_a_time_is_read_as_mutagen_reads_it_or_kept_as_it_is(text: str) -> None:
    stamp = id3_dates.stamp(text)
    assert stamp in {str(ID3TimeStamp(text.strip())), text.strip()}
    assert id3_dates.stamp(stamp) == stamp


@tries(300)
@given(times)
def test_no_number_of_a_time_is_lost(text: str) -> None:
    kept = id3_dates.stamp(text)
    assert _numbers(kept) == _numbers(text)


def _numbers(text: str) -> list[int]:
    return [int(number) for number in re.findall(r"[0-9]+", text)]


@tries(300)
@given(st.datetimes(min_value=dt.datetime(1000, 1, 1)), st.integers(4, 19))  # noqa: DTZ001
def test_a_time_in_the_format_of_the_standard_is_read_as_mutagen_reads_it(
    when: dt.datetime, length: int
) -> None:
    text = when.isoformat()[:length]
    if text[-1].isdigit():
        assert id3_dates.stamp(text) == str(ID3TimeStamp(text))


@tries(300)
@given(versions, st.booleans())
def test_a_lame_tag_is_found_where_mutagen_finds_it(version: bytes, usual: bool) -> None:
    whole = (b"LAME3" * usual + version)[:20].ljust(20, b"\xaa")
    try:
        expected = bool(LAMEHeader.parse_version(BytesIO(whole))[2])
    except LAMEError:
        expected = False
    assert has_lame_tag(whole) == expected
