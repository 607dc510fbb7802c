from __future__ import annotations

import stat
from collections.abc import Iterable

from indexer.model import IndexedFile
from indexer.stages.diff import Compared, Pair, Same, Vanished, compare
from indexer.walk import File, Found, Listed, Run, Unlisted, entry_of
from tests.trees import known, row_of


def file(path: bytes) -> File:
    """A file without a row."""
    return path, 5, 1, 1, 7, 1, stat.S_IFREG


def compared(found: Iterable[Found], rows: Iterable[IndexedFile]) -> list[Compared | Same]:
    return list(compare(found, map(row_of, rows), 0, (), at_once=10))


def test_a_file_pairs_with_the_row_at_its_path_only() -> None:
    files = [file(b"a.mp3"), file(b"b.mp3")]
    rows = [known(b"b.mp3"), known(b"c.mp3")]
    assert compared([Run(files)], rows) == [
        Pair(entry_of(files[0]), None), Pair(entry_of(files[1]), rows[0]), Vanished(rows[1]),
    ]  # fmt: skip


def test_nothing_is_said_of_rows_below_a_folder_that_could_not_be_listed() -> None:
    found: list[Found] = [Listed(b""), Unlisted(b"b", "no"), Run([file(b"c.mp3")])]
    rows = [known(b"a.mp3"), known(b"b.mp3"), known(b"b/1.mp3"), known(b"b/2/3.mp3")]
    assert [item for item in compared(found, rows) if isinstance(item, Vanished)] == [
        Vanished(rows[0]), Vanished(rows[1]),
    ]  # fmt: skip
