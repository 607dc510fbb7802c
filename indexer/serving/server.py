"""A web application -> served on a port of this machine until SIGINT or SIGTERM."""

from __future__ import annotations

import logging
import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import BoundedSemaphore, Thread
from typing import TYPE_CHECKING, Any, Final

from indexer import errors

if TYPE_CHECKING:
    from werkzeug.serving import BaseWSGIServer

_SHUTDOWN_POLL_S: Final = 0.1
_MOST_CONNECTIONS: Final = 100
"""Each has a thread. A browser opens six. A guess."""
_SILENT_S: Final = 60.0
"""A client that neither sends nor takes anything for so long is dropped. A guess."""


class Served:
    """The pages; connections are kept waiting until `serve`."""

    def __init__(self, server: BaseWSGIServer, url: str) -> None:
        self.url = url
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
def serving(app: Callable[..., Any], host: str, port: int) -> Iterator[Served]:
    """An application with its port opened; 0: any that is free.

    SIGINT and SIGTERM wait until `serve` sees them. Raises CannotDo where the port fails.
    """
    with _listening(host, port) as listener:
        address, number = listener.getsockname()[:2]
        server = _server(address, number, app, listener.fileno())
        url = f"http://{f'[{host}]' if ':' in host else host}:{number}"
        served = Served(server, url)
        try:
            with served.signals_held():
                yield served
        finally:
            server.server_close()


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


def _server(address: str, port: int, app: Callable[..., Any], descriptor: int) -> BaseWSGIServer:
    """Threads, since a page sends many requests at once; made for a few users."""
    from werkzeug.serving import ThreadedWSGIServer, WSGIRequestHandler

    class Handler(WSGIRequestHandler):
        timeout = _SILENT_S
        server_version = "music-indexer"
        sys_version = ""

    class Server(ThreadedWSGIServer):
        """A server that drops the connection that is one too many."""

        def __init__(self, *arguments: Any, **options: Any) -> None:  # noqa: ANN401 - werkzeug's
            super().__init__(*arguments, **options)
            self._places = BoundedSemaphore(_MOST_CONNECTIONS)

        def process_request(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
            if self._places.acquire(blocking=False):
                super().process_request(request, client_address)
            else:
                self.shutdown_request(request)

        def process_request_thread(self, request: Any, client_address: Any) -> None:  # noqa: ANN401
            try:
                super().process_request_thread(request, client_address)
            finally:
                self._places.release()

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    return Server(address, port, app, Handler, fd=descriptor)
