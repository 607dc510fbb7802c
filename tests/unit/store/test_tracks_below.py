from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace

from indexer import paths
from indexer.model import IndexedFile, RowState
from indexer.store import track_matches, tracks, tracks_below
from indexer.store.connection import Connection, Row, select, write_transaction
from tests.trees import known


@pytest.fixture(autouse=True)
def _root(root_id: int) -> None:
    assert root_id == 1


def add(connection: Connection, row: IndexedFile) -> IndexedFile:
    return replace(row, id=tracks.add(connection, row, None, 1, tracks.NOTHING_READ))


def paths_below(connection: Connection, folder: bytes, *, recursive: bool) -> list[bytes]:
    rows = tracks_below.below(connection, 1, folder, recursive=recursive)
    return [row.path for row in rows]


PATHS = [
    b"A!.mp3",
    b"A.mp3",
    b"A/1.mp3",
    b"A/2/3.mp3",
    b"A/2/4.mp3",
    b"A/5.mp3",
    b"A0.mp3",
    b"\xff",
]


def test_rows_below_a_folder_come_in_byte_order(connection: Connection) -> None:
    for path in reversed(PATHS):
        add(connection, known(path))
    assert paths_below(connection, b"", recursive=True) == PATHS
    assert paths_below(connection, b"A", recursive=True) == PATHS[2:6]
    assert paths_below(connection, b"A/2", recursive=True) == PATHS[3:5]


def test_rows_of_the_folder_itself_leave_out_what_is_deeper(connection: Connection) -> None:
    for path in PATHS:
        add(connection, known(path))
    assert paths_below(connection, b"", recursive=False) == [
        b"A!.mp3", b"A.mp3", b"A0.mp3", b"\xff",
    ]  # fmt: skip
    assert paths_below(connection, b"A", recursive=False) == [b"A/1.mp3", b"A/5.mp3"]


@pytest.mark.parametrize("page", [1, 2, 100])
@pytest.mark.parametrize("folder", [b"", b"A", b"A/\xff", "Å".encode(), b"none"])
def test_paths_that_are_not_utf8_stand_between_those_that_are(
    connection: Connection, monkeypatch: pytest.MonkeyPatch, page: int, folder: bytes
) -> None:
    monkeypatch.setattr(tracks_below, "_PAGE", page)
    names = [b"1.mp3", b"\xc3\xa4.mp3", b"\xe4.mp3", b"\xf0\x9f\x8e\xb5.mp3", b"\xff.mp3", b"z.mp3"]
    folders = [b"", b"A/", b"A/\xff/", b"A/\xff/b/", b"A0/", "Å/".encode(), b"\xff/"]
    every = sorted(parent + name for parent in folders for name in names)
    for path in reversed(every):
        add(connection, known(path))
    low, high = paths.below_range(folder)
    inside = [path for path in every if low <= path < high]
    assert paths_below(connection, folder, recursive=True) == inside
    direct = [path for path in inside if paths.parent_of(path) == folder]
    assert paths_below(connection, folder, recursive=False) == direct
    assert tracks_below.was_never_at(connection, 1, folder) == (not inside)
    for count in (3, len(every)):
        assert track_matches.heard_of(connection, 1, [*every[:count], b"no", b"\xfe"]) == {
            *every[:count]
        }
    assert all(tracks.in_place(connection, 1, path) for path in every)


@pytest.mark.parametrize("page", [1, 2, 3])
@pytest.mark.parametrize("recursive", [True, False])
def test_pages_lose_and_repeat_nothing(
    connection: Connection, page: int, recursive: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for path in PATHS:
        add(connection, known(path))
    whole = paths_below(connection, b"", recursive=recursive)
    monkeypatch.setattr(tracks_below, "_PAGE", page)
    assert paths_below(connection, b"", recursive=recursive) == whole


def test_rows_of_folders_below_are_not_read_one_by_one(
    connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    with write_transaction(connection):
        for folder in range(20):
            for number in range(20):
                add(connection, known(b"%02d/%02d.mp3" % (folder, number)))
    read: list[object] = []

    def counted(*asked: Any) -> Iterator[Row]:
        for row in select(*asked):
            read.append(row)
            yield row

    monkeypatch.setattr(tracks_below, "select", counted)
    assert paths_below(connection, b"", recursive=False) == []
    assert len(read) <= 2 * 20


def test_rows_of_other_roots_and_rows_that_left_are_not_below(connection: Connection) -> None:
    connection.execute("INSERT INTO roots (name, path, added_at) VALUES ('other', x'2f', 1)")
    add(connection, replace(known(b"1.mp3"), root_id=2))
    gone = add(connection, known(b"2.mp3"))
    tracks.mark_missing(connection, gone.id, 5)
    refused = add(connection, known(b"3.mp3", place=RowState.REFUSED))
    assert list(tracks_below.below(connection, 1, b"")) == [refused]
