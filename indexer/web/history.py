"""An album or an artist -> what happened to its tracks, also to those that left it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from typing import Final

from msgspec import Struct

from indexer import paths
from indexer.lookup import Lookup
from indexer.spelling import plain
from indexer.store import browse, roots
from indexer.store.changes import Choice
from indexer.store.connection import Connection
from indexer.web.site import ShownChange, shown_changes

_CHANGES: Final = 100
_AT_ONCE: Final = timedelta(minutes=1)
"""Changes that are not further apart may be one line. A guess: a folder is renamed, or retagged."""
_GONE: Final = 500
"""Tracks that went missing last, of which those of an album or an artist are shown."""
_JOINS: Final = "; "
"""Between the names of several artists."""


class Together(Struct, frozen=True):
    """Changes of one kind, at one time and of one folder: one line."""

    newest: ShownChange
    tracks: int
    is_whole: bool
    """Whether all are counted: of the last line there may be more."""

    @property
    def folder(self) -> str:
        """Where the files are, from the root on."""
        row = self.newest.row
        return f"{row.root}/{row.path}".rpartition("/")[0]

    @property
    def place(self) -> str:
        """As `ShownChange.place`, of the folders."""
        row = self.newest.row
        if not row.changed_place:
            return self.folder
        before = f"{row.old_root}/{row.old_path}".rpartition("/")[0]
        return self.folder if before == self.folder else f"{before} → {self.folder}"


def together(changes: Sequence[ShownChange]) -> list[Together]:
    """The changes of one list, the newest first, those that belong together as one line."""
    lines: list[list[ShownChange]] = []
    for one in changes:
        if lines and _belong_together(lines[-1][-1], one):
            lines[-1].append(one)
        else:
            lines.append([one])
    return [
        Together(
            newest=line[0],
            tracks=len({one.row.track_id for one in line}),
            is_whole=len(changes) < _CHANGES or line is not lines[-1],
        )
        for line in lines
    ]


def _belong_together(later: ShownChange, earlier: ShownChange) -> bool:
    apart = datetime.fromisoformat(later.row.at) - datetime.fromisoformat(earlier.row.at)
    return _folders(later) == _folders(earlier) and abs(apart) <= _AT_ONCE


def _folders(one: ShownChange) -> tuple[object, ...]:
    row = one.row
    before = (row.old_root, str(row.old_path).rpartition("/")[0]) if row.changed_place else None
    return row.kind, row.root, row.path.rpartition("/")[0], before


def of_tracks(lookup: Lookup, track_ids: Iterable[int]) -> list[ShownChange]:
    """What happened to these tracks last, the newest first."""
    return shown_changes(lookup, lookup.last_changes(_CHANGES, Choice(track_ids=tuple(track_ids))))[
        ::-1
    ]


def of_album(
    lookup: Lookup, track_ids: Iterable[int], root_id: int, album_folder: bytes
) -> list[ShownChange]:
    """The same of an album: of its tracks, and of those that left its folder."""
    connection = lookup.connection
    ids = [*track_ids, *gone_from(connection, root_id, album_folder)]
    root = roots.name_of(connection, root_id)
    return shown_changes(lookup, lookup.last_changes_of_album(_CHANGES, ids, root, album_folder))[
        ::-1
    ]


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
