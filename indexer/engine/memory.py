"""Memory around much work: garbage looked for seldom, and all given back at the end."""

from __future__ import annotations

import ctypes
import gc
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:  # who reads files for others never loads SQLite
    from indexer.store.connection import Connection

_SELDOM: Final = 10_000
"""New objects between two looks for garbage in cycles, of which a run makes none. Measured: 5 of
57 us that writing a file's row takes, with Python's own 700."""


@contextmanager
def seldom_collected() -> Iterator[None]:
    """Many objects come and go in here, and their counts free nearly all of them."""
    before = gc.get_threshold()
    gc.set_threshold(_SELDOM, *before[1:])
    try:
        yield
    finally:
        gc.set_threshold(*before)


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
