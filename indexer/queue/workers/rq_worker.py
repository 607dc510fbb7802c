"""The two kinds of RQ's workers that serve our queues."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Final

import redis
from rq import SimpleWorker
from rq.exceptions import InvalidJobOperation
from rq.job import JobStatus
from rq.timeouts import BaseDeathPenalty

from indexer.process import free_memory
from indexer.queue.orders.jobs import READING, Handler, JobsJson, OurJob, OurQueue, our_queue
from indexer.queue.workers.rq_overrides import WORKER_TTL_S, RqOverrides

if TYPE_CHECKING:
    from rq.job import Job
    from rq.queue import Queue

    from indexer.queue.workers.chunk_reader import ChunkReader

_HEARTBEAT_S: Final = 5
"""How often a worker that extracts sends a heartbeat for its job (rule R5)."""
_HEARTBEAT_TTL_S: Final = _HEARTBEAT_S + 60
"""After so long without a heartbeat RQ takes a job for abandoned; as for RQ's own forking
worker."""
IDLE_S: Final = 30
"""Idle time before a worker gives memory back, and a reader process ends, as does an extract worker
that is not the only one. At rest each takes some 20 MB for nothing. A guess."""
_COUNTS_APART_S: Final = 0.05
"""Between two counts of the jobs that wait while one is read. A guess."""
_MAINTENANCE_S: Final = 60
"""By default RQ moves a dead worker's jobs to the failed ones only after ten minutes."""
_HANDED_BACK_PAUSE_S: Final = 2.0
"""After a job was handed back, another machine gets so much time to take it. A guess."""


class _RestingRqWorker(RqOverrides, SimpleWorker):
    """Comes to rest when no job has come for a while after one."""

    _has_worked = False
    """Whether it has run a job since it was last at rest."""

    @property
    def _may_rest(self) -> bool:
        return self._has_worked

    def _rest(self) -> None:
        self._has_worked = False

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """The next job; where none has come for a while, it comes to rest and waits on."""
        if self._may_rest and timeout is not None and max_idle_time is None:
            found = super().dequeue_job_and_maintain_ttl(IDLE_S, IDLE_S)
            if found is not None:
                return found
            self._rest()
            self._report_vitals_if_redis_takes_them()
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run one job."""
        self._has_worked = True
        super().execute_job(job, queue)

    def _report_vitals_if_redis_takes_them(self) -> None:
        try:
            self.report_vitals()
        except redis.RedisError:
            self.log.warning("memory and processor time not written", exc_info=True)


class IndexRqWorker(_RestingRqWorker):
    """Runs each job in its own process, since that holds the open database."""

    free_memory: Callable[[], None] = staticmethod(free_memory)
    """Gives back what the jobs took."""
    is_outdated: Callable[[], bool] = staticmethod(lambda: False)
    """Whether a newer version has migrated that."""

    def _rest(self) -> None:
        super()._rest()
        self.free_memory()

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run one job, and check how much memory it left in use, and whether it may go on."""
        super().execute_job(job, queue)
        self.report_vitals()
        if self.is_outdated():
            self._stop_requested = True


class _NoTimeLimit(BaseDeathPenalty):
    """RQ's time limit of a job, disabled: the pool has one for each file."""

    def setup_death_penalty(self) -> None:
        """Set no alarm."""

    def cancel_death_penalty(self) -> None:
        """Cancel nothing."""


class ExtractRqWorker(_RestingRqWorker):
    """Reads a few files itself, and has others read by a reader process, kept between jobs.

    A bad file may crash that process, and nothing else. While a job waits for it, the worker sends
    the heartbeats that RQ 3.0 sends only for a job in a fork.
    """

    death_penalty_class = _NoTimeLimit
    reader: ChunkReader
    """The reader that serves its jobs."""
    _heartbeat_at = 0.0
    _has_called = False
    """Whether other workers were called to help during this job."""
    _count_at = 0.0
    """When to count anew what waits."""

    @property
    def reader_pids(self) -> tuple[int, ...]:
        """The reader process, if it has one now."""
        return self.reader.reader_pids

    def get_heartbeat_ttl(self, job: Job, working_time: float = 0.0) -> int:
        """The same for each job: RQ's own depends on the job's time limit."""
        del job, working_time
        return _HEARTBEAT_TTL_S

    @property
    def _may_rest(self) -> bool:
        return self._has_worked or bool(self.reader_pids)

    def _rest(self) -> None:
        """End the reader process, too."""
        super()._rest()
        self.reader.end_reader()
        free_memory()

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run one job; after it was handed back, let other workers try first."""
        self._heartbeat_at = time.monotonic() + _HEARTBEAT_S
        self._has_called = False
        self._count_at = time.monotonic() + _COUNTS_APART_S
        self.reader.begins = lambda: self._report_reading(job, queue)
        self.reader.beat = lambda: self._beat(job, queue)
        super().execute_job(job, queue)
        self.report_vitals()
        try:
            back = job.get_status(refresh=False) == JobStatus.QUEUED
        except InvalidJobOperation:
            return  # done, and deleted
        if back:
            self._let_others_try()

    def _report_reading(self, job: Job, queue: Queue) -> None:
        """From here on its files may be at fault if this whole worker is lost.

        What waits is counted again: as a rule a scan has put its second chunk since it put this
        one, and other readers are called at the first beat.
        """
        with (
            suppress(redis.RedisError),  # without the record, a loss counts against no file
            self.connection.pipeline() as pipeline,
        ):
            pipeline.exists(job.key)
            pipeline.hset(job.key, READING, "1")
            pipeline.llen(queue.key)
            was_there, _, self._waiting = pipeline.execute()
            if not was_there:  # its data was lost, and the key would stay
                self.connection.delete(job.key)

    def _beat(self, job: Job, queue: Queue) -> None:
        """The work between two waits for the reader; without Redis, the job goes on."""
        self._send_heartbeat(job)
        if self._has_called:
            return
        try:
            if not self._waiting and time.monotonic() >= self._count_at:
                self._count_at = time.monotonic() + _COUNTS_APART_S
                self._waiting = queue.count
        except redis.RedisError:  # heartbeats log it; another command may wait for minutes
            self._has_called = True
            return
        if self._waiting:
            self._has_called = True
            self.call_for_more()

    def _send_heartbeat(self, job: Job) -> None:
        execution = self.execution
        if execution is None or time.monotonic() < self._heartbeat_at:
            return
        self._heartbeat_at = time.monotonic() + _HEARTBEAT_S
        try:
            self.maintain_heartbeats(job, execution)
        except redis.RedisError:
            self.log.warning("heartbeat not sent job=%s", job.id, exc_info=True)
        self._report_vitals_if_redis_takes_them()

    def _let_others_try(self) -> None:
        until = time.monotonic() + _HANDED_BACK_PAUSE_S
        while time.monotonic() < until and not self._stop_requested:
            time.sleep(0.1)


def worker_of(
    queues: tuple[str, ...],
    client: redis.Redis,
    handlers: Mapping[str, Handler],
    *,
    name: str,
    memory_mb: int,
    reader: ChunkReader | None = None,
    stopped: Callable[[], bool] = lambda: False,
    longest_pause_s: float = 30.0,
) -> IndexRqWorker | ExtractRqWorker:
    """A worker for these queues. Its connection's time limit is set by RQ.

    With a `reader` it serves only `extract`. `stopped` returns whether a signal has come before its
    own handlers are installed, and `longest_pause_s` is the longest pause between two tries to
    reach a Redis that is down.
    """
    OurJob.handlers = dict(handlers)
    kind: type[IndexRqWorker | ExtractRqWorker] = (
        IndexRqWorker if reader is None else ExtractRqWorker
    )
    worker = kind(
        [our_queue(queue, client) for queue in queues],
        name=name,
        connection=client,
        default_result_ttl=0,
        job_class=OurJob,
        queue_class=OurQueue,
        job_monitoring_interval=_HEARTBEAT_S,
        maintenance_interval=_MAINTENANCE_S,
        worker_ttl=WORKER_TTL_S,
        serializer=JobsJson,
        log_job_description=False,
    )
    if isinstance(worker, ExtractRqWorker) and reader is not None:
        worker.reader = reader
    worker.max_connection_wait_time = longest_pause_s
    worker.memory_mb = memory_mb
    worker.is_stop_requested = stopped
    worker.log_result_lifespan = False
    return worker
