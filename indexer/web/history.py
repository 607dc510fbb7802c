"""An album or an artist -> what happened to its tracks, also to those that left it."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from indexer import paths
from indexer.lookup import Lookup
from indexer.spelling import plain
from indexer.store import browse, roots
from indexer.store.changes import Choice
from indexer.store.connection import Connection
from indexer.web.site import Told, told

_CHANGES: Final = 20
_GONE: Final = 500
"""Tracks that went missing last, of which those of an album or an artist are shown."""
_JOINS: Final = "; "
"""Between the names of several artists."""


def of_tracks(lookup: Lookup, track_ids: Iterable[int]) -> list[Told]:
    """What happened to these tracks last, the newest first."""
    return told(lookup, lookup.last_changes(_CHANGES, Choice(track_ids=tuple(track_ids))))[::-1]


def of_album(
    lookup: Lookup, track_ids: Iterable[int], root_id: int, album_folder: bytes
) -> list[Told]:
    """The same of an album: of its tracks, and of those that left its folder."""
    connection = lookup.connection
    ids = [*track_ids, *gone_from(connection, root_id, album_folder)]
    root = roots.name_of(connection, root_id)
    return told(lookup, lookup.last_changes_of_album(_CHANGES, ids, root, album_folder))[::-1]


def gone_from(connection: Connection, root_id: int, album_folder: bytes) -> list[int]:
    """The ids of tracks that went missing lately from the folder of an album."""
    return [
        track_id
        for track_id, root, path, _, _ in browse.last_gone(connection, _GONE)
        if root == root_id and paths.album_folder(path) == album_folder
    ]


def gone_of(connection: Connection, artist: str) -> list[int]:
    """The ids of tracks of an artist or album artist that went missing lately."""
    found = []
    for track_id, _, _, *names in browse.last_gone(connection, _GONE):
        each = [plain(name) for text in names if text for name in (text, *text.split(_JOINS))]
        if plain(artist) in each:
            found.append(track_id)
    return found
