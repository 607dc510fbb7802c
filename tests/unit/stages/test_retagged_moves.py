"""The row of a file that was written and moved before the next scan (rule R7)."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from msgspec.structs import replace

from indexer.disk.birth_time import Statuses
from indexer.library import Library
from indexer.settings import Settings
from indexer.stages.moves import is_file_of
from indexer.store.connection import open_index
from tests.trees import (
    BAD,
    Name,
    Plant,
    ask,
    ids,
    known,
    newest_change,
    put,
    put_in_place_of,
    replayed,
    song,
    stamp,
    swap,
    told,
)

both_chunk_sizes = pytest.mark.parametrize("chunk_files", [1, 200])


@pytest.mark.parametrize(
    ("row_born", "born", "as_it_was", "same"),
    [
        (7, 7, True, True),
        (7, 7, False, True),
        (7, 8, True, False),
        (7, 8, False, False),
        (None, 8, True, True),
        (7, None, True, True),
        (None, 8, False, False),
        (7, None, False, False),
        (None, None, True, True),
        (None, None, False, False),
    ],
)
def test_the_time_of_birth_decides_where_it_is_known_and_else_size_and_mtime(
    row_born: int | None, born: int | None, *, as_it_was: bool, same: bool
) -> None:
    row = replace(known(b"a.mp3", 1), birth_ns=row_born)
    assert is_file_of(row, stamp(1 if as_it_was else 2), born) is same


@pytest.fixture
def born_at(library: Library, music: Path) -> Callable[[Name], int | None]:
    """`born_at(path)`: the time of birth in a row; skips if the file system has none."""
    with (music / "probe").open("wb") as file:
        if Statuses(births=True).of(file.fileno()).birth_ns is None:
            pytest.skip("the file system of the tests keeps no time of birth")
    (music / "probe").unlink()

    def ask_row(path: Name) -> int | None:
        row = ask(library, "SELECT birth_ns FROM tracks WHERE path = CAST(? AS BLOB)", path)
        return int(row[0][0]) if row[0][0] is not None else None

    return ask_row


BornAt = Callable[[Name], "int | None"]
LONGER = song("A title that makes the file larger than it was " * 20)


@both_chunk_sizes
def test_a_file_that_is_retagged_and_moved_keeps_its_id(
    library: Library, plant: Plant, music: Path, born_at: BornAt
) -> None:
    """As done by Picard and `beet modify`: written in place, then renamed at once."""
    plant({"A/a.mp3": song("A"), "A/b.mp3": song("B"), "B/": None})
    library.scan()
    before, seq, born = ids(library), newest_change(library), born_at("A/a.mp3")
    put(music, "A/a.mp3", LONGER)
    (music / "A/a.mp3").rename(music / "B/z.mp3")
    report = library.scan()
    assert (report.files_read, report.moved, report.added, report.missing) == (1, 1, 0, 0)
    assert told(library, seq) == [("moved", "B/z.mp3"), ("modified", "B/z.mp3")]
    assert ids(library) == {"A/b.mp3": before["A/b.mp3"], "B/z.mp3": before["A/a.mp3"]}
    assert born_at("B/z.mp3") == born is not None
    replayed(library.changes())


@both_chunk_sizes
def test_a_folder_whose_files_were_retagged_before_it_was_renamed_keeps_all_ids(
    library: Library, plant: Plant, music: Path, born_at: BornAt
) -> None:
    plant({f"A/{number}.mp3": song(f"{number}") for number in range(9)})
    library.scan()
    before = ids(library)
    for number in range(9):
        put(music, f"A/{number}.mp3", song(f"{number} with another size", album="Renamed"))
    (music / "A").rename(music / "Z")
    report = library.scan()
    assert (report.moved, report.added, report.missing) == (9, 0, 0)
    assert ids(library) == {f"Z/{number}.mp3": before[f"A/{number}.mp3"] for number in range(9)}
    assert born_at("Z/1.mp3") is not None


@both_chunk_sizes
def test_two_files_that_are_retagged_and_swap_their_names_are_two_moves(
    library: Library, plant: Plant, music: Path, born_at: BornAt
) -> None:
    plant({"a.mp3": song("A"), "b.mp3": song("B")})
    library.scan()
    before = ids(library)
    born = {path: born_at(path) for path in before}
    put(music, "a.mp3", LONGER)
    put(music, "b.mp3", song("B, longer"))
    swap(music, "a.mp3", "b.mp3")
    report = library.scan()
    assert (report.moved, report.added, report.missing) == (2, 0, 0)
    assert ids(library) == {"a.mp3": before["b.mp3"], "b.mp3": before["a.mp3"]}
    assert {"a.mp3": born_at("a.mp3"), "b.mp3": born_at("b.mp3")} == {
        "a.mp3": born["b.mp3"], "b.mp3": born["a.mp3"],
    }  # fmt: skip


@both_chunk_sizes
@pytest.mark.parametrize(("source", "target"), [("a.mp3", "b.mp3"), ("b.mp3", "a.mp3")])
def test_a_file_that_is_retagged_and_moved_over_another_keeps_its_own_id(
    library: Library, plant: Plant, music: Path, source: str, target: str, born_at: BornAt
) -> None:
    plant({source: song("Comes"), target: song("Goes")})
    library.scan()
    before, seq = ids(library), newest_change(library)
    put(music, source, LONGER)
    (music / source).rename(music / target)
    library.scan()
    assert ids(library) == {target: before[source]}
    assert sorted(told(library, seq)) == [
        ("missing", target), ("modified", target), ("moved", target),
    ]  # fmt: skip
    assert born_at(target) is not None


def test_a_file_that_comes_back_with_other_tags_at_another_place_returns(
    library: Library, plant: Plant, music: Path, tmp_path: Path, born_at: BornAt
) -> None:
    plant({"a.mp3": song("A")})
    library.scan()
    before = ids(library)
    away = (music / "a.mp3").rename(tmp_path / "away.mp3")
    assert library.scan().missing == 1
    put(tmp_path, "away.mp3", LONGER)
    away.rename(music / "b.mp3")
    assert library.scan().returned == 1
    assert ids(library) == {"b.mp3": before["a.mp3"]}
    assert born_at("b.mp3") is not None


def test_a_file_that_was_replaced_has_the_birth_of_the_one_that_stands_there(
    library: Library, plant: Plant, music: Path, born_at: BornAt
) -> None:
    """As done by careful tag editors: the path decides the row, which follows the new file."""
    plant({"a.mp3": song("A")})
    library.scan()
    before, born = ids(library), born_at("a.mp3")
    put_in_place_of(music, "a.mp3", song("New"))
    library.scan()
    assert born_at("a.mp3") not in {born, None}
    put(music, "a.mp3", LONGER)
    (music / "a.mp3").rename(music / "b.mp3")
    assert library.scan().moved == 1
    assert ids(library) == {"b.mp3": before["a.mp3"]}


def test_a_replacement_that_is_moved_before_it_was_seen_is_a_new_track(
    library: Library, plant: Plant, music: Path
) -> None:
    """Nothing proves that it is the old file: it has another inode, and another time of birth."""
    plant({"a.mp3": song("A")})
    library.scan()
    before = ids(library)
    put_in_place_of(music, "a.mp3", LONGER)
    (music / "a.mp3").rename(music / "b.mp3")
    report = library.scan()
    assert (report.added, report.missing) == (1, 1)
    assert ids(library)["b.mp3"] > before["a.mp3"]


def test_a_hard_link_with_other_tags_is_no_move_while_the_old_name_stands(
    library: Library, plant: Plant, music: Path, born_at: BornAt
) -> None:
    plant({"a.mp3": song("A")})
    library.scan()
    before = ids(library)
    put(music, "a.mp3", LONGER)
    os.link(music / "a.mp3", music / "b.mp3")
    report = library.scan()
    assert (report.added, report.modified, report.moved) == (1, 1, 0)
    assert ids(library)["a.mp3"] == before["a.mp3"]
    assert born_at("a.mp3") == born_at("b.mp3") is not None


def test_a_refused_file_that_is_mended_and_moved_keeps_its_row(
    library: Library, plant: Plant, music: Path, born_at: BornAt
) -> None:
    plant({"a.mp3": BAD})
    assert library.scan().problems == 1
    rows_before = ask(library, "SELECT id FROM tracks")
    assert born_at("a.mp3") is not None
    put(music, "a.mp3", song("Mended"))
    (music / "a.mp3").rename(music / "b.mp3")
    library.scan()
    assert list(ids(library).values()) == [rows_before[0][0]]
    assert list(library.problems()) == []


@pytest.fixture
def forget_births(settings: Settings) -> Callable[[], None]:
    """Change all rows to those of an older version."""

    def forget() -> None:
        with closing(open_index(settings.db, write=True)) as connection:
            connection.execute("UPDATE tracks SET birth_ns = NULL")

    return forget


def test_a_row_without_a_birth_is_found_by_size_and_mtime_and_gets_one_when_it_is_read(
    library: Library, plant: Plant, music: Path, born_at: BornAt, forget_births: Callable[[], None]
) -> None:
    plant({"a.mp3": song("A"), "b.mp3": song("B")})
    library.scan()
    before = ids(library)
    forget_births()
    (music / "a.mp3").rename(music / "z.mp3")
    assert library.scan().moved == 1
    assert ids(library)["z.mp3"] == before["a.mp3"]
    assert born_at("z.mp3") is not None
    assert born_at("b.mp3") is None
    put(music, "b.mp3", LONGER)
    library.scan()
    assert born_at("b.mp3") is not None
    (music / "z.mp3").rename(music / "y.mp3")
    put(music, "y.mp3", LONGER)
    assert library.scan().moved == 1
    assert ids(library)["y.mp3"] == before["a.mp3"]


def test_a_rebuild_brings_the_birth_of_every_file(
    library: Library, plant: Plant, born_at: BornAt, forget_births: Callable[[], None]
) -> None:
    plant({"a.mp3": song("A"), "A/b.mp3": song("B")})
    library.scan()
    forget_births()
    library.rebuild()
    assert born_at("a.mp3") is not None
    assert born_at("A/b.mp3") is not None


def test_a_row_without_a_birth_is_no_file_with_other_tags(
    library: Library, plant: Plant, music: Path, forget_births: Callable[[], None]
) -> None:
    plant({"a.mp3": song("A")})
    library.scan()
    before = ids(library)
    forget_births()
    put(music, "a.mp3", LONGER)
    (music / "a.mp3").rename(music / "b.mp3")
    assert library.scan().added == 1
    assert ids(library)["b.mp3"] > before["a.mp3"]
