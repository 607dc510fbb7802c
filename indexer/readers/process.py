"""A process of this machine -> the memory it holds, and the processor time it took (proc(5)).

The kernel counts memory in pages: 4 KB mostly, 16 on a Raspberry Pi 5, 64 on some servers.
"""

from __future__ import annotations

import os
import resource
import time
from pathlib import Path


def page_bytes() -> int:
    """How large a page of this machine is."""
    return os.sysconf("SC_PAGE_SIZE")


def resident_bytes(pid: int | None = None) -> int:
    """How much memory a process holds, this one if none is named; 0 when it is gone."""
    return _pages(pid, 1) * page_bytes()


def mapped_bytes(pid: int | None = None) -> int:
    """How much address space it has taken, which is what RLIMIT_AS limits; 0 when it is gone."""
    return _pages(pid, 0) * page_bytes()


def limit_memory(megabytes: int) -> None:
    """Let this process take so much more memory than it has now, and fail where it wants more."""
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


def age_of(pid: int) -> float:
    """For how many seconds a process has run; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    began = int(text.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)
