"""The deferred stage of an index, step by step, in this process."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager

from msgspec.structs import replace

from indexer.disk.tree import Tree
from indexer.ignore_files import path_filter_of
from indexer.library import Library
from indexer.readers.artwork import ArtworkWork
from indexer.roots.open_roots import open_roots
from indexer.settings import Settings
from indexer.store import roots
from indexer.store.connection import Connection, open_index


@contextmanager
def choosing(
    settings: Settings,
) -> Iterator[tuple[ArtworkWork, Connection, Mapping[int, Tree]]]:
    """The deferred stage of an index, its connection, and its roots."""
    with closing(open_index(settings.db, write=True)) as connection:
        work = ArtworkWork(connection, settings, path_filter_of(settings))
        opened = open_roots(connection, roots.watched(connection), follow_links=False)
        with closing(work), closing(opened):
            yield work, connection, opened.trees


def scan_tags(settings: Settings) -> None:
    """Scan, and leave artwork due."""
    with Library(replace(settings, artwork=False)) as library:
        library.scan()
