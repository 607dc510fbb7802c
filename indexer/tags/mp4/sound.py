"""An MP4 file -> its sound: which track it is, how long, and in which codec.

Sources: ISO 14496-12, 8.2.2 (`mvhd`), 8.4.2 (`mdhd`), 8.4.3 (`hdlr`), 8.6.1.2 (`stts`), 8.5.2
(`stsd`) and 12.2.3 (sample entry).
"""

from __future__ import annotations

from io import BytesIO
from struct import iter_unpack, unpack_from
from typing import TYPE_CHECKING, Final

from indexer.tags.fast.mp4 import Stream
from indexer.tags.fast.mp4_sample_entry import Entry, read_entry, refine
from indexer.tags.mp4 import fragmented
from indexer.tags.mp4.boxes import ALIKE_LIMIT, boxes, child, content

if TYPE_CHECKING:
    from indexer.tags.mp4.boxes import Box
    from indexer.tags.window import Window

ENTRIES_LIMIT: Final = 64 * 1024
"""Maximum bytes read of sample entries. A guess: an entry of AAC has 100."""
TIMES_LIMIT: Final = 1024 * 1024
"""Maximum bytes read of a table of durations. A guess: that of sound has one entry."""
HANDLER_SIZE: Final = 12
ENTRY_HEADER_SIZE: Final = 36
"""Bytes of an audio sample entry before its own boxes."""


def tracks_of(window: Window, movie: Box) -> list[Box]:
    """The first `ALIKE_LIMIT` tracks of a movie, of any kind."""
    return [box for box in boxes(window, movie) if box.name == b"trak"][:ALIKE_LIMIT]


def sound_of(window: Window, tracks: list[Box]) -> Box | None:
    """The first track of sound; None if there is none. Raises ValueError if the file ends in it."""
    for track in tracks:
        if _kind_of(window, track) == b"soun":
            if child(window, track, b"mdia", b"minf", b"stbl", b"stsd") is None:
                raise ValueError("no description of the sound")
            return track
    return None


def is_film(window: Window, tracks: list[Box]) -> bool:
    """Whether there is a track of moving pictures."""
    return any(_kind_of(window, track) == b"vide" for track in tracks)


def _kind_of(window: Window, track: Box) -> bytes:
    """The handler type of a track, such as `soun`; empty if it is not stated."""
    handler = child(window, track, b"mdia", b"hdlr")
    return b"" if handler is None else content(window, handler, HANDLER_SIZE)[8:]


def stream_of(window: Window, movie: Box, sound: Box) -> Stream:
    """The stream in a track of sound.

    Raises Declined if mutagen has to read its sample entry, and may not.
    """
    table = child(window, sound, b"mdia", b"minf", b"stbl")
    entry = _entry(window, child(window, table, b"stsd"))
    return Stream(
        _length(window, movie, sound, table),
        entry.bitrate,
        entry.sample_rate,
        entry.channels,
        entry.bits_per_sample,
        entry.codec,
    )


def _length(window: Window, movie: Box, sound: Box, table: Box | None) -> float:
    """Seconds; 0 if nothing tells them.

    The duration of a medium does not count what is in fragments; 0 and all ones mean unknown.
    """
    unit, duration = _times(window, child(window, sound, b"mdia", b"mdhd"))
    movie_unit, movie_duration = _times(window, child(window, movie, b"mvhd"))
    extends = child(window, movie, b"mvex")
    if extends is not None:
        number = _number(window, child(window, sound, b"tkhd"))
        length = fragmented.stated_length(window, extends, movie_unit)
        length = length or fragmented.found_length(window, extends, number, unit)
        if length:
            return length
    if unit:
        duration = duration or _sum_of_times(window, child(window, table, b"stts"))
        if duration:
            return duration / unit
    return movie_duration / movie_unit if movie_unit else 0.0


def _times(window: Window, header: Box | None) -> tuple[int, int]:
    """Units of a second, and the duration in them, of a `mdhd` or `mvhd`; 0 for unknown."""
    if header is None:
        return 0, 0
    fields = content(window, header, 32)
    at, end = (20, 32) if fields[:1] == b"\1" else (12, 20)
    if len(fields) < end:
        return 0, 0
    return int.from_bytes(fields[at : at + 4]), fragmented.known(fields[at + 4 : end])


def _number(window: Window, header: Box | None) -> int:
    """The id of a track, by its `tkhd`."""
    if header is None:
        return 0
    fields = content(window, header, 24)
    return int.from_bytes(fields[20:24] if fields[:1] == b"\1" else fields[12:16])


def _sum_of_times(window: Window, times: Box | None) -> int:
    """The durations of all samples, in an `stts` of pairs of a count and a duration."""
    if times is None:
        return 0
    fields = content(window, times, TIMES_LIMIT)
    end = 8 + 8 * int.from_bytes(fields[4:8])
    pairs = fields[8:end]
    return sum(count * each for count, each in iter_unpack(">II", pairs[: len(pairs) & ~7]))


def _entry(window: Window, table: Box | None) -> Entry:
    """The first sample entry; an empty one if there is none."""
    fields = b"" if table is None else content(window, table, ENTRIES_LIMIT)
    entries = fields[8:]
    if not any(fields[4:8]) or len(entries) < ENTRY_HEADER_SIZE:
        return Entry(0, 0, 0, 0, "")
    entry = read_entry(entries)
    if entry is not None:
        return entry
    window.leave_to_mutagen()
    entry = _by_mutagen(entries)
    if entry is None:  # it does not say more than its header
        channels, depth, rate = unpack_from(">16x2H4xI", entries, 8)
        entry = Entry(0, rate >> 16, channels, depth, entries[4:8].decode("latin-1"))
    refine(entry, entries)
    return entry


def _by_mutagen(entries: bytes) -> Entry | None:
    """The first of these entries, which begin with their header; None if mutagen refuses it.

    It is imported when the first file needs it.
    """
    from mutagen.mp4._as_entry import ASEntryError, AudioSampleEntry
    from mutagen.mp4._atom import Atom, AtomError

    file = BytesIO(entries)
    try:
        entry = AudioSampleEntry(Atom(file), file)
    except (ASEntryError, AtomError, ValueError, LookupError):
        return None
    return Entry(
        entry.bitrate,
        entry.sample_rate,
        entry.channels,
        entry.sample_size,
        entry.codec,
    )
