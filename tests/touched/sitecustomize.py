"""Every Python process with this folder in PYTHONPATH: which of our functions call which, and when.

A real-time signal begins to note calls, the next one ends it and writes them into the folder
TOUCHED, in a file of this process: `places` are (place of the caller or -1, file, function), so
that each tells a stack of our functions, and `calls` are (time, place). Times are in seconds of
CLOCK_MONOTONIC, which all processes share.
"""

from __future__ import annotations

import json
import os
import signal
import sys
import threading
import time
from types import CodeType, FrameType

OURS = (f"{os.sep}indexer{os.sep}", f"{os.sep}watcher{os.sep}")
SIGNAL = signal.SIGRTMIN + 3

_places: dict[tuple[int, CodeType], int] = {}
_calls: list[tuple[float, int]] = []
_counts = False


def _is_ours(code: CodeType) -> bool:
    return any(part in code.co_filename for part in OURS)


def _note(frame: FrameType, event: str, _argument: object) -> None:
    if _counts and event == "call" and _is_ours(frame.f_code):
        _calls.append((time.monotonic(), _place_of(frame)))


def _place_of(frame: FrameType) -> int:
    stack: list[CodeType] = []
    above: FrameType | None = frame
    while above is not None:
        if _is_ours(above.f_code):
            stack.append(above.f_code)
        above = above.f_back
    place = -1
    for code in reversed(stack):
        place = _places.setdefault((place, code), len(_places))
    return place


def _toggle(_number: int, _frame: FrameType | None) -> None:
    global _counts  # noqa: PLW0603 - one flag for all threads of the process
    if _counts:
        _counts = False
        path = os.path.join(os.environ["TOUCHED"], f"{os.getpid()}.json")
        places = [(caller, code.co_filename, code.co_qualname) for caller, code in _places]
        with open(f"{path}.part", "w", encoding="utf-8") as file:
            json.dump({"places": places, "calls": _calls}, file)
        os.rename(f"{path}.part", path)
    else:
        _counts = True


if "TOUCHED" in os.environ:
    signal.signal(SIGNAL, _toggle)
    threading.setprofile(_note)
    sys.setprofile(_note)
