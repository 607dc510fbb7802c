"""The index -> the structs of `report`: problems, changes, and rows of the view."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from heapq import merge
from operator import itemgetter
from typing import TYPE_CHECKING, Final

import msgspec

from indexer import errors, paths
from indexer.model import IndexedFile, Problem, RowState
from indexer.results import report
from indexer.store import catalog, changes, damaged, former, problems, tag_sets, tracks
from indexer.store.connection import Connection
from indexer.store.schema.roles import Role
from indexer.store.view_rows import library_row

if TYPE_CHECKING:  # it knows disks, of which lists have none
    from indexer.store.roots import RootRow

_SUSPECT: Final = tracks.COLUMNS.index("suspect_encoding")


def problem_rows(connection: Connection) -> Iterator[report.ProblemRow]:
    """Everything that could not be read, or is damaged, by root and path."""
    found = merge(problems.listed(connection), damaged.listed(connection), key=itemgetter(0, 1))
    for root, path, kind, reason, since_ms in found:
        text, b64 = paths.text_of(path)
        yield report.ProblemRow(
            root=root, path=text, path_b64=b64, kind=kind, reason=reason, since=report.iso(since_ms)
        )


def playlist_rows(connection: Connection) -> Iterator[report.PlaylistRow]:
    """All playlists, by root and path."""
    from indexer.store.sidecars import playlists  # late, as below: other commands list none

    for row in playlists.listed(connection):
        playlist_id, root, path, name, items, found, streams, is_due, problem = row
        text, b64 = paths.text_of(path)
        yield report.PlaylistRow(
            id=playlist_id,
            root=root,
            path=text,
            path_b64=b64,
            name=name,
            items=items,
            tracks=found,
            streams=streams,
            broken=items - found - streams,
            waiting=bool(is_due),
            problem=problem,
        )


def broken_items(connection: Connection) -> Iterator[report.BrokenItem]:
    """All items of playlists that lead nowhere, by root, path and position."""
    from indexer.store.sidecars import playlists

    for playlist_id, root, path, position, item in playlists.broken(connection):
        text, b64 = paths.text_of(path)
        yield report.BrokenItem(
            playlist_id=playlist_id,
            root=root,
            path=text,
            path_b64=b64,
            position=position,
            item=item,
        )


def change_rows(
    connection: Connection, since: int, choice: changes.Choice = changes.EVERYTHING
) -> Iterator[report.ChangeRow]:
    """The change feed after a sequence number. Raises HistoryPruned if some of it is pruned."""
    floor = changes.floor(connection)
    if 0 < since < floor:
        raise errors.HistoryPruned(
            f"changes after {since} are no longer all kept (only those after {floor} are); "
            "start from a snapshot: read the view `library`, then `changes --since "
            f"{changes.newest(connection)}`"
        )
    if floor < since < changes.newest(connection) and not changes.is_known(connection, since):
        raise errors.HistoryPruned(
            f"{since} is the number of no change of this index: it was put back from a copy, or "
            "lost lines; start from a snapshot: read the view `library`, then `changes --since "
            f"{changes.newest(connection)}`"
        )
    yield from map(_change_row, changes.since(connection, since, choice))


def last_change_rows(
    connection: Connection, count: int, choice: changes.Choice = changes.EVERYTHING
) -> list[report.ChangeRow]:
    """The newest of the chosen changes, the oldest of them first."""
    return [_change_row(row) for row in changes.last(connection, count, choice)]


def last_changes_of_album(
    connection: Connection, count: int, track_ids: Collection[int], root: str, folder: bytes
) -> list[report.ChangeRow]:
    """Those of these tracks, and of others that moved out of an album's folder."""
    rows = changes.last_of_album(connection, count, track_ids, root, folder)
    return [_change_row(row) for row in rows]


def _change_row(row: changes.ChangeColumns) -> report.ChangeRow:
    seq, at, kind, track_id, root, path, old_root, old_path, before = row
    text, b64 = _text_and_b64(path)
    old_text, old_b64 = (None, msgspec.UNSET) if old_path is None else _text_and_b64(old_path)
    return report.ChangeRow(
        seq=seq,
        at=report.iso(at),
        kind=kind,
        track_id=track_id,
        root=root,
        path=text,
        path_b64=b64,
        old_root=old_root,
        old_path=old_text,
        old_path_b64=old_b64,
        before=former.shown(before),
    )


def track(connection: Connection, track_id: int) -> dict[str, object] | None:
    """A row of the view `library`; None if the track is not in it."""
    row = tracks.view_row(connection, track_id)
    return None if row is None else library_row(row)


def track_at(connection: Connection, root: str, path: bytes) -> dict[str, object] | None:
    """The row of the view `library` at a path in the root of this name; None if there is none."""
    from indexer.store import roots  # late: only for a pattern

    root_id = next((one.id for one in roots.watched(connection) if one.name == root), None)
    known = None if root_id is None else tracks.in_place(connection, root_id, path)
    return None if known is None else track(connection, known.id)


def shown(connection: Connection, root: RootRow, path: bytes) -> dict[str, object] | None:
    """All that the index has about one file; None if it has nothing."""
    known = tracks.in_place(connection, root.id, path)
    trouble = _trouble(connection, root, path, known)
    answer: dict[str, object] = {}
    if known is not None:
        row = tracks.view_row(connection, known.id)
        if row is not None:
            answer = library_row(row)
            answer["artists"] = catalog.names_of(connection, known.id, Role.ARTIST)
            answer["albumartists"] = catalog.names_of(connection, known.id, Role.ALBUMARTIST)
            answer["genres"] = catalog.genres_of(connection, known.id)
            if tags := tag_sets.of_track(connection, known.id):
                answer["tags"] = tags
            if tracks.columns_of(connection, known.id)[_SUSPECT]:
                answer["suspect_encoding"] = 1
    is_soundless = known is not None and known.place is RowState.SOUNDLESS
    if not answer:
        if trouble is None and not is_soundless:
            return None
        text, b64 = paths.text_of(path)
        answer = {"root": root.name, "path": text}
        if isinstance(b64, str):
            answer["path_b64"] = b64
    if is_soundless:
        answer["has_audio"] = 0
    if trouble is not None:
        answer["problem"] = {
            "kind": str(trouble.kind), "reason": trouble.reason
        }  # fmt: skip
    return answer


def _trouble(
    connection: Connection, root: RootRow, path: bytes, known: IndexedFile | None
) -> Problem | None:
    """The problem of a file, or the damage of its track."""
    problem = problems.get(connection, root.id, path)
    if problem is not None:
        return problem.problem
    return None if known is None else damaged.problem_of(connection, known.id)


def _text_and_b64(path: str | bytes) -> tuple[str, str | msgspec.UnsetType]:
    return paths.text_of(path) if isinstance(path, bytes) else (path, msgspec.UNSET)
