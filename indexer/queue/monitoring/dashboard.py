"""A Redis -> rq-dashboard's pages about it, on a port of this machine.

rq-dashboard 0.9 is made for a Redis in which everything can be trusted, and for users who open no
other page. Each workaround here has a test in `tests/integration/test_dashboard.py`, and may go
when rq-dashboard passes that without it:

- Some of its pages unpickle what a job carries, also with its `--json`. Here nothing is unpickled.
- Descriptions, tracebacks and names from its addresses become HTML and scripts as they are, and
  ours hold the names of folders. Here they are escaped.
- Any web page may have a browser press its buttons. Here only its own pages may.
- It opens a connection to Redis with each click. Here one client serves all, so that the password
  is stored nowhere else either.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import redis
import rq.serializers
from rq.exceptions import NoSuchJobError

from indexer import errors
from indexer.queue import redis_client
from indexer.serving.guards import (
    Guard,
    Login,
    Refusal,
    check_host,
    is_from_other_site,
    seal,
)
from indexer.serving.server import Served, serving

if TYPE_CHECKING:
    from flask import Flask, Request, Response

    from indexer.settings import Settings

_ANSWER_S: Final = 10.0
"""A guess: the page asks again every 2.5 s, so a Redis that takes longer is as good as down."""
_POLICY: Final = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval'; img-src 'self' data:; form-action 'self'"
)
"""All that its pages need, and nothing of another host."""


class Dashboard:
    """The pages; connections are kept waiting until `serve`."""

    def __init__(self, served: Served, warning: str | None) -> None:
        self.url = served.url
        self.warning = warning
        """What is wrong with the Redis now, and what to do; the pages show it, too."""
        self.serve = served.serve


@contextmanager
def opened(settings: Settings, host: str, port: int, login: Login | None) -> Iterator[Dashboard]:
    """The dashboard of the Redis in the settings, with the port opened; 0: any that is free.

    SIGINT and SIGTERM wait until `serve` sees them. Raises UsageError where it would be open to
    others or no Redis is named, CannotDo without the extra `dashboard` or where the port fails.
    """
    reach = "read the queues and empty them"
    check_host(host, login, reach, "INDEXER_DASHBOARD_USER and INDEXER_DASHBOARD_PASSWORD")
    client = redis_client.connect(settings, timeout_s=_ANSWER_S)
    try:
        app = _app(client, settings, Guard(login, settings.web_hosts))
        with serving(app, host, port) as served:
            yield Dashboard(served, _warning(client, settings))
    finally:
        client.close()


def _warning(client: redis.Redis, settings: Settings) -> str | None:
    try:
        with redis_client.answering(settings):
            return redis_client.state_of(client).warning
    except errors.QueueError as error:
        return str(error)


def _app(client: redis.Redis, settings: Settings, guard: Guard) -> Flask:
    try:
        import flask
        import jinja2
        import rq_dashboard.web as pages  # type: ignore[import-untyped]
    except ImportError as error:
        raise errors.ExtraMissing("the dashboard", error.name, "dashboard") from error

    folder = Path(pages.__file__).with_name("templates")
    _never_unpickle()
    pages.config.serializer = _Readable
    pages.from_url = lambda _url, **_options: (None, client)
    app = flask.Flask("rq_dashboard")
    app.jinja_loader = jinja2.FunctionLoader(lambda name: _escaping((folder / name).read_text()))
    app.config["RQ_DASHBOARD_REDIS_URL"] = redis_client.shown(settings)
    pages.setup_rq_connection(app)
    app.register_blueprint(pages.blueprint)

    def admitted() -> Response | None:
        why = _refusal(flask.request, guard)
        if why is None:
            return None
        return flask.Response(f"{why.text}\n", why.status, why.headers, mimetype="text/plain")

    app.before_request(admitted)
    app.after_request(lambda response: seal(response, _POLICY))
    for away in (redis.ConnectionError, redis.TimeoutError, redis.InvalidResponse):
        app.register_error_handler(away, lambda _error: ("no Redis answers\n", 503))
    app.register_error_handler(NoSuchJobError, lambda _error: ("there is no such job\n", 404))
    return app


def _refusal(request: Request, guard: Guard) -> Refusal | None:
    """Why a request is not answered, or None."""
    refusal = guard.refusal(request)
    if refusal is not None:
        return refusal
    if request.method in {"GET", "HEAD"}:
        # A GET that requeues all of a queue: its pages do not use it, others could.
        is_button = request.path.startswith("/requeue/")
        return Refusal(405, "use the button") if is_button else None
    if is_from_other_site(request):
        return Refusal(403, "requests from other pages are refused")
    return None


def _escaping(template: str) -> str:
    """A template whose values are escaped wherever it does not do so itself.

    Of underscore.js's two tags `<%=` puts a value in as it is, and `<%-` as text.
    """
    template = re.sub(r"<%=(?!\s*\$\('<div/>'\)\.text\()", "<%-", template)
    return template.replace("'{{ queue.name }}'", "{{ queue.name|tojson }}")


def _never_unpickle() -> None:
    """Wherever RQ or the pages name no serializer, this process uses JSON."""
    rq.serializers.PickleSerializer = _Readable  # type: ignore[assignment]


class _Opaque(list[Any]):
    """Data that is not JSON, in a form that a page can show: like a call of that name."""

    def __init__(self, data: bytes) -> None:
        super().__init__(["(not JSON)", None, [], {}])
        self.data = data


class _Readable:
    """A serializer for RQ that shows JSON and passes everything else on unchanged."""

    @staticmethod
    def dumps(value: object) -> bytes:
        return value.data if isinstance(value, _Opaque) else json.dumps(value).encode()

    @staticmethod
    def loads(data: bytes) -> Any:  # noqa: ANN401 - RQ asks for whatever it stored
        try:
            return json.loads(data)
        except (ValueError, RecursionError):
            return _Opaque(data)
