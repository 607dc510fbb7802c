"""Tag texts by column, and what is known of the stream -> a `Track`.

The readers only say which tag is which column; every rule about values stands here, once.
"""

from __future__ import annotations

import math
import re
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from indexer.model import Track
from indexer.tags.misread import misread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Values = dict[str, list[str]]
"""Texts as the tag has them, blank ones too, by column of the view `library`."""

COMMENT_LIMIT = 4096
"""Bytes of UTF-8 kept of a comment: some hold whole web pages. A guess."""

WORDS = ("title", "artist", "albumartist", "album", "genre", "composer", "comment", "label")
"""Columns whose text can be of any language."""

LISTS = {"artist": "artists", "albumartist": "albumartists", "genre": "genres"}
"""Columns of several texts apart, and their fields in a track."""

PAIRS = (("track", "track_total"), ("disc", "disc_total"))
NUMBERS = frozenset({"track", "track_total", "disc", "disc_total"})

SHORT = 16
"""Characters of a text that is worth keeping, since it comes again."""
LARGEST_NUMBER = 2**31 - 1
FIRST_YEAR, LAST_YEAR = 1000, 2999

_LEADING_YEAR = re.compile(r"\s*([0-9]{4})")
_YEAR = re.compile(r"(?<![0-9])[0-9]{4}(?![0-9])")


def track(  # noqa: C901, PLR0912 - once a file, and a call a column costs
    codec: str,
    info: object,
    values: Mapping[str, Sequence[str]],
    *,
    has_picture: bool = False,
    lossless: bool = False,
    sample_rate: int | None = None,
) -> Track:
    """A track from its values and mutagen's stream info, of which any part may be missing.

    `sample_rate` is for a format whose info does not say it. The depth of a lossy stream is
    its decoder's business and is left out.
    """
    fields: dict[str, Any] = {"codec": codec, "has_picture": has_picture}
    if info is not None:
        fields["duration"] = _seconds(getattr(info, "length", None))
        fields["bitrate"] = _amount(getattr(info, "bitrate", None))
        fields["channels"] = _amount(getattr(info, "channels", None))
        if lossless:
            fields["bit_depth"] = _amount(getattr(info, "bits_per_sample", None))
    fields["sample_rate"] = _amount(getattr(info, "sample_rate", sample_rate))
    for column, several in values.items():
        if column in NUMBERS:
            continue
        if len(several) == 1:  # nearly always
            text = several[0]
            if text.isascii() and text[-1:] > " ":  # so it is not blank, and clean
                if column in LISTS:
                    fields[LISTS[column]] = (text,)
                else:
                    fields[column] = text
                continue
        if column in LISTS:
            fields[LISTS[column]] = texts(several)
        else:
            fields[column] = joined(several)
        if column in WORDS and _is_suspect(several):
            fields["suspect_encoding"] = True
    for number, its_total in PAIRS:
        numbers, totals = values.get(number, ()), values.get(its_total, ())
        if len(numbers) == 1 and not totals and len(numbers[0]) <= SHORT:
            fields[number], fields[its_total] = _known_pair(numbers[0])
        elif numbers or totals:
            fields[number], fields[its_total] = _pair(numbers, totals)
    if (date := fields.get("date")) is not None:
        fields["year"] = _known_year(date) if len(date) <= SHORT else year(date)
    if (comment := fields.get("comment")) is not None and 4 * len(comment) > COMMENT_LIMIT:
        fields["comment"] = _cut(comment)
    if "compilation" in fields:
        fields["compilation"] = _is_yes(fields["compilation"])
    return Track(**fields)


def filled(values: Values, *others: Values) -> Values:
    """Each column's values from the first that has any which are not blank."""
    whole = dict(values)
    for more in others:
        for column, several in more.items():
            if column not in whole or not texts(whole[column]):
                whole[column] = several
    return whole


def texts(values: Iterable[str]) -> tuple[str, ...]:
    """The values that are not blank, as they are but for trailing NULs and lone surrogates."""
    return tuple([_clean(value) for value in values if not blank(value)])


def blank(text: str) -> bool:
    """Whether a text holds nothing but white space and NULs."""
    return not text.strip() or ("\0" in text and not text.replace("\0", "").strip())


def joined(values: Sequence[str]) -> str | None:
    """The values that are not blank as one text, or None."""
    if len(values) == 1:  # nearly always
        return None if blank(values[0]) else _clean(values[0])
    return "; ".join(texts(values)) or None


def year(date: str) -> int | None:
    """The year a date begins with, else the first four digits in it that can be one."""
    leading = _LEADING_YEAR.match(date)
    if leading and FIRST_YEAR <= (number := int(leading[1])) <= LAST_YEAR:
        return number
    candidates = ([leading[1]] if leading else []) + _YEAR.findall(date)
    return next((int(y) for y in candidates if FIRST_YEAR <= int(y) <= LAST_YEAR), None)


_known_year = lru_cache(maxsize=1024)(year)
"""The same, kept: an album's files have one date."""


def _clean(text: str) -> str:
    """The text without trailing NULs, and with U+FFFD for lone surrogates.

    Neither SQLite nor msgspec takes a lone surrogate.
    """
    if text.endswith("\0"):
        text = text.rstrip("\0")
    if text.isascii():
        return text
    try:
        text.encode()
    except UnicodeEncodeError:
        return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text


def _is_suspect(several: Sequence[str]) -> bool:
    return any(not value.isascii() and misread(value) for value in several)


def _pair(numbers: Sequence[str], totals: Sequence[str]) -> tuple[int | None, int | None]:
    """Number and total out of `3`, `3/12`, or two tags; a total beside the number wins."""
    first, _, beside = _first(numbers).partition("/")
    total = _number(beside)
    if total is None and totals:
        total = _number(_first(totals))
    return _number(first), total


@lru_cache(maxsize=1024)
def _known_pair(number: str) -> tuple[int | None, int | None]:
    """The same out of one text, kept: every album has a `3/12`."""
    return _pair((number,), ())


def _first(values: Sequence[str]) -> str:
    """The first value that is not blank, or an empty one."""
    for value in values:
        if not blank(value):
            return _clean(value)
    return ""


def _number(text: str) -> int | None:
    text = text.strip()
    if not text or not text.isdecimal() or len(text) > len(str(LARGEST_NUMBER)):
        return None
    number = int(text)
    return number if number <= LARGEST_NUMBER else None


def _is_yes(text: str | None) -> bool:
    return text is not None and text.strip().lower() in {"1", "true", "yes"}


def _seconds(length: float | None) -> float | None:
    if length is None or not math.isfinite(length) or length <= 0:
        return None
    return float(length)


def _amount(value: float | None) -> int | None:
    """A count that is there and positive; mutagen says 0 for what it does not know."""
    if value is None or not 0 < value <= LARGEST_NUMBER:
        return None
    return int(value)


def _cut(comment: str) -> str:
    encoded = comment.encode()
    if len(encoded) <= COMMENT_LIMIT:
        return comment
    return encoded[:COMMENT_LIMIT].decode(errors="ignore")
