"""Files that are cut short: operations of the fault machine, and what the index must say of them.

What is expected is known from the bytes alone: such a file is a beginning of one that is kept here.
"""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from functools import cache
from random import Random
from typing import TYPE_CHECKING, Final

from tests import announced
from tests.faults.operations import Done, operation
from tests.faults.world import World
from tests.programs import rows

if TYPE_CHECKING:
    from tests.faults.deployment import Deployment

SURE: Final = 0.85
"""Below this share it has to be noticed: one that lacks but its last frame need not be."""
LEAST: Final = 0.05
"""From this share on it is a track."""
MUSIC: Final = {".mp3": announced.mp3, ".flac": announced.flac, ".wav": announced.wave}


@cache
def _whole() -> tuple[bytes, ...]:
    return tuple(make() for make in MUSIC.values())


@operation(3, certain=True)
def create_long(world: World, dice: Random) -> Done:
    """A file whose structure tells how long it is; every other one is cut short."""
    suffix = dice.choice(tuple(MUSIC))
    path = world.a_new_path(dice, suffix)
    content = MUSIC[suffix]()
    with open(world.path(path), "wb") as file:
        file.write(content[: _cut(dice, content)] if dice.random() < 0.5 else content)
    return repr(path)


@operation(3, certain=True)
def cut_short(world: World, dice: Random) -> Done:
    """One of these, where it is."""
    found = [path for path in world.files() if _origin(world.path(path)) is not None]
    if not found:
        return None
    path = dice.choice(found)
    place = world.path(path)
    whole = _origin(place) or b""
    size = _cut(dice, whole)
    if size >= os.stat(place).st_size:
        return None
    os.truncate(place, size)
    return repr(path)


def _cut(dice: Random, whole: bytes) -> int:
    """Within a frame, since an editor cuts between them."""
    size = dice.randrange(round(0.1 * len(whole)), round(SURE * len(whole)))
    return size + (size % len(announced.FRAME) == 0)


def cut_files_told(deployment: Deployment, unheard: Collection[int]) -> Iterator[str]:
    """Whether each of these files is told to be short, if it is, and no whole one."""
    found = deployment.run("problems", "--json", check=None).objects
    told = {one["path"]: one["reason"] for one in found if one["kind"] == "damage"}
    for path, short in rows(deployment.db, "SELECT path, short FROM library"):
        raw = path.encode() if isinstance(path, str) else bytes(path)
        place = deployment.world.path(raw)
        whole = _origin(place)
        if whole is None or os.stat(place).st_ino in unheard:
            continue
        share = os.stat(place).st_size / len(whole)
        is_conclusive = str(told.get(path, "")).startswith(
            "cut short"
        )  # not what a scrub has found
        if share == 1 and (short is not None or is_conclusive):
            yield f"{path!r} is whole, and short is {short}"
        if LEAST < share < SURE and not _ends_between_frames(place):
            if short is None or abs(short - share) > 0.1:
                yield f"{path!r} is cut short: {share:.3f} are there, and short is {short}"
            elif isinstance(path, str) and path not in told:
                yield f"{path!r} is cut short, and `problems` does not say so"


def _ends_between_frames(place: bytes) -> bool:
    return os.stat(place).st_size % len(announced.FRAME) == 0


def _origin(place: bytes) -> bytes | None:
    """The whole file of which this one is a beginning."""
    try:
        with open(place, "rb") as file:
            content = file.read()
    except OSError:
        return None
    if len(content) < 100:
        return None
    return next((whole for whole in _whole() if whole.startswith(content)), None)
