"""What a process gives back after much work."""

from __future__ import annotations

from indexer.process import give_back
from indexer.spelling import plain
from indexer.store.creation import open_in_memory
from indexer.store.search.folding import fold
from indexer.store.search.index_rows import row_of
from indexer.store.search.spellings import searchable


def test_no_text_is_remembered_once_memory_was_given_back() -> None:
    texts = ("P!nk", "Ágætis", None, None, None, None, None, None, "Sigur Rós/Ágætis byrjun")
    row = row_of(1, texts)
    plain("P!nk")
    give_back(open_in_memory())
    assert [one.cache_info().currsize for one in (fold, searchable, plain)] == [0, 0, 0]
    assert row_of(1, texts) == row
