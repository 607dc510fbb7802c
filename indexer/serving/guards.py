"""A request -> whether it is answered: known names of this machine, a password, no other sites.

A web page of another site can have a browser ask this machine for anything. It may also point its
own name at this machine's address, and then reads the answers (DNS rebinding); so only known names
are answered.
"""

from __future__ import annotations

import hmac
import ipaddress
import socket
import time
from collections import OrderedDict
from collections.abc import Callable, Collection
from threading import Lock
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from msgspec import Struct

from indexer.errors import UsageError

if TYPE_CHECKING:
    from werkzeug.wrappers import Request, Response

_MOST_WRONG: Final = 10
"""Wrong passwords of one address before it has to wait. A guess."""
_FORGIVEN_EVERY_S: Final = 6.0
"""One of them is forgotten after so long: ten a minute. A guess."""
_MOST_ADDRESSES: Final = 1000
_NETWORK_BITS: Final = 64
"""A machine has all IPv6 addresses of its network."""


class Login(Struct, frozen=True):
    """The user and password that give access."""

    user: str
    password: str


class Refusal(Struct, frozen=True):
    """Why a request is not answered."""

    status: int
    text: str
    headers: dict[str, str] = {}


class WrongPasswords:
    """How often each address gave a wrong password; the last thousand addresses."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._lock = Lock()
        """Guards `_wrong`: each request has a thread."""
        self._wrong: OrderedDict[str, tuple[float, float]] = OrderedDict()
        """Address -> (how many, when that was)."""

    def wait_s(self, address: str) -> float:
        """How long no password of this address is looked at; 0: it is."""
        with self._lock:
            return max(0.0, (self._count(address) + 1 - _MOST_WRONG) * _FORGIVEN_EVERY_S)

    def add(self, address: str) -> None:
        """Note a wrong password."""
        with self._lock:
            count = self._count(address) + 1
            self._wrong[_network_of(address)] = (count, self._clock())
            self._wrong.move_to_end(_network_of(address))
            if len(self._wrong) > _MOST_ADDRESSES:
                self._wrong.popitem(last=False)

    def _count(self, address: str) -> float:
        count, at = self._wrong.get(_network_of(address), (0.0, 0.0))
        return max(0.0, count - (self._clock() - at) / _FORGIVEN_EVERY_S)


class Guard:
    """Who may look. Without a login: only this machine, under names that no other site can have."""

    def __init__(self, login: Login | None, hosts: Collection[str] = ()) -> None:
        """`hosts` are further names by which it is reached (the setting `web_hosts`)."""
        self._login = login
        self._names = {_plain(name) for name in hosts}
        self._machine = socket.gethostname().partition(".")[0].lower()
        if login is not None:
            self._names |= {_plain(socket.gethostname()), self._machine, f"{self._machine}.local"}
        self._wrong = WrongPasswords()

    def refusal(self, request: Request) -> Refusal | None:
        """Why a request is not answered; None if it is."""
        name = host_of(request)
        if not self._knows(name, request):
            known = "127.0.0.1 and localhost are; others: the setting web_hosts"
            return Refusal(403, f"{name} is not a known name of this machine: {known}")
        return None if self._login is None else self._wrong_login(self._login, request)

    def _knows(self, name: str, request: Request) -> bool:
        if is_loopback(name) or name in self._names or self._is_called(name, request):
            return True
        # The resolver may take seconds, so it is asked only for what may be this machine.
        may_be_own = self._login is not None and name.startswith(f"{self._machine}.")
        return may_be_own and name == _plain(socket.getfqdn())

    def _is_called(self, name: str, request: Request) -> bool:
        """Whether the name is the address at which this request came in."""
        if self._login is None:
            return False
        connection: Any = request.environ.get("werkzeug.socket")
        try:
            asked = ipaddress.ip_address(name)
            own = ipaddress.ip_address(str(connection.getsockname()[0]).partition("%")[0])
        except (ValueError, AttributeError, OSError, IndexError):
            return False
        return asked in {own, getattr(own, "ipv4_mapped", None)}

    def _wrong_login(self, login: Login, request: Request) -> Refusal | None:
        address = request.remote_addr or ""
        given = request.authorization
        if given is not None:
            wait_s = self._wrong.wait_s(address)
            if wait_s:
                retry = {"Retry-After": str(int(wait_s) + 1)}
                return Refusal(429, "too many wrong passwords: wait", retry)
            if _is(login, given.username, given.password):
                return None
            self._wrong.add(address)
        ask = {"WWW-Authenticate": 'Basic realm="music-indexer"'}
        return Refusal(401, "user and password required", ask)


def seal(response: Response, policy: str) -> Response:
    """Add the headers that keep other sites out of an answer; `policy` as CSP has it."""
    headers = response.headers
    headers["Content-Security-Policy"] = f"{policy}; frame-ancestors 'none'; base-uri 'none'"
    headers["X-Content-Type-Options"] = "nosniff"
    headers["X-Frame-Options"] = "DENY"
    headers["Referrer-Policy"] = "same-origin"
    headers["Cross-Origin-Resource-Policy"] = "same-origin"
    headers.remove("Date")  # that of a file: the server sends one with every answer
    return response


def is_from_other_site(request: Request) -> bool:
    """Whether a page of another site has made the browser send this."""
    site = request.headers.get("Sec-Fetch-Site")
    origin = request.headers.get("Origin")
    if site is None and origin is not None:  # browsers send no site over http to other machines
        site = "same-origin" if urlsplit(origin).netloc == request.host else "cross-site"
    return site not in {None, "none", "same-origin"}


def check_host(host: str, login: Login | None, reach: str, variables: str) -> None:
    """Raise UsageError where others could look without a password.

    `reach` says what they could do, `variables` which ones of the environment hold a login.
    """
    if login is None and not is_loopback(host):
        raise UsageError(
            f"--host {host}: the whole network could {reach};"
            f" give --user and --password-file (or {variables}), or leave --host out"
        )


def is_loopback(host: str) -> bool:
    """Whether only this machine reaches it. A name other than localhost may be anything."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def host_of(request: Request) -> str:
    """The name by which this machine was asked, without the port; empty if it is none."""
    try:
        return _plain(urlsplit(f"//{request.host}").hostname or "")
    except ValueError:
        return ""


def _plain(name: str) -> str:
    return name.lower().removesuffix(".")


def _network_of(address: str) -> str:
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return address
    if found.version == 4 or found.ipv4_mapped is not None:
        return str(found)
    return str(ipaddress.ip_network((found, _NETWORK_BITS), strict=False))


def _is(login: Login, user: str | None, password: str | None) -> bool:
    # Both are compared, always in the same time.
    same_user = hmac.compare_digest(_bytes(login.user), _bytes(user or ""))
    return hmac.compare_digest(_bytes(login.password), _bytes(password or "")) and same_user


def _bytes(text: str) -> bytes:
    return text.encode("utf-8", "surrogateescape")
