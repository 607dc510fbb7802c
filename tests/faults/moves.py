"""Changes of a library: files and folders that move, and names that change."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from random import Random

from tests.faults.operations import (
    Done,
    a_file_or_folder,
    have_equals,
    is_free,
    operation,
    overwrite,
)
from tests.faults.world import NUMBERS, World, other_form


@operation(5, certain=True)
def move_file(world: World, dice: Random) -> Done:
    path = world.a_file(dice)
    if path is None:
        return None
    target = world.a_new_path(dice, os.path.splitext(path)[1].decode())
    os.rename(world.path(path), world.path(target))
    return f"{path!r} -> {target!r}"


@operation(4, certain=True, extra=1, retags=True)
def retag_and_move(world: World, dice: Random) -> Done:
    """As Picard does it: written in place, then renamed at once."""
    path = world.a_file(dice)
    if path is None:
        return None
    target = world.a_new_path(dice, os.path.splitext(path)[1].decode())
    overwrite(world.path(path), world.a_song(dice, path))
    os.rename(world.path(path), world.path(target))
    return f"{path!r} -> {target!r}"


@operation(2, certain=True)
def move_over(world: World, dice: Random) -> Done:
    """To a name that another file bears, which is gone then."""
    one, other = world.a_file(dice), world.a_file(dice)
    if one is None or other is None or os.path.samefile(world.path(one), world.path(other)):
        return None
    if one in world.remade:  # replaced and moved at once: its old row goes missing (rule R7), and
        have_equals(world, one)  # copies of it may be that one
    os.rename(world.path(one), world.path(other))
    return f"{one!r} -> {other!r}"


@operation(4, certain=True)
def move_folder(world: World, dice: Random) -> Done:
    path = world.a_folder(dice)
    place = world.a_folder(dice, and_root=True)
    if path is None or place is None or (place + b"/").startswith(path + b"/"):
        return None
    target = os.path.join(place, b"moved %d" % dice.randrange(NUMBERS))
    if len(target) > 150:
        return None
    os.rename(world.path(path), world.path(target))
    return f"{path!r} -> {target!r}"


@operation(3, certain=True, extra=1)
def out_and_in(world: World, dice: Random) -> Done:
    """A file or a folder leaves the root and comes back, to its place or another."""
    is_folder = dice.random() < 0.5
    path = world.a_folder(dice) if is_folder else world.a_file(dice)
    if path is None:
        return None
    away = os.path.join(world.aside, b"away %d" % dice.randrange(NUMBERS))
    os.rename(world.path(path), away)
    time.sleep(dice.choice([0.0, 0.01, 0.2, 0.7]))
    target = path
    if dice.random() < 0.5:
        target = os.path.join(os.path.dirname(path), b"back " + os.path.basename(path))
        target = target if len(target) < 150 and is_free(world, target) else path
    os.rename(away, world.path(target))
    return f"{path!r} -> {target!r}"


@operation(1, certain=True)
def move_out(world: World, dice: Random) -> Done:
    is_folder = dice.random() < 0.3
    path = world.a_folder(dice) if is_folder else world.a_file(dice)
    if path is None or len(world.files()) < 12:
        return None
    away = os.path.join(world.aside, b"%06d " % dice.randrange(NUMBERS) + os.path.basename(path))
    os.rename(world.path(path), away)
    return f"{path!r} -> {os.path.basename(away)!r}"


@operation(2, certain=True)
def move_in(world: World, dice: Random) -> Done:
    found = sorted(one for one in os.listdir(world.aside) if not one.startswith(b"away"))
    if not found:
        return None
    name = dice.choice(found)
    target = os.path.join(world.a_place(dice), name)
    if not is_free(world, target):
        return None
    os.rename(os.path.join(world.aside, name), world.path(target))
    return repr(target)


@operation(2)
def across_disks(world: World, dice: Random) -> Done:
    """As mv(1) does between file systems: copied with its times, and deleted; then back again."""
    path = world.a_file(dice)
    if path is None or world.abroad is None:
        return None
    away = os.path.join(world.abroad, os.path.basename(path))
    shutil.move(os.fsdecode(world.path(path)), os.fsdecode(away))
    time.sleep(dice.choice([0.0, 0.02, 0.3]))
    world.stamps += 3
    try:
        shutil.move(os.fsdecode(away), os.fsdecode(world.path(path)))
    finally:
        with suppress(FileNotFoundError):
            os.unlink(away)
    world.remade.add(path)
    return repr(path)


@operation(4)
def copy_then_delete(world: World, dice: Random) -> Done:
    """As a synchronizing program moves: the copy is there first, and may be indexed by then."""
    path = world.a_file(dice)
    if path is None:
        return None
    target = world.a_new_path(dice, os.path.splitext(path)[1].decode())
    size = os.stat(world.path(path)).st_size
    if size not in world.equal_sizes:
        world.follows[path] = target
    hidden = world.path(os.path.join(os.path.dirname(target), b".part"))
    shutil.copy2(world.path(path), hidden)
    os.rename(hidden, world.path(target))
    time.sleep(dice.choice([0.0, 0.02, 0.3, 1.5]))
    os.unlink(world.path(path))
    world.stamps += 2
    return f"{path!r} -> {target!r}"


def _rename_in_place(world: World, path: bytes, name: bytes | None) -> Done:
    if name is None or name == os.path.basename(path):
        return None
    target = os.path.join(os.path.dirname(path), name)
    if not is_free(world, target):
        return None
    os.rename(world.path(path), world.path(target))
    return f"{path!r} -> {target!r}"


@operation(3, certain=True)
def change_case(world: World, dice: Random) -> Done:
    path = a_file_or_folder(world, dice)
    return (
        None if path is None else _rename_in_place(world, path, os.path.basename(path).swapcase())
    )


@operation(3, certain=True)
def change_normal_form(world: World, dice: Random) -> Done:
    path = a_file_or_folder(world, dice)
    return (
        None if path is None else _rename_in_place(world, path, other_form(os.path.basename(path)))
    )


@operation(3, certain=True, extra=2)
def swap_names(world: World, dice: Random) -> Done:
    one, other = world.a_file(dice), world.a_file(dice)
    if one is None or other is None or os.path.samefile(world.path(one), world.path(other)):
        return None
    between = world.path(dice.choice([b".between", os.path.dirname(one) + b".between.mp3"]))
    for old, new in ((world.path(one), between), (world.path(other), world.path(one)),
                     (between, world.path(other))):  # fmt: skip
        os.rename(old, new)
        time.sleep(dice.choice([0.0, 0.0, 0.05]))
    return f"{one!r} <-> {other!r}"


@operation(2, certain=True, extra=3)
def rename_folder_while_writing(world: World, dice: Random) -> Done:
    folder = world.a_folder(dice)
    if folder is None:
        return None
    name = world.a_name(dice)
    song = world.a_song(dice, name)
    target = os.path.join(os.path.dirname(folder), b"renamed %d" % dice.randrange(NUMBERS))
    with open(world.path(os.path.join(folder, name)), "wb", buffering=0) as file:
        file.write(song[: len(song) // 2])
        time.sleep(dice.choice([0.0, 0.05]))
        os.rename(world.path(folder), world.path(target))
        time.sleep(dice.choice([0.0, 0.05]))
        file.write(song[len(song) // 2 :])
    return f"{folder!r} -> {target!r}"
