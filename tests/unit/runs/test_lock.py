"""What the holder of the dispatch lock writes into it, as another process reads it."""

from __future__ import annotations

import errno
import os
from contextlib import closing
from pathlib import Path

import pytest

from indexer.runs.lock import DispatchLock, LockInfo, lock_info


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


def test_what_finds_no_room_leaves_what_was_told_before(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = tmp_path / "library.db"
    told = LockInfo(os.getpid(), "daemon", states={"music": "watching"})
    more = LockInfo(os.getpid(), "daemon", states={"music": "watching", "m" * 400: "watching"})
    pwrite = os.pwrite
    lock = DispatchLock.acquire(db, "daemon")
    assert lock is not None
    with closing(lock):
        lock.publish(told)
        monkeypatch.setattr(os, "pwrite", lambda fd, text, at: pwrite(fd, text[:400], at))
        with pytest.raises(OSError, match="No space left"):
            lock.publish(more)
        monkeypatch.undo()
        assert lock_info(db) == told
        lock.publish(more)
        assert lock_info(db) == more


def test_a_lock_on_a_disk_that_became_read_only_is_released(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = tmp_path / "library.db"
    lock = DispatchLock.acquire(db, "daemon")
    assert lock is not None

    def refuse(_fd: int, _length: int) -> None:
        raise OSError(errno.EROFS, os.strerror(errno.EROFS))

    with monkeypatch.context() as patch:
        patch.setattr(os, "ftruncate", refuse)
        lock.close()
    assert lock_info(db) is None
    again = DispatchLock.acquire(db, "daemon")
    assert again is not None
    again.close()
