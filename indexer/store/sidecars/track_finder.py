"""A path as a playlist has it -> the present track at it, also if only its spelling differs."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from indexer import paths
from indexer.sidecars import folded
from indexer.store.changes import shown_path
from indexer.store.schema.views import SHOWN_PATH
from indexer.store.sidecars.artwork_tracks import below
from indexer.store.statements import Connection, select_value
from indexer.store.tracks_below import BYTES_BELOW, TEXTS_BELOW

_AT: Final = f"""
SELECT id FROM tracks WHERE root_id = ? AND {SHOWN_PATH} = ? AND gone = 0 AND place = 0
"""  # noqa: S608 - our own names
_FIRST: Final = tuple(
    f"""
SELECT path FROM tracks WHERE root_id = ?1 AND {span} AND gone = 0 AND place = 0
ORDER BY {SHOWN_PATH} LIMIT 1
"""  # noqa: S608 - our own names
    for span in (TEXTS_BELOW, BYTES_BELOW)
)
_Names = dict[bytes, list[bytes]]


class TrackFinder:
    """Finds tracks for as long as no track is written: what it has listed, it keeps."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._folders: dict[tuple[int, bytes], _Names] = {}
        self._tracks: dict[tuple[int, bytes], dict[bytes, list[int]]] = {}

    def at(self, root_id: int, path: bytes) -> int | None:
        """The present track at exactly this path."""
        found: int | None = select_value(self._connection, _AT, (root_id, shown_path(path)))
        return found

    def alike(self, root_id: int, path: bytes) -> list[int]:
        """The present tracks at paths that differ from this in case and accents at the most."""
        *parts, name = path.split(b"/")
        folders = [b""]
        for part in parts:
            key = folded(part)
            folders = [
                paths.join(folder, child)
                for folder in folders
                for child in self._children(root_id, folder).get(key, ())
            ]
        key = folded(name)
        return [
            track_id for folder in folders for track_id in self._names(root_id, folder).get(key, ())
        ]

    def _names(self, root_id: int, folder: bytes) -> dict[bytes, list[int]]:
        """The tracks directly in a folder by their folded names."""
        place = root_id, folder
        if place not in self._tracks:
            found: dict[bytes, list[int]] = {}
            for track in below(self._connection, root_id, folder, recursive=False):
                found.setdefault(folded(paths.name_of(track.path)), []).append(track.id)
            self._tracks[place] = found
        return self._tracks[place]

    def _children(self, root_id: int, folder: bytes) -> _Names:
        """The folders with tracks below, directly in a folder, by their folded names."""
        place = root_id, folder
        if place not in self._folders:
            found: _Names = {}
            for name in self._each_child(root_id, folder):
                found.setdefault(folded(name), []).append(name)
            self._folders[place] = found
        return self._folders[place]

    def _each_child(self, root_id: int, folder: bytes) -> Iterator[bytes]:
        """A step of the index for each folder, and for each track directly in the folder."""
        met: set[bytes] = set()
        start = len(folder) + 1 if folder else 0
        for statement in _FIRST:
            low, high = paths.below_range(folder)
            if statement is _FIRST[0] and not paths.fits_utf8(folder):
                continue
            while True:
                path = select_value(self._connection, statement, (root_id, low, high))
                if path is None:
                    break
                name, slash, _ = path[start:].partition(b"/")
                if not slash:
                    low = path + b"\0"
                    continue
                low = paths.join(folder, name) + b"0"  # after the slash: past all of the folder
                if name not in met:
                    met.add(name)
                    yield name
