"""Files beside the music -> how programs write, replace, delete and move one of them."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from random import Random

from tests.faults.operations import Done
from tests.faults.world import World


def one_of(world: World, dice: Random, is_wanted: Callable[[bytes], bool]) -> bytes | None:
    """The path of any file whose name is wanted; None: there is none."""
    found = [
        path
        for folder in world.folders()
        for name in sorted(os.listdir(world.path(folder)))
        if is_wanted(name) and os.path.isfile(world.path(path := os.path.join(folder, name)))
    ]
    return dice.choice(found) if found else None


def write(world: World, dice: Random, path: bytes, content: bytes) -> Done:
    """Write a file in two parts, perhaps with a pause between them."""
    with open(world.path(path), "wb", buffering=0) as file:
        file.write(content[:50])
        time.sleep(dice.choice([0.0, 0.0, 0.02, 0.1]))
        file.write(content[50:])
    return repr(path)


def replace(world: World, dice: Random, path: bytes, made: Callable[[], bytes]) -> Done:
    """Give a file other content: in place, over a rename, or with the time that it had."""
    way = dice.choice(("in place", "by rename", "in disguise"))
    place, content = world.path(path), made()
    before = os.stat(place)
    if way == "by rename":
        aside = os.path.join(os.path.dirname(place), b".aside")
        with open(aside, "wb") as file:
            file.write(content)
        os.rename(aside, place)
        return f"{path!r} {way}"
    with open(place, "r+b") as file:
        file.write(content)
        file.truncate()
    if way == "in disguise":
        os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    return f"{path!r} {way}"


def delete(world: World, path: bytes | None) -> Done:
    """Delete a file, if there is one."""
    if path is None:
        return None
    os.unlink(world.path(path))
    return repr(path)


def move(world: World, path: bytes, new: bytes) -> Done:
    """Move a file, also over another one."""
    os.rename(world.path(path), world.path(new))
    return f"{path!r} -> {new!r}"
