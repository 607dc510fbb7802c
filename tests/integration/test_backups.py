"""`indexer backup --keep`: a series of copies of the index in one folder."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path

from indexer.store.connection import Connection
from indexer.store.upkeep import copy_in_series
from tests.programs import rows, run

OLD = [f"library-2026-01-0{day}T030000.db" for day in (1, 2, 3)]


def series(folder: Path) -> list[str]:
    return sorted(os.listdir(folder))


def test_the_last_copies_are_kept_and_other_files_stay(db: Path, tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    for name in (*OLD, "notes.txt", "library-2025-01-01.db"):
        (folder / name).touch()
    told = run("backup", "--keep", "2", folder, "--json", db=db).object
    copy = Path(told["file"])
    assert told["removed"] == 2
    assert series(folder) == sorted(["library-2025-01-01.db", OLD[2], copy.name, "notes.txt"])
    assert told["size"] == copy.stat().st_size
    assert rows(copy, "SELECT count(*) FROM library") == [(0,)]


def test_copies_of_one_second_are_numbered_and_the_last_of_them_is_kept(
    connection: Connection, tmp_path: Path
) -> None:
    now = datetime(2026, 11, 24, 6, 21, 16, tzinfo=UTC)
    stem, folder = "library-2026-11-24T062116", tmp_path / "copies"
    for number in range(1, 12):
        copy, _, removed = copy_in_series(connection, folder, 2, now)
        assert copy.name == (f"{stem}.db" if number == 1 else f"{stem}-{number}.db")
        assert removed == int(number > 2)
        assert copy.name in series(folder)
    assert series(folder) == [f"{stem}-10.db", f"{stem}-11.db"]


def test_the_new_copy_stays_and_copies_of_a_clock_that_was_ahead_go_first(
    connection: Connection, tmp_path: Path
) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    ahead = [f"library-2036-01-0{day}T030000.db" for day in (1, 2)]
    for name in (*OLD, *ahead):
        (folder / name).touch()
    now = datetime(2026, 1, 3, 6, tzinfo=UTC)
    copy, _, removed = copy_in_series(connection, folder, 5, now)
    assert removed == 1
    assert series(folder) == [*OLD, copy.name, ahead[1]]
    behind, _, removed = copy_in_series(connection, folder, 1, datetime(1970, 1, 1, tzinfo=UTC))
    assert removed == 5
    assert series(folder) == [behind.name]


def test_the_hour_that_comes_twice_in_autumn_keeps_the_order(
    connection: Connection, tmp_path: Path
) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    for name in (*OLD, "library-2026-10-25T025900.db"):
        (folder / name).touch()
    copy, _, _ = copy_in_series(connection, folder, 2, datetime(2026, 10, 25, 2, 1, tzinfo=UTC))
    assert series(folder) == [copy.name, "library-2026-10-25T025900.db"]


def test_the_folder_is_created_for_its_owner_alone(db: Path, tmp_path: Path) -> None:
    run("backup", "--keep", "7", tmp_path / "a/copies", db=db)
    assert (tmp_path / "a/copies").stat().st_mode & 0o777 == 0o700
    assert len(series(tmp_path / "a/copies")) == 1


def test_a_copy_that_fails_removes_none(tmp_path: Path) -> None:
    folder = tmp_path / "copies"
    folder.mkdir()
    for name in OLD:
        (folder / name).touch()
    run("backup", "--keep", "1", folder, db=tmp_path / "none.db", check=3)
    assert series(folder) == OLD


def test_a_file_in_the_place_of_the_folder_is_said(db: Path, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    ran = run("backup", "--keep", "1", tmp_path / "file", db=db, check=3)
    assert f"{tmp_path}/file: cannot be created" in ran.err


def test_a_series_in_the_music_is_refused(db: Path, music: Path) -> None:
    run("rebuild", music, db=db)
    ran = run("backup", "--keep", "1", music / "copies", db=db, check=None)
    assert ran.code == 2
    assert not (music / "copies").exists()
