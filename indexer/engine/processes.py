"""A process of this machine -> the memory it holds, and the processor time it took (proc(5))."""

from __future__ import annotations

import os
import time
from pathlib import Path


def spent_by(pid: int) -> tuple[int, float] | None:
    """(bytes held, processor seconds with those of its ended children); None: no such process."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = text.rpartition(")")[2].split()  # proc(5): the third field is the first one here
    ticks = sum(map(int, fields[11:15]))
    return int(fields[21]) * os.sysconf("SC_PAGE_SIZE"), ticks / os.sysconf("SC_CLK_TCK")


def age_of(pid: int) -> float:
    """For how many seconds a process has run; 0 when it is gone."""
    try:
        text = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except (FileNotFoundError, ProcessLookupError):
        return 0.0
    began = int(text.rpartition(")")[2].split()[19]) / os.sysconf("SC_CLK_TCK")
    return max(0.0, time.clock_gettime(time.CLOCK_BOOTTIME) - began)
