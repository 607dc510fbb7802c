"""Statements that make rows saved from a damaged index valid."""

from __future__ import annotations

from typing import Final

_STRANGE_TRACKS: Final = """
DELETE FROM tracks WHERE length(path) = 0 OR id <= 0 OR place NOT IN (0, 1, 2)
    OR root_id NOT IN (SELECT id FROM roots)
"""
_CALL_MISSING: Final = """
UPDATE tracks SET gone = CASE place WHEN 1 THEN id ELSE 0 END
WHERE gone <> CASE place WHEN 1 THEN id ELSE 0 END
"""
_DROP_SEVERAL: Final = """
UPDATE tracks SET several = NULL, reader_version = 0
WHERE several IS NOT NULL
    AND NOT CASE WHEN json_valid(several) THEN json_type(several) = 'object' ELSE 0 END
"""
_DROP_GUESSED: Final = """
UPDATE tracks SET guessed = 0, reader_version = 0
WHERE guessed IS NOT NULL AND typeof(guessed) <> 'integer'
"""
_NAME_DISK: Final = """
UPDATE tracks SET reader_version = 0, disk_id = coalesce(
    (SELECT disk_id FROM mounts WHERE root_id = tracks.root_id AND folder = x''), disk_id)
WHERE disk_id NOT IN (SELECT id FROM disks)
"""
_DATE_ADDED: Final = """
UPDATE tracks SET added_at = coalesce(indexed_at, missing_at, 1)
WHERE place = 0 AND added_at IS NULL
"""
_LEAVE_ALBUM: Final = """
UPDATE tracks SET album_id = NULL WHERE place <> 0 AND album_id IS NOT NULL
"""
_CALL_BYTES: Final = "UPDATE tracks SET path_is_text = 0 WHERE path_is_text NOT IN (0, 1)"
_READ_REFUSED: Final = """
UPDATE tracks SET reader_version = 0 WHERE place = 2 AND NOT EXISTS (SELECT 1 FROM problems
    WHERE problems.root_id = tracks.root_id AND problems.path = tracks.path)
"""
"""A refused file without a recorded reason is read again."""
STRANGE_MOUNTS: Final = """
DELETE FROM mounts WHERE disk_id NOT IN (SELECT id FROM disks)
    OR root_id NOT IN (SELECT id FROM roots)
"""
_STRANGE_PROBLEMS: Final = "DELETE FROM problems WHERE root_id NOT IN (SELECT id FROM roots)"
_STRANGE_HINTS: Final = """
DELETE FROM pending WHERE root_id NOT IN (SELECT id FROM roots) OR recursive NOT IN (0, 1)
    OR is_chunk NOT IN (0, 1)
"""
_STRANGE_CHANGES: Final = """
DELETE FROM changes WHERE kind NOT IN ('added', 'modified', 'moved', 'missing', 'returned')
    OR typeof(path) NOT IN ('text', 'blob')
"""
_FORGET_FAULTS: Final = "DELETE FROM problems WHERE kind = 'fault'"
"""The program may have failed on the file because of an invalid row."""
TIDY: Final = (
    _STRANGE_TRACKS, _STRANGE_PROBLEMS, _FORGET_FAULTS, _STRANGE_HINTS, _STRANGE_CHANGES,
    _CALL_MISSING, _DROP_SEVERAL, _DROP_GUESSED, _NAME_DISK, _DATE_ADDED, _LEAVE_ALBUM,
    _CALL_BYTES, _READ_REFUSED,
)  # fmt: skip
"""The order matters: each relies on those before it."""
