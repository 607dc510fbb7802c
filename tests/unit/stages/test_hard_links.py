"""Other hard links of files that were seen to change."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from msgspec.structs import replace

from indexer.library import Library
from indexer.model import Entry, IndexedFile, Stamp
from indexer.stages.hard_links import links_of_entries, links_of_vanished
from indexer.store import roots, track_matches, tracks
from indexer.store.connection import Connection
from tests.trees import Plant, ids, song

LINKS = 6


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The inodes whose rows were read."""
    inodes: list[int] = []
    real = track_matches.with_inode

    def noted(connection: Connection, disk_id: int, inode: int) -> list[IndexedFile]:
        inodes.append(inode)
        return list(real(connection, disk_id, inode))

    monkeypatch.setattr(track_matches, "with_inode", noted)
    return inodes


def test_the_rows_of_a_file_with_many_links_are_read_once(
    library: Library, plant: Plant, music: Path, connection: Connection, asked: list[int]
) -> None:
    """Thousands of links in one batch would else be compared with thousands each."""
    plant({"0.mp3": song("Song"), "other.mp3": song("Other")})
    for number in range(1, LINKS):
        os.link(music / "0.mp3", music / f"{number}.mp3")
    library.scan()
    asked.clear()
    (root,) = roots.watched(connection)
    known = [
        one
        for number in range(3)
        if (one := tracks.in_place(connection, root.id, b"%d.mp3" % number)) is not None
    ]
    old = known[0].stamp
    new = replace(old, mtime_ns=old.mtime_ns + 1)

    def links(*stamps: Stamp) -> set[bytes]:
        entries = [
            Entry(one.path, stamp, one.disk_id) for one, stamp in zip(known, stamps, strict=True)
        ]
        return {path for _, path in links_of_entries(connection, root.id, entries)}

    every = {b"%d.mp3" % number for number in range(LINKS)}
    assert links(new, new, new) == every
    assert links(old, old, old) == set()
    assert links(old, new, old) == every
    assert len(asked) == 3
    gone = [ids(library)[name] for name in ("0.mp3", "1.mp3")]
    assert {path for _, path in links_of_vanished(connection, gone)} == every
    assert {path for _, path in links_of_vanished(connection, gone[:1])} == every - {b"0.mp3"}
    assert len(asked) == 5


def test_two_names_of_a_file_that_come_when_its_only_row_has_left_are_both_indexed(
    library: Library, plant: Plant, music: Path
) -> None:
    """Each of them alone could be the file that was moved, and would not be read."""
    plant({"A/1.mp3": song("Song")})
    (music / ".hidden").mkdir()
    os.link(music / "A/1.mp3", music / ".hidden/2.mp3")
    library.scan()
    (music / "A").rename(music / "B")
    (music / ".hidden").rename(music / "C")
    report = library.scan()
    assert ids(library).keys() == {"B/1.mp3", "C/2.mp3"}
    assert (report.added, report.missing, report.pending) == (2, 1, 0)


def test_two_names_of_a_file_come_back_to_their_rows_unread(
    library: Library, plant: Plant, music: Path
) -> None:
    plant({"A/1.mp3": song("Song")})
    os.link(music / "A/1.mp3", music / "A/2.mp3")
    library.scan()
    before = ids(library)
    (music / "A").rename(music / ".hidden")
    library.scan()
    (music / ".hidden").rename(music / "A")
    report = library.scan()
    assert ids(library) == before
    assert report.files_read == 0
