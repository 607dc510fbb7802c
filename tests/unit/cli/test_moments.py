from __future__ import annotations

from datetime import UTC, datetime

import click
import pytest

from indexer.cli.arguments import moment, moment_argument, since_argument

pytestmark = pytest.mark.usefixtures("berlin")


def seen(text: str) -> str:
    """As seen on the first afternoon of winter time, in UTC."""
    now = datetime(2026, 10, 25, 14, 30, 5, 7).astimezone()
    return moment(text, now).astimezone(UTC).isoformat()


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("now", "2026-10-25T13:30:05.000007+00:00"),
        ("90s", "2026-10-25T13:28:35.000007+00:00"),
        ("2h", "2026-10-25T11:30:05.000007+00:00"),
        ("7d", "2026-10-18T13:30:05.000007+00:00"),
        ("2w", "2026-10-11T13:30:05.000007+00:00"),
        ("15 min", "2026-10-25T13:15:05.000007+00:00"),
        ("yesterday", "2026-10-23T22:00:00+00:00"),
        ("2026-11-01", "2026-10-31T23:00:00+00:00"),
        ("2026-07", "2026-06-30T22:00:00+00:00"),
        ("2026-07-01 18:30", "2026-07-01T16:30:00+00:00"),
        ("2026-07-01T18:30:00Z", "2026-07-01T18:30:00+00:00"),
        (" Yesterday ", "2026-10-23T22:00:00+00:00"),
    ],
)
def test_a_moment_is_what_the_clock_on_the_wall_says(text: str, meant: str) -> None:
    assert seen(text) == meant


@pytest.mark.parametrize("text", ["", "soon", "2026", "20261101", "2026-13-01", "7 dwarfs", "-2h"])
def test_what_is_no_moment_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(click.BadParameter, match="yesterday, 2026-11-01"):
        moment_argument(text)


def test_a_number_is_that_of_a_change() -> None:
    assert since_argument("1200") == 1200
    assert isinstance(since_argument("2h"), datetime)
    with pytest.raises(click.BadParameter, match="neither the number of a change nor a time"):
        since_argument("-1")


def test_a_span_before_all_calendars_is_refused() -> None:
    with pytest.raises(click.BadParameter, match="is no time"):
        moment_argument("999999w")
