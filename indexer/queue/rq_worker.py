"""RQ's workers, made to run our own jobs and nothing else, and to end with their parent.

RQ 3.0 as it is: a thread for commands from outside (a thread and `fork` do not go together), a
worker that quits when Redis is away for a moment or when a job cannot be read, and a log line for
each step of each job. Each override below says which of these it is for.
"""

from __future__ import annotations

import logging
import os
import re
import sys
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, Final

import redis
from rq import SimpleWorker, Worker
from rq.exceptions import InvalidJobOperation, NoSuchJobError
from rq.job import JobStatus
from rq.timeouts import BaseTimeoutException
from rq.utils import now

from indexer.errors import IndexerError
from indexer.faults import never_one_files
from indexer.queue import serializer
from indexer.queue.jobs import ODD, Handler, OurJob, OurQueue, our_queue
from indexer.readers.process import die_with_parent, limit_memory, resident_bytes

if TYPE_CHECKING:
    from rq.job import Job
    from rq.queue import Queue

_log = logging.getLogger("indexer")

never_one_files(BaseTimeoutException)

_JOB_MONITORING_S: Final = 5
"""How often a reader tells that its job goes on (rule R5)."""
_TTL_S: Final = 120
"""How long a worker that shows no life stands in the list of workers."""
_MAINTENANCE_S: Final = 60
"""RQ waits ten minutes else before it puts the jobs of a dead worker among the failed ones."""
_HANDED_BACK_PAUSE_S: Final = 2.0
"""After a job was handed back, another machine gets so much time to take it. A guess."""
_VITALS_EVERY_S: Final = 5.0
_RECORD_GONE: Final = re.compile(r"Execution \w+ not found in Redis")
AWAY: Final = (redis.ConnectionError, redis.TimeoutError)
"""What redis raises where the server is gone in the middle of something."""


class _Away(logging.Filter):
    """What is no fault of the program is told in a line: a Redis that goes away, and that once."""

    told = False

    def filter(self, record: logging.LogRecord) -> bool:
        error = sys.exc_info()[1]  # RQ puts the traceback into the text of some
        if isinstance(error, IndexerError):  # it says what to do; its traceback stands in Redis
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
    """Whether RQ says that a job's keys went while it was done."""
    if isinstance(error, (InvalidJobOperation, NoSuchJobError)):
        return True
    # RQ 3.0: of the record that somebody is at it, by no type of its own (see test_hands)
    return isinstance(error, ValueError) and _RECORD_GONE.fullmatch(str(error)) is not None


class _Ours:
    """What both kinds have in common. `memory_mb` is how much it may hold before it ends."""

    memory_mb = 256
    is_told_to_stop: Callable[[], bool] = staticmethod(lambda: False)
    """Whether that came before RQ was there to take it."""
    call_for_more: Callable[[], None] = staticmethod(lambda: None)
    """Called by a reader when more jobs wait than the one it has."""
    _vitals_at = 0.0
    connection: redis.Redis
    key: str
    register_birth: Callable[[], None]
    _stop_requested: bool
    _shutdown_requested_date: Any
    log: logging.Logger
    last_cleaned_at: Any

    def subscribe(self) -> None:
        """Take no commands from outside: RQ starts a thread for them."""

    def unsubscribe(self) -> None:
        """The other side of `subscribe`."""

    def _install_signal_handlers(self) -> None:
        super()._install_signal_handlers()  # type: ignore[misc]  # both workers have it
        if self.is_told_to_stop():
            self._stop_requested = True

    def heartbeat(self, timeout: int | None = None, pipeline: Any = None) -> None:  # noqa: ANN401
        """RQ's sign of life, which a Redis that has lost all takes from somebody it does not know.

        Such a worker would stand in no list of workers any more.
        """
        if pipeline is None and not self.connection.hexists(self.key, "birth"):
            self.connection.delete(self.key)
            self.register_birth()
        super().heartbeat(timeout, pipeline)  # type: ignore[misc]  # both workers have it
        if pipeline is None and _away.told:
            _away.told = False
            _log.warning("redis back")

    def run_maintenance_tasks(self) -> None:
        """RQ's upkeep: it ends the worker when a job that a dead one left cannot be read."""
        try:
            super().run_maintenance_tasks()  # type: ignore[misc]  # both workers have it
        except ODD as error:
            self.last_cleaned_at = now()
            _log.warning("upkeep not done reason=%s", error)

    @property
    def has_ended_well(self) -> bool:
        """Whether it ended because it was to: RQ ends as quietly when something went wrong."""
        return self._stop_requested or self._shutdown_requested_date is not None

    def tell_vitals(self) -> None:
        """Write down how much memory and processor time it took, for `status`; end if too much."""
        held = resident_bytes()
        if held > self.memory_mb * 1024 * 1024:
            _log.warning(
                "worker ends memory=%d limit=%d action=a fresh one takes its place",
                held,
                self.memory_mb * 1024 * 1024,
            )
            self._stop_requested = True
        if time.monotonic() >= self._vitals_at:
            self._vitals_at = time.monotonic() + _VITALS_EVERY_S
            times = os.times()
            spent = times.user + times.system + times.children_user + times.children_system
            told = {"rss": held, "cpu_seconds": round(spent, 2), "ours": 1}
            self.connection.hset(self.key, mapping=told)  # type: ignore[arg-type]


class IndexRqWorker(_Ours, SimpleWorker):
    """Runs each job in its own process, since that one holds the database."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run one job, and see how much it left behind."""
        super().execute_job(job, queue)
        self.tell_vitals()


class ExtractRqWorker(_Ours, Worker):
    """Runs each job in a fork, since a bad file may take it down."""

    def execute_job(self, job: Job, queue: Queue) -> None:
        """Run one job; when it was handed back, let others try first."""
        if queue.count:
            self.call_for_more()
        super().execute_job(job, queue)
        self.tell_vitals()
        try:
            back = job.get_status() == JobStatus.QUEUED
        except InvalidJobOperation:
            return  # done and gone
        if back:
            self._let_others_try()

    def main_work_horse(self, job: Job, queue: Queue) -> None:
        """In the fork: end with the worker, also when that is killed; take no more than it may."""
        if not die_with_parent(self.pid or 0):
            os._exit(1)
        limit_memory(self.memory_mb)
        super().main_work_horse(job, queue)

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
    stopped: Callable[[], bool] = lambda: False,
    longest_pause_s: float = 30.0,
) -> IndexRqWorker | ExtractRqWorker:
    """A worker for these queues. Its connection's time limit is set by RQ.

    `stopped` answers whether a signal has come before its own handlers are there, and
    `longest_pause_s` is between two tries to reach a Redis that is away.
    """
    OurJob.handlers = dict(handlers)
    kind: type[IndexRqWorker | ExtractRqWorker] = (
        ExtractRqWorker if queues == ("extract",) else IndexRqWorker
    )
    worker = kind(
        [our_queue(queue, client) for queue in queues],
        name=name,
        connection=client,
        default_result_ttl=0,
        job_class=OurJob,
        queue_class=OurQueue,
        job_monitoring_interval=_JOB_MONITORING_S,
        maintenance_interval=_MAINTENANCE_S,
        worker_ttl=_TTL_S,
        serializer=serializer,
        log_job_description=False,
    )
    worker.max_connection_wait_time = longest_pause_s
    worker.memory_mb = memory_mb
    worker.is_told_to_stop = stopped
    worker.log_result_lifespan = False
    return worker


def quiet_logs(level: int = logging.WARNING) -> None:
    """Let RQ tell only what went wrong, in our own form: it adds its handlers where none is."""
    for name in ("rq.worker", "rq.job", "rq.registry", "rq.queue", "rq.scheduler"):
        logger = logging.getLogger(name)
        logger.setLevel(level)
        logger.addFilter(_away)
        logger.handlers = list(logging.getLogger("indexer").handlers)
        logger.propagate = False
