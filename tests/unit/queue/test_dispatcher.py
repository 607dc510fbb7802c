"""Pending rows and the order of their dispatch: Redis is simulated, the index is real."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing

import msgspec
import pytest

from indexer.library import Library
from indexer.model import Hint
from indexer.queue.dispatch import dispatcher as module
from indexer.queue.dispatch.dispatcher import Dispatcher
from indexer.queue.orders.messages import ScanOrder
from indexer.queue.redis_client import RedisState
from indexer.settings import Settings
from indexer.store.connection import open_index, write_transaction
from indexer.store.work import pending
from tests.property.test_queue_convergence import PlayedQueues
from tests.trees import Plant, song

Dispatch = Callable[[float], list[int]]
Orders = Callable[[float], list[ScanOrder]]


@pytest.fixture
def orders(library: Library, plant: Plant, settings: Settings) -> Iterator[Orders]:
    """`orders(now)`: one tick of a dispatcher; the dispatched orders."""
    plant({"1.mp3": song("One")})
    library.scan()
    connection = open_index(settings.db, write=True)
    changed = msgspec.structs.replace(settings, redis="unix:///nobody/listens/here")
    dispatcher = Dispatcher(connection, changed, say=lambda *_told: None, chance=lambda: 0.5)
    queues = PlayedQueues()
    dispatcher._queues = queues  # type: ignore[assignment]
    dispatcher._check_at = float("inf")

    def orders(now: float) -> list[ScanOrder]:
        dispatcher.tick(now)
        found = [msgspec.json.decode(data, type=ScanOrder) for _, data in queues.jobs["scan"]]
        queues.jobs["scan"].clear()
        return found

    yield orders
    dispatcher.close()
    connection.close()


@pytest.fixture
def dispatch(orders: Orders) -> Dispatch:
    """The generations of the dispatched rows."""
    return lambda now: [order.generation for order in orders(now)]


def left(settings: Settings, *hints: Hint) -> list[int]:
    """Enqueue hints one by one, as another process does; their generations."""
    connection = open_index(settings.db, write=True)
    with write_transaction(connection):
        rows = [pending.enqueue(connection, hint, 1) for hint in hints]
    connection.close()
    return [row.generation for row in rows]


NAMES = Hint(1, b"", (b"1.mp3",))
EVERYTHING = Hint(1, recursive=True)


def test_what_a_newer_look_at_everything_will_answer_is_not_dispatched(
    dispatch: Dispatch, settings: Settings
) -> None:
    """After a crash there may be thousands of rows, each with four jobs."""
    _, _, everything = left(settings, NAMES, NAMES, EVERYTHING)
    assert dispatch(0.0) == [everything]


def test_what_came_after_a_look_at_everything_is_dispatched_beside_it(
    dispatch: Dispatch, settings: Settings
) -> None:
    everything, names = left(settings, EVERYTHING, NAMES)
    assert dispatch(0.0) == [everything, names]


def test_a_file_that_is_to_be_read_again_is_dispatched_all_the_same(
    dispatch: Dispatch, settings: Settings
) -> None:
    again = msgspec.structs.replace(NAMES, reread=7)
    reread, everything = left(settings, again, EVERYTHING)
    assert dispatch(0.0) == [reread, everything]


def test_what_is_lost_is_dispatched_again_when_its_lease_has_ended(
    dispatch: Dispatch, settings: Settings
) -> None:
    (names,) = left(settings, NAMES)
    assert dispatch(0.0) == [names]
    assert dispatch(settings.lease - 0.1) == []
    assert dispatch(2 * settings.lease) == [names]


def test_jobs_are_for_the_index_as_a_repair_has_left_it(orders: Orders, settings: Settings) -> None:
    """One with losses gives it another token; workers refuse jobs of the one before."""
    left(settings, NAMES)
    with closing(open_index(settings.db, write=True)) as other, write_transaction(other):
        other.execute("UPDATE identity SET token = 'another'")
    assert [order.index for order in orders(0.0)] == ["another"]


def test_trouble_ends_with_its_cause_though_nothing_is_left_to_dispatch(
    library: Library, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert library.status().pending == 0
    changed = msgspec.structs.replace(settings, redis="unix:///nobody/listens/here")
    told: list[str] = []
    with closing(open_index(settings.db, write=True)) as connection:
        dispatcher = Dispatcher(
            connection, changed, say=lambda _level, event, _fields: told.append(event)
        )
        with closing(dispatcher):
            assert dispatcher.next_turn() is None
            dispatcher.put_artwork(0.0)
            first = dispatcher.next_turn()
            assert dispatcher.trouble
            assert first is not None
            dispatcher.tick(first)
            later = dispatcher.next_turn()
            assert later is not None
            assert later > first
            state = RedisState("run", "7", 1, 1, "noeviction")
            monkeypatch.setattr(module, "state_of", lambda _client: state)
            monkeypatch.setattr(module, "set_aside_foreign", lambda *_: [])
            dispatcher.tick(later)
            assert not dispatcher.trouble
            assert dispatcher.next_turn() is None
    assert told == ["redis away", "redis back"]
