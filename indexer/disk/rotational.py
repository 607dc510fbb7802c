"""Rotational disks -> how many files may be read at once: each has one head position.

Source: Documentation/ABI/stable/sysfs-block (`queue/rotational`, `slaves`, `partition`).
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Final

from indexer.disk.mounts import Mount, mount_of, read_mounts
from indexer.disk.tree import Tree
from indexer.settings import Settings

_DEVICES: Final = Path("/sys/dev/block")
_MADE_UP: Final = frozenset({"virtio", "xen", "vmbus"})
"""Buses of virtual machines: their disks claim to be rotational whatever they lie on."""


def reader_count(settings: Settings, trees: Iterable[Tree]) -> int:
    """How many processes read in these roots: as many as `workers` says, where it is set."""
    if settings.workers is not None:
        return settings.workers
    return readers_for(trees, read_mounts(), settings.worker_count)


def readers_for(
    trees: Iterable[Tree], mounts: Sequence[Mount], most: int, devices: Path = _DEVICES
) -> int:
    """One for each disk, where all of them are rotational; else `most`."""
    spindles: set[Path] = set()
    for tree in trees:
        for number in _block_devices(tree, mounts):
            disks = _spinning(devices / f"{os.major(number)}:{os.minor(number)}")
            if not disks:
                return most
            spindles |= disks
    return max(1, min(most, len(spindles))) if spindles else most


def _block_devices(tree: Tree, mounts: Sequence[Mount]) -> set[int]:
    """The devices under a root and under what is mounted in it; 0 for one that has none."""
    if tree.may_hang:
        return {0}
    return {
        _block_device(os.fstat(spot.fd).st_dev, os.path.join(tree.path, spot.folder), mounts)
        for spot in tree.mount_points
    }


def _block_device(device: int, folder: bytes, mounts: Sequence[Mount]) -> int:
    """The number as it is; of a btrfs, whose own is made up, that of its first device."""
    if os.major(device):
        return device
    mount = mount_of(folder.rstrip(b"/"), mounts)
    try:
        return os.stat(mount.source).st_rdev if mount and mount.source.startswith("/") else 0
    except OSError:
        return 0


def _spinning(device: Path) -> set[Path]:
    """The rotational disks under a device, also of a RAID, LVM or LUKS; none if any is not."""
    try:
        place = device.resolve(strict=True)
        if (place / "partition").exists():
            place = place.parent
        below = [_spinning(one) for one in (place / "slaves").iterdir()]
        if below:
            return set().union(*below) if all(below) else set()
        bus = (place / "device" / "subsystem").resolve(strict=True).name
        spins = (place / "queue" / "rotational").read_text("ascii").strip() == "1"
    except OSError:  # no such device, or one of no hardware: loop, zram
        return set()
    return {place} if spins and bus not in _MADE_UP else set()
