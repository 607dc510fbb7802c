"""A sample entry of an MP4 file that our own reader declines -> its stream info, by mutagen."""

from __future__ import annotations

from io import BytesIO

from mutagen.mp4._as_entry import ASEntryError, AudioSampleEntry
from mutagen.mp4._atom import Atom, AtomError

from indexer.tags.fast.mp4_sample_entry import Entry


def entry_of(entries: bytes) -> Entry | None:
    """The first of these entries, which begin with their header; None if mutagen refuses it."""
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
