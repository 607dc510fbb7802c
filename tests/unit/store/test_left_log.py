"""What a database left in its log, when it was deleted or replaced, reaches no other file."""

from __future__ import annotations

import os
import shutil
from contextlib import closing
from pathlib import Path

import msgspec
import pytest

from indexer.runs.lock import DispatchLock, LockInfo, lock_info
from indexer.store import upkeep
from indexer.store.connection import Connection, leave_log, open_index, select_value
from indexer.store.left_log import set_aside_orphan
from indexer.store.open_log import born_ns, inode_of, log_inodes

FILLED = "WITH RECURSIVE n(n) AS (VALUES (1) UNION ALL SELECT n + 1 FROM n WHERE n < 2000)"


@pytest.fixture
def db(tmp_path: Path) -> Path:
    return tmp_path / "library.db"


def fill(connection: Connection) -> None:
    """Change most pages of an index."""
    connection.execute(f"INSERT INTO genres (name) {FILLED} SELECT 'genre ' || n FROM n")


def killed(db: Path) -> LockInfo:
    """Leave an index with a log that holds much, as a killed daemon does; what it had told."""
    with closing(open_index(db, write=True)) as connection:
        fill(connection)
        leave_log(connection)
        info = LockInfo(
            os.getpid(),
            "daemon",
            inode=inode_of(db),
            log_inodes=log_inodes(db),
            born_ns=born_ns(db),
        )
    db.with_name(db.name + ".lock").write_bytes(msgspec.json.encode(info))
    wal = db.with_name(db.name + "-wal")
    assert wal.stat().st_size > 10_000
    return info


def left_of(db: Path) -> list[Path]:
    return list(db.parent.glob(f"{db.name}-wal.left-*"))


def genres(db: Path) -> object:
    with closing(open_index(db, write=True)) as connection:
        assert connection.pragma("integrity_check") == "ok"
        return select_value(connection, "SELECT count(*) FROM genres")


def copy_of(db: Path, tmp_path: Path) -> Path:
    """A copy of an index with other content than the log of `killed` was made for."""
    copy = tmp_path / "copy.db"
    with closing(open_index(db, write=True)) as connection:
        connection.execute("INSERT INTO genres (name) VALUES ('one')")
        upkeep.copy_to(connection, copy)
        connection.execute("DELETE FROM genres")
    return copy


def test_a_new_index_does_not_get_the_log_of_a_deleted_one(db: Path) -> None:
    killed(db)
    db.unlink()
    assert genres(db) == 0
    (left,) = left_of(db)
    assert left.stat().st_size > 10_000, "its database may only have been moved"


def test_a_copy_does_not_get_the_log_of_a_file_that_had_its_name(db: Path, tmp_path: Path) -> None:
    killed(db)
    db.rename(tmp_path / "moved.db")
    with closing(open_index(tmp_path / "other.db", write=True)) as connection:
        upkeep.copy_to(connection, db)
    assert genres(db) == 0


@pytest.mark.parametrize("asks_first", [True, False])
def test_a_file_that_replaces_the_index_of_a_killed_daemon_does_not_get_its_log(
    db: Path, tmp_path: Path, *, asks_first: bool
) -> None:
    copy = copy_of(db, tmp_path)
    killed(db)
    shutil.copyfile(copy, tmp_path / "new")
    (tmp_path / "new").rename(db)
    if asks_first:
        assert lock_info(db) is None
    else:
        lock = DispatchLock.acquire(db, "daemon")
        assert lock is not None
        lock.close()
    assert genres(db) == 1
    assert len(left_of(db)) == 1


def test_the_index_of_a_killed_daemon_keeps_its_log(db: Path) -> None:
    killed(db)
    assert lock_info(db) is None
    assert genres(db) == 2000
    assert left_of(db) == []


def test_a_log_that_the_killed_daemon_did_not_have_stays(db: Path, tmp_path: Path) -> None:
    """Files that were brought back together belong together."""
    killed(db)
    for suffix in ("", "-wal", "-shm"):
        file = db.with_name(db.name + suffix)
        shutil.copyfile(file, tmp_path / "one")
        file.rename(tmp_path / f"old{suffix}")
        (tmp_path / "one").rename(file)
    assert lock_info(db) is None
    assert genres(db) == 2000
    assert left_of(db) == []


def test_an_empty_log_leaves_nothing(db: Path) -> None:
    wal, shm = (db.with_name(db.name + suffix) for suffix in ("-wal", "-shm"))
    wal.touch()
    shm.write_bytes(b"x")
    assert set_aside_orphan(db) is None
    assert [wal.exists(), shm.exists()] == [False, False]


def test_the_log_of_an_index_that_is_there_stays(db: Path) -> None:
    killed(db)
    assert set_aside_orphan(db) is None
    assert db.with_name(db.name + "-wal").exists()
