"""Picture files in the walk, and their rows."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from indexer.artwork.model import PictureSource
from indexer.ignore.path_filter import PathFilter
from indexer.library import Library
from indexer.model import Hint, PictureFacts, Problem, ProblemKind, Stamp
from indexer.settings import Settings
from indexer.stages.scan import Scan
from indexer.stages.sidecars import write_changes
from indexer.store import problems
from indexer.store.connection import Connection, select, write_transaction
from indexer.store.sidecars import artwork, pictures
from indexer.store.sidecars.artwork import Choice, Owner
from indexer.walk import Listed
from tests.stage_harness import ByHand, refuse_folder
from tests.trees import BAD, Plant, ask, at, put, put_in_disguise, put_in_place_of, song

FACTS = PictureFacts(b"h" * 16, "image/jpeg", 3, 4, 5)
TREE: dict[Any, bytes | None] = {
    "cover.jpg": b"root",
    "A/1.mp3": song("One"),
    "A/cover.JPG": b"a",
    "A/scans/back.png": b"b",
    "A!/front.webp": b"c",
    b"A0/\xff.avif": b"d",
    "A/notes.txt": b"no",
    "A/.hidden.jpg": b"no",
    "A/jpg": b"no",
}


def rows(connection: Connection) -> dict[bytes, Stamp]:
    """Path -> stamp of each row, in the order of the table."""
    found = select(connection, "SELECT folder, name, size, mtime_ns, ctime_ns, inode FROM pictures")
    return {folder + name: Stamp(*stamp) for folder, name, *stamp in found}


def on_disk(music: Path, *names: str | bytes) -> dict[bytes, Stamp]:
    return {os.fsencode(name): Stamp.of(os.stat(at(music, name))) for name in names}


def changed(scan: Scan) -> list[bytes]:
    """What a scan says of pictures, without writing it."""
    for _ in scan.plans():
        pass
    return [change.path for change in scan.sidecars.take()]


def look(by_hand: ByHand, hint: Hint | None = None) -> int:
    """Scan, and write the rows of pictures; how many changed."""
    scan = by_hand.scan(hint)
    for _ in scan.plans():
        pass
    return by_hand.absence.note_sidecars(scan.sidecars.take())


def know(by_hand: ByHand, path: bytes) -> None:
    """As if a picture had been opened, and chosen for album 7."""
    connection = by_hand.connection
    with write_transaction(connection):
        known = pictures.get(connection, 1, path)
        assert known is not None
        pictures.put(connection, 1, path, known.stamp, FACTS)
        artwork.choose(connection, Owner("album", 7), Choice(PictureSource.FILE, 1, path))
        connection.execute("DELETE FROM artwork_due")
        connection.execute("DELETE FROM artwork_due_folders")


def due(connection: Connection) -> tuple[list[Owner], list[tuple[int, bytes]]]:
    return artwork.next_due(connection, None, 100), artwork.next_folders(connection, 100)


def test_each_wanted_picture_has_a_row_in_the_order_of_the_walk(
    plant: Plant, music: Path, by_hand: ByHand
) -> None:
    plant(TREE)
    assert look(by_hand) == 5
    found = rows(by_hand.connection)
    assert list(found) == [
        b"cover.jpg", b"A!/front.webp", b"A/cover.JPG", b"A/scans/back.png", b"A0/\xff.avif",
    ]  # fmt: skip
    assert found == on_disk(music, *found)
    assert due(by_hand.connection)[1] == [
        (1, b""), (1, b"A!"), (1, b"A"), (1, b"A/scans"), (1, b"A0"),
    ]  # fmt: skip


def test_a_second_look_at_pictures_writes_nothing(plant: Plant, by_hand: ByHand) -> None:
    plant(TREE)
    look(by_hand)
    before = by_hand.connection.total_changes()
    assert look(by_hand) == 0
    assert by_hand.connection.total_changes() == before


@pytest.mark.parametrize("change", [put, put_in_disguise, put_in_place_of])
def test_a_replaced_picture_loses_what_was_known_and_chosen(
    plant: Plant, music: Path, by_hand: ByHand, change: object
) -> None:
    plant(TREE)
    look(by_hand)
    know(by_hand, b"A/cover.JPG")
    assert callable(change)
    change(music, "A/cover.JPG", b"z")
    assert look(by_hand) == 1
    known = pictures.get(by_hand.connection, 1, b"A/cover.JPG")
    assert known is not None
    assert known.facts is None
    assert artwork.chosen(by_hand.connection, Owner("album", 7)) is None
    assert due(by_hand.connection) == ([Owner("album", 7)], [(1, b"A")])


def test_a_picture_that_is_gone_loses_its_row_and_its_problem(
    plant: Plant, music: Path, by_hand: ByHand
) -> None:
    plant(TREE)
    look(by_hand)
    know(by_hand, b"A/cover.JPG")
    broken = Problem(ProblemKind.PICTURE, "broken")
    with write_transaction(by_hand.connection):
        problems.put(by_hand.connection, 1, b"A/cover.JPG", broken, None, 1)
    (music / "A" / "cover.JPG").unlink()
    look(by_hand, Hint(1, b"A", (b"cover.JPG",)))
    assert b"A/cover.JPG" not in rows(by_hand.connection)
    assert problems.of_picture(by_hand.connection, 1, b"A/cover.JPG") is None
    assert due(by_hand.connection) == ([Owner("album", 7)], [(1, b"A")])


def test_a_folder_that_is_gone_loses_its_pictures(
    plant: Plant, music: Path, by_hand: ByHand
) -> None:
    plant(TREE)
    look(by_hand)
    shutil.rmtree(music / "A")
    look(by_hand, Hint(1, b"A", recursive=True))
    assert list(rows(by_hand.connection)) == [b"cover.jpg", b"A!/front.webp", b"A0/\xff.avif"]


def test_pictures_move_with_their_folder_and_keep_what_is_known(
    plant: Plant, music: Path, by_hand: ByHand
) -> None:
    plant(TREE)
    look(by_hand)
    know(by_hand, b"A/scans/back.png")
    (music / "A").rename(music / "B")
    look(by_hand)
    moved = pictures.get(by_hand.connection, 1, b"B/scans/back.png")
    assert moved is not None
    assert moved.facts == replace(FACTS, size=1)
    assert pictures.get(by_hand.connection, 1, b"A/scans/back.png") is None


def test_below_a_folder_that_cannot_be_listed_no_picture_is_judged(
    plant: Plant, music: Path, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(TREE)
    look(by_hand)
    shutil.rmtree(music / "A" / "scans")
    (music / "A!" / "front.webp").unlink()
    refuse_folder(monkeypatch, b"A")
    assert changed(by_hand.scan()) == [b"A!/front.webp"]


def test_a_picture_that_cannot_be_examined_keeps_its_row(plant: Plant, by_hand: ByHand) -> None:
    plant(TREE)
    look(by_hand)
    kept = by_hand.scan().sidecars
    kept.listed(Listed(b"", (), frozenset({b"cover.jpg"})))
    assert kept.changes == []
    kept = by_hand.scan().sidecars
    kept.listed(Listed(b"", ()))
    assert [one.path for one in kept.changes] == [b"cover.jpg"]


def test_what_is_looked_at_is_only_the_hinted_folder(plant: Plant, by_hand: ByHand) -> None:
    plant(TREE)
    assert changed(by_hand.scan(Hint(1, b"A"))) == [b"A/cover.JPG"]
    assert changed(by_hand.scan(Hint(1, b"A", recursive=True))) == [
        b"A/cover.JPG", b"A/scans/back.png",
    ]  # fmt: skip
    named = Hint(1, b"", (b"A/scans/back.png", b"A/1.mp3", b"A/none.png"))
    assert changed(by_hand.scan(named)) == [b"A/scans/back.png"]


def test_an_ignored_picture_has_no_row(plant: Plant, music: Path, by_hand: ByHand) -> None:
    plant({**TREE, "A!/.nomedia": b""})
    (music / ".indexignore").write_text("*.jpg\n/A0\n")
    look(by_hand)
    assert list(rows(by_hand.connection)) == [b"A/cover.JPG", b"A/scans/back.png"]
    (music / ".indexignore").write_text("scans\n")
    os.unlink(music / "A!" / ".nomedia")
    look(by_hand)
    assert list(rows(by_hand.connection)) == [
        b"cover.jpg", b"A!/front.webp", b"A/cover.JPG", b"A0/\xff.avif",
    ]  # fmt: skip


def test_a_named_picture_is_looked_at_by_the_rules_of_a_listing(
    plant: Plant, music: Path, by_hand: ByHand
) -> None:
    plant({**TREE, "A/x.png/": None})
    (music / "A" / "link.png").symlink_to("cover.JPG")
    os.mkfifo(music / "A" / "fifo.png")
    names = (b"A/x.png", b"A/link.png", b"A/fifo.png", b"A/.hidden.jpg", b"A/cover.JPG")
    assert changed(by_hand.scan(Hint(1, b"", names))) == [b"A/cover.JPG"]


def test_a_picture_that_is_being_written_is_left_as_it_was(
    plant: Plant, music: Path, by_hand: ByHand
) -> None:
    plant(TREE)
    look(by_hand)
    put(music, "A/cover.JPG", b"half")
    put(music, "cover.jpg", b"all of it")
    scan = Scan(
        by_hand.connection,
        by_hand.trees,
        Hint(1, recursive=True),
        by_hand.wanted,
        by_hand.scan()._options,
        unfinished=frozenset({b"A/cover.JPG"}),
    )
    assert changed(scan) == [b"cover.jpg"]


def test_what_is_written_is_what_is_there_in_the_end(
    plant: Plant, music: Path, by_hand: ByHand
) -> None:
    """A picture that changed, or went, or came back, since it was listed (rule R3)."""
    plant(TREE)
    scan = by_hand.scan()
    list(scan.plans())
    found = scan.sidecars.take()
    put(music, "A/cover.JPG", b"longer")
    (music / "cover.jpg").unlink()
    write_changes(by_hand.connection, by_hand.trees, by_hand.wanted, found)
    assert rows(by_hand.connection)[b"A/cover.JPG"] == on_disk(music, "A/cover.JPG")[b"A/cover.JPG"]
    assert b"cover.jpg" not in rows(by_hand.connection)
    (music / "A" / "cover.JPG").rename(music / "aside")
    scan = by_hand.scan()
    list(scan.plans())
    (music / "aside").rename(music / "A" / "cover.JPG")
    by_hand.absence.note_sidecars(scan.sidecars.take())
    assert b"A/cover.JPG" in rows(by_hand.connection)


def test_without_artwork_pictures_are_not_looked_at(
    plant: Plant, settings: Settings, library: Library, music: Path
) -> None:
    plant(TREE)
    library.scan()
    with ByHand(replace(settings, artwork=False)) as without:
        assert b".jpg" not in without.wanted.sidecars
        (music / "cover.jpg").unlink()
        assert changed(without.scan()) == []


def test_the_only_names_of_pictures_are_those_with_a_suffix_of_one() -> None:
    wanted = PathFilter(frozenset({b".mp3"}), sidecars=frozenset({b".jpg"}))
    assert wanted.sidecar(b"a.JPG")
    for name in (b"a.mp3", b"jpg", b".jpg", b"._a.jpg", b"a.png", b"a.jpg.part"):
        assert not wanted.sidecar(name)


def test_a_problem_of_a_picture_is_none_of_its_track(
    plant: Plant, library: Library, by_hand: ByHand
) -> None:
    plant({"1.mp3": song("One"), "2.mp3": BAD})
    library.scan()
    connection = by_hand.connection
    broken = Problem(ProblemKind.PICTURE, "the picture is broken")
    with write_transaction(connection):
        for path in (b"1.mp3", b"2.mp3"):
            problems.put(connection, 1, path, broken, None, 1)
    library.close()
    again = library.scan()
    assert (again.unchanged, again.files_read) == (2, 0)
    kinds = ask(library, "SELECT path, kind FROM problems ORDER BY path, kind")
    assert kinds == [(b"1.mp3", "picture"), (b"2.mp3", "content"), (b"2.mp3", "picture")]
    assert library.verify().ok
    status = library.status()
    assert (status.tracks, status.problems, status.picture_problems) == (1, 1, 2)


def test_an_error_of_the_disk_at_a_named_picture_changes_nothing(
    plant: Plant, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant(TREE)
    look(by_hand)
    refuse_folder(monkeypatch, b"A", errno.EIO)
    assert changed(by_hand.scan(Hint(1, b"A", (b"cover.JPG",)))) == []
    assert b"A/cover.JPG" in rows(by_hand.connection)
