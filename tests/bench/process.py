"""A command -> what it cost, with all the processes that it starts."""

from __future__ import annotations

import os
import select
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType
from typing import IO, Self

import msgspec
import psutil
from msgspec import Struct

SAMPLE_S = 0.02
"""Between two looks at the memory: a peak that is shorter may be missed."""


class Cost(Struct, frozen=True):
    """One run from its start to its end. Bytes written are those to disks, not to tmpfs."""

    seconds: float
    cpu_s: float
    peak_pss: int
    written_bytes: int
    exit_code: int
    output: str = ""
    sampled: bool = True
    """Whether its memory was looked at while it ran: that takes so much of two cores that its
    seconds say little."""


class Failed(Exception):
    """A measured command did not do its work: its figures would mean nothing."""


class Watched:
    """A command that runs, pinned to some cores. Call `look` often, and `end` once.

    As a context manager it leaves no process behind, whatever is raised.
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
            self.end(signal.SIGKILL)

    @property
    def pid(self) -> int:
        """Of the command itself."""
        return self._process.pid

    def seconds(self) -> float:
        """Since its start."""
        return time.perf_counter() - self._began_s

    def look(self) -> bool:
        """Note how much memory is in use, then wait a moment; False once the command has ended."""
        self.peak_pss = max(self.peak_pss, pss_of_tree(self.pid))
        ended, _, _ = select.select([self._ended], [], [], SAMPLE_S)
        return not ended

    def await_true(self, question: Callable[[], bool], limit_s: float) -> float:
        """Look until something has come true; how many seconds that took. Raises Failed."""
        began_s = self.seconds()
        while not question():
            if not self.look() or self.seconds() - began_s > limit_s:
                words = self.end(signal.SIGKILL).output.strip()
                raise Failed(f"{self._process.args!r} ended, or took {limit_s:g} s: {words}")
        return self.seconds() - began_s

    def has_children(self) -> bool:
        """Whether others still work for it."""
        return bool(psutil.Process(self.pid).children())

    def cpu_s(self) -> float:
        """User and system time so far, of the command and of its children that have ended."""
        return sum(psutil.Process(self.pid).cpu_times()[:4])

    def end(self, with_signal: signal.Signals | None = None) -> Cost:
        """Wait for the end, brought about by a signal if one is given."""
        if with_signal is not None:
            signal.pidfd_send_signal(self._ended, with_signal)  # Popen's own would reap it
        os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOWAIT)
        seconds = self.seconds()
        written = written_bytes(self.pid)  # a dead process that was not waited for still tells
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
    sample: bool = True,
) -> Cost:
    """Run a command to its end. Raises Failed when it says that it failed.

    Without `sample` its memory is not known, and its seconds are its own.
    """
    with Watched(command, cores=cores, environment=environment, folder=folder) as watched:
        while sample and watched.look():
            pass
        cost = msgspec.structs.replace(watched.end(), sampled=sample)
    if cost.exit_code != 0:
        raise Failed(f"{' '.join(command)}: exit code {cost.exit_code}: {cost.output.strip()}")
    return cost


def pss_of_tree(pid: int) -> int:
    """Proportional set size in bytes of a process and of all that descend from it."""
    try:
        process = psutil.Process(pid)
        return sum(_pss(one.pid) for one in (process, *process.children(recursive=True)))
    except psutil.NoSuchProcess:
        return 0


def written_bytes(pid: int) -> int:
    """What a process, and its children that have ended, made dirty on disks (proc(5))."""
    for line in Path(f"/proc/{pid}/io").read_text().splitlines():
        name, _, value = line.partition(": ")
        if name == "write_bytes":
            return int(value)
    raise Failed(f"/proc/{pid}/io says nothing of write_bytes")


def _pss(pid: int) -> int:
    try:
        lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    except (FileNotFoundError, ProcessLookupError):
        return 0  # it ended between two looks
    return sum(int(line.split()[1]) * 1024 for line in lines if line.startswith("Pss:"))


@contextmanager
def _pinned(cores: int | None) -> Iterator[None]:
    """What is started within inherits these cores, and we have all of them again afterwards."""
    mine = os.sched_getaffinity(0)
    os.sched_setaffinity(0, sorted(mine)[:cores])
    try:
        yield
    finally:
        os.sched_setaffinity(0, mine)


def _in_memory() -> IO[bytes]:
    """A file to write into that is not on a disk, where it would count as bytes written."""
    return os.fdopen(os.memfd_create("output"), "w+b")


def _text(file: IO[bytes]) -> str:
    with file:
        file.seek(0)
        return file.read().decode("utf-8", "replace")
