"""A deployment at rest -> what is wrong with its index, in sentences; none: it equals the disk."""

from __future__ import annotations

import base64
import json
import os
import re
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from contextlib import suppress
from pathlib import Path
from random import Random
from typing import Any, Final

import msgspec
import mutagen
from mutagen.asf import ASF
from mutagen.mp4 import MP4

from indexer.library import Library
from indexer.results.report import ChangeRow
from indexer.settings import Settings
from tests.faults.cuts import cut_files_told
from tests.faults.deployment import Deployment
from tests.programs import rows
from tests.trees import faults, replayed

OWN: Final = {"id", "album_id", "added_at", "indexed_at"}
"""Columns of the view in which two indexes of one tree differ."""
SAMPLE: Final = 20
SLACK: Final = 3
"""Files that may be opened beyond the stamps that were counted: what is created at once and what
stands in two writes can be read between them. A guess, and it is small beside what it bounds."""
_KEYS: Final = {
    "title": ("TIT2", "title", "\xa9nam", "Title"),
    "artist": ("TPE1", "artist", "\xa9ART", "Artist", "Author"),
    "album": ("TALB", "album", "\xa9alb", "Album", "WM/AlbumTitle"),
}


def judge(deployment: Deployment, fresh: Path, unheard: Collection[int] = ()) -> list[str]:
    """All that is wrong. `fresh` is where an index is made of the same tree, to compare.

    Of files with an `unheard` inode the index may say what they were.
    """
    return [
        *_verified(deployment, unheard),
        *_as_a_fresh_one(deployment, fresh, unheard),
        *_artwork_as_in_a_fresh_one(deployment, fresh, unheard),
        *_playlists_as_in_a_fresh_one(deployment, fresh, unheard),
        *_as_mutagen_says(deployment, unheard),
        *_no_row_twice(deployment),
        *_as_the_feed_says(deployment),
        *_whole(deployment),
        *_nobody_stumbled(deployment),
        *cut_files_told(deployment, unheard),
    ]


def ids_kept(
    before: Mapping[bytes, int], now: Mapping[bytes, int], kept: Mapping[bytes, bytes]
) -> list[str]:
    """Whether every file that is certainly the same one still bears its id (rule R7).

    `kept` is path now -> path at the last rest. A file that is not in the view has no id to keep:
    whether it should be there is for the comparison with a fresh index to say.
    """
    wrong = [
        f"{path!r} had id {before[first]} as {first!r}, and has {now[path]}"
        for path, first in kept.items()
        if path in now and first in before and now[path] != before[first]
    ]
    doubled = [one for one, times in Counter(now.values()).items() if times > 1]
    return wrong + [f"id {one} stands for several files" for one in doubled]


def too_many_opened(deployment: Deployment, first: int) -> list[str]:
    """Whether more files were opened than stamps were seen; `first` stood there to begin with."""
    read, stamps = deployment.daemon.files_read, first + deployment.world.stamps
    return [] if read <= stamps + SLACK else [f"{read} files opened, {stamps} stamps seen"]


def _verified(deployment: Deployment, unheard: Collection[int]) -> Iterator[str]:
    told = deployment.run("verify", "--deep", "--json", check=None).object
    told["differences"] = [
        one for one in told["differences"] if _inode(deployment, _path_of(one)) not in unheard
    ]
    if told["differences"] or told["pending"] or told["offline"]:
        yield f"verify --deep: {json.dumps(told)}"


def _path_of(told: dict[str, Any]) -> bytes:
    if "path_b64" in told:
        return base64.b64decode(told["path_b64"])
    return str(told["path"]).encode()


def _inode(deployment: Deployment, path: str | bytes) -> int | None:
    """That of a path of the view, if there is a file."""
    place = deployment.world.path(path.encode() if isinstance(path, str) else path)
    try:
        return os.lstat(place).st_ino
    except OSError:
        return None


def _view(db: Path) -> dict[Any, dict[str, Any]]:
    names = [row[1] for row in rows(db, "PRAGMA table_xinfo(library)")]
    return {
        (row[1], row[2]): {
            name: value for name, value in zip(names, row, strict=True) if name not in OWN
        }
        for row in rows(db, "SELECT * FROM library")
    }


def _as_a_fresh_one(deployment: Deployment, fresh: Path, unheard: Collection[int]) -> Iterator[str]:
    for name in fresh.parent.glob(f"{fresh.name}*"):
        if name.is_dir():  # thumbnails
            continue
        with suppress(FileNotFoundError):
            name.unlink()
    deployment.run("rebuild", deployment.root, db=fresh)
    ours, theirs = _view(deployment.db), _view(fresh)
    for place in sorted(ours.keys() | theirs.keys(), key=repr):
        one, other = ours.get(place), theirs.get(place)
        if one is None or other is None:
            yield f"{place!r} stands only in the {'fresh' if one is None else 'old'} index"
        elif one != other and _inode(deployment, place[1]) not in unheard:
            differing = {key: (one[key], other[key]) for key in one if one[key] != other[key]}
            yield f"{place!r} differs from a fresh index (ours, fresh): {differing}"


def _artwork(db: Path) -> dict[Any, tuple[Any, ...]]:
    """Path of a track, or name of an artist -> its picture and where that is."""
    of_tracks = rows(
        db,
        "SELECT library.path, artwork.source, artwork.path, artwork.hash FROM library"
        " LEFT JOIN artwork ON artwork.kind = 'album' AND artwork.album_id = library.album_id",
    )
    of_artists = rows(db, "SELECT 'artist ' || name, artwork_path, artwork_hash FROM artists")
    return {row[0]: tuple(row[1:]) for row in (*of_tracks, *of_artists)}


def _artwork_as_in_a_fresh_one(
    deployment: Deployment, fresh: Path, unheard: Collection[int]
) -> Iterator[str]:
    """Whether each album and artist has the picture that a new index chooses, byte for byte."""
    if unheard:  # what stands in such files decides which albums there are
        return
    ours, theirs = _artwork(deployment.db), _artwork(fresh)
    for place in sorted(ours.keys() & theirs.keys(), key=repr):
        if ours[place] != theirs[place]:
            yield f"{place!r} has other artwork (ours, fresh): {ours[place]}, {theirs[place]}"
    waiting = rows(fresh, "SELECT * FROM artwork_due")
    if waiting:
        yield f"the fresh index has not chosen everything: {waiting}"


def _items(db: Path) -> dict[Any, tuple[Any, ...]]:
    """Playlist and position -> its name and path, and the path of the track to which it leads."""
    found = rows(
        db,
        "SELECT playlists.path, position, name, playlist_items.path, library.path FROM playlists"
        " LEFT JOIN playlist_items ON playlist_id = playlists.id"
        " LEFT JOIN library ON library.id = track_id",
    )
    return {tuple(row[:2]): tuple(row[2:]) for row in found}


def _playlists_as_in_a_fresh_one(
    deployment: Deployment, fresh: Path, unheard: Collection[int]
) -> Iterator[str]:
    """Whether each playlist has the items that a new index has, and each leads to the same track.

    Where an item leads nowhere in a new index, the track to which it led before may have moved.
    """
    ours, theirs = _items(deployment.db), _items(fresh)
    for place in sorted(ours.keys() | theirs.keys(), key=repr):
        one, other = ours.get(place), theirs.get(place)
        if one is None or other is None:
            yield f"item {place!r} stands only in the {'fresh' if one is None else 'old'} index"
        elif one[:2] != other[:2] or (other[2] is not None and one[2] != other[2] and not unheard):
            yield f"item {place!r} differs from a fresh index (ours, fresh): {one}, {other}"


def _as_mutagen_says(deployment: Deployment, unheard: Collection[int]) -> Iterator[str]:
    found = rows(deployment.db, "SELECT path, title, artist, album FROM library WHERE guessed = 0")
    sample = Random(len(found)).sample(found, min(SAMPLE, len(found)))
    for path, *told in sample:
        if _inode(deployment, path) in unheard:
            continue
        place = deployment.world.path(path.encode() if isinstance(path, str) else path)
        for column, text in zip(_KEYS, told, strict=True):
            theirs = _mutagen(place, column)
            if theirs is not None and theirs != text:
                yield f"{path!r}: {column} is {text!r}, mutagen reads {theirs!r}"


def _mutagen(place: bytes, column: str) -> str | None:
    """What mutagen reads in a column; None where it reads nothing, or cannot."""
    try:
        file = mutagen.File(place)
    except mutagen.MutagenError:
        return None
    if file is None or file.tags is None:
        return None
    for key in _KEYS[column]:
        with suppress(KeyError, ValueError):
            value = file.tags[key]
            if isinstance(file, (ASF, MP4)) or isinstance(value, list):
                several = [str(one) for one in value]
            else:
                several = [str(one) for one in getattr(value, "text", value)]
            # the index strips what is blank, and keeps each name once
            return "; ".join(dict.fromkeys(one.strip() for one in several if one.strip()))
    return None


def _no_row_twice(deployment: Deployment) -> Iterator[str]:
    for statement in (
        "SELECT root, path FROM library GROUP BY root, path HAVING count(*) > 1",
        "SELECT id FROM library GROUP BY id HAVING count(*) > 1",
    ):
        for row in rows(deployment.db, statement):
            yield f"twice in the view: {row!r}"


def _as_the_feed_says(deployment: Deployment) -> Iterator[str]:
    told = deployment.run("changes", "--json", check=None).objects
    try:
        present = replayed(msgspec.convert(one, ChangeRow) for one in told)
    except (AssertionError, KeyError) as error:
        yield f"the feed contradicts itself: {error!r}"
        return
    from indexer.paths import text_of

    shown = {}
    for one, root, path in rows(deployment.db, "SELECT id, root, path FROM library"):
        shown[one] = (root, *text_of(path.encode() if isinstance(path, str) else path))
    for one in sorted(present.keys() | shown.keys()):
        if present.get(one) != shown.get(one):
            yield f"id {one} is {shown.get(one)} in the view, {present.get(one)} by the feed"


def _whole(deployment: Deployment) -> Iterator[str]:
    with Library(Settings(db=deployment.db)) as library:
        yield from faults(library)


def _nobody_stumbled(deployment: Deployment) -> Iterator[str]:
    for log in deployment.logs:
        text = log.read_text("utf-8", "replace").replace("\\n", "\n") if log.exists() else ""
        for found in _STUMBLED.finditer(text):
            if not found[1].startswith(tuple(deployment.expected)):
                yield f"{log.name} has a traceback: {found[0][-1500:]}"


_STUMBLED: Final = re.compile(
    r"Traceback \(most recent call last\):\n(?:[ \t][^\n]*\n|\n)*([^\n]*)"
)
