"""Folders in which pictures or tracks came or went -> the albums and artists that this concerns.

Those whose own tracks changed are due already (`rows`). Here are the others: those that have a
picture of this folder or of one above it, and those that may have one from now on.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from indexer import paths
from indexer.spelling import letters_of
from indexer.stages.playlists import follow_tracks
from indexer.store.connection import Connection, write_transaction
from indexer.store.sidecars import artwork, artwork_tracks, lyrics, pictures, playlists
from indexer.store.sidecars.artwork import Owner, OwnerKind
from indexer.store.sidecars.lyrics import match_lyrics

_AT_ONCE: Final = 100
"""Folders in one transaction. A guess: 20 ms."""
_MOST_AT_ONCE: Final = 500
"""The same where all albums and artists are due already: to find out takes long. A guess."""

_Place = tuple[int, bytes]
"""Root id and folder."""


def spread_folders(connection: Connection, *, for_artwork: bool) -> bool:
    """Make due the owners that some of the due folders concern; False: no folder was due.

    Lyrics beside their tracks, and items of playlists that lead there, are settled at once. Where
    all albums and artists are due already, as in a new index, no folder concerns another one.
    """
    if not artwork.next_folders(connection, 1):
        return False
    with write_transaction(connection):
        concerns_others = for_artwork and artwork.is_any_not_due(connection)
        if not (concerns_others or lyrics.has_any(connection) or playlists.has_entries(connection)):
            artwork.end_due_folders(connection)
            return True
        folders = artwork.next_folders(connection, _AT_ONCE if concerns_others else _MOST_AT_ONCE)
        if concerns_others:
            artwork.mark_due(connection, sorted(_concerned(connection, folders)))
        match_lyrics(connection, folders)
        follow_tracks(connection, folders)
        for root_id, folder in folders:
            artwork.end_due_folder(connection, root_id, folder)
    return True


def _concerned(connection: Connection, folders: Iterable[_Place]) -> set[Owner]:
    owners: set[Owner] = set()
    seen: set[_Place] = set()
    """Folders above that were asked already."""
    for root_id, folder in folders:
        owners.update(_in_folder(connection, root_id, folder))
        for above in _from_here_up(folder):
            if (root_id, above) in seen:
                break
            seen.add((root_id, above))
            owners.update(artwork.owners_in(connection, root_id, above))
            owners.update(_only_ones_below(connection, root_id, above))
    return owners


def _in_folder(connection: Connection, root_id: int, folder: bytes) -> Iterator[Owner]:
    """The albums with tracks in a folder, and the artists after whom it may be named."""
    albums = artwork_tracks.albums_in(connection, root_id, folder, recursive=False)
    yield from (Owner(OwnerKind.ALBUM, one) for one in set(albums))
    yield from artwork.owners_in(connection, root_id, folder)
    if not folder or not pictures.in_folder(connection, root_id, folder):
        return
    look = letters_of(paths.name_of(folder).decode("utf-8", "replace"))
    for artist_id, name in artwork_tracks.artists_below(connection, root_id, folder):
        if letters_of(name) == look:
            yield Owner(OwnerKind.ARTIST, artist_id)


def _only_ones_below(connection: Connection, root_id: int, folder: bytes) -> Iterator[Owner]:
    """The album or artist to which all tracks below a folder with pictures belong, if there is one.

    Where a folder holds no picture, none of it can be chosen.
    """
    if not pictures.in_folder(connection, root_id, folder):
        return
    for track in artwork_tracks.below(connection, root_id, folder, recursive=True):
        where = connection, root_id, folder
        if not artwork_tracks.has_other_albums(*where, track.album_id):
            yield Owner(OwnerKind.ALBUM, track.album_id)
        for artist_id in artwork_tracks.album_artists_of(connection, track.id):
            if not artwork_tracks.has_other_artists(*where, artist_id):
                yield Owner(OwnerKind.ARTIST, artist_id)
        return  # the first one stands for all


def _from_here_up(folder: bytes) -> Iterator[bytes]:
    """A folder and those above it, without the root."""
    while folder:
        yield folder
        folder = paths.parent_of(folder)
