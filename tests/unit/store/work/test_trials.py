from __future__ import annotations

from msgspec.structs import replace

from indexer.model import Stamp
from indexer.store.connection import Connection, select_value
from indexer.store.work import trials

STAMP = Stamp(size=1, mtime_ns=2, ctime_ns=3, inode=4)


def tries(connection: Connection, root_id: int, path: bytes = b"a") -> int | None:
    return trials.tries_of(connection, root_id, path, STAMP)


def test_a_file_that_was_never_given_is_unknown(connection: Connection, root_id: int) -> None:
    assert tries(connection, root_id) is None


def test_only_tries_by_itself_count(connection: Connection, root_id: int) -> None:
    both = [(b"a", STAMP), (b"b", STAMP)]
    trials.begin(connection, root_id, both, alone=False)
    assert (tries(connection, root_id), tries(connection, root_id, b"b")) == (0, 0)
    trials.begin(connection, root_id, both[:1], alone=True)
    trials.begin(connection, root_id, both[:1], alone=True)
    assert (tries(connection, root_id), tries(connection, root_id, b"b")) == (2, 0)


def test_another_file_of_the_name_begins_anew(connection: Connection, root_id: int) -> None:
    trials.begin(connection, root_id, [(b"a", replace(STAMP, mtime_ns=9))], alone=True)
    assert tries(connection, root_id) is None
    trials.begin(connection, root_id, [(b"a", STAMP)], alone=True)
    assert tries(connection, root_id) == 1


def test_an_answer_ends_it(connection: Connection, root_id: int) -> None:
    trials.begin(connection, root_id, [(b"a", STAMP)], alone=True)
    trials.end(connection, root_id, [b"a", b"never given"])
    assert tries(connection, root_id) is None


def test_what_was_given_in_vain_counts_as_before(connection: Connection, root_id: int) -> None:
    for _ in range(2):
        trials.begin(connection, root_id, [(b"a", STAMP)], alone=True)
    trials.take_back(connection, root_id, [b"a"], alone=True)
    assert tries(connection, root_id) == 1
    trials.take_back(connection, root_id, [b"a"], alone=True)
    assert tries(connection, root_id) is None


def test_a_root_that_leaves_takes_its_own_along(connection: Connection, root_id: int) -> None:
    trials.begin(connection, root_id, [(b"a", STAMP)], alone=True)
    trials.delete_of_root(connection, root_id)
    assert select_value(connection, "SELECT count(*) FROM trials") == 0
