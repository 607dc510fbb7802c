"""A folder's disk -> its number of requests with an empty page cache."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from tests.bench.process import Failed

DROP = Path("/proc/sys/vm/drop_caches")
DISKSTATS = Path("/proc/diskstats")
SECTOR = 512
"""Bytes, for any sector size of the disk (Documentation/admin-guide/iostats.rst)."""


class Asked(Struct, frozen=True):
    """Requests to a disk by all processes."""

    reads: int
    """Completed requests; merged ones count once."""
    read_bytes: int

    def since(self, before: Asked) -> Asked:
        """The difference to earlier counts."""
        return Asked(self.reads - before.reads, self.read_bytes - before.read_bytes)


def why_not(folder: Path) -> str:
    """Why a cold cache cannot be measured here, or an empty text."""
    if not os.access(DROP, os.W_OK) or os.geteuid() != 0:
        return "only root may empty the page cache"
    try:
        asked_of(folder)
    except Failed as error:
        return str(error)
    return ""


def drop_caches() -> None:
    """Write dirty pages, and drop all pages, names and inodes (proc(5), drop_caches)."""
    os.sync()
    DROP.write_text("3\n")


def asked_of(folder: Path) -> Asked:
    """The requests to this folder's disk since boot. Raises Failed."""
    device = folder.stat().st_dev
    found = parse(DISKSTATS.read_text(), os.major(device), os.minor(device))
    if found is None:
        raise Failed(f"{DISKSTATS} does not know the disk of {folder}")
    return found


def parse(diskstats: str, major: int, minor: int) -> Asked | None:
    """One disk's line of /proc/diskstats, or None."""
    for line in diskstats.splitlines():
        words = line.split()
        if words[:2] == [str(major), str(minor)]:
            return Asked(int(words[3]), int(words[5]) * SECTOR)
    return None
