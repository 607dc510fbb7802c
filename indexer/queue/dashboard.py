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

import hmac
import ipaddress
import json
import logging
import os
import re
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import redis
import rq.serializers
from msgspec import Struct
from rq.exceptions import NoSuchJobError

from indexer import errors
from indexer.queue import redis_client

if TYPE_CHECKING:
    from flask import Flask, Request, Response
    from werkzeug.serving import BaseWSGIServer

    from indexer.settings import Settings

_ANSWER_S: Final = 10.0
"""A guess: the page asks again every 2.5 s, so a Redis that takes longer is as good as down."""
_SHUTDOWN_POLL_S: Final = 0.1
_POLICY: Final = (
    "default-src 'self' 'unsafe-inline' 'unsafe-eval'; img-src 'self' data:;"
    " frame-ancestors 'none'; form-action 'self'; base-uri 'none'"
)
"""All that its pages need, and nothing of another host; and no page may put a frame around them."""


class Login(Struct, frozen=True):
    """The user and password that give access."""

    user: str
    password: str


class Dashboard:
    """The pages; connections are kept waiting until `serve`."""

    def __init__(self, server: BaseWSGIServer, url: str, warning: str | None) -> None:
        self.url = url
        self.warning = warning
        """What is wrong with the Redis now, and what to do; the pages show it, too."""
        self._server = server
        self._ends = [
            number
            for number in (signal.SIGINT, signal.SIGTERM)
            if signal.getsignal(number) != signal.SIG_IGN  # `nohup`, or `&` in a script
        ]

    def serve(self) -> None:
        """Serve until SIGINT or SIGTERM."""
        thread = Thread(target=self._server.serve_forever, args=(_SHUTDOWN_POLL_S,), daemon=True)
        thread.start()
        signal.sigwait(self._ends)
        self._server.shutdown()
        thread.join()

    @contextmanager
    def signals_held(self) -> Iterator[None]:
        """Hold signals back until `serve`, so that none ends the process just before it."""
        before = signal.pthread_sigmask(signal.SIG_BLOCK, self._ends)
        try:
            yield
        finally:
            while signal.sigtimedwait(self._ends, 0):
                pass
            signal.pthread_sigmask(signal.SIG_SETMASK, before)


@contextmanager
def opened(settings: Settings, host: str, port: int, login: Login | None) -> Iterator[Dashboard]:
    """The dashboard of the Redis in the settings, with the port opened; 0: any that is free.

    SIGINT and SIGTERM wait until `serve` sees them. Raises UsageError where it would be open to
    others or no Redis is named, CannotDo without the extra `dashboard` or where the port fails.
    """
    if login is None and not is_loopback(host):
        raise errors.UsageError(
            f"--host {host}: the whole network could read the queues and empty them;"
            " give --user and --password-file (or INDEXER_DASHBOARD_USER and"
            " INDEXER_DASHBOARD_PASSWORD), or leave --host out"
        )
    client = redis_client.connect(settings, timeout_s=_ANSWER_S)
    app = _app(client, settings, login)
    with _listening(host, port) as listener:
        address, number = listener.getsockname()[:2]
        server = _server(address, number, app, listener.fileno())
        url = f"http://{f'[{host}]' if ':' in host else host}:{number}"
        dashboard = Dashboard(server, url, _warning(client, settings))
        try:
            with dashboard.signals_held():
                yield dashboard
        finally:
            server.server_close()
            client.close()


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it. A name other than localhost may be anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@contextmanager
def _listening(host: str, port: int) -> Iterator[socket.socket]:
    """A socket of our own: werkzeug ends the process when the port is taken."""
    try:
        found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
        family, *_, address = min(found, key=lambda one: one[0] != socket.AF_INET)
        listener = socket.create_server(address[:2], family=family)
    except OSError as error:  # create_server adds the address to `strerror`; gaierror has own codes
        unknown = error.errno is None or isinstance(error, socket.gaierror)
        why = error.strerror if unknown else os.strerror(error.errno or 0)
        raise errors.CannotDo(
            f"{host}, port {port}: {why}; name another with --port (or --host), or end"
            " the program that uses it"
        ) from error
    with listener:
        yield listener


def _server(address: str, port: int, app: Flask, descriptor: int) -> BaseWSGIServer:
    """Threads, since a page sends many requests at once; made for a few users."""
    from werkzeug.serving import make_server

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    return make_server(address, port, app, threaded=True, fd=descriptor)


def _warning(client: redis.Redis, settings: Settings) -> str | None:
    try:
        with redis_client.answering(settings):
            return redis_client.state_of(client).warning
    except errors.QueueError as error:
        return str(error)


def _app(client: redis.Redis, settings: Settings, login: Login | None) -> Flask:
    try:
        import flask
        import jinja2
        import rq_dashboard.web as pages  # type: ignore[import-untyped]
    except ImportError as error:
        raise errors.CannotDo(
            f"the dashboard is an extra, and not all of it is installed ({error.name} is missing):"
            " pip install 'music-indexer[dashboard]'"
        ) from error

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
        why = _refusal(flask.request, login)
        if why is None:
            return None
        code, text = why
        ask = {"WWW-Authenticate": 'Basic realm="music-indexer"'} if code == 401 else {}
        return flask.Response(f"{text}\n", code, ask, mimetype="text/plain")

    def sealed(response: Response) -> Response:
        response.headers["Content-Security-Policy"] = _POLICY
        response.headers["X-Content-Type-Options"] = "nosniff"
        return response

    app.before_request(admitted)
    app.after_request(sealed)
    for away in (redis.ConnectionError, redis.TimeoutError):
        app.register_error_handler(away, lambda _error: ("no Redis answers\n", 503))
    app.register_error_handler(NoSuchJobError, lambda _error: ("there is no such job\n", 404))
    return app


def _refusal(request: Request, login: Login | None) -> tuple[int, str] | None:
    """(status, reason) of a request that is not answered, or None."""
    if login is not None and not _is(login, request):
        return 401, "user and password required"
    name = urlsplit(f"//{request.host}").hostname or ""
    if login is None and not is_loopback(name):
        return 403, f"{name} is not a known name of this machine: see indexer dashboard"
    if request.method in {"GET", "HEAD"}:
        # A GET that requeues all of a queue: its pages do not use it, others could.
        return (405, "use the button") if request.path.startswith("/requeue/") else None
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is None and origin is not None:  # browsers send no site over http to other machines
        site = "same-origin" if urlsplit(origin).netloc == request.host else "cross-site"
    if site in {None, "none", "same-origin"}:
        return None
    return 403, "requests from other pages are refused"


def _is(login: Login, request: Request) -> bool:
    given = request.authorization
    user, password = (given.username, given.password) if given is not None else (None, None)
    # Both are compared, always in the same time.
    same_user = hmac.compare_digest(_bytes(login.user), _bytes(user or ""))
    return hmac.compare_digest(_bytes(login.password), _bytes(password or "")) and same_user


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")


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
