"""A worker role -> the work of the process that serves it, until it is told to end.

It waits for Redis, and where it needs the index, for that and for its turn to scan.
"""

from __future__ import annotations

import fcntl
import logging
import os
import signal
import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Final

from indexer import errors
from indexer.process import collector_relaxed, free_memory, keep_freed, share_heap
from indexer.queue.extract import Extractor
from indexer.queue.redis_client import answering, connect, refusal, shown, state_of
from indexer.queue.workers.chunk_reader import ChunkReader
from indexer.queue.workers.profiles import WorkerRole
from indexer.queue.workers.rq_overrides import AWAY, REFUSED, quiet_logs
from indexer.queue.workers.rq_worker import IDLE_S, IndexRqWorker, worker_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec
    import redis

    from indexer.ignore.path_filter import PathFilter
    from indexer.queue.orders.jobs import Handler
    from indexer.queue.workers.index_worker import IndexWorker
    from indexer.settings import Settings
    from indexer.settings.present import PresentSettings

_log = logging.getLogger("indexer")

MORE: Final = signal.SIGUSR1
"""The first reader sends it to the parent when more work waits than it can take."""
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, MORE)
_UNWELL: Final = 70
"""The exit code of a process whose worker ended by itself (sysexits.h, EX_SOFTWARE)."""
OUTDATED: Final = 71
"""The exit code of a process to which the index is too new: its parent is as old."""
_WAIT_S: Final = 0.25
"""The first pause between two checks for a Redis or a database. A guess."""


class _Stopped(BaseException):
    """SIGTERM came while a child was waiting for something."""


def serve(
    post: WorkerRole,
    settings: Settings,
    wanted: PathFilter,
    present: PresentSettings | None = None,
    *,
    burst: bool,
) -> int:
    """The work of a child: wait until it can work, and work."""
    stopped = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopped
        stopped = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for number in (signal.SIGCHLD, MORE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, SIGNALS)
    quiet_logs()
    try:
        with collector_relaxed():
            return _work(post, settings, wanted, present, lambda: stopped, burst=burst)
    except _Stopped:
        return 0
    except AWAY as error:  # from RQ's shutdown; the next process waits for Redis
        _log.warning("redis away detail=%s", error)
        return _UNWELL
    except REFUSED as error:
        _log.warning("redis refuses detail=%s", refusal(error))
        return _UNWELL
    except errors.DatabaseNewer as error:
        _log.error("%s", error)
        return OUTDATED
    except errors.IndexerError as error:
        _log.error("%s", error)
        return error.exit_code


def _work(
    post: WorkerRole,
    settings: Settings,
    wanted: PathFilter,
    present: PresentSettings | None,
    stopped: Callable[[], bool],
    *,
    burst: bool,
) -> int:
    keep_freed()
    client = connect(settings)
    _await_redis(settings, stopped)
    name = f"{socket.gethostname()}-{post.name}-{os.getpid()}-{os.urandom(2).hex()}"
    if post.reads:
        return _work_as_reader(post, settings, client, name, stopped, burst=burst)
    from indexer.queue.workers.index_worker import IndexWorker
    from indexer.store.sqlite_errors import explained

    _await_database(settings, stopped)
    turn = _take_turn(post, settings, stopped, waits=not burst)
    queues = tuple(queue for queue in post.queues if queue != "scan" or turn is not None)
    if not queues:
        return 0
    with explained(settings.db):
        urgent = post.before("deferred")
        index = IndexWorker(settings, wanted, client, more_urgent=urgent, present=present)
        try:
            index.drop_spent_orders()
            worker = worker_of(
                queues,
                client,
                handlers_of(index),
                name=name,
                memory_mb=settings.worker_memory,
                stopped=stopped,
                longest_pause_s=settings.reconnect_longest,
            )
            if isinstance(worker, IndexRqWorker):
                worker.is_outdated = lambda: index.outdated is not None
                worker.free_memory = lambda: free_memory(index.context.connection)
            worker.work(burst=burst, logging_level=None)
            if index.outdated is not None:
                raise index.outdated
        finally:
            index.close()
            if turn is not None:
                os.close(turn)
    return 0 if burst or worker.has_ended_well else _UNWELL


def handlers_of(worker: IndexWorker) -> Mapping[str, Handler]:
    """Queue, or name of a job of `deferred` -> its function. An error of SQLite is one of ours."""
    from indexer.queue import artwork, batch, insert, maintenance, relayed, scan  # late: as above

    def scan_now(worker: IndexWorker, raw: msgspec.Raw) -> None:
        scan.run(worker.scanner, raw)  # asked for now: a replaced index has another scanner

    return {
        "scan": worker.guarded(scan_now),
        "relayed": worker.guarded(relayed.run),
        "batch": worker.guarded(batch.run),
        "insert": worker.guarded(insert.run),
        "deferred": worker.guarded(maintenance.run),
        "album_cover": worker.guarded(artwork.album_cover),
        "artist_image": worker.guarded(artwork.artist_image),
        "playlist": worker.guarded(artwork.playlist),
    }


def _work_as_reader(
    post: WorkerRole,
    settings: Settings,
    client: redis.Redis,
    name: str,
    stopped: Callable[[], bool],
    *,
    burst: bool,
) -> int:
    share_heap()  # it reads a few files in a thread, one after the other
    with ChunkReader(settings) as reader:
        worker = worker_of(
            post.queues,
            client,
            Extractor(settings, client, reader.read, hands_back=not burst).handlers,
            name=name,
            memory_mb=settings.worker_memory,
            reader=reader,
            stopped=stopped,
            longest_pause_s=settings.reconnect_longest,
        )
        if post.is_on_demand:
            worker.work(burst=burst, logging_level=None, max_idle_time=IDLE_S)
            return 0
        worker.call_for_more = lambda: os.kill(os.getppid(), MORE)
        worker.work(burst=burst, logging_level=None)
        return 0 if burst or worker.has_ended_well else _UNWELL


def _await_redis(settings: Settings, stopped: Callable[[], bool]) -> None:
    """Wait until Redis answers, and log the wait once. Raises QueueError where it refuses us."""
    pause_s, is_logged = _WAIT_S, False
    while True:
        try:
            with answering(settings):
                client = connect(settings, timeout_s=5)
                state = state_of(client)
                client.close()
        except errors.RedisAway as error:
            if not is_logged:
                _log.warning("waiting for=redis detail=%s", error)
                is_logged = True
        else:
            if state.warning:
                _log.warning("%s detail=%s", state.warned_as, state.warning)
            if is_logged:
                _log.warning("redis back address=%s", shown(settings))
            return
        _sleep(pause_s * (1 + os.urandom(1)[0] / 255), stopped)
        pause_s = min(pause_s * 2, settings.reconnect_longest)


def _await_database(settings: Settings, stopped: Callable[[], bool]) -> None:
    """Wait until the index exists: workers never create the database."""
    is_logged = False
    while not settings.db.exists():
        if not is_logged:
            _log.warning(
                "waiting for=database path=%s action=start `watcher run FOLDER` or `indexer rebuild"
                " FOLDER` on this machine; a worker that only reads files needs --queues extract",
                settings.db,
            )
            is_logged = True
        _sleep(_WAIT_S, stopped)


def _take_turn(
    post: WorkerRole, settings: Settings, stopped: Callable[[], bool], *, waits: bool
) -> int | None:
    """Be the only scanner of this index: half of a scan is in the memory of its process.

    None where its role has no scans, or another process scans and it does not wait for that.
    """
    if "scan" not in post.queues:
        return None
    from indexer.store.beside import open_beside  # late: readers of files need none of it

    path = settings.db.with_name(settings.db.name + ".scanner")
    lock = open_beside(path, settings.db, os.O_RDWR | os.O_CREAT)
    is_logged = False
    while True:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if not waits:
                _log.warning("left out queue=scan reason=another worker scans for %s", settings.db)
                os.close(lock)
                return None
            if not is_logged:
                _log.warning(
                    "waiting for=scanner detail=another worker scans for %s; this process takes its"
                    " place when it ends (more readers: --queues extract)",
                    settings.db,
                )
                is_logged = True
            _sleep(_WAIT_S, stopped)
        else:
            return lock


def _sleep(seconds: float, stopped: Callable[[], bool]) -> None:
    """Sleep until the time is over or a stop is requested. Raises _Stopped."""
    until = time.monotonic() + seconds
    while not stopped() and time.monotonic() < until:
        time.sleep(min(0.1, max(0.0, until - time.monotonic())))
    if stopped():
        raise _Stopped
