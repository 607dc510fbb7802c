"""Rows of `changes` -> what a page shows of each: title and artist of tracks that are present."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from indexer import report
from indexer.lookup import Lookup
from indexer.store import view_rows
from indexer.store.schema import LIBRARY_COLUMNS

_TITLE = LIBRARY_COLUMNS.index("title")
_ARTIST = LIBRARY_COLUMNS.index("artist")
_ALBUM = LIBRARY_COLUMNS.index("album_id")


class Told(Struct, frozen=True):
    """One change, in words."""

    row: report.ChangeRow
    title: str | None
    artist: str | None
    album_id: int | None
    """None: the track is not present."""

    @property
    def name(self) -> str:
        """The title, or the name of the file."""
        return self.title or self.row.path.rpartition("/")[2]

    @property
    def place(self) -> str:
        """Where the file is; of a move, where it came from, too."""
        here = f"{self.row.root}/{self.row.path}"
        if self.row.old_path is None:
            return here
        return f"{self.row.old_root}/{self.row.old_path} → {here}"


def told(lookup: Lookup, rows: Sequence[report.ChangeRow]) -> list[Told]:
    """These changes in words, in this order."""
    ids = list(dict.fromkeys(row.track_id for row in rows))
    known = {track[0]: track for track in view_rows.rows(lookup.connection, ids)}
    return [_told(row, known.get(row.track_id)) for row in rows]


def _told(row: report.ChangeRow, track: tuple[object, ...] | None) -> Told:
    if track is None:
        return Told(row, None, None, None)
    title, artist, album_id = track[_TITLE], track[_ARTIST], track[_ALBUM]
    return Told(
        row,
        None if title is None else str(title),
        None if artist is None else str(artist),
        album_id if isinstance(album_id, int) else None,
    )
