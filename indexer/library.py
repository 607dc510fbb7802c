"""The library facade, called by the commands and by other programs.

Reading takes no lock (`indexer.lookup`). Writing takes the dispatch lock, or passes the work to the
daemon that has it.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, closing, suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from indexer import errors, places
from indexer.engine.coordinator import RunCoordinator, coordinating, waiting_for_commands
from indexer.engine.handover import Completed, Request
from indexer.ignore_files import path_filter_of
from indexer.lookup import Lookup, Note, Stop, never
from indexer.model import Hint, Listener
from indexer.paths import text_of
from indexer.reports.status import root_statuses
from indexer.results import report, status_report
from indexer.roots import acceptance, open_roots
from indexer.roots.registry import (
    check_first_roots,
    check_name,
    contradictions,
    named,
    no_root,
    root_at,
)
from indexer.runs.lock import check_is_kept, lock_info, wait_for_lock
from indexer.runs.verified import Verified, note
from indexer.runs.wakeup import enqueue_hints, wake
from indexer.settings import Settings
from indexer.stages.finish import empty_root
from indexer.stages.rows import Rows, rename_root
from indexer.store import problems, roots, tracks, upkeep
from indexer.store.connection import (
    Connection,
    open_index,
    was_used,
    write_transaction,
)
from indexer.store.creation import prepare_folder
from indexer.store.roots import RootRow
from indexer.store.sidecars import artwork, lyrics, pictures, playlists
from indexer.store.sqlite_errors import explained
from indexer.store.work import pending, scans, trials

if TYPE_CHECKING:
    from indexer.covers import Covers, Thumbnails


class Library(Lookup):
    """One index and the roots it knows: what `Lookup` answers, and all that writes or reads files.

    Use it as a context manager.
    """

    def __init__(self, settings: Settings) -> None:
        super().__init__(settings)
        self._wanted = path_filter_of(settings)
        self._thumbnails: Thumbnails | None = None

    def close(self) -> None:
        """Close the connection, and end the processes that make thumbnails."""
        if self._thumbnails is not None:
            self._thumbnails.close()
            self._thumbnails = None
        super().close()

    def scan(
        self,
        paths: Sequence[bytes] = (),
        *,
        listener: Listener | None = None,
        stop: Stop = never,
        queued: bool = False,
    ) -> report.ScanReport:
        """Update the index from the disk, reading only what changed.

        A path is a root, a folder or a file in a root; no path means every root. `queued`: done by
        workers, through the queues.
        """
        if queued:
            self._check_queues()
        with self._dispatching("scan", stop) as dispatcher:
            watched = roots.watched(dispatcher.connection)
            if paths:
                self._check_known(dispatcher.connection, paths, watched)
            hints = places.hints_for(paths, watched)
            hinted = {hint.root_id for hint in hints}
            chosen = tuple(root for root in watched if root.id in hinted)
            request = Request("scan", tuple(hints), chosen, queued)
            result = _report(dispatcher.run(request, listener=listener, stop=stop))
            self._contradictions = contradictions(watched, self._settings)
            return result

    def why_left_out(self, path: bytes) -> str | None:
        """Why no music is looked for at a path that is there; None where its suffix says it."""
        from indexer.reports.history import why_left_out  # late: only for a message

        with explained(self._database), suppress(errors.RootSilent):
            return why_left_out(self._reading(), path, self._wanted)
        return None

    def _check_known(
        self, connection: Connection, paths: Sequence[bytes], watched: Sequence[RootRow]
    ) -> None:
        from indexer.reports.history import (
            check_known,  # late: a scan of everything needs none of it
        )

        for path in paths:
            check_known(connection, path, watched, follow_links=self._settings.follow_links)

    def rebuild(
        self,
        folders: Sequence[bytes] = (),
        *,
        listener: Listener | None = None,
        stop: Stop = never,
        queued: bool = False,
        restored: bool = False,
    ) -> report.ScanReport:
        """Read every file of these roots (default: all) again; new roots are added first.

        An interrupted rebuild of the same roots is resumed. `restored`: so is one that has read all
        rows with the stamp of their file, as far as this version would read them in the same way.
        """
        if queued:
            self._check_queues()
        check_first_roots(self._settings, folders, "indexer rebuild")
        with self._dispatching("rebuild", stop) as dispatcher:
            added = [root_at(dispatcher.connection, self._settings, folder) for folder in folders]
            chosen = tuple(dict.fromkeys(added)) or tuple(roots.watched(dispatcher.connection))
            if not chosen:
                raise no_root("indexer rebuild")
            hints = tuple(Hint(root.id, recursive=True) for root in chosen)
            request = Request("rebuild", hints, chosen, queued)
            if restored:
                self._note_as_read(dispatcher.connection, request)
            result = _report(dispatcher.run(request, listener=listener, stop=stop))
            watched = roots.watched(dispatcher.connection)
            self._contradictions = contradictions(watched, self._settings)
            return result

    def restore(self, copy: Path, stop: Stop = never) -> Path | None:
        """Put a copy of an index (`backup`) in the place of this one; then `rebuild` `restored`.

        Rows, ids, times and the change feed are those of the copy; no id that this index used, or
        may have used if it is lost, is used again. The index that was there is kept in the file
        that is returned, if it had tracks. Raises UsageError, DatabaseDamaged or DatabaseNewer for
        a copy that cannot be used, and DatabaseBusy beside a daemon.
        """
        from indexer.store.recovery.replacement import restore  # late: only this command needs it

        self.close()
        prepare_folder(self._database, self._settings.group)
        lock = wait_for_lock(
            self._database,
            "rebuild",
            stop=stop,
            group_may=self._settings.group is not None,
            busy=waiting_for_commands(),
        )
        if lock is None and stop():
            raise errors.Interrupted("stopped while waiting for another command; nothing was done")
        if lock is None:
            raise errors.DatabaseBusy(
                f"{self._database}: a daemon uses it; stop `watcher run`, and run this again"
            )
        with closing(lock), explained(self._database):
            return restore(copy, self._database, self._settings.group)

    def _note_as_read(self, connection: Connection, request: Request) -> None:
        """Begin a rebuild that has read what is in the index, and is interrupted."""
        from indexer.store.recovery.replacement import note_as_read

        with write_transaction(connection):
            now_ms = time.time_ns() // 1_000_000
            scan_id = scans.start(connection, request.kind, request.names, now_ms)
            note_as_read(connection, scan_id)

    def artwork(
        self,
        words: Sequence[str] = (),
        *,
        missing: bool = False,
        broken: bool = False,
        note: Note | None = None,
    ) -> Iterator[report.ArtworkRow]:
        """The artwork of all albums and artists, or of those that a search for `words` finds.

        Those found by words have all that was considered for them. `missing`: only albums without
        artwork; `broken`: only those for which a broken picture was considered. `note` is as that
        of `search`.
        """
        from indexer.covers import Covers  # late: few commands need it

        with explained(self._database):
            covers = Covers(self._reading(), self._settings)
            rows = self._artwork_of(covers, words, note) if words else covers.everything()
            if broken:
                rows = covers.broken(rows)
            for row in rows:
                if not (missing and (row.artwork is not None or row.kind != "album")):
                    yield row

    def _artwork_of(
        self, covers: Covers, words: Sequence[str], note: Note | None
    ) -> Iterator[report.ArtworkRow]:
        albums = [row["id"] for row in self.search(words, of="albums", limit=None, note=note)]
        artists = [
            (row["id"], row["artist"]) for row in self.search(words, of="artists", limit=None)
        ]
        return covers.explained(albums, artists)  # type: ignore[arg-type]  # as in the columns

    def copy_artwork(
        self, rows: Iterator[report.ArtworkRow], folder: Path
    ) -> Iterator[tuple[report.ArtworkRow, str | None]]:
        """Copy the originals to a folder, which is made; see `Covers.copied`.

        Raises UsageError for a folder in a root, and OSError if it cannot be made or written.
        """
        from indexer.covers import Covers  # late: few commands need it

        with explained(self._database):
            watched = {root.name: root.path for root in roots.watched(self._reading())}
            open_roots.check_not_scanned(folder, watched, "name a folder outside", is_folder=True)
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except FileExistsError:
                raise errors.UsageError(
                    f"{folder}: is there and is no folder: name a folder"
                ) from None
            yield from Covers(self._reading(), self._settings).copied(rows, folder)

    def thumbnail(self, digest: str, size: int) -> Path:
        """The file of a thumbnail; see `Thumbnails.path_of`."""
        from indexer.covers import Thumbnails  # late: few programs need it

        with explained(self._database):
            if self._thumbnails is None:
                self._thumbnails = Thumbnails(self._settings)
            return self._thumbnails.path_of(self._reading(), digest, size)

    def verify(
        self, *, deep: bool = False, listener: Listener | None = None, stop: Stop = never
    ) -> report.VerifyReport:
        """Compare index and disk, twice where they differ; `deep` reads all tags again."""
        from indexer.checks import verify  # late: it knows of every table

        with explained(self._database):
            verifier = verify.Verifier(
                self._reading(), self._settings, self._wanted, listener=listener, stop=stop
            )
            result = verifier.run(deep=deep)
        damage = sum(not one.root for one in result.differences)
        now_ms = time.time_ns() // 1_000_000
        note(self._database, Verified(now_ms, len(result.differences) - damage, damage))
        return result

    def scrub(
        self,
        paths: Sequence[bytes] = (),
        *,
        rate: int,
        days: int,
        listener: Listener | None = None,
        stop: Stop = never,
    ) -> report.ScrubReport:
        """Read whole files and compare them with what they were: those not read for `days`.

        At most `rate` bytes a second (0: no limit). No lock is held while a file is read.
        """
        from indexer.checks.scrub import Scrubber, leaving_new_log  # late: few commands need it

        busy_s = self._settings.busy_timeout
        scrubber: Scrubber | None = None
        while True:
            self._close_if_lost()
            with (
                closing(
                    open_index(self._database, write=True, create=False, busy_timeout_s=busy_s)
                ) as connection,
                leaving_new_log(connection, self._database),
                explained(self._database),
            ):
                if scrubber is None:
                    if paths:
                        self._check_known(connection, paths, roots.watched(connection))
                    scrubber = Scrubber(
                        connection,
                        self._settings,
                        rate=rate,
                        days=days,
                        listener=listener,
                        stop=stop,
                    )
                scrubber.use(connection)
                with suppress(errors.LogLost):  # then the index is opened again
                    return scrubber.run(paths)
            check_is_kept(self._database)

    def add_root(self, path: bytes, name: str | None = None) -> status_report.RootStatus:
        """Watch a folder. The daemon indexes it at once, else the next scan does."""
        check_first_roots(self._settings, [path], "indexer roots add")
        with self._dispatching("roots", never) as dispatcher:
            root = root_at(dispatcher.connection, self._settings, path, name)
            self._wake_daemon(dispatcher, root)
            return self._root_status(dispatcher.connection, root)

    def remove_root(self, name: str) -> report.RootRemoved:
        """Stop watching a root. Its tracks leave the view; adding it again restores them."""
        with self._dispatching("roots", never) as dispatcher:
            connection = dispatcher.connection
            root = named(roots.watched(connection), name)
            now_ms = time.time_ns() // 1_000_000
            rows = Rows(connection, {root.id: root.name})
            shown = tracks.count_by_root(connection).get(root.id, 0)
            with rows.writing():
                empty_root(connection, rows, root.id, now_ms)
                pending.delete_of_root(connection, root.id)
                problems.delete_of_root(connection, root.id)
                artwork.delete_of_root(connection, root.id)
                pictures.delete_of_root(connection, root.id)
                playlists.delete_of_root(connection, root.id)
                lyrics.delete_of_root(connection, root.id)
                trials.delete_of_root(connection, root.id)
                roots.remove(connection, root.id, now_ms)
            if dispatcher.beside_daemon:
                enqueue_hints(connection, self._database, ())
        text, b64 = text_of(root.path)
        return report.RootRemoved(removed=root.name, path=text, path_b64=b64, tracks=shown)

    def rename_root(self, name: str, new_name: str) -> report.RootRenamed:
        """Give a root another name: each of its tracks is reported as moved, and keeps its id."""
        with self._dispatching("roots", never) as dispatcher:
            connection = dispatcher.connection
            root = named(roots.watched(connection), name)
            check_name(new_name, (one.name for one in roots.watched(connection)))
            rows = Rows(connection, {root.id: root.name})
            with rows.writing():
                moved = rename_root(connection, rows, root, new_name, time.time_ns() // 1_000_000)
            if dispatcher.beside_daemon:
                enqueue_hints(connection, self._database, ())
        return report.RootRenamed(renamed=root.name, name=new_name, tracks=moved)

    def accept_root(self, name: str) -> status_report.RootStatus:
        """Accept the disks that are at a root now, and at mount points below it."""
        with self._dispatching("roots", never) as dispatcher:
            root = named(roots.watched(dispatcher.connection), name)
            with write_transaction(dispatcher.connection):
                acceptance.accept_disks(dispatcher.connection, root)
            self._wake_daemon(dispatcher, root)
            return self._root_status(dispatcher.connection, root)

    def backup(self, target: Path) -> int:
        """Write a complete copy of the index to a new file, while in use; its size in bytes."""
        with explained(self._database):
            watched = {root.name: root.path for root in roots.watched(self._reading())}
            open_roots.check_not_scanned(target, watched, "name a place outside")
            return upkeep.copy_to(self._reading(), target)

    def backup_series(self, folder: Path, keep: int) -> tuple[Path, int, int]:
        """Write a copy named after the time, and remove all but the last `keep` of such copies.

        The folder is created where it is missing. Returns the copy, its size in bytes, and how many
        were removed; none is where the copy could not be written.
        """
        with explained(self._database):
            watched = {root.name: root.path for root in roots.watched(self._reading())}
            open_roots.check_not_scanned(folder, watched, "name a place outside", is_folder=True)
            now = datetime.now(UTC).astimezone()
            return upkeep.copy_in_series(self._reading(), folder, keep, now)

    def optimize(self) -> tuple[int, int, bool]:
        """Tidy the database file; its size in bytes before and after, and whether it is complete.

        False: another program has a long read open; the file shrinks when that has ended.
        """
        with self._dispatching("optimize", never) as dispatcher:
            before = self._database.stat().st_size
            is_all = upkeep.tidy(dispatcher.connection)
            return before, self._database.stat().st_size, is_all

    def repair(self, stop: Stop = never) -> report.RepairReport:
        """Restore derived data, and save all readable rows, with all ids.

        Waits for other commands; a daemon continues, and scans all files again if something was
        lost. Raises DatabaseDamaged if nothing can be saved.
        """
        from indexer.repair import repair  # late: only this command needs it

        self.close()
        is_index = was_used(self._database)
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
            done = repair(self._database)
        except (errors.DatabaseDamaged, errors.DatabaseMissing):
            if lock is not None and not is_index:
                lock.discard(self._database)
                lock = None
            raise
        else:
            return done
        finally:
            if lock is not None:
                lock.close()
            wake(self._database)

    def _dispatching(self, role: str, stop: Stop) -> AbstractContextManager[RunCoordinator]:
        self._close_if_lost()
        return coordinating(self._settings, self._wanted, role, stop)

    def _check_queues(self) -> None:
        """Raise an error where the queues cannot be reached, before a run is begun."""
        from indexer.queue.redis_client import check_answers  # late: few commands need Redis

        check_answers(self._settings)

    def _wake_daemon(self, dispatcher: RunCoordinator, root: RootRow) -> None:
        if dispatcher.beside_daemon:
            hint = Hint(root.id, recursive=True)
            enqueue_hints(dispatcher.connection, self._database, [hint])

    def _root_status(self, connection: Connection, root: RootRow) -> status_report.RootStatus:
        """A root after a change; a daemon begins at once to look at one that it did not know."""
        statuses = root_statuses(connection, None)
        status = next(status for status in statuses if status.name == root.name)
        holder = lock_info(self._database)
        if status.state != "idle" or holder is None or holder.role != "daemon":
            return status
        state = holder.states.get(root.name, "scanning")
        return msgspec.structs.replace(status, state="scanning" if state == "offline" else state)


def _report(done: Completed) -> report.ScanReport:
    counts = {**done.result.counts(), "offline": done.offline}
    if done.result.deferred_reads:
        counts["deferred_reads"] = done.result.deferred_reads
    counts["deferred_seconds"] = round(done.result.deferred_seconds, 3)
    if done.result.goes_on:
        counts["goes_on"] = True
    return msgspec.convert(counts, report.ScanReport)
