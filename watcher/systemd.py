"""A word about this process -> the service manager that started it, by sd_notify(3)."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from typing import Final

READY: Final = "READY=1"
"""It has begun to work: `systemctl start` returns, and units that come after it are started."""
STOPPING: Final = "STOPPING=1"
"""It is about to end."""


def notify(state: str, environ: Mapping[str, str]) -> bool:
    """Send `READY`, `STOPPING`, `STATUS=...`; several, a line each. False: nobody has been told.

    The socket is that of $NOTIFY_SOCKET, which a unit with `Type=notify` sets: a path, or after an
    `@` a name in the abstract namespace. Nothing hangs on it but what the service manager shows, so
    no failure is an error here: one that waits for READY says itself that it waits in vain.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address.startswith(("/", "@")):
        return False  # none, or vsock:, which a virtual machine's own manager is told by
    if address.startswith("@"):
        address = "\0" + address[1:]
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        try:
            sender.connect(address)
            sender.sendall(state.encode())
        except OSError:
            return False
    return True
