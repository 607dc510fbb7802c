from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from indexer.model import IndexedFile
from indexer.store import track_matches, tracks, upkeep
from indexer.store.connection import Connection, Row, select, write_transaction
from tests.trees import known


@pytest.fixture(autouse=True)
def _root(root_id: int) -> None:
    assert root_id == 1


def add(connection: Connection, row: IndexedFile) -> IndexedFile:
    return replace(row, id=tracks.add(connection, row, None, 1, tracks.NOTHING_READ))


def test_many_rows_of_one_sound_or_size_are_not_read_one_by_one(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    sounds = [b"a" * 16, b"b" * 16]
    with write_transaction(connection):
        for number in range(50):
            sounding = replace(known(b"%d.mp3" % number, number), essence=sounds[0])
            row = add(connection, sounding)
            tracks.mark_missing(connection, row.id, number)
    upkeep.add_late_indexes(connection)
    read: list[object] = []

    def counted(*asked: Any) -> Iterator[Row]:
        for row in select(*asked):
            read.append(row)
            yield row

    monkeypatch.setattr(track_matches, "select", counted)
    assert track_matches.essences_met(connection, sounds) == {sounds[0]}
    assert track_matches.sizes_gone(connection, [100, 101]) == {100}
    assert len(read) == 2


def test_rows_with_an_inode_are_those_of_its_disk_missing_ones_too(connection: Connection) -> None:
    connection.execute("INSERT INTO disks (uuid, fsid, fs_type, source) VALUES ('o', '', '', '')")
    one = add(connection, known(b"1.mp3", 7))
    add(connection, replace(known(b"2.mp3", 7), disk_id=2))
    add(connection, known(b"3.mp3", 8))
    tracks.mark_missing(connection, one.id, 5)
    assert [row.id for row in track_matches.with_inode(connection, 1, 7)] == [one.id]
