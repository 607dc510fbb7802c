from __future__ import annotations

from indexer.stages.diff import Pair, Vanished, compare
from indexer.walk import Found, Listed, Unlisted
from tests.trees import entry, known


def test_a_file_pairs_with_the_row_at_its_path_only() -> None:
    found = [entry(b"a.mp3"), entry(b"b.mp3")]
    rows = [known(b"b.mp3"), known(b"c.mp3")]
    assert list(compare(found, rows)) == [
        Pair(found[0], None), Pair(found[1], rows[0]), Vanished(rows[1]),
    ]  # fmt: skip


def test_nothing_is_said_of_rows_below_a_folder_that_could_not_be_listed() -> None:
    found: list[Found] = [Listed(b""), Unlisted(b"b", "no"), entry(b"c.mp3")]
    rows = [known(b"a.mp3"), known(b"b.mp3"), known(b"b/1.mp3"), known(b"b/2/3.mp3")]
    assert [item for item in compare(found, rows) if isinstance(item, Vanished)] == [
        Vanished(rows[0]), Vanished(rows[1]),
    ]  # fmt: skip
