from __future__ import annotations

import io
import struct

import pytest

from indexer import tags
from tests.mp4_files import RATE, box, full, movie_header, mp4, numbers, track

ONES = b"\xff" * 4


def seconds(content: bytes) -> float | None:
    return tags.read_track(io.BytesIO(content), b".m4a").duration


def extends(*told: bytes, usual: int = 1024, of: int = 1) -> bytes:
    return box(b"mvex", *told, full(b"trex", numbers(of, 1, usual, 0, 0)))


def index(duration: int, size: int, start: int = 0, of: int = 1) -> bytes:
    """An index of two subsegments."""
    fields = numbers(of, RATE, start, 0) + struct.pack(">2xH", 2)
    return full(b"sidx", fields, numbers(size, duration, 0, 0, 0, 0))


def fragment(*parts: bytes, of: int = 1, flags: int = 0, usual: bytes = b"") -> bytes:
    return box(b"moof", box(b"traf", full(b"tfhd", numbers(of), usual, flags=flags), *parts))


def run(count: int) -> bytes:
    return full(b"trun", numbers(count))


@pytest.mark.parametrize("duration", [bytes(4), ONES, bytes(8), b"\xff" * 8])
def test_an_unknown_duration_is_the_sum_of_the_samples_durations(duration: bytes) -> None:
    times = numbers(9, RATE, 2, RATE // 2)
    assert seconds(mp4(movie_header(7000), track(duration, times=times))) == 10


@pytest.mark.parametrize("duration", [bytes(4), ONES])
def test_an_unknown_duration_is_that_of_the_movie_where_no_sample_has_one(duration: bytes) -> None:
    assert seconds(mp4(movie_header(7000), track(duration))) == 7
    assert seconds(mp4(movie_header(0xFFFF_FFFF), track(duration))) is None
    assert seconds(mp4(track(duration))) is None


def test_a_fragmented_movie_may_tell_its_whole_length() -> None:
    parts = (movie_header(), track())
    short = full(b"mehd", numbers(12_500))
    long = full(b"mehd", numbers(0, 12_500), version=1)
    for told in (short, long):
        assert seconds(mp4(*parts, extends(told), after=fragment(run(1)))) == 12.5
    unknown = full(b"mehd", numbers(0xFFFF_FFFF))
    fragments = fragment(run(RATE)) + box(b"mdat", bytes(30_000))
    assert seconds(mp4(*parts, extends(unknown), after=fragments)) == 1024


def test_an_index_of_the_whole_file_spares_the_look_at_its_fragments() -> None:
    sound = box(b"mdat", bytes(100))
    whole = index(3 * RATE, len(fragment(run(1)) + sound), start=9 * RATE)
    assert seconds(mp4(track(), extends(), after=whole + fragment(run(1)) + sound)) == 3


def test_each_fragment_may_have_an_index_of_its_own() -> None:
    one = fragment(run(1))
    after = b"".join(index(2 * RATE, len(one), start=at * RATE) + one for at in (4, 6, 8))
    assert seconds(mp4(track(), extends(), after=after)) == 6


def test_an_index_of_another_track_or_of_a_part_is_not_believed() -> None:
    one = fragment(run(RATE))
    for wrong in (index(9, len(one), of=2), index(9, 8), full(b"sidx", numbers(1))):
        assert seconds(mp4(track(), extends(usual=2), after=wrong + one + one)) == 4


def test_without_an_index_it_is_from_the_first_to_the_end_of_the_last_fragment() -> None:
    at = [full(b"tfdt", numbers(start * RATE)) for start in (5, 90)]
    wide = full(b"tfdt", numbers(0, 95 * RATE), version=1)
    other = fragment(run(1), of=2)
    after = b"".join(fragment(start, run(RATE)) for start in (*at, wide)) + other
    assert seconds(mp4(track(), extends(usual=3), after=after)) == 93


def test_without_times_of_fragments_all_their_samples_count() -> None:
    """Defaults of the movie and of the fragment, and durations of samples (ISO 14496-12, 8.8)."""
    by_movie = fragment(run(RATE))
    by_fragment = fragment(
        run(RATE), flags=1 | 2 | 8, usual=bytes(8) + numbers(1) + numbers(7), of=1
    )
    each = numbers(1, 2) + numbers(RATE, 50) + numbers(RATE, 60)
    by_sample = fragment(full(b"trun", numbers(2), each, flags=1 | 4 | 0x100 | 0x200))
    after = by_movie + by_fragment + by_sample
    assert seconds(mp4(track(), extends(usual=5), after=after)) == 5 + 7 + 2


def test_a_run_that_announces_more_samples_than_it_has_is_read_to_its_end() -> None:
    lying = full(b"trun", numbers(0xFFFF_FFFF, RATE, RATE), flags=0x100)
    assert seconds(mp4(track(), extends(), after=fragment(lying))) == 2


def test_a_movie_without_fragments_is_as_long_as_its_header_says() -> None:
    assert seconds(mp4(movie_header(4000), track(), extends())) == 4
