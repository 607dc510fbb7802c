"""Who may look at a page."""

from __future__ import annotations

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from indexer.errors import UsageError
from indexer.serving.guards import Guard, Login, WrongPasswords, check_host, host_of
from tests.http_client import login

IDA = Login("ida", "secret")


class Socket:
    """A connection that came in at an address."""

    def __init__(self, address: str) -> None:
        self.address = address

    def getsockname(self) -> tuple[str, int]:
        return self.address, 8787


def request(
    host: str = "localhost:8787",
    headers: dict[str, str] | None = None,
    *,
    at: str = "127.0.0.1",
    client: str = "192.0.2.7",
) -> Request:
    builder = EnvironBuilder(headers=[("Host", host), *(headers or {}).items()])
    environ = builder.get_environ()
    environ["werkzeug.socket"] = Socket(at)
    environ["REMOTE_ADDR"] = client
    return Request(environ)


def status(guard: Guard, asked: Request) -> int:
    refusal = guard.refusal(asked)
    return 200 if refusal is None else refusal.status


@pytest.mark.parametrize(
    ("host", "code"),
    [
        ("localhost:8787", 200), ("LOCALHOST", 200), ("127.0.0.1", 200), ("[::1]:8787", 200),
        ("localhost.", 200), ("example.org", 403), ("localhost.example.org", 403), ("", 403),
        ("[::1", 403), ("192.0.2.1", 403), ("localhost@example.org", 403),
        ("music.example.org", 200),
    ],
)  # fmt: skip
def test_without_a_password_only_names_of_this_machine_itself_are_answered(
    host: str, code: int
) -> None:
    assert status(Guard(None, ("Music.example.org",)), request(host)) == code


def test_with_a_password_the_address_it_was_asked_at_is_a_name() -> None:
    guard = Guard(IDA)
    right = login("ida", "secret")
    assert status(guard, request("192.0.2.1:8787", right, at="192.0.2.1")) == 200
    assert status(guard, request("192.0.2.1:8787", right, at="::ffff:192.0.2.1")) == 200
    assert status(guard, request("192.0.2.1:8787", right, at="192.0.2.2")) == 403
    assert status(guard, request("example.org", right)) == 403


def test_a_name_of_this_machine_is_known_with_a_password(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("socket.gethostname", lambda: "nas")
    monkeypatch.setattr("socket.getfqdn", lambda: "nas.example.org")
    guard = Guard(IDA)
    right = login("ida", "secret")
    assert status(guard, request("nas.example.com", right)) == 403
    for name in ("nas", "nas.example.org", "nas.local", "NAS:8787"):
        assert status(guard, request(name, right)) == 200
    assert status(Guard(None), request("nas")) == 403


@pytest.mark.parametrize(
    ("user", "password", "code"),
    [("ida", "secret", 200), ("ida", "", 401), ("eve", "secret", 401), ("ida", "secreT", 401)],
)
def test_user_and_password_must_both_be_right(user: str, password: str, code: int) -> None:
    assert status(Guard(IDA), request(headers=login(user, password))) == code


def test_without_a_password_given_it_is_asked_for() -> None:
    refusal = Guard(IDA).refusal(request())
    assert refusal is not None
    assert refusal.headers["WWW-Authenticate"].startswith("Basic ")


def test_guessing_is_slowed_down_for_the_one_that_guesses() -> None:
    guard = Guard(IDA)
    for _ in range(10):
        assert status(guard, request(headers=login("ida", "guess"))) == 401
    assert status(guard, request(headers=login("ida", "secret"))) == 429
    assert status(guard, request(headers=login("ida", "secret"), client="192.0.2.8")) == 200


def test_wrong_passwords_are_forgotten_ten_a_minute() -> None:
    now = [1000.0]
    wrong = WrongPasswords(lambda: now[0])
    for _ in range(10):
        assert wrong.wait_s("192.0.2.7") == 0
        wrong.add("192.0.2.7")
    assert wrong.wait_s("192.0.2.7") == 6.0
    now[0] += 6.0
    assert wrong.wait_s("192.0.2.7") == 0


def test_a_network_of_ipv6_counts_as_one() -> None:
    wrong = WrongPasswords(lambda: 0.0)
    for number in range(10):
        wrong.add(f"2001:db8::{number}")
    assert wrong.wait_s("2001:db8::ffff") > 0
    assert wrong.wait_s("2001:db8:0:1::1") == 0


def test_many_addresses_take_bounded_memory() -> None:
    wrong = WrongPasswords(lambda: 0.0)
    for number in range(3000):
        wrong.add(f"10.0.{number // 250}.{number % 250}")
    assert len(wrong._wrong) == 1000


def test_other_machines_need_a_password() -> None:
    with pytest.raises(UsageError, match="--host nas: the whole network could read it"):
        check_host("nas", None, "read it", "A and B")
    check_host("nas", IDA, "read it", "A and B")
    check_host("127.0.0.2", None, "read it", "A and B")


def test_a_host_that_is_none_is_empty() -> None:
    assert host_of(request("[::1")) == ""
