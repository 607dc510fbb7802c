"""A job's fields in Redis -> one of our own jobs, or a refusal with its reason.

A worker runs only our own jobs: nothing is imported by name, nothing is unpickled, no callback and
no webhook of a job is ever called.
"""

from __future__ import annotations

import logging
import re
import traceback
import zlib
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final
from uuid import uuid4

import msgspec
from redis.exceptions import ResponseError
from rq import Queue
from rq.exceptions import DeserializationError, TimeoutFormatError
from rq.job import JOB_ID_PATTERN, Job, JobStatus, validate_job_id
from rq.registry import FailedJobRegistry
from rq.utils import now

from indexer.errors import QueueError
from indexer.queue.workers.profiles import QUEUES

if TYPE_CHECKING:
    import redis
    from rq.timeouts import BaseDeathPenalty

_log = logging.getLogger("indexer")

FAILED_TTL_S: Final = 7 * 86_400
"""How long a failed job is kept for inspection."""
_LEVEL: Final = 1
"""Of zlib; RQ's own is 6, which makes a chunk of files a fifth smaller and takes three times as
long."""
PLAIN_BYTES: Final = 1024 * 1024
"""A job below this is not compressed: zlib takes 4 us a file, as much as all else that is done for
it on the way. A chunk of 800 files takes less than half of this, so that those that may wait
(`queue_files`) take 6 MB of a Redis."""
_KEPT: Final = re.compile(r"batch-\d+-\d+-\d+", re.ASCII)
"""Ids of jobs whose orders stay in Redis when they are done, until what they made is inserted."""
KEPT_TTL_S: Final = 86_400
"""How long at the most. A guess: if the insert is lost, the chunk is dispatched anew."""
MOST_BYTES: Final = 128 * 1024 * 1024
"""The most that a job may hold, packed or not. A guess: a chunk of 200 files takes half a megabyte,
and more only where tags are full of text."""
FUNCTION_OF: Final = {
    queue: f"indexer.queue.{'maintenance' if queue == 'deferred' else queue}.run"
    for queue in QUEUES
}
"""Queue -> the function that does its jobs, by the name that Redis stores. It is looked up here,
never imported because Redis names it."""
ARTWORK_FUNCTIONS: Final = ("album_cover", "artist_image", "playlist")
"""Further functions of `deferred`, which have handlers of their own."""
MODULE_OF_ARTWORK: Final = "indexer.queue.artwork"
RELAYED_FUNCTION: Final = "indexer.queue.relayed.run"
"""A further function of `scan`, for hints of another machine."""
_HANDLED_AS: Final = {
    **{function: queue for queue, function in FUNCTION_OF.items()},
    **{f"{MODULE_OF_ARTWORK}.{name}": name for name in ARTWORK_FUNCTIONS},
    RELAYED_FUNCTION: "relayed",
}
"""Function -> the key of its handler: its queue, or its own name."""
_LONGEST_S: Final = 7 * 86_400
"""The longest time limit that a job may state: Redis and the kernel refuse much larger ones."""
READING: Final = "reading"
"""A field of a job's hash: a reader has got its files."""
NO_TIMEOUT: Final = -1
"""What RQ writes for a job without a time limit."""
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
"""What RQ 3.0 raises for data in Redis that it did not write, also for a key of another type."""

Handler = Callable[[msgspec.Raw], object]


class JobsJson:
    """RQ's data of a job -> JSON and back, and nothing that is not JSON: a serializer for RQ.

    Arguments stay raw: the job's own function knows their type.
    """

    _encode = msgspec.json.Encoder().encode
    _decode_call = msgspec.json.Decoder(
        tuple[str, None, tuple[msgspec.Raw, ...], dict[str, msgspec.Raw]]
    ).decode
    _decode_any = msgspec.json.Decoder().decode

    @classmethod
    def dumps(cls, value: object, /) -> bytes:
        """JSON of a call (name, None, arguments, keywords), of meta data or a result."""
        return cls._encode(value)

    @classmethod
    def loads(cls, data: bytes, /) -> Any:  # noqa: ANN401 - RQ asks for whatever it stored
        """The call again. Raises ValueError for what is not JSON, such as a pickle."""
        if data.startswith(b"["):
            return cls._decode_call(data)
        return cls._decode_any(data)


class OurJob(Job):
    """A job that only a handler of this process can run, whatever function it names."""

    handlers: ClassVar[Mapping[str, Handler]] = {}
    """Queue, or the name of a further function -> the handler that does its work here."""

    @property
    def func(self) -> Any:  # noqa: ANN401 - RQ's type
        """The handler of its queue. Raises QueueError for a job that is not ours."""
        queue = _HANDLED_AS.get(str(self.func_name))
        if queue is None or self.instance is not None:
            raise QueueError(
                f"refused: {self.func_name!r} is no job of this program; it was not imported and"
                " not run. Give other programs a Redis, or a database number, of their own"
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
        """Load what Redis has of it, without anything that would have RQ do more than run it once.

        Raises ValueError for an invalid time limit, and for data that would inflate to more than
        `MOST_BYTES`: RQ inflates whatever is there, and a megabyte can be a gigabyte.
        """
        data = dict(raw_data)
        for key in ("data", b"data", "exc_info", b"exc_info"):
            if data.get(key):
                data[key] = _unpacked(data[key])
        super().restore(data)
        self.retries_left = self.repeats_left = self.rate_limit_key = None
        self.webhooks, self._dependency_ids = [], []
        self.failure_ttl = FAILED_TTL_S
        if self.timeout not in (None, NO_TIMEOUT) and not 0 < self.timeout <= _LONGEST_S:
            raise ValueError(f"its timeout is {self.timeout}")

    def to_dict(self, include_meta: bool = True, include_result: bool = True) -> dict[Any, Any]:  # noqa: FBT001, FBT002 - RQ's signature
        """The fields for Redis; compression takes a third of the time that RQ's own takes."""
        data, self._data = self.data, b""
        try:
            kept: dict[Any, Any] = super().to_dict(include_meta, include_result)
        finally:
            self._data = data
        is_plain = data.startswith(b"[") and len(data) < PLAIN_BYTES  # else it may be no JSON
        kept["data"] = data if is_plain else zlib.compress(data, _LEVEL)
        return kept

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
        """None, whatever the job says."""
        return

    @property
    def failure_callback(self) -> None:
        """None, whatever the job says."""
        return

    @property
    def stopped_callback(self) -> None:
        """None, whatever the job says."""
        return

    def send_webhooks(self, status: str | JobStatus, *, exc_string: str | None = None) -> None:
        """Call no webhook, whatever the job says."""


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
        """RQ's method, without ids that are not text: RQ ends the worker for them."""
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
            queue = cls.from_queue_key(key, connection=connection, serializer=JobsJson)
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
                job.origin = queue.name  # its origin decides in which queue it fails
                return found
            if not connection.exists(Job.key_for(job_id)):
                return None  # it was deleted
            if connection.hexists(Job.key_for(job_id), "data"):
                return None  # it was put in again meanwhile, with an id in the queue of its own
        except ODD as error:  # an invalid id, too
            why = "".join(traceback.format_exception_only(error)).strip()
        _refuse(
            cls.from_queue_key(queue_key, connection=connection, serializer=JobsJson), job_id, why
        )
        return None


def _refuse(queue: Queue, popped_id: str | bytes, why: str) -> None:
    """Put a job that cannot be read among the failed ones, with the reason."""
    is_id = isinstance(popped_id, str) and JOB_ID_PATTERN.fullmatch(popped_id)
    job_id = str(popped_id) if is_id else f"odd-{uuid4().hex}"
    _log.warning("refused queue=%s job=%r reason=%s", queue.name, popped_id, why)
    if isinstance(popped_id, str):
        queue.connection.delete(Job.key_for(popped_id))
    job = OurJob.create(
        func="refused",
        id=job_id,
        connection=queue.connection,
        description=f"a job that could not be read ({popped_id!r})",
        serializer=JobsJson,
        origin=queue.name,
        failure_ttl=FAILED_TTL_S,
        status=JobStatus.FAILED,
    )
    job.ended_at = now()
    with queue.connection.pipeline() as pipeline:
        pipeline.lrem(queue.intermediate_queue_key, 0, popped_id)  # type: ignore[arg-type]
        job.save(pipeline=pipeline)
        job._handle_failure(  # noqa: SLF001 - as RQ's own worker does
            f"refused: this is no job of this program ({why})", pipeline=pipeline, worker_name=""
        )
        pipeline.execute(raise_on_error=False)


def _unpacked(packed: bytes) -> bytes:
    """A job's data as JSON, which RQ takes as it is; other data comes back unchanged.

    Raises ValueError where more than `MOST_BYTES` would have to be held.
    """
    inflate = zlib.decompressobj()
    try:
        data = inflate.decompress(packed, MOST_BYTES)
    except zlib.error:
        data = packed
    if max(len(data), len(packed)) >= MOST_BYTES:
        raise ValueError(f"its data takes more than {MOST_BYTES} bytes")
    return data if data.startswith(b"[") and inflate.eof else packed  # no zlib begins with this


def our_queue(name: str, client: redis.Redis) -> OurQueue:
    """One queue, with our serializer and jobs."""
    return OurQueue(name, connection=client, job_class=OurJob, serializer=JobsJson)


def is_kept(job_id: str) -> bool:
    """Whether the order of a job stays in Redis when the job is done."""
    return _KEPT.fullmatch(job_id) is not None


def kept_for(job_id: str) -> str | None:
    """The id of the job whose order was kept for this one; None where none was."""
    stage, _, chunk = job_id.partition("-")
    return f"batch-{chunk}" if stage == "insert" and is_kept(f"batch-{chunk}") else None


def kept_argument(job_id: str, data: bytes | None) -> msgspec.Raw:
    """The argument of a job of `batch` that is done, from its data in Redis. Raises QueueError."""
    if data is None:
        raise QueueError(
            f"refused: what the job {job_id!r} has read is not in Redis any more; drop this job,"
            " the chunk is dispatched again"
        )
    try:
        function, _, arguments, _ = JobsJson.loads(_unpacked(data))
        (argument,) = arguments
    except (ValueError, TypeError) as error:
        raise QueueError(f"refused: the job {job_id!r} is odd ({error}); drop this job") from error
    if function != FUNCTION_OF["batch"]:
        raise QueueError(f"refused: {job_id!r} is no job of the queue `batch`; drop this job")
    return argument  # type: ignore[no-any-return]


def read_order(raw: msgspec.Raw | bytes, kind: type[Any]) -> Any:  # noqa: ANN401 - `kind` is the type
    """A job's argument as its type. Raises QueueError where it has another."""
    try:
        return msgspec.json.decode(raw, type=kind)
    except (msgspec.ValidationError, msgspec.DecodeError) as error:
        raise QueueError(
            f"refused: not the argument of this job: {error}; drop this job"
        ) from error


def failed_jobs(queue: Queue) -> FailedJobRegistry:
    """The failed jobs of a queue."""
    return FailedJobRegistry(queue=queue, job_class=OurJob, serializer=JobsJson)
