"""The same sound or recording in several files: which belong together, and which is the best."""

from __future__ import annotations

import os
from contextlib import closing
from pathlib import Path

import pytest

from indexer.library import Library
from indexer.reports.duplicates import Fact, recordings
from indexer.settings import Settings
from indexer.store.connection import open_index
from tests.corpus import tagged
from tests.programs import run
from tests.recordings import recording
from tests.trees import Plant, ask


def fact(track_id: int, mb: str | None, name: str, duration: float | None = 200.0) -> Fact:
    artist, _, title = name.partition(" - ")
    return Fact(track_id, mb, artist or None, title or None, duration)


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        ([fact(1, "a", "X - Y"), fact(2, "a", "other - name", 9.0)], [(1, 2)]),
        ([fact(1, "a", "X - Y"), fact(2, "b", "X - Y")], []),
        ([fact(1, None, "Björk - Jóga"), fact(2, None, "BJORK - joga")], [(1, 2)]),
        ([fact(1, None, "X - Y", 200.0), fact(2, None, "X - Y", 202.0)], [(1, 2)]),
        ([fact(1, None, "X - Y", 200.0), fact(2, None, "X - Y", 202.1)], []),
        ([fact(1, None, "X - Y", 200.0), fact(2, None, "Z - Y", 200.0)], []),
        ([fact(1, None, " - Y"), fact(2, None, " - Y")], []),
        ([fact(1, None, "X - "), fact(2, None, "X - ")], []),
        ([fact(1, None, "X - Y", None), fact(2, None, "X - Y", None)], []),
        ([fact(1, "a", "X - Y"), fact(2, None, "X - Y")], [(1, 2)]),
        ([fact(1, "a", "X - Y"), fact(2, "b", "X - Y"), fact(3, None, "X - Y")], []),
        (
            [fact(n, None, "X - Y", length) for n, length in enumerate((9.0, 10.5, 60.0, 61.0))],
            [(0, 1), (2, 3)],
        ),
        ([], []),
    ],
)
def test_one_recording_is_one_id_or_one_name_and_length(
    facts: list[Fact], expected: list[tuple[int, ...]]
) -> None:
    assert list(recordings(facts)) == expected


def test_equal_sounds_stand_together_whatever_their_tags_are(
    library: Library, plant: Plant
) -> None:
    plant({
        "a.mp3": recording(1, "One"),
        "b/other.mp3": recording(1, "Quite another title"),
        "c.mp3": recording(2, "Two"),
    })  # fmt: skip
    library.scan()
    (group,) = library.duplicates("essence")
    assert [row["path"] for row in group.files] == ["a.mp3", "b/other.mp3"]
    sizes = [row["size"] for row in group.files]
    assert (group.size, group.freed, group.albums) == (sum(sizes), sizes[1], ("Debut",))
    rows = ask(library, "SELECT path, copies FROM duplicates ORDER BY path")
    assert rows == [("a.mp3", 2), ("b/other.mp3", 2)]


def test_of_hard_links_deleting_one_frees_nothing_and_comes_after_what_does(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({
        "a.mp3": recording(1, "One"),
        "b.mp3": recording(2, "Two"),
        "c.mp3": recording(2, "Two again"),
    })  # fmt: skip
    os.link(music / "a.mp3", music / "a again.mp3")
    os.link(music / "c.mp3", music / "c again.mp3")
    library.scan()
    copies, links = library.duplicates("essence")
    assert {row["path"] for row in copies.files} == {"b.mp3", "c.mp3", "c again.mp3"}
    sizes = {(music / row["path"]).stat().st_ino: row["size"] for row in copies.files}
    assert copies.freed == sum(sizes.values()) - copies.files[0]["size"]
    assert (len(links.files), links.freed) == (2, 0)


def test_of_a_recording_the_best_file_comes_first_and_the_largest_groups_before_others(
    library: Library, plant: Plant
) -> None:
    plant({
        "1.mp3": tagged(".mp3", album="Homogenic", picture=50_000, title="Jóga", artist="Björk"),
        "2.flac": tagged(".flac", album="Live", title="Jóga", artist="Björk"),
        "3.m4a": tagged(".m4a", album="Homogenic", title="Jóga", artist="Björk"),
        "4.mp3": tagged(".mp3", title="Bachelorette", artist="Björk"),
        "5.m4a": tagged(".m4a", title="Bachelorette", artist="Björk"),
    })  # fmt: skip
    library.scan()
    first, second = library.duplicates("recording")
    assert first.files[0]["path"] == "2.flac"
    assert {row["path"] for row in first.files} == {"1.mp3", "2.flac", "3.m4a"}
    assert first.albums[0] == "Live"
    assert first.freed == sum(row["size"] for row in first.files[1:])
    assert {row["path"] for row in second.files} == {"4.mp3", "5.m4a"}
    assert len(list(library.duplicates("recording", 1))) == 1


def test_names_that_are_guessed_from_paths_make_no_recording(
    library: Library, plant: Plant
) -> None:
    plant({"X/A/01 Intro.mp3": tagged(".mp3"), "X/B/01 Intro.m4a": tagged(".m4a")})
    library.scan()
    assert list(library.duplicates("recording")) == []


def test_a_file_that_is_gone_is_no_duplicate(library: Library, plant: Plant, music: Path) -> None:
    plant({"a.mp3": recording(1), "b.mp3": recording(1, "Other"), "c.mp3": recording(1, "Third")})
    library.scan()
    (music / "c.mp3").unlink()
    library.scan()
    assert len(next(library.duplicates("essence")).files) == 2
    (music / "b.mp3").unlink()
    library.scan()
    assert list(library.duplicates("essence")) == []
    assert ask(library, "SELECT * FROM duplicates") == []


def test_the_command_prints_groups_or_one_object_a_line(tmp_path: Path) -> None:
    music = tmp_path / "music"
    (music / "Post").mkdir(parents=True)
    (music / "a.mp3").write_bytes(recording(1, "One"))
    (music / os.fsdecode(b"\xff.mp3")).write_bytes(recording(1, "Two"))
    db = tmp_path / "index.db"
    run("rebuild", music, db=db)
    ran = run("duplicates", db=db)
    assert "music/a.mp3" in ran.out
    assert r"music/\xff.mp3" in ran.out
    assert "1 track in several files; deleting the others (1 file) would free" in ran.out
    assert ran.err == ""
    (told,) = run("duplicates", "--json", db=db).objects
    assert (told["by"], len(told["files"])) == ("essence", 2)
    assert told["files"][1]["path_b64"]
    (music / "a.mp3").unlink()
    run("scan", db=db)
    ran = run("duplicates", db=db, check=1)
    assert ran.out == "no duplicates\n"
    assert run("duplicates", "--json", db=db, check=1).out == ""
    assert "is not one of" in run("duplicates", "--by", "name", db=db, check=2).err


def test_an_index_whose_sounds_are_not_known_yet_says_so(
    library: Library, plant: Plant, settings: Settings
) -> None:
    """As an older version has left it."""
    plant({"a.mp3": recording(1), "b.mp3": recording(1), "c.mp3": recording(2)})
    library.scan()
    with closing(open_index(settings.db, write=True)) as connection:
        connection.execute("UPDATE tracks SET essence = NULL WHERE path = CAST('a.mp3' AS BLOB)")
    ran = run("duplicates", db=settings.db, check=1)
    assert ran.out == "no duplicates\n"
    assert "the sound of 1 track is not known yet" in ran.err
    assert run("duplicates", "--by", "recording", db=settings.db, check=None).err == ""
    library.rebuild()
    assert run("duplicates", db=settings.db).err == ""
