"""The pages, the live feed and their guards -> a WSGI application, which answers GET and HEAD."""

from __future__ import annotations

import select
import socket

import msgspec
from flask import Flask, Response, render_template, request
from werkzeug.exceptions import HTTPException

from indexer import errors
from indexer.serving.guards import Guard, seal
from indexer.store import changes
from indexer.web import lists, one, work
from indexer.web.site import HERE, Site

_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; media-src 'self';"
    " connect-src 'self'; form-action 'self'"
)
_YEAR_S = 31_536_000
_MOST_CHANGES = 50
_LIVE_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


def app_of(site: Site, guard: Guard) -> Flask:
    """The application that shows an index."""
    app = Flask("indexer.web", root_path=str(HERE))
    app.config["SEND_FILE_MAX_AGE_DEFAULT"] = _YEAR_S  # their addresses have a hash of the content
    app.url_map.merge_slashes = False  # `//` is not found, and not redirected
    site.dress(app)
    for module in (lists, one, work):
        module.add_to(app, site)
    app.add_url_rule("/events", "events", lambda: _events(site))
    app.add_url_rule("/live.json", "live", lambda: _live(site))
    _guard(app, guard)
    _explain_errors(app)
    return app


def _guard(app: Flask, guard: Guard) -> None:
    def admitted() -> Response | None:
        why = guard.refusal(request)
        if why is not None:
            return _plain(why.text, why.status, why.headers)
        if request.method not in {"GET", "HEAD"}:
            return _plain("these pages only show", 405, {"Allow": "GET, HEAD"})
        return None

    def sealed(response: Response) -> Response:
        response.headers.setdefault("Cache-Control", "no-cache, private")
        seal(response, _POLICY)
        return response

    app.before_request(admitted)
    app.after_request(sealed)


def _explain_errors(app: Flask) -> None:
    def error_page(code: int, title: str, text: str) -> tuple[str, int]:
        typed, again = request.args.get("q", "").strip(), code == 503
        return render_template("error.html", title=title, text=text, q=typed, again=again), code

    def of_index(error: errors.IndexerError) -> tuple[str, int]:
        if isinstance(error, errors.UsageError):
            return error_page(400, "That was not understood", str(error))
        if isinstance(error, errors.HistoryPruned):
            return error_page(410, "Not all of these changes are kept", str(error))
        if isinstance(error, errors.DatabaseMissing):
            return error_page(503, "Nothing is indexed yet", str(error))
        if isinstance(error, errors.DatabaseError):
            return error_page(503, "The index cannot be read now", str(error))
        return error_page(503, "That cannot be shown now", str(error))

    def of_http(error: HTTPException) -> tuple[str, int]:
        code = error.code or 500
        if code == 404:
            return error_page(
                404, "There is nothing here", "The address leads to nothing, or no longer."
            )
        return error_page(code, error.name, error.description or "")

    app.register_error_handler(errors.IndexerError, of_index)
    app.register_error_handler(HTTPException, of_http)


def _plain(text: str, status: int, headers: dict[str, str]) -> Response:
    return Response(f"{text}\n", status, headers, mimetype="text/plain")


def _events(site: Site) -> Response:
    after = _number(request.headers.get("Last-Event-ID") or _after())
    connection = request.environ.get("werkzeug.socket")
    stream = site.feed.open(after, lambda: _is_closed(connection))
    if stream is None:
        return Response("too many pages are open: ask /live.json\n", 503, {"Retry-After": "30"})
    if request.method == "HEAD":
        stream.close()
        return Response("", 200, mimetype="text/event-stream")
    return Response(stream, 200, _LIVE_HEADERS, mimetype="text/event-stream")


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
        count = 0 if after is None else max(0, min(_MOST_CHANGES, newest - after))
        rows = lookup.last_changes(count) if count else []
        items = site.change_items(lookup, [row for row in rows if row.seq > (after or 0)])
    answer = {"line": site.line_text(site.standing.line()), "changes": items, "newest": newest}
    return Response(msgspec.json.encode(answer), 200, _LIVE_HEADERS, mimetype="application/json")


def _after() -> str:
    return request.args.get("after", "")


def _number(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) <= 18 else None
