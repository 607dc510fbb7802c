"""Symbolic links: not followed unless set, then never out of the root, and never in a loop."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from indexer.library import Library
from indexer.settings import Settings
from tests.corpus import plant as plant_at
from tests.corpus import tagged
from tests.daemons import QUICK, watching
from tests.integration.conftest import MakeDisk, Mount, unmount
from tests.programs import rows, run
from tests.trees import Plant, assert_settled, ids, newest_change, song, titles, told

FOLLOW = "follow_links = true\n"


@pytest.fixture
def following(library: Library, settings: Settings) -> Iterator[Library]:
    """The index of `library`, with symbolic links followed from now on."""
    assert library.status().roots
    with Library(msgspec.structs.replace(settings, follow_links=True)) as opened:
        yield opened


def link(root: Path, **targets: str | Path) -> None:
    """Make `name="target"` links; a name has `__` for a slash and `_mp3` for its suffix."""
    for name, target in targets.items():
        path = name.replace("__", "/").replace("_mp3", ".mp3")
        (root / path).symlink_to(target)


def test_links_are_not_followed_unless_it_is_set(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One")})
    link(music, one_mp3="A/1.mp3", B="A", A__up="..", nowhere_mp3="nowhere")
    report = library.scan()
    assert (report.added, report.problems) == (1, 0)
    assert titles(library) == {"A/1.mp3": "One"}
    assert_settled(library)


def test_a_link_inside_the_root_is_indexed_at_its_own_path(
    following: Library, plant: Plant, music: Path
) -> None:
    plant({"A/b/1.mp3": song("One"), "A/2.mp3": song("Two"), "plain": song("No suffix")})
    link(music, one_mp3="A/b/1.mp3", plain_mp3="plain", B="A", chain="B", absolute=music / "A/b")
    following.scan()
    assert titles(following) == {
        "A/b/1.mp3": "One", "A/2.mp3": "Two",
        "one.mp3": "One", "plain.mp3": "No suffix",
        "B/b/1.mp3": "One", "B/2.mp3": "Two",
        "chain/b/1.mp3": "One", "chain/2.mp3": "Two",
        "absolute/1.mp3": "One",
    }  # fmt: skip
    assert_settled(following)


def test_a_link_out_of_the_root_is_not_followed(
    following: Library, plant: Plant, music: Path, tmp_path: Path
) -> None:
    plant_at(tmp_path / "outside", {"1.mp3": song("Outside")})
    plant({"A/1.mp3": song("One")})
    (tmp_path / "music-2").symlink_to("outside")
    link(music, out=tmp_path / "outside", out_mp3="../outside/1.mp3", twin="../music-2")
    link(music, A__out="../../outside", all="/")
    report = following.scan()
    assert (report.added, report.problems) == (1, 0)
    assert_settled(following)


def test_a_link_that_leads_out_and_back_in_is_followed(
    following: Library, plant: Plant, music: Path, tmp_path: Path
) -> None:
    plant({"A/1.mp3": song("One")})
    (tmp_path / "back").symlink_to(music / "A")
    link(music, B=tmp_path / "back")
    following.scan()
    assert set(titles(following)) == {"A/1.mp3", "B/1.mp3"}
    assert_settled(following)


def test_a_link_to_a_folder_above_is_no_loop(following: Library, plant: Plant, music: Path) -> None:
    """Whoever follows it until the kernel refuses has each file 41 times."""
    plant({"A/b/1.mp3": song("One")})
    link(music, A__b__up="..", A__b__top=music, A__self=".", A__loop_mp3="loop.mp3")
    report = following.scan()
    assert (report.added, report.problems) == (1, 0)
    assert_settled(following)


def test_two_folders_that_link_to_each_other_show_each_file_once_more(
    following: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "B/2.mp3": song("Two")})
    link(music, A__b="../B", B__a="../A", x_mp3="y.mp3", y_mp3="x.mp3")
    following.scan()
    assert titles(following) == {
        "A/1.mp3": "One", "A/b/2.mp3": "Two", "B/2.mp3": "Two", "B/a/1.mp3": "One",
    }  # fmt: skip
    assert_settled(following)


def test_a_link_that_leads_nowhere_is_no_row_and_no_problem_until_it_leads_somewhere(
    following: Library, plant: Plant, music: Path
) -> None:
    link(music, soon_mp3="A/1.mp3", soon="A")
    assert following.scan().seen == 0
    plant({"A/1.mp3": song("One")})
    following.scan()
    assert set(titles(following)) == {"A/1.mp3", "soon.mp3", "soon/1.mp3"}
    (music / "A/1.mp3").unlink()
    report = following.scan()
    assert (report.missing, report.problems) == (3, 0)
    assert titles(following) == {}
    assert_settled(following)


def test_a_link_to_a_special_file_is_a_problem_and_is_not_opened(
    following: Library, music: Path
) -> None:
    os.mkfifo(music / "pipe")
    link(music, pipe_mp3="pipe")
    following.scan()
    (problem,) = following.problems()
    assert problem.path == "pipe.mp3"
    assert problem.reason.startswith("this is a FIFO")
    assert_settled(following)


def test_a_link_that_is_retargeted_shows_what_it_leads_to_now(
    following: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "B/2.mp3": song("Two, longer")})
    link(music, best_mp3="A/1.mp3", folder="A")
    following.scan()
    before = ids(following)
    (music / "best.mp3").unlink()
    (music / "folder").unlink()
    link(music, best_mp3="B/2.mp3", folder="B")
    report = following.scan()
    assert (report.modified, report.missing, report.added) == (1, 1, 1)
    assert titles(following) == {
        "A/1.mp3": "One", "B/2.mp3": "Two, longer",
        "best.mp3": "Two, longer", "folder/2.mp3": "Two, longer",
    }  # fmt: skip
    assert ids(following)["best.mp3"] == before["best.mp3"]
    assert_settled(following)


def test_one_link_can_be_scanned_alone(following: Library, plant: Plant, music: Path) -> None:
    plant({"A/1.mp3": song("One")})
    link(music, one_mp3="A/1.mp3", B="A")
    following.scan([os.fsencode(music / "one.mp3")])
    assert set(titles(following)) == {"one.mp3"}
    following.scan([os.fsencode(music / "B" / "1.mp3")])
    assert set(titles(following)) == {"one.mp3", "B/1.mp3"}
    plant({"A/c/2.mp3": song("Two")})
    following.scan([os.fsencode(music / "B")])
    assert set(titles(following)) == {"one.mp3", "B/1.mp3", "B/c/2.mp3"}


def test_a_folder_that_moved_and_left_a_link_keeps_its_ids_at_the_new_place(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One"), "A/b/2.mp3": song("Two")})
    library.scan()
    before, seq = ids(library), newest_change(library)
    (music / "A").rename(music / "B")
    link(music, A="B")
    report = library.scan()
    assert (report.moved, report.missing, report.added, report.files_read) == (2, 0, 0, 0)
    assert ids(library) == {"B/1.mp3": before["A/1.mp3"], "B/b/2.mp3": before["A/b/2.mp3"]}
    assert [kind for kind, _ in told(library, seq)] == ["moved", "moved"]
    assert_settled(library)


def test_a_folder_that_moved_and_left_a_link_stands_at_both_where_links_are_followed(
    following: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One")})
    following.scan()
    before = ids(following)
    (music / "A").rename(music / "B")
    link(music, A="B")
    following.scan()
    now = ids(following)
    assert set(now) == {"A/1.mp3", "B/1.mp3"}
    assert now["A/1.mp3"] == before["A/1.mp3"]
    assert_settled(following)


def test_links_leave_the_index_when_they_are_no_longer_followed_and_come_back_with_their_ids(
    following: Library, library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One")})
    link(music, B="A", one_mp3="A/1.mp3")
    following.scan()
    before = ids(following)
    report = library.scan()
    assert (report.missing, report.files_read) == (2, 0)
    assert set(ids(library)) == {"A/1.mp3"}
    report = following.scan()
    assert (report.returned, report.files_read) == (2, 0)
    assert ids(following) == before


def test_a_link_to_a_disk_that_is_away_keeps_its_rows(
    mount: Mount, make_disk: MakeDisk, music: Path, db: Path
) -> None:
    """The folder below a mount point is empty, and a link to a file on the disk leads nowhere."""
    disk = make_disk("below.img")
    usb = mount(music / "usb", "-o", "loop", disk)
    plant_at(usb, {"A/1.mp3": tagged(title="One")})
    link(music, all="usb", A="usb/A", one_mp3="usb/A/1.mp3")
    assert run("rebuild", music, "--json", db=db, config=FOLLOW).object["added"] == 4
    before = rows(db, "SELECT * FROM library")
    unmount(usb)
    for place in (music, music / "A", music / "one.mp3"):
        report = run("scan", place, "--json", db=db, config=FOLLOW, check=3).object
        assert report["missing"] == 0
    assert rows(db, "SELECT * FROM library") == before
    assert run("verify", "--json", db=db, config=FOLLOW, check=3).object["differences"] == []
    mount(usb, "-o", "loop", disk)
    assert run("scan", "--json", db=db, config=FOLLOW).object["unchanged"] == 4


def test_a_daemon_follows_changes_under_the_names_of_links(music: Path, db: Path) -> None:
    """The kernel tells of them under one name, and of no link."""
    plant_at(music, {"store/a/1.mp3": tagged(title="One"), "best/own.mp3": tagged(title="Own")})
    link(music, best__a="../store/a", best__late="../late", best__two_mp3="../store/two.mp3")
    base = {"best/own.mp3": "Own"}
    with watching(music, db=db, config=QUICK + FOLLOW) as daemon:
        one = {"store/a/1.mp3": "One", "best/a/1.mp3": "One"}
        daemon.shows(base | one)
        plant_at(music, {"store/a/b/2.mp3": tagged(title="Two")})
        two = {"store/a/b/2.mp3": "Two", "best/a/b/2.mp3": "Two"}
        daemon.shows(base | one | two)
        (music / "store/a/1.mp3").unlink()
        daemon.shows(base | two)
        plant_at(music, {"store/two.mp3": tagged(title="File"), "late/3.mp3": tagged(title="Late")})
        late = {"late/3.mp3": "Late", "best/late/3.mp3": "Late"}
        file = {"store/two.mp3": "File", "best/two.mp3": "File"}
        daemon.shows(base | two | late | file)
        link(music, every="store/a")
        every = {"every/b/2.mp3": "Two"}
        daemon.shows(base | two | late | file | every)
        (music / "best/late").unlink()
        (music / "store/two.mp3").unlink()
        daemon.shows(base | two | {"late/3.mp3": "Late"} | every)
        (music / "store/a").rename(music / "store/c")
        daemon.shows(base | {"store/c/b/2.mp3": "Two", "late/3.mp3": "Late"})
        (music / "store/c").rename(music / "store/a")
        daemon.shows(base | two | {"late/3.mp3": "Late"} | every)
        assert run("verify", "--deep", "--json", db=db, config=FOLLOW).object["ok"]
