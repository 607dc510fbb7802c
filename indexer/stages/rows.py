"""Every way a row enters the view, leaves it, or changes in it, with all dependent data.

A row in the view has its words in the full-text index, and links to artists, genres and an album;
a row outside the view has none of them. Only this module maintains that invariant.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from indexer.model import ChangeKind, Entry, IndexedFile, RowState, Track
from indexer.stages.batch import Shaped, album_key, album_of, reshape, shape
from indexer.store import changes, problems, roots, search, tracks
from indexer.store.catalog import Catalog, Names
from indexer.store.connection import Connection, write_transaction
from indexer.tags import READER_VERSION


class Rows:
    """The rows of one index, written through one connection inside `writing()`."""

    def __init__(self, connection: Connection, names: Mapping[int, str]) -> None:
        """`names` maps the ids of the watched roots to their names."""
        self._connection = connection
        self._catalog = Catalog(connection)
        self._names = dict(names)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One write transaction, which ends with the removal of orphans from the catalog."""
        try:
            with write_transaction(self._connection):
                yield
                self._catalog.end_orphans()
        except BaseException:
            self._catalog.forget()
            raise

    def forget(self) -> None:
        """Clear the caches after a part of the transaction was rolled back."""
        self._catalog.forget_ids()

    def show(
        self,
        row: IndexedFile,
        known: IndexedFile | None,
        before: tracks.Columns,
        shaped: Shaped,
        key: bytes,
        read_at: int | None,
    ) -> int:
        """Write a row of the view; `known` and `before` are its old state. Returns its id."""
        if known is None:
            album_id = self._album(key, shaped)
            track_id = tracks.add(self._connection, row, album_id, read_at, shaped.columns)
            self._put_in(track_id, shaped)
            return track_id
        album_before = tracks.album_of(self._connection, known.id)
        album_id = self._album(key, shaped)
        if album_before != album_id:
            self._catalog.detach_from_album(album_before)
        tracks.write(self._connection, row, album_id, read_at, shaped.columns)
        if known.place is not RowState.PRESENT:
            self._put_in(row.id, shaped)
            return row.id
        old = reshape(before, known.path, self._name_of(known.root_id))
        if old.words != shaped.words:
            search.drop(self._connection, row.id, old.words)
            search.add(self._connection, row.id, shaped.words)
        if _names(old) != _names(shaped):
            self._catalog.unlink(row.id)
            self._catalog.link(row.id, *_names(shaped))
        return row.id

    def show_new(
        self,
        root_id: int,
        read: Sequence[tuple[Entry, Track, int | None]],
        reread: int,
        now_ms: int,
    ) -> None:
        """Insert files that were read, and have neither a row nor a problem: all enter the view.

        For each, `read` has the tags and the time of birth of its inode.

        Equivalent to `show` and `tell` for each of them, but one statement handles all.
        """
        name = self._name_of(root_id)
        first_id = tracks.next_id(self._connection)
        new: list[tracks.NewRow] = []
        texts: list[tuple[int, search.Texts]] = []
        names: list[tuple[int, Names]] = []
        added: list[tuple[int, str | bytes]] = []
        album, album_id = None, 0
        for track_id, (entry, track, birth_ns) in enumerate(read, first_id):
            shaped = shape(track, entry.path, name)
            one = album_of(shaped, entry.path)
            if one != album:
                album = one
                album_id = self._album(album_key(shaped, root_id, entry.path), shaped)
            told = changes.told(entry.path)
            new.append((track_id, entry, isinstance(told, str), album_id, shaped.columns, birth_ns))
            texts.append((track_id, shaped.words))
            names.append((track_id, _names(shaped)))
            added.append((track_id, told))
        tracks.add_all(
            self._connection,
            new,
            root_id=root_id,
            scan_id=reread,
            reader_version=READER_VERSION,
            now_ms=now_ms,
        )
        search.add_all(self._connection, texts)
        self._catalog.link_all(names)
        changes.append_added(self._connection, now_ms, name, added)

    def refuse(self, row: IndexedFile, known: IndexedFile | None, before: tracks.Columns) -> int:
        """Write a row whose file is present but unreadable; it leaves the view and keeps its id."""
        if known is None:
            return tracks.add(self._connection, row, None, None, tracks.NOTHING_READ)
        if known.place is RowState.PRESENT:
            self._take_out(known, before)
        tracks.write(self._connection, row, None, None, before)
        return row.id

    def mark_missing(self, known: IndexedFile, now_ms: int) -> bool:
        """Mark the row of a file that is gone missing; whether it was in the view."""
        shown = known.place is RowState.PRESENT
        self._leave(known, now_ms)
        if shown:
            self.tell(ChangeKind.MISSING, known.id, known, now_ms)
        return shown

    def displace(self, known: IndexedFile) -> None:
        """Another file took the row's path. Its own file may still be found, so `changes` waits."""
        self._leave(known, None if known.place is RowState.PRESENT else 0)

    def _leave(self, known: IndexedFile, missing_at: int | None) -> None:
        if known.place is RowState.PRESENT:
            self._take_out(known, tracks.columns_of(self._connection, known.id))
        problems.clear(self._connection, known.root_id, known.path)
        tracks.mark_missing(self._connection, known.id, missing_at)

    def announce_missing(self, now_ms: int) -> list[IndexedFile]:
        """Report displaced rows whose files were not found elsewhere; returns them."""
        unannounced = tracks.unannounced(self._connection)
        for known in unannounced:
            tracks.tell_missing(self._connection, known.id, now_ms)
            self.tell(ChangeKind.MISSING, known.id, known, now_ms)
        return unannounced

    def tell(
        self,
        kind: ChangeKind,
        track_id: int,
        row: IndexedFile,
        now_ms: int,
        old: IndexedFile | None = None,
    ) -> None:
        """Append to the change feed what happened to a track that is now at `row`."""
        place = (self._name_of(row.root_id), row.path)
        came_from = None if old is None else (self._name_of(old.root_id), old.path)
        changes.append(self._connection, now_ms, kind, track_id, place, came_from)

    def rekey_album(self, album_id: int, key: bytes, movers: int) -> None:
        """Keep an album's id when all of its tracks change to one new key."""
        self._catalog.rekey_album(album_id, key, movers)

    def _album(self, key: bytes, shaped: Shaped) -> int:
        return self._catalog.album_id(key, shaped.words[3], shaped.words[2])

    def _put_in(self, track_id: int, shaped: Shaped) -> None:
        search.add(self._connection, track_id, shaped.words)
        self._catalog.link(track_id, *_names(shaped))

    def _take_out(self, known: IndexedFile, columns: tracks.Columns) -> None:
        search.drop(self._connection, known.id, Shaped(columns, (), (), ()).words)
        self._catalog.unlink(known.id)
        self._catalog.detach_from_album(tracks.album_of(self._connection, known.id))

    def _name_of(self, root_id: int) -> str:
        if root_id not in self._names:
            self._names[root_id] = roots.name_of(self._connection, root_id)
        return self._names[root_id]


def _names(shaped: Shaped) -> Names:
    return shaped.artists, shaped.albumartists, shaped.genres
