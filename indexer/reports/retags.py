"""Two moments -> which tags held what at the first and at the second, and how much happened.

For a person who wants to undo a mass retag: nothing is written, neither here nor into a file.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from indexer import paths
from indexer.model import ChangeKind
from indexer.reports.past import Then
from indexer.results import report
from indexer.store import changes, former, roots, tracks
from indexer.store.connection import Connection, read_transaction
from indexer.store.schema import TAG_COLUMNS

_END_OF_TAGS: Final = TAG_COLUMNS.index("duration")
_TAGS: Final = tuple(name for name in TAG_COLUMNS[:_END_OF_TAGS] if name != "year")
"""Those that a tag of the file holds: the year is made from the date."""
_GUESSES: Final = {"title": 1, "album": 2, "artist": 4}
"""Bits of the column `guessed`: this was not in the file."""
_INNER: Final = frozenset(("several", "suspect_encoding"))
"""Columns of the table that are in no view."""
_FOLDERS: Final = 10

Values = tuple[str, ...]


class Retag(Struct, frozen=True, kw_only=True):
    """One tag of one track that another value is in; several values in their order, none: ()."""

    track_id: int
    at: str
    """When this tag was changed last."""
    root: str
    path: str
    path_b64: str | UnsetType = UNSET
    file: str | None
    """Absolute; None if its root is not watched any more."""
    file_b64: str | UnsetType = UNSET
    tag: str
    before: Values
    after: Values


class Folder(Struct, frozen=True, kw_only=True):
    """How many changes there were in a folder, or away from it."""

    root: str
    folder: str
    changes: int


class Summary(Struct, frozen=True, kw_only=True):
    """What happened between two changes, by its kinds, tags and folders."""

    after: int
    """The number of the last change before; `until` that of the last one that counts."""
    until: int
    tracks: int
    """Different ones."""
    kinds: dict[str, int]
    columns: dict[str, int]
    """In how many changes each column or further tag got another value, most first."""
    folders: tuple[Folder, ...]
    """The ten with most changes."""


class _Between:
    """A track with changes between the two moments: as it was at both."""

    def __init__(self) -> None:
        self.later = Then()
        self.earlier = Then()
        self.is_met = False
        self.steps: list[tuple[int, str]] = []
        """When columns changed, and which, as they were; the newest first."""
        self.is_there = True
        """Whether it was in the view at the second moment."""


def retags(connection: Connection, after: int, until: int | None) -> Iterator[Retag]:
    """The tags that differ, of tracks that were in the view both after `after` and after `until`.

    Both are numbers of changes, of which all that is needed is kept (`past.number_of`); `until`
    None: now. In the order of ids.
    """
    with read_transaction(connection):
        met = _met(connection, after, changes.newest(connection) if until is None else until)
        folders = {root.name: root.path for root in roots.watched(connection)}
        for track_id, one in sorted(met.items()):
            if not one.is_met or one.earlier.place is None or not one.is_there:
                continue
            known = tracks.by_id(connection, track_id)
            now = None if known is None else tracks.columns_of(connection, track_id)
            before = _tags_of(former.columns_then(now, one.earlier.former))
            then = _tags_of(former.columns_then(now, one.later.former))
            unequal = _unequal(before, then)
            dates = _dates(one, now, then) if unequal else {}
            for tag in unequal:
                changed = (tag, before.get(tag, ()), then.get(tag, ()))
                yield _retag(track_id, one, folders, changed, dates[tag])


def _met(connection: Connection, after: int, until: int) -> dict[int, _Between]:
    met: dict[int, _Between] = {}
    for change in changes.back_to(connection, after):
        one = met.setdefault(change[3], _Between())
        if change[0] > until:
            one.later.undo(change)
        elif not one.is_met:
            one.is_met = True
            one.is_there = change[2] != ChangeKind.MISSING
            one.later.place = (change[4], changes.as_bytes(change[5]))
        if change[0] <= until and change[8] is not None:
            one.steps.append((change[1], change[8]))
        one.earlier.undo(change)
    return met


def _unequal(before: Mapping[str, Values], then: Mapping[str, Values]) -> list[str]:
    names = dict.fromkeys((*before, *then))
    return [name for name in names if before.get(name, ()) != then.get(name, ())]


def _dates(one: _Between, now: tracks.Columns | None, then: Mapping[str, Values]) -> dict[str, int]:
    """When each tag got the value that it has `then`, by undoing the changes one by one."""
    dates: dict[str, int] = {}
    columns = dict(one.later.former)
    for at, before in one.steps:
        former.go_back(columns, former.decoded(before))
        earlier = _tags_of(former.columns_then(now, columns))
        for name in _unequal(earlier, then):
            dates.setdefault(name, at)
        then = earlier
    return dates


def _tags_of(columns: tracks.Columns) -> dict[str, Values]:
    """The tags of a row by name, without what was guessed from its path."""
    row: dict[str, Any] = dict(zip(tracks.COLUMNS, columns, strict=True))
    several = msgspec.json.decode(row["several"]) if row["several"] else {}
    found: dict[str, Values] = {}
    for name in _TAGS:
        if row[name] is None or (row["guessed"] or 0) & _GUESSES.get(name, 0):
            continue
        found[name] = tuple(map(str, several.get(name, (row[name],))))
    further = msgspec.json.decode(row["tags"]) if row["tags"] else {}
    return found | {name: tuple(values) for name, values in further.items()}


def _retag(
    track_id: int,
    one: _Between,
    folders: Mapping[str, bytes],
    changed: tuple[str, Values, Values],
    at_ms: int,
) -> Retag:
    root, path = one.later.place or ("", b"")
    text, b64 = paths.text_of(path)
    file: tuple[str | None, str | UnsetType] = (None, UNSET)
    if root in folders:
        file = paths.text_of(b"%s/%s" % (folders[root].rstrip(b"/"), path))
    tag, before, after = changed
    return Retag(
        track_id=track_id,
        at=report.iso(at_ms),
        root=root,
        path=text,
        path_b64=b64,
        file=file[0],
        file_b64=file[1],
        tag=tag,
        before=before,
        after=after,
    )


def summary(connection: Connection, after: int, until: int | None) -> Summary:
    """What happened after the change `after`, up to `until` (None: now)."""
    last = changes.newest(connection) if until is None else until
    kinds: Counter[str] = Counter()
    columns: Counter[str] = Counter()
    folders: Counter[tuple[str, bytes]] = Counter()
    met: set[int] = set()
    for seq, _, kind, track_id, root, path, _, _, before in changes.since(connection, after):
        if seq > last:
            break
        kinds[kind] += 1
        met.add(track_id)
        folders[root, paths.parent_of(changes.as_bytes(path))] += 1
        if kind != ChangeKind.MISSING:
            known = former.decoded(before)
            further = known.pop("tags", None) or {}
            columns.update((known.keys() | further.keys()) - _INNER)
    return Summary(
        after=after,
        until=last,
        tracks=len(met),
        kinds={str(kind): kinds[kind] for kind in ChangeKind},
        columns=dict(columns.most_common()),
        folders=tuple(
            Folder(root=root, folder=paths.text_of(folder)[0], changes=number)
            for (root, folder), number in folders.most_common(_FOLDERS)
        ),
    )
