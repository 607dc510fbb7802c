"""The worker that owns the database: what the jobs of scan, batch, insert and deferred share.

Each job takes its order, calls its stage, and enqueues the order of the next stage. What a job
leaves undone stands in `pending`, so no job has to be told that another one failed.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Collection
from typing import TYPE_CHECKING, Final

import msgspec
from msgspec.structs import replace

from indexer import errors
from indexer.faults import FaultStreak
from indexer.ignore.path_filter import PathFilter
from indexer.ignore_files import path_filter_of
from indexer.queue import scan
from indexer.queue.generations import GenerationTracker
from indexer.queue.orders.jobs import ODD
from indexer.queue.orders.kept_orders import drop_spent
from indexer.queue.workers.index_context import IndexContext
from indexer.queue.workers.kept_batches import KeptBatches
from indexer.readers.artwork import ArtworkWork
from indexer.runs.lock import check_is_kept
from indexer.runs.repair_process import mend
from indexer.settings import KEYS
from indexer.store.sidecars.artwork import OwnerKind
from indexer.store.sqlite_errors import explained
from indexer.store.work import pending

if TYPE_CHECKING:
    import redis

    from indexer.queue.orders.jobs import Handler
    from indexer.settings import Settings
    from indexer.settings.present import PresentSettings

_log = logging.getLogger("indexer")
_FIXED: Final = ("db", "group", "redis")
"""Settings of what a worker has open."""


class IndexWorker:
    """One open index, and what is kept between the jobs of its queues."""

    def __init__(
        self,
        settings: Settings,
        path_filter: PathFilter,
        client: redis.Redis,
        *,
        more_urgent: Collection[str] = (),
        present: PresentSettings | None = None,
    ) -> None:
        """`more_urgent` are the queues that its process serves before `deferred`.

        `present` knows when the file of the settings changes; without it they stay as they are.
        """
        self._present = present
        self.more_urgent = more_urgent
        self.streak = FaultStreak()
        self.outdated: errors.DatabaseNewer | None = None
        """Set where a newer version has migrated the index: this process is to end."""
        self.chosen = 0
        """Albums, artists and pictures of artwork since memory was given back."""
        self._client = client
        self._artwork: dict[OwnerKind, ArtworkWork] = {}
        self._work_on(IndexContext(settings, path_filter, client))

    def _work_on(self, context: IndexContext) -> None:
        self.context = context
        self.tracker = GenerationTracker(context)
        self.batches = KeptBatches()
        self.scanner = scan.Scanner(context, self.tracker)

    def _open_again_if_replaced(self) -> None:
        """Go on with the index that is there now: every job of it would be refused otherwise.

        Also where SQLite's files beside it were deleted: what is written would be lost.

        What is kept between jobs is of the other one, scans that wait for their next slice, too.
        """
        old = self.context
        what = "index replaced"
        if old.has_lost_log:
            what = "log lost"
            check_is_kept(old.settings.db)  # the daemon opens it first: it saves what is in the log
            self.close()  # first: the connections of a process share what they have of the log
        if not (old.is_closed or old.is_replaced):
            return
        new = IndexContext(old.settings, old.path_filter, self._client)
        _log.warning("%s path=%s action=it is opened again", what, old.settings.db)
        if not old.is_closed:
            self.close()
        self._artwork.clear()
        self._work_on(new)

    def drop_spent_orders(self) -> None:
        """Delete what a process has left in Redis that was killed when its rows were committed.

        What others have put in its place is left there: it would end each new worker.
        """
        context = self.context
        try:
            drop_spent(
                self._client,
                context.token,
                lambda row: pending.get(context.connection, row) is not None,
            )
        except ODD as error:
            _log.warning("orders not looked through reason=%s", error)

    def close(self) -> None:
        """Close the database."""
        for work in self._artwork.values():
            work.close()
        self.scanner.close()
        self.context.close()

    def artwork_of(self, kind: OwnerKind) -> ArtworkWork:
        """What chooses artwork of this kind; its readers live from job to job."""
        if kind not in self._artwork:
            context = self.context
            self._artwork[kind] = ArtworkWork(
                context.connection, context.settings, context.path_filter, kind=kind
            )
        return self._artwork[kind]

    def _take_settings(self) -> None:
        """Take what has changed in the settings file: the daemon has read it anew, or will.

        Its look at everything, which follows, is to want the files that it wants (rule R13).
        """
        if self._present is None:
            return
        context = self.context
        try:
            new = self._present.changed()
            if new is None:
                return
            new = replace(new, **{key: getattr(context.settings, key) for key in _FIXED})
            wanted = path_filter_of(new)
        except (errors.SettingsError, OSError) as error:
            _log.warning("settings refused detail=%s action=the old settings stay", error)
            return
        other = [key for key in KEYS if getattr(new, key) != getattr(context.settings, key)]
        if not other:
            return
        _log.warning("settings changed=%s action=taken", " ".join(other))
        context.settings, context.path_filter = new, wanted
        for work in self._artwork.values():
            work.close()
        self._artwork.clear()

    def _run(self, run: IndexJob, raw: msgspec.Raw) -> None:
        """Run a job function on the index that is there now, with the settings of now."""
        self._take_settings()
        self._open_again_if_replaced()
        run(self, raw)

    def guarded(self, run: IndexJob) -> Handler:
        """A job function that has the index repaired where it is damaged, and is run once more.

        An error of SQLite comes out as one of ours.
        """
        database = self.context.settings.db

        def explaining(raw: msgspec.Raw) -> None:
            try:
                with explained(database):
                    self._run(run, raw)
            except errors.DatabaseNewer as error:
                self.outdated = error
                raise

        def mending(raw: msgspec.Raw) -> None:
            try:
                explaining(raw)
            except errors.DatabaseDamaged as error:
                done = mend(database, lambda: False)
                parts = ", ".join(done.made_again) or "nothing"
                _log.warning("repaired made_again=%s detail=%s", parts, error)
                explaining(raw)

        return mending


IndexJob = Callable[[IndexWorker, msgspec.Raw], None]
"""A job function, which gets its order as JSON."""
