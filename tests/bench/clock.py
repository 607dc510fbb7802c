"""Work measured inside its process -> its seconds, without the start of Python."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager

import msgspec
from msgspec import Struct

from tests.bench.process import written_bytes


class Took(Struct):
    """Measurements that a process prints of its work."""

    files: int = 0
    seconds: float = 0.0
    cpu_s: float = 0.0
    written_bytes: int = 0
    """To disks."""
    read_bytes: int | None = None
    """Of the files, by `extract`."""
    database_bytes: int | None = None

    @contextmanager
    def timed(self) -> Iterator[None]:
        """Measure the block; may be used repeatedly, the times are added."""
        written = written_bytes(os.getpid())
        seconds, cpu_s = time.perf_counter(), time.process_time()
        yield
        self.seconds += time.perf_counter() - seconds
        self.cpu_s += time.process_time() - cpu_s
        self.written_bytes += written_bytes(os.getpid()) - written

    def tell(self) -> None:
        """Print it for `told`."""
        print(msgspec.json.encode(self).decode())


def told(output: str) -> Took:
    """Parse the output of such a process."""
    return msgspec.json.decode(output, type=Took)
