"""The library facade, called by the commands and by other programs.

Reading takes no lock. Writing takes the dispatch lock, or passes the work to the daemon that has
it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from types import TracebackType
from typing import Final, Self

import msgspec

from indexer import errors, places, queries, report, verify
from indexer.engine.coordinator import Completed, Request, RunCoordinator, coordinating
from indexer.ignore_files import path_filter_of
from indexer.model import Hint, Listener
from indexer.roots import acceptance, open_roots
from indexer.roots.registry import named, real_root, root_at
from indexer.runs.lock import check_is_kept, lock_info, wait_for_lock
from indexer.runs.wakeup import enqueue_hints, wake
from indexer.settings import Settings
from indexer.stages.missing import empty_root
from indexer.stages.rows import Rows
from indexer.store import pending, problems, roots, search_results, trials, upkeep
from indexer.store.connection import (
    Connection,
    check_exists,
    open_index,
    write_transaction,
)
from indexer.store.query import parse
from indexer.store.roots import RootRow
from indexer.store.sqlite_errors import explained

Stop = Callable[[], bool]
_FOLLOW_PAUSE_S: Final = 0.2


def _never() -> bool:
    return False


class Library:
    """One index and the roots it knows. Use it as a context manager."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._database = settings.db
        self._wanted = path_filter_of(settings)
        self._reader: Connection | None = None

    @classmethod
    def open(cls, settings: Settings, *, create: bool = False) -> Self:
        """Open the index. Without `create`, raises DatabaseMissing if there is none."""
        check_is_kept(settings.db)
        if not create:
            check_exists(settings.db)
        return cls(settings)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._reader is not None:
            self._reader.close()
            self._reader = None

    def scan(
        self,
        paths: Sequence[bytes] = (),
        *,
        listener: Listener | None = None,
        stop: Stop = _never,
        queued: bool = False,
    ) -> report.ScanReport:
        """Update the index from the disk, reading only what changed.

        A path is a root, a folder or a file in a root; no path means every root. `queued`: done by
        workers, through the queues.
        """
        with self._dispatching("scan", stop) as dispatcher:
            watched = roots.watched(dispatcher.connection)
            hints = places.hints_for(paths, watched)
            hinted = {hint.root_id for hint in hints}
            chosen = tuple(root for root in watched if root.id in hinted)
            request = Request("scan", tuple(hints), chosen, queued)
            return _report(dispatcher.run(request, listener=listener, stop=stop))

    def rebuild(
        self,
        folders: Sequence[bytes] = (),
        *,
        listener: Listener | None = None,
        stop: Stop = _never,
        queued: bool = False,
    ) -> report.ScanReport:
        """Read every file of these roots (default: all) again; new roots are added first.

        An interrupted rebuild of the same roots is resumed.
        """
        for folder in folders:
            self._check_folder(folder)
        with self._dispatching("rebuild", stop) as dispatcher:
            added = [root_at(dispatcher.connection, self._settings, folder) for folder in folders]
            chosen = tuple(dict.fromkeys(added)) or tuple(roots.watched(dispatcher.connection))
            if not chosen:
                raise errors.UsageError(
                    "no root is known yet; name the folder that holds the music: "
                    "`indexer rebuild FOLDER`"
                )
            hints = tuple(Hint(root.id, recursive=True) for root in chosen)
            request = Request("rebuild", hints, chosen, queued)
            return _report(dispatcher.run(request, listener=listener, stop=stop))

    def status(self) -> report.Status:
        with explained(self._database):
            return queries.status(self._reading(), self._settings, lock_info(self._database))

    def roots(self) -> Iterator[report.RootStatus]:
        """The watched roots with their current state."""
        with explained(self._database):
            yield from queries.root_statuses(self._reading(), lock_info(self._database))

    def show(self, path: bytes) -> dict[str, object] | None:
        """All that the index has about one file; None if it has nothing."""
        with explained(self._database):
            located = places.locate(path, roots.watched(self._reading()))
            return queries.shown(self._reading(), located.root, located.path)

    def problems(self) -> Iterator[report.ProblemRow]:
        """Everything that could not be read, by root and path."""
        with explained(self._database):
            yield from queries.problem_rows(self._reading())

    def changes(self, since: int = 0) -> Iterator[report.ChangeRow]:
        """The change feed after a sequence number. Raises HistoryPruned."""
        with explained(self._database):
            yield from queries.change_rows(self._reading(), since)

    def follow(self, since: int, stop: Stop = _never) -> Iterator[report.ChangeRow]:
        """The change feed, then each new change when it is committed, until `stop`."""
        with explained(self._database):
            connection = self._reading()
            while not stop():
                version = connection.pragma("data_version")
                for change in queries.change_rows(connection, since):
                    since = change.seq
                    yield change
                while connection.pragma("data_version") == version and not stop():
                    time.sleep(_FOLLOW_PAUSE_S)

    def search(
        self, words: Sequence[str], *, sort: str = search_results.RELEVANCE, limit: int | None = 50
    ) -> Iterator[dict[str, object]]:
        """The tracks that match these words (see `store.query`); no words: all.

        `sort` is relevance, artist, album, year, title, added, path or duration; a `-` before one
        of the last seven reverses it. Raises UsageError for any other.
        """
        with explained(self._database):
            ids = search_results.track_ids(self._reading(), parse(" ".join(words)), sort, limit)
            for row in search_results.rows(self._reading(), ids):
                yield queries.library_row(row)

    def search_albums(
        self, words: Sequence[str], *, sort: str = search_results.RELEVANCE, limit: int | None = 50
    ) -> Iterator[dict[str, object]]:
        """The albums of those tracks; `tracks` counts the matching ones."""
        with explained(self._database):
            for row in search_results.albums(self._reading(), parse(" ".join(words)), sort, limit):
                yield dict(zip(search_results.ALBUM_COLUMNS, row, strict=True))

    def search_artists(
        self, words: Sequence[str], *, sort: str = search_results.RELEVANCE, limit: int | None = 50
    ) -> Iterator[dict[str, object]]:
        """The artists and album artists of those tracks; `tracks` counts the matching ones."""
        with explained(self._database):
            for row in search_results.artists(self._reading(), parse(" ".join(words)), sort, limit):
                yield dict(zip(search_results.ARTIST_COLUMNS, row, strict=True))

    def root_paths(self) -> dict[str, bytes]:
        """Name -> path of the watched roots; the path of a track is relative to its root."""
        with explained(self._database):
            return {root.name: root.path for root in roots.watched(self._reading())}

    def verify(
        self, *, deep: bool = False, listener: Listener | None = None, stop: Stop = _never
    ) -> report.VerifyReport:
        """Compare index and disk, twice where they differ; `deep` reads all tags again."""
        with explained(self._database):
            verifier = verify.Verifier(
                self._reading(), self._settings, self._wanted, listener=listener, stop=stop
            )
            return verifier.run(deep=deep)

    def add_root(self, path: bytes, name: str | None = None) -> report.RootStatus:
        """Watch a folder. The daemon indexes it at once, else the next scan does."""
        self._check_folder(path)
        with self._dispatching("roots", _never) as dispatcher:
            root = root_at(dispatcher.connection, self._settings, path, name)
            self._tell_daemon(dispatcher, root)
            return self._root_status(dispatcher.connection, root)

    def remove_root(self, name: str) -> None:
        """Stop watching a root. Its tracks leave the view; adding it again restores them."""
        with self._dispatching("roots", _never) as dispatcher:
            connection = dispatcher.connection
            root = named(roots.watched(connection), name)
            now_ms = time.time_ns() // 1_000_000
            rows = Rows(connection, {root.id: root.name})
            with rows.writing():
                empty_root(connection, rows, root.id, now_ms)
                pending.forget_root(connection, root.id)
                problems.forget_root(connection, root.id)
                trials.forget_root(connection, root.id)
                roots.remove(connection, root.id, now_ms)
            if dispatcher.beside_daemon:
                enqueue_hints(connection, self._database, ())

    def accept_root(self, name: str) -> report.RootStatus:
        """Accept the disks that are at a root now, and at mount points below it."""
        with self._dispatching("roots", _never) as dispatcher:
            root = named(roots.watched(dispatcher.connection), name)
            with write_transaction(dispatcher.connection):
                acceptance.accept_disks(dispatcher.connection, root)
            self._tell_daemon(dispatcher, root)
            return self._root_status(dispatcher.connection, root)

    def backup(self, target: Path) -> int:
        """Write a complete copy of the index to a new file, while in use; its size in bytes."""
        with explained(self._database):
            return upkeep.copy_to(self._reading(), target)

    def optimize(self) -> tuple[int, int, bool]:
        """Tidy the database file; its size in bytes before and after, and whether it is complete.

        False: another program has a long read open; the file shrinks when that has ended.
        """
        with self._dispatching("optimize", _never) as dispatcher:
            before = self._database.stat().st_size
            is_all = upkeep.tidy(dispatcher.connection)
            return before, self._database.stat().st_size, is_all

    def repair(self, stop: Stop = _never) -> report.RepairReport:
        """Restore derived data, and save all readable rows, with all ids.

        Waits for other commands; a daemon continues, and scans all files again if something was
        lost. Raises DatabaseDamaged if nothing can be saved.
        """
        from indexer.repair import repair  # late: only this command needs it

        self.close()
        lock = wait_for_lock(
            self._database,
            "repair",
            stop=stop,
            group_may=self._settings.group is not None,
            busy=lambda current: current.role != "daemon",
        )
        if lock is None and stop():
            raise errors.Interrupted("stopped while waiting for another command; nothing was done")
        try:
            return repair(self._database)
        finally:
            if lock is not None:
                lock.close()
            wake(self._database)

    def _reading(self) -> Connection:
        if self._reader is None:
            self._reader = open_index(
                self._database, write=False, busy_timeout_s=self._settings.busy_timeout
            )
        return self._reader

    def _dispatching(self, role: str, stop: Stop) -> AbstractContextManager[RunCoordinator]:
        return coordinating(self._settings, self._wanted, role, stop)

    def _check_folder(self, folder: bytes) -> None:
        """Raise an error for a folder that cannot be a root, before a database is created."""
        if not self._database.exists():
            path = real_root(folder)
            open_roots.check_not_scanned(self._database, {open_roots.name_for(path, ()): path})

    def _tell_daemon(self, dispatcher: RunCoordinator, root: RootRow) -> None:
        if dispatcher.beside_daemon:
            hint = Hint(root.id, recursive=True)
            enqueue_hints(dispatcher.connection, self._database, [hint])

    def _root_status(self, connection: Connection, root: RootRow) -> report.RootStatus:
        statuses = queries.root_statuses(connection, None)
        return next(status for status in statuses if status.name == root.name)


def _report(done: Completed) -> report.ScanReport:
    counts = {**done.result.counts(), "offline": done.offline}
    if done.result.goes_on:
        counts["goes_on"] = True
    return msgspec.convert(counts, report.ScanReport)
