"""After much work: what the next change would have to wait for, and memory back to the system."""

from __future__ import annotations

import ctypes
import gc
from typing import TYPE_CHECKING

if TYPE_CHECKING:  # who reads files for others never loads SQLite
    from indexer.store.connection import Connection


def give_back(connection: Connection) -> None:
    """Move the log into the database as far as other processes allow, and free unused memory.

    What SQLite keeps, garbage, and the free pages of the allocator go back to the system.
    """
    from indexer.store.upkeep import checkpoint  # late: readers of files never load SQLite

    checkpoint(connection)
    connection.pragma("shrink_memory")
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)  # malloc_trim(3)
    if trim is not None:
        trim(0)
