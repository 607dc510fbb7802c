"""How the work goes: what waits, the last scans, processes, queues, roots and limits."""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Final

import msgspec
from flask import Flask, Response, render_template
from markupsafe import Markup, escape

from indexer.process import age_of
from indexer.results import status_report
from indexer.store import browse, changes
from indexer.store.connection import Connection
from indexer.web.answers import single
from indexer.web.pool import Kept
from indexer.web.site import Site
from indexer.web.words import counted, number, size, span

_DAY_S: Final = 86_400
_DAYS: Final = 14
_AGES: Final = (
    ("under 10 s", 10), ("under a minute", 60), ("under 10 min", 600), ("under an hour", 3600),
    ("under a day", _DAY_S), ("older", float("inf")),
)  # fmt: skip
_INOTIFY: Final = Path("/proc/sys/fs/inotify")
_MOST_CHANGES: Final = 200_000
"""Of which those of the last days are counted."""
_WIDTH = 320
_HEIGHT = 64
_GAP = 2
_WIDEST = 54


def add_to(app: Flask, site: Site) -> None:
    """Add the addresses."""
    days = Kept(site.pool, _days)
    app.add_url_rule("/work", "work", lambda: _work(site, days))
    app.add_url_rule("/metrics", "metrics", lambda: _metrics(site))
    app.add_url_rule("/work.<kind>", "work_data", lambda kind: _work_data(site, kind))


def _status(site: Site) -> status_report.Status:
    counts = site.counts.now()

    def ask() -> status_report.Status:
        with site.pool.reader() as lookup:
            return lookup.status(counts)

    return site.disks.submit(ask).result()


def _metrics(site: Site) -> Response:
    """What `indexer metrics` prints. Raises CannotDo without the extra `metrics`."""
    from indexer.reports.exposition import CONTENT_TYPE, exposition
    from indexer.version import versions

    def ask() -> bytes:
        with site.pool.reader() as lookup:
            return exposition(lookup.measures(), versions())

    return Response(site.disks.submit(ask).result(), content_type=CONTENT_TYPE)


def _work(site: Site, days: Kept[dict[int, int]]) -> str:
    status = _status(site)
    now_s = time.time()
    ages = site.pool.answer("waiting", lambda lookup: browse.pending_since(lookup.connection))
    return render_template(
        "work.html",
        line=site.standing.line(),
        status=status,
        ages=_ages_drawn(ages, now_s),
        days=_days_drawn(days.now(), now_s),
        scans=_scans_drawn(status.scans),
        io=[
            (
                process,
                [_amount_text(amount, age_of(process.pid)) for amount in _bytes_of(process.pid)],
            )
            for process in status.processes
        ],
        watches=_watches(),
    )


def _work_data(site: Site, kind: str) -> Response:
    status = _status(site)
    rows = [{**msgspec.to_builtins(row), **msgspec.to_builtins(row.counts)} for row in status.scans]
    columns = ("id", "kind", "state", "started_at", "ended_at", "seen", "files_read", "seconds")
    return single(kind, status, rows, columns)


def _days(connection: Connection) -> dict[int, int]:
    """Day -> how many changes, of the last days at the time when it is asked."""
    after = changes.newest(connection) - _MOST_CHANGES
    since_ms = int((time.time() - _DAYS * _DAY_S) * 1000)
    return browse.changes_by_day(connection, after, since_ms)


def _ages_drawn(since: Sequence[int], now_s: float) -> Markup:
    counts = dict.fromkeys((name for name, _ in _AGES), 0)
    for at_ms in since:
        age_s = now_s - at_ms / 1000
        counts[next(name for name, most in _AGES if age_s < most)] += 1
    values = [(name, float(count), number(count)) for name, count in counts.items()]
    return bars(values, "What waits, by age")


def _days_drawn(by_day: dict[int, int], now_s: float) -> Markup:
    today = int(now_s // _DAY_S)
    values = []
    for day in range(today - _DAYS + 1, today + 1):
        count = by_day.get(day, 0)
        name = time.strftime("%d %b", time.gmtime(day * _DAY_S))
        values.append((name, float(count), counted(count, "change")))
    return bars(values, f"Changes a day, the last {_DAYS} days")


def _scans_drawn(scans: Sequence[status_report.ScanRow]) -> Markup:
    values = [
        (f"{scan.kind} {scan.id}", scan.counts.seconds, span(scan.counts.seconds))
        for scan in reversed(scans)
    ]
    return bars(values, "How long the last scans took")


def _bytes_of(pid: int) -> tuple[int | None, int | None]:
    """(read, written) by a process since it began, as far as this user may know."""
    found: dict[str, int] = {}
    with suppress(OSError, ValueError):
        for line in Path(f"/proc/{pid}/io").read_text("ascii").splitlines():
            name, _, value = line.partition(": ")
            found[name] = int(value)
    return found.get("read_bytes"), found.get("write_bytes")


def _amount_text(amount: int | None, age_s: float) -> str:
    """Bytes a day; of a process that is younger, all of them and its age."""
    if amount is None:
        return ""
    if age_s < _DAY_S:
        return f"{size(amount)} in {span(age_s)}"
    return f"{size(amount * _DAY_S / age_s)} a day"


def _watches() -> dict[str, Any]:
    """The limits of inotify on this machine."""
    found = {}
    for name in ("max_user_watches", "max_user_instances", "max_queued_events"):
        with suppress(OSError, ValueError):
            found[name] = int((_INOTIFY / name).read_text("ascii"))
    return found


def bars(values: Sequence[tuple[str, float, str]], label: str) -> Markup:
    """A bar for each (name, value, value in words); `label` says what they are."""
    most = max((value for _, value, _ in values), default=0) or 1
    width = min(_WIDEST, _WIDTH / max(1, len(values)))
    left = _WIDTH - width * len(values)
    parts = [_head(label, values)]
    for place, (name, value, words) in enumerate(values):
        height = max(1.0 if value else 0.0, (_HEIGHT - 4) * value / most)
        kind = "bar" if value else "bar none"
        height = height or 1.0
        parts.append(
            Markup(
                '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}" rx="1.5">'
                "<title>{}: {}</title></rect>"
            ).format(
                kind,
                left + place * width,
                _HEIGHT - height,
                max(1.0, width - _GAP),
                height,
                name,
                words,
            )
        )
    parts.append(Markup("</svg>"))
    return Markup("").join(parts)


def _head(label: str, values: Sequence[tuple[str, float, str]]) -> Markup:
    summary = "; ".join(f"{name}: {words}" for name, value, words in values if value) or "nothing"
    return Markup(
        '<svg class="chart" viewBox="0 0 {} {}" preserveAspectRatio="none" role="img"'
        ' aria-label="{}">'
    ).format(_WIDTH, _HEIGHT, escape(f"{label}. {summary}"))
