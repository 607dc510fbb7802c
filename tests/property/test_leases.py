"""For any fate of the jobs: none is forgotten, and no live job is dispatched twice."""

from __future__ import annotations

from enum import Enum, auto

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from indexer.queue.dispatch.leases import Action, DispatchKey, DispatchLeases, DispatchState
from indexer.store.work.pending import Outline

LEASE_S = 15.0
LOOK_S = LEASE_S / 3
LONGEST_S = 60.0
JITTER = 0.25
SLACK_S = 1e-6


class Job(Enum):
    """The state of the job of a key."""

    NONE = auto()
    """No job: never dispatched, answered, or lost without a trace."""
    QUEUED = auto()
    STARTED = auto()
    """A worker runs it, and its heartbeat is always recent."""
    STUCK = auto()
    """Its state is started, but it has no heartbeat any more."""
    LOST_READING = auto()
    """The same, while its files were read."""
    FAILED = auto()


class Row:
    """A pending row, and the state of its job."""

    def __init__(self, outline: Outline, files: int, now: float) -> None:
        self.outline = outline
        self.files = files
        self.job = Job.NONE
        self.dead_since = now
        """When it first became visible that no worker runs it."""
        self.heartbeats = 0

    @property
    def key(self) -> DispatchKey:
        single = self.outline.is_chunk or self.outline.attempts > 0
        return DispatchKey(self.outline.generation, self.outline.id if single else 0)

    @property
    def is_alive(self) -> bool:
        return self.job in (Job.QUEUED, Job.STARTED)

    def state(self) -> DispatchState:
        """Its state in Redis."""
        match self.job:
            case Job.QUEUED:
                return DispatchState(waits=True, files=self.files)
            case Job.STARTED:
                self.heartbeats += 1
                return DispatchState(heartbeat=str(self.heartbeats).encode(), files=self.files)
            case Job.STUCK | Job.LOST_READING:
                reading = self.job is Job.LOST_READING
                heartbeat = str(self.heartbeats).encode()
                return DispatchState(heartbeat=heartbeat, reading=reading, files=self.files)
            case Job.FAILED:
                return DispatchState(failed=True, files=self.files)
            case _:
                return DispatchState(files=self.files)


class Dispatching(RuleBasedStateMachine):
    """A dispatcher that checks whenever something is due, and never sleeps longer."""

    steps: tuple[Job, ...] = (Job.STARTED, Job.FAILED)
    """The next states of a live job."""
    at_most_s = max(LEASE_S + LOOK_S, LONGEST_S * (1 + JITTER)) + LOOK_S
    """The longest time without a worker for a key."""

    @initialize(retries=st.integers(0, 3), chance=st.floats(0, 1))
    def begin(self, retries: int, chance: float) -> None:
        self.now = 1000.0
        self.leases = DispatchLeases(LEASE_S, retries, 1.0, LONGEST_S, lambda: chance)
        self.rows: dict[int, Row] = {}
        self.next_id = 1
        self.turn = 1
        self.dispatched: list[int] = []

    # What happens

    @rule(files=st.integers(1, 9), is_chunk=st.booleans())
    def somebody_else_leaves(self, files: int, is_chunk: bool) -> None:
        self._add(files, is_chunk=is_chunk)
        self._look()

    @rule(files=st.integers(1, 9))
    def leave(self, files: int) -> None:
        row = self._add(files, is_chunk=False)
        self.leases.register(row.key, self.now)
        self._look()

    @precondition(lambda self: self.rows)
    @rule(data=st.data())
    def goes_on(self, data: st.DataObject) -> None:
        row = self._one(data)
        job = data.draw(st.sampled_from(self.steps))
        if row.is_alive:
            row.job = job
            row.dead_since = self.now

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), job=st.sampled_from([Job.NONE, Job.STUCK, Job.LOST_READING]))
    def is_lost(self, data: st.DataObject, job: Job) -> None:
        row = self._one(data)
        if row.is_alive and not (job is Job.LOST_READING and not row.outline.is_chunk):
            row.job, row.dead_since = job, self.now

    @precondition(lambda self: self.rows)
    @rule(data=st.data(), is_whole=st.booleans())
    def is_answered(self, data: st.DataObject, is_whole: bool) -> None:
        row = self._one(data)
        if row.is_alive and is_whole:
            del self.rows[row.outline.id]
        elif row.is_alive and row.outline.is_chunk:
            before = row.outline
            row.outline = Outline(before.id, before.generation, 1, True, before.attempts + 1, 0, 0)
            row.job, row.dead_since = Job.NONE, self.now
        self._look()

    @rule()
    def redis_begins_anew(self) -> None:
        for row in self.rows.values():
            row.job, row.dead_since = Job.NONE, self.now
        self.leases.void(self.now)
        self._look()

    @rule(seconds=st.floats(0.001, 40.0))
    def time_passes(self, seconds: float) -> None:
        until = self.now + seconds
        while (at := self.leases.next_at()) is not None and at <= until:
            self.now = max(self.now, at)
            self._look()
        self.now = until
        self._look()

    # Which must hold

    @invariant()
    def nobody_is_forgotten(self) -> None:
        for row in getattr(self, "rows", {}).values():
            if not row.is_alive:
                assert self.now - row.dead_since <= self.at_most_s + SLACK_S

    def _one(self, data: st.DataObject) -> Row:
        return data.draw(st.sampled_from([self.rows[key] for key in sorted(self.rows)]))

    def _add(self, files: int, *, is_chunk: bool) -> Row:
        outline = Outline(self.next_id, self.next_id, 1, is_chunk, 0, 0, 0)
        self.next_id += 1
        row = self.rows[outline.id] = Row(outline, files, self.now)
        return row

    def _look(self) -> None:
        """Check as the dispatcher does; an answered row with files not whole waits for its time."""
        left = self.leases.sync([row.outline for row in self.rows.values()], self.now)
        for outline in left:
            self.leases.try_again(DispatchKey(outline.generation, outline.id), self.now + 1.0)
        by_key = {row.key: row for row in self.rows.values()}
        for key in self.leases.due(self.now):
            row = by_key[key]
            before = row.job
            verdict = self.leases.judge(key, row.state(), self.now)
            if row.is_alive:
                assert verdict is Action.WAIT, "it has a heartbeat"
            match verdict:
                case Action.DISPATCH:
                    self._dispatch(row)
                case Action.SPLIT:
                    assert (before, row.files > 1) == (Job.LOST_READING, True)
                    assert row.outline.is_chunk
                    del self.rows[row.outline.id]
                    parts = [self._add(1, is_chunk=True) for _ in range(row.files)]
                    self.leases.split([part.outline.id for part in parts])
                case Action.CONDEMN:
                    assert (before, row.files) == (Job.LOST_READING, 1)
                    self._dispatch(row)
        assert all(key in by_key for key in self.leases.due(float("inf")))

    def _dispatch(self, row: Row) -> None:
        self.turn += 1
        self.leases.dispatched(row.key, self.turn, self.now)
        row.job = Job.QUEUED


class NothingFails(Dispatching):
    """Without failures, a lost job is dispatched again within a lease and a check."""

    steps = (Job.STARTED,)
    at_most_s = LEASE_S + LOOK_S


TestDispatching = Dispatching.TestCase
TestNothingFails = NothingFails.TestCase
