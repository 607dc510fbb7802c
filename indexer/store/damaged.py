"""Tracks whose file is damaged and can be read all the same -> problems of the kind `damage`.

They are derived from the rows of the tracks, which have what their readers saw: so a damaged file
keeps its problem when it moves, and loses it when it is replaced, without a second row.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from indexer import paths
from indexer.model import Problem, ProblemKind
from indexer.store.statements import Connection, select, select_one, select_value

_OF_FILE: Final = """scrubs.track_id = tracks.id AND scrubs.flaw IS NOT NULL
        AND scrubs.size = tracks.size AND scrubs.mtime_ns = tracks.mtime_ns"""
"""A flaw that was found in a file with the size and time that it has now."""
LISTED: Final = f"""
SELECT roots.name, tracks.path, tracks.size, tracks.short, scrubs.flaw,
    coalesce(scrubs.checked_at, tracks.indexed_at, tracks.added_at)
FROM tracks JOIN roots ON roots.id = tracks.root_id LEFT JOIN scrubs ON {_OF_FILE}
WHERE tracks.place = 0 AND roots.removed_at IS NULL AND tracks.id IN (
    SELECT id FROM tracks WHERE short IS NOT NULL
    UNION ALL SELECT track_id FROM scrubs WHERE flaw IS NOT NULL)
    AND (tracks.short IS NOT NULL OR scrubs.flaw IS NOT NULL)
ORDER BY roots.name, tracks.path
"""  # noqa: S608 - our own names
"""`UNION` would join both in the order of their ids, and so look at all tracks."""
COUNT: Final = f"SELECT count(*) FROM ({LISTED})"  # noqa: S608 - our own names
_OF_TRACK: Final = f"""
SELECT tracks.path, tracks.size, tracks.short, scrubs.flaw
FROM tracks LEFT JOIN scrubs ON {_OF_FILE}
WHERE tracks.id = ? AND tracks.place = 0
"""  # noqa: S608 - our own names
_WITHOUT_LENGTH: Final = frozenset(b".ogg .oga .ogx .oggflac .opus .spx .ogv".split())
"""Suffixes of Ogg, which does not tell how long a file should be."""


def listed(connection: Connection) -> Iterator[tuple[str, bytes, str, str, int]]:
    """As `problems.listed`; `since` is when the file was last read."""
    for root, path, size, short, flaw, since_ms in select(connection, LISTED):
        yield root, path, str(ProblemKind.DAMAGE), _reason(path, size, short, flaw), since_ms


def count(connection: Connection) -> int:
    """How many tracks of the watched roots are damaged."""
    return int(select_value(connection, COUNT))


def problem_of(connection: Connection, track_id: int) -> Problem | None:
    """The damage of one track of the view, if there is any."""
    row = select_one(connection, _OF_TRACK, (track_id,))
    if row is None or row[2:] == (None, None):
        return None
    return Problem(ProblemKind.DAMAGE, _reason(*row))


def is_short(connection: Connection, track_id: int) -> bool:
    """Whether a track of the view is cut short."""
    row = select_one(connection, _OF_TRACK, (track_id,))
    return row is not None and row[2] is not None


def _reason(path: bytes, size: int, short: float | None, flaw: str | None) -> str:
    if short is None or flaw is not None:
        return str(flaw)
    from indexer.tags.content import cut_short  # late: few files are cut short

    at_least = paths.suffix_of(paths.name_of(path)) in _WITHOUT_LENGTH
    return cut_short(size, short, at_least=at_least)
