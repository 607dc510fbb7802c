"""A process's memory and processor time, and how it ends (proc(5), prctl(2)).

The kernel counts memory in pages: 4 KB mostly, 16 on a Raspberry Pi 5, 64 on some servers.
"""

from __future__ import annotations

import gc
import os
import re
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # a process that only reads files never loads SQLite
    from subprocess import Popen

    from indexer.store.connection import Connection

_IOPRIO_SET: Final = {"x86_64": 251, "aarch64": 30}
"""The number of the system call, which glibc has no function for (ioprio_set(2))."""
_THIS_THREAD: Final = (1, 0)
IO_IDLE: Final = 3 << 13
IO_DEFAULT: Final = 0
"""As the scheduler and niceness say: that of every thread."""
_PR_SET_PDEATHSIG: Final = 1  # <linux/prctl.h>
_M_ARENA_MAX: Final = -8  # <malloc.h>
_M_TRIM_THRESHOLD: Final = -1
_M_MMAP_THRESHOLD: Final = -3
_LARGEST: Final = 2 * 1024 * 1024
"""Blocks from this size on are always given back; a chunk of 800 files takes half a megabyte as
JSON."""
_MOST_KEPT: Final = 4 * 1024 * 1024
"""Free memory at the end of the heap that is kept: two such blocks."""
_SELDOM: Final = 50_000
"""New objects between two runs of the cycle collector; a run makes no cycles. Measured: 5 of 57 us
that writing a file's row takes, with Python's own 700. More than the imports of a command make."""
_WAKEUP_SHARE: Final = 0.4
"""The fraction of `patience_s` that one wake-up subtracts from the time without progress. A guess:
NFS tries again every 5 s, CIFS every 10."""
_SWITCHES: Final = re.compile(rb"^(?:non)?voluntary_ctxt_switches:\s*([0-9]+)$", re.MULTILINE)
_MOST_S: Final = 1.0
"""How long a process that was killed may take to end, if it does not wait for a disk. A guess."""
_STUCK_S: Final = 0.05
"""A killed process that has not ended after so long waits for a server. A guess."""
_PAUSE_S: Final = 0.002
_processes: list[Popen[bytes]] = []


def set_io_priority(value: int) -> None:
    """Set that of this thread. Where the kernel has no priorities, everything has the same."""
    import ctypes  # late: few programs need it
    import platform

    number = _IOPRIO_SET.get(platform.machine())
    if number is not None:
        ctypes.CDLL(None).syscall(number, *_THIS_THREAD, value)


def keep_own_rights() -> None:
    """Let no umask take this user's own rights to what this process creates.

    The next process of the same user could not open the lock, nor look into a new folder.
    """
    umask = os.umask(0o077)
    os.umask(umask & 0o077)


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


def page_bytes() -> int:
    """The page size of this machine in bytes."""
    return os.sysconf("SC_PAGE_SIZE")


def mapped_bytes(pid: int | None = None) -> int:
    """Its address space, which is what RLIMIT_AS limits; 0 when it is gone."""
    return _pages(pid, 0) * page_bytes()


def written_by_this() -> int:
    """The bytes that this process has caused to be written to disks, as proc_pid_io(5) has them.

    0 where the kernel does not count them.
    """
    try:
        with open("/proc/self/io", "rb") as file:
            lines = file.read().splitlines()
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith(b"write_bytes:"))


class ProcessorWait:
    """How long the main thread of a process has waited for a processor (proc_pid_schedstat(5)).

    The kernel counts a wait when it is over. One that lasts shows itself in a process that is
    runnable, and has neither run nor waited since the last look.
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self.begin(0.0)

    def begin(self, now_s: float) -> None:
        """Count from now on; times are of the caller's clock."""
        self._began_s = self._changed_s = now_s
        self._seen = self._look()
        self._delay_ns_before = self._seen[2]

    def waited_s(self, now_s: float) -> float:
        """Seconds since `begin`; 0 where the kernel does not tell, or the process is gone."""
        seen = self._look()
        if seen[0] != "R" or seen != self._seen:
            self._seen, self._changed_s = seen, now_s
        over_s = (seen[2] - self._delay_ns_before) / 1e9
        return max(0.0, min(over_s + now_s - self._changed_s, now_s - self._began_s))

    def _look(self) -> tuple[str, int, int]:
        """Its state, how long it has run, and how long it waited, in nanoseconds."""
        try:
            with open(f"/proc/{self._pid}/schedstat", "rb") as file:
                ran, delay, _ = file.read().split()
            with open(f"/proc/{self._pid}/stat", "rb") as file:
                state = file.read().rpartition(b")")[2].split()[0]
        except (OSError, ValueError, IndexError):
            return "", 0, 0
        return state.decode("ascii"), int(ran), int(delay)


def limit_memory(megabytes: int) -> None:
    """Limit this process to so much more memory than it has now; allocations beyond it fail."""
    import resource  # late: each command imports this module

    most = mapped_bytes() + megabytes * 1024 * 1024
    _, highest = resource.getrlimit(resource.RLIMIT_AS)
    if highest != resource.RLIM_INFINITY:
        most = min(most, highest)
    resource.setrlimit(resource.RLIMIT_AS, (most, most))


def _pages(pid: int | None, field: int) -> int:
    """A field of statm."""
    try:
        fields = Path(f"/proc/{pid or 'self'}/statm").read_bytes().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(fields[field])


def spent_by(pid: int) -> tuple[int, float] | None:
    """(bytes held, processor seconds with those of its ended children); None: no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # proc(5): the third field is the first one here
    ticks = sum(map(int, fields[11:15]))
    return int(fields[21]) * page_bytes(), ticks / os.sysconf("SC_CLK_TCK")


def pid_namespace() -> int:
    """The number of the namespace to which the process ids here belong (pid_namespaces(7)).

    A container has its own. 0 where the kernel does not tell.
    """
    return _namespace_of("self") or 0


def pid_here(pid: int, namespace: int) -> int | None:
    """The id that a process of another namespace has here; None: it cannot be seen."""
    if namespace == pid_namespace():
        return pid
    for name in os.listdir("/proc"):
        if name.isdecimal() and _namespace_of(name) == namespace and _innermost(name) == pid:
            return int(name)
    return None


def _namespace_of(process: str) -> int | None:
    try:
        return os.stat(f"/proc/{process}/ns/pid").st_ino
    except OSError:  # it is gone, or another user's
        return None


def _innermost(process: str) -> int | None:
    """The id of a process in its own namespace: the last field of NSpid in proc_pid_status(5)."""
    with suppress(OSError):
        for line in Path(f"/proc/{process}/status").read_bytes().splitlines():
            if line.startswith(b"NSpid:"):
                return int(line.split()[-1])
    return None


def age_of(pid: int) -> float:
    """For how many seconds a process has run; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    began = int(text.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)


def percent(cpu_s: float, age_s: float) -> float:
    """Processor time over a process's age, in percent of one processor."""
    return round(100 * cpu_s / age_s, 1) if age_s else 0.0


def let_go_of_output() -> None:
    """Give back the output that this process has from its parent, before it may hang.

    What reads that (a pipe of cron, ssh or a shell) waits until no process has it open; and one
    that is left behind would have it open for as long as it waits.
    """
    nothing = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for own in (1, 2):
        os.dup2(nothing, own)
    os.close(nothing)


def die_with_parent(parent: int) -> bool:
    """Have the kernel kill this process when its parent ends; False if it has ended already.

    The kernel means the thread that started us, and forgets it at each fork and at each `exec` of a
    program with other privileges.
    """
    import ctypes  # late: each command imports this module

    libc = ctypes.CDLL(None, use_errno=True)
    if libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0) != 0:
        number = ctypes.get_errno()
        raise OSError(number, os.strerror(number))
    return os.getppid() == parent


def relax_collector() -> None:
    """Run the cycle collector less often: reference counts free nearly all objects of a run."""
    gc.set_threshold(_SELDOM, *gc.get_threshold()[1:])


@contextmanager
def collector_relaxed() -> Iterator[None]:
    """`relax_collector` for a while."""
    before = gc.get_threshold()
    relax_collector()
    try:
        yield
    finally:
        gc.set_threshold(*before)


def give_back(connection: Connection) -> None:
    """Move the log into the database as far as other processes allow, and free unused memory."""
    from indexer.store.connection import checkpoint  # late: readers of files never load SQLite

    checkpoint(connection)
    free_memory(connection)


def free_memory(connection: Connection | None = None) -> None:
    """Give memory back to the system that is not needed at rest, and write nothing; 2 to 5 ms.

    That is SQLite's caches, what is remembered of texts and tags, garbage, and the free pages of
    the allocator. Without a connection: in a process that reads files only.
    """
    from indexer.remembered import forget_all  # late: each command imports this module

    if connection is not None:
        connection.pragma("shrink_memory")
    forget_all()
    gc.collect()
    free_unused()


def free_unused() -> None:
    """Give the free pages of the allocator back to the system (malloc_trim(3)); a few ms."""
    import ctypes  # late: each command imports this module

    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


def share_heap() -> None:
    """Let all threads allocate from one heap (mallopt(3)), before the first thread is started.

    Else glibc gives several threads a heap of their own, and what one has freed no other can use.
    With Python they seldom allocate at once.
    """
    _tune_allocator({_M_ARENA_MAX: 1})


def keep_freed() -> None:
    """Let large blocks that are freed be used again, until `free_unused` is called (mallopt(3)).

    Else glibc gives those of each chunk back to the system, which clears every page of them for the
    next one.
    """
    _tune_allocator({_M_MMAP_THRESHOLD: _LARGEST, _M_TRIM_THRESHOLD: _MOST_KEPT})


def _tune_allocator(parameters: Mapping[int, int]) -> None:
    """Set these in their order, up to one that is refused.

    On 32 bits glibc refuses the size of blocks: what is kept for them would then be for others.
    """
    import ctypes

    mallopt = getattr(ctypes.CDLL(None), "mallopt", None)
    if mallopt is not None:
        for parameter, value in parameters.items():
            if not mallopt(parameter, value):
                break


class ProgressProbe:
    """Whether a process makes progress, seen from outside.

    One that waits in the kernel for a server gets no processor time, nor does it want any. What is
    read here never waits for it (proc_pid_stat(5), proc_pid_status(5)).
    """

    def __init__(self, pid: int) -> None:
        self._pid = pid
        self._seen = self._look()

    def has_progressed(self) -> bool:
        """Whether it has run since the last call, or is runnable now."""
        seen = self._look()
        before, self._seen = self._seen, seen
        return seen[0] == "R" or seen[1:] != before[1:]

    @property
    def is_stuck(self) -> bool:
        """Whether it waits in a way that no signal ends."""
        return self._look()[0] == "D"

    def _look(self) -> tuple[str, ...]:
        """Its state, its processor time, and how often it gave up or lost the processor."""
        try:
            text = Path(f"/proc/{self._pid}/stat").read_text(encoding="utf-8", errors="replace")
            status = Path(f"/proc/{self._pid}/status").read_bytes()
        except (FileNotFoundError, ProcessLookupError):
            return ("",)
        fields = text.rpartition(")")[2].split()
        return (fields[0], *fields[11:13], *map(str, _SWITCHES.findall(status)))


class Standstill:
    """How long a process has made no progress. Being woken only to try again is no progress."""

    def __init__(self, pid: int) -> None:
        self._probe = ProgressProbe(pid)
        self._still_s = 0.0

    def end(self) -> None:
        """It has answered."""
        self._still_s = 0.0

    def lasts(self, elapsed_s: float, patience_s: float) -> bool:
        """Add elapsed time; whether the process has stood still for longer than `patience_s`."""
        self._still_s += elapsed_s
        if self._probe.has_progressed():
            self._still_s = max(0.0, self._still_s - _WAKEUP_SHARE * patience_s)
        return self._still_s >= patience_s


def end_process(process: Popen[bytes]) -> int | None:
    """Kill a process; how it ended, or None: it is left behind, to be reaped when it has ended.

    One that waits in the kernel for a server that does not answer is not ended by SIGKILL: it may
    stay for days, until the server answers or the disk is unmounted.
    """
    process.kill()
    probe = ProgressProbe(process.pid)
    killed = time.monotonic()
    while (status := process.poll()) is None:
        time.sleep(_PAUSE_S)
        waited_s = time.monotonic() - killed
        if waited_s > _MOST_S or (
            waited_s > _STUCK_S and probe.is_stuck and not probe.has_progressed()
        ):
            leave_process(process)
            return None
    return status


def leave_process(process: Popen[bytes]) -> None:
    """Leave a process that was killed, to be reaped later."""
    _processes.append(process)
    reap_processes()


def reap_processes() -> int:
    """Reap those that have ended since; how many have not."""
    _processes[:] = [process for process in _processes if process.poll() is None]
    return len(_processes)
