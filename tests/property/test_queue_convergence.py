"""The queue engine on one real folder, with queues that lose, duplicate and reorder jobs.

The dispatcher, the job functions, the disk and SQLite are real; only Redis is simulated, so that
every order of events can be tried. Hints are never lost: when the interference stops, index equals
disk without another full scan.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import msgspec
import redis
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from indexer.checks.verify import Verifier
from indexer.errors import QueueError
from indexer.ignore_files import path_filter_of
from indexer.model import Hint
from indexer.queue.dispatch.dispatcher import Dispatcher
from indexer.queue.extract import Extractor
from indexer.queue.orders.kept_orders import KeptOrder
from indexer.queue.orders.messages import BatchOrder, FactsText
from indexer.queue.orders.queues import JobState, chunk_job, files_in
from indexer.queue.workers.index_worker import IndexWorker
from indexer.queue.workers.profiles import QUEUES
from indexer.queue.workers.worker_process import handlers_of
from indexer.roots.registry import root_at
from indexer.settings import Settings
from indexer.stages.extract import extract
from indexer.store.connection import open_index
from indexer.store.work import pending
from tests.corpus import tagged

NAMES = ("a.mp3", "b.mp3", "d/c.mp3")
LEASE_S = 15.0
ENOUGH = 400
"""Rounds after which all work must be done."""


class PlayedQueues:
    """`Queues` without Redis; jobs are kept as JSON."""

    def __init__(self) -> None:
        self.jobs: dict[str, list[tuple[str, bytes]]] = {name: [] for name in QUEUES}
        self.failed: set[str] = set()
        self._batch_orders: dict[str, bytes] = {}
        self._newest: dict[int, str] = {}
        """Row -> its newest job of `batch`."""
        self._parked: dict[int, tuple[int, int]] = {}
        self._scans: dict[int, tuple[int, int]] = {}

    def put(self, name: str, order: object, *, job_id: str, **_told: object) -> None:
        self.jobs[name] = [job for job in self.jobs[name] if job[0] != job_id]
        self.jobs[name].append((job_id, msgspec.json.encode(order)))

        if name == "batch":
            self._batch_orders[job_id] = self.jobs[name][-1][1]

    def put_batch(self, order: BatchOrder, **_told: object) -> str:
        origin = order.origin
        job_id = chunk_job("batch", origin.row, origin.files, origin.turn)
        self.put("batch", order, job_id=job_id)
        self._newest[origin.row] = job_id
        return job_id

    def kept_order(self, _index: str, row: int) -> KeptOrder | None:
        job_id = self._newest.get(row, "")
        if job_id not in self._batch_orders:
            return None
        is_done = job_id not in self.waiting() | self.failed
        return KeptOrder(job_id, is_done, self.batch_order(job_id))

    def drop(self, job_id: str) -> None:
        del self._batch_orders[job_id]

    def batch_order(self, job_id: str) -> msgspec.Raw:
        if job_id not in self._batch_orders:
            raise QueueError(job_id)
        return msgspec.Raw(self._batch_orders[job_id])

    def put_artwork(self, function: str, order: object) -> None:
        self.put("deferred", order, job_id=f"artwork-{function}")

    def flush(self) -> None:
        self.__init__()  # type: ignore[misc]  # like FLUSHALL

    def files_held(self) -> int:
        return sum(
            files_in(job_id)
            for name in ("extract", "batch", "insert")
            for job_id, _ in self.jobs[name]
        )

    def waiting(self) -> set[str]:
        return {job_id for jobs in self.jobs.values() for job_id, _ in jobs}

    def states(self, job_ids: Sequence[str]) -> list[JobState]:
        return [JobState("failed" if job_id in self.failed else "") for job_id in job_ids]

    def park(self, generation: int, turn: int, slice_: int) -> None:
        self._parked[generation] = turn, slice_

    def unpark(self, generation: int) -> bool:
        return self._parked.pop(generation, None) is not None

    def parked(self) -> list[tuple[int, int, int]]:
        return [(generation, *place) for generation, place in self._parked.items()]

    def facts_noted(self, generation: int) -> FactsText:
        del generation  # no relay plays a part
        return FactsText()

    def note_scan(self, generation: int, seen: int, planned: int) -> None:
        self._scans[generation] = seen, planned

    def scan_noted(self, generation: int) -> tuple[int, int]:
        return self._scans.get(generation, (0, 0))

    def drop_scan(self, generation: int) -> None:
        self._scans.pop(generation, None)


class Silent:
    """A counter that ignores everything."""

    def count(self, *_counted: object, **_totals: int) -> None:
        pass

    def count_all(self, *_counted: object, **_totals: int) -> None:
        pass

    def add_totals(self, **_numbers: int) -> None:
        pass


class QueueConvergence(RuleBasedStateMachine):
    """Files change, jobs run in any order, get lost and come twice, processes end."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = Path(tempfile.mkdtemp())
        self.music = self.folder / "music"
        (self.music / "d").mkdir(parents=True)
        self.settings = Settings(
            db=self.folder / "library.db",
            redis="redis://played",
            still=0.0,
            lease=LEASE_S,
            queue_files=2,
            chunk_files=2,
            queue_live_files=2,
            retry_first=0.01,
            retry_longest=1.0,
        )
        self.wanted = path_filter_of(self.settings)
        self.now = 1_000.0
        self.written = 0
        self.hinted: set[str] = set()
        """Changed names that were not hinted yet."""
        self.queues = PlayedQueues()
        self.connection = open_index(self.settings.db, write=True)
        self.root = root_at(self.connection, self.settings, os.fsencode(self.music))

    @initialize()
    def begin(self) -> None:
        self.owner = self._owner()
        self.lender = Extractor(self.settings, nobody(), extract)
        self.lender._queues = self.queues  # type: ignore[assignment]
        self.dispatcher = self._dispatcher()

    def _owner(self) -> IndexWorker:
        owner = IndexWorker(self.settings, self.wanted, nobody())
        owner.context.queues = self.queues  # type: ignore[assignment]
        owner.context.rates = Silent()  # type: ignore[assignment]
        return owner

    def _dispatcher(self) -> Dispatcher:
        dispatcher = Dispatcher(
            self.connection,
            self.settings,
            say=lambda *_told: None,
            patient=True,
            clock=lambda: self.now,
            chance=lambda: 0.5,
        )
        dispatcher._queues = self.queues  # type: ignore[assignment]
        dispatcher._check_at = math.inf  # it never sees that Redis began anew: leases have to
        return dispatcher

    def teardown(self) -> None:
        if hasattr(self, "owner"):
            self.come_to_rest()
            self.owner.close()
        self.connection.close()
        shutil.rmtree(self.folder)

    # The disk

    @rule(name=st.sampled_from(NAMES))
    def write(self, name: str) -> None:
        self.written += 1
        (self.music / name).write_bytes(tagged(title=f"song {self.written}"))
        self.hinted.add(name)

    @rule(name=st.sampled_from(NAMES))
    def remove(self, name: str) -> None:
        (self.music / name).unlink(missing_ok=True)
        self.hinted.add(name)

    @rule(names=st.permutations(NAMES))
    def move(self, names: Sequence[str]) -> None:
        source, target = names[:2]
        if (self.music / source).exists():
            (self.music / source).rename(self.music / target)
            self.hinted.update((source, target))

    @rule(names=st.permutations(NAMES))
    def link(self, names: Sequence[str]) -> None:
        """The other link has a new ctime, and there is no event for it."""
        source, target = names[:2]
        if (self.music / source).exists() and not (self.music / target).exists():
            (self.music / target).hardlink_to(self.music / source)
            self.hinted.add(target)

    # Hints

    @rule(recursive=st.booleans())
    def deliver(self, recursive: bool) -> None:
        if not self.hinted:
            return
        if recursive:
            self.dispatcher.enqueue([Hint(self.root.id, recursive=True)])
        else:
            names = tuple(os.fsencode(name) for name in sorted(self.hinted))
            self.dispatcher.enqueue([Hint(self.root.id, b"", names)])
        self.hinted.clear()

    @rule(seconds=st.sampled_from([0.0, 1.0, LEASE_S, 3 * LEASE_S]))
    def dispatch(self, seconds: float) -> None:
        self.now += seconds
        self.dispatcher.tick(self.now)

    # Jobs

    @rule(name=st.sampled_from(QUEUES), newest=st.booleans(), again=st.booleans())
    def run_job(self, name: str, newest: bool, again: bool) -> None:
        """Run one job; `again`: it stays in the queue although it has a result."""
        jobs = self.queues.jobs[name]
        if not jobs:
            return
        job = jobs[-1 if newest else 0]
        if not again:
            jobs.remove(job)
        self._run(name, job[1])

    @rule(name=st.sampled_from(QUEUES), fails=st.booleans())
    def lose_job(self, name: str, fails: bool) -> None:
        if self.queues.jobs[name]:
            job_id, _ = self.queues.jobs[name].pop()
            if fails:
                self.queues.failed.add(job_id)

    def _run(self, name: str, data: bytes) -> None:
        handlers = {**handlers_of(self.owner), **self.lender.handlers}
        handlers[name](msgspec.Raw(data))

    # Faults

    @rule()
    def flush_redis(self) -> None:
        self.queues.flush()

    @rule()
    def restart_owner(self) -> None:
        self.owner.close()
        self.owner = self._owner()

    @rule()
    def restart_foreman(self) -> None:
        self.dispatcher.close()
        self.dispatcher = self._dispatcher()

    # What holds always, and in the end

    @invariant()
    def no_place_has_two_rows(self) -> None:
        query = "SELECT count(*), count(DISTINCT path) FROM tracks WHERE gone = 0"
        counted = self.connection.execute(query).fetchone()
        assert counted is not None
        assert counted[0] == counted[1]

    def come_to_rest(self) -> None:
        self.deliver(False)
        for _ in range(ENOUGH):
            self.dispatcher.tick(self.now)
            for name in QUEUES:
                while self.queues.jobs[name]:
                    _, data = self.queues.jobs[name].pop(0)
                    self._run(name, data)
            if not pending.all_rows(self.connection):
                break
            self.now += LEASE_S
        assert pending.all_rows(self.connection) == []
        verifier = Verifier(
            self.connection, self.settings, self.wanted, listener=None, stop=lambda: False
        )
        report = verifier.run(deep=True)
        assert report.ok, report.differences
        on_disk = {os.fspath(file.relative_to(self.music)) for file in self.music.rglob("*.mp3")}
        told: dict[int, str] = {}
        for kind, track_id, path in self.connection.execute(
            "SELECT kind, track_id, path FROM changes ORDER BY seq"
        ):
            told[track_id] = path
            if kind == "missing":
                del told[track_id]
        assert sorted(told.values()) == sorted(on_disk)


def nobody() -> Any:
    """A client that is never used."""
    return redis.Redis(unix_socket_path="/nobody/listens/here")


TestQueueConvergence = QueueConvergence.TestCase
TestQueueConvergence.settings = settings(
    max_examples=int(os.environ.get("CONVERGENCE", "40")),
    stateful_step_count=40,
    deadline=None,
    derandomize="CONVERGENCE" not in os.environ,
    suppress_health_check=list(HealthCheck),
)
