"""Work that nobody waits for -> the kernel's word that it steps aside for all other work."""

from __future__ import annotations

import ctypes
import os
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30}
"""The number of the system call, which glibc has no function for (ioprio_set(2))."""
_THIS_THREAD: Final = (1, 0)
_IDLE: Final = 3 << 13
_NONE: Final = 0
"""As the scheduler and niceness say: what every thread has that did not choose."""


@contextmanager
def catching_up() -> Iterator[None]:
    """Idle I/O priority, and SCHED_BATCH; processes that are started within inherit both.

    Not niceness, which a thread without privileges cannot take back.
    """
    before = os.sched_getscheduler(0)
    if before == os.SCHED_OTHER:
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))
    _set_io_priority(_IDLE)
    try:
        yield
    finally:
        _set_io_priority(_NONE)
        if before == os.SCHED_OTHER:
            os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))


def _set_io_priority(value: int) -> None:
    """Where the kernel knows none, everything has the same."""
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, *_THIS_THREAD, value)
