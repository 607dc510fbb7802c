"""The change feed: what happened to each track, in order; replay it by track id."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Final

import msgspec

from indexer import errors, paths
from indexer.store.statements import Connection, insert_all, select, select_one, select_value

if TYPE_CHECKING:
    from indexer.model import ChangeKind

_ADD: Final = "INSERT OR FAIL INTO changes (at, kind, track_id, root, path)"
_APPEND: Final = """
INSERT INTO changes (at, kind, track_id, root, path, old_root, old_path, before)
VALUES (?, ?, ?, ?, ?, ?, ?, ?)
"""
_COLUMNS: Final = (
    "SELECT seq, at, kind, track_id, root, path, old_root, old_path, before FROM changes"
)
_SINCE: Final = _COLUMNS + " WHERE seq > ? ORDER BY seq LIMIT ?"
_CHOSEN: Final = """
    AND (?4 IS NULL OR track_id IN (SELECT value FROM json_each(?4)))
    AND (?3 IS NULL OR kind IN (SELECT value FROM json_each(?3)))
    AND (?5 IS NULL
        OR (root = ?5 AND (CAST(path AS BLOB) = ?6
            OR (CAST(path AS BLOB) >= ?7 AND CAST(path AS BLOB) < ?8)))
        OR (old_root = ?5 AND (CAST(old_path AS BLOB) = ?6
            OR (CAST(old_path AS BLOB) >= ?7 AND CAST(old_path AS BLOB) < ?8))))
"""
_CHOSEN_SINCE: Final = f"{_COLUMNS} WHERE seq > ?1 {_CHOSEN} ORDER BY seq LIMIT ?2"
_CHOSEN_LAST: Final = f"{_COLUMNS} WHERE seq > ?1 {_CHOSEN} ORDER BY seq DESC LIMIT ?2"
_OF_ALBUM: Final = f"""{_COLUMNS}
WHERE track_id IN (SELECT value FROM json_each(?1)) OR (kind = 'moved' AND old_root = ?2
    AND CAST(old_path AS BLOB) >= ?3 AND CAST(old_path AS BLOB) < ?4)
ORDER BY seq DESC
"""  # noqa: S608 - our own text
_BACK_TO: Final = _COLUMNS + " WHERE seq > ? ORDER BY seq DESC"
_FIRST_SINCE: Final = """
SELECT min(seq) FROM changes WHERE seq > ?1 AND seq > coalesce((
    SELECT seq FROM changes WHERE seq > ?1 AND at <= ?3 AND seq < coalesce((
            SELECT seq FROM changes WHERE seq > ?1 AND at BETWEEN ?2 AND ?3 ORDER BY seq LIMIT 1
        ), 9223372036854775807)
    ORDER BY seq DESC LIMIT 1
), 0)
"""
"""Of those after ?1. What has a time after ?3 happened at that of the next one that has none."""
_MOVED_FROM: Final = (
    _COLUMNS
    + " WHERE old_root = ? AND CAST(old_path AS BLOB) = ? AND kind = 'moved'"
    + " ORDER BY seq DESC LIMIT 1"
)
_NEWEST: Final = "SELECT coalesce(max(seq), 0) FROM changes"
_IS_KNOWN: Final = "SELECT EXISTS (SELECT 1 FROM changes WHERE seq = ?)"
_FLOOR: Final = "SELECT changes_floor FROM identity"
_HISTORY_FLOOR: Final = "SELECT max(changes_floor, history_floor) FROM identity"
_FIRST_AFTER: Final = "SELECT at FROM changes WHERE seq > ? ORDER BY seq LIMIT 1"
_LAST_MISSING: Final = """
SELECT track_id, max(seq) FROM changes WHERE seq > ?1 AND kind = 'missing'
    AND track_id IN (SELECT value FROM json_each(?2)) GROUP BY track_id
"""
_KEEP: Final = "UPDATE changes SET before = ? WHERE seq = ?"
_RAISE_FLOOR: Final = "UPDATE identity SET changes_floor = ?"
_DROP_ALL_BUT_LAST: Final = """
DELETE FROM changes WHERE seq <= ?1
    AND seq NOT IN (SELECT max(seq) FROM changes WHERE seq <= ?1 GROUP BY track_id)
"""
_DROP_MISSING: Final = "DELETE FROM changes WHERE seq <= ?1 AND kind = 'missing'"
_CALL_ADDED: Final = """
UPDATE changes SET kind = 'added', old_root = NULL, old_path = NULL, before = NULL
WHERE seq <= ?1 AND kind <> 'added'
"""
_COUNTED: Final = "SELECT kind, count(*) FROM changes WHERE seq > ? GROUP BY kind"
_PAGE: Final = 1000
_EVER_MS: Final = 2**63 - 1

ChangeColumns = tuple[
    int, int, str, int, str, str | bytes, str | None, str | bytes | None, str | None
]
"""seq, at, kind, track_id, root, path, old_root, old_path, before (see `former`)."""


class Choice(msgspec.Struct, frozen=True):
    """Which changes are asked for: those to which all that is set applies."""

    kinds: tuple[str, ...] = ()
    """Only these kinds; none: all."""
    track_ids: tuple[int, ...] | None = None
    """Only those of these tracks."""
    root: str | None = None
    """Only those at `folder` of this root or below it, also those that moved away from there."""
    folder: bytes = b""
    """A file or a folder, relative to the root."""

    def parameters(self) -> tuple[object, ...]:
        """The values of ?3 to ?8 of the statement."""
        kinds = msgspec.json.encode(self.kinds).decode() if self.kinds else None
        tracks = None if self.track_ids is None else msgspec.json.encode(self.track_ids).decode()
        return kinds, tracks, self.root, self.folder, *paths.below_range(self.folder)


EVERYTHING: Final = Choice()


def append(
    connection: Connection,
    now_ms: int,
    kind: ChangeKind,
    track_id: int,
    place: tuple[str, bytes],
    old: tuple[str, bytes] | None = None,
    *,
    before: str | None = None,
) -> None:
    """Record what happened to a track at (root, path); `old` is where it came from.

    `before` has the columns that differ, as they were (`former.difference`).
    """
    root, path = place
    old_root, old_path = (None, None) if old is None else (old[0], shown_path(old[1]))
    connection.execute(
        _APPEND, (now_ms, str(kind), track_id, root, shown_path(path), old_root, old_path, before)
    )


def append_added(
    connection: Connection, now_ms: int, root: str, tracks: Iterable[tuple[int, str | bytes]]
) -> None:
    """Record that tracks (id and `shown_path`) entered the view for the first time."""
    from indexer.model import ChangeKind  # late: a search needs none of the model

    kind = str(ChangeKind.ADDED)
    values: list[object] = []
    for track_id, path in tracks:
        values += (now_ms, kind, track_id, root, path)
    insert_all(connection, _ADD, 5, values)


def since(connection: Connection, seq: int, choice: Choice = EVERYTHING) -> Iterator[ChangeColumns]:
    """The chosen changes after `seq`, page by page, so that no snapshot is held for long."""
    statement = _SINCE
    chosen: tuple[object, ...] = ()
    if choice != EVERYTHING:
        statement = _CHOSEN_SINCE
        chosen = choice.parameters()
    while page := list(select(connection, statement, (seq, _PAGE, *chosen))):
        yield from page
        if page[-1][0] <= seq:  # else an endless loop
            raise errors.DatabaseDamaged(
                "the rows of `changes` are out of order; run `indexer repair`, which saves them"
            )
        seq = page[-1][0]


def last(connection: Connection, count: int, choice: Choice = EVERYTHING) -> list[ChangeColumns]:
    """The newest of the chosen changes, `count` at the most, the oldest of them first."""
    return list(select(connection, _CHOSEN_LAST, (0, count, *choice.parameters())))[::-1]


def last_of_album(
    connection: Connection, count: int, track_ids: Collection[int], root: str, folder: bytes
) -> list[ChangeColumns]:
    """The newest changes of these tracks, and moves of others out of an album's folder.

    As `last`: one look through all changes answers both.
    """
    asked = msgspec.json.encode(list(track_ids)).decode()
    known = frozenset(track_ids)
    found = (
        row
        for row in select(connection, _OF_ALBUM, (asked, root, *paths.below_range(folder)))
        if row[3] in known or paths.album_folder(as_bytes(row[7])) == folder
    )
    return list(islice(found, count))[::-1]


def back_to(connection: Connection, seq: int) -> Iterator[ChangeColumns]:
    """The changes after `seq`, the newest first, in the caller's read transaction."""
    rows: Iterator[ChangeColumns] = select(connection, _BACK_TO, (seq,))
    return rows


def before(connection: Connection, at_ms: int, now_ms: int) -> int:
    """The number after which all changes from this time on stand (Unix milliseconds).

    Clocks may jump back: what was recorded after the first of these changes is one of them. A
    change of a time to come, which a wrong clock has given, happened before the next of another.
    """
    first = _first_since(connection, 0, at_ms, now_ms)
    return newest(connection) if first is None else first - 1


def _first_since(connection: Connection, seq: int, at_ms: int, now_ms: int) -> int | None:
    """The number of the first change from a time on, of those after `seq`."""
    latest_ms = now_ms if at_ms <= now_ms else _EVER_MS  # else it is now that the clock is wrong
    first: int | None = select_value(connection, _FIRST_SINCE, (seq, at_ms, latest_ms))
    return first


def moved_from(connection: Connection, root: str, path: bytes) -> ChangeColumns | None:
    """The last move away from a path."""
    row: ChangeColumns | None = select_one(connection, _MOVED_FROM, (root, path))
    return row


def counted_since(connection: Connection, seq: int) -> dict[str, int]:
    """How many changes of each kind came after `seq`."""
    return dict(select(connection, _COUNTED, (seq,)))


def newest(connection: Connection) -> int:
    """The newest sequence number, or 0."""
    return int(select_value(connection, _NEWEST))


def is_known(connection: Connection, seq: int) -> bool:
    """Whether there is a change with this number."""
    return bool(select_value(connection, _IS_KNOWN, (seq,)))


def floor(connection: Connection) -> int:
    """Up to this number, only one `added` is kept for each track that was present then."""
    return int(select_value(connection, _FLOOR))


def history_floor(connection: Connection) -> int:
    """After this number, all changes are kept with what was there before."""
    return int(select_value(connection, _HISTORY_FLOOR))


def first_after(connection: Connection, seq: int) -> int | None:
    """When the first change after a number happened, in Unix milliseconds; None without one."""
    at: int | None = select_value(connection, _FIRST_AFTER, (seq,))
    return at


def last_missing(connection: Connection, track_ids: Sequence[int]) -> list[tuple[int, int]]:
    """(id, number) of the change with which each of these tracks went missing, as far as kept."""
    if not track_ids:
        return []
    asked = msgspec.json.encode(list(track_ids)).decode()
    return list(select(connection, _LAST_MISSING, (history_floor(connection), asked)))


def keep(connection: Connection, seq: int, before: str) -> None:
    """Set what was there before one change (`former.whole`)."""
    connection.execute(_KEEP, (before, seq))


def prune(connection: Connection, before_ms: int, now_ms: int) -> int:
    """Delete changes from before a time, inside the caller's transaction; the new floor.

    Of a track that was present then, the last line is kept, as an `added` with its path: a replay
    of all that is kept still gives exactly the present paths.
    """
    old = floor(connection)
    first_kept = _first_since(connection, old, before_ms, now_ms)
    new = newest(connection) if first_kept is None else first_kept - 1
    if new <= old:
        return old
    for statement in (_DROP_ALL_BUT_LAST, _DROP_MISSING, _CALL_ADDED):
        connection.execute(statement, (new,))
    connection.execute(_RAISE_FLOOR, (new,))
    return new


def shown_path(path: bytes) -> str | bytes:
    """A path as other programs get it: TEXT if it is UTF-8, else BLOB."""
    try:
        return path.decode("utf-8")
    except UnicodeDecodeError:
        return path


def as_bytes(path: str | bytes) -> bytes:
    """A path as other programs get it -> as the disk has it."""
    return path.encode() if isinstance(path, str) else path
