"""Playlists and lyrics that come, change, go and move: operations of the fault machine.

They touch no music, so that nothing of what the world follows changes by them.
"""

from __future__ import annotations

import os
import time
from random import Random
from typing import Final

from tests.faults.operations import Done, operation
from tests.faults.world import World

_PLAYLISTS: Final = (b"best.m3u", b"Mix.M3U8", b"new.m3u8")
_SUFFIXES: Final = (b".m3u", b".m3u8", b".lrc")


def _line(world: World, dice: Random, folder: bytes) -> bytes:
    """A path as some program writes it; mostly of music that is there."""
    music = world.files()
    if not music or dice.random() < 0.2:
        return dice.choice((b"http://radio/x", b"nowhere.mp3", b"../" * 40 + b"x.mp3", b"\xff.mp3"))
    path = dice.choice(music)
    if dice.random() < 0.3:
        return world.path(path)
    line = os.path.relpath(world.path(path), world.path(folder))
    if dice.random() < 0.3:
        line = line.replace(b"/", b"\\")
    return line.upper() if dice.random() < 0.2 else line


def _text(world: World, dice: Random, folder: bytes) -> bytes:
    """One in eight is no text."""
    if dice.random() < 0.125:
        return bytes(dice.randrange(256) for _ in range(60)) + b"\0"
    lines = [_line(world, dice, folder) for _ in range(dice.randrange(1, 9))]
    head = [b"#EXTM3U", b"#PLAYLIST:List %d" % dice.randrange(9)] if dice.random() < 0.5 else []
    return b"\n".join([*head, *lines, b""])


def _new_lyrics(world: World, dice: Random) -> bytes:
    """A path of lyrics, mostly beside a track."""
    music = world.files()
    if music and dice.random() < 0.8:
        stem = os.path.splitext(dice.choice(music))[0]
        return stem + dice.choice((b".lrc", b".LRC"))
    return os.path.join(world.a_place(dice), b"other.lrc")


def _some(world: World, dice: Random) -> bytes | None:
    found = [
        path
        for folder in world.folders()
        for name in sorted(os.listdir(world.path(folder)))
        if name.lower().endswith(_SUFFIXES)
        and os.path.isfile(world.path(path := os.path.join(folder, name)))
    ]
    return dice.choice(found) if found else None


@operation(4, certain=True)
def playlist_comes(world: World, dice: Random) -> Done:
    folder = world.a_place(dice)
    path = os.path.join(folder, dice.choice(_PLAYLISTS))
    text = _text(world, dice, folder)
    with open(world.path(path), "wb", buffering=0) as file:
        file.write(text[:40])
        time.sleep(dice.choice([0.0, 0.0, 0.02, 0.1]))
        file.write(text[40:])
    return repr(path)


@operation(3, certain=True)
def playlist_changes(world: World, dice: Random) -> Done:
    """In place, over a rename, or with the time that it had."""
    path = _some(world, dice)
    if path is None or path.lower().endswith(b".lrc"):
        return None
    way = dice.choice(("in place", "by rename", "in disguise"))
    place, text = world.path(path), _text(world, dice, os.path.dirname(path))
    before = os.stat(place)
    if way == "by rename":
        aside = os.path.join(os.path.dirname(place), b".aside")
        with open(aside, "wb") as file:
            file.write(text)
        os.rename(aside, place)
        return f"{path!r} {way}"
    with open(place, "r+b") as file:
        file.write(text)
        file.truncate()
    if way == "in disguise":
        os.utime(place, ns=(before.st_atime_ns, before.st_mtime_ns))
    return f"{path!r} {way}"


@operation(3, certain=True)
def lyrics_come(world: World, dice: Random) -> Done:
    path = _new_lyrics(world, dice)
    try:
        with open(world.path(path), "wb") as file:
            file.write(b"[00:01.00]la")
    except OSError:  # a name that is too long with this suffix, or a folder
        return None
    return repr(path)


@operation(2, certain=True)
def sidecar_goes(world: World, dice: Random) -> Done:
    path = _some(world, dice)
    if path is None:
        return None
    os.unlink(world.path(path))
    return repr(path)


@operation(2, certain=True)
def sidecar_moves(world: World, dice: Random) -> Done:
    """Also over another one."""
    path = _some(world, dice)
    if path is None:
        return None
    if path.lower().endswith(b".lrc"):
        new = _new_lyrics(world, dice)
    else:
        new = os.path.join(world.a_place(dice), dice.choice(_PLAYLISTS))
    try:
        os.rename(world.path(path), world.path(new))
    except OSError:
        return None
    return f"{path!r} -> {new!r}"
