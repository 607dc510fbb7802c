"""What our workers do otherwise than RQ: only our own jobs, and an end with their parent.

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
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Final

import redis
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.executions import Execution
from rq.job import Job, JobStatus
from rq.results import Result
from rq.suspension import WORKERS_SUSPENDED
from rq.timeouts import BaseTimeoutException
from rq.utils import now, utcformat
from rq.worker import WorkerStatus

from indexer.errors import IndexerError, never_one_files
from indexer.process import spent_by
from indexer.queue.orders.jobs import KEPT_TTL_S, ODD, is_kept, kept_for
from indexer.queue.orders.kept_orders import forget_order
from indexer.queue.redis_client import refusal

if TYPE_CHECKING:
    from rq.queue import Queue

_log = logging.getLogger("indexer")

never_one_files(BaseTimeoutException)

_HEARTBEATS_APART_S: Final = 0.1
"""Between heartbeats of a worker, not of its jobs. Each is four commands, a live job 10 ms."""
WORKER_TTL_S: Final = 120
"""How long a worker without a heartbeat stays in the list of workers."""
_VITALS_EVERY_S: Final = 5.0
_RECORD_GONE: Final = re.compile(r"Execution \w+ not found in Redis")
AWAY: Final = (redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse)
"""What redis raises where the server goes away in the middle of something, or another program
answers in its place."""
REFUSED: Final = redis.ResponseError
"""What redis raises where the server does not do what it is asked for."""
_REFUSES: Final = "redis refuses detail=%s"


class _Away(logging.Filter):
    """Logs failures of Redis in one line without a traceback, and each outage once.

    What it refuses has another reason each time: its memory, a user's rights, a key of others.
    """

    is_logged = False

    def filter(self, record: logging.LogRecord) -> bool:
        error = sys.exc_info()[1]  # RQ puts the traceback into some messages
        if isinstance(error, IndexerError):  # it says what to do; its traceback is in Redis
            record.msg, record.args, record.exc_info = "job failed detail=%s", (error,), None
            return True
        if error is not None and _is_gone(error):  # FLUSHALL, or an empty restart
            record.msg, record.args, record.exc_info = "job gone detail=%s", (error,), None
            return True
        if isinstance(error, REFUSED):
            record.msg, record.args, record.exc_info = _REFUSES, (refusal(error),), None
            return True
        if not isinstance(error, AWAY):
            return True
        record.msg, record.args, record.exc_info = "redis away detail=%s", (error,), None
        was_logged, self.is_logged = self.is_logged, True
        return not was_logged


_away = _Away()


def _is_gone(error: BaseException) -> bool:
    """Whether RQ reports that a job's keys vanished while it ran."""
    if isinstance(error, (InvalidJobOperation, NoSuchJobError)):
        return True
    # RQ 3.0: for the execution record, without a type of its own (see test_hands)
    return isinstance(error, ValueError) and _RECORD_GONE.fullmatch(str(error)) is not None


class RqOverrides:
    """Common to both kinds of workers. One ends when it holds more than `memory_mb`."""

    memory_mb = 256
    is_stop_requested: Callable[[], bool] = staticmethod(lambda: False)
    """Whether the signal to stop came before RQ's handler was installed."""
    call_for_more: Callable[[], None] = staticmethod(lambda: None)
    """Called by a reader when more jobs are queued than the one it has."""
    _heartbeat_at = -math.inf
    _vitals_at = 0.0
    _reported_pids: tuple[int, ...] = ()
    _reported_state = ""
    """The state of this worker that was last written to Redis."""
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
        if self.is_stop_requested():
            self._stop_requested = True

    def set_state(self, state: str, pipeline: Any = None) -> None:  # noqa: ANN401 - RQ's type
        """RQ's method; RQ writes three times after each job that the worker is idle."""
        if pipeline is None and state == self._reported_state:
            self._state = state
            return
        super().set_state(state, pipeline)  # type: ignore[misc]  # both workers have it
        self._reported_state = state

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:  # noqa: ANN401
        """RQ's heartbeat; a Redis that lost its data would accept it for an unknown worker.

        Such a worker would be in no list of workers any more. RQ sends three for each job; of those
        that come in quick succession the first is enough.
        """
        if pipeline is not None:
            super().heartbeat(timeout, pipeline)  # type: ignore[misc]  # both workers have it
            return
        if time.monotonic() < self._heartbeat_at + _HEARTBEATS_APART_S:
            return
        with self.connection.pipeline() as own:
            own.hexists(self.key, "birth")
            super().heartbeat(timeout, own)  # type: ignore[misc]  # both workers have it
            is_known = own.execute()[0]
        if not is_known:
            self._register_again()
        self._heartbeat_at = time.monotonic()
        if _away.is_logged:
            _away.is_logged = False
            _log.warning("redis back")

    def _register_again(self) -> None:
        self.connection.delete(self.key)
        self.register_birth()
        self._reported_state = ""
        self.set_state(self._state)

    def reorder_queues(self, reference_queue: Queue) -> None:
        """Nothing is reordered. RQ calls it when it has a job, and sends a heartbeat then.

        `prepare_execution` sends the same in a moment, and the job would wait for both.
        """
        del reference_queue
        self._heartbeat_at = time.monotonic()

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
            self._state = self._reported_state = WorkerStatus.BUSY
            is_known, *_, self._waiting = pipeline.execute()
        if not is_known:
            self._register_again()
        return execution

    def _show_state(self, state: str, ttl: int, pipeline: Any) -> None:  # noqa: ANN401 - RQ's type
        """Write the state of this worker together with its heartbeat."""
        self.last_heartbeat = now()
        fields = {"state": state, "last_heartbeat": utcformat(self.last_heartbeat)}
        pipeline.hset(self.key, mapping=fields)
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
            pipeline.exists(job.key)
            self.increment_successful_job_count(pipeline=pipeline)
            self.increment_total_working_time(job.ended_at - job.started_at, pipeline)  # type: ignore[operator]
            queue.started_job_registry.remove_execution(execution, pipeline=pipeline)
            pipeline.srem(execution.worker_executions_key, execution.composite_key)
            results = Result.get_key(job.id)  # type: ignore[no-untyped-call]
            keys = [job.dependents_key, job.dependencies_key, results, *_spent(job)]
            pipeline.delete(execution.key, *keys, job.execution_registry.key)
            forget_order(pipeline, job.id)
            if is_kept(job.id):
                pipeline.hset(job.key, "status", JobStatus.FINISHED)
                pipeline.expire(job.key, KEPT_TTL_S)
            self._show_state(WorkerStatus.IDLE, WORKER_TTL_S + 60, pipeline)  # as RQ's heartbeat
            pipeline.exists(WORKERS_SUSPENDED)
            was_there, *_, is_suspended = pipeline.execute()
        if is_kept(job.id) and not was_there:  # its batch was inserted already, or Redis emptied
            self.connection.delete(job.key)
        self.executions.pop(execution.id, None)
        self._reported_state = WorkerStatus.IDLE
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

    def report_vitals(self) -> None:
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
        if time.monotonic() >= self._vitals_at or pids != self._reported_pids:
            self._vitals_at = time.monotonic() + _VITALS_EVERY_S
            self._reported_pids = pids
            fields = {
                "rss": sum(memory for memory, _ in spent),
                "cpu_seconds": round(sum(cpu_s for _, cpu_s in spent), 2),
                "readers": ",".join(map(str, self.reader_pids)),
                "ours": 1,
            }
            self.connection.hset(self.key, mapping=fields)  # type: ignore[arg-type]


def _spent(job: Job) -> Iterator[str]:
    """The keys of the orders that no job needs any more, now that this one is done."""
    if not is_kept(job.id):
        yield job.key
    kept = kept_for(job.id)
    if kept is not None:
        yield Job.key_for(kept)


def quiet_logs(level: int = logging.WARNING) -> None:
    """Have RQ log only warnings, in our own form: it adds its handlers where there are none."""
    for name in ("rq.worker", "rq.job", "rq.registry", "rq.queue", "rq.scheduler"):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.addFilter(_away)
        logger.handlers = list(logging.getLogger("indexer").handlers)
        logger.propagate = False
