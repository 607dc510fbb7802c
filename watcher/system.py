"""System calls of the daemon: idle priority, and sd_notify(3)."""

from __future__ import annotations

import os
import socket
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from indexer.process import IO_DEFAULT, IO_IDLE, set_io_priority


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


READY: Final = "READY=1"
"""It works: `systemctl start` returns, and units that come after it are started."""
STOPPING: Final = "STOPPING=1"
"""It is about to end."""
ALIVE: Final = "WATCHDOG=1"
"""Its loop goes on."""


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
