# ruff: noqa: RUF001 - digits that look like others are what this is about
"""`field:value` -> a condition, asked of rows of numbers and times."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime, timedelta, timezone

import pytest

from indexer.errors import UsageError
from indexer.store.schema.views import WHOLE_BITRATE, WHOLE_SECONDS
from indexer.store.search.fields import NAMES, Fact, decade_of, fact_of, years_of
from indexer.store.search.lengths import Span
from indexer.store.search.query import parse

NOW = datetime(2026, 11, 29, 12, tzinfo=timezone(timedelta(hours=1)))
NO_END = 2**62


@pytest.mark.usefixtures("berlin")
@pytest.mark.parametrize(
    ("typed", "first", "end"),
    [
        ("added:2026-07-01", "2026-06-30T22:00Z", "2026-07-01T22:00Z"),
        ("added:2026-01-01", "2025-12-31T23:00Z", "2026-01-01T23:00Z"),
        ("added:2026-10-25", "2026-10-24T22:00Z", "2026-10-25T23:00Z"),
    ],
)
def test_a_day_is_that_of_this_machines_clock_then_not_now(
    typed: str, first: str, end: str
) -> None:
    ((asked,),) = parse(typed).groups
    assert isinstance(asked, Fact)
    moments = [datetime.fromisoformat(text).timestamp() * 1000 for text in (first, end)]
    assert list(asked.values[:2]) == moments


def fact(name: str, value: str) -> Fact:
    return fact_of(name, value, NOW, negated=False)


@pytest.mark.parametrize(
    ("typed", "first", "last"),
    [
        ("1990-1999", 1990, 1999),
        ("1990..1999", 1990, 1999),
        ("1999-1990", 1990, 1999),
        ("1990–1999", 1990, 1999),
        ("80s", 1980, 1989),
        ("1980s", 1980, 1989),
        ("30s", 1930, 1939),
        ("10s", 2010, 2019),
        ("00s", 2000, 2009),
        ("80s..90s", 1980, 1999),
        ("1980s-2000s", 1980, 2009),
        ("90s..80s", 1980, 1999),
        ("1985..90s", 1985, 1999),
        ("80s..", 1980, NO_END),
        ("..80s", -1, 1989),
        ("=80s", 1980, 1989),
        ("-1979", -1, 1979),
        ("..1979", -1, 1979),
        ("2020-", 2020, NO_END),
        ("2020..", 2020, NO_END),
    ],
)
def test_years_are_a_range_or_a_decade(typed: str, first: int, last: int) -> None:
    assert fact("year", typed) == Fact("tracks.year BETWEEN ? AND ?", (first, last))


@pytest.mark.parametrize(
    ("name", "value", "sql", "number"),
    [
        ("year", "1997", "tracks.year = ?", 1997),
        ("year", "１９９７", "tracks.year = ?", 1997),
        ("year", ">=1995", "tracks.year >= ?", 1995),
        ("year", ">=80s", "tracks.year >= ?", 1980),
        ("year", ">80s", "tracks.year > ?", 1989),
        ("year", "<80s", "tracks.year < ?", 1980),
        ("year", "<=1980s", "tracks.year <= ?", 1989),
        ("duration", ">10m", "tracks.duration > ?", 600),
        ("duration", "<3:30", "tracks.duration < ?", 210),
        ("duration", "<=1:02:03", "tracks.duration <= ?", 3723),
        ("duration", "90", f"{WHOLE_SECONDS} = ?", 90),
        ("duration", ">1m30s", "tracks.duration > ?", 90),
        ("duration", "<1h2m3s", "tracks.duration < ?", 3723),
        ("sample_rate", "44.1kHz", "tracks.sample_rate = ?", 44_100),
        ("bitrate", ">=128kbps", "tracks.bitrate >= ?", 128_000),
        ("bitrate", "<192k", "tracks.bitrate < ?", 192_000),
        ("sample_rate", ">44.1k", "tracks.sample_rate > ?", 44_100),
        ("size", ">1.5GB", "tracks.size > ?", 1_500_000_000),
        ("disc", "2", "tracks.disc = ?", 2),
    ],
)
def test_a_number_may_be_compared_and_have_a_unit(
    name: str, value: str, sql: str, number: float
) -> None:
    told = fact(name, value)
    assert told == Fact(sql, (number,), span=told.span)


@pytest.mark.parametrize(
    ("name", "value", "sql", "numbers"),
    [
        ("duration", ">2.5", ">= ?", (2,)),
        ("duration", ">=2.5", ">= ?", (2,)),
        ("duration", "<2.5", "<= ?", (2,)),
        ("duration", "<=3:30", "<= ?", (210,)),
        ("duration", "=2.5", "= ?", (2,)),
        ("duration", "2.5", "= ?", (2,)),
        ("duration", "90.5..2.5", "BETWEEN ? AND ?", (2, 90)),
        ("duration", "10m-", "BETWEEN ? AND ?", (600, NO_END)),
    ],
)
def test_durations_are_found_by_whole_seconds_of_which_none_is_left_out(
    name: str, value: str, sql: str, numbers: tuple[int, ...]
) -> None:
    assert fact(name, value).span == Span(f"{WHOLE_SECONDS} {sql}", numbers)


def test_only_durations_and_bitrates_are_in_an_index_of_both() -> None:
    assert fact("bitrate", "128k-192k").span == Span(
        f"{WHOLE_BITRATE} BETWEEN ? AND ?", (128_000, 192_000)
    )
    for name, value in (("year", "1997"), ("size", ">1k"), ("has", "duration"), ("codec", "mp3")):
        assert fact(name, value).span is None


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (">100", [120, 120.5, "120,5", "128 BPM"]),
        ("<100", [0, "90 BPM"]),
        ("120-121", [120, 120.5, "120,5"]),
        ("120", [120]),
    ],
)
def test_a_text_that_is_no_number_of_beats_is_in_no_range(
    typed: str, found: list[int | float | str]
) -> None:
    values = [0, 120, 120.5, "120,5", "128 BPM", "90 BPM", "fast", "NaN", "inf", "~120", None]
    condition = fact("bpm", typed)
    connection = sqlite3.connect(":memory:")
    connection.execute("CREATE TABLE tracks (id INTEGER PRIMARY KEY, bpm)")
    connection.executemany("INSERT INTO tracks (bpm) VALUES (?)", [(value,) for value in values])
    sql = f"SELECT bpm FROM tracks WHERE {condition.sql} ORDER BY id"
    assert [value for (value,) in connection.execute(sql, condition.values)] == found
    connection.close()


def ms(text: str) -> int:
    return int(datetime.fromisoformat(text).timestamp() * 1000)


@pytest.mark.parametrize(
    ("typed", "first", "end"),
    [
        ("7d", ms("2026-11-22T12:00+01:00"), NO_END),
        ("2h", ms("2026-11-29T10:00+01:00"), NO_END),
        ("today", ms("2026-11-29T00:00+01:00"), ms("2026-11-30T00:00+01:00")),
        ("yesterday", ms("2026-11-28T00:00+01:00"), ms("2026-11-29T00:00+01:00")),
        ("2026", ms("2026-01-01T00:00+01:00"), ms("2027-01-01T00:00+01:00")),
        ("2026-12", ms("2026-12-01T00:00+01:00"), ms("2027-01-01T00:00+01:00")),
        ("2026-11..", ms("2026-11-01T00:00+01:00"), NO_END),
        ("..2026-11-03", -NO_END, ms("2026-11-04T00:00+01:00")),
        ("2026-11-01..2026-11-20", ms("2026-11-01T00:00+01:00"), ms("2026-11-21T00:00+01:00")),
        ("2026-11-20..2026-11-01", ms("2026-11-01T00:00+01:00"), ms("2026-11-21T00:00+01:00")),
        (">2026-11-20", ms("2026-11-21T00:00+01:00"), NO_END),
        (">=2026-11-20", ms("2026-11-20T00:00+01:00"), NO_END),
        ("<2026-11", -NO_END, ms("2026-11-01T00:00+01:00")),
        ("<=2026-11", -NO_END, ms("2026-12-01T00:00+01:00")),
        ("=today", ms("2026-11-29T00:00+01:00"), ms("2026-11-30T00:00+01:00")),
    ],
)
def test_times_are_local_dates_or_an_age(typed: str, first: int, end: int) -> None:
    assert fact("indexed", typed).values == (first, end)
    assert fact("added", typed).values[:2] == (first, end)


@pytest.mark.parametrize(
    ("typed", "first", "last"),
    [
        ("80s", 1980, 1989),
        ("80s..90s", 1980, 1999),
        ("1985-90s", 1985, 1999),
        ("..80s", -1, 1989),
        (">=80s", 1980, 9999),
        (">80s", 1990, 9999),
        ("<80s", 0, 1979),
        ("<=1985", 0, 1985),
        ("=80s", 1980, 1989),
    ],
)
def test_the_years_of_a_further_tag_are_asked_for_as_others(
    typed: str, first: int, last: int
) -> None:
    assert fact("originaldate", typed).values == ("originaldate", first, last)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("foo", "bar", 'there is no field foo; fields are title, .* quote them: "foo:bar"'),
        ("year", "abc", "year:abc: not understood; write year:1997, "),
        ("year", "19971998", "not understood"),
        ("year", "-", "not understood"),
        ("year", "1990-1995-1999", "not understood"),
        ("duration", ">10x", "write duration:>10m"),
        ("bitrate", "high", "write bitrate:<192k"),
        ("added", "soon", "write added:7d"),
        ("added", ">7d", "write added:7d"),
        ("added", ">", "write added:7d"),
        ("year", ">soon", "write year:1997"),
        ("duration", "80s..90x", "write duration:>10m"),
        ("added", "2026-13", "write added:7d"),
        ("added", "2026-00", "write added:7d"),
        ("added", "2026-11-00", "write added:7d"),
        ("added", "..", "write added:7d"),
        ("originaldate", ">soon", "originaldate:>soon: not understood; write originaldate:>=1995"),
        ("duration", "s", "write duration:>10m"),
        ("added", "0000", "write added:7d"),
        ("has", "luck", "asks for one of picture, cover, title, "),
        ("missing", "luck", "asks for one of picture, cover, title, "),
        ("compilation", "maybe", "write compilation:yes"),
    ],
)
def test_what_cannot_be_is_an_error_that_says_what_could(name: str, value: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        fact(name, value)


@pytest.mark.parametrize(
    "value",
    ["9" * 400, "9" * 15 + "y", "1e9", "\x00", "٣d", "-" * 900]
    + [f"{'9' * 15}{unit}" for unit in ("", "m", "g", "h", "khz")],
)
@pytest.mark.parametrize("name", NAMES[9:])
def test_any_value_is_a_condition_that_sqlite_takes_or_an_error(name: str, value: str) -> None:
    try:
        values = fact(name, value).values
    except UsageError:
        return
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.execute(f"VALUES ({', '.join('?' for _ in values) or 1})", values)


def test_years_and_decades_need_no_field() -> None:
    assert years_of("1990..1999") == fact("year", "1990-1999")
    assert decade_of("80s") == fact("year", "80s")
    assert [years_of("1990-1999"), decade_of("80"), decade_of("bees")] == [None, None, None]
