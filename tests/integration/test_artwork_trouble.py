"""Trouble in the middle of the deferred stage delays a choice, and loses none."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from contextlib import closing
from pathlib import Path

import apsw
import pytest
from msgspec.structs import replace

from indexer import errors, evidence
from indexer.disk.tree import Tree
from indexer.library import Library
from indexer.model import Entry
from indexer.readers.artwork import ArtworkWork, steps
from indexer.settings import Settings
from indexer.store.connection import Connection, open_index, select_value, write_transaction
from indexer.store.work import pending
from tests.artwork_steps import choosing, scan_tags
from tests.covers import hash_of, held_by, picture
from tests.daemons import watching
from tests.programs import eventually, rows
from tests.trees import Plant, ask, song

COVER = picture()


@pytest.fixture
def quick(settings: Settings) -> Settings:
    return replace(settings, retry_first=0.01, retry_longest=0.01)


def chosen(library: Library) -> list[tuple[object, ...]]:
    return ask(library, "SELECT artwork_hash FROM albums")


def step_until(so: Callable[[], bool], work: ArtworkWork, trees: Mapping[int, Tree]) -> None:
    def is_so() -> bool:
        if so():
            return True
        work.step(trees)
        return False

    eventually(is_so)


def read_after_a_pause(work: ArtworkWork, trees: Mapping[int, Tree], file: Path) -> None:
    """Have a picture read whose file was open to write when it was asked for first."""
    with file.open("ab"):
        step_until(work.listen, work, trees)
        work.step(trees)
        assert work.waits_for_evidence
    step_until(lambda: len(work) > 0, work, trees)
    eventually(work.listen)


def test_a_cover_that_was_read_while_the_index_was_locked_is_chosen_afterwards(
    library: Library, plant: Plant, music: Path, quick: Settings
) -> None:
    plant({"Debut/1.mp3": held_by(song("One", album="Debut"), COVER)})
    scan_tags(quick)
    with choosing(quick) as (work, connection, trees):
        connection.set_busy_timeout(1)
        read_after_a_pause(work, trees, music / "Debut" / "1.mp3")
        with (
            closing(open_index(quick.db, write=True)) as other,
            write_transaction(other),
            pytest.raises(apsw.BusyError),
        ):
            work.step(trees)
        assert not work.is_over
        for _ in steps(work, trees, lambda: False):
            pass
    assert chosen(library) == [(hash_of(COVER),)]


def test_a_server_that_falls_silent_while_covers_are_asked_for_delays_them_alone(
    library: Library,
    plant: Plant,
    settings: Settings,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant({f"{name}/1.mp3": held_by(song("One", album=name), COVER) for name in ("A", "B", "C")})
    scan_tags(settings)
    usual = evidence.chunk_of

    def silent_for_b(tree: Tree, entries: list[Entry], known: Settings) -> object:
        if entries[0].path == b"B/1.mp3":
            raise errors.RootSilent("music: does not answer")
        return usual(tree, entries, known)

    with choosing(settings) as (work, _, trees):
        with monkeypatch.context() as patch:
            patch.setattr("indexer.readers.artwork.chunk_of", silent_for_b)
            with pytest.raises(errors.RootSilent):
                step_until(lambda: len(work) > 0, work, trees)
        for _ in steps(work, trees, lambda: False):
            pass
        assert work.is_over
    assert chosen(library) == [(hash_of(COVER),)] * 3


def test_a_track_whose_file_lost_a_link_elsewhere_is_looked_at_again(
    plant: Plant, music: Path, tmp_path: Path, quick: Settings
) -> None:
    """No event tells that, and the stamp of its row is no longer that of the file."""
    elsewhere = tmp_path / "elsewhere.mp3"
    elsewhere.write_bytes(held_by(song("One", album="Debut"), COVER))
    plant({"Debut/2.mp3": song("Two", album="Debut")})
    os.link(elsewhere, music / "Debut" / "1.mp3")
    with watching(music, db=quick.db, config="artwork = false\n") as daemon:
        eventually(lambda: len(rows(daemon.db, "SELECT id FROM tracks")) == 2)
        elsewhere.unlink()
        with choosing(quick) as (work, connection, trees):
            step_until(lambda: is_chosen(work, connection), work, trees)
        daemon.is_right()


@pytest.mark.usefixtures("library")
def test_a_track_is_looked_at_again_once_however_often_its_picture_is_asked_for(
    plant: Plant, music: Path, quick: Settings
) -> None:
    plant({"Debut/1.mp3": held_by(song("One", album="Debut"), COVER)})
    scan_tags(quick)
    os.utime(music / "Debut" / "1.mp3", (1, 1))
    for _ in range(2):
        with choosing(quick) as (work, connection, trees):
            eventually(lambda: ask_for_pictures(work, trees) > 0)
            eventually(lambda: ask_for_pictures(work, trees) > 0)
            assert [row.hint.names for row in pending.all_rows(connection)] == [(b"1.mp3",)]


def ask_for_pictures(work: ArtworkWork, trees: Mapping[int, Tree]) -> int:
    """Take a step; how many pictures were opened for it."""
    work.listen(0.01)
    return work.step(trees).read


def is_chosen(work: ArtworkWork, connection: Connection) -> bool:
    work.listen(0.01)
    return bool(select_value(connection, "SELECT artwork_hash FROM albums") == hash_of(COVER))
