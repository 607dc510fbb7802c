from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from indexer.engine.read_jobs import in_groups
from indexer.library import Library
from indexer.stages.scan import Plan
from indexer.store.work import pending
from indexer.store.work.pending import PendingRow
from tests.stage_harness import ByHand
from tests.trees import Plant, song


def test_the_first_plan_is_there_at_once_and_more_come_together() -> None:
    planned = 0

    def plans() -> Iterator[Plan]:
        nonlocal planned
        for number in range(12):
            planned = number + 1
            yield Plan(1, (), (), number)

    groups = in_groups(plans(), 4)
    assert len(next(groups)) == planned == 1
    assert [len(group) for group in groups] == [2, 4, 4, 1]
    assert [len(group) for group in in_groups(plans(), 1)] == [1] * 12


@pytest.mark.parametrize("chunk_files", [1])
def test_chunks_of_a_first_scan_are_made_durable_together(
    library: Library, by_hand: ByHand, plant: Plant, monkeypatch: pytest.MonkeyPatch
) -> None:
    plant({f"{number}.mp3": song() for number in range(9)})
    added, add_chunk = [0], pending.add_chunk

    def fail_at_the_third(*given: Any, **more: Any) -> PendingRow:
        added[0] += 1
        assert added[0] != 3, "killed"
        return add_chunk(*given, **more)

    with monkeypatch.context() as patch:
        patch.setattr(pending, "add_chunk", fail_at_the_third)
        with pytest.raises(AssertionError, match="killed"):
            library.rebuild()
    chunks = [row for row in pending.all_rows(by_hand.connection) if row.is_chunk]
    assert len(chunks) == 1, "the second was in the same transaction as the third"
    assert library.rebuild().files_read == 9
    assert pending.all_rows(by_hand.connection) == []
