"""Every Python process with this folder in PYTHONPATH: what becomes of a reader, by a file's name.

It dies of a `poison`, hangs on a `hang`, and needs a moment (SLOW_S, in seconds) for a `slow`; of a
`plague` its parent dies, too.
"""

from __future__ import annotations

import os
import signal
import time
from typing import TYPE_CHECKING, BinaryIO

if TYPE_CHECKING:
    from indexer.model import Track


ODD = ("plague", "poison", "hang", "slow")
"""Our own bounded readers decline such a file."""


def install() -> None:
    """Put it before what reads tags; the stage takes that from there when it is imported."""
    from indexer import tags
    from indexer.tags.window import Declined

    plain = tags.read_track

    def read_track(file: BinaryIO, suffix: bytes) -> Track:
        name = os.path.basename(os.readlink(f"/proc/self/fd/{file.fileno()}"))
        if getattr(file, "ours_only", False) and any(odd in name for odd in ODD):
            raise Declined
        if "plague" in name:
            os.kill(os.getppid(), signal.SIGKILL)
            signal.pause()
        if "poison" in name:
            os.kill(os.getpid(), signal.SIGKILL)
        if "hang" in name:
            signal.pause()
            signal.pause()
        if "slow" in name:
            time.sleep(float(os.environ.get("SLOW_S", "0.03")))
        return plain(file, suffix)

    tags.read_track = read_track


if "ODD_READERS" in os.environ:
    install()
