from __future__ import annotations

import os
import stat
from collections.abc import Iterable

from msgspec.structs import astuple

from indexer.model import IndexedFile
from indexer.stages.diff import Compared, Pair, Same, Vanished, compare
from indexer.walk import File, Found, Listed, Run, Unlisted, entry_of
from tests.trees import known


def file(path: bytes) -> File:
    """A file without a row."""
    times = {"st_mtime_ns": 1, "st_ctime_ns": 1}
    return path, os.stat_result((stat.S_IFREG, 7, 1, 1, 0, 0, 5, 0, 0, 0), times), 1


def compared(found: Iterable[Found], rows: Iterable[IndexedFile]) -> list[Compared | Same]:
    as_rows = (
        (one.id, one.root_id, one.path, *astuple(one.stamp), *astuple(one)[4:]) for one in rows
    )
    return list(compare(found, as_rows, 0, (), at_once=10))


def test_a_file_pairs_with_the_row_at_its_path_only() -> None:
    files = [file(b"a.mp3"), file(b"b.mp3")]
    rows = [known(b"b.mp3"), known(b"c.mp3")]
    assert compared([Run(files)], rows) == [
        Pair(entry_of(*files[0]), None), Pair(entry_of(*files[1]), rows[0]), Vanished(rows[1]),
    ]  # fmt: skip


def test_nothing_is_said_of_rows_below_a_folder_that_could_not_be_listed() -> None:
    found: list[Found] = [Listed(b""), Unlisted(b"b", "no"), Run([file(b"c.mp3")])]
    rows = [known(b"a.mp3"), known(b"b.mp3"), known(b"b/1.mp3"), known(b"b/2/3.mp3")]
    assert [item for item in compared(found, rows) if isinstance(item, Vanished)] == [
        Vanished(rows[0]), Vanished(rows[1]),
    ]  # fmt: skip
