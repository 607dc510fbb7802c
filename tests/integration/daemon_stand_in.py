"""A daemon's word to the others, without its watching: `python -m ... DATABASE works|dies|sleeps`.

It holds the dispatch lock as `daemon` and answers the bell. With `works` it does what is pending,
with `dies` it ends at the first ring, with `sleeps` it never does anything.
"""

from __future__ import annotations

import os
import select
import signal
import sys
from pathlib import Path

import msgspec

from indexer.engine.local import LocalEngine
from indexer.ignore_files import path_filter_of
from indexer.roots import open_roots
from indexer.runs.lock import DispatchLock
from indexer.runs.result import Result
from indexer.runs.wakeup import WakeupSocket
from indexer.settings import settings_file as defaults
from indexer.store import roots
from indexer.store.connection import open_index, write_transaction
from indexer.store.work import pending, scans


def main(database: Path, manner: str) -> None:
    lock = DispatchLock.acquire(database, "daemon")
    assert lock is not None
    bell = WakeupSocket(database)
    os.write(1, b"ready\n")
    while True:
        select.select([bell], [], [])
        if bell.was_woken() and manner == "dies":
            os.kill(os.getpid(), signal.SIGKILL)
        if manner == "works":
            work(database)
            os.write(1, b"worked\n")


def work(database: Path) -> None:
    """Do all that is pending, as it was asked, and settle it."""
    settings = msgspec.structs.replace(defaults.load(db=database), workers=1, still=0.0)
    connection = open_index(database, write=True)
    open_trees = open_roots.open_roots(connection, roots.watched(connection))
    waiting = pending.all_rows(connection)
    for scan_id in sorted({row.scan_id for row in waiting}):
        rows = [row for row in waiting if row.scan_id == scan_id]
        engine = LocalEngine(
            connection, open_trees.trees, settings, path_filter_of(settings), Result()
        )
        engine.run([row.hint for row in rows], scan_id=scan_id, rows=rows)
        with write_transaction(connection):
            for row in rows:
                pending.complete(connection, row)
            scans.end(connection, scan_id, 0)
    open_trees.close()
    connection.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
