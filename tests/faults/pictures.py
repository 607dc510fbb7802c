"""Covers and artists' images that come, change, go and move: operations of the fault machine.

They touch no music, so that nothing of what the world follows changes by them.
"""

from __future__ import annotations

import os
from functools import cache
from random import Random
from typing import Final

from tests import covers
from tests.faults import beside_music
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
    return beside_music.one_of(world, dice, NAMES.__contains__)


@operation(4, certain=True)
def cover_comes(world: World, dice: Random) -> Done:
    path = _new_path(world, dice)
    return beside_music.write(world, dice, path, _content(dice, path))


@operation(3, certain=True)
def cover_changes(world: World, dice: Random) -> Done:
    path = _a_picture(world, dice)
    if path is None:
        return None
    return beside_music.replace(world, dice, path, lambda: _content(dice, path))


@operation(2, certain=True)
def cover_goes(world: World, dice: Random) -> Done:
    return beside_music.delete(world, _a_picture(world, dice))


@operation(2, certain=True)
def cover_moves(world: World, dice: Random) -> Done:
    path = _a_picture(world, dice)
    return None if path is None else beside_music.move(world, path, _new_path(world, dice))
