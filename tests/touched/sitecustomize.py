"""Every Python process with this folder in PYTHONPATH: which functions are called, while asked for.

A real-time signal begins to count, the next one ends it and writes (file, function) of all that was
called into the folder TOUCHED, in a file of this process.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
from types import FrameType

OURS = (f"{os.sep}indexer{os.sep}", f"{os.sep}watcher{os.sep}")
SIGNAL = signal.SIGRTMIN + 3

_called: set[tuple[str, str]] = set()
_counts = False


def _note(frame: FrameType, event: str, _argument: object) -> None:
    if _counts and event == "call":
        code = frame.f_code
        if any(part in code.co_filename for part in OURS):
            _called.add((code.co_filename, code.co_qualname))


def _toggle(_number: int, _frame: FrameType | None) -> None:
    global _counts  # noqa: PLW0603 - one flag for all threads of the process
    if _counts:
        path = os.path.join(os.environ["TOUCHED"], f"{os.getpid()}.json")
        with open(f"{path}.part", "w", encoding="utf-8") as file:
            json.dump(sorted(_called), file)
        os.rename(f"{path}.part", path)
    _called.clear()
    _counts = not _counts


if "TOUCHED" in os.environ:
    signal.signal(SIGNAL, _toggle)
    threading.setprofile(_note)
    sys.setprofile(_note)
