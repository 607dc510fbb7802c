"""The readable part of a damaged index -> a new one with the same ids, and a list of losses.

Only data that cannot be derived is copied: roots, disks, tracks, problems, hints, changes, scans,
how far hooks were told, and what is known of pictures, playlists and lyrics; artwork is chosen, and
playlists are read, again. A track whose row cannot be read keeps its id if an index or the change
feed has its path: it is restored as missing, so that the next scan finds the file and reads it.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import apsw

from indexer import paths
from indexer.model import ProblemKind
from indexer.store import former, hooks, tag_sets
from indexer.store.recovery.damage import deletions
from indexer.store.recovery.salvage import Salvage, Saved
from indexer.store.recovery.values import Column, columns_of, strange_sidecars
from indexer.store.schema import musicbrainz_ids
from indexer.store.sidecars import lyrics, playlists
from indexer.store.statements import Connection, select, select_value
from indexer.store.upkeep import STRANGE_MOUNTS, TIDY
from indexer.store.work import pending, scans

_KEYED: Final = (
    ("disks", "id"), ("roots", "id"), ("tracks", "id"), ("changes", "seq"), ("scans", "id"),
    ("pending", "id"), ("identity", "rowid"), ("tag_sets", "id"), ("playlist_files", "id"),
)  # fmt: skip
_KINDS: Final = frozenset(str(kind) for kind in ProblemKind)
_ORDERED: Final = (
    ("mounts", ("root_id", "folder")), ("problems", ("root_id", "path")),
    ("tag_values", ("set_id", "name", "position")),
    ("pictures", ("root_id", "folder", "name")), ("track_pictures", ("track_id",)),
    ("scrubs", ("track_id",)),
    ("playlist_entries", ("playlist_id", "position")),
    ("lyrics_files", ("root_id", "folder", "name")),
    ("hooks", ("name",)),
)  # fmt: skip
_NUMBERED: Final = (
    "roots", "tracks", "changes", "scans", "pending", "catalog_artists", "catalog_albums", "genres",
    "playlist_files",
)  # fmt: skip
"""Tables that never reuse an id."""

_UNREADABLE_KINDS: Final = "SELECT DISTINCT kind FROM problems"
_DROP_KIND: Final = "DELETE FROM problems WHERE kind = ?"
_STRANGE: Final = (
    "DELETE FROM pictures WHERE root_id NOT IN (SELECT id FROM roots)",
    "DELETE FROM track_pictures WHERE track_id NOT IN (SELECT id FROM tracks)",
    "DELETE FROM scrubs WHERE track_id NOT IN (SELECT id FROM tracks)",
    "DELETE FROM lyrics_files WHERE root_id NOT IN (SELECT id FROM roots)",
    "DELETE FROM playlist_files WHERE root_id NOT IN (SELECT id FROM roots)",
    "DELETE FROM playlist_entries WHERE playlist_id NOT IN (SELECT id FROM playlist_files)",
)
_SIDECARS: Final = ("pictures", "playlist_files", "playlist_entries", "lyrics_files")
"""Tables of files beside the music: the next scan finds again what is lost."""
_FOUND_AGAIN: Final = (*_SIDECARS, "track_pictures", "scrubs", "problems", "pending")
_SCANS: Final = "SELECT id, roots, counts FROM scans"
_DROP_SCAN: Final = "DELETE FROM scans WHERE id = ?"
_BEFORES: Final = "SELECT seq, before FROM changes WHERE before IS NOT NULL"
_DROP_BEFORE: Final = "UPDATE changes SET before = NULL WHERE seq = ?"
_HINTS: Final = "SELECT id, names FROM pending WHERE names IS NOT NULL"
_DROP_HINT: Final = "DELETE FROM pending WHERE id = ?"
_CURSORS: Final = "SELECT name, cursor FROM hooks"
_DROP_CURSOR: Final = "DELETE FROM hooks WHERE name = ?"
_TEXT_MARKS: Final = (
    ("SELECT id, path, path_is_text FROM roots", "UPDATE roots SET path_is_text = ? WHERE id = ?"),
    ("SELECT id, path, path_is_text FROM tracks",
     "UPDATE tracks SET path_is_text = ? WHERE id = ?"),
)  # fmt: skip
_ADD_LOST: Final = """
INSERT OR IGNORE INTO tracks (id, root_id, path, gone, place, path_is_text, disk_id, size,
    mtime_ns, ctime_ns, inode, scan_id, reader_version, added_at, missing_at, missing_days)
SELECT ?1, roots.id, ?3, ?1, 1, ?4, mounts.disk_id, 0, 0, 0, 0, 0, 0,
    coalesce((SELECT first_at FROM temp.last_changes WHERE track_id = ?1), ?5), ?5,
    roots.present_days
FROM roots JOIN mounts ON mounts.root_id = roots.id AND mounts.folder = x''
WHERE roots.id = ?2
"""
_LAST_CHANGES: Final = """
CREATE TEMP TABLE last_changes (track_id INTEGER PRIMARY KEY, kind, root, path, seq, first_at)
"""
_FILL_LAST_CHANGES: Final = """
INSERT INTO last_changes
SELECT track_id, kind, root, path, max(seq), NULL FROM changes GROUP BY track_id
"""
_FILL_FIRST_CHANGES: Final = """
UPDATE last_changes SET first_at = first.at
FROM (SELECT track_id, min(at) AS at FROM changes GROUP BY track_id) AS first
WHERE first.track_id = last_changes.track_id
"""
_PLACES_OF_LOST: Final = """
SELECT last_changes.track_id, roots.id, CAST(last_changes.path AS BLOB)
FROM temp.last_changes JOIN roots ON roots.name = last_changes.root
WHERE last_changes.track_id NOT IN (SELECT id FROM tracks)
"""
_APPEND_MISSING: Final = """
INSERT INTO changes (at, kind, track_id, root, path)
SELECT ?1, 'missing', track_id, root, path FROM temp.last_changes
WHERE kind <> 'missing' AND track_id NOT IN (SELECT id FROM tracks WHERE place = 0)
ORDER BY track_id
"""
_APPEND_RETURNED: Final = """
INSERT INTO changes (at, kind, track_id, root, path)
SELECT ?1, 'returned', id, root, path FROM library WHERE NOT EXISTS (
    SELECT 1 FROM temp.last_changes WHERE track_id = library.id AND kind <> 'missing'
        AND last_changes.root = library.root AND last_changes.path = library.path)
ORDER BY id
"""
_DROP_LAST_CHANGES: Final = "DROP TABLE IF EXISTS temp.last_changes"
_NO_IDENTITY: Final = "DELETE FROM identity"
_NEW_IDENTITY: Final = """
INSERT INTO identity (token, changes_floor)
SELECT lower(hex(randomblob(8))), coalesce(max(seq), 0) FROM changes
"""
_DISKLESS: Final = """
SELECT id, name FROM roots WHERE removed_at IS NULL AND NOT EXISTS
    (SELECT 1 FROM mounts WHERE root_id = roots.id AND folder = x'')
"""
_DISK_OF_TRACKS: Final = """
SELECT disk_id FROM tracks WHERE root_id = ? AND disk_id IN (SELECT id FROM disks)
GROUP BY disk_id ORDER BY count(*) DESC LIMIT 1
"""
_UNKNOWN_DISK: Final = """
INSERT INTO disks (uuid, fsid, fs_type, source) VALUES ('', '', '', '') RETURNING id
"""
_UNKNOWN_MOUNT: Final = """
INSERT INTO mounts (root_id, folder, disk_id, inode) VALUES (?, x'', ?, 0)
"""
"""No folder has the inode 0."""
_FLOOR: Final = "SELECT changes_floor FROM identity"
_NEWEST_CHANGE: Final = "SELECT coalesce(max(seq), 0) FROM changes"
_RAISE_FLOOR: Final = """
UPDATE identity SET changes_floor = max(?, (SELECT coalesce(max(seq), 0) FROM changes))
"""
"""Where the newest changes were dropped, the floor is above the newest one that is left."""
_END_HISTORY: Final = """
UPDATE identity SET history_floor = (SELECT coalesce(max(seq), 0) FROM changes)
"""
"""A row that is read again, or lost, would be shown as it is now at any earlier time."""


class Rescue:
    """One copy of the readable data. `lost` describes what could not be saved."""

    def __init__(self, salvage: Salvage, target: Connection) -> None:
        self.lost: list[str] = []
        self.to_scan = False
        """Whether files must be scanned again because of the losses."""
        self._salvage = salvage
        self._target = target

    def copy(self, now_ms: int) -> int:
        """Copy all data that cannot be derived, in the caller's transaction; number of tracks."""
        dropped: dict[str, int] = {}
        self._run(_NO_IDENTITY)
        for table, key in _KEYED:
            columns = self._salvage.shared(table, columns_of(self._target, table))
            rows = self._salvage.rows(table, columns, key)
            if table == "roots":
                rows = iter(self._with_indexed_roots(list(rows), columns))
            dropped[table] = self._take(table, columns, rows)
        for table, order in _ORDERED:
            columns = self._salvage.shared(table, columns_of(self._target, table))
            dropped[table] = self._take(
                table, columns, self._salvage.rows_by(table, columns, order)
            )
        for statement in _STRANGE:
            self._run(statement)
        self._drop_sidecars()
        playlists.read_anew(self._target)
        lyrics.match_anew(self._target)
        self._tell_texts()
        self._run(STRANGE_MOUNTS)
        self._keep_disks()
        for statement in TIDY:
            self._run(statement)
        self._drop_unreadable()
        self._drop_broken_tags()
        self._keep_identity()
        self._keep_ids()  # before changes are told
        self._keep_tracks(now_ms)
        self._run(_END_HISTORY)
        self._keep_ids()
        self._say_lost(dropped)
        return int(select_value(self._target, "SELECT count(*) FROM tracks"))

    def _run(self, statement: str) -> int:
        self._target.execute(statement)
        return int(self._target.changes())

    def _take(self, table: str, columns: list[Column], rows: Iterable[Saved]) -> int:
        """Insert rows, the first for a key wins; the number of rows that were refused."""
        names = ", ".join(column.name for column in columns)
        marks = ", ".join("?" * len(columns))
        statement = f"INSERT OR IGNORE INTO {table} ({names}) VALUES ({marks})"  # noqa: S608 - our own names
        at_version = next(
            (at for at, column in enumerate(columns) if column.name == "reader_version"), None
        )
        if table == "roots":
            at_version = None
        at_ids = [at for at, one in enumerate(columns) if one.name in musicbrainz_ids.COLUMNS]
        dropped = 0
        for row in rows:
            values = list(row.values)
            for at in at_ids:
                if isinstance(values[at], str):  # an older index has all of them so
                    values[at] = musicbrainz_ids.stored(values[at])
            if row.is_doubtful and at_version is not None:
                values[at_version] = 0  # so that its file is read again
                self.to_scan = True
            elif row.is_doubtful:
                dropped += 1
                continue
            try:
                self._target.execute(statement, values)
            except (apsw.ConstraintError, apsw.MismatchError):
                dropped += 1
                continue
            dropped += not self._target.changes()
        return dropped

    def _with_indexed_roots(self, saved: list[Saved], columns: list[Column]) -> list[Saved]:
        """The roots, including those that only the indexes have."""
        names = dict(self._salvage.root_names())
        at = {column.name: number for number, column in enumerate(columns)}
        sound = [row for row in saved if not row.is_doubtful]
        known = {row.values[at["id"]] for row in sound}
        for root_id, path in self._salvage.root_paths():
            if root_id in known or not isinstance(path, bytes) or path[:1] != b"/":
                continue
            known.add(root_id)
            values: list[object] = [None] * len(columns)
            name, other = names.get(root_id), f"root-{root_id}"
            told = {
                "id": root_id, "path": path, "name": name if isinstance(name, str) else other,
                "added_at": 1, "present_days": 0, "last_day": 0, "path_is_text": 0,
                "reader_version": 0,
                "removed_at": None if root_id in names else 1,
            }  # fmt: skip
            for name in told.keys() & at.keys():
                values[at[name]] = told[name]
            sound.append(Saved(tuple(values)))
            self.to_scan = True
        return sound

    def _tell_texts(self) -> None:
        """Mark the paths that are UTF-8, whatever the copied rows say."""
        for path_of, mark in _TEXT_MARKS:
            wrong = [
                (is_text, key)
                for key, path, told in select(self._target, path_of)
                if isinstance(path, bytes) and (is_text := paths.fits_utf8(path)) != told
            ]
            self._target.executemany(mark, wrong)

    def _drop_unreadable(self) -> None:
        """Delete rows whose encoded values cannot be decoded."""
        target = self._target
        strange = [kind for (kind,) in select(target, _UNREADABLE_KINDS) if kind not in _KINDS]
        runs = [row[0] for row in select(target, _SCANS) if not scans.is_readable(*row[1:])]
        hints = [row[0] for row in select(target, _HINTS) if not pending.is_readable(row[1])]
        cursors = [row[0] for row in select(target, _CURSORS) if not hooks.is_readable(row[1])]
        self._drop_invalid()
        told = [row[0] for row in select(target, _BEFORES) if not former.is_readable(row[1])]
        for statement, keys in (
            (_DROP_KIND, strange), (_DROP_SCAN, runs), (_DROP_HINT, hints), (_DROP_BEFORE, told),
            (_DROP_CURSOR, cursors),
        ):  # fmt: skip
            target.executemany(statement, [(key,) for key in keys])
        self.to_scan = self.to_scan or bool(strange or hints)

    def _drop_sidecars(self) -> None:
        """Delete rows with names of other files, before anything is made due for them."""
        for table, place in list(strange_sidecars(self._target)):
            self._target.execute(
                f"DELETE FROM {table} WHERE root_id = ? AND folder = ? AND name = ?",  # noqa: S608 - our own names
                place,
            )
            self.to_scan = True

    def _drop_invalid(self) -> None:
        """Delete rows that no version writes, where the next scan finds again what they told."""
        for table, statement in deletions(_FOUND_AGAIN):
            if self._run(statement) and table != "scrubs":
                self.to_scan = True

    def _drop_broken_tags(self) -> None:
        """Take sets of further tags that are incomplete from their tracks, to be read again."""
        lost = tag_sets.drop_broken(self._target)
        self.to_scan = self.to_scan or bool(lost)
        if lost:
            self.lost.append(
                f"further tags of {lost} tracks: `indexer scan` reads their files again"
            )

    def _keep_disks(self) -> None:
        """Keep a root without a known disk offline, until the user accepts one."""
        for root_id, name in list(select(self._target, _DISKLESS)):
            disk_id = select_value(self._target, _DISK_OF_TRACKS, (root_id,))
            if disk_id is None:
                disk_id = select_value(self._target, _UNKNOWN_DISK)
            self._target.execute(_UNKNOWN_MOUNT, (root_id, disk_id))
            self.lost.append(
                f"the disk of the root {name}: check that it is mounted, and accept it with"
                f" `indexer roots accept {name}`"
            )

    def _keep_identity(self) -> None:
        count = select_value(self._target, "SELECT count(*) FROM identity")
        if count != 1:
            self._run(_NO_IDENTITY)
            self._run(_NEW_IDENTITY)
            return
        floor = int(select_value(self._target, _FLOOR))
        newest = int(select_value(self._target, _NEWEST_CHANGE))
        is_known = 0 <= floor <= self._salvage.last_id("changes", newest)
        if self._salvage.gaps.get("changes") or not is_known:
            self._target.execute(_RAISE_FLOOR, (floor if is_known else 0,))

    def _keep_tracks(self, now_ms: int) -> None:
        """Restore rows for lost tracks at the paths that are known from other tables."""
        for statement in (
            _DROP_LAST_CHANGES,
            _LAST_CHANGES,
            _FILL_LAST_CHANGES,
            _FILL_FIRST_CHANGES,
        ):
            self._run(statement)
        known = {track_id for (track_id,) in select(self._target, "SELECT id FROM tracks")}
        lost: dict[int, tuple[int, bytes]] = {}
        for track_id, root_id, path, _ in self._salvage.places():
            if track_id not in known and isinstance(path, bytes) and path:
                lost[track_id] = (root_id, path)
        for track_id, root_id, path in select(self._target, _PLACES_OF_LOST):
            if track_id > 0 and path:
                lost.setdefault(track_id, (root_id, path))
        kept = 0
        for track_id, (root_id, path) in lost.items():
            with suppress(apsw.MismatchError, apsw.ConstraintError):
                values = (track_id, root_id, path, paths.fits_utf8(path), now_ms)
                self._target.execute(_ADD_LOST, values)
                kept += self._target.changes()
        if kept:
            self.to_scan = True
            self.lost.append(
                f"the tags of {kept} tracks: their ids are kept, and `indexer scan` reads their"
                " files again"
            )
        self._target.execute(_APPEND_MISSING, (now_ms,))
        self._target.execute(_APPEND_RETURNED, (now_ms,))
        self._run(_DROP_LAST_CHANGES)

    def _keep_ids(self) -> None:
        """Make sure that no id is used again."""
        for table in _NUMBERED:
            key = "seq" if table == "changes" else "id"
            question = f"SELECT coalesce(max({key}), 0) FROM {table}"  # noqa: S608 - our own names
            highest = int(select_value(self._target, question))
            if table == "tracks":
                told = "SELECT coalesce(max(track_id), 0) FROM changes"
                highest = max(highest, int(select_value(self._target, told)))
            last = self._salvage.last_id(table, highest)
            self._target.execute("DELETE FROM sqlite_sequence WHERE name = ?", (table,))
            self._target.execute("INSERT INTO sqlite_sequence VALUES (?, ?)", (table, last))

    def _say_lost(self, dropped: dict[str, int]) -> None:
        gaps = self._salvage.gaps
        if gaps.get("tracks") or dropped["tracks"]:
            self.to_scan = True
            self.lost.append(
                "tracks without any readable data, if there were any: `indexer scan` adds"
                " their files under new ids"
            )
        if gaps.get("roots") or dropped["roots"]:
            self.lost.append(
                "roots, if one is missing in `indexer roots`: add it again with"
                " `indexer roots add FOLDER`"
            )
        if gaps.get("changes") or dropped["changes"]:
            self.lost.append(
                "lines of `changes`: programs that follow it start again from the view `library`"
            )
        if any(gaps.get(table) or dropped[table] for table in _SIDECARS):
            self.to_scan = True
        for table in ("problems", "pending", "scans"):
            if gaps.get(table) or dropped[table]:
                self.to_scan = self.to_scan or table != "scans"
                self.lost.append(f"rows of `{table}`: `indexer scan` finds again what matters")
