"""One check of a name whose file may not be whole."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from types import SimpleNamespace

import pytest

from tests.descriptors import descriptors_below
from watcher.debounce import observation
from watcher.debounce.folder_buffer import Observation
from watcher.debounce.observation import observe


def look_at(path: Path, *, leases: bool, granularity_ns: int = 1) -> Observation | None:
    root, name = os.fsencode(path.parent), os.fsencode(path.name)
    return observe(root, name, follow_links=False, leases=leases, granularity_ns=granularity_ns)


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
    """A folder may replace a song that was waited for, which used to crash the daemon."""
    path = tmp_path / "song.mp3"
    assert callable(be)
    be(path)
    assert look_at(path, leases=True) is None
    assert descriptors_below(tmp_path) == []


def test_a_file_tells_its_size(tmp_path: Path) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(b"x" * 7)
    seen = look_at(path, leases=False)
    assert seen is not None
    assert seen.size == 7


@pytest.mark.parametrize(
    ("ctime_ns", "granularity_ns", "left_s"),
    [
        (5_000_000_000, 0, 0.7),
        (5_300_000_000, 0, 0.0),
        (5_000_000_000, 2_000_000_000, 0.7),
        (4_000_000_000, 1_000_000_000, 0.7),
    ],
)
def test_a_whole_second_is_waited_out(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    ctime_ns: int,
    granularity_ns: int,
    left_s: float,
) -> None:
    path = tmp_path / "song.mp3"
    path.write_bytes(b"x" * 7)
    status = SimpleNamespace(st_mode=stat.S_IFREG, st_size=7, st_ctime_ns=ctime_ns)
    monkeypatch.setattr(observation, "coarse_now_ns", lambda: 5_300_000_000)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fstat", lambda _: status)
        seen = look_at(path, leases=False, granularity_ns=granularity_ns)
    assert seen is not None
    assert seen.tick_left_s == pytest.approx(left_s)


@pytest.mark.parametrize("link", ["album", "album/song.mp3"])
@pytest.mark.parametrize("follow_links", [False, True])
def test_nothing_is_told_of_a_file_that_a_link_leads_to_out_of_the_root(
    tmp_path: Path, link: str, *, follow_links: bool
) -> None:
    for place in ("root", "outside"):
        (tmp_path / place / "album").mkdir(parents=True)
        (tmp_path / place / "album/song.mp3").write_bytes(b"x" * 7)
    root = os.fsencode(tmp_path / "root")

    def look() -> Observation | None:
        return observe(
            root, b"album/song.mp3", follow_links=follow_links, leases=False, granularity_ns=1
        )

    assert look() is not None
    (tmp_path / "root" / link).rename(tmp_path / "away")
    (tmp_path / "root" / link).symlink_to(tmp_path / "outside" / link)
    assert look() is None
