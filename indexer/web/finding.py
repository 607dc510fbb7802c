"""Words that were typed -> what a search shows: artists and albums first, then tracks."""

from __future__ import annotations

from collections import Counter
from typing import Any, Final

from msgspec import Struct

from indexer.lookup import Lookup
from indexer.results import report
from indexer.store import browse

TRACKS: Final = 50
GROUPS: Final = 12
"""Artists, and albums."""
_EXACT: Final = 1000
"""With more tracks than this, artists and albums are those of the best ones only: grouping all
tracks that have a common word takes 100 ms."""
_BEST: Final = 200


class Found(Struct, frozen=True):
    """What a search has found."""

    artists: list[dict[str, Any]] = []
    albums: list[dict[str, Any]] = []
    tracks: list[dict[str, Any]] = []
    total: int = 0
    """Tracks without a limit; 10 001 stands for more."""
    instead: dict[str, str] = {}
    """Words that no track has, and the ones that were looked for instead."""
    nearest: tuple[str, ...] = ()
    absent_tags: tuple[str, ...] = ()

    @property
    def is_empty(self) -> bool:
        return not (self.tracks or self.albums or self.artists)


def find(lookup: Lookup, text: str, limit: int = TRACKS) -> Found:
    """Search as `indexer search` does. Raises UsageError for an unknown field."""
    notes: list[report.SearchNote] = []
    tracks = list(lookup.search([text], limit=limit, note=notes.append))
    total = max([len(tracks), *(note.total or 0 for note in notes)])
    if total > _EXACT:
        best = tracks if limit >= _BEST else list(lookup.search([text], limit=_BEST))
        album_ids, artist_ids = _of_best(lookup, best[:_BEST])
    else:
        album_ids = [_id(row) for row in lookup.search([text], of="albums", limit=GROUPS)]
        artist_ids = [_id(row) for row in lookup.search([text], of="artists", limit=GROUPS)]
    return Found(
        artists=_artists(lookup, artist_ids),
        albums=browse.albums(lookup.connection, album_ids),
        tracks=tracks,
        total=total,
        instead={typed: one for note in notes for typed, one in note.instead.items()},
        nearest=tuple(word for note in notes for word in note.nearest),
        absent_tags=tuple(tag for note in notes for tag in note.absent_tags),
    )


def _of_best(lookup: Lookup, rows: list[dict[str, Any]]) -> tuple[list[int], list[int]]:
    albums = Counter(row["album_id"] for row in rows)
    artists: Counter[int] = Counter()
    for artist_id, _, _, count in browse.artists_of(lookup.connection, [_id(row) for row in rows]):
        artists[artist_id] += count
    return (
        [album_id for album_id, _ in albums.most_common(GROUPS)],
        [artist_id for artist_id, _ in artists.most_common(GROUPS)],
    )


def _artists(lookup: Lookup, ids: list[int]) -> list[dict[str, Any]]:
    found = []
    for artist_id in ids:
        known = browse.artist(lookup.connection, artist_id)
        if known is not None:
            found.append(
                {
                    "id": artist_id,
                    "artist": known[1],
                    "tracks": browse.count_of_artist(lookup.connection, artist_id),
                    "cover": browse.cover(lookup.connection, "artist", artist_id),
                }
            )
    return found


def _id(row: dict[str, Any]) -> int:
    return int(row["id"])
