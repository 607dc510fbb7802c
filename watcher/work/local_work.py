"""Hints that are due -> runs of the stages in the daemon's own process, and what they leave."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from typing import Final

from msgspec import Struct

from indexer import errors, paths
from indexer.disk.filesystem import distinct_types
from indexer.engine.background import BackgroundReads
from indexer.engine.local import DaemonRun, LocalEngine
from indexer.faults import FaultStreak
from indexer.ignore.path_filter import PathFilter
from indexer.model import Hint, Listener
from indexer.process import catching_up
from indexer.readers.artwork import ArtworkWork
from indexer.readers.limited import LimitedReaders
from indexer.roots.automounts import touch_mounted, touched_by
from indexer.roots.open_roots import OpenRoots
from indexer.runs.result import EventFacts, Result
from indexer.settings import Settings
from indexer.stages.fresh_files import FreshFiles
from indexer.store import roots, tracks
from indexer.store.connection import Connection, write_transaction
from indexer.store.roots import RootRow
from indexer.store.sidecars.artwork import delete_unwanted, follow_names
from indexer.store.work import counted, pending, scans
from indexer.store.work.pending import PendingRow
from indexer.walk import Listed, walk
from watcher.roots.access import RootAccess
from watcher.roots.polled import Passed, PolledPlaces
from watcher.work.change_log import ChangeLog

_NAMES_A_ROW: Final = 100
"""Files that are written, in one row of `pending`, which is written anew as they end. A guess."""

BACKGROUND_READERS: Final = 2
"""Processes for files that may kill them: while one is at such a file, the other goes on."""

Progress = Callable[[], AbstractContextManager[Listener | None]]
"""Makes what shows a person how a long look at everything goes on."""

Files = set[tuple[int, bytes]]
"""Root id and path of each."""


class Looked(Struct):
    """The result of a scan."""

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

    `stop` is polled while it works; then it ends as soon as it can.
    """

    def __init__(
        self,
        connection: Connection,
        settings: Settings,
        path_filter: PathFilter,
        root_access: RootAccess,
        change_log: ChangeLog,
        *,
        progress: Progress = nullcontext,
        stop: Callable[[], bool],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._connection = connection
        self._settings = settings
        self._path_filter = path_filter
        self._root_access = root_access
        self._change_log = change_log
        self._progress = progress
        self._stop = stop
        self._own_rows: set[int] = set()
        """Pending rows that are ours, not a command's."""
        self._rereads: dict[tuple[int, bytes], int] = {}
        """Files that were not whole when a rebuild wanted them read again, and its id."""
        self._listed: dict[int, set[bytes]] = {}
        self.polled = PolledPlaces(clock)
        """The folders of places that report no changes, and their times."""
        self._streak = FaultStreak()
        self.fresh = FreshFiles(distinct_types(settings.db.parent), clock=clock)
        """Files that were read in the tick of their ctime."""
        limited = LimitedReaders(connection, settings, BACKGROUND_READERS)
        self.background = BackgroundReads(connection, limited)
        """Readers of what may kill them, which the loop does not wait for."""
        self.artwork: ArtworkWork | None = None
        """What chooses covers and artists' images; None where none are wanted, or workers do it."""
        if settings.redis is None:
            self.artwork = ArtworkWork(connection, settings, path_filter, clock=clock)
        delete_unwanted(connection, settings)
        follow_names(connection, settings)

    def close(self) -> None:
        """End the readers. What they had in work stays pending, or due."""
        self.background.close()
        self.fresh.close()
        if self.artwork is not None:
            self.artwork.close()

    def choose_artwork(self, *, begins: bool) -> int:
        """Write what was read for artwork, and choose a little more if it `begins` anything.

        It has idle priority. How many albums and artists were chosen for, and pictures read.
        """
        work = self.artwork
        if work is None or not (work.listen() or begins):
            return 0
        with (
            catching_up(),
            self._root_access.opened(touch_mounted, lazily=True) as (_, open_trees),
        ):
            try:
                step = work.step(open_trees.trees, begins=begins)
            except errors.RootSilent as error:
                open_trees.lose(error)
                return 0
        self._change_log.count_artwork(step)
        return step.chosen + step.read

    def take_background(self) -> Looked:
        """Write what background readers have read for earlier scans."""
        looked = Looked(Result())
        answered = self.background.limited.step()
        if answered:
            result = looked.result
            started = time.monotonic()
            hints = [job.row.hint for job, _ in answered]
            about = {hint.root_id for hint in hints}
            with self._root_access.opened(touched_by(hints, wakes=False), about) as (_, open_trees):

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
            self._change_log.count(looked.result, places=0, left=len(looked.left))
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
            daemon=DaemonRun(
                facts, self._streak, self.background, self.fresh, self.polled.times_for
            ),
        )

    def _on_what_answers(
        self,
        open_trees: OpenRoots,
        made: Callable[[], LocalEngine],
        run: Callable[[LocalEngine], None],
    ) -> LocalEngine:
        """Run an engine; again without each root that stops answering.

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
        urgent: bool = True,
        wakes: bool = False,
        waits: bool = False,
        rows: Sequence[PendingRow] = (),
    ) -> Looked:
        """Scan these places now. Those of roots that are not there are left as they were.

        Unless it is `urgent`, it has idle priority. With `wakes`, automounts that have expired
        below these places are mounted for it. What our own readers decline is read by
        others meanwhile; it `waits` for as much of that as comes quickly. `rows` are the rows of
        the hints where a command has left them, to be counted in its run.
        """
        started = time.monotonic()
        result = Result()
        looked = Looked(result)
        if self.artwork is not None:
            is_picture = self._path_filter.sidecar
            pictures = [one for one in facts.closed if is_picture(paths.name_of(one[1]))]
            if pictures:
                self.artwork.note_closed(pictures)
        self.background.waits = waits
        touches = touched_by(hints, wakes=wakes)
        about = {hint.root_id for hint in hints}
        scan_id = rows[0].scan_id if rows else 0
        with (
            self._root_access.opened(touches, about) as (_, open_trees),
            nullcontext() if urgent else catching_up(),
        ):
            parts = [
                part
                for hint in hints
                if hint.root_id in open_trees.trees
                for part in self._with_rereads(hint)
            ]

            def run(engine: LocalEngine) -> None:
                there = [part for part in parts if part.root_id in open_trees.trees]
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
            if not result.interrupted:
                for hint, times in engine.times():
                    self.polled.note_times(hint.root_id, times)
        result.seconds = time.monotonic() - started
        self._change_log.count(looked.result, places=len(hints), left=len(looked.left))
        return looked

    def look_at_all(self, root: RootRow, asked: Sequence[PendingRow] = ()) -> Looked:
        """Scan all of a root, and keep a line of it in `scans`. Automounts in it are mounted.

        `asked` is the hint of a command that waits for the same: then it is done in its run.
        """
        with self._progress() as listener:
            looked = self.look(
                [row.hint for row in asked] or [Hint(root.id, recursive=True)],
                EventFacts(),
                listener,
                urgent=bool(asked),
                wakes=True,
                waits=True,
                rows=asked,
            )
        if looked.result.interrupted:
            return looked
        if asked:
            self._end_run(asked[0].scan_id)
        else:
            self._change_log.write_down(root, looked.result, "reconcile")
        return looked

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

    def _expected(self, hints: Iterable[Hint]) -> int | None:
        counted = tracks.count_by_root(self._connection)
        return sum(counted.get(hint.root_id, 0) for hint in hints) or None

    def take_listed(self) -> dict[int, set[bytes]]:
        """Root id -> the folders that looks at all of it have listed since the last call."""
        listed, self._listed = self._listed, {}
        return listed

    def list_folders(self, root_id: int) -> None:
        """List the folders of a root, for `take_listed`, where workers have scanned it."""
        touches = touched_by([Hint(root_id, recursive=True)], wakes=True)
        with (
            self._root_access.opened(touches, {root_id}) as (_, open_trees),
            suppress(errors.RootSilent),
        ):
            tree = open_trees.trees.get(root_id)
            if tree is not None:
                found = walk(tree, b"", self._path_filter.without_files())
                listed = {one.path: one.changed_ns for one in found if isinstance(one, Listed)}
                self._listed[root_id] = set(listed)
                self.polled.note_all_times(root_id, listed)

    def look_at_times(self, root: RootRow, folders: Sequence[bytes]) -> Passed | None:
        """See which folders in these polled ones have changed; None where the root is away."""
        touches = touched_by([Hint(root.id, one, recursive=True) for one in folders], wakes=False)
        with self._root_access.opened(touches, {root.id}) as (_, open_trees):
            tree = open_trees.trees.get(root.id)
            if tree is None:
                return None
            try:
                found = self.polled.look(tree, folders, self._path_filter, lambda: not self._stop())
            except errors.RootSilent as error:
                open_trees.lose(error)
                return None
        if found.hints:
            self._change_log.log_pass(root, found)
        return found

    def note_open(self, files: Iterable[tuple[int, bytes]]) -> list[PendingRow]:
        """Make durable that these files are being written: other programs see them as pending."""
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
