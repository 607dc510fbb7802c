"""Queries for tracks of one sound, and for what tells whether they are one recording."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from operator import itemgetter
from typing import Final

from msgspec import Struct

from indexer.store.connection import Connection, select, select_value

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
_SIZE: Final = "SELECT size FROM tracks WHERE id = ?"

_UNHEARD: Final = "SELECT count(*) FROM tracks WHERE place = 0 AND essence IS NULL"


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


def sizes(connection: Connection, track_ids: Sequence[int]) -> dict[int, int]:
    """Bytes of the files of tracks."""
    return {one: size for one in track_ids for (size,) in select(connection, _SIZE, (one,))}
