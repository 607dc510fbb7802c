"""Redis, the lock and /proc -> rates of the stages, queue lengths, and resources of processes."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any

from msgspec.structs import replace

from indexer import errors
from indexer.process import age_of, percent, spent_by
from indexer.results import status_report
from indexer.runs.lock import LockInfo
from indexer.runs.throughput import rates_of
from indexer.settings import Settings


def vitals(
    settings: Settings,
    dispatcher: LockInfo | None,
    scans: Sequence[status_report.ScanRow],
    roots: Sequence[status_report.RootStatus],
) -> dict[str, Any]:
    """The fields of a `Status` that are not in the database; `roots` get their relays."""
    now_s = time.time()
    buckets = () if dispatcher is None else dispatcher.pace
    found: dict[str, Any] = {
        "roots": tuple(roots),
        "last_scan_rates": _rates_of_last(scans),
        **rates_of(buckets, now_s)._asdict(),
    }
    processes = []
    if dispatcher is not None and (pid := dispatcher.pid_here()) is not None:
        processes += _process(dispatcher.role, pid)
    if settings.redis is not None:
        found |= _queues(settings, now_s, roots)
        import socket  # late: most indexes have no workers

        for worker in found.get("workers", ()):
            if worker.host == socket.gethostname():
                processes += _process(",".join(worker.queues), worker.pid)
                for pid in worker.readers:
                    processes += _process("reader", pid)
    return {**found, "processes": tuple(processes)}


def _queues(
    settings: Settings, now_s: float, roots: Sequence[status_report.RootStatus]
) -> dict[str, Any]:
    from indexer.queue import redis_client
    from indexer.queue.monitoring import monitor
    from indexer.queue.orders.kept_orders import cache_status
    from indexer.queue.relays import relay_statuses

    address = redis_client.shown(settings)
    try:
        with monitor.connected(settings) as client:
            state = redis_client.state_of(client)
            queues = monitor.queue_statuses(client, now_s)
            workers = monitor.worker_statuses(client, now_s)
            seen = monitor.RedisRates(client).seen()
            cache = cache_status(client)
            relays = relay_statuses(client, [root.name for root in roots])
    except errors.QueueError as error:
        return {
            "redis": status_report.RedisStatus(address=address, answers=False, detail=str(error))
        }
    return {
        "redis": status_report.RedisStatus(
            address=address,
            answers=True,
            detail=state.warning,
            version=state.version,
            memory=state.memory,
            cache=cache,
        ),
        "queues": {queue.name: queue for queue in queues},
        "workers": tuple(workers),
        "roots": tuple(
            replace(root, relay=relays[root.name]) if root.name in relays else root
            for root in roots
        ),
        **seen._asdict(),
    }


def _rates_of_last(scans: Sequence[status_report.ScanRow]) -> status_report.Rates:
    ended = next((scan.counts for scan in scans if scan.ended_at and scan.counts.seconds), None)
    if ended is None:
        return status_report.Rates()
    written = ended.added + ended.modified + ended.moved + ended.returned
    return status_report.Rates(
        discovery=round(ended.seen / ended.seconds, 1),
        extraction=round(ended.files_read / ended.seconds, 1),
        insertion=round(written / ended.seconds, 1),
    )


def _process(role: str, pid: int) -> list[status_report.ProcessStatus]:
    spent = spent_by(pid)
    if spent is None:
        return []
    memory, cpu_s = spent
    return [
        status_report.ProcessStatus(
            role=role,
            pid=pid,
            memory=memory,
            cpu_seconds=round(cpu_s, 2),
            cpu_percent=percent(cpu_s, age_of(pid)),
        )
    ]
