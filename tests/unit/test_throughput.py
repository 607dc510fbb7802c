"""Throughput of a process in the last minute, in a few buckets."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from indexer.runs.throughput import BUCKET_S, WINDOW_S, Step, Throughput, rates_of

NOW = 1_000_000.0


def add(pace: Throughput, now_s: float, files: int, failed: int = 0) -> None:
    pace.add(now_s, discovery=2 * files, extraction=files, insertion=files, failed=failed)


def test_files_of_the_last_minute_are_told_as_files_a_second() -> None:
    pace = Throughput()
    add(pace, NOW, 600, failed=6)
    seen = rates_of(pace.buckets, NOW)
    assert seen.files_per_second == {
        Step.DISCOVERY: 20.0, Step.EXTRACTION: 10.0, Step.INSERTION: 10.0
    }  # fmt: skip
    assert seen.error_rate == 0.01


def test_what_is_older_than_a_minute_no_longer_counts() -> None:
    pace = Throughput()
    add(pace, NOW, 600)
    assert rates_of(pace.buckets, NOW + WINDOW_S - BUCKET_S).files_per_second[Step.EXTRACTION] == 10
    assert rates_of(pace.buckets, NOW + WINDOW_S).files_per_second[Step.EXTRACTION] == 0


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
