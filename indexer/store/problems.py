"""Files and folders that could not be read, one row each; what else of the index is not well."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Final

from msgspec import Struct

from indexer import paths
from indexer.model import Problem, ProblemKind, Stamp
from indexer.store.statements import Connection, select, select_one, select_value

if TYPE_CHECKING:
    from indexer.artwork.model import Wanted

_GET: Final = """
SELECT kind, reason, size, mtime_ns, ctime_ns, inode, reader_version FROM problems
WHERE root_id = ? AND path = ? AND is_picture = ?
"""
_PUT: Final = """
INSERT INTO problems
    (root_id, path, kind, reason, size, mtime_ns, ctime_ns, inode, since, reader_version,
    is_picture)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT (root_id, path, is_picture) DO UPDATE SET kind = excluded.kind,
    reason = excluded.reason, size = excluded.size, mtime_ns = excluded.mtime_ns,
    ctime_ns = excluded.ctime_ns, inode = excluded.inode, since = excluded.since,
    reader_version = excluded.reader_version
"""
_CLEAR: Final = "DELETE FROM problems WHERE root_id = ? AND path = ? AND is_picture = ?"
_CLEAR_OF_FILE: Final = "DELETE FROM problems WHERE root_id = ? AND path = ? AND inode = ?"
_BELOW: Final = """
SELECT path, kind, reason, size, mtime_ns, ctime_ns, inode, reader_version FROM problems
WHERE root_id = ? AND path >= ? AND path < ? AND is_picture = 0 ORDER BY path
"""
_UNREADABLE: Final = """
SELECT root_id, path, size IS NOT NULL FROM problems WHERE kind = 'environment'
"""
_LISTED: Final = """
SELECT roots.name, problems.path, problems.kind, problems.reason, problems.since
FROM problems JOIN roots ON roots.id = problems.root_id
WHERE roots.removed_at IS NULL ORDER BY roots.name, problems.path, is_picture
"""
_COUNT: Final = """
SELECT count(*) FROM problems JOIN roots ON roots.id = problems.root_id
WHERE roots.removed_at IS NULL AND is_picture = 0
"""
_COUNT_OF: Final = """
SELECT count(*) FROM problems JOIN roots ON roots.id = problems.root_id
WHERE roots.removed_at IS NULL AND is_picture = 1 AND kind = ?
"""
BY_MACHINE: Final = -1
"""`reader_version` of the problem of a picture or playlist that says nothing of its bytes: rights,
disk, memory."""
_BY_MACHINE_IN: Final = """
SELECT path FROM problems WHERE root_id = ? AND is_picture = 1 AND reader_version = ?
"""
_REOPEN: Final = """
UPDATE problems SET size = NULL, mtime_ns = NULL, ctime_ns = NULL, inode = NULL
WHERE root_id = ? AND path = ? AND is_picture = 1
"""
_COUNT_BY_KIND: Final = """
SELECT kind, count(*) FROM problems JOIN roots ON roots.id = problems.root_id
WHERE roots.removed_at IS NULL AND is_picture = 0 GROUP BY kind
"""
_COUNT_SINCE: Final = """
SELECT count(*), min(since) FROM problems JOIN roots ON roots.id = problems.root_id
WHERE roots.removed_at IS NULL AND is_picture = 0 AND since > ?1 AND since <= ?2
"""
_OF_ROOT: Final = "DELETE FROM problems WHERE root_id = ?"
LONG_MS: Final = 15 * 60 * 1000
"""What is pending for longer is told of."""
NEW_MS: Final = 24 * 60 * 60 * 1000
"""A problem that is younger is a new one."""


class KnownProblem(Struct, frozen=True):
    """A problem in the index; the stamp is None for a folder."""

    problem: Problem
    stamp: Stamp | None
    reader_version: int = 0
    """For a fault: the version of the reader that met it; for a picture `BY_MACHINE` or 0."""


def get(connection: Connection, root_id: int, path: bytes) -> KnownProblem | None:
    """The problem of a file or folder; of its picture see `of_picture`."""
    return _get(connection, root_id, path, is_picture=False)


def of_picture(connection: Connection, root_id: int, path: bytes) -> KnownProblem | None:
    """The problem of a picture file, or of the picture in a track; or of a playlist.

    It says nothing of a track.
    """
    return _get(connection, root_id, path, is_picture=True)


def _get(
    connection: Connection, root_id: int, path: bytes, *, is_picture: bool
) -> KnownProblem | None:
    row = select_one(connection, _GET, (root_id, path, is_picture))
    return None if row is None else _known(*row)


def put(
    connection: Connection,
    root_id: int,
    path: bytes,
    problem: Problem,
    stamp: Stamp | None,
    now_ms: int,
    *,
    reader_version: int = 0,
) -> bool:
    """Record a problem, unless the index has the same already; whether it was written.

    `reader_version` is the version of the reader that met a fault of this program.
    """
    is_picture = problem.kind.is_of_sidecar
    known = _get(connection, root_id, path, is_picture=is_picture)
    if known == KnownProblem(problem, stamp, reader_version):
        return False
    stamps = (
        (None,) * 4 if stamp is None else (stamp.size, stamp.mtime_ns, stamp.ctime_ns, stamp.inode)
    )
    values = (str(problem.kind), problem.reason, *stamps, now_ms, reader_version, is_picture)
    connection.execute(_PUT, (root_id, path, *values))
    return True


def refuse(
    connection: Connection, wanted: Wanted, kind: ProblemKind, problem: Problem, now_ms: int
) -> None:
    """Note that a picture or a playlist cannot be used; it is tried again with another stamp.

    Where the machine is to blame, also after the next look at everything (`BY_MACHINE`).
    """
    put(
        connection,
        wanted.key.root_id,
        wanted.key.path,
        Problem(kind, problem.reason),
        wanted.stamp,
        now_ms,
        reader_version=BY_MACHINE if problem.kind is ProblemKind.ENVIRONMENT else 0,
    )


def clear(connection: Connection, root_id: int, path: bytes) -> None:
    """Delete the problem of a path that is readable again, or gone."""
    connection.execute(_CLEAR, (root_id, path, False))


def clear_of_picture(connection: Connection, root_id: int, path: bytes) -> bool:
    """Delete the problem of a picture that changed, or is gone; whether there was one."""
    connection.execute(_CLEAR, (root_id, path, True))
    return bool(connection.changes())


def of_pictures_by_machine(connection: Connection, root_id: int) -> list[bytes]:
    """Pictures of a root, tracks that hold one, and playlists, that may be readable by now."""
    return [path for (path,) in select(connection, _BY_MACHINE_IN, (root_id, BY_MACHINE))]


def reopen_picture(connection: Connection, root_id: int, path: bytes) -> None:
    """Take the stamp off a picture's problem: it stands until the picture was read again."""
    connection.execute(_REOPEN, (root_id, path))


def clear_of_file(connection: Connection, root_id: int, path: bytes, inode: int) -> None:
    """Delete the problem of a file that left the path; keep that of another file there now."""
    connection.execute(_CLEAR_OF_FILE, (root_id, path, inode))


def below(connection: Connection, root_id: int, folder: bytes) -> dict[bytes, KnownProblem]:
    low, high = paths.below_range(folder)
    found = select(connection, _BELOW, (root_id, low, high))
    return {path: _known(*columns) for path, *columns in found}


def unreadable(connection: Connection) -> Iterator[tuple[int, bytes, bool]]:
    """(root id, path, whether it has a stamp) of each problem of kind environment (rule R9).

    A folder has no stamp, nor does a file whose stamp could not be read.
    """
    for root_id, path, has_stamp in select(connection, _UNREADABLE):
        yield root_id, path, bool(has_stamp)


def listed(connection: Connection) -> Iterator[tuple[str, bytes, str, str, int]]:
    """(root, path, kind, reason, since in Unix milliseconds) of every problem."""
    yield from select(connection, _LISTED)


def count(connection: Connection) -> int:
    """How many problems the watched roots have, without those of pictures and playlists."""
    return int(select_value(connection, _COUNT))


def count_of_pictures(connection: Connection) -> int:
    """How many pictures of the watched roots cannot be used."""
    return int(select_value(connection, _COUNT_OF, (ProblemKind.PICTURE.value,)))


def count_of_playlists(connection: Connection) -> int:
    """How many playlists of the watched roots cannot be read."""
    return int(select_value(connection, _COUNT_OF, (ProblemKind.PLAYLIST.value,)))


def count_by_kind(connection: Connection) -> dict[str, int]:
    """The same by kind; kinds without one are left out."""
    return dict(select(connection, _COUNT_BY_KIND))


def count_since(connection: Connection, at_ms: int, now_ms: int) -> tuple[int, int | None]:
    """How many of `count` are younger, and the time of their first (Unix milliseconds).

    Not those of a time to come, when the clock was wrong: they would be new for years.
    """
    number, first_ms = next(select(connection, _COUNT_SINCE, (at_ms, now_ms)))
    return int(number), first_ms


def delete_of_root(connection: Connection, root_id: int) -> None:
    """Drop the problems of a root that is no longer watched."""
    connection.execute(_OF_ROOT, (root_id,))


def _known(  # noqa: PLR0917 - a row's columns
    kind: str,
    reason: str,
    size: int | None,
    mtime_ns: int | None,
    ctime_ns: int | None,
    inode: int | None,
    reader_version: int,
) -> KnownProblem:
    problem = Problem(ProblemKind(kind), reason)
    if size is None or mtime_ns is None or ctime_ns is None or inode is None:
        return KnownProblem(problem, None, reader_version)
    return KnownProblem(problem, Stamp(size, mtime_ns, ctime_ns, inode), reader_version)


class InIndex(Struct, frozen=True):
    """What the index itself says; the times in Unix milliseconds."""

    new_problems: int = 0
    problems_since_ms: int | None = None
    """When the first of the new ones was met."""
    waiting: int = 0
    """Hints and chunks that are pending for too long, without those of roots that are away."""
    waiting_since_ms: int | None = None


def in_index(connection: Connection, away: Collection[int], now_ms: int) -> InIndex:
    """Ask the index; `away` are the ids of roots whose disks are not there, which have to wait."""
    from indexer.store.work import pending  # late: of all that asks, only `status` counts these

    number, first_ms = count_since(connection, now_ms - NEW_MS, now_ms)
    late = [
        (rows, at_ms)
        for root_id, rows, at_ms in pending.before(connection, now_ms - LONG_MS)
        if root_id not in away
    ]
    return InIndex(
        number,
        first_ms,
        sum(rows for rows, _ in late),
        min((at_ms for _, at_ms in late), default=None),
    )
