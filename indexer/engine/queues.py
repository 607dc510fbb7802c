"""Orders for the stages -> jobs of RQ in five queues, and who of them is alive.

What a worker finds in Redis is run only if it is one of our own jobs: nothing is imported by name,
nothing is unpickled, no callback and no webhook of a job is ever called.
"""

from __future__ import annotations

import logging
import traceback
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import uuid4

import msgspec
from redis.exceptions import ResponseError
from rq import Queue
from rq.exceptions import DeserializationError, NoSuchJobError, TimeoutFormatError
from rq.job import JOB_ID_PATTERN, Job, JobStatus, validate_job_id
from rq.registry import FailedJobRegistry
from rq.utils import now
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from indexer.engine import serial
from indexer.engine.profiles import QUEUES
from indexer.errors import QueueError

if TYPE_CHECKING:
    import redis
    from rq.timeouts import BaseDeathPenalty

_log = logging.getLogger("indexer")

FAILED_TTL_S: Final = 7 * 86_400
"""How long a failed job is kept to be looked at."""
JOB_MONITORING_S: Final = 5
"""How often a forking worker tells that its job goes on (rule R5)."""
_FUNCTIONS: Final = {f"indexer.engine.jobs.{queue}": queue for queue in QUEUES}
_PARKED: Final = "music-indexer:parked"
"""A hash: generation -> turn and slice of its scan, which waits until there is room."""
_SCANS: Final = "music-indexer:scans"
"""A hash: generation -> how many files its scan has seen, and planned to read."""
_SCANS_TTL_S: Final = 7 * 86_400
_LONGEST_S: Final = 7 * 86_400
"""The longest that a job may say it takes: Redis and the kernel refuse what is far beyond it."""
ODD: Final = (
    ValueError,
    TypeError,
    KeyError,
    AttributeError,
    AssertionError,
    RecursionError,
    ArithmeticError,
    TimeoutFormatError,
    DeserializationError,
    ResponseError,
)
"""What RQ 3.0 raises where something in Redis is not as it writes it, a key of another type too."""

Handler = Callable[[msgspec.Raw], object]


class OurJob(Job):
    """A job that can be run only by a handler of this process, whatever it calls itself."""

    handlers: ClassVar[Mapping[str, Handler]] = {}
    """Queue -> what does its work here."""

    @property
    def func(self) -> Any:  # noqa: ANN401 - RQ's type
        """The handler of its queue. Raises QueueError for a job that is not ours."""
        queue = _FUNCTIONS.get(str(self.func_name))
        if queue is None or self.instance is not None:
            raise QueueError(
                f"refused: {self.func_name!r} is no job of this program; it was not imported and"
                " not run. Give other programs a Redis, or a number in it, of their own"
            )
        handler = self.handlers.get(queue)
        if handler is None:
            raise QueueError(
                f"refused: this worker does no {queue} jobs; it was put in {self.origin}"
            )
        if len(self.args) != 1 or self.kwargs:
            raise QueueError(
                f"refused: a {queue} job of this program has one argument, this has"
                f" {len(self.args) + len(self.kwargs)}; drop this job"
            )
        return handler

    def restore(self, raw_data: Any) -> None:  # noqa: ANN401 - RQ's type
        """Take in what Redis has of it, but nothing that would have RQ do more than run it once.

        Raises ValueError for a time limit that cannot be set.
        """
        super().restore(raw_data)
        self.retries_left = self.repeats_left = self.rate_limit_key = None
        self.webhooks, self._dependency_ids = [], []
        self.failure_ttl = FAILED_TTL_S
        if self.timeout is not None and not 0 < self.timeout <= _LONGEST_S:
            raise ValueError(f"its timeout is {self.timeout}")

    def _deserialize_data(self) -> None:
        try:
            super()._deserialize_data()  # type: ignore[no-untyped-call]
        except DeserializationError as error:
            raise DeserializationError(
                "refused: the data of this job is no JSON of this program's (a pickle, perhaps); it"
                " was not unpickled and not run. Give other programs a Redis of their own"
            ) from error.__cause__

    @property
    def success_callback(self) -> None:
        """None, whatever is written there."""
        return

    @property
    def failure_callback(self) -> None:
        """The same."""
        return

    @property
    def stopped_callback(self) -> None:
        """The same."""
        return

    def send_webhooks(self, status: str | JobStatus, *, exc_string: str | None = None) -> None:
        """Call nobody, whoever is written there."""


class OurQueue(Queue):
    """A queue whose jobs are ours; one that cannot even be read is taken off and failed."""

    job_class = OurJob

    @classmethod
    def lpop(
        cls,
        queue_keys: Sequence[str],
        timeout: int | None,
        connection: redis.Redis | None = None,
    ) -> Any:  # noqa: ANN401 - RQ's type
        """RQ's, without ids that are no text: RQ ends the worker for them."""
        while True:
            found: Any = super().lpop(queue_keys, timeout, connection=connection)
            if found is None or connection is None or not cls._refused_id(connection, *found):
                return found

    @classmethod
    def lmove(cls, connection: redis.Redis, queue_key: str, timeout: int | None) -> Any:  # noqa: ANN401
        """The same for a worker with one queue."""
        while True:
            found: Any = super().lmove(connection, queue_key, timeout)
            if found is None or not cls._refused_id(connection, *found):
                return found

    @classmethod
    def _refused_id(cls, connection: redis.Redis, queue_key: bytes | str, job_id: bytes) -> bool:
        try:
            job_id.decode()
        except UnicodeDecodeError as error:
            key = queue_key.decode() if isinstance(queue_key, bytes) else queue_key
            queue = cls.from_queue_key(key, connection=connection, serializer=serial)
            _refuse(queue, job_id, str(error))
            return True
        return False

    @classmethod
    def _fetch_dequeued_job(
        cls,
        connection: redis.Redis,
        queue_key: str,
        job_id: str,
        job_class: type[Job] | None = None,
        serializer: Any = None,  # noqa: ANN401 - RQ's type
        death_penalty_class: type[BaseDeathPenalty] | None = None,
    ) -> tuple[Job, Queue] | None:
        why = "it has no data"
        try:
            validate_job_id(job_id)  # of one with a colon, RQ takes the part before it
            found = super()._fetch_dequeued_job(
                connection,
                queue_key,
                job_id,
                job_class=job_class,
                serializer=serializer,
                death_penalty_class=death_penalty_class,
            )
            if found is not None:
                job, queue = found
                job.origin = queue.name  # what it says of itself decides where it fails
                return found
            if not connection.exists(Job.key_for(job_id)):
                return None  # it was deleted
            if connection.hexists(Job.key_for(job_id), "data"):
                return None  # it was put in again a moment ago, with an id in the queue of its own
        except ODD as error:  # an id that is none, too
            why = "".join(traceback.format_exception_only(error)).strip()
        _refuse(
            cls.from_queue_key(queue_key, connection=connection, serializer=serial), job_id, why
        )
        return None


def _refuse(queue: Queue, told_id: str | bytes, why: str) -> None:
    """Put a job that cannot be read among the failed ones, with the reason."""
    is_id = isinstance(told_id, str) and JOB_ID_PATTERN.fullmatch(told_id)
    job_id = str(told_id) if is_id else f"odd-{uuid4().hex}"
    _log.warning("refused queue=%s job=%r reason=%s", queue.name, told_id, why)
    if isinstance(told_id, str):
        queue.connection.delete(Job.key_for(told_id))
    job = OurJob.create(
        func="refused",
        id=job_id,
        connection=queue.connection,
        description=f"a job that could not be read ({told_id!r})",
        serializer=serial,
        origin=queue.name,
        failure_ttl=FAILED_TTL_S,
        status=JobStatus.FAILED,
    )
    job.ended_at = now()
    with queue.connection.pipeline() as pipeline:
        pipeline.lrem(queue.intermediate_queue_key, 0, told_id)  # type: ignore[arg-type]
        job.save(pipeline=pipeline)
        job._handle_failure(  # noqa: SLF001 - as RQ's own worker does
            f"refused: this is no job of this program ({why})", pipeline=pipeline, worker_name=""
        )
        pipeline.execute(raise_on_error=False)


class Queues:
    """The five queues of one Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._queues = {name: our_queue(name, client) for name in QUEUES}

    def put(
        self, name: str, order: object, *, job_id: str, description: str, timeout_s: float
    ) -> None:
        """Enqueue one order. A job of the same id that stands there is replaced."""
        queue = self._queues[name]
        job = queue.create_job(
            func=f"indexer.engine.jobs.{name}",
            args=(order,),
            timeout=max(1, int(timeout_s)),
            result_ttl=0,
            failure_ttl=FAILED_TTL_S,
            description=description,
            job_id=job_id,
        )
        queue.enqueue_job(job)

    def files_held(self) -> int:
        """How many files stand in the queues between scan and insert; their jobs' ids tell."""
        with self.client.pipeline(transaction=False) as pipeline:
            for name in ("extract", "batch", "insert"):
                pipeline.lrange(self._queues[name].key, 0, -1)
            return sum(files_in(job_id) for ids in pipeline.execute() for job_id in ids)

    def waiting(self) -> set[str]:
        """The ids of all jobs that stand in a queue."""
        with self.client.pipeline(transaction=False) as pipeline:
            for queue in self._queues.values():
                pipeline.lrange(queue.key, 0, -1)
            return {job_id.decode(errors="replace") for ids in pipeline.execute() for job_id in ids}

    def states(self, job_ids: Sequence[str]) -> list[tuple[str, bytes]]:
        """(status, last sign of life) of each job; empty where there is none that can be read.

        What stands there as a time is the clock of the worker's machine, so it is not read as one:
        another value means that somebody lives.
        """
        with self.client.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hmget(Job.key_for(job_id), "status", "last_heartbeat")
            told = pipeline.execute(raise_on_error=False)
        answers = [(b"", b"") if isinstance(one, ResponseError) else one for one in told]
        return [
            ((status or b"").decode(errors="replace"), pulse or b"") for status, pulse in answers
        ]

    def workers_of(self, name: str) -> int:
        """How many workers serve a queue, by their own word."""
        key = WORKERS_BY_QUEUE_KEY % name
        return int(self.client.scard(key))

    def how_failed(self, job_id: str) -> str:
        """The text of a job's failure; empty where it is not known."""
        jobs = fetch(self.client, [job_id])
        result = jobs[0].latest_result() if jobs else None
        return (result.exc_string if result is not None else None) or ""

    def park(self, generation: int, turn: int, slice_: int) -> None:
        """A scan waits until the queues hold fewer files."""
        self.client.hset(_PARKED, str(generation), f"{turn} {slice_}")

    def unpark(self, generation: int) -> bool:
        """Take a scan to go on with; False when somebody else has taken it."""
        return bool(self.client.hdel(_PARKED, str(generation)))

    def parked(self) -> list[tuple[int, int, int]]:
        """(generation, turn, slice) of the scans that wait."""
        told: Any = self.client.hgetall(_PARKED)
        waiting = (_numbers(key + b" " + value, 3) for key, value in told.items())
        return sorted((one[0], one[1], one[2]) for one in waiting if one)

    def note_scan(self, generation: int, seen: int, planned: int) -> None:
        """Tell whoever follows a scan how far it is."""
        with self.client.pipeline(transaction=False) as pipeline:
            pipeline.hset(_SCANS, str(generation), f"{seen} {planned}")
            pipeline.expire(_SCANS, _SCANS_TTL_S)
            pipeline.execute()

    def scan_noted(self, generation: int) -> tuple[int, int]:
        """(files seen, files to read) of a scan, as far as it is."""
        told: Any = self.client.hget(_SCANS, str(generation))
        seen, planned = _numbers(told or b"", 2) or (0, 0)
        return seen, planned

    def forget_scan(self, generation: int) -> None:
        """It is at its end."""
        self.client.hdel(_SCANS, str(generation))


def our_queue(name: str, client: redis.Redis) -> OurQueue:
    """One queue, with our serializer and jobs."""
    return OurQueue(name, connection=client, job_class=OurJob, serializer=serial)


def chunk_job(queue: str, row: int, files: int, turn: int) -> str:
    """The id of a job about a chunk: which pending row, how many files, dispatched how often."""
    return f"{queue}-{row}-{files}-{turn}"


def scan_job(generation: int, row: int, turn: int, slice_: int) -> str:
    """The id of a scan job; a scan of files that were not whole says which row it is for."""
    return f"scan-{generation}-{row}-{turn}-{slice_}"


def files_in(job_id: bytes | str) -> int:
    """How many files a job of a chunk is about, by its id; 0 for what is no such job."""
    text = job_id.decode(errors="replace") if isinstance(job_id, bytes) else job_id
    parts = text.split("-")
    is_ours = len(parts) == 4 and len(parts[2]) < 10 and parts[2].isdecimal()
    return int(parts[2]) if is_ours else 0


def _numbers(told: bytes, many: int) -> tuple[int, ...]:
    """The whole numbers that stand there; none where it is something else."""
    words = told.split()
    if len(words) != many or not all(word.isdigit() and len(word) < 20 for word in words):
        return ()
    return tuple(map(int, words))


def read_order(raw: msgspec.Raw, kind: type[Any]) -> Any:  # noqa: ANN401 - `kind` is the type
    """A job's argument as its type. Raises QueueError where it is another."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise QueueError(
            f"refused: not the argument of this job: {error}; drop this job"
        ) from error


def failed_jobs(queue: Queue) -> FailedJobRegistry:
    """The failed jobs of a queue."""
    return FailedJobRegistry(queue=queue, job_class=OurJob, serializer=serial)


def fetch(client: redis.Redis, job_ids: Iterable[str]) -> list[OurJob]:
    """The jobs of these ids that are still there and can be read."""
    found = []
    for job_id in job_ids:
        try:
            found.append(OurJob.fetch(job_id, connection=client, serializer=serial))
        except (NoSuchJobError, *ODD):
            continue
    return found  # type: ignore[return-value]  # RQ annotates Job, not Self
