"""The daemon's hints for the queues: Redis is away, the index is real."""

from __future__ import annotations

from contextlib import closing

import msgspec

from indexer.library import Library
from indexer.model import Hint
from indexer.runs.result import EventFacts
from indexer.settings import Settings
from indexer.store import roots
from indexer.store.connection import open_index
from indexer.store.work import pending, scans
from tests.trees import Plant, song
from watcher.log import EventLog
from watcher.work.queued_work import QueuedWork


def test_a_root_that_a_command_removes_before_it_is_handed_leaves_nothing_waiting(
    library: Library, plant: Plant, settings: Settings
) -> None:
    """No look would ever close the row, and the index would never be at rest."""
    plant({"1.mp3": song("One")})
    library.scan()
    queued = msgspec.structs.replace(settings, redis="unix:///nobody/listens/here")
    with closing(open_index(settings.db, write=True)) as connection:
        (root,) = roots.watched(connection)
        with closing(QueuedWork(connection, queued, EventLog(), lambda _id: True)) as work:
            library.remove_root(root.name)
            before = len(scans.newest(connection, 10))
            work.recover(root, 1.0)
            assert work.hand([Hint(root.id, b"", (b"1.mp3",))], EventFacts()) == 0
            assert pending.all_rows(connection) == []
            assert [root_id for root_id, _ in work.turn(2.0)] == [root.id]
            assert not work.is_busy
            assert len(scans.newest(connection, 10)) == before
