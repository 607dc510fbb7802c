"""Playlists and lyrics that come, change, go and move: operations of the fault machine.

They touch no music, so that nothing of what the world follows changes by them.
"""

from __future__ import annotations

import os
from random import Random
from typing import Final

from tests.faults import beside_music
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
    return beside_music.one_of(world, dice, lambda name: name.lower().endswith(_SUFFIXES))


@operation(4, certain=True)
def playlist_comes(world: World, dice: Random) -> Done:
    folder = world.a_place(dice)
    path = os.path.join(folder, dice.choice(_PLAYLISTS))
    return beside_music.write(world, dice, path, _text(world, dice, folder))


@operation(3, certain=True)
def playlist_changes(world: World, dice: Random) -> Done:
    path = _some(world, dice)
    if path is None or path.lower().endswith(b".lrc"):
        return None
    folder = os.path.dirname(path)
    return beside_music.replace(world, dice, path, lambda: _text(world, dice, folder))


@operation(3, certain=True)
def lyrics_come(world: World, dice: Random) -> Done:
    path = _new_lyrics(world, dice)
    try:
        return beside_music.write(world, dice, path, b"[00:01.00]la")
    except OSError:  # a name that is too long with this suffix, or a folder
        return None


@operation(2, certain=True)
def sidecar_goes(world: World, dice: Random) -> Done:
    return beside_music.delete(world, _some(world, dice))


@operation(2, certain=True)
def sidecar_moves(world: World, dice: Random) -> Done:
    path = _some(world, dice)
    if path is None:
        return None
    if path.lower().endswith(b".lrc"):
        new = _new_lyrics(world, dice)
    else:
        new = os.path.join(world.a_place(dice), dice.choice(_PLAYLISTS))
    try:
        return beside_music.move(world, path, new)
    except OSError:
        return None
