"""What this process has open, so that a test sees what it forgets to close."""

from __future__ import annotations

import gc
import os
from contextlib import suppress
from pathlib import Path


def descriptors_below(folder: Path) -> list[str]:
    """The files and folders below it (and itself) that are open, once for each descriptor.

    Descriptors of anything else may go at any time: garbage of earlier tests holds some.
    """
    found = []
    for descriptor in os.listdir("/proc/self/fd"):
        with suppress(OSError):  # the one that the listing itself needed
            if Path(path := os.readlink(f"/proc/self/fd/{descriptor}")).is_relative_to(folder):
                found.append(path)
    return sorted(found)


def all_descriptors() -> list[str]:
    """Every descriptor, after what earlier tests left to the collector has been closed."""
    gc.collect()
    return sorted(os.listdir("/proc/self/fd"))
