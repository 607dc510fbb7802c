"""A moment, or the number of a change -> the library as it was, and what was changed since.

The changes after that moment are undone, the newest first, for the tracks that they concern; all
other tracks were as they are now.
"""

from __future__ import annotations

import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from datetime import datetime
from operator import itemgetter
from typing import Any, Final

from indexer import errors
from indexer.model import ChangeKind
from indexer.results import report
from indexer.store import changes, former, roots, tracks, view_rows
from indexer.store.connection import Connection, read_transaction
from indexer.store.former import FormerRow, in_memory
from indexer.store.schema import LIBRARY_COLUMNS
from indexer.store.schema.views import GAIN_COLUMNS
from indexer.store.search import results
from indexer.store.search.fields import Fact
from indexer.store.search.query import READ, Question, parse
from indexer.store.view_rows import library_rows

_KEPT: Final = frozenset((*tracks.COLUMNS, *GAIN_COLUMNS, "id", "root", "path", "added_at"))
_BY_FILES_BESIDE: Final = "has_lyrics"
"""Of the tags its former values are kept, but not which tracks had a file of lyrics beside them."""
COLUMNS: Final = tuple(name for name in LIBRARY_COLUMNS if name in _KEPT - {_BY_FILES_BESIDE})
"""The columns of the view `library` of which it is known what they were."""
_UNKNOWN: Final = {
    "size:": "tracks.size", "indexed:": "tracks.indexed_at", "has:cover": "artwork_choices",
    "has:lyrics": "track_lyrics",
}  # fmt: skip
"""Fields of a search that ask for other columns, and what their conditions have in them."""
_PATH_ORDER: Final = "path"
_BESIDE: Final = ("path_b64", "tags")
_PAGE: Final = 500


class Then:
    """A track that changed since, while its changes are undone."""

    def __init__(self) -> None:
        self.place: tuple[str, bytes] | None = None
        """Root and path; None: it was not in the view."""
        self.former: former.Former = {}

    def undo(self, change: changes.ChangeColumns) -> None:
        _, _, kind, _, root, path, old_root, old_path, before = change
        former.go_back(self.former, former.decoded(before))
        if kind in (ChangeKind.ADDED, ChangeKind.RETURNED):
            self.place = None
        elif old_root is not None and old_path is not None:
            self.place = (old_root, changes.as_bytes(old_path))
        else:
            self.place = (root, changes.as_bytes(path))


def number_of(connection: Connection, when: int | datetime) -> int:
    """The number of the last change before a moment; `when` may be that number.

    Raises HistoryPruned if what was there before later changes is not all kept.
    """
    if isinstance(when, int):
        number = when
    else:
        number = changes.before(connection, report.unix_ms(when), time.time_ns() // 1_000_000)
    floor = changes.history_floor(connection)
    if number >= floor:
        return number
    first = changes.first_after(connection, floor)
    known = "as it is now" if first is None else f"back to {_local(first)} (change {floor})"
    raise errors.HistoryPruned(
        f"what the library was then is not kept: it is known {known}; the setting keep_changes"
        " says for how many days (0: for ever)"
    )


def check_is_reached(connection: Connection, number: int) -> None:
    """Raise UsageError for a number that no change has yet: what was typed may be a year."""
    newest = max(changes.history_floor(connection), changes.newest(connection))
    if number > newest:
        raise errors.UsageError(
            f"there is no change {number} yet: the newest is {newest}; a time is written 2h, 7d,"
            " 2026-11 or 2026-11-01"
        )


def _local(at_ms: int) -> str:
    return f"{datetime.fromtimestamp(at_ms / 1000).astimezone():%Y-%m-%d %H:%M:%S}"


def library_at(
    connection: Connection,
    when: int | datetime,
    words: Sequence[str],
    limit: int | None = None,
    note: Callable[[report.SearchNote], None] | None = None,
) -> Iterator[dict[str, Any]]:
    """The tracks that were there, or match WORDS, by root and path; `limit` at the most.

    A row has `COLUMNS`, and `tags`, as `library_row`. Until the last is taken, a snapshot of the
    index is held. `note` is told of a limit that cut rows off before the first. Raises
    HistoryPruned, and UsageError for words that ask for what is not kept.
    """
    typed = " ".join(words).rstrip()
    question = parse(typed)
    _check(question)
    if note is not None and len(typed) > READ:
        note(report.SearchNote(unread=len(typed) - READ))
    with read_transaction(connection):
        then = _undone(connection, number_of(connection, when))
        root_ids = {root.name: root.id for root in roots.watched(connection)}
        with closing(in_memory(_rows(connection, then), root_ids, searched=bool(words))) as memory:
            found = results.track_ids(connection, question, _PATH_ORDER, None)
            unchanged = [track_id for track_id in found if track_id not in then]
            changed = results.track_ids(memory, question, _PATH_ORDER, None)
            total = len(unchanged) + len(changed)
            if note is not None and limit is not None and total > limit:
                note(report.SearchNote(total=total))
            places = [*view_rows.places(connection, unchanged), *view_rows.places(memory, changed)]
            places.sort(key=itemgetter(1, 2))
            ids = [track_id for track_id, _, _ in places[:limit]]
            for start in range(0, len(ids), _PAGE):
                page = ids[start : start + _PAGE]
                known = {row["id"]: row for row in _of_both(connection, memory, page, then)}
                for row in map(known.__getitem__, page):
                    yield {name: row[name] for name in (*COLUMNS, *_BESIDE) if name in row}


def _of_both(
    connection: Connection, memory: Connection, ids: Sequence[int], then: Mapping[int, Then]
) -> Iterator[dict[str, Any]]:
    """Rows that have not changed, and those that have, in any order."""
    yield from library_rows(connection, [one for one in ids if one not in then])
    yield from library_rows(memory, [one for one in ids if one in then])


def _check(question: Question) -> None:
    asked = [term.sql for group in question.facts for term in group if isinstance(term, Fact)]
    for field, mark in _UNKNOWN.items():
        if any(mark in sql for sql in asked):
            raise errors.UsageError(
                f"{field} what it was is not kept; leave it out, or ask `indexer search` for now"
            )


def _undone(connection: Connection, number: int) -> dict[int, Then]:
    """The tracks that changed after a number, as they were then.

    A track whose place was taken by a moved file, and of which no change tells yet that it left,
    is where it was told last.
    """
    then: defaultdict[int, Then] = defaultdict(Then)
    names = {root.id: root.name for root in roots.watched(connection)}
    for known in tracks.unannounced(connection):
        if known.root_id in names:
            then[known.id].place = (names[known.root_id], known.path)
    for change in changes.back_to(connection, number):
        then[change[3]].undo(change)
    return then


def _rows(connection: Connection, then: Mapping[int, Then]) -> Iterator[FormerRow]:
    """Those that were in the view."""
    for track_id, one in then.items():
        if one.place is not None:
            yield _row(connection, track_id, one.place, one.former)


def _row(
    connection: Connection, track_id: int, place: tuple[str, bytes], kept: former.Former
) -> FormerRow:
    known = tracks.by_id(connection, track_id)
    now = None if known is None else tracks.columns_of(connection, track_id)
    added_at = kept.get(former.ADDED_AT) if known is None else known.added_at
    return FormerRow(track_id, *place, added_at, former.columns_then(now, kept))
