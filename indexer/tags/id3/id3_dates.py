"""The date frames of an ID3 tag -> the texts of one date.

People and programs write dates in every form (`May 2004`, `06.05.2004`, `2004?`). A text in the
form of the standard is read as by mutagen; any other is kept as it is, where mutagen would drop it,
or make `0006-05-2004` of it.

Sources: ID3v2.3.0, 4.2.1 (TYER, TDAT, TIME, TORY); ID3v2.4.0-structure, 4 (time stamps);
ID3v2.4.0-frames, 4.2.5 (TDRC, TDRL, TDOR).
"""

from __future__ import annotations

import re
from functools import lru_cache
from itertools import zip_longest
from typing import TYPE_CHECKING

from indexer.remembered import forget_by
from indexer.tags import columns

if TYPE_CHECKING:
    from collections.abc import Mapping

V1_YEAR = "TYER:ID3v1"
"""Key of the year of an ID3v1 tag beside a frame of the same name, which may have no year."""

STAMPS = ("TDRC", "TDRL", "TDOR")
"""Time stamps of ID3v2.4: recorded, released, first released."""

NAMES = ("TDRC", "TYER", "TDAT", "TIME", "TDRL", "TDOR", "TORY")
"""All date frames: TYER, TDAT and TIME are year, day and time of one date; TORY is the year of the
first release."""

KEYS = frozenset((*NAMES, V1_YEAR))

KNOWN_STAMP = 32
"""Maximum characters of a date that is cached: `1993-06-07 10:20:30` has 19."""

_YEAR = re.compile(r"([0-9]{4})(-[0-9]{2}-[0-9]{2})?\Z")
_TWO_PAIRS = re.compile(r"([0-9]{2})([0-9]{2})\Z")
_TIME = re.compile(r"[0-9]{4}(?:(?:[-T:/.]|\s+)[0-9]{1,2}){0,5}[-T:/.]?\Z")
"""A time stamp of ID3v2.4, with any separators that mutagen accepts."""
_DIGITS = re.compile(r"[0-9]+")
_TIME_PARTS = ("%04d", "-%02d", "-%02d", " %02d", ":%02d", ":%02d")


def date_of(texts: Mapping[str, list[str]]) -> list[str]:
    """The date by the texts of `KEYS`: the first with a year, else the first; empty without any.

    The date of the recording comes first, then the year of ID3v1, which has no other, then those of
    the releases.
    """
    candidates = (
        [stamp(text) for text in texts.get("TDRC", ())],
        timestamps_of(texts),
        texts.get(V1_YEAR, []),
        [stamp(text) for text in texts.get("TDRL", ())],
        [stamp(text) for text in texts.get("TDOR", ())],
        [text.strip() for text in texts.get("TORY", ())],
    )
    date: list[str] = []
    for candidate in candidates:
        date = columns.better("date", date, candidate)
    return date


def original_of(texts: Mapping[str, list[str]]) -> list[str]:
    """The date of the first release: that of TDOR, else the year of TORY; empty without any."""
    stamps = [stamp(text) for text in texts.get("TDOR", ())]
    return stamps if columns.texts(stamps) else [text.strip() for text in texts.get("TORY", ())]


def timestamps_of(texts: Mapping[str, list[str]]) -> list[str]:
    """Merge TYER (year), TDAT (DDMM) and TIME (HHMM) into ID3v2.4 time stamps, as mutagen does."""
    years, days, times = texts.get("TYER", ()), texts.get("TDAT", ()), texts.get("TIME", ())
    if len(years) == 1 and len(days) < 2 and not times and len(years[0]) <= KNOWN_STAMP:
        stamps = [_known_timestamp(years[0], days[0][:5] if days else "", "")]  # nearly always
    else:
        stamps = [
            (_known_timestamp if len(tyer) <= KNOWN_STAMP else _timestamp)(tyer, tdat[:5], time[:5])
            for tyer, tdat, time in zip_longest(years, days, times, fillvalue="")
        ]
    return [stamp for stamp in stamps if stamp]


def _timestamp(tyer: str, tdat: str, time: str) -> str:
    """One time stamp; the text of TYER itself if it is more or less than a year or a day."""
    text = tyer.strip()
    year = _YEAR.match(text)
    if not year:
        return text
    day = _TWO_PAIRS.match(tdat)
    clock = _TWO_PAIRS.match(time)
    date = f"-{day[2]}-{day[1]}" if day else year[2] or ""
    hour = f" {clock[1]}:{clock[2]}:00" if date and clock else ""
    return year[1] + date + hour


_known_timestamp = lru_cache(maxsize=1024)(_timestamp)
"""The same, kept: an album's files have one date."""
forget_by(_known_timestamp.cache_clear)


def stamp(text: str) -> str:
    """The text of a TDRC frame: in the format of ID3v2.4 as mutagen gives it, else unchanged."""
    return _known_stamp(text) if len(text) <= KNOWN_STAMP else _stamp(text)


def _stamp(text: str) -> str:
    """`YYYY-MM-DD HH:MM:SS`, or less of it; any other text without white space at its ends."""
    text = text.strip()
    if not _TIME.match(text):
        return text
    parts = zip(_DIGITS.findall(text), _TIME_PARTS, strict=False)
    return "".join([form % int(part) for part, form in parts])


@lru_cache(maxsize=1024)
def _known_stamp(text: str) -> str:
    """The same, kept: an album's files have one date."""
    return _stamp(text)


forget_by(_known_stamp.cache_clear)
