"""Listed names for which `stat` fails: one problem each, and the neighbours are indexed."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from indexer.library import Library
from indexer.model import Hint
from indexer.store.connection import write_transaction
from indexer.store.work import pending
from tests.damage import damage
from tests.stage_harness import ByHand
from tests.trees import Plant, ids, put, song, titles

NUMBERS = [
    errno.EBADMSG,
    errno.EIO,
    errno.ESTALE,
    errno.EOVERFLOW,
    errno.EACCES,
    errno.EINVAL,
    errno.ENOENT,
    errno.ENXIO,
]


def problems(library: Library) -> dict[str, str]:
    return {one.path: one.kind for one in library.problems()}


@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
def test_a_name_that_cannot_be_looked_at_hides_none_of_its_neighbours(
    number: int, library: Library, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two"), "A/3.mp3": song("Three")})
    with monkeypatch.context() as patch:
        damage(patch, "2.mp3", number=number)
        assert library.scan().added == 2
        assert titles(library) == {"A/1.mp3": "One", "A/3.mp3": "Three"}
        assert problems(library) == {"A/2.mp3": "environment"}
        verified = library.verify()
        assert (verified.ok, verified.unseen, verified.differences) == (False, 1, ())
    assert library.scan().added == 1
    assert problems(library) == {}
    assert library.verify().ok


@pytest.mark.parametrize("number", NUMBERS, ids=errno.errorcode.get)
def test_its_row_stays_as_it_was(
    number: int, library: Library, plant: Plant, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two"), "B/2.mp3": song("Other")})
    library.scan()
    known = ids(library)
    with monkeypatch.context() as patch:
        damage(patch, "2.mp3", number=number)
        put(music, "A/1.mp3", song("One again"))
        found = library.scan()
        assert (found.missing, found.modified, found.problems) == (0, 1, 2)
        assert library.scan().problems == 0
        assert ids(library) == known
    found = library.scan()
    assert (found.missing, found.added, found.pending) == (0, 0, 0)
    assert ids(library) == known
    assert problems(library) == {}


def test_so_it_is_with_a_name_that_is_asked_for_by_itself(
    library: Library, plant: Plant, by_hand: ByHand, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two")})
    library.scan()
    with write_transaction(by_hand.connection):
        pending.enqueue(by_hand.connection, Hint(1, b"A", (b"2.mp3",)), 1)
    damage(monkeypatch, "2.mp3", number=errno.ENOENT)
    scan = by_hand.scan(Hint(1, b"A", (b"1.mp3", b"2.mp3")))
    assert list(scan.plans()) == []
    assert scan.vanished == []
    assert [path for path, _ in scan.unlisted] == [b"A/2.mp3"]


def test_a_name_that_went_since_the_listing_is_no_problem(
    library: Library, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two")})
    library.scan()
    damage(monkeypatch, "2.mp3", number=errno.ENOENT)
    listdir = os.listdir
    monkeypatch.setattr(os, "listdir", lambda where: [n for n in listdir(where) if n != "2.mp3"])
    assert library.scan().missing == 1
    assert problems(library) == {}


@pytest.mark.parametrize("number", [errno.EIO, errno.EACCES, errno.ENOENT])
def test_a_folder_in_which_every_name_fails_is_one_problem(
    number: int, library: Library, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two"), "B/3.mp3": song("Three")})
    library.scan()
    known = ids(library)
    with monkeypatch.context() as patch:
        damage(patch, "1.mp3", "2.mp3", number=number)
        library.scan()
        assert problems(library) == {"A": "environment"}
        assert ids(library) == known
        assert library.verify().unseen == 1
    library.scan()
    assert problems(library) == {}


def test_folders_below_are_looked_at_although_every_file_beside_them_fails(
    library: Library, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two"), "A/b/3.mp3": song("Three")})
    damage(monkeypatch, "1.mp3", "2.mp3", number=errno.EIO)
    assert library.scan().added == 1
    assert problems(library) == {"A/1.mp3": "environment", "A/2.mp3": "environment"}


def test_names_that_no_rule_wants_are_no_problem(
    library: Library, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({"A/1.mp3": song("One"), "A/cover.txt": b"", "A/.hidden.mp3": b""})
    damage(monkeypatch, "cover.txt", ".hidden.mp3", number=errno.EIO)
    library.scan()
    assert problems(library) == {}


def test_what_could_not_be_looked_at_at_all_is_not_ok(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    music.rename(music.with_name("away"))
    for deep in (False, True):
        verified = library.verify(deep=deep)
        assert (verified.ok, verified.checked, len(verified.offline)) == (False, 0, 1)
    music.with_name("away").rename(music)
    assert library.verify().ok
