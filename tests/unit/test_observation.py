"""One look at a name that may not bear a whole file."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from watcher.observation import observe


def be_a_folder(path: Path) -> None:
    path.mkdir()


def be_a_pipe(path: Path) -> None:
    os.mkfifo(path)


def be_nothing(_path: Path) -> None:
    pass


@pytest.mark.parametrize("be", [be_a_folder, be_a_pipe, be_nothing])
def test_what_is_no_regular_file_tells_nothing_and_stays_open_nowhere(
    tmp_path: Path, be: object
) -> None:
    """A folder may take the name of a song that was waited for, which ended the daemon."""
    path = tmp_path / "song.mp3"
    assert callable(be)
    be(path)
    before = os.listdir("/proc/self/fd")
    assert observe(os.fsencode(path), leases=True, granularity_ns=1) is None
    assert os.listdir("/proc/self/fd") == before


def test_a_file_tells_its_size(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(b"x" * 7)
    seen = observe(os.fsencode(path), leases=False, granularity_ns=1)
    assert seen is not None
    assert seen.size == 7
