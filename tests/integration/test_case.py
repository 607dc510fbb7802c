"""Names that differ in case, or in how accents are composed, on disks that care and that do not."""

from __future__ import annotations

import os
import shutil
import subprocess
import unicodedata
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from indexer.library import Library
from tests.corpus import plant as plant_at
from tests.integration.conftest import Mount
from tests.trees import Plant, assert_settled, ids, newest_change, song, titles, told

NFC, NFD = "Jóga", "Jo\N{COMBINING ACUTE ACCENT}ga"
RENAMES = [
    ("A/1 Joga.mp3", "A/1 JOGA.mp3"),
    ("A/1 Joga.mp3", "A/1 Joga.MP3"),
    ("A/1.mp3", "a/1.mp3"),
    ("Artist/Album/1.mp3", "ARTIST/Album/1.mp3"),
    (f"A/{NFC}.mp3", f"A/{NFD}.mp3"),
    (f"{NFD}/1.mp3", f"{NFC}/1.mp3"),
]
"""The first name in which they differ is renamed."""

renames = pytest.mark.parametrize(("old", "new"), RENAMES, ids=ascii)


def rename(root: Path, old: str, new: str) -> None:
    """Rename the folder or file whose name is another one in the new path."""
    names = zip(old.split("/"), new.split("/"), strict=True)
    depth = next(depth for depth, (one, other) in enumerate(names) if one != other)
    (root / "/".join(old.split("/")[: depth + 1])).rename(
        root / "/".join(new.split("/")[: depth + 1])
    )


def check_rename(library: Library, music: Path, old: str, new: str) -> None:
    """One scan after a rename: it is one move, and the track keeps its id."""
    plant_at(music, {old: song("One"), "B/2.mp3": song("Two")})
    library.scan()
    before, seq = ids(library), newest_change(library)
    rename(music, old, new)
    report = library.scan()
    assert (report.moved, report.added, report.missing) == (1, 0, 0)
    assert ids(library) == {new: before[old], "B/2.mp3": before["B/2.mp3"]}
    assert told(library, seq) == [("moved", new)]
    assert_settled(library)


def check_other_spellings(library: Library, music: Path) -> None:
    """Whatever a person types, each file is one row, under the name that its folder lists."""
    plant_at(music, {f"Artist/{NFC}/1.mp3": song("One"), "Artist/2.mp3": song("Two")})
    library.scan()
    before, seq = ids(library), newest_change(library)
    for typed in (
        "ARTIST", "artist/2.mp3", "Artist/2.MP3", f"Artist/{NFD}", f"Artist/{NFD}/1.mp3",
        f"ARTIST/{NFD.upper()}/1.MP3", f"Artist/{NFC}/1.Mp3",
    ):  # fmt: skip
        assert (music / typed).exists()
        report = library.scan([os.fsencode(music / typed)])
        assert (report.added, report.missing, report.moved) == (0, 0, 0), typed
    assert (ids(library), told(library, seq)) == (before, [])
    assert_settled(library)


# ---- a disk that cares


@renames
def test_a_rename_that_only_changes_the_spelling_keeps_the_id(
    library: Library, music: Path, old: str, new: str
) -> None:
    check_rename(library, music, old, new)


def test_two_spellings_that_both_stand_are_two_tracks(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({
        "a/1.mp3": song("a"), "A/1.mp3": song("A"), "A/1.MP3": song("MP3"),
        f"{NFC}.mp3": song("NFC"), f"{NFD}.mp3": song("NFD"),
    })  # fmt: skip
    os.link(music / "a/1.mp3", music / "a/1.MP3")
    library.scan()
    shown = titles(library)
    assert shown == {
        "a/1.mp3": "a", "a/1.MP3": "a", "A/1.mp3": "A", "A/1.MP3": "MP3",
        f"{NFC}.mp3": "NFC", f"{NFD}.mp3": "NFD",
    }  # fmt: skip
    for name in shown:
        library.scan([os.fsencode(music / os.fsdecode(name))])
    assert titles(library) == shown
    assert_settled(library)


def test_two_spellings_can_be_swapped(library: Library, plant: Plant, music: Path) -> None:
    plant({"a.mp3": song("Lower"), "A.mp3": song("Upper")})
    library.scan()
    before = ids(library)
    (music / "a.mp3").rename(music / "x")
    (music / "A.mp3").rename(music / "a.mp3")
    (music / "x").rename(music / "A.mp3")
    library.scan()
    assert titles(library) == {"a.mp3": "Upper", "A.mp3": "Lower"}
    assert ids(library) == {"a.mp3": before["A.mp3"], "A.mp3": before["a.mp3"]}
    assert_settled(library)


# ---- a disk that does not, pretended


def _folded(name: str) -> str:
    return unicodedata.normalize("NFD", name).casefold()


def _as_listed(path: bytes, parent: int | None) -> bytes:
    """The spelling by which a disk that does not care would find what stands there."""
    here = "/" if path.startswith(b"/") else "." if parent is None else f"/proc/self/fd/{parent}"
    found: list[str] = []
    for name in os.fsdecode(path).split("/"):
        listed = os.listdir(os.path.join(here, *found)) if name not in {"", "."} else []
        same = [one for one in listed if _folded(one) == _folded(name)]
        found.append(same[0] if len(same) == 1 and name not in listed else name)
    return os.fsencode("/".join(found))


@pytest.fixture
def folding(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let every folder find a name by any of its spellings, as on FAT, exFAT, SMB and casefold."""

    def let(call: Callable[..., Any]) -> Callable[..., Any]:
        def found(path: Any, *rest: Any, dir_fd: int | None = None, **options: Any) -> Any:
            given: dict[str, Any] = options if dir_fd is None else {**options, "dir_fd": dir_fd}
            try:
                return call(path, *rest, **given)
            except FileNotFoundError:
                if isinstance(path, int):
                    raise
                return call(_as_listed(os.fsencode(path), dir_fd), *rest, **given)

        return found

    for name in ("stat", "lstat", "open"):
        monkeypatch.setattr(os, name, let(getattr(os, name)))


@pytest.mark.usefixtures("folding")
@renames
def test_where_spelling_does_not_matter_a_rename_is_one_move(
    library: Library, music: Path, old: str, new: str
) -> None:
    check_rename(library, music, old, new)


@pytest.mark.usefixtures("folding")
def test_where_spelling_does_not_matter_another_one_adds_no_second_row(
    library: Library, music: Path
) -> None:
    check_other_spellings(library, music)


# ---- and a real one


@pytest.fixture
def casefold(mount: Mount, music: Path, tmp_path: Path) -> Path:
    """`music`, on an ext4 whose folders take every spelling for the same."""
    if not Path("/sys/fs/ext4/features/casefold").exists():
        pytest.skip("this kernel's ext4 folds no case")
    tools = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    mkfs, chattr = shutil.which("mkfs.ext4", path=tools), shutil.which("chattr", path=tools)
    if mkfs is None or chattr is None:
        pytest.skip("mkfs.ext4 or chattr (of e2fsprogs) is not installed")
    disk = tmp_path / "casefold.img"
    with disk.open("wb") as file:
        file.truncate(8 << 20)
    subprocess.run([mkfs, "-q", "-F", "-O", "casefold", disk], check=True, capture_output=True)
    mount(music, "-o", "loop", disk)
    (music / "lost+found").rmdir()
    subprocess.run([chattr, "+F", music], check=True, capture_output=True)
    return music


@renames
def test_on_a_casefold_disk_a_rename_is_one_move(
    casefold: Path, library: Library, old: str, new: str
) -> None:
    check_rename(library, casefold, old, new)


def test_on_a_casefold_disk_another_spelling_adds_no_second_row(
    casefold: Path, library: Library
) -> None:
    check_other_spellings(library, casefold)
