"""Messages to a service manager, and behaviour without one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from pathlib import Path

import pytest

from watcher.loop import READY, STOPPING, notify


@pytest.fixture
def manager(tmp_path: Path) -> Iterator[socket.socket]:
    """The receiving end, a datagram socket as in systemd."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind(str(tmp_path / "notify"))
        receiver.settimeout(5)
        yield receiver


@pytest.mark.parametrize("state", [READY, STOPPING, "STATUS=Björk is looked at\nREADY=1"])
def test_the_manager_hears_just_what_was_said(manager: socket.socket, state: str) -> None:
    assert notify(state, {"NOTIFY_SOCKET": manager.getsockname()})
    assert manager.recv(4096).decode() == state


def test_an_address_with_an_at_sign_is_an_abstract_name(tmp_path: Path) -> None:
    name = f"music-indexer-test{tmp_path}"
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        receiver.bind("\0" + name)
        receiver.settimeout(5)
        assert notify(READY, {"NOTIFY_SOCKET": "@" + name})
        assert receiver.recv(4096) == b"READY=1"


def test_without_a_manager_nothing_is_sent() -> None:
    assert not notify(READY, {})
    assert not notify(READY, {"NOTIFY_SOCKET": ""})


@pytest.mark.parametrize("address", ["vsock:2:1234", "notify", "@", "/" + "long/" * 30])
def test_an_address_that_cannot_be_used_is_no_error(address: str) -> None:
    assert not notify(READY, {"NOTIFY_SOCKET": address})


def test_a_manager_that_is_gone_is_no_error(manager: socket.socket) -> None:
    address = manager.getsockname()
    manager.close()
    assert not notify(READY, {"NOTIFY_SOCKET": address})
