"""A private folder for what is incomplete: removed at its end, or by the next process."""

from __future__ import annotations

import errno
import fcntl
import os
import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from indexer.store import upkeep
from indexer.store.connection import Connection
from indexer.store.scratch import remove_left, scratch_folder

_HELD = """
import sys, time
from pathlib import Path
from indexer.store.scratch import scratch_folder
with scratch_folder(Path(sys.argv[1])) as folder:
    (folder / "half").write_bytes(b"x")
    print(folder, flush=True)
    time.sleep(60)
"""


def held_by_another(parent: Path) -> tuple[subprocess.Popen[str], Path]:
    process = subprocess.Popen(
        [sys.executable, "-c", _HELD, str(parent)], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    return process, Path(process.stdout.readline().rstrip("\n"))


def test_it_is_private_and_gone_at_the_end(tmp_path: Path) -> None:
    with scratch_folder(tmp_path) as folder:
        assert folder.parent == tmp_path
        assert folder.stat().st_mode & 0o777 == 0o700
        (folder / "file").write_bytes(b"x")
    assert os.listdir(tmp_path) == []


def test_what_a_killed_process_has_left_is_removed_by_the_next(tmp_path: Path) -> None:
    process, left = held_by_another(tmp_path)
    with scratch_folder(tmp_path):
        assert (left / "half").exists()  # it lives: its folder is not touched
    process.send_signal(signal.SIGKILL)
    process.wait()
    with process, scratch_folder(tmp_path) as folder:
        assert os.listdir(tmp_path) == [folder.name]


def test_other_folders_and_links_stay(tmp_path: Path) -> None:
    for name in (".music-indexer-notes", "music.part"):
        (tmp_path / name).mkdir()
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "elsewhere/file").write_bytes(b"x")
    (tmp_path / ".music-indexer-a.part").symlink_to("elsewhere")
    (tmp_path / ".music-indexer-b.part").write_bytes(b"a file")
    before = sorted(os.listdir(tmp_path))
    assert remove_left(tmp_path) == 0
    assert sorted(os.listdir(tmp_path)) == before
    assert (tmp_path / "elsewhere/file").exists()


def test_where_there_are_no_locks_nothing_of_others_is_removed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(_fd: int, _kind: int) -> None:
        raise OSError("no locks available")

    monkeypatch.setattr(fcntl, "flock", refused)
    (tmp_path / ".music-indexer-a.part").mkdir()
    with scratch_folder(tmp_path):
        assert len(os.listdir(tmp_path)) == 2
    assert os.listdir(tmp_path) == [".music-indexer-a.part"]


def test_it_is_made_in_a_folder_that_may_not_be_listed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    listed = os.listdir

    def refused(where: int | Path) -> list[str]:
        if where == tmp_path:
            raise PermissionError(errno.EACCES, "Permission denied", str(where))
        return listed(where)

    monkeypatch.setattr(os, "listdir", refused)
    with scratch_folder(tmp_path) as folder:
        assert folder.exists()


@pytest.mark.parametrize("number", [errno.EACCES, errno.EINVAL, errno.ENOSYS])
def test_a_copy_is_made_where_folders_cannot_be_synced(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    synced = os.fsync

    def refused(fd: int) -> None:
        if stat.S_ISDIR(os.fstat(fd).st_mode):
            raise OSError(number, os.strerror(number))
        synced(fd)

    monkeypatch.setattr(os, "fsync", refused)
    copy = tmp_path / "copy.db"
    assert upkeep.copy_to(connection, copy) == copy.stat().st_size


@pytest.mark.parametrize("number", [errno.EPERM, errno.ENOSYS, errno.EXDEV])
def test_a_copy_is_made_where_there_are_no_hard_links(
    connection: Connection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def refused(_new: Path, _old: Path) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(Path, "hardlink_to", refused)
    copy = tmp_path / "copy.db"
    assert upkeep.copy_to(connection, copy) == copy.stat().st_size
