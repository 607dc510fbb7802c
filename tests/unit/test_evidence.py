from __future__ import annotations

import pytest
from msgspec.structs import replace

from indexer.evidence import (
    AHEAD_NS,
    TICK_NS,
    WAITING,
    FileLease,
    Wholeness,
    granularity_of,
    is_settled,
    judge,
    tick_left_ns,
)
from indexer.model import Evidence, Stamp, Waiting

SECOND = 1_000_000_000
EVEN = 1_800_000_000 * SECOND
NOW = EVEN + 123_456_789
"""On a nanosecond clock hardly any time is a whole second."""
EVIDENCE = Evidence(still_s=2, held_s=60)


def changed(ago_s: float) -> Stamp:
    """The stamp of a file that changed `ago_s` seconds ago."""
    ctime_ns = NOW - round(ago_s * SECOND)
    return Stamp(size=1, mtime_ns=ctime_ns, ctime_ns=ctime_ns, inode=1)


def test_a_file_without_writers_is_read_as_soon_as_its_tick_is_over() -> None:
    assert judge(changed(ago_s=0.02), NOW, FileLease.GRANTED, EVIDENCE) is Wholeness.READ


def test_a_file_of_the_current_tick_is_too_young_though_it_is_not_open() -> None:
    assert judge(changed(ago_s=0), NOW, FileLease.GRANTED, EVIDENCE) is Wholeness.WAIT_YOUNG


def test_a_file_that_a_writer_holds_waits() -> None:
    assert judge(changed(ago_s=59.9), NOW, FileLease.REFUSED, EVIDENCE) is Wholeness.WAIT_WRITER


def test_a_held_file_that_stood_still_for_long_is_read_all_the_same() -> None:
    assert judge(changed(ago_s=60), NOW, FileLease.REFUSED, EVIDENCE) is Wholeness.READ_HELD


def test_without_a_lease_a_file_waits_until_it_stood_still() -> None:
    assert judge(changed(ago_s=1.9), NOW, FileLease.UNAVAILABLE, EVIDENCE) is Wholeness.WAIT_YOUNG
    assert judge(changed(ago_s=2), NOW, FileLease.UNAVAILABLE, EVIDENCE) is Wholeness.READ


@pytest.mark.parametrize("lease", [FileLease.GRANTED, FileLease.UNAVAILABLE])
def test_a_change_in_the_future_counts_as_old(lease: FileLease) -> None:
    assert judge(changed(ago_s=-3600), NOW, lease, EVIDENCE) is Wholeness.READ


def test_a_held_file_from_the_future_is_read_as_a_held_one() -> None:
    assert judge(changed(ago_s=-3600), NOW, FileLease.REFUSED, EVIDENCE) is Wholeness.READ_HELD


@pytest.mark.parametrize(
    ("lease", "verdict"),
    [
        (FileLease.GRANTED, Wholeness.WAIT_YOUNG),
        (FileLease.UNAVAILABLE, Wholeness.WAIT_YOUNG),
        (FileLease.REFUSED, Wholeness.WAIT_WRITER),
    ],
)
def test_a_change_a_little_ahead_of_the_coarse_clock_is_not_the_future(
    lease: FileLease, verdict: Wholeness
) -> None:
    """Time stamps of Linux 6.13 and later are up to a tick ahead of the clock we compare with."""
    assert judge(changed(ago_s=-0.005), NOW, lease, EVIDENCE) is verdict


def test_without_a_wait_for_stillness_the_tick_is_still_waited_for() -> None:
    at_once = Evidence(still_s=0, held_s=0)
    for lease in FileLease:
        for ago_s in (0, -0.003):
            assert judge(changed(ago_s), NOW, lease, at_once) is Wholeness.WAIT_YOUNG


def test_a_coarse_file_system_keeps_a_file_young_for_longer() -> None:
    fat = Evidence(granularity_ns=2 * SECOND)
    now = replace(changed(ago_s=0), ctime_ns=EVEN)
    assert judge(now, EVEN + 3 * SECOND // 2, FileLease.GRANTED, fat) is Wholeness.WAIT_YOUNG
    assert judge(now, EVEN + 2 * SECOND, FileLease.GRANTED, fat) is Wholeness.READ


@pytest.mark.parametrize(
    ("ctime_ns", "disk_ns", "is_ns"),
    [
        (NOW, 0, 0),
        (EVEN, 0, SECOND),
        (EVEN + SECOND, 0, SECOND),
        (EVEN + 1, 0, 0),
        (EVEN + 10_000_000, 10_000_000, 10_000_000),
        (EVEN, 10_000_000, SECOND),
        (NOW, SECOND, SECOND),
        (EVEN + SECOND, SECOND, SECOND),
        (EVEN, SECOND, 2 * SECOND),
        (NOW, 2 * SECOND, 2 * SECOND),
        (EVEN + SECOND, 2 * SECOND, 2 * SECOND),
        (EVEN, 5 * SECOND, 5 * SECOND),
        (-3 * SECOND, 0, SECOND),
        (0, 0, SECOND),
    ],
)
def test_a_whole_second_is_taken_for_the_clock_that_it_looks_like(
    ctime_ns: int, disk_ns: int, is_ns: int
) -> None:
    assert granularity_of(ctime_ns, disk_ns) == is_ns


@pytest.mark.parametrize("lease", FileLease)
@pytest.mark.parametrize(("disk_ns", "step_ns"), [(0, SECOND), (SECOND, 2 * SECOND)])
def test_no_file_of_a_whole_second_is_read_while_a_write_could_carry_its_stamp(
    lease: FileLease, disk_ns: int, step_ns: int
) -> None:
    at_once = Evidence(still_s=0, held_s=0, granularity_ns=disk_ns)
    file = Stamp(size=1, mtime_ns=EVEN, ctime_ns=EVEN, inode=1)
    for now_ns in range(EVEN, EVEN + step_ns, SECOND // 10):
        assert judge(file, now_ns, lease, at_once) is Wholeness.WAIT_YOUNG
        assert tick_left_ns(EVEN, now_ns, disk_ns) == EVEN + step_ns - now_ns
    assert judge(file, EVEN + step_ns, lease, at_once) in {Wholeness.READ, Wholeness.READ_HELD}


def test_a_verdict_says_what_is_waited_for() -> None:
    assert [WAITING.get(verdict) for verdict in Wholeness] == [
        None,
        None,
        Waiting.WRITER,
        Waiting.YOUNG,
    ]


def test_nothing_of_the_tick_is_left_once_the_clock_has_moved() -> None:
    assert tick_left_ns(NOW, NOW + 1, 0) == 0


def test_a_tick_is_left_while_the_clock_shows_the_time_of_the_change() -> None:
    assert tick_left_ns(NOW, NOW, 0) == TICK_NS


def test_what_is_left_of_a_coarse_tick_ends_at_its_boundary() -> None:
    assert tick_left_ns(EVEN, EVEN + SECOND // 2, 2 * SECOND) == 3 * SECOND // 2
    assert tick_left_ns(EVEN, EVEN + 2 * SECOND - 1, 2 * SECOND) == TICK_NS
    assert tick_left_ns(EVEN, EVEN + 2 * SECOND, 2 * SECOND) == 0


def test_a_change_within_a_coarse_tick_waits_for_that_ticks_end() -> None:
    """With a coarsened granularity, a fine stamp is compared in whole seconds, too."""
    assert tick_left_ns(EVEN + 1, EVEN + SECOND - 1, SECOND) > 0
    assert tick_left_ns(EVEN + 1, EVEN + SECOND, SECOND) == 0


def test_no_tick_is_left_for_a_change_in_the_future() -> None:
    assert tick_left_ns(NOW + AHEAD_NS + 1, NOW, 0) == 0
    assert tick_left_ns(NOW + AHEAD_NS, NOW, 0) > 0


def test_a_file_without_a_write_for_long_is_settled() -> None:
    assert not is_settled(changed(ago_s=900), NOW, 0)
    assert is_settled(changed(ago_s=900.001), NOW, 0)
    assert not is_settled(changed(ago_s=901), NOW, 2 * SECOND)


def test_a_file_is_settled_only_when_both_of_its_times_say_so() -> None:
    """FAT has no ctime, and an mtime can be set to any time."""
    old, new = changed(ago_s=3600), changed(ago_s=1)
    assert not is_settled(replace(old, mtime_ns=new.mtime_ns), NOW, 0)
    assert not is_settled(replace(old, ctime_ns=new.ctime_ns), NOW, 0)


def test_a_file_from_the_future_is_not_settled() -> None:
    assert not is_settled(changed(ago_s=-3600), NOW, 0)
