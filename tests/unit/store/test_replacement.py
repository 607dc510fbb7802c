"""A copy of an index takes its place, and only what differs from the disk is read again."""

from __future__ import annotations

import os
import shutil
import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import pytest

from indexer import errors
from indexer.library import Library
from indexer.repair import repair
from indexer.runs.lock import DispatchLock
from indexer.settings import Settings
from indexer.store.connection import open_index, token_of, write_transaction
from tests.trees import BAD, Plant, ask, dump, faults, ids, put, song, titles, told

TREE: dict[str | bytes, bytes | None] = {
    **{f"A/{number}.mp3": song(f"Song {number}") for number in range(6)},
    b"\xff.mp3": song("Odd"),
    "bad.mp3": BAD,
}


@pytest.fixture
def copy(library: Library, plant: Plant, music: Path, tmp_path: Path) -> Path:
    """A copy of an index of `TREE`, in which one title was changed once."""
    plant(TREE)
    library.scan()
    put(music, "A/1.mp3", song("New"))
    library.scan()
    library.backup(tmp_path / "copy.db")
    return tmp_path / "copy.db"


def lose(library: Library) -> None:
    library.close()
    for file in library.database.parent.iterdir():
        file.unlink()


def rows(library: Library) -> list[tuple[object, ...]]:
    return ask(library, "SELECT * FROM library ORDER BY id")


def test_a_lost_index_comes_back_with_rows_ids_and_history_and_no_file_is_opened(
    library: Library, copy: Path
) -> None:
    before, fed, token = rows(library), told(library), token_of(library.connection)
    lose(library)
    assert library.restore(copy) is None
    report = library.rebuild(restored=True)
    assert (report.files_read, report.unchanged, report.seen) == (0, 8, 8)
    assert (rows(library), told(library)) == (before, fed)
    assert [row["title"] for row in library.as_of(7, ["new"])] == []
    assert token_of(library.connection) != token
    assert (faults(library), library.verify(deep=True).ok) == ([], True)


def test_what_differs_from_the_copy_is_read_and_nothing_else(
    library: Library, copy: Path, plant: Plant, music: Path
) -> None:
    before = ids(library)
    plant({"A/new.mp3": song("Later")})
    put(music, "A/2.mp3", song("Retagged"))
    (music / "A/3.mp3").unlink()
    lose(library)
    library.restore(copy)
    report = library.rebuild(restored=True)
    assert (report.files_read, report.added, report.modified, report.missing) == (2, 1, 1, 1)
    assert titles(library)["A/2.mp3"] == "Retagged"
    after = ids(library)
    assert after.pop("A/new.mp3") > max(before.values()) + 1000, "the lost index may have used it"
    del before["A/3.mp3"]
    assert after == before
    assert library.rebuild().files_read == 8, "the next one reads all again"


def test_rows_of_an_older_reader_are_read_again(library: Library, copy: Path) -> None:
    with closing(sqlite3.connect(copy)) as db:
        db.execute("UPDATE tracks SET reader_version = 1 WHERE title = 'New'")
        db.commit()
    lose(library)
    library.restore(copy)
    assert library.rebuild(restored=True).files_read == 1
    assert library.rebuild().files_read == 8


def test_an_index_that_was_made_anew_gets_the_ids_of_the_copy_and_is_kept(
    library: Library, copy: Path, music: Path
) -> None:
    before = rows(library)
    lose(library)
    library.rebuild([os.fsencode(music)])
    with closing(open_index(library.database, write=True)) as other, write_transaction(other):
        other.execute("UPDATE sqlite_sequence SET seq = 500 WHERE name IN ('tracks', 'changes')")
    anew = rows(library)
    assert anew != before
    kept = library.restore(copy)
    assert library.rebuild(restored=True).files_read == 0
    assert rows(library) == before
    assert kept is not None
    with closing(sqlite3.connect(kept)) as db:
        assert db.execute("SELECT * FROM library ORDER BY id").fetchall() == anew
    put(music, "A/1.mp3", song("Again"))
    library.scan()
    (*_, newest) = library.changes()
    assert newest.seq == 501, "no number is used twice"
    with pytest.raises(errors.HistoryPruned, match="snapshot"):
        list(library.changes(400))


def test_a_copy_of_an_older_schema_is_migrated_and_not_written_to(
    library: Library, copy: Path
) -> None:
    before = ids(library)
    with closing(sqlite3.connect(copy)) as db:
        db.execute("ALTER TABLE changes DROP COLUMN before")
        db.execute("ALTER TABLE identity DROP COLUMN history_floor")
        db.execute("ALTER TABLE identity DROP COLUMN artwork_names")
        db.execute("DELETE FROM _sqlite_migrations WHERE name IN ('history', 'artwork_names')")
        db.execute("PRAGMA user_version = 13")
        db.commit()
    content = copy.read_bytes()
    lose(library)
    library.restore(copy)
    assert library.rebuild(restored=True).files_read == 0
    assert ids(library) == before
    assert copy.read_bytes() == content


def test_a_copy_with_a_log_beside_it_is_read_with_it(
    library: Library, copy: Path, music: Path, tmp_path: Path
) -> None:
    with closing(open_index(library.database, write=True)):
        put(music, "A/4.mp3", song("In the log"))
        library.scan()
        taken = tmp_path / "taken.db"
        for suffix in ("", "-wal"):
            shutil.copyfile(f"{library.database}{suffix}", f"{taken}{suffix}")
    lose(library)
    library.restore(taken)
    assert titles(library)["A/4.mp3"] == "In the log"
    assert copy.exists()


def unusable(copy: Path, kind: str) -> None:
    """Make a copy into what cannot be used."""
    match kind:
        case "text":
            copy.write_bytes(b"no database" * 1000)
        case "empty":
            copy.write_bytes(b"")
        case "gone":
            copy.unlink()
        case "cut":
            copy.write_bytes(copy.read_bytes()[:-8192])
        case "newer":
            with closing(sqlite3.connect(copy)) as db:
                db.execute("PRAGMA user_version = 999")
        case _:
            copy.unlink()
            with closing(sqlite3.connect(copy)) as db:
                db.execute("CREATE TABLE tracks (id INTEGER, title TEXT)")


@pytest.mark.parametrize(
    ("kind", "error", "words"),
    [
        ("text", errors.DatabaseDamaged, "copy.db.*nothing was changed"),
        ("cut", errors.DatabaseDamaged, "copy.db.*indexer --db .*copy.db repair"),
        ("other", errors.DatabaseDamaged, "copy.db.*its tables are not those of an index"),
        ("empty", errors.DatabaseDamaged, "copy.db.*0 bytes"),
        ("gone", errors.UsageError, "copy.db: no such file"),
        ("newer", errors.DatabaseNewer, "copy.db: made by a newer version"),
    ],
)
@pytest.mark.parametrize("is_lost", [True, False])
def test_what_cannot_be_used_is_refused_and_nothing_changes(
    library: Library,
    copy: Path,
    kind: str,
    error: type[errors.IndexerError],
    words: str,
    is_lost: bool,
) -> None:
    unusable(copy, kind)
    if is_lost:
        lose(library)
    before = None if is_lost else dump(library)
    with pytest.raises(error, match=words):
        library.restore(copy)
    assert library.database.exists() is not is_lost
    assert before is None or dump(library) == before
    left = {file.name for file in library.database.parent.iterdir()}
    assert {name for name in left if name.startswith(".")} == set()


def test_a_damaged_copy_is_repaired_as_the_error_says_and_used_then(
    library: Library, copy: Path
) -> None:
    before = ids(library)
    with closing(sqlite3.connect(copy)) as db:
        (page,) = db.execute("SELECT rootpage FROM sqlite_schema WHERE name = 'scans'").fetchone()
        (size,) = db.execute("PRAGMA page_size").fetchone()
    with copy.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(bytes(range(100, 140)))
    lose(library)
    with pytest.raises(errors.DatabaseDamaged, match="repair"):
        library.restore(copy)
    assert "file" in repair(copy).made_again
    library.restore(copy)
    library.rebuild(restored=True)
    assert ids(library) == before
    assert library.verify(deep=True).ok


@pytest.mark.parametrize("damage", ["no header", "log of another file", "rows", "emptied"])
def test_an_index_that_is_damaged_is_replaced_by_a_copy_and_kept(
    library: Library, copy: Path, damage: str
) -> None:
    """A repair may save nothing of it."""
    before, database = rows(library), library.database
    library.close()
    if damage == "log of another file":
        with closing(sqlite3.connect(database)) as db:
            db.execute("UPDATE tracks SET title = title || title")
            db.commit()
            log = Path(f"{database}-wal").read_bytes()
        shutil.copyfile(copy, database)
        with database.open("r+b") as file:
            file.seek(4096)
            file.write(bytes(range(256)) * 16)
        Path(f"{database}-wal").write_bytes(log)
    elif damage == "emptied":
        os.truncate(database, 0)
    else:
        with database.open("r+b") as file:
            file.seek(0 if damage == "no header" else 8192)
            file.write(b"\xaa" * (4096 if damage == "no header" else database.stat().st_size))
    kept = library.restore(copy)
    assert library.rebuild(restored=True).files_read == 0
    assert rows(library) == before
    assert library.verify(deep=True).ok
    if damage != "emptied":
        assert kept is not None
        assert ".damaged-" in kept.name
        assert kept.stat().st_size


def test_the_database_of_another_program_is_not_replaced(library: Library, copy: Path) -> None:
    lose(library)
    with closing(sqlite3.connect(library.database)) as db:
        db.execute("CREATE TABLE photos (id INTEGER)")
    content = library.database.read_bytes()
    with pytest.raises(errors.DatabaseDamaged, match="not those of an index"):
        library.restore(copy)
    assert library.database.read_bytes() == content


def test_the_index_itself_is_no_copy(library: Library, copy: Path, tmp_path: Path) -> None:
    link = tmp_path / "link.db"
    link.symlink_to(library.database)
    for itself in (library.database, link):
        with pytest.raises(errors.UsageError, match="the index itself"):
            library.restore(itself)
    assert copy.exists()


def test_beside_a_daemon_nothing_is_restored(
    library: Library, copy: Path, settings: Settings
) -> None:
    before = dump(library)
    lock = DispatchLock.acquire(settings.db, "daemon", group_may=False)
    assert lock is not None
    with closing(lock), pytest.raises(errors.DatabaseBusy, match="stop `watcher run`"):
        library.restore(copy)
    assert dump(library) == before


@pytest.fixture
def command(music: Path, settings: Settings) -> list[str]:
    return [sys.executable, "-m", "indexer", "--db", str(settings.db), "rebuild", str(music)]


def test_the_command_says_where_the_old_index_is(
    library: Library, copy: Path, command: list[str]
) -> None:
    library.close()
    done = subprocess.run([*command, "--from", copy], capture_output=True, text=True, check=True)
    assert "8 files: 8 unchanged; 0 read" in done.stdout
    assert "the index that was there: " in done.stderr
    assert library.status().scans[0].kind == "rebuild"
