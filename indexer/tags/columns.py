"""Tag texts by column, and what is known of the stream -> a `Track`.

The readers only say which tag is which column; every rule about values stands here, once.
"""

from __future__ import annotations

import math
import re
from typing import TYPE_CHECKING

from indexer.model import Track
from indexer.tags.misread import misread

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

Values = dict[str, list[str]]
"""Texts as the tag has them, blank ones too, by column of the view `library`."""

COMMENT_LIMIT = 4096
"""Bytes of UTF-8 kept of a comment: some hold whole web pages. A guess."""

WORDS = ["title", "artist", "albumartist", "album", "genre", "composer", "comment", "label"]
"""Columns whose text can be of any language."""

NO_TEXTS = frozenset(
    {"artist", "albumartist", "genre", "track", "track_total", "disc", "disc_total"}
)
"""Columns that are not one text: several apart, or a number."""

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
    text = {
        column: joined(several) for column, several in values.items() if column not in NO_TEXTS
    }.get
    date, comment = text("date"), text("comment")
    number, total = _pair(values.get("track", ()), values.get("track_total", ()))
    disc, disc_total = _pair(values.get("disc", ()), values.get("disc_total", ()))
    return Track(
        codec=codec,
        duration=_seconds(getattr(info, "length", None)),
        bitrate=_amount(getattr(info, "bitrate", None)),
        sample_rate=_amount(getattr(info, "sample_rate", sample_rate)),
        channels=_amount(getattr(info, "channels", None)),
        bit_depth=_amount(getattr(info, "bits_per_sample", None)) if lossless else None,
        title=text("title"),
        artists=texts(values.get("artist", ())),
        albumartists=texts(values.get("albumartist", ())),
        album=text("album"),
        genres=texts(values.get("genre", ())),
        date=date,
        year=None if date is None else year(date),
        track=number,
        track_total=total,
        disc=disc,
        disc_total=disc_total,
        composer=text("composer"),
        comment=None if comment is None else _cut(comment),
        bpm=text("bpm"),
        isrc=text("isrc"),
        label=text("label"),
        compilation=_is_yes(text("compilation")),
        mb_trackid=text("mb_trackid"),
        mb_albumid=text("mb_albumid"),
        mb_artistid=text("mb_artistid"),
        mb_albumartistid=text("mb_albumartistid"),
        mb_releasegroupid=text("mb_releasegroupid"),
        replaygain_track_gain=text("replaygain_track_gain"),
        replaygain_track_peak=text("replaygain_track_peak"),
        replaygain_album_gain=text("replaygain_album_gain"),
        replaygain_album_peak=text("replaygain_album_peak"),
        has_picture=has_picture,
        suspect_encoding=_is_suspect(values),
    )


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


def _is_suspect(values: Mapping[str, Sequence[str]]) -> bool:
    for column in WORDS:
        for value in values.get(column, ()):
            if not value.isascii() and misread(value):
                return True
    return False


def _pair(numbers: Sequence[str], totals: Sequence[str]) -> tuple[int | None, int | None]:
    """Number and total out of `3`, `3/12`, or two tags; a total beside the number wins."""
    if not numbers and not totals:
        return None, None
    first, _, beside = next(iter(texts(numbers)), "").partition("/")
    total = _number(beside)
    if total is None:
        total = _number(next(iter(texts(totals)), ""))
    return _number(first), total


def _number(text: str) -> int | None:
    text = text.strip()
    if not text.isdecimal() or len(text) > len(str(LARGEST_NUMBER)):
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
