"""A fragmented MP4 file -> how long one of its tracks is.

Such a file (DASH, HLS, a recording that is written as it goes) has its samples in fragments behind
`moov`, whose own durations are 0. The whole may be told in `mehd`, or in the index `sidx`; else it
is from the first to the last fragment that has samples of the track.

Source: ISO 14496-12, 8.8 (`mehd`, `trex`, `moof`, `tfhd`, `trun`, `tfdt`) and 8.16.3 (`sidx`).
"""

from __future__ import annotations

from struct import error, unpack_from
from typing import TYPE_CHECKING, Final, NamedTuple

from indexer.tags.mp4.boxes import boxes, child, content, top_boxes

if TYPE_CHECKING:
    from collections.abc import Iterator

    from indexer.tags.mp4.boxes import Box
    from indexer.tags.window import Window

HEAD_LIMIT: Final = 64
"""Bytes read of a box of which only the first fields are needed."""
INDEX_LIMIT: Final = 256 * 1024
"""Maximum bytes read of one index. A guess: 21 000 subsegments."""
RUN_LIMIT: Final = 256 * 1024
"""Maximum bytes read of one `trun`. A guess: 16 000 samples with four fields each."""
READ_LIMIT: Final = 16 * 1024 * 1024
"""Maximum bytes read of all runs of a file. A guess: ten hours of AAC with three fields each."""
LOOK_BACK: Final = 200
"""Maximum fragments at the end of which one must have samples of the track. A guess."""

DURATION, SIZE, FLAGS, COMPOSITION = 0x100, 0x200, 0x400, 0x800
"""Flags of a `trun`: the fields that each of its samples has, of four bytes each."""


class Run(NamedTuple):
    """The samples of a track in one fragment, in units of the track."""

    start: int | None
    duration: int


def stated_length(window: Window, extends: Box, unit: int) -> float:
    """Seconds that `mehd` in a `mvex` states, whose unit is that of the movie; 0 if none."""
    head = child(window, extends, b"mehd")
    if head is None or not unit:
        return 0.0
    fields = content(window, head, 12)
    duration = fields[4:12] if fields[:1] == b"\1" else fields[4:8]
    return known(duration) / unit


def found_length(window: Window, extends: Box, track: int, unit: int) -> float:
    """Seconds that the index or the fragments give for a track, whose unit this is; 0 if none."""
    indexed, fragments = _look_around(window, track)
    if indexed:
        return indexed
    if not unit:
        return 0.0
    usual = _usual_duration(window, extends, track)
    first = next(_runs(window, fragments[:LOOK_BACK], track, usual), None)
    last = next(_runs(window, fragments[: -LOOK_BACK - 1 : -1], track, usual), None)
    if first is None or last is None:
        return 0.0
    if first.start is not None and last.start is not None and last.start >= first.start:
        return (last.start + last.duration - first.start) / unit
    return sum(run.duration for run in _runs(window, fragments, track, usual)) / unit


def _look_around(window: Window, track: int) -> tuple[float, list[Box]]:
    """Seconds by the index of the track, and the fragments as far as they were looked at.

    An index of the whole file spares the look at its fragments. Others index one fragment each.
    """
    fragments: list[Box] = []
    start = end = 0.0
    reach = 0
    for box in top_boxes(window):
        if box.name == b"moof":
            fragments.append(box)
        elif box.name == b"sidx" and (index := _index(window, box, track)) is not None:
            start = min(start, index[0]) if reach else index[0]
            end = max(end, index[1])
            reach = max(reach, index[2])
            if not fragments and reach >= window.size:
                break
    is_whole = not fragments or fragments[-1].begin < reach
    return end - start if is_whole else 0.0, fragments


def _index(window: Window, box: Box, track: int) -> tuple[float, float, int] | None:
    """Seconds at which a `sidx` begins and ends, and the offset where its last subsegment does."""
    fields = content(window, box, INDEX_LIMIT)
    try:
        version, reference, unit = unpack_from(">B3xII", fields)
        start, offset = unpack_from(">QQ" if version else ">II", fields, 12)
        at = 28 if version else 20
        (count,) = unpack_from(">2xH", fields, at)
        duration = 0
        offset += box.end
        for place in range(at + 4, at + 4 + 12 * count, 12):
            size, lasting = unpack_from(">II", fields, place)
            offset += size & 0x7FFF_FFFF
            duration += lasting
    except error:
        return None
    if reference != track or not unit or not duration:
        return None
    return start / unit, (start + duration) / unit, offset


def _usual_duration(window: Window, extends: Box, track: int) -> int:
    """The duration of a sample of the track where its fragment gives none (`trex`)."""
    for box in boxes(window, extends):
        if box.name == b"trex":
            fields = content(window, box, 16)
            if len(fields) == 16 and int.from_bytes(fields[4:8]) == track:
                return int.from_bytes(fields[12:16])
    return 0


def _runs(window: Window, fragments: list[Box], track: int, usual: int) -> Iterator[Run]:
    """The samples of the track in each of these fragments that has some."""
    left = READ_LIMIT
    for fragment in fragments:
        for box in boxes(window, fragment):
            if box.name == b"traf":
                left -= box.end - box.begin
                if left < 0:
                    return
                run = _run(window, box, track, usual)
                if run is not None:
                    yield run


def _run(window: Window, box: Box, track: int, usual: int) -> Run | None:
    """The samples in a `traf`; None if they belong to another track, or are none."""
    start = None
    duration = 0
    for part in boxes(window, box):
        if part.name == b"tfhd":
            fields = content(window, part, HEAD_LIMIT)
            if int.from_bytes(fields[4:8]) != track:
                return None
            flags = int.from_bytes(fields[1:4])
            at = 8 + (8 if flags & 1 else 0) + (4 if flags & 2 else 0)
            if flags & 8 and len(fields) >= at + 4:
                usual = int.from_bytes(fields[at : at + 4])
        elif part.name == b"tfdt":
            fields = content(window, part, 12)
            start = int.from_bytes(fields[4:] if fields[:1] == b"\1" else fields[4:8])
        elif part.name == b"trun":
            duration += _duration(content(window, part, RUN_LIMIT), usual)
    return Run(start, duration) if duration else None


def _duration(run: bytes, usual: int) -> int:
    """The duration of the samples in a `trun`."""
    flags = int.from_bytes(run[1:4])
    count = int.from_bytes(run[4:8])
    if not flags & DURATION:
        return count * usual
    at = 8 + (4 if flags & 1 else 0) + (4 if flags & 4 else 0)
    width = 4 * sum(bool(flags & one) for one in (DURATION, SIZE, FLAGS, COMPOSITION))
    last = min(at + count * width, len(run) - 3)
    return sum(int.from_bytes(run[place : place + 4]) for place in range(at, last, width))


def known(duration: bytes) -> int:
    """A duration of 32 or 64 bits; 0 for all ones, which mean that it is unknown."""
    return 0 if not duration.strip(b"\xff") else int.from_bytes(duration)
