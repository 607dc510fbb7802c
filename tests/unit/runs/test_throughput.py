"""Throughput of a process in the last minute, in a few buckets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from indexer.results.status_report import Rates
from indexer.runs.throughput import BUCKET_S, WINDOW_S, Bucket, Throughput, Totals, rates_of

NOW = 1_000_000.0


def add(pace: Throughput, now_s: float, files: int, failed: int = 0) -> None:
    pace.add(now_s, discovery=2 * files, extraction=files, insertion=files, failed=failed)


def test_a_rate_is_of_the_time_in_which_there_was_work() -> None:
    pace = Throughput()
    add(pace, NOW, 600, failed=6)
    seen = rates_of(pace.buckets, NOW)
    assert seen.rates == Rates(discovery=240.0, extraction=120.0, insertion=120.0)
    assert seen.error_rate == 0.01
    assert rates_of(pace.buckets, NOW + 30) == seen, "waiting is no work"
    add(pace, NOW + 30, 300)
    assert rates_of(pace.buckets, NOW + 30).rates.extraction == 90


def test_artwork_is_counted_apart() -> None:
    pace = Throughput()
    pace.add_artwork(NOW, 20)
    add(pace, NOW, 5)
    pace.add_artwork(NOW, 5)
    seen = rates_of(pace.buckets, NOW).rates
    assert (seen.artwork, seen.extraction) == (5.0, 1.0)


def test_artwork_after_the_files_and_empty_spans_do_not_lower_their_rate() -> None:
    pace = Throughput()
    add(pace, NOW, 600)
    pace.add_artwork(NOW + BUCKET_S, 20)
    pace.add_artwork(NOW + 2 * BUCKET_S, 10)
    now_s = NOW + 3 * BUCKET_S
    empty = [Bucket(int(now_s // BUCKET_S) - back) for back in (0, 5, 6)]
    seen = rates_of([*pace.buckets, *empty], now_s).rates
    assert (seen.extraction, seen.discovery) == (120.0, 240.0)
    assert seen.artwork == 3.0


def test_what_is_older_than_a_minute_no_longer_counts() -> None:
    pace = Throughput()
    add(pace, NOW, 600)
    last = NOW + WINDOW_S - BUCKET_S
    assert rates_of(pace.buckets, last).rates.extraction == 120
    assert rates_of(pace.buckets, NOW + WINDOW_S).rates.extraction == 0


def test_nothing_done_adds_no_bucket_so_that_nothing_is_written_at_rest() -> None:
    pace = Throughput()
    add(pace, NOW, 0)
    assert pace.buckets == ()


def test_no_file_read_is_no_error_rate() -> None:
    assert rates_of((), NOW).error_rate == 0.0


@given(st.lists(st.tuples(st.integers(0, 300), st.integers(0, 50))))
def test_never_more_than_a_minute_of_buckets_is_kept_and_nothing_recent_is_lost(
    steps: list[tuple[int, int]],
) -> None:
    pace, now, done = Throughput(), NOW, []
    for pause, files in steps:
        now += pause
        add(pace, now, files)
        done.append((now, files))
    assert len(pace.buckets) <= WINDOW_S // BUCKET_S
    newest = int(now // BUCKET_S)
    oldest = newest - WINDOW_S // BUCKET_S
    expected = sum(files for at, files in done if oldest < int(at // BUCKET_S) <= newest)
    counted = sum(one.extraction for one in pace.buckets if one.number > oldest)
    assert counted == expected


def test_totals_stay_when_their_minute_is_over() -> None:
    pace = Throughput()
    add(pace, NOW, 3)
    pace.add_artwork(NOW, 2)
    pace.add_totals(bytes_read=100, cache_hits=0)
    pace.add_changes({"added": 3})
    add(pace, NOW + 3600, 1)
    pace.add_changes({"added": 1, "moved": 2})
    assert pace.totals == Totals(
        discovery=8, extraction=4, insertion=4, artwork=2, bytes_read=100,
        changes={"added": 4, "moved": 2},
    )  # fmt: skip
