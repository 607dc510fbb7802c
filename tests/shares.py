"""A folder -> a share of it, as bindfs serves it by FUSE, whose server can be made to hang."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.programs import eventually


class NoShare(Exception):
    """This machine cannot make one; the message says why."""


class Share:
    """A mounted share, and the process that serves it."""

    def __init__(self, point: Path, server: subprocess.Popen[bytes]) -> None:
        self.point = point
        self._server = server

    def hang(self) -> None:
        """Stop answering: a process that asks waits in the kernel."""
        self._server.send_signal(signal.SIGSTOP)

    def go_on(self) -> None:
        """Answer again."""
        self._server.send_signal(signal.SIGCONT)

    def die(self) -> None:
        """End the server, so that each call fails (ENOTCONN)."""
        self._server.kill()
        self._server.wait()


@contextmanager
def share_of(what: Path, point: Path) -> Iterator[Share]:
    """Show a folder at a point, by FUSE."""
    program = shutil.which("bindfs")
    if program is None:
        raise NoShare("bindfs is not installed")
    point.mkdir(exist_ok=True)
    command = [program, "-f", os.fspath(what), os.fspath(point)]
    with subprocess.Popen(command, stderr=subprocess.PIPE) as server:
        try:
            eventually(lambda: server.poll() is not None or point.is_mount(), within_s=10)
            if server.poll() is not None:
                assert server.stderr is not None
                raise NoShare(f"bindfs cannot mount: {server.stderr.read().decode().strip()}")
            yield Share(point, server)
        finally:
            server.send_signal(signal.SIGCONT)
            server.kill()
            subprocess.run(["umount", "--lazy", point], capture_output=True, check=False)
