"""Turns of work, each taken when it is due -> a loop that sleeps in the kernel between them.

Also what tells a service manager that it goes on: sd_notify(3), and the watchdog that it feeds.
"""

from __future__ import annotations

import os
import select
import selectors
import socket
import threading
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from typing import Final, Protocol

_SHORT_S: Final = 0.02
"""A pause in which a millisecond counts. A guess."""
_MOST_SELECTED: Final = 1024
"""Descriptors that `select` knows (FD_SETSIZE)."""
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


class HasFileno(Protocol):
    """What a selector can wait for."""

    def fileno(self) -> int: ...


class Loop(ABC):
    """Takes turns until `stop`. A test may call `step` instead, with a clock of its own."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.is_stopping = self._is_closed = False
        self._wake_fd = os.eventfd(0, os.EFD_NONBLOCK | os.EFD_CLOEXEC)

    @abstractmethod
    def step(self, now: float) -> None:
        """One turn of the loop."""

    @abstractmethod
    def next_turn(self) -> float:
        """When there is something to do, if nothing happens before."""

    def stop(self) -> None:
        """End the loop after its turn; safe in a signal handler, any thread, and after `close`."""
        self.is_stopping = True
        self.wake()

    def wake(self) -> None:
        """Have the loop take its next turn now; safe wherever `stop` is."""
        if not self._is_closed:  # its number may be another file's by now
            os.eventfd_write(self._wake_fd, 1)

    def close(self) -> None:
        """Close the descriptor that wakes it; once is enough."""
        if not self._is_closed:
            self._is_closed = True  # a second signal may come until the program has ended
            os.close(self._wake_fd)

    def _take_turns(
        self,
        is_over: Callable[[], bool],
        wakers: Iterable[HasFileno] = (),
        after_sleep: Callable[[], None] = lambda: None,
    ) -> None:
        """Take turns until `stop`, or `is_over`; each of `wakers` ends the sleep between two."""
        with selectors.EpollSelector() as selector:
            selector.register(self._wake_fd, selectors.EVENT_READ)
            for one in wakers:
                selector.register(one, selectors.EVENT_READ)
            while not (self.is_stopping or is_over()):
                self.step(self.clock())
                self._await_turn(selector)
                after_sleep()

    def _await_turn(self, selector: selectors.EpollSelector) -> None:
        """Sleep until something wakes the loop, or its next turn has come.

        A selector rounds up to milliseconds, as epoll counts them: too much for a short pause.
        `select` does not, and can wait for the selector itself, which is readable when something in
        it is.
        """
        left_s = self.next_turn() - self.clock()
        if left_s >= _SHORT_S:
            selector.select(left_s)
        elif left_s > 0 and selector.fileno() < _MOST_SELECTED:
            select.select([selector], (), (), left_s)
        elif left_s > 0:
            selector.select(left_s)

    def _take_wakeups(self) -> None:
        """Note that the loop was woken, so that it can sleep again."""
        with suppress(BlockingIOError):
            os.eventfd_read(self._wake_fd)


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
