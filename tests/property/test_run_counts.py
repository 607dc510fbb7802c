"""The counts of a run while others look at the same files: jobs in any order, lost, or done twice.

The dispatcher, the job functions, the disk and SQLite are real, and Redis is played, as in
`test_queue_convergence`. The files change once, before any hint: so each has one answer.
"""

from __future__ import annotations

import math
import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from indexer.ignore_files import path_filter_of
from indexer.model import Chunk, Hint, Reading, Waiting
from indexer.queue.dispatch.dispatcher import Dispatcher
from indexer.queue.extract import Extractor
from indexer.queue.workers.index_worker import IndexWorker
from indexer.queue.workers.profiles import QUEUES
from indexer.queue.workers.worker_process import handlers_of
from indexer.roots.registry import root_at
from indexer.runs.result import EventFacts
from indexer.settings import Settings
from indexer.stages.extract import extract
from indexer.store.connection import open_index, write_transaction
from indexer.store.work import pending, scans
from tests.corpus import noise, plant, tagged
from tests.property.effort import tries
from tests.property.test_queue_convergence import PlayedQueues, Silent, nobody

LEASE_S: Final = 15.0
ENOUGH: Final = 100
"""Rounds after which all work must be done."""
SEEN: Final = 7
"""Files that are there after the change."""
CHANGED: Final = 5
"""Those of them that have to be opened."""
READ: Final = ("added", "modified", "moved", "returned", "problems")
"""What becomes of a file only if it was opened."""
OWN: Final = (
    (Hint(1, b"new", recursive=True),),
    (Hint(1, b"", (b"1/a.mp3", b"1/gone.mp3", b"0/moved.mp3")), Hint(1, b"new")),
    (Hint(1, b"new", (b"b.wma", b"bad.flac")),),
    (Hint(1, b"1"), Hint(1, b"0")),
    (Hint(1, recursive=True),),
)
"""What a daemon has looked at by itself."""

WRITTEN: Final = EventFacts(unfinished=frozenset({(1, b"1/a.mp3"), (1, b"new/bad.flac")}))
"""Files that such a look leaves open."""

Step = tuple[str, int]
"""What happens, and a number that says more of it."""
JOBS: Final = st.tuples(st.just("job"), st.integers(0, 7))
STEPS: Final = st.one_of(
    JOBS,
    JOBS,
    JOBS,
    st.tuples(st.just("again"), st.integers(0, 7)),
    st.tuples(st.just("lose"), st.integers(0, 7)),
    st.tuples(st.just("dispatch"), st.sampled_from([0, 1, 15, 45])),
    st.tuples(st.just("own"), st.integers(0, len(OWN) - 1)),
    st.tuples(st.just("own, while some are written"), st.integers(0, len(OWN) - 1)),
    st.tuples(st.just("counted"), st.integers(0, len(OWN) - 1)),
    st.tuples(st.just("not whole"), st.integers(1, 3)),
    st.tuples(st.just("restart"), st.just(0)),
)


class Played:
    """An index of a folder, the queues, and who works on both."""

    def __init__(self, folder: Path) -> None:
        self.settings = Settings(
            db=folder / "library.db",
            redis="redis://played",
            still=0.0,
            lease=LEASE_S,
            queue_files=3,
            chunk_files=3,
            queue_live_files=2,
            retry_first=0.01,
            retry_longest=1.0,
        )
        self.now = 1_000.0
        self.not_whole = 0
        """How many of the next files seem to change while they are read."""
        self.runs: list[int] = []
        self.queues = PlayedQueues()
        self.connection = open_index(self.settings.db, write=True)
        self.owner = self._owner()
        self.lender = Extractor(self.settings, nobody(), self._read)
        self.lender._queues = self.queues  # type: ignore[assignment]
        self.dispatcher = self._dispatcher()

    def close(self) -> None:
        self.owner.close()
        self.dispatcher.close()
        self.connection.close()

    def ask(self) -> None:
        """What a command leaves: a look at everything, in a run of its own."""
        self._count([Hint(1, recursive=True)])

    def _count(self, hints: Sequence[Hint]) -> None:
        with write_transaction(self.connection):
            run = scans.start(self.connection, "scan", ["music"], 1, alone=False)
        self.runs.append(run)
        self.dispatcher.enqueue(hints, scan_id=run)

    def step(self, what: str, number: int) -> None:
        if what == "own":
            self.dispatcher.enqueue(OWN[number])
        elif what == "own, while some are written":
            self.dispatcher.enqueue(OWN[number], WRITTEN)
        elif what == "counted":
            self._count(OWN[number])
        elif what == "dispatch":
            self.now += number
            self.dispatcher.tick(self.now)
        elif what == "not whole":
            self.not_whole = number
        elif what == "restart":
            self.owner.close()
            self.owner = self._owner()
        elif jobs := [(name, job) for name in QUEUES for job in self.queues.jobs[name]]:
            name, job = jobs[number % len(jobs)]
            if what != "again":  # else it stays in the queue although it has a result
                self.queues.jobs[name].remove(job)
            if what != "lose":
                self._run(name, job[1])

    def come_to_rest(self) -> None:
        for _ in range(ENOUGH):
            self.dispatcher.tick(self.now)
            for name in QUEUES:
                while self.queues.jobs[name]:
                    self._run(name, self.queues.jobs[name].pop(0)[1])
            if not pending.all_rows(self.connection):
                return
            self.now += LEASE_S
        raise AssertionError(pending.all_rows(self.connection))

    def _run(self, name: str, data: bytes) -> None:
        handlers = {**handlers_of(self.owner), **self.lender.handlers}
        handlers[name](msgspec.Raw(data))

    def _read(self, chunk: Chunk) -> list[Reading]:
        readings = extract(chunk)
        few, self.not_whole = self.not_whole, 0
        return [
            Reading(path=one.path, waiting=Waiting.CHANGING, opened=True) if number < few else one
            for number, one in enumerate(readings)
        ]

    def _owner(self) -> IndexWorker:
        owner = IndexWorker(self.settings, path_filter_of(self.settings), nobody())
        owner.context.queues = self.queues  # type: ignore[assignment]
        owner.context.rates = Silent()  # type: ignore[assignment]
        return owner

    def _dispatcher(self) -> Dispatcher:
        dispatcher = Dispatcher(
            self.connection,
            self.settings,
            say=lambda *_told: None,
            patient=True,
            clock=lambda: self.now,
            chance=lambda: 0.5,
        )
        dispatcher._queues = self.queues  # type: ignore[assignment]
        dispatcher._check_at = math.inf
        return dispatcher


@pytest.fixture(scope="module")
def changed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose files have changed since the index beside it was made."""
    folder = tmp_path_factory.mktemp("changed")
    music = folder / "music"
    plant(music, {f"{name}.mp3": tagged(title=name) for name in ("0/same", "0/moved")})
    plant(music, {f"{name}.mp3": tagged(title=name) for name in ("1/a", "1/gone", "1/same")})
    with closing(open_index(folder / "library.db", write=True)) as connection:
        settings = Settings(db=folder / "library.db")
        assert root_at(connection, settings, os.fsencode(music)).id == 1
    with closing(Played(folder)) as place:
        place.dispatcher.enqueue([Hint(1, recursive=True)])
        place.come_to_rest()
    plant(music, {"new/b.wma": tagged(".wma", title="B"), "new/c.mp3": tagged(title="C")})
    plant(music, {"new/bad.flac": noise(700), "1/a.mp3": tagged(title="Retagged")})
    (music / "0/moved.mp3").rename(music / "new/moved.mp3")
    (music / "1/gone.mp3").unlink()
    return folder


@contextmanager
def played(changed: Path) -> Iterator[Played]:
    """Work on a copy of the index."""
    with tempfile.TemporaryDirectory() as folder:
        shutil.copy(changed / "library.db", folder)
        with closing(Played(Path(folder))) as place:
            yield place


def counts_of(place: Played, run: int) -> dict[str, Any]:
    counts = scans.counts_of(place.connection, run)
    names = ("seen", "missing", "unchanged", "files_read", "pending", *READ)
    return {name: counts.get(name, 0) for name in names}


SECOND_ANSWER: Final = [
    ("not whole", 2), ("dispatch", 15), ("job", 3), ("job", 6), ("job", 5), ("again", 6),
]  # fmt: skip
"""The second comes when the row names only what was not whole for the first."""
READ_WHILE_IT_WAITS: Final = [
    ("dispatch", 45), ("job", 6), ("own", 0), ("job", 1), ("job", 5), ("job", 0),
    ("dispatch", 15), ("dispatch", 45),
]  # fmt: skip
"""A row that waits for another look is read, too, and that look answers a part of it meanwhile."""

LEFT_OPEN: Final = [("own, while some are written", 3)]
"""A look that leaves a file open is no answer to a row that is being read."""


@tries(60)
@example(before=[], after=LEFT_OPEN)
@example(before=[], after=SECOND_ANSWER)
@example(before=[("not whole", 2)], after=READ_WHILE_IT_WAITS)
@given(before=st.lists(STEPS, max_size=8), after=st.lists(STEPS, max_size=40))
def test_each_file_counts_once_in_whatever_order_it_is_answered(
    changed: Path, before: list[Step], after: list[Step]
) -> None:
    with played(changed) as place:
        for step in before:
            place.step(*step)
        place.ask()
        run = place.runs[-1]
        for step in after:
            place.step(*step)
        place.come_to_rest()
        counts = counts_of(place, run)
        assert counts["seen"] == SEEN, counts
        assert counts["pending"] == 0, counts
        assert counts["unchanged"] + sum(counts[name] for name in READ) == SEEN, counts
        assert sum(counts[name] for name in READ) <= counts["files_read"] <= CHANGED, counts
        assert all(scans.has_ended(place.connection, one) for one in place.runs)
