"""The stamp and time of birth of an open file."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from indexer.disk import birth_time
from indexer.disk.birth_time import Status, Statuses
from indexer.model import Stamp

BIRTHLESS = "the file system of the tests keeps no time of birth"


@pytest.fixture
def song(tmp_path: Path) -> Path:
    path = tmp_path / "song.mp3"
    path.write_bytes(b"la")
    return path


def status_of(path: Path, *, births: bool = True) -> Status:
    file = os.open(path, os.O_RDONLY)
    try:
        return Statuses(births=births).of(file)
    finally:
        os.close(file)


def born(path: Path) -> int:
    at = status_of(path).birth_ns
    if at is None:
        pytest.skip(BIRTHLESS)
    return at


@pytest.mark.parametrize("births", [False, True])
@pytest.mark.parametrize("mtime_ns", [0, -7, 13_569_465_600 * 10**9, 1_700_000_000_123_456_789])
def test_the_status_is_that_of_fstat(song: Path, mtime_ns: int, *, births: bool) -> None:
    os.utime(song, ns=(0, mtime_ns))
    for path in (song, song.parent):
        told, known = path.stat(), status_of(path, births=births)
        assert Stamp.of(known) == Stamp.of(told)
        for field in ("st_mode", "st_ino", "st_size", "st_ctime_ns", "st_mtime_ns"):
            assert getattr(known, field) == getattr(told, field)


def test_a_file_was_born_when_it_was_made_and_however_it_is_changed_or_moved(song: Path) -> None:
    at = born(song)
    assert abs(at - time.time_ns()) < 60 * 10**9
    assert at <= song.stat().st_ctime_ns
    os.utime(song, ns=(0, 0))
    song.write_bytes(b"longer than before")
    moved = song.rename(song.with_name("moved.mp3"))
    os.link(moved, song)
    assert born(moved) == born(song) == at


@pytest.fixture
def older(song: Path) -> int:
    """The time of birth of another file, a tick of the clock earlier."""
    at = born(song)
    while time.clock_gettime_ns(5) <= at:  # CLOCK_REALTIME_COARSE
        pass
    return at


def test_another_file_at_the_same_place_was_born_later(song: Path, older: int) -> None:
    song.with_name("new").write_bytes(b"la")
    song.with_name("new").rename(song)
    assert born(song) > older


def test_where_statx_is_refused_it_is_fstat_without_a_birth(
    song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Missing in the kernel, or blocked by the seccomp filter of a container."""
    asked: list[int] = []

    def refuse(file: int, *_: object) -> int:
        asked.append(file)
        return -1

    monkeypatch.setattr(birth_time, "_STATX", refuse)
    file = os.open(song, os.O_RDONLY)
    statuses = Statuses(births=True)
    for _ in range(2):
        assert statuses.of(file).birth_ns is None
        assert Stamp.of(statuses.of(file)) == Stamp.of(song.stat())
    os.close(file)
    assert len(asked) == 1  # and is not asked again in vain


def test_without_statx_or_a_request_no_birth_is_known(
    song: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert status_of(song, births=False).birth_ns is None
    monkeypatch.setattr(birth_time, "_STATX", None)
    assert status_of(song).birth_ns is None


def test_trouble_with_the_file_is_told_and_not_taken_for_a_refusal(song: Path) -> None:
    statuses = Statuses(births=True)
    file = os.open(song, os.O_RDONLY)
    os.close(file)
    with pytest.raises(OSError, match="Bad file descriptor"):
        statuses.of(file)
    file = os.open(song, os.O_RDONLY)
    assert statuses.of(file).birth_ns == born(song)
    os.close(file)
