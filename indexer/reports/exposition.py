"""Measures -> metrics of Prometheus, in its text format.

The one place for names, types and help: `indexer metrics` prints them, and a page can serve them.
Those of the queues have the names of rq-exporter, so that its dashboards fit.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from indexer import errors
from indexer.reports.measures import Measures
from indexer.results.status_report import RelayStatus, Status
from indexer.runs.throughput import Step, Totals

if TYPE_CHECKING:
    from prometheus_client import Metric

CONTENT_TYPE: Final = "text/plain; version=0.0.4; charset=utf-8"
_PREFIX: Final = "music_indexer_"
_STATES: Final = ("idle", "scanning", "watching", "polling", "offline")
_CHANGES: Final = ("added", "modified", "moved", "missing", "returned")
_RECOVERIES: Final = ("overflow", "index repaired")
"""Told also where there was none, so that a first one is an increase; others as they come."""

Sample = tuple[tuple[str, ...], float]
"""The values of the labels, and the number."""


def exposition(measures: Measures, versions: Mapping[str, str]) -> bytes:
    """The whole text. Raises CannotDo where prometheus_client is not installed."""
    with _installed():
        from prometheus_client import CollectorRegistry, generate_latest
        from prometheus_client.registry import Collector

    class _Families(Collector):
        """What the registry asks."""

        def collect(self) -> Iterator[Metric]:
            return families(measures, versions)

    registry = CollectorRegistry(auto_describe=False)
    registry.register(_Families())
    return generate_latest(registry)


def samples(measures: Measures, versions: Mapping[str, str]) -> Iterator[dict[str, object]]:
    """Each number as `{name, labels, value}`. Raises CannotDo as `exposition`."""
    with _installed():
        for family in families(measures, versions):
            for one in family.samples:
                yield {"name": one.name, "labels": one.labels, "value": float(one.value)}


@contextmanager
def _installed() -> Iterator[None]:
    """Say what to install where the library is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        raise errors.ExtraMissing("the format of Prometheus", error.name, "metrics") from error


def families(measures: Measures, versions: Mapping[str, str]) -> Iterator[Metric]:
    """Every family, also those that have nothing to tell now."""
    status = measures.status
    yield _gauge(
        "build_info", "The version of the program and of what it stands on.",
        [((versions["music-indexer"], versions["Python"], versions["SQLite"]), 1.0)],
        "version", "python", "sqlite",
    )  # fmt: skip
    yield _gauge("up", "Whether the daemon runs.", status.daemon.running)
    yield from _of_index(measures)
    yield from _of_roots(status)
    yield from _counters(measures)
    yield from _times(measures)
    yield from _of_processes(measures)
    yield from _of_queues(measures)


def _of_index(measures: Measures) -> Iterator[Metric]:
    status = measures.status
    yield _gauge(
        "tracks", "Tracks in the view `library`.",
        [((root.name,), root.tracks) for root in status.roots], "root",
    )  # fmt: skip
    yield _gauge(
        "missing_tracks", "Tracks whose file is gone, and whose ids are kept.",
        [((name,), number) for name, number in measures.missing.items()], "root",
    )  # fmt: skip
    yield _gauge(
        "problems", "Files, folders and pictures that could not be read.",
        [((kind,), number) for kind, number in measures.problems.items()], "kind",
    )  # fmt: skip
    yield _gauge("pending", "Hints and chunks that are not settled yet.", status.pending)
    yield _gauge(
        "pending_oldest_age_seconds", "The age of the oldest of them; 0 where there is none.",
        status.oldest_pending_seconds or 0.0,
    )  # fmt: skip
    yield _gauge(
        "error_ratio", "Fraction of the files read in the last minute that have a problem.",
        status.error_rate,
    )  # fmt: skip
    yield _gauge(
        "damage", "Differences in the index itself that the last `verify` found.",
        measures.verified.damage,
    )  # fmt: skip
    yield _gauge(
        "verify_differences", "Files that the last `verify` found to differ from their row.",
        measures.verified.differences,
    )  # fmt: skip


def _of_roots(status: Status) -> Iterator[Metric]:
    yield _gauge(
        "root_state", "1 for the state of the root, 0 for the others.",
        [
            ((root.name, state), float(root.state == state))
            for root in status.roots
            for state in _STATES
        ],
        "root", "state",
    )  # fmt: skip
    yield _gauge(
        "relay_up", "Whether the relay of the root was heard lately; of roots that have one.",
        [
            ((root.name, root.relay.host), float(root.relay.alive))
            for root in status.roots
            if isinstance(root.relay, RelayStatus)
        ],
        "root", "host",
    )  # fmt: skip
    daemon = status.daemon
    yield _gauge("watched_folders", "Folders with an inotify watch.", daemon.watched_folders)
    yield _gauge(
        "unwatched_folders", "Folders that could not be watched, and are looked at now and then.",
        daemon.unwatched_folders,
    )  # fmt: skip


def _counters(measures: Measures) -> Iterator[Metric]:
    totals = measures.totals
    yield _counter(
        "files", "Files by stage, of the daemon since its start or of all workers since Redis's.",
        [] if totals is None else [((step.value,), getattr(totals, step)) for step in Step],
        "stage",
    )  # fmt: skip
    for name, field, help_text in (
        ("read_bytes", "bytes_read", "Bytes read of files, for tags and for artwork."),
        ("written_bytes", "bytes_written", "Bytes that the daemon has written to disks."),
        ("cache_hits", "cache_hits", "Files that were looked at, and had to be read no more."),
    ):
        yield _counter(name, help_text, _number(totals, field))
    changes = measures.changes
    yield _counter(
        "changes", "Changes of the view `library` since the daemon's start.",
        [((kind,), changes.get(kind, 0)) for kind in _CHANGES], "kind",
    )  # fmt: skip
    recoveries = {**dict.fromkeys(_RECOVERIES, 0), **measures.status.daemon.recoveries}
    yield _counter(
        "recoveries", "How often changes may have been missed, and all was looked at again.",
        [((reason,), number) for reason, number in sorted(recoveries.items())], "reason",
    )  # fmt: skip


def _number(totals: Totals | None, field: str) -> list[Sample]:
    return [] if totals is None else [((), getattr(totals, field))]


def _times(measures: Measures) -> Iterator[Metric]:
    for what, at_ms, help_text in (
        ("scan", measures.last_scan_ms, "When the last `scan` or `rebuild` ended"),
        ("reconcile", measures.last_reconcile_ms,
         "When the daemon last looked at everything of the root for which it is longest ago"),
        ("verify", measures.verified.at_ms, "When the last `verify` ended"),
    ):  # fmt: skip
        yield _gauge(f"last_{what}_timestamp_seconds", f"{help_text}; 0: never.", at_ms / 1000)


def _of_processes(measures: Measures) -> Iterator[Metric]:
    memory: dict[tuple[str, ...], float] = defaultdict(float)
    cpu_s: dict[tuple[str, ...], float] = defaultdict(float)
    workers = measures.status.workers
    ours = {one.pid for one in workers if one.host == measures.host}
    ours |= {pid for one in workers if one.host == measures.host for pid in one.readers}
    for process in measures.status.processes:
        if process.pid not in ours:
            memory[process.role, measures.host] += process.memory
            cpu_s[process.role, measures.host] += process.cpu_seconds
    for worker in workers:
        place = ",".join(worker.queues), worker.host
        memory[place] += worker.memory or 0
        cpu_s[place] += worker.cpu_seconds or 0.0
    yield _gauge(
        "process_resident_memory_bytes",
        "Memory of the processes of a role; of workers with that of their readers.",
        sorted(memory.items()), "role", "host",
    )  # fmt: skip
    yield _counter(
        "process_cpu_seconds", "User and system time of the processes of a role.",
        sorted(cpu_s.items()), "role", "host",
    )  # fmt: skip


def _of_queues(measures: Measures) -> Iterator[Metric]:
    status = measures.status
    jobs = [
        ((queue.name, state), float(getattr(queue, state)))
        for queue in status.queues.values()
        for state in ("queued", "started", "failed")
    ]
    jobs += [(place, number) for place, number in measures.other_jobs.items()]
    yield _gauge("rq_jobs", "RQ jobs by state.", sorted(jobs), "queue", "status", prefix="")
    workers = [(one, ",".join(one.queues)) for one in status.workers]
    yield _gauge(
        "rq_workers", "RQ workers.",
        [((one.name, one.state, queues), 1.0) for one, queues in workers],
        "name", "state", "queues", prefix="",
    )  # fmt: skip
    for name, field, help_text in (
        ("success", "jobs_done", "RQ workers success count."),
        ("failed", "jobs_failed", "RQ workers fail count."),
        ("working_time", "working_seconds", "RQ workers spent seconds."),
    ):
        yield _counter(
            f"rq_workers_{name}", help_text,
            [((one.name, queues), getattr(one, field)) for one, queues in workers],
            "name", "queues", prefix="",
        )  # fmt: skip


def _gauge(
    name: str, text: str, samples: float | Iterable[Sample], *labels: str, prefix: str = _PREFIX
) -> Metric:
    from prometheus_client.core import GaugeMetricFamily

    if isinstance(samples, (int, float)):
        samples = [((), samples)]
    family = GaugeMetricFamily(prefix + name, text, labels=labels)
    for values, number in samples:
        family.add_metric(_labels(values), number)
    return family


def _counter(
    name: str, text: str, samples: Iterable[Sample], *labels: str, prefix: str = _PREFIX
) -> Metric:
    """`_total` is appended to the name."""
    from prometheus_client.core import CounterMetricFamily

    family = CounterMetricFamily(prefix + name, text, labels=labels)
    for values, number in samples:
        family.add_metric(_labels(values), number)
    return family


def _labels(values: Iterable[str]) -> list[str]:
    """Values that can be written: a name that is not UTF-8 has lone surrogates."""
    return [value.encode("utf-8", "backslashreplace").decode() for value in values]
