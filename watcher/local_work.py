"""Places that are due -> the index equals the disk there, and a line for each change."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from contextlib import contextmanager, nullcontext, suppress
from typing import Final

from msgspec import Struct

from indexer import errors, paths
from indexer.disk.descent import lstat_at
from indexer.disk.mounts import has_expired, read_mounts
from indexer.engine.background import BackgroundReads
from indexer.engine.local import DaemonRun, LocalEngine
from indexer.faults import FaultStreak
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint, Listener
from indexer.process import give_back
from indexer.readers.artwork import ArtworkWork, forget_unwanted, purge
from indexer.readers.limited import LimitedReaders
from indexer.roots import acceptance, open_roots
from indexer.roots.automounts import Touches, touch_mounted, touched_by
from indexer.roots.open_roots import OpenRoots
from indexer.runs.lock import what_became
from indexer.runs.result import EventFacts, Result
from indexer.runs.throughput import Throughput
from indexer.settings import Settings
from indexer.shares.hanging import ask_at, is_share
from indexer.stages.outcome import Outcome
from indexer.store import changes, counted, pending, problems, roots, scans, tracks, upkeep
from indexer.store.connection import Connection, read_transaction, token_of, write_transaction
from indexer.store.pending import PendingRow
from indexer.store.problems import InIndex, in_index
from indexer.store.roots import RootRow
from indexer.walk import Listed, walk
from watcher.log import EventLog
from watcher.reconcile import SidecarRetries
from watcher.roots import RootStatus
from watcher.system import catching_up

_TOLD_ONE_BY_ONE: Final = 40
"""Changes of one flush that get a line each; more are summed up. A guess."""
_NAMES_A_ROW: Final = 100
"""Files that are written, in one row of `pending`, which is written anew as they end. A guess."""
_LOCK_PAUSE_S: Final = 0.02
"""The longest pause between two tries at a lock that another program holds. A guess."""

BACKGROUND_READERS: Final = 2
"""Processes for files that may kill them: while one is at such a file, the other goes on."""
_LOG_MUCH: Final = 20_000_000
"""Above what SQLite lets stand (`journal_size_limit`, 16 MiB): something kept it from shrinking."""
_NOT_WRITTEN: Final = (Outcome.MISSING, Outcome.PROBLEM)

Files = set[tuple[int, bytes]]
"""Root id and path of each."""


class Looked(Struct):
    """What came of a look."""

    result: Result
    left: Files = set()
    """Files that were not whole."""
    links: Files = set()
    """Other links to files that were found changed."""
    absent: set[int] = set()
    """Roots that were not there, so that nothing was done for them."""
    freed: Files = set()
    """Places that may be looked at now that a reader has answered."""

    def take(self, engine: LocalEngine, absent: set[int]) -> None:
        """Take in what an engine has found."""
        self.left, self.links, self.absent = set(engine.writer.left), engine.writer.links, absent


class LocalWork:
    """Runs the stages for a daemon, through its one writing connection.

    `stop` is asked while it works and while it waits for a lock; then it ends as soon as it can.
    """

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        path_filter: PathFilter,
        log: EventLog,
        stop: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.log_is_held = False
        """Whether somebody's long read keeps the WAL from shrinking."""
        self.pace = Throughput()
        """What it gets through, for `status`."""
        self._connection = connection
        self._settings = settings
        self._path_filter = path_filter
        self._log = log
        self._stop = stop
        self._own_rows: set[int] = set()
        """Pending rows that are ours, not a command's."""
        self._rereads: dict[tuple[int, bytes], int] = {}
        """Files that were not whole when a rebuild wanted them read again, and its id."""
        self._listed: dict[int, set[bytes]] = {}
        self._watched: list[RootRow] = []
        self._shares: set[bytes] = set()
        """The paths of roots that may hang."""
        self._told_to = changes.newest(connection)
        self.inode = os.stat(settings.db).st_ino
        """Of the database's file."""
        self._token = token_of(connection)
        self._waits_until = 0.0
        self._streak = FaultStreak()
        limited = LimitedReaders(connection, settings, BACKGROUND_READERS)
        self.background = BackgroundReads(connection, limited)
        """Readers of what may kill them, which the loop does not wait for."""
        self.artwork: ArtworkWork | None = None
        """What chooses covers and artists' images; None where none are wanted, or workers do it."""
        if settings.redis is None:
            self.artwork = ArtworkWork(connection, settings, path_filter, clock=clock)
        self._sidecar_retries = SidecarRetries(connection, settings)
        forget_unwanted(connection, settings)
        connection.set_busy_handler(self._goes_on_waiting)

    def _goes_on_waiting(self, tries: int) -> bool:
        """Whether SQLite is to try again for a lock: as its own handler, but for `stop`."""
        now = time.monotonic()
        if tries == 0:
            self._waits_until = now + self._settings.busy_timeout
        if self._stop() or now >= self._waits_until:
            return False
        time.sleep(min(0.001 * 2 ** min(tries, 10), _LOCK_PAUSE_S))
        return True

    # Disks

    def root_statuses(self, touches: Touches) -> list[RootStatus]:
        """Look which roots are there, with their disks.

        What may be accepted without asking is accepted. Raises CannotDo when the database was
        replaced.
        """
        self.check_database()
        watched = roots.watched(self._connection)
        self._end_helpers(watched)
        for row in watched:
            for one in acceptance.learn_mounts(self._connection, row, touches):
                place = os.fsdecode(paths.join(row.path, one.folder))
                self._log.info("disk taken", root=row.name, path=place, disk=one.disk.identity)
        with self._disks(touches) as (watched, open_trees):
            self._watched = watched
            mounts = {row.id: tuple(roots.mounts(self._connection, row.id)) for row in watched}
            return [
                RootStatus(
                    row,
                    mounts[row.id],
                    open_trees.offline.get(row.id),
                    open_trees.away(row.id),
                    open_trees.automounts[row.id],
                )
                for row in watched
                if mounts[row.id]  # else a command has removed it a moment ago
            ]

    def _end_helpers(self, watched: Iterable[RootRow]) -> None:
        """End what looked at roots that may hang, and that are gone, or mounted no more."""
        paths = {row.path for row in watched if is_share(row.path)}
        if self._shares - paths:
            from indexer.shares.registry import shares  # late: most daemons have none

            shares.keep(paths)
        self._shares = paths

    def has_expired(self, path: bytes) -> bool:
        """Whether a path lies behind an automount on which nothing is mounted now."""
        return has_expired(path, read_mounts())

    def why_empty(self, root: RootRow) -> str | None:
        """What to tell of a root in which there never was music; None of any other."""
        if not roots.never_had_music(self._connection, root.id):
            return None
        return open_roots.no_music(root).removeprefix(f"{root.name}: ")

    def roots_changed(self) -> bool:
        """Whether a command has added or removed a root since the last `standings`."""
        return roots.watched(self._connection) != self._watched

    def check_file(self) -> None:
        """Raise DatabaseMissing where the file is not the one that this process has opened."""
        self._check_became(what_became(self._settings.db, self.inode))

    def check_database(self) -> None:
        """The same, also where another index was written into the file."""
        what = what_became(self._settings.db, self.inode)
        if what is None and token_of(self._connection) != self._token:
            what = "was overwritten with another index"
        self._check_became(what)

    def _check_became(self, what: str | None) -> None:
        if what is not None:
            raise errors.DatabaseMissing(
                f"{self._settings.db}: {what} while this process kept it; put the file or a copy of"
                " it (`indexer backup`) in its place, and start `watcher run` again"
            )

    def was_repaired(self) -> None:
        """Take the index as it is now. Raises DatabaseMissing where it stands in a new file."""
        if what_became(self._settings.db, self.inode) is not None:
            raise errors.DatabaseMissing(
                f"{self._settings.db}: was repaired into a new file; start `watcher run` again"
            )
        self._token = token_of(self._connection)
        self._told_to = min(self._told_to, changes.newest(self._connection))

    @contextmanager
    def _disks(
        self, touches: Touches, about: Collection[int] | None = None
    ) -> Iterator[tuple[list[RootRow], OpenRoots]]:
        """All watched roots, held open for as long as the `with` lasts.

        Of those that may hang only what a look is `about`, by root ids. What is known of them is
        read at one moment, since commands add and remove roots.
        """
        with read_transaction(self._connection):
            watched = roots.watched(self._connection)
            open_trees = open_roots.open_roots(
                self._connection,
                watched,
                follow_links=self._path_filter.follow_links,
                touches=touches,
                about=about,
            )
        try:
            yield watched, open_trees
        finally:
            open_trees.close()

    def count_days(self, root_ids: Iterable[int]) -> None:
        """Once a day: count it for these roots, and forget what left long ago."""
        now_ms = time.time_ns() // 1_000_000
        settings = self._settings
        root_ids = tuple(root_ids)
        is_new = any(upkeep.is_new_day(self._connection, one, now_ms) for one in root_ids)
        upkeep.count_days(
            self._connection, root_ids, now_ms, settings.keep_missing, settings.keep_changes
        )
        if is_new:
            purge(self._connection, settings)

    def in_index(self, away: Collection[int]) -> InIndex:
        """What is not well according to the index; `away` are the ids of roots that are offline."""
        return in_index(self._connection, away, time.time_ns() // 1_000_000)

    # Places

    def unreadable(self, rests: Callable[[int, bytes], bool]) -> set[Hint]:
        """The places in which the machine, and not their bytes, kept files from being read.

        But not those that rest (by root id and path), since asking for them mounts their disk.
        """
        watched = {row.id: row for row in self._watched}
        places = set()
        for root_id, path, has_stamp in problems.unreadable(self._connection):
            if root_id not in watched or rests(root_id, path):
                continue
            if has_stamp:
                places.add(Hint(root_id, paths.parent_of(path)))
            elif not path or self._may_be_folder(watched[root_id], path):
                places.add(Hint(root_id, path, recursive=True))
            else:  # by its name: a look at its folder takes it for a folder, and leaves it be
                places.add(Hint(root_id, paths.parent_of(path), (paths.name_of(path),)))
        return places

    def retry_pictures(self, rests: Callable[[int, bytes], bool], now: float) -> None:
        """Make pictures and playlists due again that the machine could not read, if it is time."""
        self._sidecar_retries.turn([row.id for row in self._watched], rests, now)

    def _may_be_folder(self, root: RootRow, path: bytes) -> bool:
        """Whether a folder is there, or that is unknown: no rights above it, or a disk error.

        By the time it is looked at it may be open again, and a look for a file would see no folder.
        """
        try:
            status = ask_at(root.path, lstat_at, root.path, path, self._path_filter.follow_links)
        except (FileNotFoundError, NotADirectoryError):
            return False
        except (OSError, errors.RootSilent):
            return True
        return status is not None and stat.S_ISDIR(status.st_mode)

    def close(self) -> None:
        """End the readers. What they had in work stays pending, or due."""
        self.background.close()
        if self.artwork is not None:
            self.artwork.close()

    def choose_artwork(self, *, begins: bool) -> None:
        """Write what was read for artwork, and choose a little more if it `begins` anything.

        It steps aside for all that other programs do.
        """
        work = self.artwork
        if work is None or not (work.listen() or begins):
            return
        with catching_up(), self._disks(touch_mounted) as (_, open_trees):
            try:
                step = work.step(open_trees.trees, begins=begins)
            except errors.RootSilent as error:
                open_trees.lose(error)
                return
        self.pace.add_artwork(time.time(), step.chosen)
        self.pace.add_totals(bytes_read=step.bytes_read)
        if step.chosen or step.read:
            self._log.debug("artwork", chosen=step.chosen, read=step.read, bytes=step.bytes_read)

    def take_background(self) -> Looked:
        """Write what the readers have read for looks of before."""
        looked = Looked(Result())
        answered = self.background.limited.step()
        if answered:
            result = looked.result
            started = time.monotonic()
            hints = [job.row.hint for job, _ in answered]
            about = {hint.root_id for hint in hints}
            with self._disks(touched_by(hints, wakes=False), about) as (_, open_trees):

                def insert(engine: LocalEngine) -> None:
                    engine.insert_answered(answered)

                engine = self._on_what_answers(
                    open_trees, lambda: self._engine(open_trees, result, EventFacts()), insert
                )
                scan_ids = {job.row.scan_id for job, _ in answered}
                for scan_id in scan_ids | engine.writer.runs_answered:
                    self._end_run(scan_id)
                looked.take(engine, about - open_trees.trees.keys())
            result.seconds = time.monotonic() - started
            self._count(looked, places=0)
        looked.freed, self.background.freed = self.background.freed, set()
        return looked

    def _engine(
        self,
        open_trees: OpenRoots,
        result: Result,
        facts: EventFacts,
        listener: Listener | None = None,
    ) -> LocalEngine:
        return LocalEngine(
            self._connection,
            open_trees.trees,
            self._settings,
            self._path_filter,
            result,
            listener=listener,
            stop=self._stop,
            daemon=DaemonRun(facts, self._streak, self.background),
        )

    def _on_what_answers(
        self,
        open_trees: OpenRoots,
        made: Callable[[], LocalEngine],
        run: Callable[[LocalEngine], None],
    ) -> LocalEngine:
        """Have an engine do something, anew without each root that does not answer any more.

        What it has committed stays, and is found unchanged.
        """
        while True:
            engine = made()
            try:
                run(engine)
            except errors.RootSilent as error:
                open_trees.lose(error)
            else:
                return engine
            finally:
                self._note_rows(engine)

    def _note_rows(self, engine: LocalEngine) -> None:
        """Remember which pending rows are ours, and what of them a rebuild wants."""
        self._rereads |= engine.writer.left_rereads
        self._own_rows |= engine.writer.left_rows | engine.readers.declined

    def look(
        self,
        hints: Sequence[Hint],
        facts: EventFacts,
        listener: Listener | None = None,
        *,
        in_a_hurry: bool = True,
        wakes: bool = False,
        waits: bool = False,
        rows: Sequence[PendingRow] = (),
    ) -> Looked:
        """Scan these places now. Those of roots that are not there are left as they were.

        Not `in_a_hurry`, it steps aside for all that other programs do. `wakes`: automounts that
        have expired below these places are mounted for it. What our own readers decline is read by
        others meanwhile; it `waits` for as much of that as comes quickly. `rows` are the rows of
        the hints where a command has left them, to be counted in its run.
        """
        started = time.monotonic()
        result = Result()
        looked = Looked(result)
        if self.artwork is not None:
            is_picture = self._path_filter.sidecar
            self.artwork.note_closed(
                one for one in facts.closed if is_picture(paths.name_of(one[1]))
            )
        self.background.waits = waits
        touches = touched_by(hints, wakes=wakes)
        about = {hint.root_id for hint in hints}
        scan_id = rows[0].scan_id if rows else 0
        with (
            self._disks(touches, about) as (_, open_trees),
            nullcontext() if in_a_hurry else catching_up(),
        ):
            wishes = [
                wish
                for hint in hints
                if hint.root_id in open_trees.trees
                for wish in self._with_rereads(hint)
            ]

            def run(engine: LocalEngine) -> None:
                there = [wish for wish in wishes if wish.root_id in open_trees.trees]
                own = [row for row in rows if row.hint.root_id in open_trees.trees]
                expected = self._expected(there) if listener else None
                engine.run(there, expected=expected, scan_id=scan_id, rows=own)

            engine = self._on_what_answers(
                open_trees, lambda: self._engine(open_trees, result, facts, listener), run
            )
            looked.take(engine, about - open_trees.trees.keys())
            if self.artwork is not None:
                self.artwork.note_disks(open_trees.trees)
            for hint, folders in engine.listed():
                if hint.recursive and not hint.folder:
                    self._listed[hint.root_id] = folders
        result.seconds = time.monotonic() - started
        self._count(looked, places=len(hints))
        return looked

    def _count(self, looked: Looked, places: int) -> None:
        """Log what was done, at so many places that were hinted."""
        result = looked.result
        self.pace.add(
            time.time(),
            discovery=result.seen,
            extraction=result.files_read,
            insertion=sum(result.tally[one] for one in Outcome if one not in _NOT_WRITTEN),
            failed=result.tally[Outcome.PROBLEM],
        )
        self.pace.add_totals(bytes_read=result.bytes_read, cache_hits=result.unchanged)
        self._log.debug(
            "looked",
            places=places,
            seen=result.seen,
            read=result.files_read,
            bytes=result.bytes_read,
            left=len(looked.left),
            seconds=result.seconds,
        )
        self.tell_changes()

    def do_run(self, rows: Sequence[PendingRow]) -> Looked:
        """Do what a command has asked for, and end its run; `rows` are all hints of it."""
        looked = self.look([row.hint for row in rows], EventFacts(), wakes=True, rows=rows)
        if not looked.result.interrupted:
            self._end_run(rows[0].scan_id)
        return looked

    def _end_run(self, scan_id: int) -> None:
        """End a run of which nothing is in work any more; readers may have some of it yet."""
        if not scan_id or counted.waits_for(self._connection, scan_id):
            return
        with write_transaction(self._connection):
            scans.end(self._connection, scan_id, time.time_ns() // 1_000_000)

    def _with_rereads(self, hint: Hint) -> list[Hint]:
        """A hint of files, in parts: what a rebuild wanted read again and was not whole then."""
        if hint.names is None or hint.reread or not self._rereads:
            return [hint]
        by_reread: dict[int, list[bytes]] = {}
        for name in hint.names:
            place = (hint.root_id, paths.join(hint.folder, name))
            by_reread.setdefault(self._rereads.pop(place, 0), []).append(name)
        return [
            Hint(hint.root_id, hint.folder, tuple(names), reread=reread)
            for reread, names in by_reread.items()
        ]

    def tend_log(self) -> None:
        """Move a WAL that has grown into the database, and see whether a reader forbids it.

        SQLite does so by itself when it commits, but not past what the oldest reader looks at, and
        it gives the file's space back only when it begins anew.
        """
        log = self._settings.db.with_name(self._settings.db.name + "-wal")
        if not log.exists() or log.stat().st_size <= _LOG_MUCH:
            self.log_is_held = False
            return
        self._connection.set_busy_handler(lambda _tries: False)
        try:
            self.log_is_held = not upkeep.empty_log(self._connection)
        finally:
            self._connection.set_busy_handler(self._goes_on_waiting)

    def rest(self) -> None:
        """After much work: do what the next change would have to wait for, and free memory."""
        give_back(self._connection)

    def _expected(self, hints: Iterable[Hint]) -> int | None:
        counted = tracks.count_by_root(self._connection)
        return sum(counted.get(hint.root_id, 0) for hint in hints) or None

    def take_listed(self) -> dict[int, set[bytes]]:
        """Root id -> the folders that looks at all of it have listed since the last call."""
        listed, self._listed = self._listed, {}
        return listed

    def list_folders(self, root_id: int) -> None:
        """List the folders of a root, for `take_listed`, where somebody else has looked at it."""
        touches = touched_by([Hint(root_id, recursive=True)], wakes=True)
        with self._disks(touches, {root_id}) as (_, open_trees), suppress(errors.RootSilent):
            tree = open_trees.trees.get(root_id)
            if tree is not None:
                found = walk(tree, b"", self._path_filter.without_files())
                self._listed[root_id] = {one.path for one in found if isinstance(one, Listed)}

    def note_open(self, files: Iterable[tuple[int, bytes]]) -> list[PendingRow]:
        """Make durable that these files are being written, so that everybody knows them pending."""
        by_root: dict[int, list[bytes]] = {}
        for root_id, path in sorted(files):
            by_root.setdefault(root_id, []).append(path)
        now_ms = time.time_ns() // 1_000_000
        rows = []
        with write_transaction(self._connection):
            for root_id, written in by_root.items():
                if not roots.is_watched(self._connection, root_id):
                    continue
                for start in range(0, len(written), _NAMES_A_ROW):
                    hint = Hint(root_id, b"", tuple(written[start : start + _NAMES_A_ROW]))
                    rows.append(pending.add_open(self._connection, hint, now_ms))
        self._own_rows |= {row.id for row in rows}
        return rows

    def left_by_others(self) -> list[PendingRow]:
        """What commands have left to be looked at, and what a run left that was killed."""
        rows = pending.all_rows(self._connection)
        self._own_rows &= {row.id for row in rows}
        return [row for row in rows if row.id not in self._own_rows]

    # What is told

    def write_down(self, root: RootRow, result: Result, kind: str) -> None:
        """Keep a line in `scans` of a look at everything, if it found anything (rule R14)."""
        if not result.has_changes:
            return
        now_ms = time.time_ns() // 1_000_000
        with write_transaction(self._connection):
            began_ms = now_ms - int(result.seconds * 1000)
            scan_id = scans.start(self._connection, kind, [root.name], began_ms, alone=False)
            scans.add(self._connection, scan_id, result.numbers())
            state = "interrupted" if result.interrupted else "done"
            scans.end(self._connection, scan_id, now_ms, state=state, seconds=result.seconds)

    def tell_changes(self) -> None:
        """A line in the log for each change since the last call."""
        newest = changes.newest(self._connection)
        if newest == self._told_to:
            return
        counted = changes.counted_since(self._connection, self._told_to)
        self.pace.add_changes(counted)
        if newest - self._told_to > _TOLD_ONE_BY_ONE:
            self._log.info("settled", **counted)
        else:
            for row in changes.since(self._connection, self._told_to):
                _, _, kind, _, root, path, old_root, old_path, _ = row
                came_from = {} if old_path is None else {"from": _place(old_root, old_path)}
                self._log.info(kind, path=_place(root, path), **came_from)
        self._told_to = newest


def _place(root: str | None, path: str | bytes) -> str:
    text = path.decode("utf-8", "backslashreplace") if isinstance(path, bytes) else path
    return f"{root}/{text}"
