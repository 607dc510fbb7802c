"""What was found when whole files were read: one row of `scrubs` for each track that was."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final

from msgspec import Struct

from indexer.model import IndexedFile, Stamp
from indexer.store import tracks
from indexer.store.statements import Connection, select, select_one, select_value

_DUE: Final = """
SELECT tracks.id FROM tracks LEFT JOIN scrubs ON scrubs.track_id = tracks.id
WHERE tracks.id > ?1 AND tracks.place = 0
    AND tracks.root_id IN (SELECT id FROM roots WHERE removed_at IS NULL)
    AND (scrubs.checked_at IS NULL OR scrubs.checked_at NOT BETWEEN ?2 AND ?4
        OR scrubs.flaw IS NOT NULL
        OR scrubs.size <> tracks.size OR scrubs.mtime_ns <> tracks.mtime_ns)
ORDER BY tracks.id LIMIT ?3
"""
_PAGE: Final = 200
_GET: Final = """
SELECT size, mtime_ns, ctime_ns, inode, hash, good_at, checked_at, flaw FROM scrubs
WHERE track_id = ?
"""
_PUT: Final = "INSERT OR REPLACE INTO scrubs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)"
_DROP_STRANGE: Final = "DELETE FROM scrubs WHERE track_id NOT IN (SELECT id FROM tracks)"
_HAND_OVER: Final = "UPDATE OR REPLACE scrubs SET track_id = ? WHERE track_id = ?"
_COUNT: Final = "SELECT count(*), min(checked_at), max(checked_at) FROM scrubs"
_ANY_STRANGE: Final = """
SELECT EXISTS (SELECT 1 FROM scrubs WHERE track_id NOT IN (SELECT id FROM tracks))
"""


class Scrub(Struct, frozen=True):
    """What is known of the bytes of a file with this stamp. Times are Unix milliseconds."""

    stamp: Stamp
    hash: bytes | None
    """Of its bytes when they were good; None: they never could be read whole."""
    good_at: int | None
    checked_at: int
    flaw: str | None = None


def due(
    connection: Connection, before_ms: int, clock_ms: Callable[[], int]
) -> Iterator[IndexedFile]:
    """The tracks whose files were not read whole since, by their ids.

    So are those that have another stamp by now, those with a flaw, which may be mended, and those
    that were read at a time to come, since the clock was wrong then.

    They are asked for page by page: a long snapshot would make the WAL grow.
    """
    last = 0
    while page := [
        row[0] for row in select(connection, _DUE, (last, before_ms, _PAGE, clock_ms()))
    ]:
        last = page[-1]
        for track_id in page:
            known = tracks.by_id(connection, track_id)
            if known is not None:
                yield known


def get(connection: Connection, track_id: int) -> Scrub | None:
    """What was found last."""
    row = select_one(connection, _GET, (track_id,))
    return None if row is None else Scrub(Stamp(*row[:4]), *row[4:])


def put(connection: Connection, track_id: int, scrub: Scrub) -> None:
    """Write down what was found."""
    stamp = scrub.stamp
    connection.execute(
        _PUT,
        (track_id, stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode,
         scrub.hash, scrub.good_at, scrub.checked_at, scrub.flaw),
    )  # fmt: skip


def hand_over(connection: Connection, giver: int, taker: int) -> None:
    """One track takes the file of another, with what was found in it, if anything was."""
    connection.execute(_HAND_OVER, (taker, giver))


def has_strange(connection: Connection) -> bool:
    """Whether rows are left of tracks that are no longer kept."""
    return bool(select_value(connection, _ANY_STRANGE))


def drop_strange(connection: Connection) -> None:
    """Delete the rows of tracks that are no longer kept."""
    connection.execute(_DROP_STRANGE)


def counts(connection: Connection) -> tuple[int, int | None, int | None]:
    """(files that were read whole, when the oldest of these was, when the newest was)."""
    count, oldest, newest = next(select(connection, _COUNT))
    return int(count), oldest, newest
