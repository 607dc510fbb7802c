"""A batch of events -> a command's standard input, or a POST to a web hook."""

from __future__ import annotations

import base64
import hashlib
import hmac
import os
import select
import signal
import socket
import subprocess
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from http.client import HTTPConnection, HTTPException, HTTPResponse
from importlib import metadata
from typing import IO, Any, Final, Self, cast
from urllib.error import HTTPError
from urllib.request import (
    HTTPHandler,
    HTTPRedirectHandler,
    HTTPSHandler,
    Request,
    build_opener,
)

import msgspec

from indexer.hooks.events import Batch
from indexer.results import report
from indexer.settings.hooks import Hook

_TYPE: Final = "music.changes"
_GONE: Final = 410
_REASON_CHARS: Final = 500
"""Characters of an error that are kept."""
_PIPE: Final = 1 << 20
"""As much as a pipe can hold (pipe(7))."""
_LAST: Final = 1 << 12
"""Bytes that are kept of what a command says; it may say gigabytes."""


class NotReceived(Exception):
    """The receiver is to be tried again, or not (`for_good`)."""

    def __init__(self, reason: str, *, for_good: bool = False) -> None:
        super().__init__(reason[:_REASON_CHARS])
        self.for_good = for_good


def send(hook: Hook, batch: Batch, *, now: Callable[[], float] = time.time) -> None:
    """One attempt. Raises NotReceived."""
    if hook.url:
        _post(hook, batch, int(now()))
    else:
        _run(hook, batch)


def message_id(hook: Hook, batch: Batch) -> str:
    """The same for each attempt: the name and how far its receiver knows all then.

    A message without tracks does not move the number of the feed: a digest of its events follows.
    """
    if batch.events and "seq" in batch.events[-1]:
        return f"{hook.name}-{batch.cursor.seq}"
    digest = hashlib.blake2b(msgspec.json.encode(batch.events), digest_size=6).hexdigest()
    return f"{hook.name}-{batch.cursor.seq}-{digest}"


def signature(key: bytes, identity: str, timestamp: int, body: bytes) -> str:
    """The header of Standard Webhooks: HMAC-SHA256 of all three, in base64."""
    signed = b"%s.%d.%s" % (identity.encode(), timestamp, body)
    digest = hmac.new(key, signed, hashlib.sha256).digest()
    return f"v1,{base64.b64encode(digest).decode()}"


def _head(batch: Batch) -> dict[str, object]:
    return {"fresh": True} if batch.fresh else {}


def _post(hook: Hook, batch: Batch, timestamp: int) -> None:
    body = msgspec.json.encode({
        "type": _TYPE,
        "timestamp": report.iso(timestamp * 1000),
        "data": {
            "hook": hook.name, "fresh": batch.fresh, "seq": batch.cursor.seq,
            "events": batch.events,
        },
    })  # fmt: skip
    identity = message_id(hook, batch)
    headers = {
        "content-type": "application/json",
        "user-agent": f"music-indexer/{metadata.version('music-indexer')}",
        "webhook-id": identity,
        "webhook-timestamp": str(timestamp),
    }
    if hook.key:
        headers["webhook-signature"] = signature(hook.key, identity, timestamp, body)
    address, login = hook.address
    if login:
        headers["authorization"] = f"Basic {base64.b64encode(login).decode()}"
    request = Request(address, body, headers, method="POST")  # noqa: S310 - http and https only
    sending = _InTime(hook.timeout)
    try:
        with sending, build_opener(_NoRedirect, sending).open(request, timeout=hook.timeout):
            pass  # 2xx: all others are raised
    except HTTPError as error:
        with error:
            reason = f"{error.code} {error.reason}"
        raise NotReceived(reason, for_good=error.code == _GONE) from error
    except (OSError, HTTPException, ValueError) as error:
        raise NotReceived(sending.late or _said(error)) from error
    if sending.late:  # what came of the head before it was cut is taken for all of it
        raise NotReceived(sending.late)


class _InTime(HTTPHandler, HTTPSHandler):
    """Cuts the connection at the end of the time: a timeout of a socket is one of each read."""

    def __init__(self, timeout_s: float) -> None:
        HTTPHandler.__init__(self)
        HTTPSHandler.__init__(self)
        self.late = ""
        """Why it was cut."""
        self._connection: HTTPConnection | None = None
        self._timeout_s = timeout_s
        self._timer = threading.Timer(timeout_s, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> Self:
        self._timer.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def do_open(
        self,
        http_class: Callable[..., HTTPConnection],
        req: Request,
        **arguments: Any,  # noqa: ANN401 - of the connection
    ) -> HTTPResponse:
        """Called by the opener for each request."""

        def opened(*place: Any, **options: Any) -> HTTPConnection:  # noqa: ANN401
            self._connection = http_class(*place, **options)
            return self._connection

        return super().do_open(opened, req, **arguments)

    def _cut(self) -> None:
        self.late = f"has not answered within {self._timeout_s:g} s"
        connection = None if self._connection is None else self._connection.sock
        if connection is not None:
            with suppress(OSError):  # it is closed by now
                socket.socket.shutdown(connection, socket.SHUT_RDWR)


def _said(error: Exception) -> str:
    inner = getattr(error, "reason", error)  # of a URLError
    return getattr(inner, "strerror", None) or str(inner) or type(inner).__name__


class _NoRedirect(HTTPRedirectHandler):
    """A redirected POST becomes a GET without its body: that is not received."""

    def redirect_request(self, *_: object) -> None:
        """Have it raised as an error."""


def _run(hook: Hook, batch: Batch) -> None:
    lines = [_head(batch)] if batch.fresh else [*batch.events]
    text = b"".join(msgspec.json.encode(line) + b"\n" for line in lines)
    environment = {**os.environ, "INDEXER_HOOK": hook.name, "INDEXER_SEQ": str(batch.cursor.seq)}
    with _file_of(text) as events:
        try:
            process = subprocess.Popen(  # noqa: S603 - the settings say what to run
                hook.words, stdin=events, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE,
                env=environment, start_new_session=True,
            )  # fmt: skip
        except OSError as error:
            raise NotReceived(f"{error.filename or hook.words[0]}: {error.strerror}") from error
    said = _said_until_end(process, hook.timeout)
    if said is None:
        with suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)  # and what it started
        process.wait()
        raise NotReceived(f"has not ended within {hook.timeout:g} s")
    if process.wait():
        last = said.decode(errors="replace").strip().rpartition("\n")[2]
        ended = f"exit code {process.returncode}" if process.returncode > 0 else "was killed"
        raise NotReceived(f"{ended}: {last}" if last else ended)


def _file_of(text: bytes) -> IO[bytes]:
    """A file in memory: a command that reads nothing, or only a part, delays no other."""
    file = os.fdopen(os.memfd_create("events"), "w+b")
    file.write(text)
    file.seek(0)
    return file


def _said_until_end(process: subprocess.Popen[bytes], timeout_s: float) -> bytes | None:
    """The end of its standard error once it has ended, even if a child has it open.

    None: it is late.
    """
    said, until = b"", time.monotonic() + timeout_s
    ended = os.pidfd_open(process.pid)
    poll = select.poll()
    try:
        with cast("IO[bytes]", process.stderr) as stderr:
            poll.register(ended, select.POLLIN)
            poll.register(stderr, select.POLLIN)
            while (left_s := until - time.monotonic()) > 0:
                ready = {fd for fd, _ in poll.poll(1000 * left_s)}
                if stderr.fileno() in ready:
                    more = os.read(stderr.fileno(), _PIPE)
                    said = (said + more)[-_LAST:]
                    if not more:
                        poll.unregister(stderr)
                if ended in ready:
                    return (said + _rest(stderr.fileno()))[-_LAST:]
            return None
    finally:
        os.close(ended)


def _rest(fd: int) -> bytes:
    """What is in a pipe now."""
    os.set_blocking(fd, False)
    try:
        return os.read(fd, _PIPE)
    except BlockingIOError:
        return b""
