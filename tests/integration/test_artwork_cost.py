"""How much of the index a choice of artwork asks for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import pytest

from indexer.ignore_files import path_filter_of
from indexer.library import Library
from indexer.readers.artwork import steps
from indexer.settings import Settings
from indexer.stages.artwork import ArtworkChooser
from indexer.stages.artwork_due import spread_folders
from indexer.store import problems
from indexer.store.connection import Connection, open_index, write_transaction
from indexer.store.sidecars import artwork
from tests.artwork_steps import choosing, scan_tags
from tests.covers import held_by, picture
from tests.programs import eventually
from tests.trees import Plant, song


@contextmanager
def counting(connection: Connection) -> Iterator[list[object]]:
    """The statements that are executed."""
    asked: list[object] = []

    def note(*statement: object) -> bool:
        asked.append(statement)
        return True

    connection.exec_trace = note
    try:
        yield asked
    finally:
        connection.exec_trace = None


def statements(settings: Settings) -> int:
    """How many statements it takes to find whom the folder of a new song concerns, and theirs."""
    with closing(open_index(settings.db, write=True)) as connection:
        connection.execute(
            "INSERT INTO artwork_due_folders SELECT id, CAST('X/1/' AS BLOB) FROM roots"
        )
        chooser = ArtworkChooser(connection, {}, settings, path_filter_of(settings))
        with counting(connection) as asked:
            assert spread_folders(connection, for_artwork=True)
            owners = artwork.next_due(connection, None, 100)
            assert [owner.kind for owner in owners] == ["album", "artist"]
            with write_transaction(connection):
                for owner in owners:
                    assert chooser.choose_for(owner) is None
    return len(asked)


def test_a_new_song_costs_no_statement_for_each_other_track_of_its_artist(
    library: Library, plant: Plant, settings: Settings
) -> None:
    """The artist of all compilations may have tens of thousands."""

    def tracks(numbers: range) -> dict[str, bytes | None]:
        return {
            f"X/{disc}/{number}.mp3": song(str(number), albumartist="Various", disc=str(disc))
            for number in numbers
            for disc in (1, 2)
        }

    covers = {f"X/{place}": picture() for place in ("folder.jpg", "1/x.jpg", "2/x.jpg")}
    plant({**covers, **tracks(range(3))})
    library.scan()
    few = statements(settings)
    plant(tracks(range(3, 60)))
    library.scan()
    assert statements(settings) <= few + 20  # pages of tracks grow


def broken(title: str) -> bytes:
    """A song with something in its tags that is no picture."""
    return held_by(song(title), b"no picture")


@pytest.mark.usefixtures("library")
def test_each_broken_picture_of_an_album_costs_the_same(plant: Plant, settings: Settings) -> None:
    """And not a look at all of its tracks."""

    def cost(album: str, count: int) -> float:
        plant({f"{album}/{one:03}.mp3": broken(str(one)) for one in range(count)})
        scan_tags(settings)
        with choosing(settings) as (work, connection, trees), counting(connection) as asked:
            assert sum(step.read for step in steps(work, trees, lambda: False)) == count
        return len(asked) / count

    assert cost("B", 60) <= cost("A", 5) + 1


@pytest.mark.usefixtures("library")
def test_what_is_left_to_choose_from_is_asked_for_again_when_a_song_has_gone(
    plant: Plant, music: Path, settings: Settings, capfd: pytest.CaptureFixture[str]
) -> None:
    plant({f"A/{one}.mp3": broken(str(one)) for one in range(3)})
    scan_tags(settings)
    with choosing(settings) as (work, connection, trees):
        all_steps = steps(work, trees, lambda: False)
        while not len(work):
            next(all_steps)
        eventually(lambda: work.listen(0.02))
        (music / "A/1.mp3").unlink()
        scan_tags(settings)
        for _ in all_steps:
            pass
        assert artwork.count_due(connection) == (0, 0, 0)
        assert problems.count_of_pictures(connection) == 2
    assert "fault" not in capfd.readouterr().err
