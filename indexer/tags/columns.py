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

NUMBERS = {"track": "track_total", "disc": "disc_total"}
TOTALS = tuple(NUMBERS.values())
"""Columns of numbers, and those of their totals."""

OWN = frozenset({"title", "mb_trackid"})
"""Columns whose text no other file has."""
SHORT = 128
"""Characters of a text that is worth keeping, since it comes again. A guess."""
LARGEST_NUMBER = 2**31 - 1
FIRST_YEAR, LAST_YEAR = 1000, 2999

_LEADING_YEAR = re.compile(r"\s*([0-9]{4})")
_YEAR = re.compile(r"(?<![0-9])[0-9]{4}(?![0-9])")


def track(
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
        text = several[0] if len(several) == 1 else None  # nearly always
        if text is None or len(text) > SHORT:
            fields.update(_fields(column, several))
        elif column in OWN and text.isascii() and text[-1:] > " ":  # not blank, and clean
            fields[column] = text
        else:
            fields.update(_known_fields(column, text))
    for its_total in TOTALS:
        if its_total in values and fields.get(its_total) is None:  # one beside the number wins
            fields[its_total] = _number(_first(values[its_total]))
    return Track(**fields)


def _fields(column: str, several: Sequence[str]) -> dict[str, Any]:
    """The fields of a track that one column's values fill; a total waits for its number."""
    if column in NUMBERS:
        number, _, its_total = _first(several).partition("/")
        return {column: _number(number), NUMBERS[column]: _number(its_total)}
    if column in TOTALS:
        return {}
    if column in LISTS:
        fields: dict[str, Any] = {LISTS[column]: texts(several)}
    else:
        text = joined(several)
        fields = {column: text}
        if column == "compilation":
            fields[column] = _is_yes(text)
        elif text is None:
            return fields
        elif column == "date":
            fields["year"] = year(text)
        elif column == "comment":
            fields[column] = _cut(text)
    if column in WORDS and _is_suspect(several):
        fields["suspect_encoding"] = True
    return fields


@lru_cache(maxsize=4096)
def _known_fields(column: str, text: str) -> dict[str, Any]:
    """The same of one text, kept: an album's files have most texts in common."""
    return _fields(column, (text,))


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
    if 4 * len(comment) <= COMMENT_LIMIT:
        return comment
    encoded = comment.encode()
    if len(encoded) <= COMMENT_LIMIT:
        return comment
    return encoded[:COMMENT_LIMIT].decode(errors="ignore")
