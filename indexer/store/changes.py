"""The change feed: what happened to which track, in order, to be replayed by track id."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from indexer import paths
from indexer.model import ChangeKind
from indexer.store.connection import Connection, select, select_value

_APPEND: Final = """
INSERT INTO changes (at, kind, track_id, root, path, old_root, old_path)
VALUES (?, ?, ?, ?, ?, ?, ?)
"""
_SINCE: Final = """
SELECT seq, at, kind, track_id, root, path, old_root, old_path FROM changes
WHERE seq > ? ORDER BY seq LIMIT ?
"""
_NEWEST: Final = "SELECT coalesce(max(seq), 0) FROM changes"
_OLDEST: Final = "SELECT coalesce(min(seq), 1) FROM changes"
_COUNTED: Final = "SELECT kind, count(*) FROM changes WHERE seq > ? GROUP BY kind"
_PAGE: Final = 1000

ChangeColumns = tuple[int, int, str, int, str, str | bytes, str | None, str | bytes | None]


def append(
    connection: Connection,
    now_ms: int,
    kind: ChangeKind,
    track_id: int,
    place: tuple[str, bytes],
    old: tuple[str, bytes] | None = None,
) -> None:
    """Tell what happened to a track at a place (root, path); `old` is the place it came from."""
    root, path = place
    old_root, old_path = (None, None) if old is None else (old[0], _told(old[1]))
    connection.execute(
        _APPEND, (now_ms, str(kind), track_id, root, _told(path), old_root, old_path)
    )


def since(connection: Connection, seq: int) -> Iterator[ChangeColumns]:
    """Every change after `seq`, page by page, so that no reader holds the WAL open for long."""
    while page := list(select(connection, _SINCE, (seq, _PAGE))):
        yield from page
        seq = page[-1][0]


def counted_since(connection: Connection, seq: int) -> dict[str, int]:
    """How many changes of each kind came after `seq`."""
    return dict(select(connection, _COUNTED, (seq,)))


def newest(connection: Connection) -> int:
    """The newest sequence number, or 0."""
    return int(select_value(connection, _NEWEST))


def oldest(connection: Connection) -> int:
    """The oldest sequence number that is still kept."""
    return int(select_value(connection, _OLDEST))


def _told(path: bytes) -> str | bytes:
    """A path as other programs get it: TEXT where it is UTF-8, else BLOB."""
    return path.decode("utf-8") if paths.fits_utf8(path) else path
