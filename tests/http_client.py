"""A request -> the answer of a server, without a browser."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from http.client import HTTPConnection
from typing import NamedTuple
from urllib.parse import urlsplit


class Answer(NamedTuple):
    """What a server has answered."""

    status: int
    body: bytes
    headers: Mapping[str, str]

    @property
    def text(self) -> str:
        return self.body.decode()


def ask(
    url: str, path: str = "/", method: str = "GET", headers: Mapping[str, str] | None = None
) -> Answer:
    """Ask for a path as it is, also one that no browser would send."""
    where = urlsplit(url)
    connection = HTTPConnection(str(where.hostname), where.port, timeout=60)
    try:
        connection.request(method, path, headers=dict(headers or {}))
        response = connection.getresponse()
        sent = response.getheaders()
        assert len(dict(sent)) == len(sent), f"a header is sent twice: {sent}"
        return Answer(response.status, response.read(), dict(sent))
    finally:
        connection.close()


def login(user: str, password: str) -> dict[str, str]:
    """The header that gives access."""
    return {"Authorization": "Basic " + b64encode(f"{user}:{password}".encode()).decode()}
