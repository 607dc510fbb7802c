"""A command -> its cost, including all processes that it starts."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec
import psutil
from msgspec import Struct

SAMPLE_S = 0.02
"""Interval of memory samples: a shorter peak may be missed."""
GENTLE_S = 0.5
"""An interval that takes a hundredth of a core, for runs of minutes."""

OF_A_SERVICE = {"PYTHONMALLOC": "malloc"}
"""Environment of the daemon in its systemd unit and its container: what a scan has used goes back
to the system."""


class Cost(Struct, frozen=True):
    """The cost of one run. Bytes written are those to disks, not to tmpfs."""

    seconds: float
    cpu_s: float
    peak_pss: int
    written_bytes: int
    exit_code: int
    output: str = ""
    sampled: bool = True
    """Whether its memory was sampled: that takes so much of two cores that its seconds are not
    meaningful."""


class Failed(Exception):
    """A measured command did not do its work, so its figures are meaningless."""


class Watched:
    """A running command, pinned to some cores. Call `look` often, and `end` once.

    As a context manager it leaves no process behind after any exception.
    """

    def __init__(
        self,
        command: Sequence[str],
        *,
        cores: int | None = None,
        environment: Mapping[str, str] | None = None,
        folder: Path | None = None,
    ) -> None:
        self.peak_pss = 0
        self._output, self._errors = _in_memory(), _in_memory()
        with _pinned(cores):
            self._began_s = time.perf_counter()
            self._process = subprocess.Popen(
                command,
                stdin=subprocess.DEVNULL,
                stdout=self._output,
                stderr=self._errors,
                env=environment,
                cwd=folder,
            )
        self._ended = os.pidfd_open(self._process.pid)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if self._process.returncode is None:
            self.kill()

    @property
    def pid(self) -> int:
        """Of the command itself."""
        return self._process.pid

    def seconds(self) -> float:
        """Since its start."""
        return time.perf_counter() - self._began_s

    def wait(self, at_most_s: float | None) -> bool:
        """Wait; False once the command has ended."""
        ended, _, _ = select.select([self._ended], [], [], at_most_s)
        return not ended

    def look(self, every_s: float = SAMPLE_S) -> bool:
        """Sample the memory, then wait; False once the command has ended."""
        self.peak_pss = max(self.peak_pss, pss_of_tree(self.pid))
        return self.wait(every_s)

    def await_true(self, question: Callable[[], bool], limit_s: float) -> float:
        """Sample until a condition is true; seconds. Raises Failed."""
        began_s = self.seconds()
        while not question():
            if not self.look() or self.seconds() - began_s > limit_s:
                words = self.kill().output.strip()
                raise Failed(f"{self._process.args!r} ended, or took {limit_s:g} s: {words}")
        return self.seconds() - began_s

    def has_children(self) -> bool:
        return bool(psutil.Process(self.pid).children())

    def cpu_s(self) -> float:
        """User and system time so far, of the command and of its ended children."""
        return sum(psutil.Process(self.pid).cpu_times()[:4])

    def kill(self) -> Cost:
        """End it and all that it started; else its children would go on without it."""
        children = descendants(self.pid)
        signal.pidfd_send_signal(self._ended, signal.SIGKILL)  # first: it may end with its child
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()
        return self.end()

    def end(self, with_signal: signal.Signals | None = None) -> Cost:
        """Send a signal, if one is given, and wait for the end."""
        if with_signal is not None:
            signal.pidfd_send_signal(self._ended, with_signal)  # Popen's own would reap it
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        seconds = self.seconds()
        written = written_bytes(self.pid)  # still readable for a zombie
        _, status, usage = os.wait4(self.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        os.close(self._ended)
        output, errors = _text(self._output), _text(self._errors)
        return Cost(
            seconds,
            usage.ru_utime + usage.ru_stime,
            self.peak_pss,
            written,
            self._process.returncode,
            output if self._process.returncode == 0 else f"{output}{errors}",
        )


def run(
    command: Sequence[str],
    *,
    cores: int | None = None,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    sample_s: float | None = SAMPLE_S,
    limit_s: float | None = None,
) -> Cost:
    """Run a command to its end. Raises Failed if its exit code is not 0, or after `limit_s`.

    Without `sample_s` its memory is unknown, and its seconds are undisturbed; so they are, nearly,
    where it is as long as `GENTLE_S`.
    """
    with Watched(command, cores=cores, environment=environment, folder=folder) as watched:
        runs = watched.wait(limit_s) if sample_s is None else watched.look(sample_s)
        while runs:
            if limit_s is not None and watched.seconds() >= limit_s:
                raise Failed(f"{' '.join(command)}: not done after {limit_s:g} s")
            runs = sample_s is None or watched.look(sample_s)
        sampled = sample_s is not None and sample_s < GENTLE_S
        cost = msgspec.structs.replace(watched.end(), sampled=sampled)
    if cost.exit_code != 0:
        raise Failed(f"{' '.join(command)}: exit code {cost.exit_code}: {cost.output.strip()}")
    return cost


def pss_of_tree(pid: int) -> int:
    """Proportional set size in bytes of a process and of all that descend from it."""
    return sum(_pss(one) for one in (pid, *(child.pid for child in descendants(pid))))


def cpu_of_tree(pid: int) -> float:
    """User and system time in seconds of a process and all its descendants, ended or not."""
    total = 0.0
    for one in (psutil.Process(pid), *descendants(pid)):
        with suppress(psutil.NoSuchProcess):  # it ended meanwhile: its parent has its time
            total += sum(one.cpu_times()[:4])
    return total


def descendants(pid: int) -> list[psutil.Process]:
    """All processes that descend from one; none if it has ended."""
    try:
        return psutil.Process(pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


def written_bytes(pid: int) -> int:
    """Bytes that a process and its ended children made dirty on disks (proc(5))."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        name, _, value = line.partition(": ")
        if name == "write_bytes":
            return int(value)
    raise Failed(f"/proc/{pid}/io says nothing of write_bytes")


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended between two samples
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@contextmanager
def _pinned(cores: int | None) -> Iterator[None]:
    """Processes started inside inherit these cores; ours are restored afterwards."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(mine)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def _in_memory() -> IO[bytes]:
    """A file in memory, so that its bytes do not count as written to a disk."""
    return os.fdopen(os.memfd_create("output"), "w+b")


def _text(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode("utf-8", "replace")
