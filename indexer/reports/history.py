"""A path, an id or a moment -> what the index remembers of it."""

from __future__ import annotations

import os
import stat
import time
from collections.abc import Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Final

import msgspec

from indexer import errors, paths, places
from indexer.ignore import RULES
from indexer.model import IndexedFile, RowState
from indexer.results import report
from indexer.store import changes, problems, roots, tracks, tracks_below
from indexer.store.connection import Connection
from indexer.store.roots import RootRow

if TYPE_CHECKING:
    from indexer.disk.tree import Tree
    from indexer.ignore.path_filter import PathFilter

_LONGEST_ID: Final = 18
"""Digits: an id has 63 bits."""


def id_of(word: bytes) -> int | None:
    """The id that a word means where a path or an id is asked for; None if it is a path.

    A number is an id; `./1999` is the file of that name.
    """
    return int(word) if word.isdigit() and len(word) <= _LONGEST_ID else None


def locate(connection: Connection, word: bytes) -> places.Located | None:
    """The place of a track by its path or id; None if no track with this id is in place."""
    watched = roots.watched(connection)
    track_id = id_of(word)
    if track_id is None:
        return places.locate(word, watched)
    known = tracks.by_id(connection, track_id)
    if known is None or known.place is RowState.MISSING:
        return None
    return next(
        (places.Located(root, known.path) for root in watched if root.id == known.root_id), None
    )


def check_known(
    connection: Connection, path: bytes, watched: Sequence[RootRow], *, follow_links: bool
) -> None:
    """Raise UsageError where neither the disk nor the index has anything at a path.

    An ignore file may be named when it is gone: what it ruled is looked at. While its root is away,
    nothing is known, and no error is raised.
    """
    located = places.locate(path, watched)
    root = located.root
    is_there = places.exists(located, follow_links=follow_links)
    if not located.path or paths.name_of(located.path) in RULES or is_there:
        return
    if _is_indexed(connection, located):
        return
    from indexer.roots.open_roots import open_roots  # late: most paths are there, or indexed

    opened = open_roots(connection, [root], about=[root.id])
    opened.close()
    if root.id in opened.trees and not places.exists(located, follow_links=follow_links):
        raise errors.UsageError(f"{os.fsdecode(path)}: no such file or folder")


def why_left_out(connection: Connection, path: bytes, path_filter: PathFilter) -> str | None:
    """Why no music is looked for at a path that is there; None where its suffix says it, or it is.

    Raises RootSilent.
    """
    from indexer.roots.open_roots import open_roots  # late: only for this message

    located = places.locate(path, roots.watched(connection))
    status = places.status_of(located)
    if status is None or not located.path:
        return None
    if stat.S_ISLNK(status.st_mode) and not path_filter.follow_links:
        return "a symbolic link, and none is followed (the setting follow_links)"
    is_folder = stat.S_ISDIR(status.st_mode)
    name = paths.name_of(located.path)
    if not is_folder and paths.suffix_of(name) not in path_filter.suffixes:
        return None
    is_named = path_filter.folders(paths.parent_of(located.path))
    if not (is_named and (path_filter.folder(name) if is_folder else path_filter.file(name))):
        return "left out by its name or one above: hidden, or in the setting ignored_names"
    opened = open_roots(connection, [located.root], about=[located.root.id])
    try:
        tree = opened.trees.get(located.root.id)
        is_left = tree is not None and _ignored(
            tree, located.path, path_filter, is_folder=is_folder
        )
    finally:
        opened.close()
    return "left out by an .indexignore, or an empty .nomedia" if is_left else None


def _ignored(tree: Tree, path: bytes, path_filter: PathFilter, *, is_folder: bool) -> bool:
    from indexer.ignore_files import rules_above, rules_in

    above = paths.parent_of(path)
    rules = rules_above(tree, above, path_filter)
    own = None if rules is None else rules_in(tree, above, rules)
    if own is None or own.ignore(path, is_folder=is_folder):
        return True
    return is_folder and rules_in(tree, path, own) is None


def _is_indexed(connection: Connection, located: places.Located) -> bool:
    """Whether the index has something in place at a path, or below it."""
    root_id, path = located.root.id, located.path
    return (
        tracks.in_place(connection, root_id, path) is not None
        or problems.get(connection, root_id, path) is not None
        or next(tracks_below.below(connection, root_id, path), None) is not None
    )


def why_no_change(connection: Connection, under: bytes) -> str | None:
    """Why no change can be told of a path or an id: it was never known. None: it is, or was."""
    if changes.last(connection, 1, choice(connection, (), under)):
        return None
    track_id = id_of(under)
    if track_id is not None:
        is_known = tracks.by_id(connection, track_id) is not None
    else:
        located = places.locate(under, roots.watched(connection))
        is_known = not located.path or _is_indexed(connection, located)
    return None if is_known else why_unknown(connection, under)


def change_before(connection: Connection, moment: datetime) -> tuple[int, bool]:
    """The sequence number after which the changes from this time on stand.

    And whether all of these are kept; else it is the number after which all are.
    """
    number = changes.before(connection, report.unix_ms(moment), time.time_ns() // 1_000_000)
    floor = changes.floor(connection)
    return max(number, floor), number >= floor


def choice(connection: Connection, kinds: Sequence[str], under: bytes) -> changes.Choice:
    """The choice of changes of these kinds, below a path or of the track with this id."""
    track_id = id_of(under)
    if track_id is not None:
        return changes.Choice(tuple(kinds), (track_id,))
    located = places.locate(under, roots.watched(connection))
    return changes.Choice(tuple(kinds), None, located.root.name, located.path)


def gone(connection: Connection, word: bytes) -> dict[str, object] | None:
    """What stood at a path, or bore an id, and when it left; None if nothing is remembered."""
    track_id = id_of(word)
    if track_id is not None:
        known = tracks.by_id(connection, track_id)
        return None if known is None else _gone_row(connection, known)
    located = places.locate(word, roots.watched(connection))
    moved = changes.moved_from(connection, located.root.name, located.path)
    known = tracks.gone_from(connection, located.root.id, located.path)
    answer = None if known is None else _gone_row(connection, known)
    if moved is None or (answer is not None and str(answer["missing_at"]) > report.iso(moved[1])):
        return answer
    return _moved_row(moved)


def why_unknown(connection: Connection, word: bytes) -> str:
    """What is to be said of a path or an id of which neither `show` nor `gone` has anything."""
    if id_of(word) is not None:
        return f"no track has this id; for a file of this name: ./{word.decode()}"
    from indexer.artwork.model import PICTURE_SUFFIXES  # late: only for this message

    located = places.locate(word, roots.watched(connection))
    inside = next(tracks_below.below(connection, located.root.id, located.path), None)
    if inside is not None:
        first = _place(located.root.name, inside.path)
        return f"a folder; name a file in it, such as {first['root']}/{first['path']}"
    if paths.suffix_of(paths.name_of(located.path)) in PICTURE_SUFFIXES:
        return "no track, but named like a picture; see indexer artwork"
    return "not in the index; `indexer scan` with this path looks at it now"


def _gone_row(connection: Connection, known: IndexedFile) -> dict[str, object] | None:
    """A track that left the view; None if it never was in it."""
    if known.place is not RowState.MISSING or known.added_at is None or not known.missing_at:
        return None
    row = _place(roots.name_of(connection, known.root_id), known.path)
    named = dict(zip(tracks.COLUMNS, tracks.columns_of(connection, known.id), strict=True))
    for inner in ("several", "suspect_encoding", "tags"):
        del named[inner]
    return {
        "id": known.id,
        **row,
        "missing_at": report.iso(known.missing_at),
        "size": known.stamp.size,
        "mtime_ns": known.stamp.mtime_ns,
        **named,
        "added_at": report.iso(known.added_at),
    }


def _moved_row(moved: changes.ChangeColumns) -> dict[str, object]:
    _seq, at, _kind, track_id, root, path, old_root, old_path, _before = moved
    if old_root is None or old_path is None:
        raise errors.DatabaseDamaged("`changes` has a move from nowhere; run `indexer repair`")
    return {
        "id": track_id,
        **_place(old_root, old_path),
        "moved_at": report.iso(at),
        "moved_to": _place(root, path),
    }


def _place(root: str, path: str | bytes) -> dict[str, object]:
    text, b64 = (path, msgspec.UNSET) if isinstance(path, str) else paths.text_of(path)
    return {"root": root, "path": text, **({"path_b64": b64} if isinstance(b64, str) else {})}
