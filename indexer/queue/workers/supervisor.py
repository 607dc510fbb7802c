"""A profile -> processes that serve the queues, and end when this one does.

The parent only starts, watches and ends them. They are forked from it, so that they share what it
has loaded, and it has no thread but the one that writes to stderr. It never opens the database: a
process that reads files must not hold it.
"""

from __future__ import annotations

import fcntl
import gc
import logging
import os
import signal
import socket
import sys
import time
import traceback
import warnings
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from indexer import errors
from indexer.nonblocking_stream import drain_stderr
from indexer.process import collector_relaxed, die_with_parent, share_heap
from indexer.queue.extract import Extractor
from indexer.queue.redis_client import answering, connect, shown, state_of
from indexer.queue.workers.chunk_reader import ChunkReader
from indexer.queue.workers.profiles import WorkerRole
from indexer.queue.workers.rq_overrides import AWAY, quiet_logs
from indexer.queue.workers.rq_worker import IDLE_S, IndexRqWorker, worker_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    import msgspec
    import redis

    from indexer.ignore.path_filter import PathFilter
    from indexer.queue.orders.jobs import Handler
    from indexer.queue.workers.index_worker import IndexWorker
    from indexer.settings import Settings

_log = logging.getLogger("indexer")

_MORE: Final = signal.SIGUSR1
"""The first reader sends it to the parent when more work waits than it can take."""
_SIGNALS: Final = (signal.SIGTERM, signal.SIGINT, signal.SIGCHLD, _MORE)
_UNWELL: Final = 70
"""The exit code of a process whose worker ended by itself (sysexits.h, EX_SOFTWARE)."""
_OUTDATED: Final = 71
"""The exit code of a process to which the index is too new: its parent is as old."""
_FIRST_PAUSE_S: Final = 0.5
"""Pause before a failed process is started again; it grows to `reconnect_longest`. A guess."""
_LAST_JOBS_S: Final = 10.0
"""How long those that read files may take to end when the parent is too old. A guess."""
_LIVED_S: Final = 30.0
"""A process that ran for so long failed for a new reason, and restarts after the first pause."""
_WAIT_S: Final = 0.25
"""The first pause between two checks for a Redis or a database. A guess."""


class _Child(Struct):
    """A worker role, and the process that serves it."""

    post: WorkerRole
    pid: int = 0
    born: float = 0.0
    pause_s: float = 0.0
    start_at: float = 0.0
    done: bool = False
    wanted: bool = True
    """False: it reads files, and the first reader can do all of the present work alone."""


class _Stopped(BaseException):
    """SIGTERM came while a child was waiting for something."""


def run(
    settings: Settings, wanted: PathFilter, posts: Sequence[WorkerRole], *, burst: bool = False
) -> None:
    """Serve all roles until SIGTERM or Ctrl-C; with `burst`, until all queues are empty.

    A process that ends is started again. Raises DatabaseNewer where none of this version may go on.
    At the end each may finish its current job; a second
    signal ends them at once, and their jobs are dispatched again when their leases end.
    """
    _preload(settings)
    signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    children = [_Child(post, wanted=burst or not _is_on_demand(post)) for post in posts]
    ending = False
    try:
        while not all(child.done for child in children):
            now = time.monotonic()
            for child in children:
                if child.wanted and not (ending or child.done or child.pid or now < child.start_at):
                    _start(child, settings, wanted, burst=burst)
            caught = signal.sigtimedwait(_SIGNALS, _pause_s(children, ending=ending))
            if caught is not None and caught.si_signo == _MORE:
                for child in children:
                    child.wanted = True
            elif caught is not None and caught.si_signo != signal.SIGCHLD:
                _end(children, signal.SIGKILL if ending else signal.SIGTERM)
                ending = True
            _reap(children, settings, burst=burst, ending=ending)
            if ending and not any(child.pid for child in children):
                return
    except errors.DatabaseNewer:
        _end(children, signal.SIGTERM)
        _await(children, _LAST_JOBS_S)
        raise
    finally:
        _end(children, signal.SIGKILL)


def _await(children: Sequence[_Child], most_s: float) -> None:
    """Wait until all processes have ended, for so many seconds at the most."""
    until = time.monotonic() + most_s
    while any(child.pid for child in children) and time.monotonic() < until:
        for child in children:
            if child.pid and os.waitpid(child.pid, os.WNOHANG)[0]:
                child.pid = 0
        time.sleep(_WAIT_S)


def _preload(settings: Settings) -> None:
    """Load before the forks what most of them need, and exclude it from garbage collection.

    The collector writes to each object that it examines, which would end the sharing.
    """
    with suppress(errors.QueueError), answering(settings):  # connecting imports more modules
        client = connect(settings, timeout_s=1)
        client.ping()
        client.close()
    gc.collect()
    gc.freeze()


def _is_on_demand(post: WorkerRole) -> bool:
    return post.reads and post.number > 1


def _pause_s(children: Sequence[_Child], *, ending: bool) -> float:
    """How long to wait for a signal."""
    starts = [
        child.start_at for child in children if child.wanted and not (child.pid or child.done)
    ]
    if ending or not starts:
        return 3600.0
    return max(0.0, min(starts) - time.monotonic())


def _start(child: _Child, settings: Settings, wanted: PathFilter, *, burst: bool) -> None:
    sys.stdout.flush()
    parent = os.getpid()
    with warnings.catch_warnings():  # of Python 3.12 on: a thread; it holds no lock of a child
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid == 0:
        code = 1
        try:
            os.setpgid(0, 0)  # a terminal sends Ctrl-C to the parent alone, which decides
            if die_with_parent(parent):
                code = _serve(child.post, settings, wanted, burst=burst)
        except BaseException:  # noqa: BLE001 - nothing of the parent may run here
            traceback.print_exc()
        finally:
            drain_stderr()
            os._exit(code)
    child.pid = pid
    child.born = time.monotonic()


def _end(children: Sequence[_Child], number: signal.Signals) -> None:
    for child in children:
        if child.pid:
            os.kill(child.pid, number)
            if number == signal.SIGKILL:
                os.waitpid(child.pid, 0)
                child.pid = 0


def _reap(children: Sequence[_Child], settings: Settings, *, burst: bool, ending: bool) -> None:
    """Reap the processes that have ended, and plan when to start them again."""
    for child in children:
        if not child.pid:
            continue
        pid, status = os.waitpid(child.pid, os.WNOHANG)
        if not pid:
            continue
        child.pid = 0
        code = os.waitstatus_to_exitcode(status)
        if code == _OUTDATED and not ending:
            raise errors.DatabaseNewer(
                f"{settings.db}: a newer version of this program has migrated it; update this one,"
                " and start `indexer worker` again"
            )
        child.done = burst and code == 0
        if ending or child.done:
            continue
        now = time.monotonic()
        if code == 0:
            child.pause_s = 0.0
            child.wanted = not _is_on_demand(child.post)
        elif child.pause_s and now - child.born < _LIVED_S:
            child.pause_s = min(child.pause_s * 2, settings.reconnect_longest)
        else:
            child.pause_s = min(_FIRST_PAUSE_S, settings.reconnect_longest)
        child.start_at = now + child.pause_s
        if code:
            how = f"signal {-code}" if code < 0 else f"exit code {code}"
            _log.warning(
                "worker lost post=%s how=%s action=again in %g s",
                child.post.name,
                how,
                child.pause_s,
            )


def _serve(post: WorkerRole, settings: Settings, wanted: PathFilter, *, burst: bool) -> int:
    """The work of a child: wait until it can work, and work."""
    stopped = False

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopped
        stopped = True

    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    for number in (signal.SIGCHLD, _MORE):
        signal.signal(number, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    quiet_logs()
    try:
        with collector_relaxed():
            return _work(post, settings, wanted, lambda: stopped, burst=burst)
    except _Stopped:
        return 0
    except AWAY as error:  # from RQ's shutdown; the next process waits for Redis
        _log.warning("redis away detail=%s", error)
        return _UNWELL
    except errors.DatabaseNewer as error:
        _log.error("%s", error)
        return _OUTDATED
    except errors.IndexerError as error:
        _log.error("%s", error)
        return error.exit_code


def _work(
    post: WorkerRole,
    settings: Settings,
    wanted: PathFilter,
    stopped: Callable[[], bool],
    *,
    burst: bool,
) -> int:
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
        index = IndexWorker(settings, wanted, client, more_urgent=post.before("deferred"))
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
        if _is_on_demand(post):
            worker.work(burst=burst, logging_level=None, max_idle_time=IDLE_S)
            return 0
        worker.call_for_more = lambda: os.kill(os.getppid(), _MORE)
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
                _log.warning("redis evicts detail=%s", state.warning)
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
