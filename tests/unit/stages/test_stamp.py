from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.disk.tree import Tree
from indexer.library import Library
from indexer.model import FOLD_NS, Stamp, folded_ns, is_folded, signed_inode
from indexer.walk import entries_of
from tests.trees import Plant, ask, at, ids, shown, song, told

LEAST, MOST = -(2**63), 2**63 - 1
DAY_NS = 86_400 * 10**9


def status(
    inode: int, mtime_ns: int, ctime_ns: int, like: os.stat_result | None = None
) -> os.stat_result:
    """A `stat` result with some fields replaced."""
    like = os.stat(__file__) if like is None else like
    return os.stat_result(
        (like.st_mode, inode, *like[2:]), {"st_mtime_ns": mtime_ns, "st_ctime_ns": ctime_ns}
    )


@given(st.integers(0, 2**64 - 1), st.integers(-(2**90), 2**90), st.integers(-(2**90), 2**90))
def test_every_stamp_fits_into_signed_64_bits(inode: int, mtime_ns: int, ctime_ns: int) -> None:
    found = Stamp.of(status(inode, mtime_ns, ctime_ns))
    assert all(LEAST <= one <= MOST for one in msgspec.structs.astuple(found))
    assert msgspec.msgpack.decode(msgspec.msgpack.encode(found), type=Stamp) == found
    assert msgspec.json.decode(msgspec.json.encode(found), type=Stamp) == found
    assert entries_of([(b"1.mp3", status(inode, mtime_ns, ctime_ns), 1)])[0].stamp == found


@given(st.sets(st.integers(0, 2**64 - 1), min_size=2, max_size=2))
def test_two_inodes_stay_two(inodes: set[int]) -> None:
    assert len({signed_inode(inode) for inode in inodes}) == 2


@given(st.integers(LEAST, MOST))
def test_a_time_that_fits_stays_as_it_is(time_ns: int) -> None:
    assert folded_ns(time_ns) == time_ns


@given(st.integers(MOST + 1, 2**93), st.integers(1, FOLD_NS - 1))
def test_a_change_of_a_time_that_does_not_fit_shows(time_ns: int, more_ns: int) -> None:
    assert is_folded(folded_ns(time_ns))
    assert folded_ns(time_ns) != folded_ns(time_ns + more_ns)
    assert folded_ns(-time_ns - 1) != folded_ns(-time_ns - 1 - more_ns)


@pytest.mark.parametrize("days", [1, 7, 30, 365, 36_525])
def test_times_that_differ_by_whole_days_do_not_fold_together(days: int) -> None:
    far = 13_569_465_600 * 10**9  # the year 2400
    assert folded_ns(far) != folded_ns(far + days * DAY_NS)


@pytest.mark.parametrize("year", [2400, 1601])
def test_a_file_with_a_time_that_does_not_fit_is_indexed_like_any_other(
    year: int, library: Library, plant: Plant, music: Path
) -> None:
    far_ns = (year - 1970) * 365 * DAY_NS
    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two"), "A/3.mp3": song("Three")})
    odd = at(music, "A/2.mp3")
    os.utime(odd, ns=(0, far_ns))
    if os.stat(odd).st_mtime_ns != far_ns:
        pytest.skip("this file system has no such time")
    assert library.scan().added == 3
    assert shown(library, "A/2.mp3")["mtime_ns"] == (MOST if year > 2000 else LEAST)
    assert library.scan().files_read == 0
    assert library.verify(deep=True).ok

    known = ids(library)
    os.utime(odd, ns=(0, far_ns + DAY_NS))
    again = library.scan()
    assert (again.files_read, again.unchanged) == (1, 3)
    os.rename(odd, at(music, "moved.mp3"))
    library.scan()
    assert told(library)[-1] == ("moved", "moved.mp3")
    assert ids(library)["moved.mp3"] == known["A/2.mp3"]


def test_inodes_of_64_bits_are_kept_and_followed(
    library: Library, plant: Plant, music: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in mergerfs with `use_ino`, GlusterFS and cifs: the upper half of 64 bits."""

    def raised(found: os.stat_result) -> os.stat_result:
        return status(found.st_ino | 1 << 63, found.st_mtime_ns, found.st_ctime_ns, found)

    def of(found: os.stat_result) -> Stamp:
        kept = plain_of(found)
        return msgspec.structs.replace(kept, inode=signed_inode(found.st_ino | 1 << 63))

    plain_of, plain_lstat = Stamp.of, Tree.lstat

    def lstat(tree: Tree, path: bytes) -> os.stat_result | None:
        found = plain_lstat(tree, path)
        return None if found is None else raised(found)

    monkeypatch.setattr(Stamp, "of", of)
    monkeypatch.setattr(Tree, "lstat", lstat)
    plant({"A/1.mp3": song("One"), "A/2.mp3": song("Two")})
    assert library.scan().added == 2
    assert {inode < 0 for (inode,) in ask(library, "SELECT inode FROM tracks")} == {True}
    known = ids(library)
    os.rename(at(music, "A"), at(music, "B"))
    assert library.scan().moved == 2
    assert ids(library)["B/1.mp3"] == known["A/1.mp3"]
