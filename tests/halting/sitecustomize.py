"""Every Python process with this folder in PYTHONPATH: it stops itself where a file asks it to.

A file in the folder HALTS that is named for a stage is taken by the process that comes there first.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from indexer.stages.scan import Plan, Scan


def _halt(stage: str) -> None:
    try:
        os.unlink(os.path.join(os.environ["HALTS"], stage))
    except FileNotFoundError:
        return
    signal.pthread_kill(threading.get_ident(), signal.SIGSTOP)


def install() -> None:
    """Have the stages halt; who imports them later gets these."""
    from indexer.stages import batch, insert, scan

    plain_plans, plain_batch, plain_write = scan.Scan.plans, batch.batch, insert.Inserter.write

    def plans(self: Scan) -> Iterator[Plan]:
        for plan in plain_plans(self):
            yield plan
            _halt("scan")

    def group(*args: Any) -> batch.Batch:
        _halt("batch")
        return plain_batch(*args)

    def write(
        self: insert.Inserter, *args: Any, count: Any = lambda _: None
    ) -> insert.Written | None:
        def count_and_halt(written: insert.Written) -> None:
            count(written)
            _halt("commit")

        _halt("insert")
        return plain_write(self, *args, count=count_and_halt)

    scan.Scan.plans = plans  # type: ignore[method-assign]
    batch.batch = group  # type: ignore[assignment]
    insert.Inserter.write = write  # type: ignore[assignment, method-assign]


if "HALTS" in os.environ:
    install()
