"""A folder's disk -> how often it was asked for something, with nothing left in the page cache."""

from __future__ import annotations

import os
from pathlib import Path

from msgspec import Struct

from tests.bench.process import Failed

DROP = Path("/proc/sys/vm/drop_caches")
DISKSTATS = Path("/proc/diskstats")
SECTOR = 512
"""Bytes, whatever the disk's own sectors are (Documentation/admin-guide/iostats.rst)."""


class Asked(Struct, frozen=True):
    """What a disk was asked for, by anybody."""

    reads: int
    """Those that were completed; neighbours that were merged are one."""
    read_bytes: int

    def since(self, before: Asked) -> Asked:
        """What was added."""
        return Asked(self.reads - before.reads, self.read_bytes - before.read_bytes)


def why_not(folder: Path) -> str:
    """Why a cold cache cannot be measured here; empty if it can."""
    if not os.access(DROP, os.W_OK) or os.geteuid() != 0:
        return "only root may empty the page cache"
    try:
        asked_of(folder)
    except Failed as error:
        return str(error)
    return ""


def drop_caches() -> None:
    """Write what is dirty, and forget all pages, names and inodes (proc(5), drop_caches)."""
    os.sync()
    DROP.write_text("3\n")


def asked_of(folder: Path) -> Asked:
    """What the disk of this folder was asked for since it is there. Raises Failed."""
    device = folder.stat().st_dev
    found = parse(DISKSTATS.read_text(), os.major(device), os.minor(device))
    if found is None:
        raise Failed(f"{DISKSTATS} does not know the disk of {folder}")
    return found


def parse(diskstats: str, major: int, minor: int) -> Asked | None:
    """One disk's line of /proc/diskstats; None where there is none."""
    for line in diskstats.splitlines():
        words = line.split()
        if words[:2] == [str(major), str(minor)]:
            return Asked(int(words[3]), int(words[5]) * SECTOR)
    return None
