"""Every way a row enters the view, leaves it, or changes in it, with all dependent data.

A row in the view has its words in the full-text index, and links to artists, genres and an album;
a row outside the view has none of them. Only this module maintains that invariant.

It also says for which albums, artists and folders artwork is to be chosen again: whose track came,
left, moved or has another stamp, and where another album's or artist's tracks are now.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from msgspec.structs import replace

from indexer import paths
from indexer.model import ChangeKind, IndexedFile, RowState
from indexer.stages.batch import Finding, Shaped, album_key, album_of, names_of, reshape, shape
from indexer.store import catalog, changes, former, problems, roots, scrubs, tracks
from indexer.store.catalog import Catalog, Names
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import RootRow
from indexer.store.search import index_rows
from indexer.store.sidecars import artwork, lyrics, pictures
from indexer.store.tag_sets import TagSets
from indexer.tags import READER_VERSION

_TAGS = tracks.COLUMNS.index("tags")


class Rows:
    """The rows of one index, written through one connection inside `writing()`."""

    def __init__(self, connection: Connection, names: Mapping[int, str]) -> None:
        """`names` maps the ids of the watched roots to their names."""
        self._connection = connection
        self._catalog = Catalog(connection)
        self._tag_sets = TagSets(connection)
        self._names = dict(names)

    @contextmanager
    def writing(self) -> Iterator[None]:
        """One write transaction, which ends with the removal of names and sets without a track.

        It begins with the full text in the words of this version: see `store.search.index_rows`.
        """
        try:
            with write_transaction(self._connection):
                index_rows.keep_current(self._connection)
                self._tag_sets.forget()
                yield
                self._catalog.end_orphans()
                self._tag_sets.end_unused()
        except BaseException:
            self._catalog.forget()
            raise

    def forget(self) -> None:
        """Clear the caches after a part of the transaction was rolled back."""
        self._catalog.forget_ids()
        self._tag_sets.forget_ids()

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
            track_id = self._add(row, album_id, read_at, shaped.columns)
            self._put_in(track_id, row, shaped)
            return track_id
        self._check_picture(known, row)
        album_before = tracks.album_of(self._connection, known.id)
        album_id = self._album(key, shaped)
        if album_before != album_id:
            self._catalog.detach_from_album(album_before)
        self._write(row, album_id, read_at, shaped.columns)
        if before[_TAGS] != shaped.columns[_TAGS]:
            self._tag_sets.release(_tags_in(before))
        if known.place is not RowState.PRESENT:
            self._put_in(row.id, row, shaped)
            return row.id
        old = Shaped(before, *names_of(before))  # as it was written, by whatever rules
        texts_before, texts = old.texts(known.path), shaped.texts(row.path)
        if texts_before != texts:
            index_rows.drop(self._connection, row.id, texts_before)
            index_rows.add(self._connection, row.id, texts)
        if _names(old) != _names(shaped):
            self._catalog.unlink(row.id)
            self._catalog.link(row.id, *_names(shaped))
            self._mark_folders(known, row)
        else:
            self._catalog.due.artists |= catalog.artists_of(self._connection, row.id)
            if album_before != album_id or (known.root_id, known.path) != (row.root_id, row.path):
                self._mark_folders(known, row)
        return row.id

    def restamp(self, row: IndexedFile, known: IndexedFile, read_at: int | None) -> None:
        """Write the stamp of a row of the view whose tags are the same."""
        self._check_picture(known, row)
        if known.stamp != row.stamp:
            self._catalog.detach_from_album(tracks.album_of(self._connection, row.id))
        tracks.restamp(self._connection, row, read_at)

    def show_new(
        self,
        root_id: int,
        read: Sequence[Finding],
        reread: int,
        now_ms: int,
    ) -> None:
        """Insert files that were read, and have neither a row nor a problem: all enter the view.

        Equivalent to `show` and `record_change` for each of them, but one statement handles all.
        """
        name = self._name_of(root_id)
        first_id = tracks.next_id(self._connection)
        new: list[tracks.NewRow] = []
        texts: list[tuple[int, index_rows.Texts]] = []
        names: list[tuple[int, Names]] = []
        added: list[tuple[int, str | bytes]] = []
        album, album_id, folder_text = None, 0, ""
        tagged = ((one, one.track) for one in read if one.track is not None)
        for track_id, (finding, track) in enumerate(tagged, first_id):
            entry = finding.entry
            path = entry.path
            shaped = shape(track, path, name)
            folder = paths.parent_of(path)
            one = album_of(shaped, folder)
            if one != album:  # what its tracks share is made once
                album = one
                album_id = self._album(album_key(shaped, root_id, path), shaped)
                folder_text = index_rows.shown_folder(folder)
                self._catalog.due.folders.add((root_id, folder))
            text = changes.shown_path(path)
            new.append((
                track_id, entry, isinstance(text, str), album_id, shaped.columns,
                self._tag_sets.find(track.tags), finding.birth_ns, track.essence,
            ))  # fmt: skip
            texts.append((track_id, shaped.texts_in(folder_text)))
            names.append((track_id, (shaped.artists, shaped.albumartists, shaped.genres)))
            added.append((track_id, text))
        tracks.add_all(
            self._connection,
            new,
            root_id=root_id,
            scan_id=reread,
            reader_version=READER_VERSION,
            now_ms=now_ms,
        )
        index_rows.add_all(self._connection, texts)
        self._catalog.link_all(names)
        changes.append_added(self._connection, now_ms, name, added)

    def refuse(self, row: IndexedFile, known: IndexedFile | None, before: tracks.Columns) -> int:
        """Write a row whose file is present but unreadable; it leaves the view and keeps its id."""
        if known is None:
            return self._add(row, None, None, tracks.NOTHING_READ)
        if known.place is RowState.PRESENT:
            self._take_out(known, before)
            self._forget_picture(known)
        self._write(row, None, None, before)
        return row.id

    def mark_missing(self, known: IndexedFile, now_ms: int) -> bool:
        """Mark the row of a file that is gone missing; whether it was in the view."""
        shown = known.place is RowState.PRESENT
        self._leave(known, now_ms)
        if shown:
            self.record_change(ChangeKind.MISSING, known.id, known, now_ms)
        return shown

    def displace(self, known: IndexedFile) -> None:
        """Another file took the row's path. Its own file may still be found, so `changes` waits."""
        self._leave(known, None if known.place is RowState.PRESENT else 0)

    def _leave(self, known: IndexedFile, missing_at: int | None) -> None:
        if known.place is RowState.PRESENT:
            self._take_out(known, tracks.columns_of(self._connection, known.id))
        problems.clear(self._connection, known.root_id, known.path)
        self._forget_picture(known)
        tracks.mark_missing(self._connection, known.id, missing_at)

    def announce_missing(self, now_ms: int) -> list[IndexedFile]:
        """Report all displaced rows; returns them."""
        unannounced = tracks.unannounced(self._connection)
        for known in unannounced:
            self.announce(known, now_ms)
        return unannounced

    def announce(self, known: IndexedFile, now_ms: int) -> None:
        """Report a displaced row whose file was not found elsewhere."""
        tracks.tell_missing(self._connection, known.id, now_ms)
        self.record_change(ChangeKind.MISSING, known.id, known, now_ms)

    def succeed(self, known: IndexedFile, copy: IndexedFile, now_ms: int) -> None:
        """A row whose file is gone takes the place of its newer copy, whose own id ends (rule R7).

        The row of the copy is deleted: left as a missing one, it would be a second candidate when
        the track turns up once more.
        """
        columns = tracks.columns_of(self._connection, copy.id)
        shaped = reshape(columns, copy.path, self._name_of(copy.root_id))
        key = album_key(shaped, copy.root_id, copy.path)
        self._take_out(copy, columns)
        self._forget_picture(copy)
        tracks.drop(self._connection, copy.id)
        scrubs.hand_over(self._connection, copy.id, known.id)
        self._tag_sets.release(_tags_in(columns))
        ended = former.whole(columns, copy.added_at)
        self.record_change(ChangeKind.MISSING, copy.id, copy, now_ms, before=ended)
        problems.clear(self._connection, known.root_id, known.path)
        before = tracks.columns_of(self._connection, known.id)
        row = replace(copy, id=known.id, added_at=known.added_at)
        self.show(row, known, before, shaped, key, now_ms)
        differs = former.difference(before, shaped.columns)
        self.record_change(ChangeKind.MOVED, known.id, row, now_ms, known, before=differs)

    def record_change(
        self,
        kind: ChangeKind,
        track_id: int,
        row: IndexedFile,
        now_ms: int,
        old: IndexedFile | None = None,
        *,
        before: str | None = None,
    ) -> None:
        """Append to the change feed what happened to a track that is now at `row`.

        `before` has the columns that differ, as they were (`former.difference`).
        """
        place = (self._name_of(row.root_id), row.path)
        came_from = None if old is None else (self._name_of(old.root_id), old.path)
        changes.append(self._connection, now_ms, kind, track_id, place, came_from, before=before)

    def guess_again(self, known: IndexedFile, root_name: str) -> str | None:
        """Renew what a row of the view guesses from its path, now that its root has this name.

        Returns the guesses that differ, as they were (`former.difference`).
        """
        before = tracks.columns_of(self._connection, known.id)
        shaped = reshape(before, known.path, root_name)
        if shaped.columns == before:
            return None
        self._take_out(known, before)
        album_id = self._album(album_key(shaped, known.root_id, known.path), shaped)
        self._write(known, album_id, None, shaped.columns)
        self._put_in(known.id, known, shaped)
        return former.difference(before, shaped.columns)

    def rekey_album(self, album_id: int, key: bytes, movers: int) -> None:
        """Keep an album's id when all of its tracks change to one new key."""
        self._catalog.rekey_album(album_id, key, movers)

    def _add(
        self, row: IndexedFile, album_id: int | None, read_at: int | None, columns: tracks.Columns
    ) -> int:
        tag_set = self._tag_sets.find(_tags_in(columns))
        return tracks.add(self._connection, row, album_id, read_at, columns, tag_set)

    def _write(
        self, row: IndexedFile, album_id: int | None, read_at: int | None, columns: tracks.Columns
    ) -> None:
        tag_set = self._tag_sets.find(_tags_in(columns))
        tracks.write(self._connection, row, album_id, read_at, columns, tag_set)

    def _album(self, key: bytes, shaped: Shaped) -> int:
        return self._catalog.album_id(key, *shaped.album_name)

    def _put_in(self, track_id: int, row: IndexedFile, shaped: Shaped) -> None:
        index_rows.add(self._connection, track_id, shaped.texts(row.path))
        self._catalog.link(track_id, *_names(shaped))
        self._mark_folders(row)

    def _take_out(self, known: IndexedFile, columns: tracks.Columns) -> None:
        texts = Shaped(columns, (), (), ()).texts(known.path)
        index_rows.drop(self._connection, known.id, texts)
        self._catalog.unlink(known.id)
        self._catalog.detach_from_album(tracks.album_of(self._connection, known.id))
        self._mark_folders(known)

    # Artwork

    def _mark_folders(self, *rows: IndexedFile) -> None:
        """Other tracks in or above these folders may have another picture now."""
        for row in rows:
            self._catalog.due.folders.add((row.root_id, paths.parent_of(row.path)))

    def _check_picture(self, known: IndexedFile, row: IndexedFile) -> None:
        """Clear the problem of a track's picture where it has another stamp or path now.

        What it held before stands until it is opened again: `track_pictures` says for which stamp.
        """
        if known.stamp != row.stamp or (known.root_id, known.path) != (row.root_id, row.path):
            problems.clear_of_picture(self._connection, known.root_id, known.path)

    def _forget_picture(self, known: IndexedFile) -> None:
        """A track has left the view, and what it held with it."""
        lyrics.drop(self._connection, known.id)
        problems.clear_of_picture(self._connection, known.root_id, known.path)
        pictures.drop_of_track(self._connection, known.id)
        artwork.unchoose_track(self._connection, known.id)

    def _name_of(self, root_id: int) -> str:
        if root_id not in self._names:
            self._names[root_id] = roots.name_of(self._connection, root_id)
        return self._names[root_id]


def _tags_in(columns: tracks.Columns) -> str | None:
    return columns[_TAGS]  # type: ignore[return-value]  # JSON


def _names(shaped: Shaped) -> Names:
    return shaped.artists, shaped.albumartists, shaped.genres


def rename_root(connection: Connection, rows: Rows, root: RootRow, name: str, now_ms: int) -> int:
    """Rename a root inside the caller's transaction; the number of tracks in the view.

    A program that replays the change feed by (root, path) must learn the new place of each track,
    so each is told as moved. The name of the root is the guessed album of files in the root itself.
    """
    moved = 0
    for track_id in tracks.of_root(connection, root.id):
        known = tracks.by_id(connection, track_id)
        if known is None or known.place is not RowState.PRESENT:
            continue
        before = None
        if not paths.album_folder(known.path):
            before = rows.guess_again(known, name)
        changes.append(
            connection,
            now_ms,
            ChangeKind.MOVED,
            track_id,
            (name, known.path),
            (root.name, known.path),
            before=before,
        )
        moved += 1
    roots.rename(connection, root.id, name)
    return moved
