"""System calls of the daemon: idle priority, sd_notify(3), and the watchdog that it feeds."""

from __future__ import annotations

import os
import socket
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from indexer.process import IO_DEFAULT, IO_IDLE, set_io_priority

READY: Final = "READY=1"
"""It works: `systemctl start` returns, and units that come after it are started."""
STOPPING: Final = "STOPPING=1"
"""It is about to end."""
ALIVE: Final = "WATCHDOG=1"
"""Its loop goes on."""
_EARLY: Final = 0.25
"""Fraction of the manager's limit after which a turn that comes anyway tells it."""
_LATE: Final = 0.5
"""Fraction after which a turn is made for it: as sd_watchdog_enabled(3) recommends."""


@contextmanager
def catching_up() -> Iterator[None]:
    """Idle I/O priority, and SCHED_BATCH; processes that are started within inherit both.

    Not niceness, which a thread without privileges cannot take back.
    """
    before = os.sched_getscheduler(0)
    if before == os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    set_io_priority(IO_IDLE)
    try:
        yield
    finally:
        set_io_priority(IO_DEFAULT)
        if before == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def notify(state: str, environ: Mapping[str, str]) -> bool:
    """Send `READY`, `STOPPING`, `STATUS=...`; several, a line each. False: nothing was sent.

    The socket is that of $NOTIFY_SOCKET, which a unit with `Type=notify` sets: a path, or after an
    `@` a name in the abstract namespace. Only the service manager's display depends on it, so no
    failure is an error here: a manager that waits for READY reports its own timeout.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False  # none, or vsock:, for the manager of a virtual machine
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.connect(address)
            sender.sendall(state.encode())
        except OSError:
            return False
    return True


class Watchdog:
    """Tells the manager that the loop goes on (`WatchdogSec=` of a unit), as often as is needed.

    A loop that hangs sends nothing, and is then killed and started again. The manager is told while
    the loop works, too: a look at everything may take hours.
    """

    def __init__(
        self, environ: Mapping[str, str], clock: Callable[[], float] = time.monotonic
    ) -> None:
        """`environ` has $WATCHDOG_USEC and $WATCHDOG_PID, if the manager wants pings."""
        self._environ = {"NOTIFY_SOCKET": environ.get("NOTIFY_SOCKET", "")}
        self._clock = clock
        self._thread = threading.get_ident()
        self._pinged_at = clock()
        limit = environ.get("WATCHDOG_USEC", "")
        is_ours = environ.get("WATCHDOG_PID", str(os.getpid())) == str(os.getpid())
        self._limit_s = int(limit) / 1e6 if limit.isdecimal() and is_ours else 0.0

    @property
    def is_on(self) -> bool:
        """Whether a manager waits for it."""
        return self._limit_s > 0.0

    def ping(self) -> None:
        """Tell the manager, if it is time; from another thread than the loop's it says nothing."""
        if not self.is_on or threading.get_ident() != self._thread:
            return
        now = self._clock()
        if now - self._pinged_at >= self._limit_s * _EARLY:
            self._pinged_at = now
            notify(ALIVE, self._environ)

    def next_turn(self) -> float | None:
        """When a turn is due for it, if nothing happens before."""
        return self._pinged_at + self._limit_s * _LATE if self.is_on else None
