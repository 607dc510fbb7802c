"""What a daemon starts to read whole files beside it: `python -m indexer.scrub_process ORDER`.

At idle priority, and for a limited time; it ends with the daemon. No disk is held between two
pieces, so that each can be unmounted at any time.
"""

from __future__ import annotations

import os
import signal
import sys
import time
from contextlib import closing
from pathlib import Path
from types import FrameType

import msgspec
from msgspec import Struct

from indexer import errors
from indexer.checks.scrub import Scrubber
from indexer.evidence import ignore_lease_signal
from indexer.process import IO_IDLE, die_with_parent, set_io_priority
from indexer.settings import Settings
from indexer.store.connection import open_index
from indexer.store.sqlite_errors import explained

_NICE = 19


class Order(Struct, frozen=True):
    """What to do; JSON on the command line."""

    db: str
    parent: int
    places: tuple[bytes, ...]
    """Paths of roots whose disks are awake."""
    rate: int
    days: int
    longest_s: float
    follow_links: bool
    busy_timeout_s: float


class Summary(Struct, frozen=True):
    """What was done; JSON on stdout."""

    files: int
    bytes: int
    damaged: int


def main() -> int:
    """Read for as long as the order allows; 1: the database could not be used."""
    order = msgspec.json.decode(sys.argv[1], type=Order)
    if not die_with_parent(order.parent):
        return 0
    stopped = False

    def stop(_number: int, _frame: FrameType | None) -> None:
        nonlocal stopped
        stopped = True

    signal.signal(signal.SIGTERM, stop)
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # a terminal sends it to the daemon as well
    ignore_lease_signal()
    os.nice(_NICE)
    set_io_priority(IO_IDLE)
    until = time.monotonic() + order.longest_s
    settings = Settings(db=Path(order.db), follow_links=order.follow_links)
    try:
        opened = open_index(
            settings.db, write=True, create=False, busy_timeout_s=order.busy_timeout_s
        )
        with closing(opened) as connection, explained(settings.db):
            report = Scrubber(
                connection,
                settings,
                rate=order.rate,
                days=order.days,
                listener=None,
                stop=lambda: stopped or time.monotonic() >= until,
                releases_disks=True,
            ).run(order.places)
    except errors.IndexerError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    summary = Summary(report.checked, report.bytes_read, len(report.damaged))
    sys.stdout.buffer.write(msgspec.json.encode(summary))
    return 0


if __name__ == "__main__":
    sys.exit(main())
