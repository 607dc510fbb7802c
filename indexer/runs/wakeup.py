"""Hints for a running daemon: made durable, and announced by a datagram (rule R11)."""

from __future__ import annotations

import os
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import msgspec

from indexer.errors import DatabaseError
from indexer.model import Hint
from indexer.store.beside import check_socket
from indexer.store.connection import Connection, write_transaction
from indexer.store.work import pending, scans

_WAKEUP = b"\x01"


class WakeupSocket:
    """The daemon's end: a unix socket beside the database, with the database's own rights."""

    def __init__(self, database: Path) -> None:
        import socket  # late: few commands find a daemon

        path = wakeup_path(database)
        _take_away(path, database)
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK)
        self._path = path
        mode = database.stat().st_mode & 0o666
        os.fchmod(self._socket.fileno(), mode)  # it is made with these rights, less the umask
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
        umask = os.umask(0o777 & ~mode)
        try:
            self._socket.bind(_address(folder, path))
        finally:
            os.umask(umask)
            os.close(folder)

    def fileno(self) -> int:
        """For `select` and the like."""
        return self._socket.fileno()

    def was_woken(self) -> bool:
        """Whether it was woken since the last call."""
        woken = False
        while True:
            try:
                self._socket.recv(16)
            except BlockingIOError:
                return woken
            woken = True

    def close(self) -> None:
        """Close and remove it; it stays, as after a kill, where the disk became read-only."""
        self._socket.close()
        with suppress(OSError):
            self._path.unlink(missing_ok=True)


def wake(database: Path) -> bool:
    """Wake the daemon of this database; False where none listens."""
    path = wakeup_path(database)
    if not check_socket(path, database):
        return False
    import socket  # late, as above

    try:
        folder = os.open(path.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM | socket.SOCK_NONBLOCK) as sender:
        try:
            sender.sendto(_WAKEUP, _address(folder, path))
        except (FileNotFoundError, ConnectionRefusedError):
            return False
        except BlockingIOError:
            return True  # its buffer is full of wake-ups that it has yet to read
        finally:
            os.close(folder)
    return True


def wakeup_path(database: Path) -> Path:
    return database.with_name(database.name + ".bell")


def _take_away(path: Path, database: Path) -> None:
    """Remove the socket of a daemon that was killed; the lock says that it is gone."""
    if not check_socket(path, database):
        return
    try:
        path.unlink(missing_ok=True)
    except PermissionError as error:
        raise DatabaseError(
            f"{path}: is the socket of another user's daemon, which has ended; that user or the"
            f" owner of the folder must remove it: rm {path}"
        ) from error


def _address(folder: int, path: Path) -> str:
    """A name of at most 107 bytes, however deep the database lies (unix(7), sun_path)."""
    return f"/proc/self/fd/{folder}/{path.name}"


def enqueue_hints(connection: Connection, database: Path, hints: Sequence[Hint]) -> None:
    """Make hints durable and wake the daemon. The caller does not wait for them."""
    now_ms = time.time_ns() // 1_000_000
    with write_transaction(connection):
        pending.enqueue_all(connection, hints, now_ms)
    wake(database)


def request_run(
    connection: Connection, database: Path, kind: str, names: Sequence[str], hints: Sequence[Hint]
) -> int:
    """Request a run of `scan` or `rebuild`; its id in `scans`, where it is counted."""
    now_ms = time.time_ns() // 1_000_000
    with write_transaction(connection):
        scan_id = scans.start(connection, kind, names, now_ms, alone=False)
        reread = scan_id if kind == "rebuild" else 0
        wanted = [msgspec.structs.replace(hint, reread=reread) for hint in hints]
        pending.enqueue_all(connection, wanted, now_ms, scan_id=scan_id)
    wake(database)
    return scan_id
