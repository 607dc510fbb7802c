"""A profile -> processes that serve the queues, and end when this one does.

The parent only starts, watches and ends them. They are forked from it, so that they share what it
has loaded, and it has no thread but the one that writes to stderr. It never opens the database: a
process that reads files must not hold it.
"""

from __future__ import annotations

import gc
import logging
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Sequence
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from indexer import errors
from indexer.nonblocking_stream import drain_stderr
from indexer.process import die_with_parent
from indexer.queue.redis_client import answering, connect
from indexer.queue.workers.profiles import WorkerRole
from indexer.queue.workers.worker_process import MORE, OUTDATED, SIGNALS, serve

if TYPE_CHECKING:
    from indexer.ignore.path_filter import PathFilter
    from indexer.settings import Settings
    from indexer.settings.present import PresentSettings

_log = logging.getLogger("indexer")

_FIRST_PAUSE_S: Final = 0.5
"""Pause before a failed process is started again; it grows to `reconnect_longest`. A guess."""
_LAST_JOBS_S: Final = 10.0
"""How long those that read files may take to end when the parent is too old. A guess."""
_LIVED_S: Final = 30.0
"""A process that ran for so long failed for a new reason, and restarts after the first pause."""
_WAIT_S: Final = 0.25
"""The pause between two looks whether processes have ended. A guess."""


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


def run(
    settings: Settings,
    wanted: PathFilter,
    posts: Sequence[WorkerRole],
    present: PresentSettings | None = None,
    *,
    burst: bool = False,
) -> None:
    """Serve all roles until SIGTERM or Ctrl-C; with `burst`, until all queues are empty.

    `present` knows when the file of the settings changes; without it they stay as they are.

    A process that ends is started again. Raises DatabaseNewer where none of this version may go on.
    At the end each may finish its current job; a second
    signal ends them at once, and their jobs are dispatched again when their leases end.
    """
    _preload(settings)
    signal.pthread_sigmask(signal.SIG_BLOCK, SIGNALS)
    children = [_Child(post, wanted=burst or not post.is_on_demand) for post in posts]
    ending = False
    try:
        while not all(child.done for child in children):
            now = time.monotonic()
            for child in children:
                if child.wanted and not (ending or child.done or child.pid or now < child.start_at):
                    _start(child, settings, wanted, present, burst=burst)
            caught = signal.sigtimedwait(SIGNALS, _pause_s(children, ending=ending))
            if caught is not None and caught.si_signo == MORE:
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


def _pause_s(children: Sequence[_Child], *, ending: bool) -> float:
    """How long to wait for a signal."""
    starts = [
        child.start_at for child in children if child.wanted and not (child.pid or child.done)
    ]
    if ending or not starts:
        return 3600.0
    return max(0.0, min(starts) - time.monotonic())


def _start(
    child: _Child,
    settings: Settings,
    wanted: PathFilter,
    present: PresentSettings | None,
    *,
    burst: bool,
) -> None:
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
                code = serve(child.post, settings, wanted, present, burst=burst)
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
        if code == OUTDATED and not ending:
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
            child.wanted = not child.post.is_on_demand
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
