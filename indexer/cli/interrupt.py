"""Ctrl-C and SIGTERM -> a flag that a long run polls; a second signal ends the program at once."""

from __future__ import annotations

import os
import signal
from contextlib import suppress
from typing import TYPE_CHECKING, Self

from indexer.cli.output import can_redraw

if TYPE_CHECKING:
    from types import FrameType

_POLITE = b"indexer: stopping after the current batch; once more to stop at once\n"


class Interrupt:
    """The user's request to stop; the library polls it as `stop`.

    As a context manager it catches both signals. After the first, the run ends between two batches.
    The second raises KeyboardInterrupt, and restores the kernel's default action for a third. A
    signal that was ignored when the program started (`nohup`, `&` in a script) stays ignored.
    """

    def __init__(self) -> None:
        self.number: int | None = None
        """The signal that came first."""
        self._before: dict[int, signal._HANDLER] = {}
        self._wipe = b""

    def __call__(self) -> bool:
        return self.number is not None

    @property
    def exit_code(self) -> int:
        """The shell's exit code for a program ended by this signal: 130 or 143."""
        return 128 + (self.number or signal.SIGINT)

    def __enter__(self) -> Self:
        self._wipe = b"\r\x1b[K" if can_redraw() else b""
        for number in (signal.SIGINT, signal.SIGTERM):
            before = signal.getsignal(number)
            if before != signal.SIG_IGN:
                self._before[number] = before
                signal.signal(number, self._caught)
        return self

    def __exit__(self, *exc_info: object) -> None:
        for number, before in self._before.items():
            signal.signal(number, before)
        self._before.clear()

    def _caught(self, number: int, _frame: FrameType | None) -> None:
        if self.number is not None:
            for caught in self._before:
                signal.signal(caught, signal.SIG_DFL)
            raise KeyboardInterrupt
        self.number = number
        # Not through sys.stderr: the signal may have interrupted a write to it.
        # The progress line is erased first, and is drawn next on the line below.
        with suppress(OSError):  # stderr is closed: the request is kept
            os.write(2, self._wipe + _POLITE)
