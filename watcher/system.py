"""System calls of the daemon: idle priority, and sd_notify(3)."""

from __future__ import annotations

import ctypes
import os
import platform
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30}
"""The number of the system call, which glibc has no function for (ioprio_set(2))."""
_THIS_THREAD: Final = (1, 0)
_IDLE: Final = 3 << 13
_NONE: Final = 0
"""As the scheduler and niceness say: the default of every thread."""


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
    """Where the kernel has no priorities, everything has the same."""
    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, *_THIS_THREAD, value)


READY: Final = "READY=1"
"""It works: `systemctl start` returns, and units that come after it are started."""
STOPPING: Final = "STOPPING=1"
"""It is about to end."""


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
