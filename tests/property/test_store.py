"""Round trips and queries of the store, compared with lists and filters."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from msgspec.structs import replace

from indexer import paths
from indexer.model import Hint, RowState
from indexer.store import tracks, tracks_below
from indexer.store.connection import Connection
from indexer.store.work import pending
from indexer.store.work.covered import complete_covered
from tests.trees import known

names = st.sampled_from([b"a", b"a!", b"a0", b"b", b"\xff\xff", b"a.mp3"])
places = st.lists(names, min_size=1, max_size=4).map(b"/".join)
folders = st.one_of(st.just(b""), places)
hints = st.one_of(
    st.builds(Hint, st.just(1), folders, st.none(), st.booleans()),
    st.builds(Hint, st.just(1), folders, st.lists(names, max_size=3, unique=True).map(tuple)),
)
in_one_index = settings(suppress_health_check=[HealthCheck.function_scoped_fixture])


@pytest.fixture
def index(connection: Connection, root_id: int) -> Connection:
    assert root_id == 1
    return connection


class Undone:
    """Rolls back all writes inside it."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def __enter__(self) -> None:
        self._connection.execute("BEGIN")

    def __exit__(self, *_: object) -> None:
        self._connection.execute("ROLLBACK")


@in_one_index
@given(st.frozensets(places, max_size=15), st.frozensets(places, max_size=4), folders)
def test_rows_below_a_folder_are_those_that_a_filter_leaves(
    index: Connection, present: frozenset[bytes], left: frozenset[bytes], folder: bytes
) -> None:
    with Undone(index), pytest.MonkeyPatch.context() as patch:
        patch.setattr(tracks_below, "_PAGE", 3)
        for path in left | present:
            row = known(path, place=RowState.REFUSED if b"!" in path else RowState.PRESENT)
            track_id = tracks.add(index, row, None, 1, tracks.NOTHING_READ)
            if path not in present:
                tracks.mark_missing(index, track_id, 1)
        inside = sorted(path for path in present if path != folder and paths.is_below(path, folder))
        found = [row.path for row in tracks_below.below(index, 1, folder)]
        assert found == inside
        found = [row.path for row in tracks_below.below(index, 1, folder, recursive=False)]
        assert found == [path for path in inside if paths.parent_of(path) == folder]


def looked_at(hint: Hint, path: bytes) -> bool:
    """Whether a scan of a hint covers this path, by the definition of a hint."""
    if hint.names is not None:
        return path in {paths.join(hint.folder, name) for name in hint.names}
    if hint.recursive:
        return not hint.folder or path == hint.folder or path.startswith(hint.folder + b"/")
    return paths.parent_of(path) == hint.folder


@in_one_index
@given(st.lists(hints, max_size=6), hints, st.integers(0, 6), places)
def test_what_a_finished_scan_did_not_look_at_stays_hinted(
    index: Connection, left: list[Hint], finished: Hint, before: int, path: bytes
) -> None:
    with Undone(index):
        rows = [pending.enqueue(index, hint, 1) for hint in left]
        up_to = rows[min(before, len(rows)) - 1].id if before and rows else 0
        complete_covered(index, [finished], up_to)
        still = {row.id: row.hint for row in pending.all_rows(index)}
        for row in rows:
            if row.id > up_to:
                assert still[row.id] == row.hint
            elif looked_at(row.hint, path) and not looked_at(finished, path):
                assert looked_at(still[row.id], path)
        answered = [row for row in rows if row.id <= up_to and row.hint == finished]
        assert not any(row.id in still for row in answered)


@in_one_index
@given(st.lists(st.tuples(hints, st.booleans()), max_size=8))
def test_files_that_newer_rows_name_are_known_by_name(
    index: Connection, left: list[tuple[Hint, bool]]
) -> None:
    with Undone(index):
        rows = [pending.enqueue(index, hint, 1) for hint, _ in left]
        for row, (_, settled) in zip(rows, left, strict=True):
            if settled:
                assert pending.complete(index, row)
        kept = [row for row, (_, settled) in zip(rows, left, strict=True) if not settled]
        assert pending.all_rows(index) == kept
        for number, row in enumerate(rows):
            named = {
                paths.join(newer.hint.folder, name)
                for newer in rows[number + 1 :]
                if newer in kept
                for name in newer.hint.names or ()
            }
            assert pending.named_since(index, 1, row.generation) == named


@in_one_index
@given(places, st.integers(0, 2**63 - 1), st.integers(-(2**63), 2**63 - 1))
def test_a_row_is_kept_to_the_last_bit(
    index: Connection, path: bytes, inode: int, ctime_ns: int
) -> None:
    row = known(path)
    row = replace(row, stamp=replace(row.stamp, inode=inode, ctime_ns=ctime_ns))
    with Undone(index):
        track_id = tracks.add(index, row, None, 1, tracks.NOTHING_READ)
        assert tracks.by_id(index, track_id) == replace(row, id=track_id)
