"""Chunks of a run: several in one transaction, or each by itself."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from indexer.engine import chunk_writer
from indexer.library import Library
from indexer.stages.batch import Batch
from indexer.stages.insert import Count, Inserter, Written
from indexer.store.connection import Connection, select_value
from indexer.store.work import pending
from indexer.store.work.pending import PendingRow
from tests.trees import (
    Plant,
    faults,
    song,
    titles,
    told,
)


@pytest.mark.parametrize("chunk_files", [1])
def test_chunks_that_share_a_transaction_are_written_all_or_none(
    library: Library, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    together = chunk_writer._TOGETHER
    plant({f"{number}.mp3": song() for number in range(2 * together + 2)})
    settle, settled = pending.complete, [0]

    def fail_in_the_second(connection: Connection, row: PendingRow) -> bool:
        settled[0] += 1
        return settle(connection, row) if settled[0] < together + 3 else bool(1 / 0)

    with monkeypatch.context() as patch:
        patch.setattr(pending, "complete", fail_in_the_second)
        with pytest.raises(ZeroDivisionError):
            library.rebuild()
    assert len(titles(library)) == len(told(library)) == together
    assert library.rebuild().files_read == together + 2
    assert len(titles(library)) == 2 * together + 2
    assert faults(library) == []


@pytest.mark.parametrize("chunk_files", [1])
def test_where_reading_is_slow_each_chunk_is_written_by_itself(
    library: Library, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({f"{number}.mp3": song() for number in range(3)})
    monkeypatch.setattr(chunk_writer, "_TOGETHER_S", -1.0)
    sizes = []
    write_all = Inserter.write_all

    def count(
        inserter: Inserter,
        chunks: Sequence[tuple[PendingRow, Batch]],
        now_ms: int,
        *,
        count: Count,
    ) -> list[Written | None]:
        sizes.append(len(chunks))
        return write_all(inserter, chunks, now_ms, count=count)

    monkeypatch.setattr(Inserter, "write_all", count)
    library.rebuild()
    assert sizes == [1, 1, 1]


@pytest.mark.parametrize("chunk_files", [40])
def test_chunks_that_share_a_transaction_share_a_segment_of_the_full_text(
    library: Library, connection: Connection, plant: Plant
) -> None:
    tagged = song(artist=["One", "Two"], genre=["Pop"])
    plant({f"{number:03}.mp3": tagged for number in range(120)})
    library.rebuild()
    segments = "SELECT count(DISTINCT segid) FROM track_search_idx"
    assert select_value(connection, segments) == 1, "each is merged with others later"
