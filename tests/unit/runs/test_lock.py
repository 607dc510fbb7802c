"""What the holder of the dispatch lock writes into it, as another process reads it."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from indexer.runs.lock import (
    DispatchLock,
    LockInfo,
    is_log_lost,
    lock_info,
    log_inodes,
    opened_log,
)


def test_what_a_daemon_tells_of_a_thousand_roots_with_long_names_is_read(tmp_path: Path) -> None:
    db = tmp_path / "library.db"
    names = [f"{number:03}{'Ж' * 120}" for number in range(1000)]
    reasons = {name: f"/mnt/{name}/{name} cannot be opened" for name in names}
    told = LockInfo(os.getpid(), "daemon", states=dict.fromkeys(names, "offline"), reasons=reasons)
    lock = DispatchLock.acquire(db, "daemon")
    assert lock is not None
    with closing(lock):
        lock.publish(told)
        assert lock_info(db) == told
        lock.publish(LockInfo(os.getpid(), "daemon"))
        assert lock_info(db) == LockInfo(os.getpid(), "daemon")
    assert lock_info(db) is None


def test_a_log_is_lost_when_one_of_its_files_is_gone_or_another_one(tmp_path: Path) -> None:
    db = tmp_path / "library.db"
    wal, shm = (tmp_path / f"library.db{suffix}" for suffix in ("-wal", "-shm"))
    assert log_inodes(db) == (0, 0)
    assert not is_log_lost(db, (0, 0))
    wal.touch()
    shm.touch()
    known = log_inodes(db)
    link = tmp_path / "link.db"
    db.touch()
    link.symlink_to(db)
    assert log_inodes(link) == known
    assert not is_log_lost(db, known)
    shm.rename(tmp_path / "kept")
    assert is_log_lost(db, known)
    shm.touch()
    assert is_log_lost(db, known)


@pytest.mark.parametrize(
    ("was_there", "becomes"),
    [(False, "gone"), (False, "the same"), (True, "gone"), (True, "another"), (True, "the same")],
)
def test_a_log_that_changes_while_it_is_opened_counts_as_lost(
    tmp_path: Path, becomes: str, *, was_there: bool
) -> None:
    db = tmp_path / "library.db"
    wal, shm = (tmp_path / f"library.db{suffix}" for suffix in ("-wal", "-shm"))
    if was_there:
        wal.touch()
        shm.touch()
    before = log_inodes(db)
    wal.touch()
    shm.touch()  # here a connection opens them
    if becomes != "the same":
        wal.rename(tmp_path / "deleted")
    if becomes == "another":
        wal.touch()
    assert is_log_lost(db, opened_log(db, before)) is (becomes != "the same")
