"""Paths in a root, with links at every depth."""

from __future__ import annotations

import errno
import os
from collections.abc import Callable
from itertools import product
from pathlib import Path

import pytest

from indexer import paths
from indexer.disk import descent
from indexer.disk.descent import FolderChain, OpenFolders, lstat_at, open_below
from indexer.disk.identity import FOLDER_FLAGS
from tests.descriptors import descriptors_below

DEPTHS = ("a", "a/b", "a/b/c", "a/b/c/x.mp3")
PATH = b"a/b/c/x.mp3"
FILE = os.O_RDONLY | os.O_NONBLOCK


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root with one file, 3 folders deep, and a similar tree outside of it."""
    for place in ("root", "outside"):
        (tmp_path / place / "a/b/c").mkdir(parents=True)
        (tmp_path / place / "a/b/c/x.mp3").write_text(place)
    return tmp_path / "root"


def put_link(root: Path, at: str, target: str | Path) -> None:
    """Replace a file or a folder by a link."""
    (root / at).rename(root.parent / "away")
    (root / at).symlink_to(target)


def content(folders: OpenFolders, path: bytes) -> bytes:
    file = folders.open(path, FILE)
    try:
        return os.read(file, 100)
    finally:
        os.close(file)


@pytest.mark.parametrize(("depth", "follow_links"), [*product(DEPTHS, (False, True))])
def test_a_link_that_leads_out_at_any_depth_leads_to_nothing(
    root: Path, depth: str, *, follow_links: bool
) -> None:
    put_link(root, depth, root.parent / "outside" / depth)
    assert (root / os.fsdecode(PATH)).read_text() == "outside"
    with OpenFolders.at(os.fsencode(root), follow_links=follow_links) as folders:
        with pytest.raises(OSError, match=f"{errno.ELOOP}|{errno.ENOTDIR}"):
            folders.open(PATH, FILE)
        seen = folders.lstat(PATH)
    if depth == DEPTHS[-1]:
        assert seen is not None
        assert seen.st_ino == (root / depth).lstat().st_ino  # the link itself
    else:
        assert seen is None
    assert descriptors_below(root.parent) == []


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("absolute", [False, True])
def test_a_link_inside_the_root_is_followed_where_links_are(
    root: Path, depth: str, *, absolute: bool
) -> None:
    (root / depth).rename(root / "real")
    up = "../" * depth.count("/")
    (root / depth).symlink_to(root / "real" if absolute else f"{up}real")
    with OpenFolders.at(os.fsencode(root), follow_links=True) as folders:
        assert content(folders, PATH) == b"root"
        seen = folders.lstat(PATH)
        assert seen is not None
        assert seen.st_ino == (root / os.fsdecode(PATH)).stat().st_ino
    refused = pytest.raises(OSError, match=f"{errno.ELOOP}|{errno.ENOTDIR}")
    with OpenFolders.at(os.fsencode(root)) as folders, refused:
        folders.open(PATH, FILE)
    assert descriptors_below(root.parent) == []


def test_a_link_out_and_back_in_is_followed_and_one_to_a_look_alike_beside_the_root_is_not(
    root: Path,
) -> None:
    (root.parent / "outside/back").symlink_to(root / "a")
    (root.parent / "root-2").symlink_to("outside")
    (root / "in").symlink_to("../outside/back")
    (root / "beside").symlink_to("../root-2/a")
    with OpenFolders.at(os.fsencode(root), follow_links=True) as folders:
        assert content(folders, b"in/b/c/x.mp3") == b"root"
        with pytest.raises(OSError, match=str(errno.ELOOP)):
            folders.open(b"beside/b/c/x.mp3", FILE)


def test_what_a_link_leads_to_outside_is_looked_at_and_not_opened(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It may be a device, on which an open has side effects."""
    through: list[int] = []

    def spy(name: bytes, flags: int, *, dir_fd: int | None = None) -> int:
        if name == b"out.mp3" and not flags & os.O_NOFOLLOW:
            through.append(flags)
        return real(name, flags, dir_fd=dir_fd)

    (root / "out.mp3").symlink_to("../outside/a/b/c/x.mp3")
    real = os.open
    with OpenFolders.at(os.fsencode(root), follow_links=True) as folders:
        monkeypatch.setattr(os, "open", spy)
        with pytest.raises(OSError, match=str(errno.ELOOP)):
            folders.open(b"out.mp3", FILE)
    assert through
    assert all(flags & os.O_PATH for flags in through)


@pytest.mark.parametrize(
    "path", [b"..", b"../outside/a/b/c/x.mp3", b"a/../../outside/a/b/c/x.mp3", b"a//b", b"a/.", b""]
)
def test_a_path_with_a_name_that_is_none_is_not_there(root: Path, path: bytes) -> None:
    with OpenFolders.at(os.fsencode(root), follow_links=True) as folders:
        with pytest.raises(FileNotFoundError):
            folders.open(path, FILE)
        assert folders.lstat(path) is None


def test_a_root_that_is_a_link_is_none(root: Path) -> None:
    (root.parent / "link").symlink_to("root")
    with pytest.raises(NotADirectoryError):
        OpenFolders.at(os.fsencode(root.parent / "link"))


def remove(root: Path) -> None:
    (root / "a/b/c/x.mp3").unlink()


def move_away(root: Path) -> None:
    (root / "a").rename(root / "elsewhere")


@pytest.mark.parametrize("go", [remove, move_away])
def test_new_folders_see_what_became_of_a_file_and_kept_ones_only_their_own(
    root: Path, go: Callable[[Path], None]
) -> None:
    """The reason to close them soon: an open folder stays open after it was moved."""
    with OpenFolders.at(os.fsencode(root)) as kept:
        assert kept.lstat(PATH) is not None
        go(root)
        assert (kept.lstat(PATH) is None) == (go is remove)
    assert lstat_at(os.fsencode(root), PATH) is None


def test_no_more_than_a_few_folders_are_held_open(root: Path) -> None:
    for number in range(100):
        (root / f"{number}").mkdir()
        (root / f"{number}/x.mp3").touch()
    with OpenFolders.at(os.fsencode(root)) as folders:
        for number in (*range(100), *range(100)):
            assert folders.lstat(b"%d/x.mp3" % number) is not None
        assert 10 < len(descriptors_below(root)) < 20
    assert descriptors_below(root) == []


def test_each_open_folder_is_closed_when_one_below_it_is_missing(root: Path) -> None:
    top = os.open(root, os.O_PATH)
    for path in (b"a/b/none/x.mp3", b"a/b/c/none", b"a/b/c/x.mp3/y"):
        with pytest.raises((FileNotFoundError, NotADirectoryError)):
            open_below(top, path, FILE)
    os.close(top)
    assert descriptors_below(root.parent) == []


def open_chain(root: Path, *, follow_links: bool = False) -> FolderChain:
    return FolderChain(os.open(root, os.O_PATH), follow_links=follow_links)


def close_chain(chain: FolderChain) -> None:
    chain.close()
    os.close(chain._root)


def listed(chain: FolderChain, folder: bytes) -> list[str] | None:
    found = chain.open(folder, FOLDER_FLAGS)
    return None if found is None else sorted(os.listdir(found))


def test_a_walk_opens_each_folder_once_however_deep_it_is(
    root: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    names: list[bytes] = []
    open_name = descent._open_name

    def opened(
        top: int,
        folder: int,
        name: bytes,
        flags: int,
        follow_links: bool,
    ) -> int:
        names.append(name)
        return open_name(top, folder, name, flags, follow_links)

    monkeypatch.setattr(descent, "_open_name", opened)
    deepest = root
    for number in range(300):
        deepest = deepest / f"{number:03}"
    deepest.mkdir(parents=True)
    chain = open_chain(root)
    folder = b""
    for number in range(300):
        folder = paths.join(folder, b"%03d" % number)
        assert listed(chain, folder) == ([f"{number + 1:03}"] if number < 299 else [])
        assert len(descriptors_below(root)) < 20
    assert names == [b"%03d" % number for number in range(300)]
    close_chain(chain)
    assert descriptors_below(root.parent) == []


def test_a_walk_finds_each_folder_in_any_order(root: Path) -> None:
    (root / "a/b2/c2").mkdir(parents=True)
    (root / "ab").mkdir()
    chain = open_chain(root)
    for _ in range(2):
        assert listed(chain, b"") == ["a", "ab"]
        assert listed(chain, b"a/b/c") == ["x.mp3"]
        assert listed(chain, b"a/b2/c2") == []
        assert listed(chain, b"a") == ["b", "b2"]
        assert listed(chain, b"a/b2") == ["c2"]
        assert listed(chain, b"a/none/c") is None
        assert listed(chain, b"a/b/c/x.mp3") is None
        assert listed(chain, b"ab") == []
        assert listed(chain, b"a/b") == ["c"]
    close_chain(chain)
    assert descriptors_below(root.parent) == []


@pytest.mark.parametrize(("depth", "follow_links"), [*product(DEPTHS[:-1], (False, True))])
def test_no_link_leads_a_walk_out_of_the_root(
    root: Path, depth: str, *, follow_links: bool
) -> None:
    put_link(root, depth, root.parent / "outside" / depth)
    chain = open_chain(root, follow_links=follow_links)
    assert listed(chain, b"a/b/c") is None
    assert listed(chain, depth.encode()) is None
    close_chain(chain)
    assert descriptors_below(root.parent) == []
