"""RQ's workers, made to run only our own jobs, and to end with their parent.

RQ 3.0 as it is: a thread for commands from outside (a thread and `fork` do not go together), a
worker that quits when Redis is away for a moment or when a job cannot be read, no heartbeat while
a worker that does not fork runs a job, a log line for each step of each job, and some 14 round
trips to Redis around each job, where 5 will do: the way of one change has four jobs. Each override
below names the one it is for.
"""

from __future__ import annotations

import logging
import math
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import TYPE_CHECKING, Any, Final

import redis
from rq import SimpleWorker
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.executions import Execution
from rq.job import JobStatus
from rq.results import Result
from rq.suspension import WORKERS_SUSPENDED
from rq.timeouts import BaseDeathPenalty, BaseTimeoutException
from rq.utils import now, utcformat
from rq.worker import WorkerStatus

from indexer.errors import IndexerError, never_one_files
from indexer.process import spent_by
from indexer.queue import serializer
from indexer.queue.jobs import ODD, READING, Handler, OurJob, OurQueue, our_queue

if TYPE_CHECKING:
    from rq.job import Job
    from rq.queue import Queue

    from indexer.queue.chunk_reader import ChunkReader

_log = logging.getLogger("indexer")

never_one_files(BaseTimeoutException)

_HEARTBEAT_S: Final = 5
"""How often a worker that extracts sends a heartbeat for its job (rule R5)."""
_HEARTBEAT_TTL_S: Final = _HEARTBEAT_S + 60
"""After so long without a heartbeat RQ takes a job for abandoned; as for RQ's own forking
worker."""
IDLE_S: Final = 30
"""Idle time before a reader process ends, and an extract worker that is not the only one. At rest
each takes some 20 MB for nothing. A guess."""
_HEARTBEATS_APART_S: Final = 0.1
"""Between heartbeats of a worker, not of its jobs. Each is four commands, a live job 10 ms."""
_COUNTS_APART_S: Final = 0.05
"""Between two counts of the jobs that wait while one is read. A guess."""
_TTL_S: Final = 120
"""How long a worker without a heartbeat stays in the list of workers."""
_MAINTENANCE_S: Final = 60
"""By default RQ moves a dead worker's jobs to the failed ones only after ten minutes."""
_HANDED_BACK_PAUSE_S: Final = 2.0
"""After a job was handed back, another machine gets so much time to take it. A guess."""
_VITALS_EVERY_S: Final = 5.0
_RECORD_GONE: Final = re.compile(r"Execution \w+ not found in Redis")
AWAY: Final = (redis.ConnectionError, redis.TimeoutError)
"""What redis raises where the server goes away in the middle of something."""


class _Away(logging.Filter):
    """Logs in one line what is no fault of the program: a Redis that goes away, and that once."""

    told = False

    def filter(self, record: logging.LogRecord) -> bool:
        error = sys.exc_info()[1]  # RQ puts the traceback into some messages
        if isinstance(error, IndexerError):  # it says what to do; its traceback is in Redis
            record.msg, record.args, record.exc_info = "job failed detail=%s", (error,), None
            return True
        if error is not None and _is_gone(error):  # FLUSHALL, or an empty restart
            record.msg, record.args, record.exc_info = "job gone detail=%s", (error,), None
            return True
        if not isinstance(error, AWAY):
            return True
        record.msg, record.args, record.exc_info = "redis away detail=%s", (error,), None
        was_told, self.told = self.told, True
        return not was_told


_away = _Away()


def _is_gone(error: BaseException) -> bool:
    """Whether RQ reports that a job's keys vanished while it ran."""
    if isinstance(error, (InvalidJobOperation, NoSuchJobError)):
        return True
    # RQ 3.0: for the execution record, without a type of its own (see test_hands)
    return isinstance(error, ValueError) and _RECORD_GONE.fullmatch(str(error)) is not None


class _Ours:
    """Common to both kinds. A worker ends when it holds more than `memory_mb`."""

    memory_mb = 256
    is_told_to_stop: Callable[[], bool] = staticmethod(lambda: False)
    """Whether the signal to stop came before RQ's handler was installed."""
    call_for_more: Callable[[], None] = staticmethod(lambda: None)
    """Called by a reader when more jobs are queued than the one it has."""
    _shown_life_at = -math.inf
    _vitals_at = 0.0
    _told_pids: tuple[int, ...] = ()
    _told_state = ""
    """The state that Redis has of this worker."""
    _waiting = 0
    """How many jobs waited in its first queue when its present job began, or since."""
    _was_let_on = False
    """Whether the end of the last job found that workers are not suspended."""
    connection: redis.Redis
    key: str
    name: str
    queues: list[Queue]
    executions: dict[str, Execution]
    get_heartbeat_ttl: Callable[..., int]
    register_birth: Callable[[], None]
    increment_successful_job_count: Callable[..., None]
    increment_total_working_time: Callable[..., None]
    _state: str
    _stop_requested: bool
    _shutdown_requested_date: Any
    log: logging.Logger
    last_cleaned_at: Any
    last_heartbeat: Any

    def subscribe(self) -> None:
        """Take no commands from outside: RQ starts a thread for them."""

    def unsubscribe(self) -> None:
        """The counterpart of `subscribe`."""

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()  # type: ignore[misc]  # both workers have it
        if self.is_told_to_stop():
            self._stop_requested = True

    def set_state(self, state: str, pipeline: Any = None) -> None:  # noqa: ANN401 - RQ's type
        """RQ's method; RQ writes three times after each job that the worker is idle."""
        if pipeline is None and state == self._told_state:
            self._state = state
            return
        super().set_state(state, pipeline)  # type: ignore[misc]  # both workers have it
        self._told_state = state

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:  # noqa: ANN401
        """RQ's heartbeat; a Redis that lost its data would accept it for an unknown worker.

        Such a worker would be in no list of workers any more. RQ sends three for each job; of those
        that come in quick succession the first is enough.
        """
        if pipeline is not None:
            super().heartbeat(timeout, pipeline)  # type: ignore[misc]  # both workers have it
            return
        if time.monotonic() < self._shown_life_at + _HEARTBEATS_APART_S:
            return
        with self.connection.pipeline() as own:
            own.hexists(self.key, "birth")
            super().heartbeat(timeout, own)  # type: ignore[misc]  # both workers have it
            is_known = own.execute()[0]
        if not is_known:
            self._register_again()
        self._shown_life_at = time.monotonic()
        if _away.told:
            _away.told = False
            _log.warning("redis back")

    def _register_again(self) -> None:
        self.connection.delete(self.key)
        self.register_birth()
        self._told_state = ""
        self.set_state(self._state)

    def reorder_queues(self, reference_queue: Queue) -> None:
        """Nothing is reordered. RQ calls it when it has a job, and sends a heartbeat then.

        `prepare_execution` sends the same in a moment, and the job would wait for both.
        """
        del reference_queue
        self._shown_life_at = time.monotonic()

    def check_for_suspension(self, burst: bool) -> None:  # noqa: FBT001 - RQ's signature
        """RQ's check, unless the end of a job has just made it."""
        was_let_on, self._was_let_on = self._was_let_on, False
        if not was_let_on:
            super().check_for_suspension(burst)  # type: ignore[misc]  # both workers have it

    def prepare_execution(self, job: Job) -> Execution:
        """Register that a job has begun, in one round trip: what two methods of RQ's write."""
        ttl = self.get_heartbeat_ttl(job)
        with self.connection.pipeline() as pipeline:
            pipeline.hexists(self.key, "birth")
            execution = Execution.create(job, ttl, pipeline=pipeline, worker_name=self.name)
            self.executions[execution.id] = execution
            job.prepare_for_execution(self.name, pipeline=pipeline)
            if len(self.queues) == 1:
                pipeline.lrem(self.queues[0].intermediate_queue_key, 1, job.id)
            self._show_state(WorkerStatus.BUSY, ttl, pipeline)
            pipeline.llen(self.queues[0].key)
            self._state = self._told_state = WorkerStatus.BUSY
            is_known, *_, self._waiting = pipeline.execute()
        if not is_known:
            self._register_again()
        return execution

    def _show_state(self, state: str, ttl: int, pipeline: Any) -> None:  # noqa: ANN401 - RQ's type
        """Write the state of this worker together with its heartbeat."""
        self.last_heartbeat = now()
        told = {"state": state, "last_heartbeat": utcformat(self.last_heartbeat)}
        pipeline.hset(self.key, mapping=told)
        pipeline.expire(self.key, ttl)

    def prepare_job_execution(self, job: Job, remove_from_intermediate_queue: bool = False) -> None:  # noqa: FBT001, FBT002 - RQ's signature
        """Nothing: `prepare_execution` has written it."""

    def handle_execution_ended(self, job: Job, queue: Queue, heartbeat_ttl: int) -> None:
        """RQ's method, without a heartbeat of a job that is over."""
        del queue, heartbeat_ttl
        job.ended_at = now()

    def handle_job_success(
        self, job: Job, queue: Queue, started_job_registry: object, execution: Execution
    ) -> None:
        """RQ's method, for jobs that leave nothing behind: no result, no dependents, no repetition.

        RQ asks for all of these, and for the job's executions twice: 15 commands, one by one. Its
        loop goes on to say that the worker is idle and lives, and to ask whether workers are
        suspended; both stand in the same round trip. `_state` says until then that it is busy: a
        signal to stop has to wait for the end of this.
        """
        del started_job_registry
        with self.connection.pipeline() as pipeline:
            self.increment_successful_job_count(pipeline=pipeline)
            self.increment_total_working_time(job.ended_at - job.started_at, pipeline)  # type: ignore[operator]
            queue.started_job_registry.remove_execution(execution, pipeline=pipeline)
            pipeline.srem(execution.worker_executions_key, execution.composite_key)
            results = Result.get_key(job.id)  # type: ignore[no-untyped-call]
            keys = (job.key, job.dependents_key, job.dependencies_key, results)
            pipeline.delete(execution.key, *keys, job.execution_registry.key)
            self._show_state(WorkerStatus.IDLE, _TTL_S + 60, pipeline)  # as RQ's heartbeat
            pipeline.exists(WORKERS_SUSPENDED)
            is_suspended = pipeline.execute()[-1]
        self.executions.pop(execution.id, None)
        self._told_state = WorkerStatus.IDLE
        self._was_let_on = not is_suspended

    def run_maintenance_tasks(self) -> None:
        """RQ's upkeep: it ends the worker when a job that a dead one left cannot be read."""
        try:
            super().run_maintenance_tasks()  # type: ignore[misc]  # both workers have it
        except ODD as error:
            self.last_cleaned_at = now()
            _log.warning("upkeep not done reason=%s", error)

    @property
    def has_ended_well(self) -> bool:
        """Whether it ended as requested: RQ ends just as quietly when something went wrong."""
        return self._stop_requested or self._shutdown_requested_date is not None

    @property
    def reader_pids(self) -> tuple[int, ...]:
        """The reader processes that it has."""
        return ()

    def tell_vitals(self) -> None:
        """Write its memory and processor time for `status`; end if it holds too much memory.

        The readers' memory counts in the report, but not towards this limit: they have their own.
        """
        pids = (os.getpid(), *self.reader_pids)
        spent = [one for pid in pids if (one := spent_by(pid)) is not None]
        held = spent[0][0]
        if held > self.memory_mb * 1024 * 1024:
            _log.warning(
                "worker ends memory=%d limit=%d action=a new one is started",
                held,
                self.memory_mb * 1024 * 1024,
            )
            self._stop_requested = True
        if time.monotonic() >= self._vitals_at or pids != self._told_pids:
            self._vitals_at = time.monotonic() + _VITALS_EVERY_S
            self._told_pids = pids
            told = {
                "rss": sum(memory for memory, _ in spent),
                "cpu_seconds": round(sum(cpu_s for _, cpu_s in spent), 2),
                "readers": ",".join(map(str, self.reader_pids)),
                "ours": 1,
            }
            self.connection.hset(self.key, mapping=told)  # type: ignore[arg-type]


class IndexRqWorker(_Ours, SimpleWorker):
    """Runs each job in its own process, since that holds the open database."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run one job, and check how much memory it left in use."""
        super().execute_job(job, queue)
        self.tell_vitals()


class _NoTimeLimit(BaseDeathPenalty):
    """RQ's time limit of a job, disabled: the pool has one for each file."""

    def setup_death_penalty(self) -> None:
        """Set no alarm."""

    def cancel_death_penalty(self) -> None:
        """Cancel nothing."""


class ExtractRqWorker(_Ours, SimpleWorker):
    """Has files read by a reader process of its own, which is kept between jobs.

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

    def dequeue_job_and_maintain_ttl(
        self, timeout: int | None, max_idle_time: int | None = None
    ) -> tuple[Job, Queue] | None:
        """The next job; the reader process ends when none has come for a while."""
        if self.reader_pids and timeout is not None and max_idle_time is None:
            found = super().dequeue_job_and_maintain_ttl(IDLE_S, IDLE_S)
            if found is not None:
                return found
            self.reader.end_reader()
            self._tell_vitals_if_it_takes_them()
        return super().dequeue_job_and_maintain_ttl(timeout, max_idle_time)

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run one job; after it was handed back, let other workers try first."""
        self._heartbeat_at = time.monotonic() + _HEARTBEAT_S
        self._has_called = False
        self._count_at = time.monotonic() + _COUNTS_APART_S
        self.reader.begins = lambda: self._tell_reading(job)
        self.reader.beat = lambda: self._beat(job, queue)
        super().execute_job(job, queue)
        self.tell_vitals()
        try:
            back = job.get_status(refresh=False) == JobStatus.QUEUED
        except InvalidJobOperation:
            return  # done, and deleted
        if back:
            self._let_others_try()

    def _tell_reading(self, job: Job) -> None:
        """From here on its files may be at fault if this whole worker is lost."""
        with (
            suppress(redis.RedisError),  # without the record, a loss counts against no file
            self.connection.pipeline() as pipeline,
        ):
            pipeline.exists(job.key)
            pipeline.hset(job.key, READING, "1")
            if not pipeline.execute()[0]:  # its data was lost, and the key would stay
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
        self._tell_vitals_if_it_takes_them()

    def _tell_vitals_if_it_takes_them(self) -> None:
        try:
            self.tell_vitals()
        except redis.RedisError:
            self.log.warning("memory and processor time not written", exc_info=True)

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
        worker_ttl=_TTL_S,
        serializer=serializer,
        log_job_description=False,
    )
    if isinstance(worker, ExtractRqWorker) and reader is not None:
        worker.reader = reader
    worker.max_connection_wait_time = longest_pause_s
    worker.memory_mb = memory_mb
    worker.is_told_to_stop = stopped
    worker.log_result_lifespan = False
    return worker


def quiet_logs(level: int = logging.WARNING) -> None:
    """Have RQ log only warnings, in our own form: it adds its handlers where there are none."""
    for name in ("rq.worker", "rq.job", "rq.registry", "rq.queue", "rq.scheduler"):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.addFilter(_away)
        logger.handlers = list(logging.getLogger("indexer").handlers)
        logger.propagate = False
