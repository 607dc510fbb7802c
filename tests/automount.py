"""A small automounter: `python -m tests.automount POINT WHAT [IDLE_S]`.

It makes POINT an automount, as a systemd .automount unit does: WHAT (a folder, which is bound, or a
disk image) is mounted there when a program opens POINT, and unmounted when the kernel reports that
it was unused for IDLE_S seconds (default: never). It prints `ready` on stdout, or why there is no
autofs. WHAT may be missing; then nothing is mounted, but POINT is still reported as ready.

The packets are those of include/uapi/linux/auto_fs.h (protocol 5); how they are used is described
in Documentation/filesystems/autofs.rst.
"""

from __future__ import annotations

import ctypes
import fcntl
import os
import struct
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

PACKET: Final = 304
"""sizeof(struct autofs_v5_packet) on 64-bit machines; a name of 256 bytes is its end."""
HEAD: Final = struct.Struct("@iiI")
"""Version of the protocol, type of the packet, and the token for its answer."""
MISSING_DIRECT: Final = 5
EXPIRE_DIRECT: Final = 6
READY: Final = 0x9360
FAIL: Final = 0x9361
SET_TIMEOUT: Final = 0xC0089364
EXPIRE_MULTI: Final = 0x40049366
OPTIONS: Final = {True: ("--bind",), False: ("-o", "loop")}
_LIBC: Final = ctypes.CDLL(None, use_errno=True)


def say(line: str) -> None:
    """Print a line for the waiting test."""
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


def mount_trigger(point: Path) -> tuple[int, int]:
    """Mount the trigger; the pipe of requests from the kernel, and the folder for the answers."""
    asked, asks = os.pipe()
    options = f"fd={asks},pgrp={os.getpgrp()},minproto=5,maxproto=5,direct"
    if _LIBC.mount(b"tests", os.fsencode(point), b"autofs", 0, options.encode()) != 0:
        say(f"no autofs: {os.strerror(ctypes.get_errno())}")
        sys.exit(1)
    os.close(asks)
    return asked, os.open(point, os.O_RDONLY | os.O_DIRECTORY)


def expire(control: int, idle_s: float) -> None:
    """Repeatedly ask the kernel to expire the mount; it answers through the pipe."""
    while True:
        time.sleep(idle_s / 4)
        with suppress(OSError):  # it is busy, or there is nothing to unmount
            fcntl.ioctl(control, EXPIRE_MULTI, struct.pack("i", 0))


def serve(point: Path, what: Path, asked: int, control: int) -> None:
    """Mount and unmount on request of the kernel, until the pipe is closed."""
    while len(packet := os.read(asked, PACKET)) >= HEAD.size:
        _, kind, token = HEAD.unpack_from(packet)
        command: list[str | Path] = ["true"]
        if kind == MISSING_DIRECT and what.exists():
            command = ["mount", *OPTIONS.get(what.is_dir(), ()), what, point]
        elif kind == EXPIRE_DIRECT:
            command = ["umount", point]
        done = subprocess.run(command, check=False)  # busy again by now, or no disk in it
        fcntl.ioctl(control, READY if done.returncode == 0 else FAIL, token)


def main() -> None:
    """Serve one automount until killed."""
    point, what = (Path(word) for word in sys.argv[1:3])
    os.setsid()
    asked, control = mount_trigger(point)
    if len(sys.argv) > 3:
        idle_s = float(sys.argv[3])
        seconds = struct.pack("@L", max(1, round(idle_s)))
        fcntl.ioctl(control, SET_TIMEOUT, seconds)
        threading.Thread(target=expire, args=(control, idle_s), daemon=True).start()
    say("ready")
    serve(point, what, asked, control)


if __name__ == "__main__":
    main()
