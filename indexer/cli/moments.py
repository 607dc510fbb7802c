"""A moment as a person types it -> a time: `2h`, `yesterday`, `2026-11-01`."""

from __future__ import annotations

import re
from datetime import datetime, timedelta
from typing import Final

import click

_SPANS: Final = {
    "s": timedelta(seconds=1),
    "min": timedelta(minutes=1),
    "m": timedelta(minutes=1),
    "h": timedelta(hours=1),
    "d": timedelta(days=1),
    "w": timedelta(weeks=1),
}
_AGO: Final = r"([0-9]{1,6}) ?(s|min|m|h|d|w)"
_MONTH: Final = r"[0-9]{4}-[0-9]{2}"
EXAMPLES: Final = "2h, 7d, 2w, today, yesterday, 2026-11-01 or '2026-11-01 18:30'"


def moment(text: str, now: datetime) -> datetime:
    """The time that a text means, as seen at `now` (a local time with its zone).

    A span is one before `now`, a day begins at midnight of the local time, and a time without a
    zone is local. Raises ValueError for anything else.
    """
    word = text.strip().lower()
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    if word in ("now", "today"):
        return now if word == "now" else midnight
    if word == "yesterday":
        return _local(midnight.replace(tzinfo=None) - timedelta(days=1))
    if ago := re.fullmatch(_AGO, word):
        return now - int(ago[1]) * _SPANS[ago[2]]
    if re.fullmatch(_MONTH, word):
        word += "-01"
    if word.isdigit():  # Python reads 20261101 as a date; here a number is none
        raise ValueError(text)
    return _local(datetime.fromisoformat(word.upper()))


def _local(time: datetime) -> datetime:
    """With the zone that this machine has at that time."""
    return time.astimezone()


def moment_argument(word: str) -> datetime:
    """A moment on the command line."""
    try:
        return moment(word, datetime.now().astimezone())
    except (ValueError, OverflowError):
        raise click.BadParameter(f"{word!r} is no time; try {EXAMPLES}") from None


def since_argument(word: str) -> int | datetime:
    """A moment, or the number of a change."""
    if word.isascii() and word.isdigit() and len(word) < 19:
        return int(word)
    try:
        return moment(word, datetime.now().astimezone())
    except (ValueError, OverflowError):
        raise click.BadParameter(
            f"{word!r} is neither the number of a change nor a time; try {EXAMPLES}"
        ) from None
