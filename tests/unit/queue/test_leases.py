from __future__ import annotations

from collections.abc import Callable

import pytest

from indexer.queue.dispatch.leases import (
    FAILING_CHUNKS,
    Action,
    DispatchKey,
    DispatchLeases,
    DispatchState,
)
from indexer.store.work.pending import Outline
from indexer.store.work.trials import MOST_TRIES

LEASE_S = 15.0
LOOK_S = LEASE_S / 3
RETRIES = 2
FILES = 8
FAILED = DispatchState(failed=True, files=FILES)
LOST = DispatchState()
WAITS = DispatchState(waits=True)

HINT = Outline(1, 1, 1, False, 0, 0, 0)
CHUNK = Outline(2, 1, 1, True, 0, 0, 0)
HINT_KEY = DispatchKey(1)
CHUNK_KEY = DispatchKey(1, 2)


def made(
    *,
    retries: int = RETRIES,
    first_s: float = 1.0,
    longest_s: float = 600.0,
    chance: Callable[[], float] = lambda: 0.0,
) -> DispatchLeases:
    return DispatchLeases(LEASE_S, retries, first_s, longest_s, chance)


def dispatched(*outlines: Outline, leases: DispatchLeases | None = None) -> DispatchLeases:
    """Leases of keys that were all dispatched at 0, in tick 7."""
    leases = leases or made()
    leases.sync(outlines, 0.0)
    for key in leases.due(0.0):
        leases.dispatched(key, 7, 0.0)
    return leases


def chunk(row: int, *, attempts: int = 0, generation: int = 1) -> Outline:
    return Outline(row, generation, 1, True, attempts, 0, 0)


def lose(leases: DispatchLeases, key: DispatchKey, now: float, files: int = 1) -> Action:
    """A worker begins with a key at `now`, and has no heartbeat for a lease; the action then.

    What is to be dispatched again, is.
    """
    begun = DispatchState(heartbeat=b"a heartbeat", reading=True, files=files)
    assert leases.judge(key, begun, now) is Action.WAIT
    verdict = leases.judge(key, begun, now + LEASE_S)
    if verdict is Action.DISPATCH:
        leases.dispatched(key, leases.turn_of(key) + 1, now + LEASE_S)
    return verdict


def fail_and_wait(
    leases: DispatchLeases, key: DispatchKey, state: DispatchState, now: float
) -> float:
    """Report one failure that is retried later; the time of the next dispatch."""
    assert leases.judge(key, state, now) is Action.WAIT
    at = leases.next_at()
    assert at is not None
    assert at > now
    assert leases.judge(key, LOST, at) is Action.DISPATCH
    leases.dispatched(key, leases.turn_of(key) + 1, at)
    return at


# ---- first check of a row


def test_a_new_row_is_checked_at_once_and_dispatched_if_it_has_no_job() -> None:
    leases = made()
    leases.sync([HINT, CHUNK], 100.0)
    assert leases.due(100.0) == [HINT_KEY, CHUNK_KEY]
    assert leases.next_at() == 100.0
    assert leases.judge(CHUNK_KEY, LOST, 100.0) is Action.DISPATCH


def test_a_job_of_an_earlier_run_is_not_given_out_twice() -> None:
    leases = made()
    leases.sync([CHUNK], 100.0)
    assert leases.judge(CHUNK_KEY, WAITS, 100.0) is Action.WAIT
    assert leases.judge(CHUNK_KEY, LOST, 100.0 + LEASE_S - 0.01) is Action.WAIT
    assert leases.judge(CHUNK_KEY, LOST, 100.0 + LEASE_S) is Action.DISPATCH


def test_a_chunk_that_comes_later_is_handed_out_by_the_scan_that_made_it() -> None:
    leases = dispatched(HINT)
    leases.sync([HINT, CHUNK], 10.0)
    assert leases.due(10.0 + LOOK_S - 0.01) == [HINT_KEY]
    assert CHUNK_KEY in leases.due(10.0 + LOOK_S)
    assert leases.judge(CHUNK_KEY, LOST, 10.0 + LEASE_S - 0.01) is Action.WAIT
    assert leases.judge(CHUNK_KEY, LOST, 10.0 + LEASE_S) is Action.DISPATCH


def test_parts_made_by_this_dispatcher_are_due_at_once() -> None:
    leases = dispatched(HINT, CHUNK)
    leases.split([3, 4])
    leases.sync([HINT, chunk(3), chunk(4)], 1.0)
    assert leases.due(1.0) == [DispatchKey(1, 3), DispatchKey(1, 4)]
    assert leases.judge(DispatchKey(1, 3), LOST, 1.0) is Action.DISPATCH


def test_hints_of_other_processes_are_checked_at_once() -> None:
    leases = dispatched(CHUNK)
    leases.sync([CHUNK, Outline(9, 9, 1, False, 0, 0, 0)], 1.0)
    assert leases.due(1.0) == [DispatchKey(9)]


def test_a_case_is_fresh_until_it_is_given_out() -> None:
    leases = dispatched(CHUNK)
    leases.register(DispatchKey(9), 1.0)
    leases.sync([CHUNK, Outline(9, 9, 1, False, 0, 0, 0)], 1.0)
    assert leases.due(1.0) == [DispatchKey(9)]
    assert (leases.is_fresh(DispatchKey(9)), leases.is_fresh(CHUNK_KEY)) == (True, False)
    leases.dispatched(DispatchKey(9), 8, 1.0)
    assert not leases.is_fresh(DispatchKey(9))
    assert leases.judge(DispatchKey(9), LOST, 1.0 + LEASE_S) is Action.DISPATCH


def test_all_hints_of_a_generation_are_one_case() -> None:
    leases = made()
    leases.sync([HINT, Outline(5, 1, 1, False, 0, 0, 0), Outline(6, 6, 1, False, 0, 0, 0)], 0.0)
    assert leases.due(0.0) == [HINT_KEY, DispatchKey(6)]


def test_meeting_a_case_again_does_not_renew_its_lease() -> None:
    leases = dispatched(CHUNK)
    leases.sync([CHUNK], LEASE_S)
    assert leases.judge(CHUNK_KEY, LOST, LEASE_S) is Action.DISPATCH


def test_a_row_that_is_gone_is_forgotten() -> None:
    leases = dispatched(HINT, CHUNK)
    leases.sync([HINT], 1.0)
    assert leases.due(1e9) == [HINT_KEY]
    leases.sync([], 1.0)
    assert leases.next_at() is None


def test_rows_that_are_not_whole_come_back_once_for_each_answer() -> None:
    leases = dispatched(CHUNK)
    assert leases.sync([CHUNK], 1.0) == []
    once, twice = chunk(2, attempts=1), chunk(2, attempts=2)
    assert leases.sync([once], 2.0) == [once]
    assert leases.sync([once], 3.0) == []
    assert leases.sync([twice], 4.0) == [twice]
    assert leases.sync([twice], 5.0) == []


def test_what_an_earlier_run_left_unfinished_comes_back_when_it_is_first_met() -> None:
    """Also names of a hint, which are handled separately from their generation."""
    names = Outline(9, 9, 1, False, 1, 0, 0)
    leases = made()
    assert leases.sync([chunk(2, attempts=3), names], 0.0) == [chunk(2, attempts=3), names]
    assert leases.due(0.0) == [CHUNK_KEY, DispatchKey(9, 9)]
    assert leases.sync([chunk(2, attempts=3), names], 0.0) == []


def test_hints_wait_for_the_chunks_of_their_generation_that_are_in_work() -> None:
    leases = dispatched(HINT, CHUNK, chunk(3, generation=3))
    assert leases.has_chunks(1)
    assert not leases.has_chunks(9)
    leases.sync([HINT, chunk(2, attempts=1), chunk(3, generation=3)], 1.0)
    assert not leases.has_chunks(1), "it was answered"
    assert leases.has_chunks(3)
    leases.hold(DispatchKey(3, 3))
    assert not leases.has_chunks(3)


# ---- leases


def test_a_lost_case_is_dispatched_at_the_end_of_its_lease_and_not_before() -> None:
    leases = dispatched(CHUNK)
    assert leases.judge(CHUNK_KEY, LOST, LEASE_S - 0.01) is Action.WAIT
    assert leases.judge(CHUNK_KEY, LOST, LEASE_S) is Action.DISPATCH


def test_redis_is_asked_three_times_a_lease() -> None:
    leases = dispatched(CHUNK)
    asked = []
    while (at := leases.next_at()) is not None and at < LEASE_S:
        asked.append(at)
        assert leases.due(at - 0.01) == []
        assert leases.due(at) == [CHUNK_KEY]
        leases.judge(CHUNK_KEY, LOST, at)
    assert asked == [LOOK_S, 2 * LOOK_S]
    assert leases.next_at() == LEASE_S


def test_a_job_that_waits_in_a_queue_renews_its_lease_for_ever() -> None:
    leases = dispatched(CHUNK)
    now = 0.0
    for _ in range(100):
        now += LEASE_S
        assert leases.judge(CHUNK_KEY, WAITS, now) is Action.WAIT
    assert leases.judge(CHUNK_KEY, LOST, now + LEASE_S - 0.01) is Action.WAIT
    assert leases.judge(CHUNK_KEY, LOST, now + LEASE_S) is Action.DISPATCH


def test_each_other_heartbeat_renews_the_lease() -> None:
    leases = dispatched(CHUNK)
    now = 0.0
    for number in range(100):
        now += LEASE_S
        state = DispatchState(heartbeat=str(number).encode())
        assert leases.judge(CHUNK_KEY, state, now) is Action.WAIT


def test_a_heartbeat_that_stands_still_renews_nothing() -> None:
    """The heartbeat comes from another machine's clock, and is never compared with ours."""
    leases = dispatched(CHUNK)
    still = DispatchState(heartbeat=b"2099-01-01")
    assert leases.judge(CHUNK_KEY, still, 5.0) is Action.WAIT
    assert leases.judge(CHUNK_KEY, still, 5.0 + LEASE_S - 0.01) is Action.WAIT
    assert leases.judge(CHUNK_KEY, still, 5.0 + LEASE_S) is Action.DISPATCH


@pytest.mark.parametrize("files", [1, FILES])
def test_a_chunk_whose_workers_are_lost_again_and_again_is_split_and_a_lone_file_condemned(
    files: int,
) -> None:
    """Each time a worker had begun with it, and its heartbeat stopped."""
    leases = dispatched(CHUNK)
    verdicts: list[Action] = []
    while Action.SPLIT not in verdicts and Action.CONDEMN not in verdicts:
        verdicts.append(lose(leases, CHUNK_KEY, len(verdicts) * LEASE_S, files))
    if files > 1:
        assert verdicts == [Action.DISPATCH] * RETRIES + [Action.SPLIT]
    else:
        assert verdicts == [Action.DISPATCH] * (MOST_TRIES - 1) + [Action.CONDEMN]


def test_without_retries_a_chunk_is_split_at_once_but_a_lone_file_has_all_its_tries() -> None:
    assert lose(dispatched(CHUNK, leases=made(retries=0)), CHUNK_KEY, 0.0, FILES) is Action.SPLIT
    leases = dispatched(CHUNK, leases=made(retries=0))
    verdicts = [lose(leases, CHUNK_KEY, turn * LEASE_S) for turn in range(MOST_TRIES)]
    assert verdicts == [Action.DISPATCH] * (MOST_TRIES - 1) + [Action.CONDEMN]


def test_a_try_that_redis_did_not_take_is_not_one_more_loss_of_a_worker() -> None:
    leases = dispatched(CHUNK)
    begun = DispatchState(heartbeat=b"a heartbeat", reading=True, files=FILES)
    leases.judge(CHUNK_KEY, begun, 0.0)
    for at in range(9):
        assert leases.judge(CHUNK_KEY, begun, LEASE_S + at) is Action.DISPATCH


@pytest.mark.parametrize("key", [HINT_KEY, CHUNK_KEY])
def test_what_is_lost_before_it_was_read_or_after_is_dispatched_for_ever(key: DispatchKey) -> None:
    """A scan, an insert, or a worker that hangs on a share: no file is to blame."""
    leases = dispatched(HINT, CHUNK)
    for turn in range(30):
        still = DispatchState(heartbeat=str(turn).encode())
        assert leases.judge(key, still, turn * LEASE_S) is Action.WAIT
        assert leases.judge(key, still, (turn + 1) * LEASE_S) is Action.DISPATCH
        leases.dispatched(key, turn, (turn + 1) * LEASE_S)


def test_a_job_that_was_never_started_is_dispatched_for_ever() -> None:
    leases = dispatched(CHUNK)
    for turn in range(1, 30):
        now = turn * LEASE_S
        assert leases.judge(CHUNK_KEY, LOST, now) is Action.DISPATCH
        leases.dispatched(CHUNK_KEY, turn, now)


def test_what_was_dispatched_again_has_a_whole_lease_and_its_old_heartbeat_counts_anew() -> None:
    leases = dispatched(CHUNK)
    leases.judge(CHUNK_KEY, DispatchState(heartbeat=b"1"), 1.0)
    leases.dispatched(CHUNK_KEY, 8, 20.0)
    assert leases.turn_of(CHUNK_KEY) == 8
    assert leases.judge(CHUNK_KEY, LOST, 20.0 + LEASE_S - 0.01) is Action.WAIT
    assert leases.judge(CHUNK_KEY, DispatchState(heartbeat=b"1"), 20.0 + LEASE_S) is Action.WAIT


def test_a_redis_that_began_anew_has_everything_dispatched_at_once() -> None:
    leases = dispatched(HINT, CHUNK)
    leases.judge(CHUNK_KEY, DispatchState(heartbeat=b"1"), 1.0)
    leases.void(2.0)
    assert leases.due(2.0) == [HINT_KEY, CHUNK_KEY]
    assert leases.judge(HINT_KEY, LOST, 2.0) is Action.DISPATCH
    assert leases.judge(CHUNK_KEY, LOST, 2.0) is Action.DISPATCH


def test_a_redis_that_began_anew_does_not_cut_a_pause_short() -> None:
    leases = dispatched(CHUNK)
    leases.judge(CHUNK_KEY, FAILED, 1.0)
    leases.void(1.5)
    assert leases.due(1.99) == []
    assert leases.judge(CHUNK_KEY, LOST, 2.0) is Action.DISPATCH


# ---- leases held, and renewed


def test_a_held_case_is_never_due_until_its_row_is_settled() -> None:
    leases = dispatched(HINT, CHUNK)
    leases.hold(CHUNK_KEY)
    assert leases.due(1e9) == [HINT_KEY]
    leases.void(5.0)
    assert leases.due(1e9) == [HINT_KEY]
    leases.sync([HINT], 6.0)
    leases.sync([HINT, CHUNK], 7.0)
    assert CHUNK_KEY in leases.due(7.0 + LEASE_S)


def test_a_case_may_be_held_before_it_is_met() -> None:
    leases = made()
    leases.hold(CHUNK_KEY)
    assert leases.sync([CHUNK], 0.0) == []
    assert (leases.due(1e9), leases.next_at()) == ([], None)


def test_a_case_that_is_not_whole_is_dispatched_again_at_its_time_and_not_before() -> None:
    leases = dispatched(CHUNK)
    leases.sync([chunk(2, attempts=1)], 1.0)
    leases.try_again(CHUNK_KEY, 3.0)
    assert leases.next_at() == 3.0
    assert leases.judge(CHUNK_KEY, LOST, 2.0) is Action.WAIT
    assert leases.next_at() == 3.0
    assert leases.judge(CHUNK_KEY, WAITS, 3.0) is Action.DISPATCH
    leases.dispatched(CHUNK_KEY, 8, 3.0)
    assert leases.judge(CHUNK_KEY, LOST, 4.0) is Action.WAIT


# ---- failures


def test_pauses_double_up_to_the_longest() -> None:
    leases = dispatched(CHUNK, leases=made(retries=99, longest_s=10.0))
    now, pauses = 0.0, []
    for _ in range(7):
        at = fail_and_wait(leases, CHUNK_KEY, FAILED, now)
        pauses.append(at - now)
        now = at
    assert pauses == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]


def test_a_pause_after_very_many_failures_is_still_the_longest() -> None:
    leases = dispatched(CHUNK)
    now = 0.0
    for _ in range(1500):
        at = fail_and_wait(leases, CHUNK_KEY, FAILED, now)
        now, pause = at, at - now
    assert pause == 600.0


@pytest.mark.parametrize(("chance", "pause_s"), [(0.0, 1.0), (0.5, 1.125), (1.0, 1.25)])
def test_jitter_makes_a_pause_longer_by_a_quarter_at_the_most(
    chance: float, pause_s: float
) -> None:
    leases = dispatched(CHUNK, leases=made(chance=lambda: chance))
    assert fail_and_wait(leases, CHUNK_KEY, FAILED, 0.0) == pause_s


def test_a_failure_is_counted_once_however_often_it_is_seen() -> None:
    leases = dispatched(CHUNK)
    for _ in range(10):
        assert leases.judge(CHUNK_KEY, FAILED, 0.0) is Action.WAIT
    assert leases.judge(CHUNK_KEY, FAILED, 1.0) is Action.DISPATCH
    leases.dispatched(CHUNK_KEY, 8, 1.0)
    assert fail_and_wait(leases, CHUNK_KEY, FAILED, 1.0) == 1.0 + 2.0


@pytest.mark.parametrize("files", [1, FILES])
def test_a_job_that_fails_is_never_split_and_its_file_never_condemned(files: int) -> None:
    """Its worker lives, and told of it: what a file did to a reader, it has settled itself."""
    leases = dispatched(CHUNK)
    now = 0.0
    for _ in range(20):
        now = fail_and_wait(leases, CHUNK_KEY, DispatchState(failed=True, files=files), now)


def test_failures_count_nothing_towards_the_end_of_a_file() -> None:
    leases = dispatched(CHUNK)
    now = 0.0
    for _ in range(MOST_TRIES):
        now = fail_and_wait(leases, CHUNK_KEY, DispatchState(failed=True), now)
    assert lose(leases, CHUNK_KEY, now) is Action.DISPATCH


def test_an_answer_makes_old_failures_and_losses_void() -> None:
    leases = dispatched(CHUNK)
    now = fail_and_wait(leases, CHUNK_KEY, FAILED, 0.0)
    for turn in range(RETRIES):
        assert lose(leases, CHUNK_KEY, now + turn * LEASE_S, FILES) is Action.DISPATCH
    now += RETRIES * LEASE_S
    leases.sync([chunk(2, attempts=1)], now)
    assert lose(leases, CHUNK_KEY, now, FILES) is Action.DISPATCH
    assert fail_and_wait(leases, CHUNK_KEY, FAILED, now) == now + 1.0


@pytest.mark.parametrize("files", [1, FILES])
def test_many_chunks_whose_workers_are_lost_with_none_answered_are_the_machines_fault(
    files: int,
) -> None:
    rows = range(2, 2 + FAILING_CHUNKS)
    leases = dispatched(*map(chunk, rows))
    for turn in range(9):
        for row in rows:
            verdict = lose(leases, DispatchKey(1, row), turn * LEASE_S, files)
            assert verdict is Action.DISPATCH, (turn, row)
    leases.sync([chunk(row) for row in rows[1:]], 1.0)  # one was answered: the machine is well
    verdict = lose(leases, DispatchKey(1, rows[-1]), 9 * LEASE_S, files)
    assert verdict is (Action.SPLIT if files > 1 else Action.CONDEMN)
