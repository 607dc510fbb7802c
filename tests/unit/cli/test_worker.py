from __future__ import annotations

from indexer.cli.queues import serving, serving_line
from indexer.queue.workers.profiles import WorkerRole

ADDRESS = "unix:///run/redis.sock"


def test_a_worker_says_which_queues_it_serves_and_how_it_ends() -> None:
    roles = [WorkerRole(("insert", "scan")), WorkerRole(("extract",)), WorkerRole(("extract",), 2)]
    assert serving_line(serving(roles, ADDRESS), burst=False) == (
        "serves insert, scan, extract of unix:///run/redis.sock, 2 processes reading files; "
        "Ctrl-C stops; a job that is cut off is done again"
    )


def test_a_worker_that_reads_no_files_says_nothing_of_them() -> None:
    assert serving_line(serving([WorkerRole(("insert",))], ADDRESS), burst=True) == (
        "serves insert of unix:///run/redis.sock; ends when they are empty"
    )
