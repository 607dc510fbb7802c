from __future__ import annotations

from collections.abc import Iterator

import pytest
import redis

from indexer.queue.monitoring.monitor import RedisRates
from indexer.results.status_report import Rates
from indexer.runs.throughput import LastMinute, Step, Totals
from tests.clock import Clock
from tests.redis_servers import redis_server

NOTHING = LastMinute(Rates(), 0.0)


@pytest.fixture(scope="module")
def address(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.address


@pytest.fixture
def client(address: str) -> Iterator[redis.Redis]:
    with redis.Redis.from_url(address) as client:
        client.flushall()
        yield client


@pytest.fixture
def clock() -> Clock:
    return Clock(1_700_000_000.0)


@pytest.fixture
def rates(client: redis.Redis, clock: Clock) -> RedisRates:
    return RedisRates(client, clock)


def test_nothing_counted_is_a_rate_of_nothing(rates: RedisRates) -> None:
    assert rates.seen() == NOTHING


def test_a_rate_is_of_the_time_in_which_something_was_counted(
    rates: RedisRates, clock: Clock
) -> None:
    for _ in range(6):
        rates.count(Step.DISCOVERY, 100)
        clock.now += 5
    rates.count(Step.INSERTION, 7)
    clock.now += 15
    assert rates.seen().rates == Rates(discovery=17.1, insertion=0.2)


def test_all_processes_count_in_one_place(
    rates: RedisRates, client: redis.Redis, clock: Clock
) -> None:
    rates.count(Step.EXTRACTION, 60)
    RedisRates(client, clock).count(Step.EXTRACTION, 60)
    assert rates.seen().rates.extraction == 24.0


def test_what_is_older_than_a_minute_no_longer_counts(rates: RedisRates, clock: Clock) -> None:
    rates.count(Step.DISCOVERY, 600)
    clock.now += 54
    assert rates.seen().rates.discovery == 120.0
    clock.now += 6
    assert rates.seen() == NOTHING


def test_the_error_rate_is_the_part_of_what_was_read(rates: RedisRates) -> None:
    rates.count(Step.EXTRACTION, 3, 1)
    rates.count(Step.DISCOVERY, 1000)
    assert rates.seen().error_rate == 0.3333
    rates.count(Step.EXTRACTION, 1)
    assert rates.seen().error_rate == 0.25


def test_more_failures_than_files_are_all_of_them_and_none_read_is_no_rate(
    rates: RedisRates,
) -> None:
    rates.count(Step.EXTRACTION, 0, 5)
    assert rates.seen().error_rate == 0.0
    rates.count(Step.EXTRACTION, 2)
    assert rates.seen().error_rate == 1.0


def test_counting_nothing_writes_nothing(rates: RedisRates, client: redis.Redis) -> None:
    rates.count(Step.DISCOVERY, 0)
    assert client.dbsize() == 0


def test_what_was_counted_goes_by_itself(
    rates: RedisRates, client: redis.Redis, clock: Clock
) -> None:
    for _ in range(3):
        rates.count(Step.DISCOVERY, 1)
        clock.now += 5
    ends = [client.ttl(key) for key in client.scan_iter(match="music-indexer:rates:*")]
    assert len(ends) == 3
    assert all(60 <= end <= 120 for end in ends)


def test_what_was_done_since_the_start_of_redis_only_grows(rates: RedisRates, clock: Clock) -> None:
    assert rates.totals() == Totals()
    rates.count(Step.EXTRACTION, 5, 2)
    rates.add_totals(bytes_read=1000, cache_hits=0)
    clock.now += 3600
    rates.count(Step.EXTRACTION, 1)
    rates.add_totals(bytes_read=24, cache_hits=3)
    assert rates.totals() == Totals(extraction=6, bytes_read=1024, cache_hits=3)
