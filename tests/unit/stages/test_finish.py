"""Rows that a scan has not found, looked at again before they are marked missing."""

from __future__ import annotations

import errno
from pathlib import Path

import apsw
import pytest

from indexer.engine.local import DaemonRun, LocalEngine
from indexer.errors import DatabaseFull
from indexer.faults import FaultStreak
from indexer.library import Library
from indexer.model import Hint
from indexer.readers.limited import ReadJob
from indexer.runs.result import EventFacts, Result
from indexer.store import upkeep
from indexer.store.connection import select, write_transaction
from indexer.store.schema.views import LATE_INDEXES
from indexer.store.search import index_rows
from indexer.store.work import pending
from tests.stage_harness import ByHand, refuse_folder
from tests.trees import (
    Plant,
    song,
    titles,
)


def waiting(by_hand: ByHand) -> list[tuple[bytes, ...] | None]:
    return [row.hint.names for row in pending.all_rows(by_hand.connection)]


def test_a_row_that_vanished_and_is_back_as_it_was_is_not_marked_missing(
    library: Library, by_hand: ByHand, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("One")})
    library.scan()
    (music / "A").rename(music / ".A")
    scan = by_hand.scan()
    assert list(scan.plans()) == []
    (music / ".A").rename(music / "A")
    assert by_hand.absence.mark_missing(scan.vanished, 1) == []
    assert titles(library) == {"A/1.mp3": "One"}
    assert waiting(by_hand) == []


def test_a_disk_too_full_to_merge_the_full_text_keeps_no_row_from_being_marked(
    library: Library, by_hand: ByHand, plant: Plant, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_connection: object) -> None:
        raise apsw.FullError

    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two")})
    library.scan()
    with write_transaction(by_hand.connection):
        index_rows.merge_seldom(by_hand.connection)  # as before the end of a first scan
    monkeypatch.setattr(index_rows, "merge_steadily", full)
    (music / "A/2.mp3").unlink()
    with pytest.raises(DatabaseFull):
        library.scan()
    assert titles(library) == {"A/1.mp3": "One"}


def test_the_last_reading_of_a_first_scan_that_did_not_wait_for_it_ends_it(
    library: Library, by_hand: ByHand, plant: Plant
) -> None:
    plant({"1.mp3": song("One")})
    assert library.status().roots
    (plan,) = by_hand.scan().plans()
    row = by_hand.chunk(plan)
    engine = LocalEngine(
        by_hand.connection, by_hand.trees, by_hand.settings, by_hand.wanted, Result(),
        daemon=DaemonRun(EventFacts(), FaultStreak()),
    )  # fmt: skip
    engine.insert_answered([(ReadJob(plan, row), engine.readers.read_here(plan))])
    assert titles(library) == {"1.mp3": "One"}
    assert upkeep.is_tended(by_hand.connection)


def test_a_first_scan_that_was_killed_is_ended_by_the_one_that_goes_on(
    library: Library, by_hand: ByHand, plant: Plant
) -> None:
    """What the killed one was reading is closed only when all was looked at."""
    plant({"1.mp3": song("One"), "2.mp3": song("Two")})
    assert library.status().roots
    with write_transaction(by_hand.connection):
        pending.add_chunk(by_hand.connection, Hint(1, b"", (b"1.mp3",)), 1, 1)
    library.scan()
    assert waiting(by_hand) == []
    names = {name for (name,) in select(by_hand.connection, "SELECT name FROM sqlite_schema")}
    assert names.issuperset(LATE_INDEXES)
    assert not index_rows.merges_seldom(by_hand.connection)


def test_a_row_that_vanished_and_is_back_with_another_stamp_is_hinted(
    library: Library, by_hand: ByHand, plant: Plant, music: Path
) -> None:
    plant({"1.mp3": song("One")})
    library.scan()
    (music / "1.mp3").unlink()
    scan = by_hand.scan()
    assert list(scan.plans()) == []
    plant({"1.mp3": song("New")})
    assert by_hand.absence.mark_missing(scan.vanished, 1) == []
    assert waiting(by_hand) == [(b"1.mp3",)]


def test_a_row_that_vanished_from_an_unreadable_folder_is_not_marked_missing(
    library: Library,
    by_hand: ByHand,
    plant: Plant,
    music: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    plant({"A/1.mp3": song("One")})
    library.scan()
    (music / "A/1.mp3").unlink()
    scan = by_hand.scan()
    assert list(scan.plans()) == []
    refuse_folder(monkeypatch, b"A", errno.EIO)
    assert by_hand.absence.mark_missing(scan.vanished, 1) == []
    assert titles(library) == {"A/1.mp3": "One"}
