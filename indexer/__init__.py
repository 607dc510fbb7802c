"""A folder of music -> a searchable SQLite index that stays equal to the disk.

The public API: `open` an index, and get typed records of it.

    import indexer

    with indexer.open() as index:
        for track in index.search("bjork hyperballad"):
            print(track.title, track.file)

Only what stands in `__all__` is public. Nothing is imported before it is used: each command and
each reader process imports this package.
"""

from __future__ import annotations

from importlib import import_module

TYPE_CHECKING = False
"""True for a type checker. Importing `typing` is for later (see `indexer/starting.py`)."""
if TYPE_CHECKING:
    from indexer.api import Index as Index
    from indexer.api import open as open  # noqa: A004 - `indexer.open`, as `gzip.open`
    from indexer.errors import IndexerError as IndexerError
    from indexer.model import ChangeKind as ChangeKind
    from indexer.results.records import Album as Album
    from indexer.results.records import Artist as Artist
    from indexer.results.records import Artwork as Artwork
    from indexer.results.records import Change as Change
    from indexer.results.records import FilePath as FilePath
    from indexer.results.records import PastTrack as PastTrack
    from indexer.results.records import Playlist as Playlist
    from indexer.results.records import PlaylistItem as PlaylistItem
    from indexer.results.records import Root as Root
    from indexer.results.records import Run as Run
    from indexer.results.records import Status as Status
    from indexer.results.records import Track as Track

_PLACES = {
    "Album": "results.records",
    "Artist": "results.records",
    "Artwork": "results.records",
    "Change": "results.records",
    "ChangeKind": "model",
    "FilePath": "results.records",
    "Index": "api",
    "IndexerError": "errors",
    "PastTrack": "results.records",
    "Playlist": "results.records",
    "PlaylistItem": "results.records",
    "Root": "results.records",
    "Run": "results.records",
    "Status": "results.records",
    "Track": "results.records",
    "open": "api",
}
__all__ = [
    "Album", "Artist", "Artwork", "Change", "ChangeKind", "FilePath", "Index", "IndexerError",
    "PastTrack", "Playlist", "PlaylistItem", "Root", "Run", "Status", "Track", "open",
]  # fmt: skip


if not TYPE_CHECKING:  # a type checker would take any name for one of the package

    def __getattr__(name: str) -> object:
        if name not in _PLACES:
            raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
        found = getattr(import_module(f"{__name__}.{_PLACES[name]}"), name)
        globals()[name] = found
        return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
