"""Changes on a real disk -> the index follows, live, and what it follows is the truth."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.corpus import plant, tagged
from tests.daemons import Watch, ids, shown, watching
from tests.programs import eventually, rows


def put(path: Path, content: bytes) -> None:
    """Write a file aside and rename it into its place."""
    aside = path.with_name(f".{path.name}.aside")
    aside.write_bytes(content)
    aside.rename(path)


def test_what_stands_there_at_the_start_is_indexed(music: Path, watch: Watch) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "b/c.flac": tagged(".flac", title="C")})
    daemon = watch()
    assert shown(daemon.db) == {"a.mp3": "A", "b/c.flac": "C"}
    assert daemon.status()["daemon"]["watched_folders"] == 2
    assert daemon.state() == "watching"


@pytest.mark.smoke
def test_a_new_file_a_retag_a_replacement_and_a_deletion_are_followed(
    music: Path, watch: Watch
) -> None:
    daemon = watch()
    plant(music, {"a.mp3": tagged(title="A"), "b/c.mp3": tagged(title="C")})
    daemon.shows({"a.mp3": "A", "b/c.mp3": "C"})
    before = ids(daemon.db)
    (music / "a.mp3").write_bytes(tagged(title="A again"))
    daemon.shows({"a.mp3": "A again", "b/c.mp3": "C"})
    put(music / "b/c.mp3", tagged(title="C replaced"))
    daemon.shows({"a.mp3": "A again", "b/c.mp3": "C replaced"})
    assert ids(daemon.db) == before
    (music / "a.mp3").unlink()
    daemon.shows({"b/c.mp3": "C replaced"})
    plant(music, {"a.mp3": tagged(title="A is back")})
    daemon.shows({"a.mp3": "A is back", "b/c.mp3": "C replaced"})
    assert ids(daemon.db) == before
    daemon.has_read(5)


def test_an_album_that_is_renamed_keeps_its_ids_and_no_file_is_read(
    music: Path, watch: Watch
) -> None:
    plant(music, {f"Debut/{n}.mp3": tagged(title=f"{n}", album="Debut") for n in range(12)})
    daemon = watch()
    before = sorted(ids(daemon.db).values())
    daemon.has_read(12)
    (music / "Debut").rename(music / "1993 Debut")
    daemon.shows({f"1993 Debut/{n}.mp3": f"{n}" for n in range(12)})
    assert sorted(ids(daemon.db).values()) == before
    daemon.has_read(12)
    assert daemon.lines("missing path=") == []


def test_a_large_folder_that_is_renamed_is_never_told_as_missing(music: Path, watch: Watch) -> None:
    """Its watches take longer to renew than `quiet`; its old path alone would look like a loss."""
    titles = {f"{n}/x.mp3": f"{n}" for n in range(400)}
    old = music / "Old"
    plant(old, {path: tagged(title=one, artist="A", album="B") for path, one in titles.items()})
    daemon = watch()
    before = sorted(ids(daemon.db).values())
    (music / "Old").rename(music / "New")
    daemon.shows({f"New/{path}": title for path, title in titles.items()})
    assert sorted(ids(daemon.db).values()) == before
    kinds = rows(daemon.db, "SELECT kind, count(*) FROM changes GROUP BY kind ORDER BY kind")
    assert kinds == [("added", 400), ("moved", 400)]


def test_an_album_that_moves_to_another_artist_keeps_its_ids(music: Path, watch: Watch) -> None:
    plant(music, {f"Bjork/Debut/{n}.mp3": tagged(title=f"{n}") for n in range(3)})
    (music / "Björk").mkdir()
    daemon = watch()
    before = sorted(ids(daemon.db).values())
    (music / "Bjork/Debut").rename(music / "Björk/Debut")
    daemon.shows({f"Björk/Debut/{n}.mp3": f"{n}" for n in range(3)})
    assert sorted(ids(daemon.db).values()) == before
    daemon.has_read(3)


def test_many_files_that_are_copied_into_new_levels_are_all_found(
    music: Path, watch: Watch, tmp_path: Path
) -> None:
    titles = {f"x/{n // 100}/{n // 10}/{n}.mp3": f"{n % 7}" for n in range(500)}
    plant(tmp_path / "aside", {path: tagged(title=title) for path, title in titles.items()})
    daemon = watch()
    subprocess.run(["cp", "-r", tmp_path / "aside/x", music], check=True)
    daemon.shows(titles)
    daemon.has_read(500)


def test_files_in_folders_that_were_made_at_once_are_found(music: Path, watch: Watch) -> None:
    daemon = watch()
    titles = {}
    for n in range(30):
        path = f"{n}/b/c/x.mp3"
        os.makedirs((music / path).parent)
        (music / path).write_bytes(tagged(title=f"{n}"))
        titles[path] = f"{n}"
    daemon.shows(titles)


def test_a_file_and_a_folder_that_are_moved_in_are_found(
    music: Path, watch: Watch, tmp_path: Path
) -> None:
    plant(tmp_path / "aside", {"f.mp3": tagged(title="F"), "d/e/g.mp3": tagged(title="G")})
    daemon = watch()
    (tmp_path / "aside/f.mp3").rename(music / "f.mp3")
    (tmp_path / "aside/d").rename(music / "d")
    daemon.shows({"f.mp3": "F", "d/e/g.mp3": "G"})
    plant(music, {"d/e/h.mp3": tagged(title="H")})
    daemon.shows({"f.mp3": "F", "d/e/g.mp3": "G", "d/e/h.mp3": "H"})


def test_a_folder_that_was_moved_out_is_gone_whatever_is_written_to_it(
    music: Path, watch: Watch, tmp_path: Path
) -> None:
    plant(music, {"d/e/g.mp3": tagged(title="G"), "stays.mp3": tagged(title="S")})
    daemon = watch()
    (music / "d").rename(tmp_path / "d")
    daemon.shows({"stays.mp3": "S"})
    plant(tmp_path, {"d/e/g.mp3": tagged(title="G elsewhere"), "d/e/h.mp3": tagged(title="H")})
    plant(music, {"d/e/new.mp3": tagged(title="New")})
    daemon.shows({"stays.mp3": "S", "d/e/new.mp3": "New"})
    assert daemon.lines("elsewhere") == []


def test_names_that_are_not_utf8_are_followed(music: Path, watch: Watch) -> None:
    daemon = watch()
    folder, name = b"Bj\xf6rk", b"Deb\xfct.mp3"
    plant(music, {folder + b"/" + name: tagged(title="A")})
    daemon.shows({folder + b"/" + name: "A"})
    os.rename(os.path.join(bytes(music), folder), os.path.join(bytes(music), b"\xff"))
    daemon.shows({b"\xff/" + name: "A"})
    assert daemon.lines(r'added path="music/Bj\\xf6rk/Deb\\xfct.mp3"')


def test_a_deep_tree_that_is_deleted_is_gone(music: Path, watch: Watch) -> None:
    plant(music, {f"a/{n}/b/c.mp3": tagged(title=f"{n}") for n in range(20)})
    daemon = watch()
    shutil.rmtree(music / "a")
    daemon.shows({})
    assert rows(daemon.db, "SELECT count(*) FROM tracks") == [(20,)]


def test_ignore_files_are_obeyed_as_they_come_and_go(music: Path, watch: Watch) -> None:
    plant(music, {"a/x.mp3": tagged(title="X"), "a/b/y.mp3": tagged(title="Y")})
    daemon = watch()
    (music / "a/b/.nomedia").touch()
    daemon.shows({"a/x.mp3": "X"})
    (music / "a/.indexignore").write_text("x*\n")
    daemon.shows({})
    (music / "a/b/.nomedia").unlink()
    daemon.shows({"a/b/y.mp3": "Y"})
    (music / "a/.indexignore").rename(music / "a/no more")
    daemon.shows({"a/b/y.mp3": "Y", "a/x.mp3": "X"})
    daemon.has_read(2)


def test_two_files_that_swap_their_names_swap_their_paths(music: Path, watch: Watch) -> None:
    plant(music, {"a.mp3": tagged(title="A"), "b.mp3": tagged(title="B")})
    daemon = watch()
    before = ids(daemon.db)
    (music / "a.mp3").rename(music / "c")
    (music / "b.mp3").rename(music / "a.mp3")
    (music / "c").rename(music / "b.mp3")
    daemon.shows({"a.mp3": "B", "b.mp3": "A"})
    assert ids(daemon.db) == {"a.mp3": before["b.mp3"], "b.mp3": before["a.mp3"]}


def test_files_that_are_retagged_and_moved_at_once_keep_their_ids(
    music: Path, watch: Watch
) -> None:
    """As Picard does it: written in place, then renamed, and the folder with it in the end."""
    plant(music, {f"A/{n}.mp3": tagged(title=f"{n}") for n in range(4)})
    (music / "B").mkdir()
    daemon = watch()
    before = ids(daemon.db)
    for n in range(3):
        with (music / f"A/{n}.mp3").open("r+b") as file:
            file.write(tagged(title=f"{n}, and now of another size"))
        (music / f"A/{n}.mp3").rename(music / f"B/{n}.mp3")
    with (music / "A/3.mp3").open("r+b") as file:
        file.write(tagged(title="3, and in another folder"))
    (music / "A").rename(music / "Z")
    daemon.shows(
        {f"B/{n}.mp3": f"{n}, and now of another size" for n in range(3)}
        | {"Z/3.mp3": "3, and in another folder"}
    )
    after = {"Z/3.mp3": before["A/3.mp3"]} | {f"B/{n}.mp3": before[f"A/{n}.mp3"] for n in range(3)}
    assert ids(daemon.db) == after
    changes = "SELECT kind FROM changes WHERE track_id = ? AND kind <> 'added' ORDER BY kind"
    for track_id in after.values():
        assert rows(daemon.db, changes, track_id) == [("modified",), ("moved",)]


def test_a_file_moves_from_one_root_to_another_with_its_id(
    music: Path, db: Path, tmp_path: Path
) -> None:
    other = tmp_path / "other"
    plant(music, {"a.mp3": tagged(title="A"), "b.mp3": tagged(title="B")})
    other.mkdir()
    with watching(other, music, db=db, until=lambda daemon: daemon.watches(2)) as daemon:
        before = ids(db)
        (music / "a.mp3").rename(other / "a.mp3")
        eventually(lambda: rows(db, "SELECT root, path FROM library WHERE root = 'other'"))
        assert ids(db) == before
        daemon.is_right()
        assert daemon.end() == 0
        (music / "b.mp3").rename(other / "b.mp3")
    with watching(db=db, until=lambda daemon: daemon.watches(2)) as daemon:
        assert rows(db, "SELECT root, path FROM library ORDER BY path") == [
            ("other", "a.mp3"), ("other", "b.mp3"),
        ]  # fmt: skip
        assert ids(db) == before
        daemon.is_right()


def test_what_happened_while_nothing_ran_is_found_at_the_start(music: Path, db: Path) -> None:
    plant(music, {f"a/{n}.mp3": tagged(title=f"{n}") for n in range(5)})
    with watching(music, db=db) as daemon:
        assert daemon.end() == 0
    before = ids(db)
    (music / "a/0.mp3").unlink()
    (music / "a/1.mp3").write_bytes(tagged(title="1 again"))
    for n in range(2, 5):
        (music / f"a/{n}.mp3").rename(music / f"{n}.mp3")
    plant(music, {"c.mp3": tagged(title="new")})
    with watching(db=db) as daemon:
        titles = {"a/1.mp3": "1 again", "2.mp3": "2", "3.mp3": "3", "4.mp3": "4", "c.mp3": "new"}
        assert shown(db) == titles
        kept = {path: before[f"a/{path}"] for path in ("2.mp3", "3.mp3", "4.mp3")}
        assert ids(db).items() >= {**kept, "a/1.mp3": before["a/1.mp3"]}.items()
        daemon.is_right()


def test_what_is_done_through_one_link_to_a_file_is_seen_at_the_others(
    music: Path, watch: Watch
) -> None:
    plant(music, {"a/x.mp3": tagged(title="A"), "b/": None})
    daemon = watch()
    os.link(music / "a/x.mp3", music / "b/y.mp3")
    daemon.shows({"a/x.mp3": "A", "b/y.mp3": "A"})
    (music / "b/y.mp3").write_bytes(tagged(title="Changed"))
    daemon.shows({"a/x.mp3": "Changed", "b/y.mp3": "Changed"})
    (music / "a/x.mp3").rename(music / "x.mp3")
    daemon.is_right()
    (music / "b/y.mp3").unlink()
    daemon.shows({"x.mp3": "Changed"})
