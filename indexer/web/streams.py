"""The live feed: events for open pages, and the same when it is asked for."""

from __future__ import annotations

import select
import socket

import msgspec
from flask import Flask, Response, request

from indexer.store import changes
from indexer.web.site import Site

_MOST = 50
_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def add_to(app: Flask, site: Site) -> None:
    """Add the addresses of the feed."""
    app.add_url_rule("/events", "events", lambda: _events(site))
    app.add_url_rule("/live.json", "live", lambda: _live(site))


def _events(site: Site) -> Response:
    after = _number(request.headers.get("Last-Event-ID") or _after())
    connection = request.environ.get("werkzeug.socket")
    stream = site.feed.open(after, lambda: _is_closed(connection))
    if stream is None:
        return Response("too many pages are open: ask /live.json\n", 503, {"Retry-After": "30"})
    if request.method == "HEAD":
        stream.close()
        return Response("", 200, mimetype="text/event-stream")
    return Response(stream, 200, _HEADERS, mimetype="text/event-stream")


def _is_closed(connection: socket.socket | None) -> bool:
    """Whether the browser has closed its end; it sends nothing more on such a connection."""
    if connection is None:
        return False
    poll = select.poll()
    try:
        poll.register(connection, select.POLLIN)
        return bool(poll.poll(0)) and not connection.recv(1, socket.MSG_PEEK)
    except (OSError, ValueError):
        return True


def _live(site: Site) -> Response:
    """The line, and the changes after the number `after`, the oldest first."""
    after = _number(_after())
    with site.pool.reader() as lookup:
        newest = changes.newest(lookup.connection)
        count = 0 if after is None else max(0, min(_MOST, newest - after))
        rows = lookup.last_changes(count) if count else []
        items = site.change_items(lookup, [row for row in rows if row.seq > (after or 0)])
    answer = {"line": site.line_text(site.standing.line()), "changes": items, "newest": newest}
    return Response(msgspec.json.encode(answer), 200, _HEADERS, mimetype="application/json")


def _after() -> str:
    return request.args.get("after", "")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
