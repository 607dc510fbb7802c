"""Files of lyrics in a folder, and its tracks -> which tracks have lyrics beside them.

Nothing is read: a file counts by its name, which is that of the track but for the suffix.
"""

from __future__ import annotations

from collections.abc import Iterable

from indexer.sidecars import stem_of
from indexer.sidecars.folded import folded
from indexer.store import artwork_tracks, lyrics
from indexer.store.connection import Connection


def match_lyrics(connection: Connection, folders: Iterable[tuple[int, bytes]]) -> None:
    """Write which tracks of these folders have lyrics, where files or tracks came or went."""
    if not lyrics.has_any(connection):
        return
    for root_id, folder in folders:
        have, lack = split_tracks(connection, root_id, folder)
        lyrics.write(connection, have, lack)


def split_tracks(
    connection: Connection, root_id: int, folder: bytes
) -> tuple[list[int], list[int]]:
    """The ids of the present tracks directly in a folder: (with a file of lyrics, without)."""
    stems = {folded(stem_of(name)) for name in lyrics.in_folder(connection, root_id, folder)}
    have: list[int] = []
    lack: list[int] = []
    for track in artwork_tracks.below(connection, root_id, folder, recursive=False):
        (have if stems and folded(stem_of(track.path)) in stems else lack).append(track.id)
    return have, lack
