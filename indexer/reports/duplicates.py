"""The tracks of an index -> groups of those that are the same sound, or the same recording.

A recording is one by its MusicBrainz id, else by artist, title and duration. Nothing is deleted:
each group says which file is the best, and what the others take.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Any, Final

from msgspec import Struct

from indexer.store.connection import Connection, select, select_value
from indexer.store.search.folding import fold
from indexer.store.view_rows import library_rows

BY: Final = ("essence", "recording")
"""What makes two tracks the same."""
WITHIN_S: Final = 2.0
"""Seconds by which recordings of one name may differ in length: other silence at their ends."""
LOSSLESS: Final = frozenset(
    ["alac", "ape", "dsd", "flac", "optimfrog", "pcm", "tak", "tta", "wavpack", "wmalossless"]
)
"""Codecs that keep each sample."""
FIELDS: Final = (
    "id", "root", "path", "path_b64", "title", "artist", "album", "album_id", "codec", "bitrate",
    "sample_rate", "bit_depth", "channels", "duration", "size", "essence", "mb_trackid",
)  # fmt: skip
"""What is told of each file: columns of `library`."""
_BY_ESSENCE: Final = """
SELECT essence, id FROM tracks
WHERE place = 0 AND length(essence) > 0 AND essence IN (
    SELECT essence FROM tracks WHERE place = 0 AND length(essence) > 0
    GROUP BY essence HAVING count(*) > 1)
ORDER BY essence, id
"""
_FACTS: Final = """
SELECT id, mb_trackid, CASE WHEN guessed & 4 THEN NULL ELSE artist END,
    CASE WHEN guessed & 1 THEN NULL ELSE title END, duration
FROM tracks WHERE place = 0 ORDER BY id
"""
"""Without an artist or a title that is only guessed from the path."""
_FILE: Final = "SELECT size, disk_id, inode, mtime_ns, ctime_ns FROM tracks WHERE id = ?"
File = tuple[int, int, int, int, int]
"""Size in bytes, disk, inode and times: equal for the names of one file (hard links), and for
others only where a file system gives them one inode."""
_UNHEARD: Final = "SELECT count(*) FROM tracks WHERE place = 0 AND essence IS NULL"


class Duplicates(Struct, frozen=True, kw_only=True):
    """Tracks that are the same; the best comes first."""

    by: str
    files: tuple[dict[str, Any], ...]
    size: int
    """Bytes of all of them."""
    freed: int
    """Bytes that deleting all but the best gives back: hard links are one file."""
    albums: tuple[str, ...]
    """Titles of the albums on which they stand."""


def duplicates(connection: Connection, by: str) -> Iterator[Duplicates]:
    """The groups, those first of which most could be freed."""
    if by == "essence":
        groups = list(by_essence(connection))
    else:
        groups = list(recordings(facts(connection)))
    known = files(connection, [one for group in groups for one in group])
    groups.sort(key=lambda group: (-_freed([known[one] for one in group]), min(group)))
    for group in groups:
        rows = sorted(library_rows(connection, group), key=_rank)
        if len(rows) < 2:  # changed meanwhile
            continue
        named = [known[row["id"]] for row in rows]  # type: ignore[index]  # ids
        yield Duplicates(
            by=by,
            files=tuple({name: row[name] for name in FIELDS if name in row} for row in rows),
            size=sum(size for size, *_ in named),
            freed=sum(size for size, *_ in set(named) - {named[0]}),
            albums=tuple(dict.fromkeys(str(row["album"]) for row in rows if row["album"])),
        )


def recordings(facts: Iterable[Fact]) -> Iterator[tuple[int, ...]]:
    """The ids of tracks of one recording, of each that has several.

    Tracks without a MusicBrainz id join those of their name and length with one, unless these have
    several: then nothing tells which of them it is.
    """
    by_id: defaultdict[str, list[Fact]] = defaultdict(list)
    by_name: defaultdict[tuple[str, str], list[Fact]] = defaultdict(list)
    for fact in facts:
        if fact.mb_trackid:
            by_id[fact.mb_trackid].append(fact)
        if fact.artist and fact.title and fact.duration is not None:
            by_name[fold(fact.artist), fold(fact.title)].append(fact)
    for alike in by_name.values():
        for together in _of_one_length(alike):
            nameless = [fact for fact in together if not fact.mb_trackid]
            told = {fact.mb_trackid for fact in together if fact.mb_trackid}
            if len(told) == 1:
                by_id[told.pop()] += nameless
            elif len(nameless) > 1:
                yield tuple(fact.track_id for fact in nameless)
    for of_id in by_id.values():
        ids = tuple(dict.fromkeys(fact.track_id for fact in of_id))
        if len(ids) > 1:
            yield ids


def _of_one_length(alike: Sequence[Fact]) -> Iterator[list[Fact]]:
    """Parts whose lengths differ by no more than `WITHIN_S`."""
    if len(alike) < 2:
        return
    together: list[Fact] = []
    for fact in sorted(alike, key=_length):
        if together and _length(fact) - _length(together[0]) > WITHIN_S:
            yield together
            together = []
        together.append(fact)
    yield together


def _length(fact: Fact) -> float:
    return fact.duration or 0.0


def _rank(row: dict[str, Any]) -> tuple[Any, ...]:
    """Sorts the best first: lossless, then depth, rate and bit rate, then what came first."""
    return (
        row["codec"] not in LOSSLESS,
        -(row["bit_depth"] or 0) if row["codec"] in LOSSLESS else 0,
        -(row["sample_rate"] or 0) if row["codec"] in LOSSLESS else 0,
        -(row["bitrate"] or 0),
        row["added_at"],
        row["id"],
    )


def _freed(several: Sequence[File]) -> int:
    """Bytes that at least one copy less would free; a guess, for the order only."""
    sizes = [size for size, *_ in set(several)]
    return sum(sizes) - max(sizes)


class Fact(Struct, frozen=True, gc=False):
    """What tells of which recording a track is."""

    track_id: int
    mb_trackid: str | None
    artist: str | None
    title: str | None
    duration: float | None


def by_essence(connection: Connection) -> Iterator[tuple[int, ...]]:
    """The ids of tracks in the view that have one essence, of each that several have."""
    for _, rows in groupby(select(connection, _BY_ESSENCE), key=itemgetter(0)):
        yield tuple(track_id for _, track_id in rows)


def unheard(connection: Connection) -> int:
    """How many tracks in the view were not read since essences are found."""
    return int(select_value(connection, _UNHEARD))


def facts(connection: Connection) -> Iterator[Fact]:
    """What tells of the recordings, of all tracks in the view."""
    for row in select(connection, _FACTS):
        yield Fact(*row)


def files(connection: Connection, track_ids: Sequence[int]) -> dict[int, File]:
    """The files of tracks."""
    return {one: file for one in track_ids for file in select(connection, _FILE, (one,))}
