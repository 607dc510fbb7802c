"""A daemon that is followed -> whether it does anything, and what to do where it does not."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from msgspec import Struct

from indexer import errors
from indexer.runs.lock import LockInfo

_log = logging.getLogger("indexer")
_LOG_AFTER_S: Final = 5.0
"""How long a daemon may be idle before that is logged. A guess: a disk spins up meanwhile."""
_GIVEN_UP_S: Final = 120.0
"""How long a daemon may be idle before that is logged. A guess: a disk spins up in less."""


class ProcessState(Struct, frozen=True):
    """A sample of a process; two samples differ if it ran in between."""

    state: str
    """Of proc(5): `R`, `S`, `D`, `T` ..."""
    ticks: int
    """Processor time of all its threads."""
    switches: int
    """How often its main thread gave the processor to another one, also to wait."""
    command: str

    @property
    def is_stopped(self) -> bool:
        return self.state in {"T", "t"}

    @property
    def is_watcher(self) -> bool:
        """Whether it may be a daemon: another machine counts its own processes."""
        return "watcher" in self.command


def state_of_process(pid: int) -> ProcessState | None:
    """A sample of a process now; None where it cannot be seen."""
    folder = Path(f"/proc/{pid}")
    try:
        fields = (folder / "stat").read_text("utf-8", "replace").rpartition(")")[2].split()
        lines = (folder / "status").read_text("utf-8", "replace").splitlines()
        command = (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode("utf-8", "replace")
    except OSError:
        return None
    switches = sum(int(line.split()[1]) for line in lines if "_ctxt_switches:" in line)
    return ProcessState(fields[0], int(fields[11]) + int(fields[12]), switches, command)


class Stall:
    """Since when the daemon that is waited for has not run at all.

    It is asked while work of it is open, so it has a reason to run.
    """

    def __init__(
        self,
        probe: Callable[[int], ProcessState | None] = state_of_process,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._probe = probe
        self._clock = clock
        self._seen: tuple[int, ProcessState] | None = None
        self._since = 0.0
        self._is_logged = False

    def check(self, daemon: LockInfo) -> None:
        """Say once, after some seconds, that it does nothing. Raises CannotDo after two minutes.

        Not where it cannot be seen from here, as from another container; and one that waits for
        workers is waited for with it.
        """
        pid = daemon.pid_here()
        state = None if pid is None else self._probe(pid)
        if pid is None or state is None or not state.is_watcher:
            return
        now = self._clock()
        if self._seen != (pid, state):
            self._seen, self._since, self._is_logged = (pid, state), now, False
            return
        idle_s = now - self._since
        if idle_s >= _LOG_AFTER_S and not self._is_logged:
            self._is_logged = True
            _log.warning("waiting: %s", _why(pid, state, idle_s))
        if idle_s >= _GIVEN_UP_S and daemon.engine == "local":
            raise errors.CannotDo(
                f"{_why(pid, state, idle_s)}; what was asked of it is kept until then"
            )


def _why(pid: int, state: ProcessState, idle_s: float) -> str:
    if state.is_stopped:
        return f"process {pid} (`watcher run`) is stopped; `kill -CONT {pid}` has it go on"
    return (
        f"process {pid} (`watcher run`) has done nothing for {idle_s:.0f} s; if it does not go on "
        f"by itself, `kill -KILL {pid}` and start it again"
    )
