"""Numbers, times and texts of tags -> what stands on a page."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from typing import Final

THIN: Final = "\N{NARROW NO-BREAK SPACE}"
_MOST: Final = 300
"""Letters of a name in a list; a tag may have a million."""
_PICTURES: Final = 0x2400
"""U+2400 and the following are pictures of the control characters."""
_CONTROL: Final = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")
"""What XML 1.0 does not allow, and other control characters."""
_FORMATS: Final = {
    "flac": "FLAC", "mp3": "MP3", "aac": "AAC", "alac": "ALAC", "vorbis": "Vorbis",
    "opus": "Opus", "pcm": "PCM", "wma": "WMA", "mixed": "several",
}  # fmt: skip
_LABELS: Final = {
    "root": "Root", "mtime_ns": "Changed", "albumartist": "Album artist",
    "albumartists": "Album artists", "added_at": "Added",
    "indexed_at": "Tags read", "bpm": "BPM", "isrc": "ISRC", "has_picture": "Picture in its tags",
    "has_lyrics": "Lyrics", "has_cover": "Cover", "track_total": "Tracks in all",
    "disc_total": "Discs in all", "bitrate": "Bit rate", "guessed": "Guessed from the path",
    "suspect_encoding": "Doubtful letters", "missing_at": "Gone since", "moved_at": "Moved",
}  # fmt: skip
"""Columns of the view `library` in words; others are their own."""
_UNITS: Final = ("B", "KB", "MB", "GB", "TB", "PB")
_DAY_S: Final = 86_400


def number(value: float | None) -> str:
    """`2 000`, with a narrow no-break space; nothing for None."""
    return "" if value is None else f"{round(value):,}".replace(",", THIN)


def counted(value: int, one: str, several: str = "") -> str:
    """`1 track`, `2 000 tracks`."""
    return f"{number(value)} {one if value == 1 else several or one + 's'}"


def size(value: float | None) -> str:
    """Bytes as `3.4 MB` (powers of 1000)."""
    if value is None:
        return ""
    left, unit = float(value), 0
    while left >= 999.5 and unit < len(_UNITS) - 1:
        left, unit = left / 1000, unit + 1
    digits = f"{left:.1f}" if unit and left < 9.95 else f"{left:.0f}"
    return f"{digits}{THIN}{_UNITS[unit]}"


def clock(seconds: float | None) -> str:
    """`4:05` or `1:02:03`."""
    if seconds is None:
        return ""
    minutes, second = divmod(round(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"


def span(seconds: float) -> str:
    """A length of time in one unit: `3 s`, `12 min`, `5 h`, `4 days`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole}{THIN}s"
    if whole < 3600:
        return f"{whole // 60}{THIN}min"
    if whole < 2 * _DAY_S:
        return f"{whole // 3600}{THIN}h"
    return f"{number(whole // _DAY_S)}{THIN}days"


def ago(seconds: float) -> str:
    """`3 s ago`; `just now` within a second."""
    return "just now" if seconds < 1 else f"{span(seconds)} ago"


def moment(text: str) -> datetime:
    """A time as the view has it."""
    return datetime.fromisoformat(text)


def iso(at_ms: float) -> str:
    """Unix milliseconds as `<time datetime>` takes them."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="seconds")


def clean(text: object) -> str:
    """Any text without control characters, which are shown as U+FFFD or by their pictures."""
    return _CONTROL.sub(_shown, str(text))


def short(text: object, most: int = _MOST) -> str:
    """The same, cut to what a list has room for."""
    plain = str(text)
    cut = clean(plain[:most])
    return cut if len(plain) <= most else cut + "…"


def codec(name: str | None) -> str:
    """A codec as people write it."""
    return _FORMATS.get(name or "", (name or "").upper())


def label(column: str) -> str:
    """The name of a column or a tag in words."""
    if column.startswith("mb_"):
        return "MusicBrainz " + column.removeprefix("mb_").removesuffix("id")
    return clean(_LABELS.get(column, column.replace("_", " ").capitalize()))


def day(at_ns: int) -> str:
    """Unix nanoseconds as `2021-05-01 12:00 UTC`; a time that no calendar has as its number."""
    try:
        return datetime.fromtimestamp(at_ns / 1e9, UTC).strftime("%Y-%m-%d %H:%M UTC")
    except (OverflowError, ValueError, OSError):
        return str(at_ns)


def initials(*names: str | None) -> str:
    """One or two letters that stand for an album without a cover."""
    text = next((name for name in names if name and name.strip()), "")
    words = [word for word in re.split(r"[\W_]+", text) if word]
    if not words:
        return "♪"
    if words[0][0] > "\u2e7f":  # an ideograph says as much as two letters
        return words[0][0]
    return (words[0][0] + (words[1][0] if len(words) > 1 else "")).upper()


def _shown(match: re.Match[str]) -> str:
    code = ord(match[0])
    return chr(_PICTURES + code) if code < 0x20 else "\ufffd"
