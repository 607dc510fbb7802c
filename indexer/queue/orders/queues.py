"""Orders for the stages -> jobs in five queues, and what Redis knows of them."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final

import msgspec
from msgspec import Struct
from redis.exceptions import ResponseError
from rq.job import Job
from rq.worker_registration import WORKERS_BY_QUEUE_KEY

from indexer.queue.orders.jobs import (
    ARTWORK_FUNCTIONS,
    FAILED_TTL_S,
    FUNCTION_OF,
    MODULE_OF_ARTWORK,
    NO_TIMEOUT,
    READING,
    OurQueue,
    is_kept,
    kept_argument,
    our_queue,
    read_order,
)
from indexer.queue.orders.kept_orders import KeptOrder, find_order, note_order
from indexer.queue.orders.keys import PARKED, SCANS
from indexer.queue.orders.messages import FactsText
from indexer.queue.workers.profiles import QUEUES

if TYPE_CHECKING:
    import redis

    from indexer.queue.orders.messages import BatchOrder
    from indexer.store.connection import Connection
    from indexer.store.sidecars.artwork import OwnerKind

ARTWORK_JOBS: Final = dict(zip(("album", "artist", "playlist"), ARTWORK_FUNCTIONS, strict=True))
"""Kind of the owners -> the function of their jobs."""
_ARTWORK_S: Final = 600
_BATCH_S: Final = 600
"""The longest that these jobs may take. Guesses."""
Alongside = Callable[[Any], None]
"""Adds commands to a pipeline of redis."""
ALIVE: Final = ("queued", "started")
"""What Redis says of a job that waits or is at work, and of one whose worker was lost."""
_SCANS_TTL_S: Final = 7 * 86_400
_FACTS: Final = "music-indexer:facts:"
"""Before the generation of a relay's hints: its `FactsText`."""
_FACTS_TTL_S: Final = 600
"""Later the files have stood still for so long that no evidence is needed. A guess."""


def _ids_of(function: str) -> list[str]:
    """Of the jobs of one kind that choose artwork."""
    return [f"{function}-{number}" for number in range(2)]


ARTWORK_IDS: Final = tuple(job_id for function in ARTWORK_FUNCTIONS for job_id in _ids_of(function))
"""Of all jobs that choose artwork."""


class JobState(Struct, frozen=True, gc=False):
    """What Redis knows of one job."""

    status: str = ""
    heartbeat: bytes = b""
    """The last heartbeat."""
    reading: bool = False
    """Its files were given to a reader."""


class Queues:
    """The five queues of one Redis."""

    def __init__(self, client: redis.Redis) -> None:
        self.client = client
        self._queues = {name: our_queue(name, client) for name in QUEUES}

    def put(
        self,
        name: str,
        order: object,
        *,
        job_id: str,
        description: str,
        timeout_s: float | None,
        function: str | None = None,
        alongside: Alongside = lambda _pipeline: None,
    ) -> None:
        """Enqueue one order. A job of the same id is replaced.

        `timeout_s` None: RQ sets no limit to its time. `function` is a further one of the queue.
        What `alongside` writes stands in the same transaction of Redis.
        """
        queue = self._queues[name]
        job = queue.create_job(
            func=function or FUNCTION_OF[name],
            args=(order,),
            timeout=NO_TIMEOUT if timeout_s is None else max(1, int(timeout_s)),
            result_ttl=0,
            failure_ttl=FAILED_TTL_S,
            description=description,
            job_id=job_id,
        )
        self._enqueue(queue, job, alongside)

    def put_batch(
        self,
        order: BatchOrder,
        *,
        which: str = "",
        alongside: Alongside = lambda _pipeline: None,
    ) -> str:
        """Hand a chunk to the stage after the readers; the id of its job. `which` says more of it.

        The order is noted for its row: it stays in Redis until it is inserted.
        """
        origin, files = order.origin, len(order.files) + len(order.unread)
        job_id = chunk_job("batch", origin.row, origin.files or files, origin.turn)

        def note(pipeline: Any) -> None:  # noqa: ANN401 - redis' type
            note_order(pipeline, origin, job_id)
            alongside(pipeline)

        self.put(
            "batch",
            order,
            job_id=job_id,
            description=f"batch {files} file{'' if files == 1 else 's'} of {origin.root}{which}",
            timeout_s=_BATCH_S,
            alongside=note,
        )
        return job_id

    def _enqueue(
        self, queue: OurQueue, job: Job, alongside: Alongside = lambda _pipeline: None
    ) -> None:
        """RQ's method, in one round trip: without a pipeline it makes two."""
        with self.client.pipeline() as pipeline:
            queue.enqueue_job(job, pipeline=pipeline)
            alongside(pipeline)
            pipeline.execute()

    def batch_order(self, job_id: str) -> msgspec.Raw:
        """The order of a job of `batch` that is done, until its batch is inserted.

        Raises QueueError where Redis has lost it, or the job is another one.
        """
        data: Any = self.client.hget(Job.key_for(job_id), "data") if is_kept(job_id) else None
        return kept_argument(job_id, data)

    def kept_order(self, index: str, row: int) -> KeptOrder | None:
        """The newest order of `batch` for a row, until it is inserted. Raises QueueError.

        `index` is the token of the index that has the row.
        """
        return find_order(self.client, index, row)

    def has_jobs(self, names: Collection[str]) -> bool:
        """Whether a job waits in one of these queues."""
        keys = [self._queues[name].key for name in names]
        return bool(keys) and bool(self.client.exists(*keys))

    def has_artwork(self) -> bool:
        """Whether a job that chooses artwork waits or is at work."""
        return any(one.status in ALIVE for one in self.states(ARTWORK_IDS))

    def drop(self, job_id: str) -> None:
        """Delete a job whose worker is lost, so that another one of its id may be enqueued."""
        self.client.delete(Job.key_for(job_id))

    def put_artwork(self, function: str, order: object) -> None:
        """Enqueue a job that chooses artwork, unless one waits, or another one is at it.

        A job that puts its own successor has the other of two ids: its own is deleted at its end.
        """
        ids = _ids_of(function)
        statuses = [one.status for one in self.states(ids)]
        free = [one for one, status in zip(ids, statuses, strict=True) if status not in ALIVE]
        if "queued" in statuses or not free:
            return
        queue = self._queues["deferred"]
        job = queue.create_job(
            func=f"{MODULE_OF_ARTWORK}.{function}",
            args=(order,),
            timeout=_ARTWORK_S,
            result_ttl=0,
            failure_ttl=FAILED_TTL_S,
            description=function.replace("_", " ") + "s of what is due",
            job_id=free[0],
        )
        self._enqueue(queue, job)

    def files_held(self) -> int:
        """How many files are in the queues between scan and insert, by the ids of their jobs."""
        with self.client.pipeline(transaction=False) as pipeline:
            for name in ("extract", "batch", "insert"):
                pipeline.lrange(self._queues[name].key, 0, -1)
            return sum(files_in(job_id) for ids in pipeline.execute() for job_id in ids)

    def waiting(self) -> set[str]:
        """The ids of all jobs that are in a queue."""
        with self.client.pipeline(transaction=False) as pipeline:
            for queue in self._queues.values():
                pipeline.lrange(queue.key, 0, -1)
            return {job_id.decode(errors="replace") for ids in pipeline.execute() for job_id in ids}

    def states(self, job_ids: Sequence[str]) -> list[JobState]:
        """The state of each job; an empty one where there is none that can be read.

        The heartbeat is a time by the clock of the worker's machine, so it is not used as a time:
        another value means that the worker lives.
        """
        with self.client.pipeline(transaction=False) as pipeline:
            for job_id in job_ids:
                pipeline.hmget(Job.key_for(job_id), "status", "last_heartbeat", READING)
            replies = pipeline.execute(raise_on_error=False)
        answers = [(None,) * 3 if isinstance(one, ResponseError) else one for one in replies]
        return [
            JobState(
                (status or b"").decode(errors="replace"), heartbeat or b"", reading is not None
            )
            for status, heartbeat, reading in answers
        ]

    def workers_of(self, name: str) -> int:
        """How many workers are registered for a queue."""
        key = WORKERS_BY_QUEUE_KEY % name
        return int(self.client.scard(key))

    def park(self, generation: int, turn: int, slice_: int) -> None:
        """Park a scan until the queues hold fewer files."""
        self.client.hset(PARKED, str(generation), f"{turn} {slice_}")

    def unpark(self, generation: int) -> bool:
        """Take a parked scan to resume; False when another process has taken it."""
        return bool(self.client.hdel(PARKED, str(generation)))

    def parked(self) -> list[tuple[int, int, int]]:
        """(generation, turn, slice) of the parked scans."""
        fields: Any = self.client.hgetall(PARKED)
        waiting = (_numbers(key + b" " + value, 3) for key, value in fields.items())
        return sorted((one[0], one[1], one[2]) for one in waiting if one)

    def note_scan(self, generation: int, seen: int, planned: int) -> None:
        """Publish the progress of a scan."""
        with self.client.pipeline(transaction=False) as pipeline:
            pipeline.hset(SCANS, str(generation), f"{seen} {planned}")
            pipeline.expire(SCANS, _SCANS_TTL_S)
            pipeline.execute()

    def scan_noted(self, generation: int) -> tuple[int, int]:
        """(files seen, files to read) of a scan so far."""
        value: Any = self.client.hget(SCANS, str(generation))
        seen, planned = _numbers(value or b"", 2) or (0, 0)
        return seen, planned

    def drop_scan(self, generation: int) -> None:
        """Delete the progress of a scan that has ended."""
        self.client.hdel(SCANS, str(generation))

    def note_facts(self, generation: int, facts: FactsText) -> None:
        """Keep what a relay knows of the writers of a generation's files."""
        self.client.set(f"{_FACTS}{generation}", msgspec.json.encode(facts), ex=_FACTS_TTL_S)

    def facts_noted(self, generation: int) -> FactsText:
        """What was kept; nothing where Redis has lost it, so that its files wait until still."""
        value: Any = self.client.get(f"{_FACTS}{generation}")
        return FactsText() if value is None else read_order(value, FactsText)


def chunk_job(queue: str, row: int, files: int, turn: int) -> str:
    """The id of a job for a chunk: its pending row, number of files, and turn."""
    return f"{queue}-{row}-{files}-{turn}"


def scan_job(generation: int, row: int, turn: int, slice_: int) -> str:
    """The id of a scan job; `row` is the row of incomplete files that it scans again, or 0."""
    return f"scan-{generation}-{row}-{turn}-{slice_}"


def files_in(job_id: bytes | str) -> int:
    """How many files a job of a chunk is about, by its id; 0 for any other id."""
    text = job_id.decode(errors="replace") if isinstance(job_id, bytes) else job_id
    parts = text.split("-")
    is_ours = len(parts) == 4 and len(parts[2]) < 10 and parts[2].isdecimal()
    return int(parts[2]) if is_ours else 0


def _numbers(text: bytes, many: int) -> tuple[int, ...]:
    """The whole numbers in a value; none where it is something else."""
    words = text.split()
    if len(words) != many or not all(word.isdigit() and len(word) < 20 for word in words):
        return ()
    return tuple(map(int, words))


class LostJobs:
    """Jobs for artwork that have no worker any more, although Redis shows them as alive.

    A worker that is killed leaves its job `started`, or `queued` in no queue where it had just
    taken it: no other job of this id would be enqueued then.
    """

    def __init__(self, queues: Queues, lease_s: float) -> None:
        self._queues = queues
        self._lease_s = lease_s
        self._shown: dict[str, tuple[JobState, float]] = {}
        """Id -> what was shown of a job that is in no queue, and since when."""

    def drop(self, now: float) -> None:
        """Delete those that have shown nothing new for the length of a lease."""
        states = dict(zip(ARTWORK_IDS, self._queues.states(ARTWORK_IDS), strict=True))
        alive = {job_id: state for job_id, state in states.items() if state.status in ALIVE}
        waiting = self._queues.waiting() if alive else set()
        before, self._shown = self._shown, {}
        for job_id, state in alive.items():
            if job_id in waiting:
                continue
            shown, since = before.get(job_id, (state, now))
            if shown == state and now - since >= self._lease_s:
                self._queues.drop(job_id)
            else:
                self._shown[job_id] = (state, since if shown == state else now)


def put_due_artwork(
    connection: Connection,
    queues: Queues,
    token: str,
    kinds: Iterable[OwnerKind],
) -> None:
    """Enqueue a job for each kind of which something is due, unless one waits already."""
    from indexer.store.sidecars import artwork  # late: readers of files never load SQLite

    for kind in kinds:
        if artwork.has_due(connection, kind):
            queues.put_artwork(ARTWORK_JOBS[kind], {"index": token})
