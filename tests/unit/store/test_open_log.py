"""A log that is deleted or replaced is seen, also in the moment in which it is opened."""

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace

import pytest

from indexer.disk import mounts
from indexer.errors import DatabaseError
from indexer.lookup import Lookup
from indexer.settings import Settings
from indexer.store.connection import IndexConnection, check_may_be_index, open_index
from indexer.store.open_log import OpenLog, fixed_stamp, is_log_lost, log_inodes
from indexer.web.pool import Pool


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "library.db"


def beside(db: Path) -> tuple[Path, Path]:
    wal, shm = (db.with_name(db.name + suffix) for suffix in ("-wal", "-shm"))
    return wal, shm


def test_a_log_is_lost_when_one_of_its_files_is_gone_or_another_one(db: Path) -> None:
    wal, shm = beside(db)
    assert log_inodes(db) == (0, 0)
    assert not is_log_lost(db, (0, 0))
    wal.touch()
    shm.touch()
    known = log_inodes(db)
    link = db.with_name("link.db")
    db.touch()
    link.symlink_to(db)
    assert log_inodes(link) == known
    assert not is_log_lost(db, known)
    shm.rename(db.with_name("kept"))
    assert is_log_lost(db, known)
    shm.touch()
    assert is_log_lost(db, known)


@pytest.mark.parametrize(
    ("was_there", "becomes"),
    [(False, "gone"), (False, "the same"), (True, "gone"), (True, "another"), (True, "the same")],
)
def test_a_log_that_changes_while_it_is_opened_counts_as_lost(
    db: Path, becomes: str, *, was_there: bool
) -> None:
    wal, shm = beside(db)
    if was_there:
        wal.touch()
        shm.touch()
    log = OpenLog(db)
    wal.touch()
    shm.touch()  # here a connection opens them
    if becomes != "the same":
        wal.rename(db.with_name("deleted"))
    if becomes == "another":
        wal.touch()
    log.note_opened()
    assert log.is_lost is (becomes != "the same")


def delete_while_opened(db: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Have the log of the next connection deleted after it was opened, and before it is noted."""
    note = IndexConnection.note_log

    def noted(connection: IndexConnection) -> None:
        monkeypatch.undo()
        for file in beside(db):
            file.unlink()
        note(connection)

    monkeypatch.setattr(IndexConnection, "note_log", noted)


@pytest.mark.parametrize("write", [True, False])
def test_a_connection_knows_that_its_log_was_deleted_while_it_was_opened(
    db: Path, monkeypatch: pytest.MonkeyPatch, *, write: bool
) -> None:
    with closing(open_index(db, write=True)) as connection:
        assert not connection.has_lost_log
        delete_while_opened(db, monkeypatch)
        with closing(open_index(db, write=write)) as other:
            assert other.has_lost_log
        assert connection.has_lost_log


@pytest.mark.parametrize("write", [True, False])
def test_a_log_that_the_last_other_program_deletes_as_it_closes_is_not_lost(
    db: Path, monkeypatch: pytest.MonkeyPatch, *, write: bool
) -> None:
    other = open_index(db, write=True)
    whole = OpenLog.__init__

    def closing_other(log: OpenLog, database: Path) -> None:
        whole(log, database)
        monkeypatch.undo()
        assert all(log_inodes(db))
        other.close()
        assert log_inodes(db) == (0, 0)
        for number in range(2):  # so that the inodes of the new files are others
            db.with_name(f"in place {number}").touch()

    monkeypatch.setattr(OpenLog, "__init__", closing_other)
    with closing(open_index(db, write=write)) as connection:
        assert not connection.has_lost_log
        assert connection.log.inodes == log_inodes(db)
        for file in beside(db):
            file.unlink()
        assert connection.has_lost_log


def test_a_copy_has_no_log_to_lose_until_it_is_written_to(db: Path) -> None:
    copy = db.with_name("copy.db")
    with closing(open_index(db, write=True)) as connection:
        connection.execute("VACUUM INTO ?", (str(copy),))
    with closing(open_index(copy, write=False)) as reader:
        assert not reader.has_lost_log
        with closing(open_index(copy, write=True)):
            reader.execute("SELECT count(*) FROM tracks").fetchall()
            assert not reader.has_lost_log
            beside(copy)[0].unlink()
            assert reader.has_lost_log


def test_a_question_opens_an_index_again_whose_log_was_deleted_while_it_was_opened(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_index(db, write=True).close()
    delete_while_opened(db, monkeypatch)
    with Lookup.open(Settings(db=db)) as lookup:
        first = lookup.connection
        assert first.log.is_lost
        assert lookup.connection is not first
        assert not lookup.connection.has_lost_log


def test_pages_open_an_index_again_whose_log_was_deleted_while_it_was_first_opened(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_index(db, write=True).close()
    delete_while_opened(db, monkeypatch)
    with closing(Pool(Settings(db=db))) as pool:
        before = pool.version()
        with pool.reader() as lookup:
            assert not lookup.connection.has_lost_log
        assert pool.version() != before
        assert pool.version() == pool.version()


def fix_all(monkeypatch: pytest.MonkeyPatch, *, is_fixed: bool = True) -> None:
    """Have all disks taken for read-only ones, on which nothing changes."""
    flags = os.ST_RDONLY if is_fixed else 0
    monkeypatch.setattr(os, "statvfs", lambda _path: SimpleNamespace(f_flag=flags))
    monkeypatch.setattr(mounts, "cannot_change", lambda _path: is_fixed)


def test_an_index_on_a_read_only_disk_is_opened_again_where_it_was_written_to_meanwhile(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_index(db, write=True).close()
    with monkeypatch.context() as patch:
        fix_all(patch)
        with Lookup.open(Settings(db=db)) as lookup:
            first = lookup.connection
            assert first.fixed is not None
            assert lookup.connection is first
            fix_all(patch, is_fixed=False)  # and back, while no question is asked
            with closing(open_index(db, write=True)) as writer:
                writer.execute("CREATE TABLE later (a)")
            fix_all(patch)
            assert lookup.connection is not first
            lookup.connection.execute("SELECT * FROM later")


@pytest.mark.parametrize("suffix", ["-wal", "-journal"])
def test_what_a_writer_left_beside_an_index_is_not_passed_over_on_a_read_only_disk(
    db: Path, monkeypatch: pytest.MonkeyPatch, suffix: str
) -> None:
    open_index(db, write=True).close()
    fix_all(monkeypatch)
    assert fixed_stamp(db) is not None
    db.with_name(db.name + suffix).write_bytes(b"left")
    assert fixed_stamp(db) is None


def test_a_path_of_two_slashes_is_the_same_place_to_sqlite(
    db: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    open_index(db, write=True).close()
    other = db.with_name("other's 100%?#.db")
    with closing(sqlite3.connect(other)) as connection:
        connection.execute("CREATE TABLE of_others (a)")
    with pytest.raises(DatabaseError, match="not those of an index"):
        check_may_be_index(Path(f"/{other}"))
    fix_all(monkeypatch)
    with closing(open_index(Path(f"/{db}"), write=False)) as reader:
        assert reader.fixed is not None
