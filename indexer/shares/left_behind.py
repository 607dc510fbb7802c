"""Processes that were told to end -> reaped when they have, and never waited for.

One that waits in the kernel for a server that does not answer is not ended by SIGKILL: it may stay
for days, until the server answers or the disk is unmounted.
"""

from __future__ import annotations

import time
from subprocess import Popen
from typing import Final

from indexer.process import Pulse

Process = Popen[bytes]

_MOST_S: Final = 1.0
"""How long a process that is told to end may take, if it does not wait for a disk. A guess."""
_STUCK_S: Final = 0.05
"""A killed process that has not ended after so long waits for a server. A guess."""
_PAUSE_S: Final = 0.002

_processes: list[Process] = []


def end(process: Process) -> int | None:
    """Kill a process; how it ended, or None: it waits in the kernel, and is left behind."""
    process.kill()
    pulse = Pulse(process.pid)
    killed = time.monotonic()
    while (status := process.poll()) is None:
        time.sleep(_PAUSE_S)
        waited_s = time.monotonic() - killed
        if waited_s > _MOST_S or (waited_s > _STUCK_S and pulse.is_stuck and not pulse.beats()):
            leave(process)
            return None
    return status


def leave(process: Process) -> None:
    """Leave a process that was told to end, to be reaped later."""
    _processes.append(process)
    reap()


def reap() -> int:
    """Reap those that have ended since; how many have not."""
    _processes[:] = [process for process in _processes if process.poll() is None]
    return len(_processes)
