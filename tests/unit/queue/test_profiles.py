from __future__ import annotations

from pathlib import Path

import pytest

from indexer.errors import UsageError
from indexer.queue.workers.profiles import QUEUES, WorkerRole, worker_roles
from indexer.settings import Settings


def settings(profile: str = "pi", workers: int | None = 3) -> Settings:
    return Settings(db=Path("/library.db"), profile=profile, workers=workers)


def names(found: list[WorkerRole]) -> list[str]:
    return [post.name for post in found]


def test_the_queues_are_the_five_of_the_contract_in_the_order_of_the_stages() -> None:
    assert QUEUES == ("scan", "extract", "batch", "insert", "deferred")


def test_a_pi_has_one_process_with_the_database_and_two_that_read() -> None:
    found = worker_roles(settings(), QUEUES, None)
    assert names(found) == ["insert-batch-scan-deferred", "extract", "extract-2"]


def test_a_server_scans_in_a_process_of_its_own_and_reads_on_all_processors() -> None:
    found = worker_roles(settings("server"), QUEUES, None)
    assert names(found) == [
        "insert-batch-deferred", "scan", "extract", "extract-2", "extract-3"
    ]  # fmt: skip


@pytest.mark.parametrize("profile", ["pi", "server"])
def test_the_flag_says_how_many_read(profile: str) -> None:
    found = worker_roles(settings(profile), QUEUES, 5)
    assert sum(post.reads for post in found) == 5


@pytest.mark.parametrize("profile", ["pi", "server"])
def test_each_queue_is_served_and_each_that_writes_by_one_process_only(profile: str) -> None:
    found = worker_roles(settings(profile), QUEUES, None)
    served = [queue for post in found for queue in post.queues if not post.reads]
    assert sorted([*served, "extract"]) == sorted(QUEUES)
    assert len({post.name for post in found}) == len(found)


@pytest.mark.parametrize("profile", ["pi", "server"])
def test_a_process_that_reads_files_serves_no_other_queue(profile: str) -> None:
    for post in worker_roles(settings(profile), QUEUES, None):
        assert post.reads == ("extract" in post.queues)


@pytest.mark.parametrize("profile", ["pi", "server"])
def test_what_is_inserted_comes_before_what_is_scanned(profile: str) -> None:
    """So that the queues empty before they are filled."""
    for post in worker_roles(settings(profile), QUEUES, None):
        if {"insert", "scan"} <= set(post.queues):
            assert post.queues.index("insert") < post.queues.index("scan")


def test_a_lender_never_opens_the_database() -> None:
    (extractor,) = worker_roles(settings(), ["extract"], 1)
    assert (extractor.name, extractor.reads) == ("extract", True)
    assert not all(post.reads for post in worker_roles(settings(), ["extract", "batch"], 1))


def test_only_what_is_asked_for_is_served() -> None:
    assert names(worker_roles(settings(), ["deferred", "batch"], None)) == ["batch-deferred"]
    assert names(worker_roles(settings("server"), ["scan"], 4)) == ["scan"]
    assert worker_roles(settings(), [], 4) == []


def test_a_queue_that_there_is_not_is_named_with_those_that_there_are() -> None:
    with pytest.raises(UsageError, match=r"no queue default, tags; the queues are scan, extract"):
        worker_roles(settings(), ["tags", "scan", "default"], None)


def test_a_process_takes_jobs_of_changes_before_what_can_wait() -> None:
    assert WorkerRole(("insert", "batch", "deferred")).before("deferred") == ("insert", "batch")
    assert WorkerRole(("deferred",)).before("deferred") == ()
    assert WorkerRole(("scan",)).before("deferred") == ("scan",)
