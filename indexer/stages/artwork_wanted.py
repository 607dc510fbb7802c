"""The settings -> which work for artwork and playlists is wanted, and whether any of it is due.

Without what does that work: most scans end with nothing due.
"""

from __future__ import annotations

from indexer.settings import Settings
from indexer.store.connection import Connection, write_transaction
from indexer.store.sidecars import artwork, playlists
from indexer.store.sidecars.artwork import OwnerKind


def kinds_wanted(settings: Settings) -> tuple[OwnerKind, ...]:
    """The kinds of owners that the settings want to be worked for.

    Always that of playlists: where they are not wanted none is due, and lyrics need no owner.
    """
    return tuple(OwnerKind) if settings.artwork else (OwnerKind.PLAYLIST,)


def has_due(connection: Connection, settings: Settings) -> bool:
    """Whether anything is due that the settings want."""
    return artwork.has_due(connection, None if settings.artwork else OwnerKind.PLAYLIST)


def count_due(connection: Connection, settings: Settings) -> int:
    """How many owners and folders are due that the settings want."""
    albums, artists, folders = artwork.count_due(connection)
    number = folders + playlists.count_due(connection)
    return number + albums + artists if settings.artwork else number


def forget_unwanted(connection: Connection, settings: Settings) -> None:
    """Drop all that is known of pictures, or of playlists, where the settings want none."""
    no_artwork = not settings.artwork and artwork.has_any(connection)
    no_playlists = not settings.playlists and playlists.has_any(connection)
    if no_artwork or no_playlists:
        with write_transaction(connection):
            if no_artwork:
                artwork.forget_all(connection)
            if no_playlists:
                playlists.forget_all(connection)
