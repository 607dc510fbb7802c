"""After much work: what the next change would have to wait for, and memory back to the system."""

from __future__ import annotations

import ctypes
import gc
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # who reads files for others never loads SQLite
    from indexer.store.connection import Connection


def give_back(connection: Connection) -> None:
    """Move the log into the database as far as readers allow it, and free what nobody needs.

    What SQLite keeps, garbage, and the free pages of the allocator go back to the system.
    """
    connection.wal_checkpoint()
    connection.pragma("shrink_memory")
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # malloc_trim(3)
    if trim is not None:
        trim(0)


def resident_bytes(pid: int | None = None) -> int:
    """How much memory a process holds (proc(5), statm); 0 when it is gone."""
    try:
        fields = Path(f"/proc/{pid or 'self'}/statm").read_bytes().split()
    except (FileNotFoundError, ProcessLookupError):
        return 0
    return int(fields[1]) * 4096
