"""The jobs that write the index: what each of them writes, and which hints it enqueues."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any, Final, NamedTuple, NoReturn

import msgspec
import pytest
import redis
from msgspec.structs import replace

from indexer.errors import QueueError
from indexer.library import Library
from indexer.model import Hint
from indexer.queue import relayed
from indexer.queue.orders.messages import FolderHint, Origin, PathText, RelayOrder, ScanOrder
from indexer.queue.workers import index_context
from indexer.queue.workers.index_worker import IndexWorker
from indexer.queue.workers.kept_batches import ChunkBatch, InsertOrder
from indexer.queue.workers.worker_process import handlers_of
from indexer.readers.artwork import Step
from indexer.settings import Settings
from indexer.stages.batch import Batch
from indexer.stages.finish import MissingMarker
from indexer.stages.scan import Plan, joined
from indexer.store import problems
from indexer.store.connection import Connection, open_index, select, token_of, write_transaction
from indexer.store.schema.views import LATE_INDEXES
from indexer.store.search import index_rows
from indexer.store.work import pending, scans
from indexer.store.work.pending import PendingRow
from tests.property.test_queue_convergence import PlayedQueues, Silent
from tests.stage_harness import ByHand, refuse_folder
from tests.trees import Plant, put, song

ONE, OTHER = b"a/1.mp3", b"b/2.mp3"


class House(NamedTuple):
    """An index worker, the stages one by one, and a folder in which one file has two links."""

    owner: IndexWorker
    by_hand: ByHand
    music: Path

    def leave(self, hint: Hint) -> PendingRow:
        with write_transaction(self.by_hand.connection):
            return pending.enqueue(self.by_hand.connection, hint, 1)

    def do(self, queue: str, order: object) -> None:
        """Run one job in this process."""
        handlers_of(self.owner)[queue](msgspec.Raw(msgspec.json.encode(order)))

    def ask_again(self, row: PendingRow) -> None:
        """Scan the names of one row, whose result was lost."""
        index = token_of(self.by_hand.connection)
        self.do("scan", ScanOrder(index=index, generation=row.generation, row=row.id))

    def insert(self, path: bytes, *, everything: bool) -> None:
        """Insert one file in its current state, as found by a scan."""
        scan = self.by_hand.scan()
        plans = [*scan.plans(), *scan.late_plans()]
        entries = [entry for plan in plans for entry in plan.read if entry.path == path]
        plan = Plan(1, tuple(entries), ())
        self.write(self.by_hand.chunk(plan), self.by_hand.read(plan), everything=everything)

    def read(self, row: PendingRow) -> Batch:
        """What a scan and the readers find now of the files that a row names."""
        scan = self.by_hand.scan(row.hint)
        return self.by_hand.read(joined(row.hint, [*scan.plans(), *scan.late_plans()]))

    def write(self, row: PendingRow, ready: Batch, *, everything: bool = False) -> None:
        """Insert what was read for a row."""
        origin = Origin(
            index=token_of(self.by_hand.connection),
            row=row.id,
            generation=row.generation,
            root="music",
            root_id=1,
            everything=everything,
        )
        self.owner.batches.add("batch-1", ChunkBatch(origin, ready))
        order = InsertOrder(
            index=origin.index, row=row.id, generation=row.generation, batched="batch-1"
        )
        self.do("insert", order)

    @property
    def waiting(self) -> list[tuple[bytes, ...] | None]:
        """The names of all pending rows."""
        return [row.hint.names for row in pending.all_rows(self.by_hand.connection)]


@pytest.fixture
def house(
    library: Library, plant: Plant, music: Path, settings: Settings, by_hand: ByHand
) -> Iterator[House]:
    plant({"a/1.mp3": song("One"), "b/": None})
    os.link(music / "a/1.mp3", music / "b/2.mp3")
    library.scan()
    nobody = redis.Redis(unix_socket_path="/nobody/listens/here")
    owner = IndexWorker(settings, by_hand.wanted, nobody)
    played: Any = PlayedQueues()
    played.client = nobody
    owner.context.queues, owner.context.rates = played, Silent()  # type: ignore[assignment]
    yield House(owner, by_hand, music)
    owner.close()


def test_the_last_file_of_a_first_scan_ends_it(house: House) -> None:
    """Its hint was closed while the file was being read, and so no look ends after it."""
    connection = house.owner.context.connection
    with write_transaction(connection):
        for name in LATE_INDEXES:
            connection.execute(f"DROP INDEX {name}")
        index_rows.merge_seldom(connection)
    put(house.music, "a/1.mp3", song("New"))
    house.insert(ONE, everything=True)
    names = {name for (name,) in select(connection, "SELECT name FROM sqlite_schema")}
    assert names.issuperset(LATE_INDEXES)
    assert not index_rows.merges_seldom(connection)


def test_a_name_that_went_while_its_chunk_was_lost_has_the_other_one_looked_at(
    house: House,
) -> None:
    row = house.leave(Hint(1, b"", (ONE,)))
    (house.music / "a/1.mp3").unlink()
    house.ask_again(row)
    assert house.waiting == [(OTHER,)]


def test_what_is_gone_when_a_lost_chunk_is_asked_for_again_is_counted_in_its_run(
    house: House,
) -> None:
    connection = house.by_hand.connection
    with write_transaction(connection):
        run = scans.start(connection, "scan", ["music"], 1)
        names = Hint(1, b"", (ONE,))
        row = pending.add_chunk(connection, names, 1, 1, scan_id=run)
    (house.music / "a/1.mp3").unlink()
    house.ask_again(row)
    told = scans.state_of(connection, run)
    assert told is not None
    assert msgspec.json.decode(told[1])["missing"] == 1


class Counted(NamedTuple):
    """A run, and what it has counted."""

    connection: Connection
    run: int

    @classmethod
    def begin(cls, house: House) -> Counted:
        connection = house.by_hand.connection
        with write_transaction(connection):
            return cls(connection, scans.start(connection, "scan", ["music"], 1, alone=False))

    def chunk(self, generation: int, *names: bytes, is_own: bool = True) -> PendingRow:
        with write_transaction(self.connection):
            run = self.run if is_own else 0
            return pending.add_chunk(
                self.connection, Hint(1, b"", names), generation, 1, scan_id=run
            )

    @property
    def counts(self) -> dict[str, Any]:
        """What it has counted of files, without zeros."""
        counts = scans.counts_of(self.connection, self.run)
        names = ("added", "unchanged", "files_read", "pending")
        return {name: counts[name] for name in names if counts.get(name)}


NEW: Final = (b"c/1.mp3", b"c/2.mp3", b"c/3.mp3")


@pytest.fixture
def new_files(plant: Plant, house: House) -> House:
    plant({os.fsdecode(path): song(os.fsdecode(path)) for path in NEW})
    return house


def test_a_second_reading_of_what_waits_for_others_counts_none_that_they_have_answered(
    new_files: House,
) -> None:
    """A row that waits for others is asked for again when its lease ends, and is read, too."""
    house, counted = new_files, Counted.begin(new_files)
    own = counted.chunk(1, *NEW)
    newer = [counted.chunk(2, name, is_own=False) for name in NEW]
    house.write(own, house.read(own))
    (waiting,) = (row for row in pending.all_rows(counted.connection) if row.passes)
    read_again = house.read(waiting)
    house.write(newer[0], house.read(newer[0]))
    house.write(waiting, read_again)
    assert counted.counts == {"added": 1, "files_read": 1}
    for row in newer[1:]:
        house.write(row, house.read(row))
    assert counted.counts == {"added": 3, "files_read": 3}
    assert house.waiting == []


def test_a_second_answer_counts_only_what_the_first_has_left(new_files: House) -> None:
    """A chunk was dispatched twice, and one of its files was not whole at first."""
    house, counted = new_files, Counted.begin(new_files)
    own = counted.chunk(1, *NEW)
    second = house.read(own)
    first = [one for one in second.findings if one.entry.path != NEW[0]]
    house.write(own, replace(second, findings=tuple(first), waiting=NEW[:1], files_read=2))
    assert counted.counts == {"added": 2, "files_read": 2, "pending": 1}
    house.write(own, second)
    assert counted.counts == {"added": 3, "files_read": 3}
    assert house.waiting == []


def test_a_second_answer_leaves_no_file_to_mutagen_that_the_first_has_answered(
    new_files: House,
) -> None:
    house, counted = new_files, Counted.begin(new_files)
    own = counted.chunk(1, *NEW)
    ready = house.read(own)
    first = [one for one in ready.findings if one.entry.path != NEW[0]]
    house.write(own, replace(ready, findings=tuple(first), waiting=NEW[:1]))
    house.write(own, replace(ready, findings=(), declined=NEW))
    assert house.waiting == [NEW[:1]]


def test_a_file_that_changed_while_it_was_read_counts_when_it_is_read_again(
    new_files: House,
) -> None:
    house, counted = new_files, Counted.begin(new_files)
    own = counted.chunk(1, *NEW)
    ready = house.read(own)
    put(house.music, os.fsdecode(NEW[0]), song("Changed"))
    house.write(own, ready)
    assert counted.counts == {"added": 2, "files_read": 2, "pending": 1}
    house.write(own, house.read(own))
    assert counted.counts == {"added": 3, "files_read": 3}


@pytest.mark.parametrize("killed_at", ["count_pass", "complete"])
def test_a_scan_that_is_killed_at_its_end_is_seen_once(
    new_files: House, monkeypatch: pytest.MonkeyPatch, killed_at: str
) -> None:
    """All of it is scanned again."""

    def die(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    house, counted = new_files, Counted.begin(new_files)
    if killed_at == "count_pass":
        (house.music / "a/1.mp3").unlink()  # the next pass is to find that
    connection = counted.connection
    with write_transaction(connection):
        row = pending.enqueue(connection, Hint(1, recursive=True), 1, scan_id=counted.run)
    order = ScanOrder(index=token_of(connection), generation=row.generation)
    with monkeypatch.context() as patch:
        patch.setattr(pending, killed_at, die)
        with pytest.raises(KeyboardInterrupt):
            house.do("scan", order)
    house.do("scan", order)
    seen = len(NEW) + (1 if killed_at == "count_pass" else 2)
    assert scans.counts_of(connection, counted.run)["seen"] == seen


def test_a_name_that_cannot_be_checked_on_a_retry_is_a_problem(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing else would trigger a check when the problem is over."""
    row = house.leave(Hint(1, b"", (ONE,)))
    with monkeypatch.context() as patch:
        refuse_folder(patch, b"a")
        house.ask_again(row)
    assert house.waiting == []
    unreadable = [path for _, path, _ in problems.unreadable(house.by_hand.connection)]
    assert unreadable == [ONE]


def test_an_owner_that_is_killed_when_a_name_is_marked_missing_has_left_the_other_one(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The next job finds the row missing already, and would not report it."""

    def die(*_: object) -> NoReturn:
        raise KeyboardInterrupt

    hint = Hint(1, b"", (ONE,))
    row = house.leave(hint)
    (house.music / "a/1.mp3").unlink()
    monkeypatch.setattr(MissingMarker, "announce_missing", die)
    order = ScanOrder(index=token_of(house.by_hand.connection), generation=row.generation)
    with pytest.raises(KeyboardInterrupt):
        house.do("scan", order)
    assert house.waiting == [hint.names, (OTHER,)]


@pytest.mark.parametrize(
    ("everything", "path", "left"),
    [
        (False, OTHER, [(ONE,)]),
        (False, ONE, [(OTHER,)]),
        (True, OTHER, [(ONE,)]),
        (True, ONE, []),
    ],
)
def test_a_name_that_a_look_at_everything_has_behind_it_is_looked_at_once_more(
    house: House, everything: bool, path: bytes, left: list[tuple[bytes, ...]]
) -> None:
    """The file may have been written in between. Later paths are scanned in their new state."""
    put(house.music, "a/1.mp3", song("Two"))
    house.insert(path, everything=everything)
    assert house.waiting == left


@pytest.mark.parametrize("is_lost", [False, True], ids=["written over", "another file"])
def test_jobs_are_of_the_index_that_was_put_back_from_a_copy(
    house: House,
    library: Library,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    *,
    is_lost: bool,
) -> None:
    monkeypatch.setattr(index_context, "Queues", lambda _client: PlayedQueues())
    monkeypatch.setattr(index_context, "RedisRates", lambda _client: Silent())
    copy, before = tmp_path / "copy.db", house.owner.context.token
    library.backup(copy)
    if is_lost:
        library.close()
        for file in library.database.parent.glob(library.database.name + "*"):
            file.unlink()
    library.restore(copy)
    with closing(open_index(library.database, write=True)) as connection:
        now = token_of(connection)
        with write_transaction(connection):
            row = pending.enqueue(connection, Hint(1, b"", (ONE,)), 1)
        with pytest.raises(QueueError, match="for another index"):
            house.do("scan", ScanOrder(index=before, generation=row.generation))
        house.do("scan", ScanOrder(index=now, generation=row.generation))
        assert pending.all_rows(connection) == []


def test_hints_beyond_a_number_become_one_for_all_of_the_root(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While its disk is away nothing answers them, and a relay is not told to stop."""
    monkeypatch.setattr(relayed, "MOST_OPEN", 3)
    monkeypatch.setattr(relayed, "announce", lambda *_: None)
    for number in range(20):
        hint = FolderHint(root="music", folder=PathText("a"), names=(PathText(f"{number}.mp3"),))
        house.do("relayed", RelayOrder(index=house.owner.context.token, hints=(hint,)))
        assert len(house.waiting) <= 4
    assert None in house.waiting


def test_a_job_with_more_than_a_relay_ever_gives_is_one_hint_for_its_root(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(relayed, "announce", lambda *_: None)
    hints = tuple(FolderHint(root="music", folder=PathText(f"{n}")) for n in range(1001))
    house.do("relayed", RelayOrder(index=house.owner.context.token, hints=hints))
    rows = pending.all_rows(house.by_hand.connection)
    assert [row.hint for row in rows] == [Hint(1, recursive=True)]


@pytest.mark.parametrize(("most", "times"), [(1, 1), (2, 0)])
def test_memory_is_given_back_when_artwork_is_chosen_for_many(
    house: House, monkeypatch: pytest.MonkeyPatch, most: int, times: int
) -> None:
    given_back: list[object] = []
    monkeypatch.setattr("indexer.queue.artwork.MUCH_CHOSEN", most)
    monkeypatch.setattr("indexer.queue.artwork.give_back", given_back.append)
    monkeypatch.setattr("indexer.queue.artwork.steps", lambda *_: [Step(chosen=1, read=1)])
    house.do("album_cover", {"index": token_of(house.by_hand.connection)})
    assert house.owner.chosen == (0 if times else 2)
    assert given_back == [house.owner.context.connection] * times
