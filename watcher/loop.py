"""Turns of work, each taken when it is due -> a loop that sleeps in the kernel between them."""

from __future__ import annotations

import os
import select
import selectors
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final, Protocol

_SHORT_S: Final = 0.02
_MOST_SELECTED: Final = 1024
"""Descriptors that `select` knows (FD_SETSIZE)."""
"""A pause in which a millisecond counts. A guess."""


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
