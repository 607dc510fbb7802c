"""Covers and artists' images that come, change, go and move: operations of the fault machine.

They touch no music, so that nothing of what the world follows changes by them.
"""

from __future__ import annotations

import os
import time
from functools import cache
from random import Random
from typing import Final

from tests import covers
from tests.faults.operations import Done, operation
from tests.faults.world import World

NAMES: Final = (
    b"cover.jpg", b"folder.jpg", b"Front.PNG", b"artist.jpg", b"fanart.png", b"x.jpg", b"scan.png",
)  # fmt: skip
COLORS: Final = ("red", "green", "blue", "white")


@cache
def _picture(color: str, side: int, kind: str) -> bytes:
    return covers.picture(color, (side, 30), kind)


def _content(dice: Random, name: bytes) -> bytes:
    """A picture with a suffix that may be wrong; one in eight is broken."""
    if dice.random() < 0.125:
        return b"no picture %d" % dice.randrange(10)
    kind = "PNG" if name.lower().endswith(b"png") else "JPEG"
    return _picture(dice.choice(COLORS), dice.choice((20, 30)), kind)


def _new_path(world: World, dice: Random) -> bytes:
    return os.path.join(world.a_place(dice), dice.choice(NAMES))


def _a_picture(world: World, dice: Random) -> bytes | None:
    found = [
        os.path.join(folder, name)
        for folder in world.folders()
        for name in NAMES
        if os.path.isfile(world.path(os.path.join(folder, name)))
    ]
    return dice.choice(found) if found else None


@operation(4, certain=True)
def cover_comes(world: World, dice: Random) -> Done:
    path = _new_path(world, dice)
    with open(world.path(path), "wb", buffering=0) as file:
        content = _content(dice, path)
        file.write(content[:50])
        time.sleep(dice.choice([0.0, 0.0, 0.02, 0.1]))
        file.write(content[50:])
    return repr(path)


@operation(3, certain=True)
def cover_changes(world: World, dice: Random) -> Done:
    """In place, over a rename, or with the size and time that it had."""
    path = _a_picture(world, dice)
    if path is None:
        return None
    way = dice.choice(("in place", "by rename", "in disguise"))
    place, content = world.path(path), _content(dice, path)
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


@operation(2, certain=True)
def cover_goes(world: World, dice: Random) -> Done:
    path = _a_picture(world, dice)
    if path is None:
        return None
    os.unlink(world.path(path))
    return repr(path)


@operation(2, certain=True)
def cover_moves(world: World, dice: Random) -> Done:
    """Also over another one."""
    path = _a_picture(world, dice)
    if path is None:
        return None
    new = _new_path(world, dice)
    os.rename(world.path(path), world.path(new))
    return f"{path!r} -> {new!r}"
