"""When `verify` ended last, and with what, in a file beside the index."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from indexer.runs.verified import Verified, last, note


def test_what_was_noted_last_is_told(tmp_path: Path) -> None:
    db = tmp_path / "library.db"
    db.touch()
    assert last(db) == Verified()
    assert note(db, Verified(1000, 12, 0))
    assert note(db, Verified(2000, 0, 1))
    assert last(db) == Verified(2000, 0, 1)


def test_a_full_disk_keeps_what_was_noted_and_raises_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    db = tmp_path / "library.db"
    db.touch()
    note(db, Verified(1000, 12, 0))

    def full(_fd: int, _data: bytes, _offset: int) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "pwrite", full)
    assert not note(db, Verified(2000, 0, 1))
    assert last(db) == Verified(1000, 12, 0)
