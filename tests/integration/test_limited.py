"""What is handed to readers that may die of it, with readers that do what a file's content says."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

import psutil
import pytest

from indexer.model import Chunk, Entry, Evidence, Hint, ProblemKind, Reading, Stamp, Waiting
from indexer.readers import pool
from indexer.readers.limited import IDLE_S, LimitedReaders, ReadJob
from indexer.settings import Settings
from indexer.stages.scan import Plan
from indexer.store.connection import Connection, select, write_transaction
from indexer.store.work import pending, trials
from tests.programs import eventually

Open = Callable[[], AbstractContextManager["Bench"]]
"""Opens readers of a test's own."""

READER = """
import os, signal
from indexer.readers import reader
from indexer.model import Track

def read(file, suffix):
    word = file.read().decode()
    if word == "poison":
        os.kill(os.getpid(), signal.SIGKILL)
    if word == "hang":
        signal.pause()
    return Track(codec="x", title=word)

reader.main(read)
"""


PATIENCE_S = 0.4


class Bench:
    """Readers, and files to give them."""

    def __init__(self, folder: Path, connection: Connection, settings: Settings) -> None:
        self.now = 0.0
        self.limited = LimitedReaders(
            connection, settings, 1, clock=lambda: self.now, patience_s=PATIENCE_S
        )
        self._connection = connection
        self._folder = folder

    def offer(self, root_id: int, *, may_hang: bool = False, **words: str) -> ReadJob:
        """Plant files by name, and have them read as one pending row."""
        entries = []
        for name, word in words.items():
            if not (self._folder / name).exists():
                (self._folder / name).write_text(word)
            entries.append(Entry(name.encode(), Stamp.of((self._folder / name).stat()), disk_id=1))
        paths = tuple(entry.path for entry in entries)
        with write_transaction(self._connection):
            hint = Hint(root_id, b"", paths)
            row = pending.add_chunk(self._connection, hint, 1, 0)
        job = ReadJob(Plan(root_id, tuple(entries), ()), row)
        evidence = Evidence(still_s=0)
        chunk = Chunk(os.fsencode(self._folder), paths, evidence, may_hang=may_hang)
        self.limited.offer(job, chunk)
        return job

    def answers(self, count: int) -> list[list[Reading]]:
        """What comes, once so many jobs have."""
        found: list[list[Reading]] = []

        def enough() -> bool:
            found.extend(readings for _, readings in self.limited.step(0.02))
            return len(found) >= count

        eventually(enough)
        return found

    def is_given(self) -> bool:
        """Whether a reader has something in hand, or was given it a moment ago."""
        self.limited.step(0.02)
        return any(marks(self._connection))


def marks(connection: Connection) -> list[tuple[bytes, int]]:
    return [(path, tries) for path, tries in select(connection, "SELECT path, tries FROM trials")]


@pytest.fixture
def bench(
    tmp_path: Path, connection: Connection, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> Open:
    program = tmp_path / "reader.py"
    program.write_text(READER)
    monkeypatch.setattr(pool, "READER", (sys.executable, str(program)))
    folder = tmp_path / "files"
    folder.mkdir()

    @contextmanager
    def opened() -> Iterator[Bench]:
        made = Bench(folder, connection, settings)
        try:
            yield made
        finally:
            made.limited.close()

    return opened


def test_files_are_read_together_and_nothing_is_remembered(
    bench: Open, root_id: int, connection: Connection
) -> None:
    with bench() as one:
        one.offer(root_id, a="la", b="le")
        assert len(one.limited) == 2
        ((first, second),) = one.answers(1)
        assert first.track is not None
        assert second.track is not None
        assert (first.track.title, second.track.title) == ("la", "le")
        assert len(one.limited) == 0
        assert one.limited.files == {}
        assert marks(connection) == []


def test_what_is_given_stands_in_the_index_before(
    bench: Open, root_id: int, connection: Connection
) -> None:
    with bench() as one:
        one.offer(root_id, a="hang")
        eventually(one.is_given)
        assert marks(connection) == [(b"a", 1)]
        one.limited.drop()
        assert marks(connection) == []
        assert len(one.limited) == 0


def test_a_file_that_kills_two_readers_is_at_fault_and_those_beside_it_are_read(
    bench: Open, root_id: int, connection: Connection
) -> None:
    with bench() as one:
        one.offer(root_id, a="la", b="poison", c="le")
        ((first, bad, last),) = one.answers(1)
        assert bad.problem is not None
        assert bad.problem.kind is ProblemKind.CONTENT
        assert first.track is not None
        assert last.track is not None
        assert marks(connection) == []


def test_a_run_that_was_killed_leaves_a_mark_and_the_next_gives_that_file_alone(
    bench: Open, root_id: int, connection: Connection
) -> None:
    with bench() as one:
        job = one.offer(root_id, a="la", b="hang")
        stamps = {entry.path: entry.stamp for entry in job.plan.read}
        one.limited.drop()
    trials.begin(connection, root_id, stamps.items(), alone=False)  # as a killed run left it
    with bench() as one:
        one.offer(root_id, a="la", b="hang")
        eventually(one.is_given)
        eventually(lambda: one.limited.step(0.02) or marks(connection) == [(b"b", 1)])
        assert one.limited._pool.restarts == 0


def test_a_file_that_never_came_back_is_not_given_again(
    bench: Open, root_id: int, connection: Connection
) -> None:
    with bench() as one:
        job = one.offer(root_id, a="hang")
        one.limited.drop()
        ((path, stamp),) = [(entry.path, entry.stamp) for entry in job.plan.read]
        for _ in range(trials.MOST_TRIES):
            trials.begin(connection, root_id, [(path, stamp)], alone=True)
        chunk = Chunk(b"/nowhere", (path,))
        one.limited.offer(job, chunk)
        ((_, (reading,)),) = one.limited.step()
        assert reading.problem is not None
        assert reading.problem.kind is ProblemKind.CONTENT
        assert reading.stamp == stamp
        assert marks(connection) == []


def test_an_idle_reader_stays_for_a_while_and_one_that_dies_is_taken_away(
    bench: Open, root_id: int
) -> None:
    with bench() as one:
        one.offer(root_id, a="la")
        one.answers(1)
        before = psutil.Process().children()
        one.now += IDLE_S - 1
        one.limited.step()
        assert one.limited.next_turn() is not None
        (reader,) = one.limited._pool._readers
        assert reader.process.poll() is None
        reader.process.kill()
        eventually(lambda: one.limited.step(0.02) == [] and not one.limited._pool.reader_count)
        one.offer(root_id, b="le")
        one.answers(1)
        assert one.limited._pool.reader_count == 1
        one.limited.step()
        one.now += IDLE_S
        one.limited.step()
        assert one.limited._pool.reader_count == 0
        assert one.limited.next_turn() is None
        assert len(psutil.Process().children()) < len(before) + 1


def test_what_the_server_of_a_share_does_not_give_is_held_against_no_file(
    bench: Open, root_id: int, connection: Connection
) -> None:
    with bench() as one:
        for _ in range(trials.MOST_TRIES + 1):
            one.offer(root_id, may_hang=True, a="hang")
            ((reading,),) = one.answers(1)
            assert reading.waiting is Waiting.SILENT
            assert marks(connection) == []
            assert len(one.limited) == 0
